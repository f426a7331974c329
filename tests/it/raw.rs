//! Peers that speak no protocol: a test is a dialogue in bytes.

use std::net::SocketAddr;

use proxy::config::{Config, Direction, Listener, Protocol, StaticService};
use proxy::server::Proxy;

use crate::counters::wait_until;
use crate::wire::{SERVICE, listener, outbound, service};

/// The plain TCP service that the tests connect to.
pub const DATABASE: &str = "db";

/// The series of what one listener found.
pub fn detected(listener: &str, protocol: &str) -> String {
    format!(r#"spanwire_connections_detected_total{{listener="{listener}",protocol="{protocol}"}}"#)
}

/// Waits until so many plain TCP connections of one listener have ended in one way.
#[track_caller]
pub fn wait_for_ended(proxy: &Proxy, listener: &str, service: &str, outcome: &str, wanted: i64) {
    let series = format!(
        r#"spanwire_calls_total{{protocol="tcp",listener="{listener}",service="{service}",method="connect",outcome="{outcome}"}} "#
    );
    wait_until(&format!("{series}to be {wanted}"), || {
        // An outcome has no series before it happens.
        let text = proxy.metrics().render();
        let count = text.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or("0");
        if count == wanted.to_string() { Ok(()) } else { Err(format!("it is {count}")) }
    });
}

/// A service of plain TCP.
pub fn database(endpoints: &[SocketAddr]) -> StaticService {
    StaticService { protocol: Protocol::Tcp, ..service(DATABASE, endpoints) }
}

/// A configuration with a listener `tcp` that takes nothing but plain TCP.
pub fn plain(endpoints: &[SocketAddr]) -> Config {
    let listener = Listener {
        protocols: vec![Protocol::Tcp],
        default_service: Some(DATABASE.to_owned()),
        ..listener("tcp", Direction::Outbound)
    };
    Config { services: vec![database(endpoints)], listeners: vec![listener], ..outbound(&[]) }
}

/// A configuration with a listener `shared` that takes Dubbo, and everything else
/// as plain TCP.
pub fn shared(providers: &[SocketAddr], endpoints: &[SocketAddr]) -> Config {
    let mut config = plain(endpoints);
    config.services.push(service(SERVICE, providers));
    config.listeners[0].name = "shared".to_owned();
    config.listeners[0].protocols.insert(0, Protocol::Dubbo);
    config
}
