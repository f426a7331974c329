//! What is counted of the calls that one traffic policy is about, and what its limits
//! make of it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use codec::{Fault, Reason};
use dashmap::DashMap;
use foldhash::fast::FixedState;
use governance::{EndpointId, TrafficPolicy};
use tokio::sync::Notify;

use super::Ending;
use super::budget::Window;
use super::outliers::Outliers;
use crate::health::Health;

/// Policies remembered before those are forgotten that hold no more.
const MANY: usize = 256;

/// What the workers count together, by policy. A policy is told by its address, which
/// stays its own while it is remembered weakly.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    known: DashMap<usize, (Weak<TrafficPolicy>, Arc<Counts>)>,
}

#[derive(Debug, Default)]
struct Counts {
    in_flight: AtomicU32,
    waiting: AtomicU32,
    retries: AtomicU32,
    connections: AtomicU32,
    /// Told when a connection is free.
    freed: Notify,
}

/// The destinations of one worker.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    known: RefCell<HashMap<usize, Rc<Destination>, FixedState>>,
}

/// The calls of one worker that one traffic policy is about.
#[derive(Debug)]
pub(crate) struct Destination {
    policy: Weak<TrafficPolicy>,
    counts: Arc<Counts>,
    window: RefCell<Window>,
    outliers: RefCell<Outliers>,
    /// How many endpoints the last call could go to.
    hosts: Cell<usize>,
}

fn address_of(policy: &Arc<TrafficPolicy>) -> usize {
    Arc::as_ptr(policy) as usize
}

impl Counters {
    fn of(&self, policy: &Arc<TrafficPolicy>) -> Arc<Counts> {
        if self.known.len() >= MANY {
            self.known.retain(|_, (policy, _)| policy.strong_count() > 0);
        }
        let fresh = || (Arc::downgrade(policy), Arc::default());
        self.known.entry(address_of(policy)).or_insert_with(fresh).1.clone()
    }
}

impl Destinations {
    /// The destination of calls that a policy is about.
    pub(crate) fn of(
        &self,
        policy: &Arc<TrafficPolicy>,
        counters: &Counters,
        now: Instant,
    ) -> Rc<Destination> {
        let mut known = self.known.borrow_mut();
        if let Some(found) = known.get(&address_of(policy)) {
            return found.clone();
        }
        if known.len() >= MANY {
            known.retain(|_, one| one.policy.strong_count() > 0);
        }
        let made = Rc::new(Destination {
            policy: Arc::downgrade(policy),
            counts: counters.of(policy),
            window: RefCell::new(Window::new(now)),
            outliers: RefCell::default(),
            hosts: Cell::new(1),
        });
        known.insert(address_of(policy), made.clone());
        made
    }
}

/// An attempt in flight to a destination, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    destination: Rc<Destination>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.destination.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that waits for a connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Counts>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is one call, or has one, until this is dropped.
#[derive(Debug)]
pub(crate) struct Connection(Arc<Counts>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

/// A retry that is going on, until this is dropped.
#[derive(Debug)]
pub(crate) struct Repeat(Arc<Counts>);

impl Drop for Repeat {
    fn drop(&mut self) {
        self.0.retries.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One more, unless there are `limit` already.
fn take(count: &AtomicU32, limit: Option<u32>) -> Result<(), u32> {
    let limit = limit.unwrap_or(u32::MAX);
    let more = |count: u32| (count < limit).then(|| count.saturating_add(1));
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(drop).map_err(|_| limit)
}

fn full(policy: &TrafficPolicy, limit: u32, what: &str, key: &'static str) -> Fault {
    Fault::new(
        Reason::Overloaded,
        format!("{limit} {what}, as many as {} allows; the call was not sent", policy.rule),
        format!("raise `{key}` of its connectionPool, or add endpoints"),
    )
}

impl Destination {
    /// One of `hosts` endpoints is chosen for each call.
    pub(crate) fn has_hosts(&self, hosts: usize) {
        self.hosts.set(hosts);
    }

    /// A place among the calls in flight (`http2MaxRequests`).
    ///
    /// # Errors
    /// When as many are as the policy allows.
    pub(crate) fn enter(
        self: &Rc<Self>,
        policy: &TrafficPolicy,
        is_retry: bool,
        now: Instant,
    ) -> Result<Place, Fault> {
        let limit = policy.connection_pool.as_ref().and_then(|pool| pool.max_requests);
        take(&self.counts.in_flight, limit)
            .map_err(|limit| full(policy, limit, "calls are in flight", "http2MaxRequests"))?;
        if let Some(budget) = policy.retry_budget.as_ref().filter(|_| !is_retry) {
            self.window.borrow_mut().called(budget, now);
        }
        Ok(Place { destination: self.clone() })
    }

    /// A place among the calls that wait for a connection (`http1MaxPendingRequests`).
    ///
    /// # Errors
    /// When as many do as the policy allows.
    pub(crate) fn wait(&self, policy: &TrafficPolicy) -> Result<Waiting, Fault> {
        let limit = policy.connection_pool.as_ref().and_then(|pool| pool.max_pending_requests);
        take(&self.counts.waiting, limit).map_err(|limit| {
            full(policy, limit, "calls wait for a connection", "http1MaxPendingRequests")
        })?;
        Ok(Waiting(self.counts.clone()))
    }

    /// A place among the connections of plain TCP, or those of HTTP/1.1 that have a
    /// call (`tcp.maxConnections`).
    ///
    /// # Errors
    /// When there are as many as the policy allows.
    pub(crate) fn connect(&self, policy: &TrafficPolicy) -> Result<Connection, Fault> {
        let limit = policy.connection_pool.as_ref().and_then(|pool| pool.max_connections);
        take(&self.counts.connections, limit)
            .map_err(|limit| full(policy, limit, "connections are open", "maxConnections"))?;
        Ok(Connection(self.counts.clone()))
    }

    /// The same; where there is none, waits for one among the calls that wait for a
    /// connection.
    ///
    /// # Errors
    /// When as many wait as the policy allows.
    pub(crate) async fn connect_or_wait(
        &self,
        policy: &TrafficPolicy,
    ) -> Result<Connection, Fault> {
        if let Ok(connection) = self.connect(policy) {
            return Ok(connection);
        }
        let _waiting = self.wait(policy)?;
        loop {
            let mut freed = pin!(self.counts.freed.notified());
            // What is freed from now on is not missed: two that are freed before anybody
            // waits count as one.
            freed.as_mut().enable();
            match self.connect(policy) {
                Ok(connection) => return Ok(connection),
                Err(_) => freed.await,
            }
        }
    }

    /// An attempt ended so; says whether its endpoint is left out from now on.
    pub(crate) fn ended(
        &self,
        endpoint: EndpointId,
        ending: Ending,
        health: &Health,
        now: Instant,
    ) -> bool {
        let Some(policy) = self.policy.upgrade() else { return false };
        let Some(detection) = &policy.outlier_detection else { return false };
        let hosts = self.hosts.get();
        self.outliers.borrow_mut().ended(detection, endpoint, ending, hosts, health, now)
    }

    /// Leave for one retry: within the budget, or where there is none within
    /// `maxRetries`.
    pub(crate) fn may_repeat(&self, policy: &TrafficPolicy, now: Instant) -> Option<Repeat> {
        let counts = &self.counts;
        if let Some(budget) = &policy.retry_budget {
            let in_flight = counts.in_flight.load(Ordering::Relaxed);
            let retrying = counts.retries.load(Ordering::Relaxed);
            if !self.window.borrow_mut().allows(budget, in_flight, retrying, now) {
                return None;
            }
            counts.retries.fetch_add(1, Ordering::Relaxed);
        } else {
            let limit = policy.connection_pool.as_ref().and_then(|pool| pool.max_retries);
            take(&counts.retries, limit).ok()?;
        }
        Some(Repeat(counts.clone()))
    }
}

impl Place {
    /// The attempt ended so; says whether its endpoint is left out from now on.
    pub(crate) fn ended(
        &self,
        endpoint: EndpointId,
        ending: Ending,
        health: &Health,
        now: Instant,
    ) -> bool {
        self.destination.ended(endpoint, ending, health, now)
    }
}

#[cfg(test)]
mod tests {
    use governance::directives::ConnectionPool;

    use super::*;

    fn policy(pool: ConnectionPool) -> Arc<TrafficPolicy> {
        Arc::new(TrafficPolicy {
            rule: "DestinationRule/shop".into(),
            connection_pool: Some(pool),
            ..TrafficPolicy::default()
        })
    }

    #[test]
    fn limits_hold_over_all_workers_and_places_come_back() {
        let policy = policy(ConnectionPool {
            max_requests: Some(2),
            max_pending_requests: Some(1),
            max_retries: Some(1),
            max_connections: Some(1),
            ..ConnectionPool::default()
        });
        let (counters, now) = (Counters::default(), Instant::now());
        let workers = [Destinations::default(), Destinations::default()];
        let [one, other] = workers.each_ref().map(|worker| worker.of(&policy, &counters, now));
        let first = one.enter(&policy, false, now);
        let second = other.enter(&policy, false, now);
        assert!(first.is_ok() && second.is_ok());
        let refused = one.enter(&policy, false, now).map(drop);
        let detail = refused.map_err(|fault| fault.detail.into_owned());
        let told = "2 calls are in flight, as many as DestinationRule/shop allows; the call was \
                    not sent";
        assert_eq!(detail, Err(told.to_owned()));
        drop(second);
        assert!(one.enter(&policy, false, now).is_ok());
        let waiting = one.wait(&policy);
        assert!(waiting.is_ok() && other.wait(&policy).is_err());
        drop(waiting);
        assert!(other.wait(&policy).is_ok());
        let connection = one.connect(&policy);
        assert!(connection.is_ok() && other.connect(&policy).is_err());
        drop(connection);
        assert!(other.connect(&policy).is_ok());
        let repeat = one.may_repeat(&policy, now);
        assert!(repeat.is_some() && other.may_repeat(&policy, now).is_none());
        drop(repeat);
        assert!(other.may_repeat(&policy, now).is_some());
    }

    #[test]
    fn policies_that_hold_no_more_are_forgotten() {
        let (counters, now) = (Counters::default(), Instant::now());
        let worker = Destinations::default();
        for _ in 0..10 * MANY {
            drop(worker.of(&policy(ConnectionPool::default()), &counters, now));
        }
        assert!(worker.known.borrow().len() <= MANY && counters.known.len() <= MANY);
    }
}
