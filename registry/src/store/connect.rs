//! One connection to one endpoint, and the pauses between attempts.

use std::error::Error as _;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};

use crate::settings::Settings;

/// etcd refuses HTTP/2 pings that come more often than every 5 s
/// (`--grpc-keepalive-min-time`) by closing the connection.
const PING_INTERVAL: Duration = Duration::from_secs(6);

/// Connects to one endpoint. Ends at once: the first request finds out whether
/// somebody is there.
pub(crate) async fn connect(endpoint: &str, settings: &Settings) -> Result<Client, String> {
    let options = ConnectOptions::new()
        .with_connect_timeout(settings.request_timeout)
        .with_keep_alive(PING_INTERVAL, settings.silence)
        .with_keep_alive_while_idle(false);
    within(settings, "connecting", Client::connect([endpoint], Some(options))).await
}

/// Bounds a request by the request timeout.
pub(crate) async fn within<T>(
    settings: &Settings,
    doing: &str,
    request: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(settings.request_timeout, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{doing}: {}", reason(&error))),
        Err(_) => Err(format!("{doing}: no answer within {:?}", settings.request_timeout)),
    }
}

/// What an error says, down to its last cause: tonic's own text is often just
/// "transport error", and shows causes as code.
pub(crate) fn reason(error: &etcd_client::Error) -> String {
    let (mut text, mut source) = match error {
        etcd_client::Error::GRpcStatus(status) if !status.message().is_empty() => {
            (status.message().to_owned(), status.source())
        }
        other => (other.to_string(), other.source()),
    };
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

/// Pauses that double up to a limit, each shortened by chance by up to half, so
/// that many clients do not come back at one moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(settings: &Settings) -> Backoff {
        let (min, max) = (settings.backoff_min, settings.backoff_max.max(settings.backoff_min));
        Backoff { min, max, next: min }
    }

    /// The pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_start_over() {
        let settings = Settings {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            ..Settings::default()
        };
        let mut backoff = Backoff::new(&settings);
        for full in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.pause().as_millis();
            assert!(pause >= full / 2 && pause <= full, "{pause} of {full}");
        }
        backoff.reset();
        assert!(backoff.pause().as_millis() <= 100);
    }
}
