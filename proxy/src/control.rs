//! The control side: turns what the registry and the configuration say into
//! the snapshots that workers route by.
//!
//! Runs on the control runtime. A change compiles only the services it touches;
//! a rule that fails its check changes nothing and is reported.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use dashmap::DashSet;
use governance::{
    Affected, Compat, Endpoint, EndpointIds, Options, RuleSet, ScriptLimits, Service,
};
use registry::{Registry, ServiceState, View};

use crate::config::{Config, StaticService};
use crate::http;
use crate::redirected::Addresses;
use crate::rule_book::{RuleBook, RuleStates};
use crate::snapshot::{Entry, Identity, Published, Snapshot};

/// Services asked of the store at most. Their names come from callers.
const SUBSCRIPTIONS: usize = 10_000;

/// Asks the store about services that are called for the first time.
#[derive(Debug, Clone)]
pub(crate) struct Subscriptions {
    registry: Registry,
    asked: Arc<DashSet<String>>,
}

impl Subscriptions {
    pub(crate) fn new(registry: Registry) -> Self {
        Subscriptions { registry, asked: Arc::default() }
    }

    /// Asks, or has asked already; `false` where too many were asked for.
    pub(crate) fn subscribe(&self, service: &str) -> bool {
        if self.asked.contains(service) {
            return true;
        }
        if self.asked.len() >= SUBSCRIPTIONS {
            tracing::warn!(
                service,
                "not looked up: {SUBSCRIPTIONS} services are subscribed already"
            );
            return false;
        }
        self.asked.insert(service.to_owned());
        self.registry.subscribe(service);
        true
    }
}

/// Builds snapshots.
pub(crate) struct Control {
    published: Arc<Published>,
    ids: EndpointIds,
    identity: Arc<Identity>,
    options: Options,
    configured: HashMap<String, Vec<StaticService>>,
    addresses: Arc<Addresses>,
    has_store: bool,
    rules: RuleBook,
    services: HashMap<String, Compiled>,
    view: Arc<View>,
}

/// A service's entry and what it was made from.
pub(crate) struct Compiled {
    instances: Option<Arc<[registry::Instance]>>,
    pub(crate) entry: Entry,
    /// With those of its endpoints that speak HTTP.
    pub(crate) http: Entry,
}

impl Control {
    pub(crate) fn new(config: &Config, ids: EndpointIds) -> Self {
        let mut control = Control {
            published: Arc::new(Published::new(Snapshot::default())),
            ids,
            identity: Arc::default(),
            options: Options::default(),
            configured: HashMap::new(),
            addresses: Arc::default(),
            has_store: false,
            rules: RuleBook::new(Compat::default())
                .with_scripts(config.scripts.then(ScriptLimits::default)),
            services: HashMap::new(),
            view: Arc::default(),
        };
        control.configure(config);
        control
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    /// What became of each rule document, now and later.
    pub(crate) fn rule_states(&self) -> Arc<ArcSwap<RuleStates>> {
        self.rules.published()
    }

    /// Takes what of a configuration can change while the proxy runs: the
    /// services, the application and its labels.
    pub(crate) fn configure(&mut self, config: &Config) {
        self.identity = Arc::new(Identity {
            application: config.application.clone(),
            labels: config.labels.clone(),
        });
        let application = &config.application;
        self.options.callers = (!application.is_empty()).then(|| vec![application.clone()]);
        self.configured.clear();
        for service in &config.services {
            self.configured.entry(service.name.clone()).or_default().push(service.clone());
        }
        self.addresses = Arc::new(Addresses::new(&config.services));
        self.has_store = !config.store.is_empty();
        self.services.clear();
        self.publish(&[Affected::All]);
    }

    /// Takes a new view of the registry.
    pub(crate) fn update(&mut self, view: Arc<View>) {
        let affected = self.rules.update(&view, SystemTime::now());
        self.view = view;
        self.publish(&affected);
        self.rules.publish(&self.view);
    }

    fn publish(&mut self, affected: &[Affected]) {
        let view = self.view.clone();
        let names: BTreeSet<&str> =
            view.services.keys().chain(self.configured.keys()).map(String::as_str).collect();
        let mut services = HashMap::with_capacity(names.len());
        for name in names {
            let found = view.services.get(name);
            let compiled = match self.services.remove(name) {
                Some(compiled) if compiled.is_current(found, affected) => compiled,
                _ => compile(
                    name,
                    self.configured.get(name).map_or(&[], Vec::as_slice),
                    found.map(|found| &**found),
                    &mut self.ids,
                    self.rules.rules(),
                    &self.options,
                ),
            };
            services.insert(name.to_owned(), compiled);
        }
        let store = &view.store;
        let store_trouble = (self.has_store && !store.connected).then(|| {
            store.last_error.clone().unwrap_or_else(|| "it has not answered yet".to_owned())
        });
        self.published.publish(Snapshot {
            services: services
                .iter()
                .map(|(name, compiled)| (name.clone(), compiled.entry.clone()))
                .collect(),
            addresses: self.addresses.clone(),
            http: services
                .iter()
                .map(|(name, compiled)| (name.clone(), compiled.http.clone()))
                .collect(),
            identity: self.identity.clone(),
            has_store: self.has_store,
            store_trouble,
        });
        self.services = services;
    }
}

impl Compiled {
    fn is_current(&self, found: Option<&Arc<registry::Service>>, affected: &[Affected]) -> bool {
        let same_instances = match (&self.instances, found) {
            (None, None) => true,
            (Some(before), Some(found)) => Arc::ptr_eq(before, &found.instances),
            _ => false,
        };
        // An application may provide the service over one family alone.
        let is_untouched = |entry: &Entry| match entry {
            Entry::Pending => false,
            Entry::Ready(service) => !affected.iter().any(|affected| service.is_affected(affected)),
        };
        same_instances && is_untouched(&self.entry) && is_untouched(&self.http)
    }
}

/// Compiles a service from what the configuration and the registry say of it.
pub(crate) fn compile(
    name: &str,
    configured: &[StaticService],
    found: Option<&registry::Service>,
    ids: &mut EndpointIds,
    rules: &RuleSet,
    options: &Options,
) -> Compiled {
    let instances = found.map(|found| found.instances.clone());
    if configured.is_empty() && found.is_some_and(|found| found.state == ServiceState::Pending) {
        return Compiled { instances, entry: Entry::Pending, http: Entry::Pending };
    }
    let written = configured.iter().flat_map(|service| static_endpoints(service, ids)).collect();
    let mut endpoints: Vec<Endpoint> = written;
    for instance in instances.iter().flat_map(|instances| instances.iter()) {
        match Endpoint::from_url(&instance.url, ids) {
            Ok(endpoint)
                if endpoint.protocol == "dubbo"
                    || http::spoken_by(&endpoint.protocol).is_some() =>
            {
                endpoints.push(endpoint);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(service = name, url = &*instance.url, %error, "a provider is left out");
            }
        }
    }
    let over_http = endpoints
        .extract_if(.., |endpoint| http::spoken_by(&endpoint.protocol).is_some())
        .collect::<Vec<_>>();
    endpoints.retain(|endpoint| matches!(endpoint.protocol.as_str(), "dubbo" | "tcp"));
    tracing::debug!(
        service = name,
        endpoints = endpoints.len(),
        over_http = over_http.len(),
        "compiled"
    );
    let table =
        |endpoints| Entry::Ready(Arc::new(Service::compile(name, endpoints, rules, options)));
    Compiled { instances, entry: table(endpoints), http: table(over_http) }
}

fn static_endpoints(service: &StaticService, ids: &mut EndpointIds) -> Vec<Endpoint> {
    let mut endpoints = Vec::with_capacity(service.endpoints.len());
    for endpoint in &service.endpoints {
        let mut parameters = endpoint.labels.clone();
        parameters.insert("weight".to_owned(), endpoint.weight.to_string());
        for (key, value) in [("group", &endpoint.group), ("version", &endpoint.version)] {
            if !value.is_empty() {
                parameters.insert(key.to_owned(), value.clone());
            }
        }
        let protocol = service.protocol.scheme();
        match Endpoint::from_parts(protocol, &service.name, &endpoint.address, parameters, ids) {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(error) => {
                tracing::error!(service = service.name, address = endpoint.address, %error, "a configured endpoint is left out");
            }
        }
    }
    endpoints
}
