//! A DestinationRule.

use super::pool;
use super::virtual_service::check_export;
use crate::directives::{HashPolicy, HashSource, HashTable, RetryBudget, Warmup};
use crate::document::{Mapping, Node, Report};
use crate::rules::resource::ReadSite;
use crate::rules::resource::destination::{
    Balancer, DestinationRule, Parts, Subset, WrittenPolicy,
};
use crate::rules::resource::honoured::{Place, refuse};
use crate::rules::resource::value;
use crate::settings::Balance;

/// How many subsets, and ports, one rule may have.
const MAX_SUBSETS: usize = 256;
const MAX_PORTS: usize = 64;
/// Envoy's defaults for the tables of consistent hashing.
const RING_SIZE: u32 = 1024;
const MAGLEV_SIZE: u32 = 65537;
/// The largest, so that a rule cannot take any amount of memory (Envoy's own are
/// 8 Mi and 5,000,011).
const MAX_RING: u32 = 1 << 16;
const MAX_MAGLEV: u32 = 65537;

/// Reads the `spec` of a DestinationRule.
pub(crate) fn read_destination_rule(
    spec: &mut Mapping<'_>,
    site: &ReadSite<'_>,
    report: &mut Report,
) -> Option<DestinationRule> {
    let host = spec.required("host", report)?;
    let host = value::sound_host(host.text("host", report)?, host.position, report)?;
    check_export(spec, report);
    refuse(spec, Place::DestinationRule, report);
    let general = read_policy(spec.mapping("trafficPolicy", report), report);
    let items = spec.list("subsets", report);
    if items.len() > MAX_SUBSETS {
        value::too_many(spec.position(), "subsets", items.len(), MAX_SUBSETS, report);
        return None;
    }
    let mut subsets: Vec<Subset> = Vec::with_capacity(items.len());
    for node in items {
        let Some(mut map) = node.mapping("a subset", report) else { continue };
        let name = map.required_text("name", report);
        let labels: Vec<(Box<str>, Box<str>)> = map
            .text_map("labels", report)
            .into_iter()
            .map(|(key, label)| (key.into(), label.into()))
            .collect();
        let own = read_policy(map.mapping("trafficPolicy", report), report);
        map.finish(report);
        let Some(name) = name else { continue };
        if subsets.iter().any(|other| *other.name == *name) {
            let message = format!("the subset {name} stands here a second time");
            report.error(node.position, "subset-twice", message, "keep one of them");
        }
        let policies = general.policies(site.label, Some(&own));
        subsets.push(Subset { name: name.into(), labels, policies });
    }
    Some(DestinationRule {
        host: host.into(),
        policies: general.policies(site.label, None),
        subsets,
    })
}

fn read_policy(map: Option<Mapping<'_>>, report: &mut Report) -> WrittenPolicy {
    let Some(mut map) = map else { return WrittenPolicy::default() };
    let mut general = read_parts(&mut map, report);
    general.budget = map.mapping("retryBudget", report).map(|inside| read_budget(inside, report));
    refuse(&mut map, Place::TrafficPolicy, report);
    let mut ports: Vec<(u16, Parts)> = Vec::new();
    let items = map.list("portLevelSettings", report);
    if items.len() > MAX_PORTS {
        value::too_many(map.position(), "ports", items.len(), MAX_PORTS, report);
        return WrittenPolicy::default();
    }
    for node in items {
        let Some(mut one) = node.mapping("a port's settings", report) else { continue };
        let number = one.required("port", report).and_then(|port| {
            let mut port = port.mapping("port", report)?;
            let number = port.required("number", report)?.integer("number", 1..=65535, report);
            port.finish(report);
            u16::try_from(number?).ok()
        });
        let parts = read_parts(&mut one, report);
        one.finish(report);
        if let Some(number) = number {
            if ports.iter().any(|(other, _)| *other == number) {
                let message = format!("port {number} stands here a second time");
                report.error(node.position, "port-twice", message, "keep one of them");
            }
            ports.push((number, parts));
        }
    }
    map.finish(report);
    WrittenPolicy { general, ports }
}

fn read_parts(map: &mut Mapping<'_>, report: &mut Report) -> Parts {
    if let Some(mut tls) = map.mapping("tls", report) {
        let mode = tls.text("mode", report);
        if mode != Some("DISABLE") {
            report.error(
                tls.position(),
                "tls-not-honoured",
                match mode {
                    Some(mode) => format!("tls mode {mode} is not honoured: connections are plain"),
                    None => "tls without a mode is not honoured: connections are plain".to_owned(),
                },
                "write mode: DISABLE, or leave tls out",
            );
        } else {
            tls.finish(report);
        }
    }
    Parts {
        balancer: map.mapping("loadBalancer", report).map(|inside| read_balancer(inside, report)),
        pool: map.mapping("connectionPool", report).map(|inside| pool::read(inside, report)),
        outliers: map
            .mapping("outlierDetection", report)
            .map(|inside| pool::read_outliers(inside, report)),
        budget: None,
    }
}

fn read_balancer(mut map: Mapping<'_>, report: &mut Report) -> Balancer {
    let balance = map.value("simple").and_then(|node| read_simple(node, report));
    let hash = map.mapping("consistentHash", report).and_then(|inside| read_hash(inside, report));
    if balance.is_some() && hash.is_some() {
        let at = map.position();
        report.error(
            at,
            "one-way-to-balance",
            "simple and consistentHash are both there",
            "keep one of them",
        );
    }
    let warmup = map.mapping("warmup", report).and_then(|inside| read_warmup(inside, report));
    refuse(&mut map, Place::LoadBalancer, report);
    if let Some(at) = map.peek("warmup").filter(|_| hash.is_some() && warmup.is_some()) {
        report.error(
            at.position,
            "warmup-with-hash",
            "warmup is not honoured beside consistentHash, which gives every endpoint its share",
            "write simple: LEAST_REQUEST, or leave warmup out; Istio passes over it, too",
        );
    }
    map.finish(report);
    Balancer { balance, hash, warmup }
}

fn read_simple(node: &Node, report: &mut Report) -> Option<Balance> {
    match node.text("simple", report)? {
        "UNSPECIFIED" => None,
        "RANDOM" => Some(Balance::Random),
        "ROUND_ROBIN" => Some(Balance::RoundRobin),
        "LEAST_REQUEST" | "LEAST_CONN" => Some(Balance::P2c),
        "PASSTHROUGH" => {
            report.error(
                node.position,
                "passthrough-not-honoured",
                "PASSTHROUGH is not honoured: a call has no address of its own to go to",
                "write LEAST_REQUEST, ROUND_ROBIN or RANDOM",
            );
            None
        }
        other => {
            let hint = "write LEAST_REQUEST, ROUND_ROBIN or RANDOM";
            report.error(node.position, "unknown-word", format!("simple is {other:?}"), hint);
            None
        }
    }
}

fn read_hash(mut map: Mapping<'_>, report: &mut Report) -> Option<HashPolicy> {
    let mut sources = Vec::new();
    let header = map.text("httpHeaderName", report);
    sources.extend(header.map(|name| HashSource::Header(name.into())));
    let parameter = map.text("httpQueryParameterName", report);
    sources.extend(parameter.map(|name| HashSource::QueryParameter(name.into())));
    if map.boolean("useSourceIp", report) == Some(true) {
        sources.push(HashSource::SourceAddress);
    }
    if let Some(mut cookie) = map.mapping("httpCookie", report) {
        let name = cookie.required_text("name", report).unwrap_or_default().into();
        let path = cookie.text("path", report).map(Box::from);
        let ttl = value::duration(&mut cookie, "ttl", report);
        refuse(&mut cookie, Place::Cookie, report);
        cookie.finish(report);
        sources.push(HashSource::Cookie { name, path, ttl });
    }
    let old = map.integer("minimumRingSize", 0..=u64::from(MAX_RING), report);
    let ring = map.mapping("ringHash", report).map(|mut inside| {
        let size = inside.integer("minimumRingSize", 0..=u64::from(MAX_RING), report);
        inside.finish(report);
        size
    });
    let maglev = map.mapping("maglev", report).map(|mut inside| {
        let size = inside.integer("tableSize", 2..=u64::from(MAX_MAGLEV), report);
        if let (Some(size), Some(node)) =
            (size.filter(|size| !is_prime(*size)), inside.peek("tableSize"))
        {
            let message = format!("tableSize is {size}, which is no prime number");
            report.error(node.position, "out-of-range", message, "write 65537");
        }
        inside.finish(report);
        size
    });
    let size =
        |size: Option<u64>, default| size.and_then(|s| u32::try_from(s).ok()).unwrap_or(default);
    let table = match (ring, maglev) {
        (Some(_), Some(_)) => {
            let at = map.position();
            report.error(
                at,
                "one-way-to-balance",
                "ringHash and maglev are both there",
                "keep one of them",
            );
            return None;
        }
        (_, Some(maglev)) => HashTable::Maglev(size(maglev, MAGLEV_SIZE)),
        (ring, None) => HashTable::Ring(size(ring.flatten().or(old), RING_SIZE)),
    };
    let at = map.position();
    map.finish(report);
    if sources.len() != 1 {
        let hint = "write one of httpHeaderName, useSourceIp, httpCookie, httpQueryParameterName";
        let message = "consistentHash must hash one thing";
        report.error(at, "one-way-to-balance", message, hint);
    }
    Some(HashPolicy { source: sources.pop()?, table })
}

fn is_prime(number: u64) -> bool {
    number >= 2 && (2..).take_while(|d| d * d <= number).all(|d| !number.is_multiple_of(d))
}

fn read_warmup(mut map: Mapping<'_>, report: &mut Report) -> Option<Warmup> {
    let at = map.position();
    let duration = value::positive_duration(&mut map, "duration", report);
    let minimum_percent = value::number(&mut map, "minimumPercent", 0.0..=100.0, report);
    let aggression = value::number(&mut map, "aggression", 1.0..=1e6, report);
    map.finish(report);
    if duration.is_none() && !report.has_errors() {
        report.error(at, "missing-key", "duration is missing", "write duration: 60s");
    }
    Some(Warmup {
        duration: duration?,
        minimum_percent: minimum_percent.unwrap_or(10.0),
        aggression: aggression.unwrap_or(1.0),
    })
}

/// Istio's default percentage and concurrency are Envoy's.
fn read_budget(mut map: Mapping<'_>, report: &mut Report) -> RetryBudget {
    let budget = RetryBudget {
        percent: value::number(&mut map, "percent", 0.0..=100.0, report).unwrap_or(20.0),
        min_concurrency: Some(value::count(&mut map, "minRetryConcurrency", report).unwrap_or(3)),
        min_per_second: None,
        interval: value::positive_duration(&mut map, "budgetInterval", report),
    };
    map.finish(report);
    budget
}
