//! On what terms a connection is made and kept: what the configuration says, or a
//! destination rule in its place.

use std::io;
use std::time::Duration;

use governance::TrafficPolicy;
use governance::directives::Keepalive;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::config::Timeouts;

/// Unanswered probes after which a peer is gone, as with heartbeats.
const PROBES: u32 = 3;

/// What holds for one connection to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long making it may take.
    pub(super) connect: Duration,
    /// How long nothing may come or go by it; `None` for ever.
    pub(super) idle: Option<Duration>,
    /// How long it may last; `None` for ever.
    pub(super) longest: Option<Duration>,
    probes: u32,
    first_probe: Duration,
    next_probe: Duration,
}

impl Terms {
    pub(crate) fn new(timeouts: &Timeouts, policy: Option<&TrafficPolicy>) -> Self {
        let pool = policy.and_then(|policy| policy.connection_pool.as_ref());
        let Keepalive { probes, time, interval } =
            pool.and_then(|pool| pool.keepalive).unwrap_or_default();
        let first_probe = time.unwrap_or(timeouts.heartbeat);
        Terms {
            connect: pool.and_then(|pool| pool.connect_timeout).unwrap_or(timeouts.connect),
            idle: pool.and_then(|pool| pool.idle_timeout).or(timeouts.idle),
            longest: pool.and_then(|pool| pool.max_connection_duration),
            probes: probes.unwrap_or(PROBES),
            first_probe,
            next_probe: interval.unwrap_or(first_probe),
        }
    }

    /// Has the system find out whether a silent peer is still there.
    pub(crate) fn keep_alive(&self, socket: &TcpStream) -> io::Result<()> {
        // The system counts whole seconds.
        let second = Duration::from_secs(1);
        let probes = TcpKeepalive::new()
            .with_time(self.first_probe.max(second))
            .with_interval(self.next_probe.max(second))
            .with_retries(self.probes);
        SockRef::from(socket).set_tcp_keepalive(&probes)
    }
}

#[cfg(test)]
mod tests {
    use governance::directives::ConnectionPool;

    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_destination_rule_takes_the_place_of_what_is_configured() {
        let timeouts = Timeouts { idle: Some(seconds(100)), ..Timeouts::default() };
        let said = |pool| {
            let policy = TrafficPolicy {
                rule: "DestinationRule/db".into(),
                connection_pool: Some(pool),
                ..TrafficPolicy::default()
            };
            Terms::new(&timeouts, Some(&policy))
        };
        let configured = Terms {
            connect: seconds(3),
            idle: Some(seconds(100)),
            longest: None,
            probes: PROBES,
            first_probe: seconds(60),
            next_probe: seconds(60),
        };
        assert_eq!(Terms::new(&timeouts, None), configured);
        assert_eq!(said(ConnectionPool::default()), configured);
        let keepalive =
            Keepalive { probes: Some(9), time: Some(seconds(7)), interval: Some(seconds(5)) };
        let pool = ConnectionPool {
            connect_timeout: Some(seconds(1)),
            idle_timeout: Some(seconds(2)),
            max_connection_duration: Some(seconds(3)),
            keepalive: Some(keepalive),
            ..ConnectionPool::default()
        };
        let ordered = Terms {
            connect: seconds(1),
            idle: Some(seconds(2)),
            longest: Some(seconds(3)),
            probes: 9,
            first_probe: seconds(7),
            next_probe: seconds(5),
        };
        assert_eq!(said(pool), ordered);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_system_is_told_when_to_probe() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let timeouts = Timeouts { heartbeat: Duration::from_millis(100), ..Timeouts::default() };
        Terms::new(&timeouts, None).keep_alive(&socket).unwrap();
        let socket = SockRef::from(&socket);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), seconds(1));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), seconds(1));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
    }
}
