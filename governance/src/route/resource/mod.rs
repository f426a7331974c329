//! Routes and destination rules of Istio, Gateway API and Linkerd, compiled for
//! one service.
//!
//! The resources themselves are shared by all services; here stands only in which
//! order their routes are asked, and which of the service's endpoints each of
//! their destinations is. How a call is routed: [`run`].

mod answer;
mod matches;
mod run;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::balance::Places;
use crate::directives::{HashPolicy, TrafficPolicy};
use crate::endpoint::Endpoint;
use crate::rules::resource::destination::{DestinationRule, Policies};
use crate::rules::resource::host::{in_kubernetes, is_application};
use crate::rules::resource::route::{Action, Destination, Route, RouteRule};
use crate::rules::resource::{Content, Resource, ResourceKind, Resources};
use crate::set::EndpointSet;

pub(crate) use run::{Routed, Taken, hashed};

/// The routes and destinations of one service.
#[derive(Debug)]
pub(crate) struct Routes {
    /// What has routes, and what those delegate to.
    resources: Vec<Arc<Resource>>,
    /// The routes in the order in which they are asked.
    entries: Vec<Entry>,
    /// What the entries lead to, by their place in `targets`: of each entry its
    /// destinations, then its mirrors.
    leads: Vec<u32>,
    targets: Vec<Target>,
}

/// A route's place.
#[derive(Debug, Clone, Copy)]
struct Entry {
    resource: u32,
    route: u32,
    /// The resource and route that delegate to it, whose match must be met, too.
    under: Option<(u32, u32)>,
    /// Where in `leads` its own start.
    leads: u32,
}

/// A destination.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) set: EndpointSet,
    /// The line of the destination rule.
    line: u32,
    policies: Vec<Policy>,
}

/// A policy for one port, or, last, for all others.
#[derive(Debug)]
pub(crate) struct Policy {
    port: Option<u16>,
    pub(crate) policy: Arc<TrafficPolicy>,
    /// The table of its consistent hash, made when it is first needed.
    places: OnceLock<Places>,
}

impl Target {
    /// What holds for endpoints on a port.
    pub(crate) fn policy(&self, port: u16) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.port.is_none_or(|one| one == port))
    }

    /// The table of a consistent hash over this destination's endpoints.
    pub(crate) fn places<'p>(
        &self,
        policy: &'p Policy,
        hash: &HashPolicy,
        endpoints: &[Endpoint],
    ) -> &'p Places {
        policy.places.get_or_init(|| Places::new(hash.table, &self.set, endpoints))
    }
}

/// What the destinations of a service are found by.
struct Site<'a> {
    service: &'a str,
    endpoints: &'a [Endpoint],
    /// The destination rules about it, the most specific first.
    rules: Vec<(&'a Resource, &'a DestinationRule)>,
    /// What a profile says of all calls, and its line.
    general: Option<(&'a Arc<TrafficPolicy>, u32)>,
}

impl Routes {
    /// `None` where no resource is about the service.
    pub(crate) fn compile(
        service: &str,
        endpoints: &[Endpoint],
        all: &Resources,
    ) -> Option<Routes> {
        if all.is_empty() {
            return None;
        }
        let mut applications: Vec<&str> =
            endpoints.iter().filter_map(Endpoint::application).collect();
        applications.sort_unstable();
        applications.dedup();
        let about: Vec<&Arc<Resource>> =
            all.about(service, &applications).into_iter().map(|(_, resource)| resource).collect();
        if about.is_empty() {
            return None;
        }
        let rules = about
            .iter()
            .filter_map(|resource| match &resource.content {
                Content::Destination(rule) => Some((&***resource, rule)),
                Content::Routes(_) => None,
            })
            .collect();
        let roots = roots(&about);
        let general = roots
            .first()
            .and_then(|root| Some((root.routes()?.policy.as_ref()?, root.position.line)));
        let site = Site { service, endpoints, rules, general };
        let mut routes = Routes {
            resources: roots.clone(),
            entries: Vec::new(),
            leads: Vec::new(),
            // Where calls go that no route is about.
            targets: vec![site.target(&Destination { host: None, subset: None, port: None })],
        };
        routes.order(all);
        routes.lead(&site);
        Some(routes)
    }

    /// Lists the routes in the order in which they are asked.
    fn order(&mut self, all: &Resources) {
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let roots = self.resources.clone();
        for (index, root) in roots.iter().enumerate() {
            let rule = root.routes();
            for (at, route) in rule.iter().flat_map(|rule| rule.routes.iter().enumerate()) {
                let place = (number(index), number(at));
                let own = Entry { resource: place.0, route: place.1, under: None, leads: 0 };
                let delegate = match &route.action {
                    Action::Delegate(namespace, name) => all.delegate(namespace, name),
                    _ => None,
                };
                let Some(delegate) = delegate else {
                    self.entries.push(own);
                    continue;
                };
                let routes = delegate.routes().map_or(0, |rule| rule.routes.len());
                let resource = number(self.resources.len());
                self.resources.push(delegate.clone());
                self.entries.extend((0..number(routes)).map(|route| Entry {
                    resource,
                    route,
                    under: Some(place),
                    leads: 0,
                }));
            }
        }
        // Others have no ranks and stay as they are: one resource, in its order.
        let resources = &self.resources;
        self.entries.sort_by_cached_key(|entry| {
            let resource = resources.get(entry.resource as usize);
            let rule = resource.and_then(|resource| resource.routes());
            let rank = rule.and_then(|rule| rule.routes.get(entry.route as usize)).map(|r| r.rank);
            let age = rule.map(RouteRule::age);
            let name = resource.map(|one| (&one.identity.namespace, &one.identity.name));
            match rank {
                Some(rank) if rank.iter().any(|part| *part > 0) => {
                    (Reverse(rank), age, name, entry.route)
                }
                _ => (Reverse([0; 5]), None, None, 0),
            }
        });
    }

    /// Finds what each route leads to.
    fn lead(&mut self, site: &Site<'_>) {
        let mut known: BTreeMap<Destination, u32> = BTreeMap::new();
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            entry.leads = u32::try_from(self.leads.len()).unwrap_or(u32::MAX);
            let Some(resource) = self.resources.get(entry.resource as usize).cloned() else {
                continue;
            };
            let routes = resource.routes().map_or(&[][..], |rule| &rule.routes);
            let Some(route) = routes.get(entry.route as usize) else { continue };
            for to in route.destinations() {
                let place = *known.entry(to.clone()).or_insert_with(|| {
                    self.targets.push(site.target(to));
                    u32::try_from(self.targets.len() - 1).unwrap_or(u32::MAX)
                });
                self.leads.push(place);
            }
        }
        self.entries = entries;
    }

    /// A route and its resource.
    fn route(&self, resource: u32, route: u32) -> Option<(&Resource, &Route)> {
        let resource = self.resources.get(resource as usize)?;
        Some((resource, resource.routes()?.routes.get(route as usize)?))
    }

    /// The `nth` thing that an entry leads to.
    fn target(&self, entry: &Entry, nth: usize) -> Option<&Target> {
        let place = self.leads.get(entry.leads as usize + nth)?;
        self.targets.get(*place as usize)
    }

    /// Whom calls go to that no route is about.
    fn plain(&self) -> Option<&Target> {
        self.targets.first()
    }
}

/// The resources whose routes count: of the most specific, one VirtualService, or
/// one ServiceProfile, or all routes of the Gateway API, which are merged.
fn roots(about: &[&Arc<Resource>]) -> Vec<Arc<Resource>> {
    let is_merged = |kind| matches!(kind, ResourceKind::HttpRoute | ResourceKind::GrpcRoute);
    let mut found = about.iter().copied().filter(|resource| resource.routes().is_some());
    match found.next() {
        Some(first) if is_merged(first.identity.kind) => about
            .iter()
            .filter(|resource| is_merged(resource.identity.kind))
            .map(|resource| (*resource).clone())
            .collect(),
        first => first.into_iter().cloned().collect(),
    }
}

impl RouteRule {
    /// What orders routes of the same rank: the oldest first, those of unknown
    /// age last.
    fn age(&self) -> (bool, &str) {
        (self.created.is_empty(), &self.created)
    }
}

/// A host without what Kubernetes adds to it.
fn plain(host: &str) -> &str {
    in_kubernetes(host).unwrap_or(host)
}

impl Site<'_> {
    fn target(&self, to: &Destination) -> Target {
        let means = |host: &str, endpoint: &Endpoint| {
            host == self.service
                || endpoint.application().is_some_and(|name| is_application(host, name))
        };
        let mut set = self.set(|endpoint| {
            to.host.as_deref().is_none_or(|host| means(host, endpoint))
                && to.port.is_none_or(|port| port == endpoint.port)
        });
        let rule = self.rule_of(to, &set);
        let mut target = Target { set: EndpointSet::default(), line: 0, policies: Vec::new() };
        let mut policies: &Policies = &Vec::new();
        match (rule, &to.subset) {
            (Some((resource, rule)), None) => {
                policies = &rule.policies;
                target.line = resource.position.line;
            }
            (Some((resource, rule)), Some(name)) => {
                target.line = resource.position.line;
                let subset = rule.subsets.iter().find(|subset| subset.name == *name);
                if let Some(subset) = subset {
                    policies = &subset.policies;
                    let is_in = |endpoint: &Endpoint| {
                        subset
                            .labels
                            .iter()
                            .all(|(key, value)| endpoint.parameters.get(key) == Some(&**value))
                    };
                    set.intersect(&self.set(is_in));
                }
            }
            (None, Some(_)) => set.clear(),
            (None, None) => {}
        }
        target.set = set;
        let general = self.general.filter(|_| policies.is_empty());
        if let Some((_, line)) = general {
            target.line = line;
        }
        let general = general.map(|(policy, _)| (None, policy.clone()));
        target.policies = policies
            .iter()
            .map(|(port, policy)| (*port, self.with_general(policy)))
            .chain(general)
            .map(|(port, policy)| Policy { port, policy, places: OnceLock::new() })
            .collect();
        target
    }

    fn set(&self, keep: impl Fn(&Endpoint) -> bool) -> EndpointSet {
        EndpointSet::of(self.endpoints.len(), |index| self.endpoints.get(index).is_some_and(&keep))
    }

    /// The destination rule that counts: where a subset is named, one that has it.
    /// One about this host goes before the more general ones.
    fn rule_of(
        &self,
        to: &Destination,
        set: &EndpointSet,
    ) -> Option<(&Resource, &DestinationRule)> {
        let host = to.host.as_deref().unwrap_or(self.service);
        let is_same =
            |rule: &DestinationRule| *rule.host == *host || plain(&rule.host) == plain(host);
        let covers = |rule: &DestinationRule| {
            rule.host.starts_with('*')
                || *rule.host == *self.service
                || set.iter().filter_map(|index| self.endpoints.get(index)).all(|endpoint| {
                    endpoint.application().is_some_and(|name| is_application(&rule.host, name))
                })
        };
        let has = |rule: &DestinationRule| {
            to.subset.as_ref().is_none_or(|name| rule.subsets.iter().any(|one| one.name == *name))
        };
        let same = self.rules.iter().find(|(_, rule)| is_same(rule) && has(rule));
        same.or_else(|| self.rules.iter().find(|(_, rule)| covers(rule) && has(rule))).copied()
    }

    /// A policy, with what a profile says of all calls.
    fn with_general(&self, policy: &Arc<TrafficPolicy>) -> Arc<TrafficPolicy> {
        match self.general {
            Some((general, _)) if policy.retry_budget.is_none() => Arc::new(TrafficPolicy {
                retry_budget: general.retry_budget.clone(),
                ..TrafficPolicy::clone(policy)
            }),
            _ => policy.clone(),
        }
    }
}
