//! Reading the conditions of a configurator of v3.0.

use crate::document::{Mapping, Node, Report};
use crate::rules::Compat;
use crate::rules::head::java_text;
use crate::rules::string_match::StringMatch;

use super::parameters::check_condition;
use super::{AddressMatch, Matches};

/// Reads `match` of v3.0.
pub(super) fn read_matches(node: &Node, compat: Compat, report: &mut Report) -> Option<Matches> {
    let mut map = node.mapping("match", report)?;
    let mut matches = Matches {
        address: map.value("address").map(|node| read_address(node, report)),
        provider_address: read_provider(&mut map, report),
        service: read_oneof(&mut map, "service", compat, report),
        app: read_oneof(&mut map, "app", compat, report),
        parameters: Vec::new(),
    };
    if let Some(node) = map.peek("application") {
        let severity = report.severity_of_loss(compat);
        map.get("application");
        report.add(
            severity,
            node.position,
            "match-application",
            "Java passes over match.application, so that the item applies to everybody",
            "write app: {oneof: [{exact: NAME}]}",
        );
    }
    for item in map.list("param", report) {
        let Some(mut param) = item.mapping("a parameter match", report) else { continue };
        let key = param.text("key", report).unwrap_or_default();
        check_condition(key, param.position(), report);
        let value = param.value("value").map(|value| StringMatch::read(value, compat, report));
        matches.parameters.push((key.into(), value));
        param.finish(report);
    }
    map.finish(report);
    Some(matches)
}

fn read_address(node: &Node, report: &mut Report) -> AddressMatch {
    let Some(mut map) = node.mapping("an address match", report) else {
        return AddressMatch::default();
    };
    let mut read = |key: &'static str| -> Option<Box<str>> {
        map.value(key).map(|value| java_text(value).into())
    };
    let found =
        AddressMatch { cidr: read("cird"), wildcard: read("wildcard"), exact: read("exact") };
    if found == AddressMatch::default() {
        report.warning(
            node.position,
            "empty-address-match",
            "an address match without anything in it never matches",
            "write {wildcard: \"10.0.*\"}, {cird: 10.0.0.0/16} or {exact: …}",
        );
    }
    map.finish(report);
    found
}

fn read_provider(map: &mut Mapping<'_>, report: &mut Report) -> Option<AddressMatch> {
    let node = map.value("providerAddress")?;
    let found = read_address(node, report);
    if found.cidr.is_some() {
        report.warning(
            node.position,
            "network-never-matches",
            "Java never finds a provider in a network: it compares address and port with it",
            "write {wildcard: \"10.0.*\"} while Java consumers read this rule",
        );
    }
    Some(found)
}

fn read_oneof(
    map: &mut Mapping<'_>,
    key: &'static str,
    compat: Compat,
    report: &mut Report,
) -> Option<Vec<StringMatch>> {
    let mut inside = map.mapping(key, report)?;
    let list = inside
        .list("oneof", report)
        .iter()
        .map(|node| StringMatch::read(node, compat, report))
        .collect();
    inside.finish(report);
    Some(list)
}
