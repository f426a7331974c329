//! One call, one decision: which endpoint, how long, how often again.

use std::collections::BTreeMap;
use std::time::Duration;

use codec::{Fault, Reason, RequestHead};

use crate::endpoint::EndpointId;
use crate::service::{Service, Variant, is_wanted};
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

/// Memory that decisions reuse, so that they allocate nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    candidates: EndpointSet,
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
    let (method, version) = match request.head.target() {
        Ok(target) => (target.method, target.version),
        Err(error) => match service.variants.as_slice() {
            [only] => ("", &*only.version),
            _ => {
                return Err(Fault::new(
                    Reason::Unreadable,
                    format!("the version of a call for {} cannot be read: {error}", service.name()),
                    "provide the service in one version and group only, or call it in a \
                     serialization that can be read",
                ));
            }
        },
    };
    let group = if service.grouped {
        request.head.group().map_err(|error| {
            Fault::new(
                Reason::Unreadable,
                format!("the group of a call for {} cannot be read: {error}", service.name()),
                "provide the service in one group only, or call it in a serialization that can \
                 be read",
            )
        })?
    } else {
        ""
    };
    find_members(service, group, version, &mut scratch.candidates);
    if scratch.candidates.is_empty() {
        return Err(no_provider(service, group, version));
    }
    let first = scratch.candidates.nth(0).and_then(|index| service.settings.get(index));
    let balance = first.and_then(|settings| settings.of(method).balance).unwrap_or_default();
    let Scratch { candidates, usable } = scratch;
    let (endpoint, repeats) = pick(service, request, balance, loads, dice, candidates, usable)
        .ok_or_else(|| weightless(service))?;
    let settings =
        service.settings.get(endpoint).map(|settings| settings.of(method)).unwrap_or_default();
    Ok(Decision {
        endpoint,
        timeout: request.head.timeout().or(settings.timeout),
        retries: settings.retries.unwrap_or(DEFAULT_RETRIES),
        repeats,
    })
}

/// Fills `found` with the endpoints of the group and version asked for.
fn find_members(service: &Service, group: &str, version: &str, found: &mut EndpointSet) {
    let same = |variant: &&Variant| *variant.group == *group && *variant.version == *version;
    if let Some(variant) = service.variants.iter().find(same) {
        found.copy_from(&variant.members);
        return;
    }
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
    // Ask about health only where the dice fall: leaving out what is not
    // available and rolling again gives the same distribution as asking first.
    for available_only in [true, false] {
        usable.copy_from(candidates);
        if service.has_weightless {
            for index in candidates.iter() {
                if service.endpoints().get(index).is_none_or(|endpoint| endpoint.weight == 0) {
                    usable.remove(index);
                }
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
        let weight = service.endpoints().get(index).map_or(0, |endpoint| endpoint.weight);
        if weight > 0 && is_tried(index) {
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
    let mut ticket = (roll * total as f64) as u64;
    if ticket >= total {
        ticket = total.checked_sub(1)?;
    }
    for index in usable.iter() {
        let share = weight(index);
        if ticket < share {
            return Some(index);
        }
        ticket -= share;
    }
    None
}

fn index_of(roll: f64, count: usize) -> usize {
    ((roll * count as f64) as usize).min(count.saturating_sub(1))
}

fn no_provider(service: &Service, group: &str, version: &str) -> Fault {
    let mut known: Vec<String> = service
        .variants
        .iter()
        .take(8)
        .map(|variant| {
            let count = variant.members.count();
            format!("{} ({count})", describe(&variant.group, &variant.version))
        })
        .collect();
    if service.variants.len() > known.len() {
        known.push(format!("and {} more", service.variants.len() - known.len()));
    }
    if known.is_empty() {
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

fn weightless(service: &Service) -> Fault {
    Fault::new(
        Reason::NoEndpoint,
        format!("every endpoint left for {} has weight 0", service.name()),
        "give one of them a weight of at least 1",
    )
}
