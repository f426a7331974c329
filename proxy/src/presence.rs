//! Announces the applications behind inbound listeners under the listeners' own
//! addresses, while they answer.
//!
//! Not here: probing and leases, which are [`registry::presence`].

use std::time::Duration;

use registry::Registry;
use registry::presence::{self, Presence, PresenceHandle};

use crate::config::{Direction, Listener, Registration};
use crate::error::RunError;

/// How often an application is asked for a sign of life.
const PROBE: Duration = Duration::from_secs(1);
/// How long the store may take to forget them before a drain goes on.
const FORGET: Duration = Duration::from_secs(2);

/// Starts to announce what the listeners' configuration says.
pub(crate) fn announce(
    listeners: &[Listener],
    registry: &Registry,
) -> Result<Vec<PresenceHandle>, RunError> {
    let mut handles = Vec::new();
    for listener in listeners {
        let Direction::Inbound { app, register: Some(Registration { advertise, urls }) } =
            &listener.direction
        else {
            continue;
        };
        let urls = urls.iter().map(|url| at(url, advertise)).collect();
        let presence = Presence { app: app.clone(), urls, interval: PROBE };
        let handle = presence::start(registry, presence)
            .map_err(|source| RunError::Register { name: listener.name.clone(), source })?;
        handles.push(handle);
    }
    Ok(handles)
}

/// Takes the announcements back, so that consumers look elsewhere before the
/// listeners close.
pub(crate) async fn withdraw(handles: Vec<PresenceHandle>) {
    let all = async {
        for handle in handles {
            handle.end().await;
        }
    };
    if tokio::time::timeout(FORGET, all).await.is_err() {
        tracing::warn!("the store did not take the registrations back; their leases will end them");
    }
}

/// `url` with another host and port.
fn at(url: &str, address: &str) -> String {
    let start = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[start..].find(['/', '?']).map_or(url.len(), |length| start + length);
    format!("{}{address}{}", &url[..start], &url[end..])
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn only_host_and_port_are_replaced() {
        for (url, expected) in [
            ("dubbo://10.0.0.1:20880/a.B?version=1", "dubbo://10.9.9.9:30000/a.B?version=1"),
            ("dubbo://localhost/a.B", "dubbo://10.9.9.9:30000/a.B"),
            ("dubbo://0.0.0.0:1?x=http://h:2/", "dubbo://10.9.9.9:30000?x=http://h:2/"),
        ] {
            assert_eq!(at(url, "10.9.9.9:30000"), expected);
        }
    }
}
