//! Reads `services[].addresses`: where callers connect to when they mean a service
//! of plain TCP, which has no name for itself on the wire.

use std::collections::HashSet;
use std::net::IpAddr;

use governance::document::{Mapping, Report};

use super::value::host_and_port;
use super::{Config, Protocol, ServiceAddress};

/// A service's addresses. They count for plain TCP only: callers of others name
/// the service that they mean.
pub(super) fn addresses(
    service: &mut Mapping<'_>,
    protocol: Option<Protocol>,
    report: &mut Report,
) -> Vec<ServiceAddress> {
    if let Some(node) = service.value("addresses")
        && protocol.is_some_and(|protocol| protocol != Protocol::Tcp)
    {
        report.error(
            node.position,
            "not-plain-tcp",
            "addresses belong to a service of plain TCP",
            "take addresses out: calls find this service by its name",
        );
    }
    let mut addresses = Vec::new();
    for (text, at) in service.texts("addresses", report) {
        match address(text) {
            Some(address) => addresses.push(address),
            None => report.error(
                at,
                "bad-address",
                format!("{text:?} cannot stand for a service"),
                "write IP:PORT, e.g. 10.96.0.7:3306, or *:3306 for every address with this port",
            ),
        }
    }
    addresses
}

fn address(text: &str) -> Option<ServiceAddress> {
    let (ip, port) = match text.strip_prefix("*:") {
        Some(port) => (None, host_and_port(&format!("any:{port}"))?.1),
        None => {
            let (host, port) = host_and_port(text)?;
            let ip = host.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified())?;
            (Some(ip.to_canonical()), port)
        }
    };
    (port > 0).then_some(ServiceAddress { ip, port })
}

/// Reports addresses that stand for two services, and such as no listener asks for.
pub(super) fn check(top: &mut Mapping<'_>, config: &Config, report: &mut Report) {
    let Some(services) = top.value("services") else { return };
    let mut taken = HashSet::new();
    for service in &config.services {
        for address in &service.addresses {
            if !taken.insert(address) {
                let ip = address.ip.map_or("*".to_owned(), |ip| ip.to_string());
                report.error(
                    services.position,
                    "duplicate-address",
                    format!(
                        "{ip} with port {} stands here again, for service {:?}",
                        address.port, service.name
                    ),
                    "an address stands for one service, once",
                );
            }
        }
    }
    if !taken.is_empty() && !config.listeners.iter().any(|listener| listener.use_original_dst) {
        report.error(
            services.position,
            "no-original-dst",
            "services have addresses, but no listener sees where callers were going to",
            "write use_original_dst: true for the listener that connections are redirected to",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    #[test]
    fn addresses_as_they_are_written() {
        let of = |ip: &str, port| Some(ServiceAddress { ip: ip.parse().ok(), port });
        for (text, expected) in [
            ("10.96.0.7:3306", of("10.96.0.7", 3306)),
            ("[fd00::7]:3306", of("fd00::7", 3306)),
            ("[::ffff:10.96.0.7]:3306", of("10.96.0.7", 3306)),
            ("*:3306", of("*", 3306)),
            ("*:0", None),
            ("*:+1", None),
            ("*", None),
            (":3306", None),
            ("0.0.0.0:3306", None),
            ("[::]:3306", None),
            ("10.96.0.7:0", None),
            ("10.96.0.7", None),
            ("db.local:3306", None),
        ] {
            assert_eq!(address(text), expected, "{text}");
        }
    }

    /// Each finding of a configuration with these services and this listener.
    #[track_caller]
    fn check(services: &str, listener: &str, expected: &[&str]) {
        let text = format!(
            "services: [{services}]\nlisteners: [{{name: a, bind: '0.0.0.0:1', direction: {listener}}}]\n"
        );
        let findings = parse(Path::new("proxy.yaml"), &text).err().unwrap_or_default();
        let found: Vec<_> = findings.iter().map(|finding| finding.message.clone()).collect();
        assert_eq!(found, expected, "in:\n{text}");
    }

    #[test]
    fn mistakes_in_transparent_mode() {
        let db = "{name: db, protocol: tcp, endpoints: [], addresses: ['10.96.0.7:3306']}";
        let transparent = "outbound, protocols: [dubbo, tcp], use_original_dst: true";
        check(db, transparent, &[]);
        check(
            "{name: db, protocol: tcp, endpoints: [], addresses: ['db:3306']}",
            transparent,
            &["\"db:3306\" cannot stand for a service"],
        );
        check(
            "{name: a.B, protocol: dubbo, endpoints: [], addresses: ['*:3306']}",
            transparent,
            &["addresses belong to a service of plain TCP"],
        );
        check(
            &format!("{db}, {}", db.replace("name: db", "name: other")),
            transparent,
            &["10.96.0.7 with port 3306 stands here again, for service \"other\""],
        );
        check(
            db,
            "gateway",
            &["services have addresses, but no listener sees where callers were going to"],
        );
        check(
            "",
            "outbound, use_original_dst: true",
            &["only plain TCP goes where it was going to, and this listener takes none"],
        );
        check(
            "",
            "inbound, app: 'b:1', protocols: [tcp], use_original_dst: true",
            &["whatever comes in by an inbound listener goes to its app"],
        );
        check(
            "",
            "outbound, protocols: [tcp], use_original_dst: false",
            &["plain TCP names no service, and this listener has none for it"],
        );
        check(
            "",
            "outbound, protocols: [tcp], use_original_dst: maybe",
            &[
                "plain TCP names no service, and this listener has none for it",
                "use_original_dst must be true or false, but is \"maybe\"",
            ],
        );
    }
}
