//! A service, compiled: its endpoints and all rules about it, in tables that
//! [`decide`](crate::decide()) reads without parsing or building anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;

use crate::decide::Caller;
use crate::endpoint::Endpoint;
use crate::hash::Rings;
use crate::route::{Chain, Routes, Site};
use crate::rules::configurator::{Configurators, Overrides, Target};
use crate::rules::resource::host::fit;
use crate::rules::{Affected, Compat, RuleSet};
use crate::set::EndpointSet;
use crate::settings::Terms;

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
    /// What the endpoints' own URLs say of calls.
    pub(crate) terms: Arc<Terms>,
    rings: Arc<Rings>,
    /// Tells it from every other service compiled in this process.
    pub(crate) number: u64,
    /// The configurators of the applications that call.
    configurators: HashMap<Box<str>, Arc<Configurators>, FixedState>,
    /// Routes and destination rules of Istio, Gateway API and Linkerd.
    pub(crate) routes: Option<Routes>,
    pub(crate) variants: Vec<Variant>,
    /// The rules for whoever asks for several groups or versions at once.
    pub(crate) any: Variant,
    /// Whether calls must be asked for their group.
    pub(crate) grouped: bool,
    /// Whether its endpoints take calls for whatever group and version.
    pub(crate) takes_every_variant: bool,
}

/// What does not change with the rules.
struct Addresses {
    endpoints: Arc<[Endpoint]>,
    terms: Arc<Terms>,
    rings: Arc<Rings>,
}

/// The number of the service compiled next.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The part of a service that one (group, version) pair gets.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) group: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) members: EndpointSet,
    pub(crate) chain: Chain,
    /// The service's own configurators.
    configurators: Option<Arc<Configurators>>,
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
        let rings = Arc::new(Rings::default());
        let terms = Terms::of_urls(&endpoints, &rings).into();
        Self::build(name, Addresses { endpoints: endpoints.into(), terms, rings }, rules, options)
    }

    /// The same, for calls of whatever group and version: an application knows
    /// itself which it has.
    #[must_use]
    pub fn for_every_variant(mut self) -> Service {
        self.takes_every_variant = true;
        self
    }

    /// The same endpoints under other rules; cheaper than compiling anew.
    pub fn recompile(&self, rules: &RuleSet) -> Service {
        let addresses = Addresses {
            endpoints: self.endpoints.clone(),
            terms: self.terms.clone(),
            rings: self.rings.clone(),
        };
        let mut service = Self::build(&self.name, addresses, rules, &self.options);
        service.takes_every_variant = self.takes_every_variant;
        service
    }

    fn build(name: &str, addresses: Addresses, rules: &RuleSet, options: &Options) -> Service {
        let Addresses { endpoints, terms, rings } = addresses;
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for endpoint in endpoints.iter() {
            let (group, version) = (endpoint.group.as_str(), endpoint.version.as_str());
            if !pairs.last().is_some_and(|last| same(last.0, group) && same(last.1, version)) {
                pairs.push((group, version));
            }
        }
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
            let key = format!("{name}:{version}:{group}");
            Variant {
                group: group.into(),
                version: version.into(),
                members,
                chain,
                configurators: rules.configurators.get(&key).cloned(),
            }
        };
        let variants: Vec<Variant> =
            pairs.into_iter().map(|(group, version)| variant(group, version)).collect();
        Service {
            name: name.to_owned(),
            options: options.clone(),
            compat: rules.compat(),
            any: variant("*", "*"),
            routes: Routes::compile(name, &endpoints, &rules.resources),
            grouped: variants.iter().any(|variant| !variant.group.is_empty()),
            takes_every_variant: false,
            variants,
            terms,
            rings,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            configurators: rules
                .configurators
                .with_prefix("")
                .filter(|(about, _)| {
                    !about.contains(':')
                        && options
                            .callers
                            .as_ref()
                            .is_none_or(|callers| callers.iter().any(|name| name == about))
                })
                .map(|(about, rule)| (about.into(), rule.clone()))
                .collect(),
            endpoints,
        }
    }

    /// Whether a configurator is about this service by name.
    pub fn is_ruled(&self) -> bool {
        self.variants.iter().any(|variant| variant.configurators.is_some())
    }

    /// Whether parameters change for calls of an application.
    pub(crate) fn is_configured(&self, variant: &Variant, application: &str) -> bool {
        variant.configurators.is_some()
            || !self.configurators.is_empty() && self.configurators.contains_key(application)
    }

    /// What configurators make of all endpoints for one caller: those of its
    /// application first, then the service's own
    /// (`RegistryDirectory.overrideWithConfigurator`).
    pub(crate) fn terms_for(&self, variant: &Variant, caller: &Caller<'_>) -> Terms {
        let set_of = |endpoint: Option<&Endpoint>| {
            let mut set = Overrides::new();
            let target = Target {
                caller: *caller,
                endpoint,
                service: &self.name,
                group: endpoint.map_or(&*variant.group, |endpoint| &endpoint.group),
                version: endpoint.map_or(&*variant.version, |endpoint| &endpoint.version),
                compat: self.compat,
            };
            let layers =
                [self.configurators.get(caller.application), variant.configurators.as_ref()];
            for layer in layers.into_iter().flatten() {
                layer.apply(target, &mut set);
            }
            set
        };
        let sets: Vec<Overrides> =
            self.endpoints.iter().map(|endpoint| set_of(Some(endpoint))).collect();
        Terms::overridden(&self.endpoints, &sets, &set_of(None), &self.rings)
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
            Affected::Hosts(hosts) => {
                let mut applications: Vec<&str> =
                    self.endpoints.iter().filter_map(Endpoint::application).collect();
                applications.sort_unstable();
                applications.dedup();
                hosts.iter().any(|host| fit(host, &self.name, &applications).is_some())
            }
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
    same(asked, provided)
        || asked == "*"
        || asked.contains(',') && asked.split(',').any(|one| one.trim() == provided)
}

/// Whether two texts are the same. Most groups and versions are empty: those are
/// not given to libc's `memcmp`, whose masked loads from an empty text's dangling
/// address cost a fault's worth of cycles each on machines with AVX-512.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}
