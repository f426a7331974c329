//! Steps 1 to 3 of a call, the same for every protocol: may it come in, which
//! service is it for, which endpoint takes it.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::{DecodeError, Fault, Outcome, Reason, RequestHead};
use governance::{Caller, ClusterPolicy, EndpointId, Mock, Resolution, Service};
use smallvec::SmallVec;

use crate::config::Protocol;
use crate::listener::{Destination, ListenerContext};
use crate::methods::Method;
use crate::orders::Orders;
use crate::snapshot::Entry;
use crate::worker::Worker;

/// How long a call to the application may take where nobody says: the caller
/// has its own, shorter clock, this one only bounds what is remembered of it.
pub(crate) const APP_TIMEOUT: Duration = Duration::from_secs(300);
/// No call is remembered for longer, whatever its caller asks for.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Endpoints tried for one call.
pub(crate) const ATTEMPTS: usize = 5;
/// The label of a method that cannot be read.
const UNREADABLE: &str = "unreadable";
/// The label of a service that nobody provides.
const UNKNOWN: &str = "unknown";
/// The generation of a table that no call is routed by.
const UNROUTED: u64 = u64::MAX;

/// What was decided for one call.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// What is called, and its counters.
    pub(crate) method: Rc<Method>,
    /// Who takes it.
    pub(crate) hop: Hop,
    /// The endpoint's place in the service's table.
    pub(crate) index: usize,
    /// When the caller gives up.
    pub(crate) deadline: Instant,
    /// How long the call may take, where the call, a rule or the service says so.
    pub(crate) timeout: Option<Duration>,
    /// Calls of the method in flight to the endpoint at most; 0 for any number.
    pub(crate) actives: u32,
    /// What a configurator wants for the call beyond one attempt.
    pub(crate) cluster: Option<Arc<ClusterPolicy>>,
    /// What routes and destination rules want for it.
    pub(crate) orders: Orders,
    /// The endpoint was tried before; there is no other.
    pub(crate) repeats: bool,
}

impl Route {
    /// To a certain endpoint, at this place in the table, without terms.
    pub(crate) fn to(
        method: &Rc<Method>,
        endpoint: EndpointId,
        index: usize,
        deadline: Instant,
    ) -> Route {
        Route {
            method: method.clone(),
            hop: Hop { endpoint, tried: Tried::new() },
            index,
            deadline,
            timeout: None,
            actives: 0,
            cluster: None,
            orders: Orders::default(),
            repeats: false,
        }
    }

    /// The same to another endpoint, while that is in the table.
    pub(crate) fn elsewhere(&self, endpoint: EndpointId) -> Option<Route> {
        let index = self.method.index_of(endpoint)?;
        Some(Route { hop: Hop { endpoint, tried: Tried::new() }, index, ..self.clone() })
    }
}

/// Which endpoint takes a call.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) endpoint: EndpointId,
    /// Endpoints that were tried before this one.
    pub(crate) tried: Tried,
}

/// Endpoints that did not work out for a call.
pub(crate) type Tried = SmallVec<[EndpointId; 2]>;

/// Why there is no route.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The mesh answers.
    Fault(Fault),
    /// A rule answers in a provider's place.
    Mocked {
        mock: Arc<Mock>,
        /// Why no endpoint would have taken the call.
        cause: Option<Fault>,
    },
    /// The service was never asked for before; its endpoints are on their way.
    Unlisted,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::Fault(fault)
    }
}

/// One call that wants a route.
pub(crate) struct Ask<'a> {
    pub(crate) protocol: &'static str,
    pub(crate) listener: &'a ListenerContext,
    pub(crate) head: &'a dyn RequestHead,
    /// The caller's IP address.
    pub(crate) caller: &'a str,
    /// When the request arrived.
    pub(crate) started: Instant,
    pub(crate) now: Instant,
    pub(crate) tried: Tried,
}

/// Finds the service and picks an endpoint that was not tried, as often as a call
/// that is sent nowhere may be tried.
pub(crate) fn choose(worker: &Worker, ask: Ask<'_>) -> Result<Route, Refusal> {
    let (listener, tried) = (ask.listener, ask.tried.len());
    if tried >= ATTEMPTS {
        return Err(unreachable(listener, tried).into());
    }
    let route = select(worker, ask)?;
    if route.repeats { Err(unreachable(listener, tried).into()) } else { Ok(route) }
}

/// Finds the service and picks an endpoint, one that was tried where there is no
/// other.
pub(crate) fn select(worker: &Worker, ask: Ask<'_>) -> Result<Route, Refusal> {
    let method = method(worker, &ask)?;
    let snapshot = worker.snapshot();
    let identity = &snapshot.1.identity;
    let request = governance::Request {
        head: ask.head,
        caller: Caller {
            address: ask.caller,
            application: &identity.application,
            labels: &identity.labels,
        },
        tried: &ask.tried,
        now_ms: worker.unix_ms(ask.now),
    };
    let decide = |service: &Service| {
        let mut scratch = worker.scratch.borrow_mut();
        let resolution = governance::decide(
            service,
            &request,
            &worker.health.at(ask.now),
            &mut *worker.dice.borrow_mut(),
            &mut scratch,
        );
        if let Some(failure) = scratch.take_script_failure() {
            worker.script_failed(&failure, ask.now);
        }
        match resolution {
            Ok(Resolution::Send(decision)) => {
                let endpoint = service.endpoints()[decision.endpoint].id;
                Ok((decision, endpoint))
            }
            Ok(Resolution::Answer { mock, cause }) => Err(Refusal::Mocked { mock, cause }),
            // Known by a rule alone.
            Err(_) if service.endpoints().is_empty() => {
                Err(unknown(service.name(), snapshot.1.store_trouble.as_deref()).into())
            }
            Err(fault) => Err(fault.into()),
        }
    };
    let (mut decision, endpoint) = match method.with_table(generation(&ask, snapshot.0), decide) {
        Some(decided) => decided?,
        None => return Err(Refusal::Unlisted),
    };
    let default = match ask.listener.destination {
        Destination::App(_) => APP_TIMEOUT,
        Destination::Mesh { .. } => worker.timeouts.call,
    };
    let timeout = decision.timeout.map(|timeout| timeout.min(LONGEST_TIMEOUT));
    let orders = Orders::of(&mut decision);
    if let Some(policy) = orders.policy.as_ref().filter(|one| one.outlier_detection.is_some()) {
        let hosts = worker.scratch.borrow().candidates().count();
        worker.destination(policy, ask.now).has_hosts(hosts);
    }
    Ok(Route {
        method,
        hop: Hop { endpoint, tried: ask.tried },
        index: decision.endpoint,
        deadline: ask.started + timeout.unwrap_or(default),
        timeout,
        actives: decision.actives,
        orders,
        cluster: decision.cluster,
        repeats: decision.repeats,
    })
}

/// The snapshot that a table must come from. An application's table is not from
/// any: there is only one.
fn generation(ask: &Ask<'_>, current: u64) -> u64 {
    match ask.listener.destination {
        Destination::App(_) => 0,
        Destination::Mesh { .. } => current,
    }
}

/// Finds who is called, with a table of the current snapshot.
fn method(worker: &Worker, ask: &Ask<'_>) -> Result<Rc<Method>, Refusal> {
    let (service, name) = target(ask)?;
    let name = &*name;
    let known = worker.methods.borrow().get(ask.listener.index, ask.protocol, service, name);
    let current = generation(ask, worker.snapshot().0);
    if let Some(method) = &known
        && method.with_table(current, |_| ()).is_some()
    {
        return Ok(method.clone());
    }
    let table = match &ask.listener.destination {
        Destination::App(table) => table.clone(),
        Destination::Mesh { .. } => find(worker, service, ask)?,
    };
    if let Some(method) = known {
        method.set_table(current, table);
        return Ok(method);
    }
    let metrics = worker.metrics.method(ask.protocol, &ask.listener.name, service, name);
    let method =
        Rc::new(Method::new(ask.listener, ask.protocol, service, name, metrics, current, table));
    worker.methods.borrow_mut().insert(method.clone());
    Ok(method)
}

/// What is counted and not routed: what a provider calls when it calls its caller
/// back, and connections that go on to where they were going.
pub(crate) fn unrouted_method(
    worker: &Worker,
    protocol: &'static str,
    listener: &ListenerContext,
    head: &dyn RequestHead,
) -> Rc<Method> {
    match names(head) {
        Ok((service, name)) => counted(worker, protocol, listener, service, &name),
        Err(_) => counted(worker, protocol, listener, UNREADABLE, UNREADABLE),
    }
}

/// What a call that was sent nowhere is counted as. A made-up name must not
/// become a label.
pub(crate) fn refused_method(
    worker: &Worker,
    protocol: &'static str,
    listener: &ListenerContext,
    head: &dyn RequestHead,
    outcome: Outcome,
) -> Rc<Method> {
    match (names(head), outcome) {
        (Ok(_), Outcome::Fault(Reason::UnknownService) | Outcome::Cancelled) => {
            counted(worker, protocol, listener, UNKNOWN, UNKNOWN)
        }
        (Ok((service, name)), _) => counted(worker, protocol, listener, service, &name),
        (Err(_), _) => counted(worker, protocol, listener, UNREADABLE, UNREADABLE),
    }
}

/// A method to count by, which need not be one that can be routed.
fn counted(
    worker: &Worker,
    protocol: &'static str,
    listener: &ListenerContext,
    service: &str,
    name: &str,
) -> Rc<Method> {
    if let Some(method) = worker.methods.borrow().get(listener.index, protocol, service, name) {
        return method;
    }
    let metrics = worker.metrics.method(protocol, &listener.name, service, name);
    let table = worker.no_service.clone();
    let method = Rc::new(Method::new(listener, protocol, service, name, metrics, UNROUTED, table));
    worker.methods.borrow_mut().insert(method.clone());
    method
}

/// The service and method that a call means.
pub(crate) fn names(head: &dyn RequestHead) -> Result<(&str, Cow<'_, str>), DecodeError> {
    Ok((head.target()?.service, head.meant_method()?))
}

/// The service and method that a call names, or where it goes without a name.
fn target<'a>(ask: &'a Ask<'_>) -> Result<(&'a str, Cow<'a, str>), Fault> {
    let error = match names(ask.head) {
        Ok(names) => return Ok(names),
        Err(error) => error,
    };
    match &ask.listener.destination {
        Destination::App(table) => Ok((table.name(), UNREADABLE.into())),
        Destination::Mesh { default_service: Some(service) } => Ok((service, UNREADABLE.into())),
        Destination::Mesh { default_service: None } => Err(Fault::new(
            Reason::Unreadable,
            format!("this call names no service that can be read: {error}"),
            match ask.head.http() {
                None => "use hessian2 or fastjson2, or give the listener a `default_service`",
                Some(_) => "name it, or give the listener a `default_service`",
            },
        )),
    }
}

/// The current table of a service, with those of its endpoints that speak HTTP, or
/// with the others; asks the store for one it was not asked for before.
fn find(worker: &Worker, service: &str, ask: &Ask<'_>) -> Result<Arc<Service>, Refusal> {
    let snapshot = worker.snapshot();
    let snapshot = &snapshot.1;
    let services = match ask.head.http() {
        Some(_) => &snapshot.http,
        None => &snapshot.services,
    };
    match services.get(service) {
        // Where nobody provides it, a rule about it may still say what to answer.
        Some(Entry::Ready(table)) if is_known(table) => {
            serves(table, ask.protocol)?;
            Ok(table.clone())
        }
        Some(Entry::Ready(_)) => {
            let others = match ask.head.http() {
                Some(_) => &snapshot.services,
                None => &snapshot.http,
            };
            Err(match others.get(service).and_then(provided_over) {
                Some(spoken) => not_provided(service, ask.protocol, &spoken),
                None => unknown(service, snapshot.store_trouble.as_deref()),
            }
            .into())
        }
        Some(Entry::Pending) => Err(Refusal::Unlisted),
        None if snapshot.has_store && worker.subscriptions.subscribe(service) => {
            Err(Refusal::Unlisted)
        }
        None => Err(unconfigured(service).into()),
    }
}

/// The fault of a call to a service that is not configured, where there is no
/// store to ask.
pub(crate) fn unconfigured(service: &str) -> Fault {
    Fault::new(
        Reason::UnknownService,
        format!("no service named {service} is configured"),
        "check the interface name; name a `store` or add it under `services`",
    )
}

/// Whether somebody provides it, or a rule is about it.
pub(crate) fn is_known(table: &Service) -> bool {
    !table.endpoints().is_empty() || table.is_ruled()
}

/// Whether a service takes calls of a protocol: plain TCP carries no calls, and calls no
/// plain TCP.
///
/// # Errors
/// The fault that says so.
pub(crate) fn serves(table: &Service, protocol: &str) -> Result<(), Fault> {
    let tcp = Protocol::Tcp.name();
    let is_plain = table.endpoints().iter().any(|endpoint| endpoint.protocol == tcp);
    if table.endpoints().is_empty() || is_plain == (protocol == tcp) {
        return Ok(());
    }
    Err(Fault::new(
        Reason::NoEndpoint,
        format!("{} is not provided over {protocol}", table.name()),
        "plain TCP carries no calls, and calls no plain TCP: see `protocol` under `services`",
    ))
}

/// What the first endpoint of a service is spoken to over.
fn provided_over(entry: &Entry) -> Option<String> {
    let Entry::Ready(table) = entry else { return None };
    Some(table.endpoints().first()?.protocol.to_string())
}

/// The fault of a call to a service that has endpoints, but none for its protocol.
fn not_provided(service: &str, asked: &str, spoken: &str) -> Fault {
    Fault::new(
        Reason::UnknownService,
        format!("{service} is provided over {spoken}, not over {asked}"),
        "call it as it is provided, or see `protocol` under `services`",
    )
}

/// The fault of a call to a service that has no endpoint at all.
pub(crate) fn unknown(service: &str, store_trouble: Option<&str>) -> Fault {
    match store_trouble {
        None => Fault::new(
            Reason::UnknownService,
            format!("nobody provides {service}"),
            "check the interface name, and that a provider is up and registered in the store",
        ),
        Some(trouble) => Fault::new(
            Reason::UnknownService,
            format!("no provider of {service} is known, and the store does not answer: {trouble}"),
            "check the store's address and that it is up; calls go on as soon as it answers",
        ),
    }
}

pub(crate) fn unreachable(listener: &ListenerContext, tried: usize) -> Fault {
    unconnected(
        listener,
        format!("no connection could be made to any of {tried} endpoint(s) tried"),
    )
}

/// The fault of a call for which no connection came about.
pub(crate) fn unconnected(listener: &ListenerContext, what: String) -> Fault {
    let detail = format!("{what}; the call was not sent");
    match listener.destination {
        Destination::App(_) => Fault::new(
            Reason::AppUnreachable,
            detail,
            "check that the application behind this proxy is up and listens where `app` says",
        ),
        Destination::Mesh { .. } => Fault::new(
            Reason::Unreachable,
            detail,
            "check that the providers are up and that their registered addresses can be reached from here",
        ),
    }
}
