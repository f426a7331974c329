//! Reads `services`: endpoints that need no store.

use std::collections::HashSet;

use governance::document::{Mapping, Node, Report, Value};

use super::value::{peer, protocol};
use super::{Protocol, StaticEndpoint, StaticService, addresses};

/// A provider's weight where nothing else is said, as in Dubbo
/// (`org.apache.dubbo.rpc.Constants.DEFAULT_WEIGHT`).
const DEFAULT_WEIGHT: u32 = 100;

/// Facts of an endpoint that have keys of their own; among the labels they would
/// be overlooked.
const NOT_LABELS: [&str; 3] = ["group", "version", "weight"];

pub(super) fn services(top: &mut Mapping<'_>, report: &mut Report) -> Vec<StaticService> {
    let mut services: Vec<StaticService> = Vec::new();
    for node in top.list("services", report) {
        let Some(service) = service(node, report) else { continue };
        let mut namesakes = services.iter().filter(|other| other.name == service.name);
        let is_tcp = service.protocol == Protocol::Tcp;
        if namesakes.clone().any(|other| (other.protocol == Protocol::Tcp) != is_tcp) {
            report.error(
                node.position,
                "mixed-service",
                format!("service {:?} stands above with another protocol", service.name),
                "plain TCP has no calls to tell apart: give it a name of its own",
            );
        } else if namesakes.all(|other| other.protocol != service.protocol) {
            services.push(service);
        } else {
            report.error(
                node.position,
                "duplicate-service",
                format!("service {:?} stands here a second time", service.name),
                "write all its endpoints in one place",
            );
        }
    }
    services
}

fn service(node: &Node, report: &mut Report) -> Option<StaticService> {
    let mut mapping = node.mapping("a service", report)?;
    let name = mapping.required("name", report).and_then(|node| name(node, report));
    let protocol: Option<Protocol> =
        mapping.required("protocol", report).and_then(|node| protocol(node, report));
    let addresses = addresses::addresses(&mut mapping, protocol, report);
    mapping.required("endpoints", report);
    let mut seen = HashSet::new();
    let mut endpoints = Vec::new();
    for node in mapping.list("endpoints", report) {
        let Some(endpoint) = endpoint(node, report) else { continue };
        let StaticEndpoint { address, group, version, .. } = &endpoint;
        if !seen.insert((address.clone(), group.clone(), version.clone())) {
            report.error(
                node.position,
                "duplicate-endpoint",
                format!("endpoint {address} stands here a second time"),
                "take it out, or tell them apart by group or version",
            );
        }
        endpoints.push(endpoint);
    }
    mapping.finish(report);
    Some(StaticService { name: name?, protocol: protocol?, addresses, endpoints })
}

/// A service's name: whatever callers may put into a request, but not nothing.
pub(super) fn name(node: &Node, report: &mut Report) -> Option<String> {
    let text = node.text("name", report)?;
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        report.error(
            node.position,
            "bad-name",
            format!("{text:?} cannot be a service's name"),
            "write it as callers do, e.g. com.example.EchoService",
        );
        return None;
    }
    Some(text.to_owned())
}

fn endpoint(node: &Node, report: &mut Report) -> Option<StaticEndpoint> {
    let mut mapping = node.mapping("an endpoint", report)?;
    let address =
        mapping.required("address", report).and_then(|node| peer(node, "address", report));
    let weight = mapping.integer("weight", 0..=100_000, report);
    let group = mapping.text("group", report).unwrap_or_default().to_owned();
    let version = mapping.text("version", report).unwrap_or_default().to_owned();
    if let Some(Value::Mapping(labels)) = mapping.value("labels").map(|node| &node.value) {
        for (key, _) in labels {
            let Some(scalar) = key.scalar() else { continue };
            if NOT_LABELS.contains(&scalar.text.as_str()) {
                report.error(
                    key.position,
                    "not-a-label",
                    format!("{} is not a label of an endpoint", scalar.text),
                    format!("write {} beside address", scalar.text),
                );
            }
        }
    }
    let labels = mapping.text_map("labels", report);
    mapping.finish(report);
    Some(StaticEndpoint {
        address: address?,
        weight: weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(DEFAULT_WEIGHT),
        group,
        version,
        labels,
    })
}
