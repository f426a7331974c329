//! A service, compiled: its endpoints and all rules about it, in tables that
//! [`decide`](crate::decide) reads without parsing or building anything.

use crate::endpoint::Endpoint;
use crate::rules::{Affected, RuleSet};
use crate::set::EndpointSet;
use crate::settings::Settings;

/// What a service is compiled for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The applications that call through this proxy: only these callers'
    /// application rules are compiled in. `None` for any application.
    pub callers: Option<Vec<String>>,
}

/// The endpoints and rules of one service. Immutable: a change makes a new one.
#[derive(Debug)]
pub struct Service {
    name: String,
    options: Options,
    endpoints: Vec<Endpoint>,
    pub(crate) settings: Vec<Settings>,
    pub(crate) variants: Vec<Variant>,
    /// Whether calls must be asked for their group.
    pub(crate) grouped: bool,
    /// From when on every endpoint is warm, in milliseconds since 1970.
    pub(crate) warm_from_ms: u64,
    /// Whether some endpoint has weight 0.
    pub(crate) has_weightless: bool,
}

/// The part of a service that one (group, version) pair gets.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) group: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) members: EndpointSet,
}

impl Service {
    /// Compiles the endpoints and what `rules` say about the service.
    /// Endpoints need not be sorted; an address that is listed twice with the
    /// same group and version counts once, as the one listed last.
    pub fn compile(
        name: &str,
        endpoints: Vec<Endpoint>,
        rules: &RuleSet,
        options: &Options,
    ) -> Service {
        let _ = rules;
        let mut endpoints = endpoints;
        endpoints.reverse();
        endpoints.sort_by(|a, b| {
            (&a.address, &a.group, &a.version).cmp(&(&b.address, &b.group, &b.version))
        });
        endpoints.dedup_by(|a, b| {
            a.address == b.address && a.group == b.group && a.version == b.version
        });
        let mut pairs: Vec<(&str, &str)> =
            endpoints.iter().map(|e| (e.group.as_str(), e.version.as_str())).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let variants = pairs
            .iter()
            .map(|&(group, version)| Variant {
                group: group.into(),
                version: version.into(),
                members: members(&endpoints, group, version),
            })
            .collect();
        Service {
            name: name.to_owned(),
            options: options.clone(),
            settings: endpoints.iter().map(|e| Settings::read(&e.parameters)).collect(),
            variants,
            grouped: endpoints.iter().any(|e| !e.group.is_empty()),
            warm_from_ms: endpoints
                .iter()
                .filter_map(|e| Some(e.started_ms?.saturating_add(e.warmup_ms)))
                .max()
                .unwrap_or(0),
            has_weightless: endpoints.iter().any(|e| e.weight == 0),
            endpoints,
        }
    }

    /// The service's name: Dubbo interface, Bolt service, gRPC
    /// `package.Service` or HTTP host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a change of rules is about this service, so that it must be
    /// compiled again.
    pub fn is_affected(&self, affected: &Affected) -> bool {
        match affected {
            Affected::Nothing => false,
            Affected::All => true,
            Affected::Services(names) => names.contains(&self.name),
            Affected::Application(name) => {
                self.options.callers.as_ref().is_none_or(|callers| callers.contains(name))
                    || self.endpoints.iter().any(|e| e.application() == Some(name))
            }
        }
    }

    /// Its endpoints, by address; a [`Decision`](crate::Decision) names one by
    /// its index here.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

/// The endpoints that provide the service in this group and version to a
/// consumer that asks for them, `*` and comma lists as in Dubbo's
/// `ServiceKey.Matcher`.
pub(crate) fn members(endpoints: &[Endpoint], group: &str, version: &str) -> EndpointSet {
    EndpointSet::of(endpoints.len(), |index| {
        endpoints.get(index).is_some_and(|endpoint| {
            !endpoint.disabled
                && is_wanted(group, &endpoint.group)
                && is_wanted(version, &endpoint.version)
        })
    })
}

/// Whether a group or version that is asked for (`*` for any, several with
/// commas) is the one that is provided.
pub(crate) fn is_wanted(asked: &str, provided: &str) -> bool {
    asked == "*"
        || asked == provided
        || asked.contains(',') && asked.split(',').any(|one| one.trim() == provided)
}
