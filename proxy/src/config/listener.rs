//! Reads `listeners`: the sockets to open.

use std::collections::HashSet;

use governance::document::{Mapping, Node, Report, Value};
use governance::url::Url;

use super::service;
use super::value::{bind, peer, protocol, told_apart};
use super::{Direction, Listener, Protocol, Registration};

/// `has_store` says whether there is a store to register in.
pub(super) fn listeners(
    top: &mut Mapping<'_>,
    has_store: bool,
    report: &mut Report,
) -> Vec<Listener> {
    top.required("listeners", report);
    let nodes = top.list("listeners", report);
    if let Some(empty) = empty_list(top, "listeners") {
        report.error(
            empty.position,
            "no-listener",
            "there is no listener, so nothing would be done",
            "add one, e.g. {name: out, bind: \"0.0.0.0:20880\", direction: outbound}",
        );
    }
    let mut names = HashSet::new();
    let mut binds = HashSet::new();
    let mut listeners = Vec::new();
    for node in nodes {
        let Some(listener) = listener(node, has_store, report) else { continue };
        if !names.insert(listener.name.clone()) {
            report.error(
                node.position,
                "duplicate-listener",
                format!("a listener named {:?} stands above already", listener.name),
                "metrics and logs tell listeners apart by name",
            );
        }
        if listener.bind.port() != 0 && !binds.insert(listener.bind) {
            report.error(
                node.position,
                "duplicate-bind",
                format!("another listener above has {} already", listener.bind),
                "give each listener a port of its own",
            );
        }
        listeners.push(listener);
    }
    listeners
}

fn listener(node: &Node, has_store: bool, report: &mut Report) -> Option<Listener> {
    let mut mapping = node.mapping("a listener", report)?;
    let name = mapping.required_text("name", report).map(str::to_owned);
    let bind = mapping.required("bind", report).and_then(|node| bind(node, "bind", report));
    let direction = direction(&mut mapping, has_store, report);
    let protocols = protocols(&mut mapping, report);
    let default_service =
        mapping.value("default_service").and_then(|node| service::name(node, report));
    let use_original_dst = mapping.boolean("use_original_dst", report).unwrap_or(false);
    if let (Some(protocols), Some(direction)) = (&protocols, &direction)
        && use_original_dst
    {
        original_dst(&mut mapping, protocols, direction, report);
    } else if let (Some(protocols), Some(direction)) = (&protocols, &direction)
        && protocols.contains(&Protocol::Tcp)
        && !matches!(direction, Direction::Inbound { .. })
        && mapping.value("default_service").is_none()
    {
        report.error(
            node.position,
            "no-tcp-service",
            "plain TCP names no service, and this listener has none for it",
            "write default_service: the service that its connections are for",
        );
    }
    mapping.finish(report);
    Some(Listener {
        name: name?,
        bind: bind?,
        direction: direction?,
        protocols: protocols?,
        default_service,
        use_original_dst,
    })
}

/// Reports a `use_original_dst` that would have no effect.
fn original_dst(
    mapping: &mut Mapping<'_>,
    protocols: &[Protocol],
    direction: &Direction,
    report: &mut Report,
) {
    let Some(node) = mapping.value("use_original_dst") else { return };
    let (message, hint) = if matches!(direction, Direction::Inbound { .. }) {
        ("whatever comes in by an inbound listener goes to its app", "take use_original_dst out")
    } else if !protocols.contains(&Protocol::Tcp) {
        (
            "only plain TCP goes where it was going to, and this listener takes none",
            "add tcp to protocols, or take use_original_dst out: calls find their services by name",
        )
    } else {
        return;
    };
    report.error(node.position, "no-original-dst", message, hint);
}

fn direction(mapping: &mut Mapping<'_>, has_store: bool, report: &mut Report) -> Option<Direction> {
    let app = mapping.value("app");
    let register = mapping.value("register");
    let node = mapping.required("direction", report)?;
    let direction = match node.text("direction", report)? {
        "outbound" => Direction::Outbound,
        "gateway" => Direction::Gateway,
        "inbound" => return inbound(mapping, has_store, report),
        other => {
            report.error(
                node.position,
                "unknown-direction",
                format!("there is no direction {other:?}"),
                "outbound takes the local application's calls, inbound hands calls to it, gateway takes calls from anywhere",
            );
            return None;
        }
    };
    for (key, value) in [("app", app), ("register", register)] {
        if let Some(value) = value {
            report.error(
                value.position,
                "not-inbound",
                format!("{key} belongs to an inbound listener"),
                format!("take {key} out, or write direction: inbound"),
            );
        }
    }
    Some(direction)
}

fn inbound(mapping: &mut Mapping<'_>, has_store: bool, report: &mut Report) -> Option<Direction> {
    let app = match mapping.value("app") {
        Some(node) => peer(node, "app", report),
        None => {
            report.error(
                mapping.position(),
                "missing-key",
                "app is missing: an inbound listener hands its calls to an application",
                "write where the application listens, e.g. app: \"127.0.0.1:20991\"",
            );
            None
        }
    };
    let register = match mapping.value("register") {
        Some(node) => Some(registration(node, has_store, report)?),
        None => None,
    };
    Some(Direction::Inbound { app: app?, register })
}

fn registration(node: &Node, has_store: bool, report: &mut Report) -> Option<Registration> {
    if !has_store {
        report.error(
            node.position,
            "no-store",
            "there is no store to register in",
            "write store: http://HOST:2379 at the top, or take register out",
        );
    }
    let mut mapping = node.mapping("register", report)?;
    let advertise =
        mapping.required("advertise", report).and_then(|node| peer(node, "advertise", report));
    mapping.required("urls", report);
    if let Some(empty) = empty_list(&mut mapping, "urls") {
        report.error(empty.position, "no-url", "urls is empty, so nothing would be registered", "");
    }
    let mut urls = Vec::new();
    for (url, at) in mapping.texts("urls", report) {
        let problem = match Url::parse(url) {
            Ok(parsed) if !["dubbo", "tri"].contains(&&*parsed.protocol) => {
                "it starts with neither dubbo:// nor tri://".to_owned()
            }
            Ok(parsed) if parsed.path.is_empty() => "it names no service".to_owned(),
            Ok(_) => {
                urls.push(url.to_owned());
                continue;
            }
            Err(error) => error.to_string(),
        };
        report.error(
            at,
            "bad-url",
            format!("{url:?} is not a provider URL: {problem}"),
            "write it as Dubbo does, e.g. dubbo://0.0.0.0:0/com.example.EchoService?version=1.0.0",
        );
    }
    mapping.finish(report);
    Some(Registration { advertise: advertise?, urls })
}

/// A list that is there and has nothing in it.
fn empty_list<'n>(mapping: &mut Mapping<'n>, key: &'static str) -> Option<&'n Node> {
    mapping
        .value(key)
        .filter(|node| matches!(&node.value, Value::Sequence(items) if items.is_empty()))
}

fn protocols(mapping: &mut Mapping<'_>, report: &mut Report) -> Option<Vec<Protocol>> {
    let Some(list) = mapping.value("protocols") else { return Some(told_apart()) };
    let nodes = list.list("protocols", report)?;
    if nodes.is_empty() {
        report.error(
            list.position,
            "no-protocol",
            "protocols is empty, so nothing would be taken",
            "leave protocols out to take every protocol that is told by its first bytes",
        );
        return None;
    }
    let mut protocols = Vec::new();
    let mut all_known = true;
    for node in nodes {
        match protocol(node, report) {
            Some(known) if !protocols.contains(&known) => protocols.push(known),
            Some(_) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(protocols)
}
