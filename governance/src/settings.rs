//! How calls to an endpoint shall be made, where its URL or a configurator says
//! so: timeout, retries, load balancing, weight; for all methods or for one.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::PolicyTable;
use crate::endpoint::{DEFAULT_WEIGHT, Endpoint};
use crate::hash::{DEFAULT_NODES, HashArguments, MOST_NODES, Ring, Rings};
use crate::rules::configurator::Overrides;
use crate::set::EndpointSet;

/// How one endpoint is chosen among several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Balance {
    /// By weight, at random: Dubbo's default.
    #[default]
    Random,
    /// In turn, by weight, each endpoint's turns spread evenly.
    RoundRobin,
    /// The one with the fewest calls in flight; by weight among equals.
    LeastActive,
    /// The one that will answer first: average latency times calls in flight;
    /// by weight among equals.
    ShortestResponse,
    /// The cheaper of two picked at random (`p2c`, and Dubbo's `adaptive`): cost
    /// is the moving average of the latency times the calls in flight.
    P2c,
    /// The one that calls with these arguments went to before.
    ConsistentHash,
}

impl Balance {
    /// The balancer that Dubbo's `loadbalance` parameter names.
    pub fn from_name(name: &str) -> Option<Balance> {
        match name {
            "random" => Some(Balance::Random),
            "roundrobin" => Some(Balance::RoundRobin),
            "leastactive" => Some(Balance::LeastActive),
            "shortestresponse" => Some(Balance::ShortestResponse),
            "p2c" | "adaptive" => Some(Balance::P2c),
            "consistenthash" => Some(Balance::ConsistentHash),
            _ => None,
        }
    }

    /// The name Dubbo's `loadbalance` parameter has for it.
    pub fn name(self) -> &'static str {
        match self {
            Balance::Random => "random",
            Balance::RoundRobin => "roundrobin",
            Balance::LeastActive => "leastactive",
            Balance::ShortestResponse => "shortestresponse",
            Balance::P2c => "p2c",
            Balance::ConsistentHash => "consistenthash",
        }
    }
}

/// What becomes of a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cluster {
    /// It is tried again elsewhere, where that is safe: Dubbo's default.
    #[default]
    Failover,
    /// It has failed.
    Failfast,
    /// The caller gets an empty answer.
    Failsafe,
    /// The caller gets an empty answer, and the call is repeated in the background.
    Failback,
    /// Several endpoints are asked at once, and the first answer counts.
    Forking,
    /// Every endpoint is asked in turn, and each must answer.
    Broadcast,
    /// It has failed; the first endpoint that is available is asked, whichever
    /// balancer there is.
    Available,
}

impl Cluster {
    /// The mode that Dubbo's `cluster` parameter names.
    pub fn from_name(name: &str) -> Option<Cluster> {
        match name {
            "failover" => Some(Cluster::Failover),
            "failfast" => Some(Cluster::Failfast),
            "failsafe" => Some(Cluster::Failsafe),
            "failback" => Some(Cluster::Failback),
            "forking" => Some(Cluster::Forking),
            "broadcast" => Some(Cluster::Broadcast),
            "available" => Some(Cluster::Available),
            _ => None,
        }
    }

    /// The name Dubbo's `cluster` parameter has for it.
    pub fn name(self) -> &'static str {
        match self {
            Cluster::Failover => "failover",
            Cluster::Failfast => "failfast",
            Cluster::Failsafe => "failsafe",
            Cluster::Failback => "failback",
            Cluster::Forking => "forking",
            Cluster::Broadcast => "broadcast",
            Cluster::Available => "available",
        }
    }
}

/// What is said of one method, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MethodSettings {
    /// Zero says that the default counts, whatever else is said.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) balance: Option<Balance>,
    pub(crate) weight: Option<u32>,
    pub(crate) hash_nodes: Option<u32>,
    pub(crate) hash_arguments: Option<HashArguments>,
    pub(crate) sticky: Option<bool>,
    /// Calls in flight at most; 0 for any number.
    pub(crate) actives: Option<u32>,
}

/// Parameters whose own names have a dot.
const DOTTED: [&str; 3] = ["hash.nodes", "hash.arguments", "broadcast.fail.percent"];

/// The method that a key is about, and the parameter's name.
pub(crate) fn split_key(key: &str) -> (Option<&str>, &str) {
    for name in DOTTED {
        match key.strip_suffix(name) {
            Some("") => return (None, key),
            Some(method) if method.ends_with('.') => {
                return (method.strip_suffix('.'), name);
            }
            _ => {}
        }
    }
    match key.rsplit_once('.') {
        Some((method, name)) => (Some(method), name),
        None => (None, key),
    }
}

/// What is said of calls to an endpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Settings {
    general: MethodSettings,
    methods: Box<[(Box<str>, MethodSettings)]>,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) started_ms: Option<u64>,
    warmup_ms: u64,
}

impl Settings {
    /// What an endpoint's own parameters say, and what overrides make of them.
    pub(crate) fn of_endpoint(endpoint: &Endpoint, overrides: &Overrides) -> Self {
        let own = endpoint.parameters.iter().filter(|(key, _)| !overrides.contains_key(*key));
        let set = overrides.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut settings = Settings::read(own.chain(set));
        settings.started_ms = endpoint.started_ms;
        let number = |key: &str| overrides.get(key).and_then(|value| value.parse().ok());
        settings.warmup_ms = number("warmup").unwrap_or(endpoint.warmup_ms);
        if !overrides.contains_key("weight") {
            settings.general.weight = Some(endpoint.weight);
        }
        settings
    }

    /// Reads the cluster mode and what [`MethodSettings`] holds, which may stand
    /// behind a method's name and a dot. What cannot be read counts as absent, as
    /// in Dubbo.
    pub(crate) fn read<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut settings = Settings::default();
        let mut methods: Vec<(Box<str>, MethodSettings)> = Vec::new();
        for (key, value) in parameters {
            match split_key(key) {
                (None, "cluster") => settings.cluster = Cluster::from_name(value),
                (None, key) => settings.general.set(key, value),
                (Some("default"), _) => {}
                (Some(method), key) => {
                    let mut found = MethodSettings::default();
                    found.set(key, value);
                    if found == MethodSettings::default() {
                        continue;
                    }
                    match methods.iter_mut().find(|(name, _)| **name == *method) {
                        Some((_, existing)) => existing.set(key, value),
                        None => methods.push((method.into(), found)),
                    }
                }
            }
        }
        settings.methods = methods.into_boxed_slice();
        settings
    }

    /// What holds for a method.
    pub(crate) fn of(&self, method: &str) -> MethodSettings {
        let Some((_, own)) = self.methods.iter().find(|(name, _)| **name == *method) else {
            return self.general;
        };
        MethodSettings {
            timeout: own.timeout.or(self.general.timeout),
            retries: own.retries.or(self.general.retries),
            balance: own.balance.or(self.general.balance),
            weight: own.weight.or(self.general.weight),
            hash_nodes: own.hash_nodes.or(self.general.hash_nodes),
            hash_arguments: own.hash_arguments.or(self.general.hash_arguments),
            sticky: own.sticky.or(self.general.sticky),
            actives: own.actives.or(self.general.actives),
        }
    }

    /// The rings that calls by these settings are spread over.
    fn rings(&self) -> impl Iterator<Item = u32> + '_ {
        let names = self.methods.iter().map(|(name, _)| &**name);
        let all = std::iter::once(self.general).chain(names.map(|name| self.of(name)));
        all.filter(|own| own.balance == Some(Balance::ConsistentHash)).map(|own| own.nodes())
    }

    /// The weight for a method, once warm.
    pub(crate) fn weight(&self, method: &str) -> u32 {
        let own =
            if self.methods.is_empty() { self.general.weight } else { self.of(method).weight };
        own.unwrap_or(DEFAULT_WEIGHT)
    }

    /// The weight for a method at a time.
    pub(crate) fn weight_at(&self, method: &str, now_ms: u64) -> u32 {
        warm_weight(self.weight(method), self.started_ms, self.warmup_ms, now_ms)
    }

    /// From when on it is warm, in milliseconds since 1970.
    fn warm_from_ms(&self) -> u64 {
        self.started_ms.map_or(0, |started| started.saturating_add(self.warmup_ms))
    }

    fn has_weightless(&self) -> bool {
        self.general.weight == Some(0) || self.methods.iter().any(|(_, own)| own.weight == Some(0))
    }
}

/// A weight while its endpoint warms up.
///
/// Dubbo's `AbstractLoadBalance.getWeight`: `uptime / (warmup / weight)`, at
/// least 1; a start in the future counts as 1.
fn warm_weight(weight: u32, started_ms: Option<u64>, warmup_ms: u64, now_ms: u64) -> u32 {
    let Some(started) = started_ms.filter(|_| weight > 0) else { return weight };
    if now_ms < started {
        return 1;
    }
    let uptime = now_ms - started;
    if uptime == 0 || uptime >= warmup_ms {
        return weight;
    }
    // Java computes this in single precision; so do we.
    let warm = uptime as f32 / (warmup_ms as f32 / weight as f32);
    (warm as u32).clamp(1, weight)
}

/// The settings of all endpoints of a service.
#[derive(Debug)]
pub(crate) struct Terms {
    /// By endpoint.
    pub(crate) endpoints: Box<[Settings]>,
    /// What overrides alone say, by endpoint; empty without overrides.
    pub(crate) overridden: Box<[Settings]>,
    /// What overrides say of the caller itself; its retries and its cluster mode
    /// count in Java.
    pub(crate) caller: Settings,
    /// Endpoints that an override switches off.
    pub(crate) disabled: Option<EndpointSet>,
    /// Whether some endpoint has weight 0.
    pub(crate) has_weightless: bool,
    /// From when on every endpoint is warm, in milliseconds since 1970.
    pub(crate) warm_from_ms: u64,
    /// What rules say of failures and further attempts.
    pub(crate) policies: PolicyTable,
    /// The rings that are hashed by, and their numbers of nodes.
    rings: Vec<(u32, Arc<Ring>)>,
}

impl Terms {
    /// What the endpoints' own URLs say.
    pub(crate) fn of_urls(endpoints: &[Endpoint], rings: &Rings) -> Terms {
        let none = Overrides::new();
        let settings = endpoints.iter().map(|endpoint| Settings::of_endpoint(endpoint, &none));
        Self::new(settings, endpoints, rings)
    }

    /// What overrides make of them: `overrides` has one set per endpoint.
    pub(crate) fn overridden(
        endpoints: &[Endpoint],
        overrides: &[Overrides],
        caller: &Overrides,
        rings: &Rings,
    ) -> Terms {
        let pairs = || endpoints.iter().zip(overrides);
        let read = |set: &Overrides| {
            Settings::read(set.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        };
        let settings = pairs().map(|(one, set)| Settings::of_endpoint(one, set));
        let mut terms = Self::new(settings, endpoints, rings);
        terms.policies = PolicyTable::read(overrides, caller);
        terms.overridden = overrides.iter().map(read).collect();
        terms.caller = read(caller);
        let is_off = |set: &Overrides| set.get("disabled").is_some_and(|value| value == "true");
        if overrides.iter().any(is_off) {
            terms.disabled = Some(EndpointSet::of(endpoints.len(), |index| {
                overrides.get(index).is_some_and(is_off)
            }));
        }
        terms
    }

    fn new(
        settings: impl Iterator<Item = Settings>,
        addresses: &[Endpoint],
        rings: &Rings,
    ) -> Terms {
        let endpoints: Box<[Settings]> = settings.collect();
        let mut nodes: Vec<u32> = endpoints.iter().flat_map(Settings::rings).collect();
        nodes.sort_unstable();
        nodes.dedup();
        Terms {
            rings: nodes.into_iter().map(|nodes| (nodes, rings.with(addresses, nodes))).collect(),
            policies: PolicyTable::default(),
            has_weightless: endpoints.iter().any(Settings::has_weightless),
            warm_from_ms: endpoints.iter().map(Settings::warm_from_ms).max().unwrap_or(0),
            endpoints,
            overridden: Box::default(),
            caller: Settings::default(),
            disabled: None,
        }
    }

    /// The ring for calls by these settings.
    pub(crate) fn ring(&self, settings: &MethodSettings) -> Option<&Ring> {
        let nodes = settings.nodes();
        self.rings.iter().find(|(of, _)| *of == nodes).map(|(_, ring)| &**ring)
    }
}

impl MethodSettings {
    /// Points of each endpoint on the ring.
    pub(crate) fn nodes(&self) -> u32 {
        self.hash_nodes.unwrap_or(DEFAULT_NODES)
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "timeout" => {
                self.timeout = value
                    .parse::<i64>()
                    .ok()
                    .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
            }
            "retries" => {
                self.retries = value
                    .parse::<i64>()
                    .ok()
                    .map(|retries| u32::try_from(retries.max(0)).unwrap_or(u32::MAX));
            }
            "loadbalance" => self.balance = Balance::from_name(value),
            "hash.nodes" => {
                let nodes = value.parse().ok().filter(|nodes| (4..=MOST_NODES).contains(nodes));
                self.hash_nodes = nodes;
            }
            "hash.arguments" => self.hash_arguments = HashArguments::read(value),
            "sticky" => self.sticky = value.parse().ok(),
            "actives" => {
                self.actives = value
                    .parse::<i64>()
                    .ok()
                    .map(|limit| u32::try_from(limit.max(0)).unwrap_or(u32::MAX));
            }
            "weight" => {
                self.weight = value
                    .parse::<i64>()
                    .ok()
                    .map(|weight| u32::try_from(weight.max(0)).unwrap_or(u32::MAX));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::endpoint::EndpointIds;

    #[test]
    fn a_method_has_its_own_settings_and_the_general_ones_else() {
        let settings = Settings::read(
            [
                ("timeout", "3000"),
                ("sayHello.timeout", "500"),
                ("sayHello.loadbalance", "p2c"),
                ("retries", "-1"),
                ("default.timeout", "9"),
                ("service.name", "x"),
            ]
            .into_iter(),
        );
        assert_eq!(settings.methods.len(), 1);
        let hello = settings.of("sayHello");
        assert_eq!(hello.timeout, Some(Duration::from_millis(500)));
        assert_eq!((hello.retries, hello.balance), (Some(0), Some(Balance::P2c)));
        assert_eq!(settings.of("other").timeout, Some(Duration::from_millis(3000)));
    }

    #[test]
    fn the_weight_grows_over_the_warm_up_as_in_dubbo() {
        let mut ids = EndpointIds::new();
        let url = "dubbo://h:1/s?timestamp=1000000";
        let endpoint = Endpoint::from_url(url, &mut ids).unwrap();
        let settings = Settings::of_endpoint(&endpoint, &Overrides::new());
        for (now, weight) in [
            (999_999, 1),
            // Uptime 0 is not a warm-up in Dubbo.
            (1_000_000, 100),
            (1_000_001, 1),
            (1_300_000, 50),
            (1_599_999, 99),
            (1_600_000, 100),
        ] {
            assert_eq!(settings.weight_at("m", now), weight, "at {now}");
        }
    }
}
