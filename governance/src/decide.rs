//! One call, one decision: which endpoint, how long, how often again.

use std::collections::BTreeMap;
use std::time::Duration;

use codec::{Fault, Reason, RequestHead};

use crate::endpoint::{EndpointId, none_if_zero};
use crate::route::{CallView, Emptied, Narrowing, Trace, Untraced};
use crate::rules::Compat;
use crate::service::{Service, is_wanted};
use crate::set::EndpointSet;
use crate::settings::Balance;

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
}

/// Random numbers.
pub trait Dice {
    /// The next one, at least 0 and below 1.
    fn roll(&mut self) -> f64;
}

impl Scratch {
    /// The endpoints that the last decision chose from, by index.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = usize> + '_ {
        self.sets.candidates.iter()
    }
}

/// Memory that decisions reuse, so that they allocate nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    sets: Narrowing,
    usable: EndpointSet,
}

impl Scratch {
    /// Empty; it grows to the largest service it meets.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Where a call goes and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// Chooses the endpoint for one call.
///
/// An endpoint that is unavailable or was tried is taken only when there is no
/// better one: tried ones come last.
///
/// # Errors
/// A [`Fault`] that names what was asked and what there is:
/// [`Reason::NoEndpoint`], or [`Reason::Unreadable`] where the call's version
/// is needed and cannot be read.
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
    let Scratch { sets, usable } = scratch;
    let chain = match service.variant(call.group, call.version) {
        Some(variant) => {
            sets.candidates.copy_from(&variant.members);
            &variant.chain
        }
        None => {
            find_members(service, call.group, call.version, &mut sets.candidates);
            &service.any.chain
        }
    };
    if sets.candidates.is_empty() {
        return Err(no_provider(service, call.group, call.version));
    }
    if let Some(emptied) = chain.run(&call, sets, dice, trace) {
        return Err(none_left(service, &call, &emptied));
    }
    let Some(first) = sets.candidates.nth(0) else {
        return Err(no_provider(service, call.group, call.version));
    };
    let method = &*call.method;
    let settings_of =
        |index: usize| service.settings.get(index).map(|settings| settings.of(method));
    let balance = settings_of(first).and_then(|settings| settings.balance).unwrap_or_default();
    let (endpoint, repeats) =
        pick(service, request, balance, loads, dice, &sets.candidates, usable)
            .ok_or_else(|| weightless(service))?;
    let settings = settings_of(endpoint).unwrap_or_default();
    Ok(Decision {
        endpoint,
        timeout: request.head.timeout().or(settings.timeout),
        retries: settings.retries.unwrap_or(DEFAULT_RETRIES),
        repeats,
    })
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

/// Picks one of `candidates` and says whether it was tried before.
fn pick(
    service: &Service,
    request: &Request<'_>,
    balance: Balance,
    loads: &dyn Loads,
    dice: &mut dyn Dice,
    candidates: &EndpointSet,
    usable: &mut EndpointSet,
) -> Option<(usize, bool)> {
    let id = |index: usize| service.endpoints().get(index).map(|endpoint| endpoint.id);
    let is_tried = |index| id(index).is_some_and(|id| request.tried.contains(&id));
    let is_weightless =
        |index: usize| service.endpoints().get(index).is_none_or(|endpoint| endpoint.weight == 0);
    // In Java weights count only where there is one above 0.
    let skip_weightless = service.has_weightless
        && (service.compat == Compat::Documented
            || candidates.iter().any(|index| !is_weightless(index)));
    // Ask about health only where the dice fall: leaving out what is not
    // available and rolling again gives the same distribution as asking first.
    for available_only in [true, false] {
        usable.copy_from(candidates);
        if skip_weightless {
            for index in candidates.iter().filter(|&index| is_weightless(index)) {
                usable.remove(index);
            }
        }
        if !request.tried.is_empty() {
            for index in candidates.iter().filter(|&index| is_tried(index)) {
                usable.remove(index);
            }
        }
        while let Some(index) = choose(service, request.now_ms, balance, loads, dice, usable) {
            if !available_only || id(index).is_some_and(|id| loads.is_available(id)) {
                return Some((index, false));
            }
            usable.remove(index);
        }
    }
    usable.copy_from(candidates);
    while let Some(index) = choose(service, request.now_ms, balance, loads, dice, usable) {
        if is_tried(index) && !(skip_weightless && is_weightless(index)) {
            return Some((index, true));
        }
        usable.remove(index);
    }
    None
}

/// Picks one of a set by its balancer alone.
fn choose(
    service: &Service,
    now_ms: u64,
    balance: Balance,
    loads: &dyn Loads,
    dice: &mut dyn Dice,
    usable: &EndpointSet,
) -> Option<usize> {
    let count = usable.count();
    if count <= 1 {
        return usable.nth(0);
    }
    match balance {
        Balance::Random => weighted(service, now_ms, dice.roll(), usable),
        Balance::P2c => {
            let first = index_of(dice.roll(), count);
            let second = (first + 1 + index_of(dice.roll(), count - 1)) % count;
            let (first, second) = (usable.nth(first)?, usable.nth(second)?);
            let cost = |index: usize| {
                let endpoint = service.endpoints().get(index)?;
                Some(loads.cost(endpoint.id) / f64::from(endpoint.weight_at(now_ms).max(1)))
            };
            if cost(second)? < cost(first)? { Some(second) } else { Some(first) }
        }
    }
}

/// A weighted pick: the first endpoint whose share the roll falls into, shares
/// being half-open, so that a share is exactly its weight.
fn weighted(service: &Service, now_ms: u64, roll: f64, usable: &EndpointSet) -> Option<usize> {
    let all_warm = now_ms >= service.warm_from_ms;
    let weight = |index: usize| {
        service.endpoints().get(index).map_or(0, |endpoint| {
            u64::from(if all_warm { endpoint.weight } else { endpoint.weight_at(now_ms) })
        })
    };
    let total: u64 = usable.iter().map(weight).sum();
    if total == 0 {
        return usable.nth(index_of(roll, usable.count()));
    }
    let mut ticket = ticket(roll, total);
    for index in usable.iter() {
        let share = weight(index);
        if ticket < share {
            return Some(index);
        }
        ticket -= share;
    }
    None
}

/// The ticket, below `total`, that a roll stands for.
pub(crate) fn ticket(roll: f64, total: u64) -> u64 {
    ((roll * total as f64) as u64).min(total.saturating_sub(1))
}

fn index_of(roll: f64, count: usize) -> usize {
    ((roll * count as f64) as usize).min(count.saturating_sub(1))
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
    Fault::new(
        Reason::NoEndpoint,
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
