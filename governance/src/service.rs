//! A service, compiled: its endpoints and all rules about it, in tables that
//! [`decide`](crate::decide()) reads without parsing or building anything.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::route::{Chain, Site};
use crate::rules::{Affected, Compat, RuleSet};
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
    pub(crate) compat: Compat,
    endpoints: Arc<[Endpoint]>,
    pub(crate) settings: Arc<[Settings]>,
    pub(crate) variants: Vec<Variant>,
    /// The rules for whoever asks for several groups or versions at once.
    pub(crate) any: Variant,
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
    pub(crate) chain: Chain,
}

impl Service {
    /// Compiles the endpoints and what `rules` say about the service.
    /// Endpoints need not be sorted; an address that is listed twice with the
    /// same group and version counts once, as the one listed last.
    pub fn compile(
        name: &str,
        mut endpoints: Vec<Endpoint>,
        rules: &RuleSet,
        options: &Options,
    ) -> Service {
        endpoints.reverse();
        endpoints.sort_by(|a, b| {
            (&a.address, &a.group, &a.version).cmp(&(&b.address, &b.group, &b.version))
        });
        endpoints.dedup_by(|a, b| {
            a.address == b.address && a.group == b.group && a.version == b.version
        });
        let settings = endpoints.iter().map(|e| Settings::read(&e.parameters)).collect();
        Self::build(name, endpoints.into(), settings, rules, options)
    }

    /// The same endpoints under other rules; cheaper than compiling anew.
    pub fn recompile(&self, rules: &RuleSet) -> Service {
        Self::build(&self.name, self.endpoints.clone(), self.settings.clone(), rules, &self.options)
    }

    fn build(
        name: &str,
        endpoints: Arc<[Endpoint]>,
        settings: Arc<[Settings]>,
        rules: &RuleSet,
        options: &Options,
    ) -> Service {
        let mut pairs: Vec<(&str, &str)> =
            endpoints.iter().map(|e| (e.group.as_str(), e.version.as_str())).collect();
        let prefix = format!("{name}:");
        pairs.extend(rules.service_pairs(&prefix));
        pairs.sort_unstable();
        pairs.dedup();
        let variant = |group: &str, version: &str| {
            let members = members(&endpoints, group, version);
            let site = Site {
                service: name,
                group,
                version,
                endpoints: &endpoints,
                members: &members,
                callers: options.callers.as_deref(),
            };
            let chain = Chain::compile(&site, rules);
            Variant { group: group.into(), version: version.into(), members, chain }
        };
        let variants: Vec<Variant> =
            pairs.into_iter().map(|(group, version)| variant(group, version)).collect();
        Service {
            name: name.to_owned(),
            options: options.clone(),
            compat: rules.compat(),
            any: variant("*", "*"),
            grouped: variants.iter().any(|variant| !variant.group.is_empty()),
            variants,
            warm_from_ms: endpoints
                .iter()
                .filter_map(|e| Some(e.started_ms?.saturating_add(e.warmup_ms)))
                .max()
                .unwrap_or(0),
            has_weightless: endpoints.iter().any(|e| e.weight == 0),
            settings,
            endpoints,
        }
    }

    /// What a consumer of this group and version gets, where the pair is known.
    pub(crate) fn variant(&self, group: &str, version: &str) -> Option<&Variant> {
        self.variants
            .iter()
            .find(|variant| same(&variant.group, group) && same(&variant.version, version))
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

/// Whether two texts are the same. Most groups and versions are empty: those are
/// not given to libc's `memcmp`, whose masked loads from an empty text's dangling
/// address cost a fault's worth of cycles each on machines with AVX-512.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}
