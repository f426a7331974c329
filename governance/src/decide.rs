//! One call, one decision: which endpoint, how long, how often again.

mod fault;
mod loads;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use codec::{Fault, Reason, RequestHead};

use crate::balance::{Choice, Memory};
use crate::cluster::{ClusterPolicy, Mock};
use crate::directives::{Directives, Mirrors, TrafficPolicy};
use crate::endpoint::{EndpointId, none_if_zero};
use crate::known_terms::KnownTerms;
use crate::route::{CallView, Narrowing, Routed, Taken, Trace, Untraced, hashed};
use crate::rules::Compat;
use crate::script::ScriptFailure;
use crate::service::{Service, Variant, is_wanted};
use crate::set::EndpointSet;
use crate::settings::{Balance, Cluster, MethodSettings, Terms};

pub(crate) use fault::none_left;
use fault::{emptied, no_provider, unreadable, weightless};
pub use loads::{Idle, Loads};

/// Dubbo's number of retries after the first attempt
/// (`CommonConstants.DEFAULT_RETRIES`).
pub const DEFAULT_RETRIES: u32 = 2;

/// Who calls, as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Its IP address, without a port.
    pub address: &'a str,
    /// Its application.
    pub application: &'a str,
    /// Its labels, as a Dubbo consumer URL's parameters.
    pub labels: &'a BTreeMap<String, String>,
}

/// A call that wants an endpoint.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What may be asked of the call itself.
    pub head: &'a dyn RequestHead,
    /// Who calls.
    pub caller: Caller<'a>,
    /// Endpoints that were tried for this call already; avoided while there is
    /// another one.
    pub tried: &'a [EndpointId],
    /// The time, in milliseconds since 1970, for endpoints that warm up.
    pub now_ms: u64,
}

/// Random numbers.
pub trait Dice {
    /// The next one, at least 0 and below 1.
    fn roll(&mut self) -> f64;
}

/// Memory that decisions reuse, so that they allocate nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    sets: Narrowing,
    memory: Memory,
    terms: KnownTerms,
}

impl Scratch {
    /// Empty; it grows to the largest service it meets.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Scratch::new`], with a clock that ends scripts that run for too long: it
    /// tells the time since any fixed moment. Without one, a script's steps are counted
    /// and nothing else, and what it answers depends on nothing but the call.
    pub fn with_clock(clock: impl Fn() -> Duration + 'static) -> Self {
        let mut scratch = Self::default();
        scratch.sets.scripts.clock = Some(Rc::new(clock));
        scratch
    }

    /// The script that failed last since this was asked, if one did.
    pub fn take_script_failure(&mut self) -> Option<ScriptFailure> {
        self.sets.scripts.failure.take()
    }

    /// The endpoints that the last decision chose from, by index in
    /// [`Service::endpoints`].
    pub fn candidates(&self) -> impl Iterator<Item = usize> + '_ {
        self.sets.candidates.iter()
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// An endpoint takes it.
    Send(Decision),
    /// A rule answers in a provider's place.
    Answer {
        /// With this.
        mock: Arc<Mock>,
        /// Why no endpoint would have taken the call; `None` where none was asked.
        cause: Option<Fault>,
    },
}

/// Where a call goes and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The index of the endpoint in [`Service::endpoints`].
    pub endpoint: usize,
    /// The call's deadline, from its start: what a rule orders, else what the
    /// caller asked for, else what the provider's URL says; `None` where nobody
    /// says anything.
    pub timeout: Option<Duration>,
    /// How many more attempts may follow the first where that is safe.
    pub retries: u32,
    /// The endpoint was tried already, because there is no other.
    pub repeats: bool,
    /// Calls of this method in flight to the endpoint at most; 0 for any number.
    pub actives: u32,
    /// What becomes of it beyond one attempt; `None` where no configurator says
    /// anything.
    pub cluster: Option<Arc<ClusterPolicy>>,
    /// How long to wait before the call is sent: an injected delay, which the
    /// deadline includes. Only for the first attempt.
    pub delay: Option<Duration>,
    /// Endpoints that get a copy of the call. Only with the first attempt.
    pub mirrors: Mirrors,
    /// What the route orders that took the call.
    pub directives: Option<Arc<Directives>>,
    /// What a destination rule says of the way to the endpoint.
    pub policy: Option<Arc<TrafficPolicy>>,
}

/// Chooses the endpoint for one call.
///
/// An endpoint that is unavailable or was tried is taken only when there is no
/// better one: tried ones come last.
///
/// # Errors
/// A [`Fault`] that names what was asked and what there is:
/// [`NoEndpoint`](codec::Reason::NoEndpoint), [`Denied`](codec::Reason::Denied)
/// where a rule is there to deny such calls,
/// [`Injected`](codec::Reason::Injected) where a route says that this one fails,
/// [`Answered`](codec::Reason::Answered) where a route answers such calls itself, or
/// [`Unreadable`](codec::Reason::Unreadable) where the call's version is needed and
/// cannot be read.
pub fn decide(
    service: &Service,
    request: &Request<'_>,
    loads: &dyn Loads,
    dice: &mut dyn Dice,
    scratch: &mut Scratch,
) -> Result<Resolution, Fault> {
    decide_traced(service, request, loads, dice, scratch, &mut Untraced)
}

/// [`decide`], with notes on each rule for whoever wants to know.
pub(crate) fn decide_traced<T: Trace>(
    service: &Service,
    request: &Request<'_>,
    loads: &dyn Loads,
    dice: &mut dyn Dice,
    scratch: &mut Scratch,
    trace: &mut T,
) -> Result<Resolution, Fault> {
    let call = view(service, request)?;
    let mut mock = None;
    let resolved = resolve(service, request, &call, loads, dice, scratch, trace, &mut mock);
    match (resolved, mock) {
        // A route's own answer is no failure.
        (Err(cause), Some(mock)) if cause.reason != Reason::Answered => {
            Ok(Resolution::Answer { mock, cause: Some(cause) })
        }
        (resolved, _) => resolved,
    }
}

/// Decides; `mock` becomes what answers where that fails.
#[allow(clippy::too_many_arguments, reason = "all of them are the decision's")]
fn resolve<T: Trace>(
    service: &Service,
    request: &Request<'_>,
    call: &CallView<'_>,
    loads: &dyn Loads,
    dice: &mut dyn Dice,
    scratch: &mut Scratch,
    trace: &mut T,
    mock: &mut Option<Arc<Mock>>,
) -> Result<Resolution, Fault> {
    let Scratch { sets, memory, terms: known } = scratch;
    let variant = start(service, call, &mut sets.candidates);
    let made;
    let terms = if service.is_configured(variant, call.caller.application) {
        made = known.of(service, variant, &call.caller);
        &*made
    } else {
        &*service.terms
    };
    let method = &*call.method;
    if let Some(own) = terms.policies.of_caller(method).and_then(|policy| policy.mock.as_ref()) {
        if own.force {
            return Ok(Resolution::Answer { mock: own.clone(), cause: None });
        }
        *mock = Some(own.clone());
    }
    if let Some(disabled) = &terms.disabled {
        sets.candidates.subtract(disabled);
    }
    if sets.candidates.is_empty() {
        return Err(no_provider(service, call.group, call.version));
    }
    let taken = match &service.routes {
        Some(routes) => {
            let routed = Routed { call, service, tried: request.tried };
            routes.run(&routed, sets, dice, trace)?
        }
        None => Taken::default(),
    };
    if let Some(step) = variant.chain.run(call, sets, dice, trace) {
        return Err(emptied(service, call, &step));
    }
    let policy_of = |index: usize| terms.policies.of(service.compat, index, method);
    let choice = choice(service, terms, call, request, &taken, sets);
    let (endpoint, repeats) =
        choice.pick(&sets.candidates, loads, dice, memory).ok_or_else(|| weightless(service))?;
    if let Some(own) = policy_of(endpoint).and_then(|policy| policy.mock.as_ref())
        && own.force
    {
        return Ok(Resolution::Answer { mock: own.clone(), cause: None });
    }
    let asked = request.head.timeout();
    let mut made = decision(service.compat, terms, endpoint, method, asked, repeats);
    order(&mut made, service, &taken);
    if request.tried.is_empty() {
        let settings = MethodSettings { balance: Some(Balance::Random), ..choice.settings };
        let copies = Choice {
            settings: MethodSettings { sticky: None, ..settings },
            hashed: None,
            ..choice
        };
        for (target, share) in taken.mirrors() {
            if !share.happens(dice) {
                continue;
            }
            start(service, call, &mut sets.next);
            if let Some(disabled) = &terms.disabled {
                sets.next.subtract(disabled);
            }
            sets.next.intersect(&target.set);
            if let Some((copy, _)) = copies.pick(&sets.next, loads, dice, memory) {
                made.mirrors.push(copy);
            }
        }
    }
    Ok(Resolution::Send(made))
}

/// How one of the candidates is chosen: as the destination rule says, or else as
/// the first one's own terms say.
fn choice<'a>(
    service: &'a Service,
    terms: &'a Terms,
    call: &'a CallView<'_>,
    request: &Request<'a>,
    taken: &Taken<'a>,
    sets: &Narrowing,
) -> Choice<'a> {
    let method = &*call.method;
    let first = sets.candidates.nth(0).unwrap_or_default();
    let own = terms.endpoints.get(first).map(|settings| settings.of(method));
    let cluster = terms.policies.of(service.compat, first, method).map(|policy| policy.cluster);
    let port = service.endpoints().get(first).map(|endpoint| endpoint.port);
    let policy = taken.policy(port);
    let said = policy.map(|policy| &*policy.policy);
    let hash = said.and_then(|said| said.hash.as_ref());
    let hashed = policy.zip(taken.target).zip(hash).and_then(|((policy, target), hash)| {
        let number = hashed(call, &hash.source)?;
        Some((number, target.places(policy, hash, service.endpoints())))
    });
    let mut settings = own.unwrap_or_default();
    let balance = hash.map(|_| Balance::Random).or(said.and_then(|said| said.balance));
    if balance.is_some() {
        settings = MethodSettings { balance, sticky: None, ..settings };
    }
    let retry = taken.directives.and_then(|directives| directives.retry.as_ref());
    Choice {
        service,
        terms,
        method,
        head: call.head,
        settings,
        takes_first: cluster == Some(Cluster::Available),
        warmup: said.and_then(|said| said.warmup.as_ref()),
        hashed,
        tried: if retry.is_none_or(|retry| retry.avoid_tried) { request.tried } else { &[] },
        now_ms: request.now_ms,
    }
}

/// What the route and the destination rule order.
fn order(made: &mut Decision, service: &Service, taken: &Taken<'_>) {
    let port = service.endpoints().get(made.endpoint).map(|endpoint| endpoint.port);
    made.policy = taken.policy(port).map(|policy| policy.policy.clone());
    made.delay = taken.delay;
    if let Some(directives) = taken.directives {
        made.timeout = directives.timeout.or(made.timeout);
        if let Some(retry) = &directives.retry {
            made.retries = retry.attempts;
        }
        made.directives = Some(directives.clone());
    }
}

/// A call as rules see it, and the part of the service that it asks for.
pub(crate) fn view_of<'a>(
    service: &'a Service,
    request: &Request<'a>,
) -> Result<(CallView<'a>, &'a Variant), Fault> {
    let call = view(service, request)?;
    let variant = service.variant(call.group, call.version).unwrap_or(&service.any);
    Ok((call, variant))
}

/// The terms on which an endpoint is called.
pub(crate) fn decision(
    compat: Compat,
    terms: &Terms,
    endpoint: usize,
    method: &str,
    asked: Option<Duration>,
    repeats: bool,
) -> Decision {
    let settings = terms.endpoints.get(endpoint).map(|one| one.of(method)).unwrap_or_default();
    let overridden = terms.overridden.get(endpoint);
    let ordered = overridden.is_some_and(|one| one.of(method).timeout.is_some());
    // In Java the caller's own URL says how often and by which mode, whatever
    // the provider's says.
    let (retries, cluster) = match compat {
        Compat::Java => (terms.caller.of(method).retries, terms.caller.cluster),
        Compat::Documented => {
            (settings.retries, terms.endpoints.get(endpoint).and_then(|one| one.cluster))
        }
    };
    let retries = match cluster.unwrap_or_default() {
        Cluster::Failover => retries.unwrap_or(DEFAULT_RETRIES),
        _ => 0,
    };
    let said = settings.timeout.filter(|timeout| !timeout.is_zero());
    let timeout = if ordered { said } else { asked.or(said) };
    Decision {
        endpoint,
        timeout,
        retries,
        repeats,
        actives: settings.actives.unwrap_or(0),
        cluster: terms.policies.of(compat, endpoint, method).cloned(),
        delay: None,
        mirrors: Mirrors::default(),
        directives: None,
        policy: None,
    }
}

/// What the call asks for.
fn view<'a>(service: &'a Service, request: &Request<'a>) -> Result<CallView<'a>, Fault> {
    let head = request.head;
    let (method, version, group) = match head.target() {
        Ok(target) if service.takes_every_variant => (target.method, "", ""),
        Ok(target) => {
            let group = if service.grouped {
                head.group().map_err(|error| unreadable(service, "group", &error))?
            } else {
                ""
            };
            (target.method, none_if_zero(target.version), group)
        }
        Err(error) => match service.variants.as_slice() {
            [only] => ("", &*only.version, &*only.group),
            _ => return Err(unreadable(service, "version", &error)),
        },
    };
    Ok(CallView {
        head,
        caller: request.caller,
        service: service.name(),
        group,
        version,
        method: CallView::method_of(head, method),
        compat: service.compat,
    })
}

/// Fills `found` with the endpoints that a call starts with.
fn start<'a>(service: &'a Service, call: &CallView<'_>, found: &mut EndpointSet) -> &'a Variant {
    match service.variant(call.group, call.version) {
        Some(variant) => {
            found.copy_from(&variant.members);
            variant
        }
        None => {
            find_members(service, call.group, call.version, found);
            &service.any
        }
    }
}

/// Fills `found` with the endpoints of the groups and versions asked for.
fn find_members(service: &Service, group: &str, version: &str, found: &mut EndpointSet) {
    found.reset(service.endpoints().len());
    for variant in &service.variants {
        if is_wanted(group, &variant.group) && is_wanted(version, &variant.version) {
            found.unite(&variant.members);
        }
    }
}
