//! One call, one decision: which endpoint, how long, how often again.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use codec::{Fault, Reason, RequestHead};
use foldhash::fast::FixedState;

use crate::balance::{Choice, Memory};
use crate::directives::{Directives, Mirrors, TrafficPolicy};
use crate::endpoint::{EndpointId, none_if_zero};
use crate::route::{CallView, Emptied, Narrowing, Trace, Untraced, Verdict};
use crate::rules::Compat;
use crate::script::ScriptFailure;
use crate::service::{Service, Variant, is_wanted};
use crate::set::EndpointSet;
use crate::settings::{Cluster, Terms};

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

/// What is known of endpoints' health and load.
pub trait Loads {
    /// Whether a call may be sent there now: not ejected, not draining.
    fn is_available(&self, id: EndpointId) -> bool;
    /// What one more call costs there: the moving average of the latency times
    /// the calls in flight and one. Any unit; smaller is better.
    fn cost(&self, id: EndpointId) -> f64;
    /// How many calls are in flight there.
    fn active(&self, id: EndpointId) -> u32;
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

/// What configurators made of endpoints, by service and caller. Made when a
/// caller first calls, and forgotten all at once when there are many.
type KnownTerms = HashMap<u64, Vec<CallerTerms>, FixedState>;

#[derive(Debug)]
struct CallerTerms {
    address: Box<str>,
    application: Box<str>,
    labels: BTreeMap<String, String>,
    terms: Rc<Terms>,
}

/// How many services' terms are remembered.
const KNOWN_SERVICES: usize = 4096;
/// How many callers' terms are remembered for each.
const KNOWN_CALLERS: usize = 64;

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

    /// The endpoints that the last decision chose from, by index.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = usize> + '_ {
        self.sets.candidates.iter()
    }
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
/// [`Reason::NoEndpoint`], [`Reason::Denied`] where a rule is there to deny such
/// calls, [`Reason::Injected`] where a route says that this one fails,
/// [`Reason::Answered`] where a route answers an HTTP request itself, or
/// [`Reason::Unreadable`] where the call's version is needed and cannot be read.
pub fn decide(
    service: &Service,
    request: &Request<'_>,
    loads: &dyn Loads,
    dice: &mut dyn Dice,
    scratch: &mut Scratch,
) -> Result<Decision, Fault> {
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
) -> Result<Decision, Fault> {
    let call = view(service, request)?;
    let Scratch { sets, memory, terms: known } = scratch;
    let variant = match service.variant(call.group, call.version) {
        Some(variant) => {
            sets.candidates.copy_from(&variant.members);
            variant
        }
        None => {
            find_members(service, call.group, call.version, &mut sets.candidates);
            &service.any
        }
    };
    let made;
    let terms = if service.is_configured(variant, call.caller.application) {
        made = terms_of(service, variant, &call, known);
        &*made
    } else {
        &*service.terms
    };
    if let Some(disabled) = &terms.disabled {
        sets.candidates.subtract(disabled);
    }
    if sets.candidates.is_empty() {
        return Err(no_provider(service, call.group, call.version));
    }
    if let Some(emptied) = variant.chain.run(&call, sets, dice, trace) {
        return Err(none_left(service, &call, &emptied));
    }
    let method = &*call.method;
    let of = |index: usize| terms.endpoints.get(index).map(|settings| settings.of(method));
    let first = sets.candidates.nth(0).and_then(of).unwrap_or_default();
    let choice = Choice {
        service,
        terms,
        method,
        balance: first.balance.unwrap_or_default(),
        tried: request.tried,
        now_ms: request.now_ms,
    };
    let (endpoint, repeats) =
        choice.pick(&sets.candidates, loads, dice, memory).ok_or_else(|| weightless(service))?;
    Ok(decision(service.compat, terms, endpoint, method, request.head.timeout(), repeats))
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
        Cluster::Failfast => 0,
        Cluster::Failover => retries.unwrap_or(DEFAULT_RETRIES),
    };
    let said = settings.timeout.filter(|timeout| !timeout.is_zero());
    let timeout = if ordered { said } else { asked.or(said) };
    Decision {
        endpoint,
        timeout,
        retries,
        repeats,
        delay: None,
        mirrors: Mirrors::default(),
        directives: None,
        policy: None,
    }
}

/// What configurators make of the endpoints for this caller.
fn terms_of(
    service: &Service,
    variant: &Variant,
    call: &CallView<'_>,
    known: &mut KnownTerms,
) -> Rc<Terms> {
    let Caller { address, application, labels } = call.caller;
    let key = variant_number(service, variant);
    if known.len() > KNOWN_SERVICES {
        known.clear();
    }
    let callers = known.entry(key).or_default();
    if let Some(found) = callers.iter().find(|one| {
        *one.address == *address && *one.application == *application && one.labels == *labels
    }) {
        return found.terms.clone();
    }
    if callers.len() >= KNOWN_CALLERS {
        callers.clear();
    }
    let terms = Rc::new(service.terms_for(variant, &call.caller));
    callers.push(CallerTerms {
        address: address.into(),
        application: application.into(),
        labels: labels.clone(),
        terms: terms.clone(),
    });
    terms
}

/// Tells a service's variants apart.
fn variant_number(service: &Service, variant: &Variant) -> u64 {
    let position = service.variants.iter().position(|one| std::ptr::eq(one, variant));
    let position = position.and_then(|position| u64::try_from(position).ok());
    service.number.wrapping_mul(1 << 16).wrapping_add(position.map_or(0, |position| position + 1))
}

/// What the call asks for.
fn view<'a>(service: &'a Service, request: &Request<'a>) -> Result<CallView<'a>, Fault> {
    let head = request.head;
    let (method, version, group) = match head.target() {
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

/// Fills `found` with the endpoints of the groups and versions asked for.
fn find_members(service: &Service, group: &str, version: &str, found: &mut EndpointSet) {
    found.reset(service.endpoints().len());
    for variant in &service.variants {
        if is_wanted(group, &variant.group) && is_wanted(version, &variant.version) {
            found.unite(&variant.members);
        }
    }
}

fn no_provider(service: &Service, group: &str, version: &str) -> Fault {
    let filled = || service.variants.iter().filter(|variant| !variant.members.is_empty());
    let mut known: Vec<String> = filled()
        .take(8)
        .map(|variant| {
            let count = variant.members.count();
            format!("{} ({count})", describe(&variant.group, &variant.version))
        })
        .collect();
    let more = filled().count() - known.len();
    if more > 0 {
        known.push(format!("and {more} more"));
    }
    if known.is_empty() {
        known.push("none: all are disabled".to_owned());
    }
    if service.endpoints().is_empty() {
        return Fault::new(
            Reason::NoEndpoint,
            format!("{} has no endpoints now", service.name()),
            "start a provider, or see whether it is registered",
        );
    }
    Fault::new(
        Reason::NoEndpoint,
        format!(
            "no endpoint provides {} in {}; it is provided in {}",
            service.name(),
            describe(group, version),
            known.join(", ")
        ),
        "ask for a group and version that is provided, or start a provider for this one",
    )
}

fn describe(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "no group".to_owned() } else { format!("group {group}") };
    let version =
        if version.is_empty() { "no version".to_owned() } else { format!("version {version}") };
    format!("{group}, {version}")
}

fn unreadable(service: &Service, what: &str, error: &codec::DecodeError) -> Fault {
    Fault::new(
        Reason::Unreadable,
        format!("the {what} of a call for {} cannot be read: {error}", service.name()),
        "provide the service in one version and group only, or call it in a serialization that \
         can be read",
    )
}

/// Rules left nobody: says which one was the last to take endpoints away.
fn none_left(service: &Service, call: &CallView<'_>, emptied: &Emptied<'_>) -> Fault {
    let caller = match call.caller.application {
        "" => "an unnamed application",
        name => name,
    };
    let reason = match emptied.verdict {
        Verdict::Denied(_) => Reason::Denied,
        _ => Reason::NoEndpoint,
    };
    Fault::new(
        reason,
        format!(
            "rule {} line {} leaves no endpoint of {} for {} called from {caller} at {}: it {}",
            emptied.step.rule,
            emptied.step.line,
            service.name(),
            call.method,
            call.caller.address,
            emptied.verdict.note(call)
        ),
        "change the rule, or start an endpoint that it allows",
    )
}

fn weightless(service: &Service) -> Fault {
    Fault::new(
        Reason::NoEndpoint,
        format!("every endpoint left for {} has weight 0", service.name()),
        "give one of them a weight of at least 1",
    )
}
