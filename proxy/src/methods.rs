//! One worker's memory of the methods that are called through it: counters and
//! the service's compiled table, found without building a string.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use governance::{Endpoint, EndpointId, Service};
use hashbrown::HashTable;

use crate::listener::ListenerContext;
use crate::metrics::MethodMetrics;

/// Methods remembered at most. Names come from callers: beyond this the memory
/// starts afresh.
const BOUND: usize = 16_384;

/// One method of one service, called through one listener.
#[derive(Debug)]
pub(crate) struct Method {
    listener: u32,
    protocol: &'static str,
    pub(crate) listener_name: Box<str>,
    pub(crate) service: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) metrics: Arc<MethodMetrics>,
    table: RefCell<Table>,
}

#[derive(Debug)]
struct Table {
    /// Of the snapshot it came from.
    generation: u64,
    service: Arc<Service>,
    /// Whether some endpoint demands a token of its callers.
    has_tokens: bool,
}

impl Table {
    fn new(generation: u64, service: Arc<Service>) -> Self {
        let has_tokens = service.endpoints().iter().any(|endpoint| token(endpoint).is_some());
        Table { generation, service, has_tokens }
    }
}

/// What an endpoint demands of its callers (`token` in a provider's URL).
fn token(endpoint: &Endpoint) -> Option<&str> {
    endpoint.parameters.get("token").filter(|token| !token.is_empty() && *token != "false")
}

impl Method {
    pub(crate) fn new(
        listener: &ListenerContext,
        protocol: &'static str,
        service: &str,
        name: &str,
        metrics: Arc<MethodMetrics>,
        generation: u64,
        table: Arc<Service>,
    ) -> Self {
        Method {
            listener: listener.index,
            protocol,
            listener_name: listener.name.as_str().into(),
            service: service.into(),
            name: name.into(),
            metrics,
            table: RefCell::new(Table::new(generation, table)),
        }
    }

    /// Asks the table, if it is of this generation.
    pub(crate) fn with_table<R>(
        &self,
        generation: u64,
        ask: impl FnOnce(&Service) -> R,
    ) -> Option<R> {
        let table = self.table.borrow();
        (table.generation == generation).then(|| ask(&table.service))
    }

    /// Where the endpoint stands that the last decision chose.
    pub(crate) fn address_of(&self, endpoint: usize) -> Option<String> {
        let table = self.table.borrow();
        table.service.endpoints().get(endpoint).map(|endpoint| endpoint.address.clone())
    }

    /// What the chosen endpoint says of itself.
    pub(crate) fn with_endpoint<R>(
        &self,
        endpoint: usize,
        ask: impl FnOnce(&Endpoint) -> R,
    ) -> Option<R> {
        self.table.borrow().service.endpoints().get(endpoint).map(ask)
    }

    /// The endpoint at a place in the table.
    pub(crate) fn id_of(&self, endpoint: usize) -> Option<EndpointId> {
        self.table.borrow().service.endpoints().get(endpoint).map(|endpoint| endpoint.id)
    }

    /// The place of an endpoint in the table.
    pub(crate) fn index_of(&self, endpoint: EndpointId) -> Option<usize> {
        self.table.borrow().service.endpoints().iter().position(|other| other.id == endpoint)
    }

    /// The token that the chosen endpoint demands, if it does.
    pub(crate) fn token_of(&self, endpoint: usize) -> Option<String> {
        let table = self.table.borrow();
        if !table.has_tokens {
            return None;
        }
        table.service.endpoints().get(endpoint).and_then(token).map(str::to_owned)
    }

    /// Remembers a newer table.
    pub(crate) fn set_table(&self, generation: u64, table: Arc<Service>) {
        *self.table.borrow_mut() = Table::new(generation, table);
    }
}

/// The memory.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    table: HashTable<Rc<Method>>,
    // Seeded at random: the keys are a caller's to choose.
    hasher: foldhash::quality::RandomState,
}

impl Methods {
    fn hash(&self, listener: u32, protocol: &str, service: &str, name: &str) -> u64 {
        self.hasher.hash_one((listener, protocol, service, name))
    }

    /// The method, if it was called before.
    pub(crate) fn get(
        &self,
        listener: u32,
        protocol: &str,
        service: &str,
        name: &str,
    ) -> Option<Rc<Method>> {
        self.table
            .find(self.hash(listener, protocol, service, name), |method| {
                method.listener == listener
                    && *method.service == *service
                    && *method.name == *name
                    && method.protocol == protocol
            })
            .cloned()
    }

    /// Remembers a method that [`Methods::get`] did not find.
    pub(crate) fn insert(&mut self, method: Rc<Method>) {
        if self.table.len() >= BOUND {
            self.table.clear();
        }
        let hash = self.hash(method.listener, method.protocol, &method.service, &method.name);
        let hasher = &self.hasher;
        self.table.insert_unique(hash, method, |method| {
            hasher.hash_one((method.listener, method.protocol, &*method.service, &*method.name))
        });
    }
}
