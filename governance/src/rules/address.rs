//! Addresses as tag rules write them: `10.0.0.1`, `10.0.*.1-5:20880`,
//! `10.1.0.0/16`, `*` (`NetUtils.matchIpExpression`).

use std::net::{IpAddr, Ipv4Addr};

/// Whether an endpoint's address is meant by an expression. A host name is only
/// compared as a text: nothing is looked up here. An expression that makes no
/// sense means nobody.
pub(crate) fn is_meant(expression: &str, host: &str, port: u16) -> bool {
    if expression.contains('/') {
        return is_in_network(expression, host).unwrap_or(false);
    }
    is_in_range(expression.trim(), host, port).unwrap_or(false)
}

/// Whether an expression can mean anybody.
pub(crate) fn is_sound(expression: &str) -> bool {
    if expression.contains('/') {
        return network(expression).is_some();
    }
    let expression = expression.trim();
    if expression == "*" || expression.starts_with('[') || expression.matches(':').count() > 1 {
        return true;
    }
    let (host, port) = expression.split_once(':').unwrap_or((expression, "1"));
    let parts: Vec<&str> = host.split('.').collect();
    let numeric = parts.len() == 4
        && parts.iter().all(|part| {
            *part == "*"
                || part.parse::<u8>().is_ok()
                || part.split_once('-').is_some_and(|(low, high)| {
                    low.parse::<u8>().is_ok() && high.parse::<u8>().is_ok()
                })
        });
    let name = !host.is_empty()
        && host.chars().any(|character| character.is_alphabetic())
        && host.chars().all(|character| character.is_alphanumeric() || "-._".contains(character));
    port.parse::<u16>().is_ok() && (numeric || name)
}

fn network(expression: &str) -> Option<(IpAddr, u32)> {
    let (address, prefix) = expression.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let prefix: u32 = prefix.parse().ok()?;
    Some((address, prefix))
}

fn is_in_network(expression: &str, host: &str) -> Option<bool> {
    let (network, prefix) = network(expression)?;
    let first = |bits: u32, width: u32| width.saturating_sub(bits.min(width));
    Some(match (network, host.parse().ok()?) {
        (IpAddr::V4(network), IpAddr::V4(host)) => {
            let shift = first(prefix, 32);
            u32::from(network).checked_shr(shift) == u32::from(host).checked_shr(shift)
        }
        (IpAddr::V6(network), IpAddr::V6(host)) => {
            let shift = first(prefix, 128);
            u128::from(network).checked_shr(shift) == u128::from(host).checked_shr(shift)
        }
        _ => false,
    })
}

fn is_in_range(expression: &str, host: &str, port: u16) -> Option<bool> {
    if expression == "*" || expression == "*.*.*.*" {
        return Some(true);
    }
    let Ok(address) = host.parse::<IpAddr>() else {
        let (name, named) = expression.split_once(':').unwrap_or((expression, ""));
        return Some(name == host && (named.is_empty() || named == port.to_string()));
    };
    let (pattern, wanted) = split_port(expression, address.is_ipv4());
    if wanted.is_some_and(|wanted| wanted != port.to_string()) {
        return Some(false);
    }
    match address {
        IpAddr::V4(address) => is_v4(pattern, address),
        IpAddr::V6(address) => {
            if !pattern.contains(['*', '-']) {
                return Some(pattern.parse::<IpAddr>().ok()? == IpAddr::V6(address));
            }
            let segments = address.segments();
            let masks: Vec<&str> = pattern.split(':').collect();
            if masks.len() != 8 {
                return None;
            }
            for (mask, segment) in masks.iter().zip(segments) {
                if !is_part(mask, u32::from(segment), &format!("{segment:x}"), 16)? {
                    return Some(false);
                }
            }
            Some(true)
        }
    }
}

fn split_port(expression: &str, is_v4: bool) -> (&str, Option<&str>) {
    if let Some(rest) = expression.strip_prefix('[') {
        if let Some((host, port)) = rest.split_once("]:") {
            return (host, Some(port));
        }
        if let Some(host) = rest.strip_suffix(']') {
            return (host, None);
        }
    }
    match expression.split_once(':') {
        Some((host, port)) if is_v4 => (host, Some(port)),
        _ => (expression, None),
    }
}

fn is_v4(pattern: &str, address: Ipv4Addr) -> Option<bool> {
    let masks: Vec<&str> = pattern.split('.').collect();
    if masks.len() != 4 {
        return None;
    }
    for (mask, octet) in masks.iter().zip(address.octets()) {
        if !pattern.contains(['*', '-']) {
            // Without an expression leading zeros are fine.
            if mask.parse::<u8>().ok()? != octet {
                return Some(false);
            }
        } else if !is_part(mask, u32::from(octet), &octet.to_string(), 10)? {
            return Some(false);
        }
    }
    Some(true)
}

/// One part of an address: `*`, itself, or `low-high`.
fn is_part(mask: &str, value: u32, text: &str, radix: u32) -> Option<bool> {
    if mask == "*" || mask == text {
        return Some(true);
    }
    if let Some((low, high)) = mask.split_once('-') {
        let low = u32::from_str_radix(low, radix).ok()?;
        let high = u32::from_str_radix(high, radix).ok()?;
        return Some((low..=high).contains(&value));
    }
    Some(value == 0 && matches!(mask, "00" | "000" | "0000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_in_dubbo() {
        for (expression, expected) in [
            ("10.0.3.7", true),
            ("10.0.3.7:20880", true),
            ("10.0.3.7:20881", false),
            ("10.0.3.*", true),
            ("10.0.*.1-9:20880", true),
            ("10.0.3.8-9", false),
            ("10.0.0.0/16", true),
            ("10.1.0.0/16", false),
            ("10.0.3.7/32", true),
            ("0.0.0.0/0", true),
            ("*", true),
            ("0.0.0.0", false),
            ("10.0.3", false),
            ("10.0.3.x", false),
            ("", false),
        ] {
            assert_eq!(is_meant(expression, "10.0.3.7", 20880), expected, "{expression}");
        }
        assert!(is_meant("fe80:0:0:0:0:0:0:*", "fe80::9", 1));
        assert!(is_meant("[fe80::9]:1", "fe80::9", 1));
        assert!(is_meant("provider-1:20880", "provider-1", 20880));
    }

    #[test]
    fn nonsense_is_told_from_addresses() {
        for good in ["10.0.0.1", "10.0.*.1-5:20880", "10.1.0.0/16", "*", "host-1.example:20880"] {
            assert!(is_sound(good), "{good}");
        }
        for bad in ["", "10.0.0", "10.0.0.256", "10.0.0.0/x", "10.0.0.1:port", "a b"] {
            assert!(!is_sound(bad), "{bad}");
        }
    }
}
