//! Values that have a form of their own: addresses, durations, sizes, protocols.
//! Each reader reports what it cannot read, where, and how to write it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use governance::document::{Mapping, Node, Report};

use super::Protocol;
use super::quantity::{self, ShownDuration, ShownSize};

/// Protocols that configurations may name, and which this build serves.
const PROTOCOLS: [(&str, Option<Protocol>); 7] = [
    ("dubbo", Some(Protocol::Dubbo)),
    ("bolt", None),
    ("grpc", Some(Protocol::Grpc)),
    ("triple", Some(Protocol::Triple)),
    ("http1", Some(Protocol::Http1)),
    ("http2", Some(Protocol::Http2)),
    ("tcp", Some(Protocol::Tcp)),
];

/// What a listener takes that names no protocol: everything that is told by its
/// first bytes. Plain TCP is whatever is left over, and must be asked for.
pub(super) fn told_apart() -> Vec<Protocol> {
    let served = PROTOCOLS.iter().filter_map(|(_, served)| *served);
    served.filter(|protocol| *protocol != Protocol::Tcp).collect()
}

/// A protocol that this build serves.
pub(super) fn protocol(node: &Node, report: &mut Report) -> Option<Protocol> {
    let name = node.text("protocol", report)?;
    let served: Vec<&str> =
        PROTOCOLS.iter().filter(|(_, served)| served.is_some()).map(|(name, _)| *name).collect();
    let served = served.join(", ");
    match PROTOCOLS.iter().find(|(known, _)| *known == name) {
        Some((_, Some(protocol))) => Some(*protocol),
        Some((_, None)) => {
            report.error(
                node.position,
                "protocol-not-served",
                format!("protocol {name} is not served by this build"),
                format!("this build serves: {served}"),
            );
            None
        }
        None => {
            report.error(
                node.position,
                "unknown-protocol",
                format!("there is no protocol {name:?}"),
                format!("this build serves: {served}"),
            );
            None
        }
    }
}

/// An IP address and port to listen on.
pub(super) fn bind(node: &Node, what: &str, report: &mut Report) -> Option<SocketAddr> {
    let text = node.text(what, report)?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    bad_bind(node, what, text, report);
    None
}

/// As [`bind`], but a port alone means the loopback interface.
pub(super) fn bind_or_port(node: &Node, what: &str, report: &mut Report) -> Option<SocketAddr> {
    match node.scalar().and_then(|scalar| scalar.text.parse::<u16>().ok()) {
        Some(port) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => bind(node, what, report),
    }
}

fn bad_bind(node: &Node, what: &str, text: &str, report: &mut Report) {
    let hint = match host_and_port(text) {
        Some((_, port)) => format!(
            "write an IP address, not a name: 127.0.0.1:{port} for this machine only, 0.0.0.0:{port} for everyone"
        ),
        None => {
            "write IP:PORT, e.g. 127.0.0.1:20880, or 0.0.0.0:20880 to listen on every interface"
                .to_owned()
        }
    };
    report.error(
        node.position,
        "bad-address",
        format!("{what} {text:?} is not an address to listen on"),
        hint,
    );
}

/// A `host:port` to connect to, as it is written.
pub(super) fn peer(node: &Node, what: &str, report: &mut Report) -> Option<String> {
    let text = node.text(what, report)?;
    match host_and_port(text) {
        Some((host, port)) if port > 0 => {
            if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
                report.error(
                    node.position,
                    "bad-address",
                    format!("{what} {text:?} stands for every interface, nobody can connect to it"),
                    "name one host, e.g. 127.0.0.1 for this machine",
                );
                return None;
            }
            Some(text.to_owned())
        }
        _ => {
            report.error(
                node.position,
                "bad-address",
                format!("{what} {text:?} is not HOST:PORT"),
                "write e.g. 127.0.0.1:20880, provider.local:20880 or [::1]:20880",
            );
            None
        }
    }
}

/// Splits `host:port`; an IPv6 host stands in brackets, which are taken off.
pub(super) fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    if port.starts_with('+') {
        return None;
    }
    let port = port.parse().ok()?;
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(v6) = inside {
        return v6.parse::<std::net::Ipv6Addr>().is_ok().then_some((v6, port));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (!host.is_empty() && host.bytes().all(is_name)).then_some((host, port))
}

/// A kind of quantity that is written with a unit.
struct Quantity<T> {
    name: &'static str,
    /// The finding's code where it is not one.
    code: &'static str,
    hint: &'static str,
    read: fn(&str) -> Option<T>,
    show: fn(T) -> String,
}

const DURATION: Quantity<Duration> = Quantity {
    name: "duration",
    code: "bad-duration",
    hint: "write a number and a unit: us, ms, s, m or h, e.g. 500ms or 1.5s",
    read: quantity::duration,
    show: |duration| ShownDuration(duration).to_string(),
};

const SIZE: Quantity<u64> = Quantity {
    name: "size",
    code: "bad-size",
    hint: "write a number and a unit: B, KiB, MiB or GiB, e.g. 8MiB",
    read: quantity::size,
    show: |size| ShownSize(size).to_string(),
};

/// A duration within `range`; `default` when the key is absent.
pub(super) fn duration(
    mapping: &mut Mapping<'_>,
    key: &'static str,
    range: RangeInclusive<Duration>,
    default: Duration,
    report: &mut Report,
) -> Duration {
    DURATION.within(mapping, key, &range, report).unwrap_or(default)
}

/// A duration within `range`; `None` when the key is absent.
pub(super) fn optional_duration(
    mapping: &mut Mapping<'_>,
    key: &'static str,
    range: RangeInclusive<Duration>,
    report: &mut Report,
) -> Option<Duration> {
    DURATION.within(mapping, key, &range, report)
}

/// A size in bytes within `range`; `default` when the key is absent.
pub(super) fn size(
    mapping: &mut Mapping<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    default: u64,
    report: &mut Report,
) -> u64 {
    SIZE.within(mapping, key, &range, report).unwrap_or(default)
}

/// A size in bytes within `range`; `None` when the key is absent.
pub(super) fn optional_size(
    mapping: &mut Mapping<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    report: &mut Report,
) -> Option<u64> {
    SIZE.within(mapping, key, &range, report)
}

impl<T: Copy + PartialOrd> Quantity<T> {
    /// The key's value; `None` when it is absent, or wrong and reported.
    fn within(
        &self,
        mapping: &mut Mapping<'_>,
        key: &'static str,
        range: &RangeInclusive<T>,
        report: &mut Report,
    ) -> Option<T> {
        let node = mapping.value(key)?;
        let text = node.text(key, report)?;
        match (self.read)(text) {
            Some(found) if range.contains(&found) => return Some(found),
            Some(_) => report.error(
                node.position,
                "out-of-range",
                format!(
                    "{key} is {text}, but must be from {} to {}",
                    (self.show)(*range.start()),
                    (self.show)(*range.end())
                ),
                "",
            ),
            None => report.error(
                node.position,
                self.code,
                format!("{key} {text:?} is not a {}", self.name),
                self.hint,
            ),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, expected) in [
            ("127.0.0.1:20880", Some(("127.0.0.1", 20880))),
            ("provider-1.local:1", Some(("provider-1.local", 1))),
            ("[::1]:20880", Some(("::1", 20880))),
            ("::1:20880", None),
            ("[x]:1", None),
            ("a:+1", None),
            ("a:65536", None),
            ("a:", None),
            (":1", None),
            ("a", None),
            ("http://a:1", None),
            ("a b:1", None),
        ] {
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }
}
