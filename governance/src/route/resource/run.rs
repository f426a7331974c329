//! Routing one call: the first route that is about it decides.

use std::sync::Arc;
use std::time::Duration;

use codec::{Fault, Reason};

use super::matches::{Asked, Missed};
use super::{Entry, Policy, Routes, Target, answer};
use crate::balance::{hash_of, ticket};
use crate::decide::{Dice, none_left};
use crate::directives::{Directives, HashSource, TrafficPolicy};
use crate::endpoint::EndpointId;
use crate::route::{CallView, Narrowing, Trace};
use crate::rules::resource::Resource;
use crate::rules::resource::route::{Action, Destination, Percentage, Route, Weighted};
use crate::service::Service;

/// What became of a call that was routed.
#[derive(Default)]
pub(crate) struct Taken<'r> {
    /// Where it goes; `None` where no resource is about the service.
    pub(crate) target: Option<&'r Target>,
    /// What its route orders.
    pub(crate) directives: Option<&'r Arc<Directives>>,
    /// How long it waits first.
    pub(crate) delay: Option<Duration>,
    /// Its route's place, for mirrors.
    entry: Option<(&'r Routes, Entry)>,
}

/// A call to route.
pub(crate) struct Routed<'a> {
    pub(crate) call: &'a CallView<'a>,
    pub(crate) service: &'a Service,
    /// Endpoints that were tried for it: then it was routed before, and no fault
    /// is injected again.
    pub(crate) tried: &'a [EndpointId],
}

impl Routes {
    /// Narrows the candidates down to one destination.
    ///
    /// # Errors
    /// What the caller gets where no route is about the call, its destination
    /// has no endpoint, or a route answers or fails it.
    pub(crate) fn run<T: Trace>(
        &self,
        routed: &Routed<'_>,
        sets: &mut Narrowing,
        dice: &mut dyn Dice,
        trace: &mut T,
    ) -> Result<Taken<'_>, Fault> {
        let Some(first) = self.resources.first() else {
            let taken = Taken { target: self.plain(), ..Taken::default() };
            taken.trace_policy(routed.service, sets, trace);
            return Ok(taken);
        };
        let asked = Asked::new(routed.call);
        for entry in &self.entries {
            let Some((resource, route)) = self.route(entry.resource, entry.route) else { continue };
            let checked = self.check(entry, route, &asked);
            if let Err(missed) = checked {
                note(resource, route, sets, trace, || asked.note(missed));
                continue;
            }
            if let Action::Delegate(namespace, name) = &route.action {
                note(resource, route, sets, trace, || {
                    format!(
                        "passes over: no VirtualService {namespace}/{name} without hosts is in force"
                    )
                });
                continue;
            }
            return self.take((entry, resource, route), &asked, routed, sets, dice, trace);
        }
        sets.candidates.clear();
        Err(answer::nothing_matches(first, routed))
    }

    fn check<'r>(
        &'r self,
        entry: &Entry,
        route: &'r Route,
        asked: &Asked<'_>,
    ) -> Result<(), Missed<'r>> {
        if let Some((resource, under)) = entry.under
            && let Some((_, root)) = self.route(resource, under)
        {
            asked.check_any(&root.matches)?;
        }
        asked.check_any(&route.matches)
    }

    /// Does what a route says that is about the call.
    fn take<'r, T: Trace>(
        &'r self,
        (entry, resource, route): (&Entry, &'r Resource, &'r Route),
        asked: &Asked<'_>,
        routed: &Routed<'_>,
        sets: &mut Narrowing,
        dice: &mut dyn Dice,
        trace: &mut T,
    ) -> Result<Taken<'r>, Fault> {
        let is_first = routed.tried.is_empty();
        let happens = |share: Percentage, dice: &mut dyn Dice| is_first && share.happens(dice);
        let delay = route.delay.filter(|(_, share)| happens(*share, dice)).map(|(delay, _)| delay);
        let aborted = route.abort.filter(|(_, share)| happens(*share, dice));
        let stop = match (&route.action, aborted) {
            (_, Some((abort, _))) => Some(answer::aborted(abort, delay)),
            (Action::Redirect(redirect), None) => {
                let stop = answer::redirected(redirect, asked, delay);
                Some(stop.with_headers(&route.answer_headers))
            }
            (Action::Respond { status, body }, None) => {
                let stop = answer::responded(*status, body.as_deref(), delay);
                Some(stop.with_headers(&route.answer_headers))
            }
            (Action::Forward(_) | Action::Delegate(..), None) => None,
        };
        if let Some(stop) = stop {
            note(resource, route, sets, trace, || format!("applies: {}", stop.says));
            sets.candidates.clear();
            return Err(stop.into_fault(resource, route, routed));
        }
        let Action::Forward(all) = &route.action else { return Ok(Taken::default()) };
        let before = if T::ON { sets.candidates.count() } else { 0 };
        let chosen = self.choose(entry, all, routed, dice);
        let Some((index, weighted, target)) = chosen else {
            sets.candidates.clear();
            let says = "applies: none of its destinations has a weight";
            note(resource, route, sets, trace, || says.to_owned());
            let fault = none_left(
                routed.service,
                routed.call,
                (&resource.label, route.position.line),
                Reason::NoEndpoint,
                "has no destination with a weight",
            );
            // As the Gateway API's specification has it.
            return Err(answer::with_status(fault, 500));
        };
        sets.candidates.intersect(&target.set);
        let line = weighted.directives.line;
        if T::ON {
            let after = sets.candidates.count();
            let mut says = format!("applies: {}", name_of(&weighted.to));
            if all.len() > 1 {
                let total: u64 = all.iter().map(|one| u64::from(one.weight)).sum();
                says += &format!(
                    ", destination {} of {}, with weight {} of {total}",
                    index + 1,
                    all.len(),
                    weighted.weight
                );
            }
            trace.step(&resource.label, line, before, after, says);
        }
        if sets.candidates.is_empty() {
            return Err(none_left(
                routed.service,
                routed.call,
                (&resource.label, line),
                Reason::NoEndpoint,
                &format!("leads to {}, which has no endpoint", name_of(&weighted.to)),
            ));
        }
        let taken = Taken {
            target: Some(target),
            directives: Some(&weighted.directives),
            delay,
            entry: Some((self, *entry)),
        };
        taken.trace_policy(routed.service, sets, trace);
        Ok(taken)
    }

    /// One of the destinations by weight, each with exactly its share. A call
    /// that is tried again stays with the destination it was routed to.
    fn choose<'r>(
        &'r self,
        entry: &Entry,
        all: &'r [Weighted],
        routed: &Routed<'_>,
        dice: &mut dyn Dice,
    ) -> Option<(usize, &'r Weighted, &'r Target)> {
        let weighty = || {
            let each = all.iter().enumerate().filter(|(_, one)| one.weight > 0);
            each.filter_map(|(index, one)| Some((index, one, self.target(entry, index)?)))
        };
        if let Some(tried) = routed.tried.first() {
            let endpoints = routed.service.endpoints();
            let before = weighty().find(|(_, _, target)| {
                target.set.iter().any(|at| endpoints.get(at).is_some_and(|one| one.id == *tried))
            });
            if before.is_some() {
                return before;
            }
        }
        let total: u64 = weighty().map(|(_, one, _)| u64::from(one.weight)).sum();
        let mut choices = weighty();
        let first = choices.next()?;
        if choices.next().is_none() {
            return Some(first);
        }
        let mut ticket = ticket(dice.roll(), total);
        weighty().find(|(_, one, _)| {
            let share = u64::from(one.weight);
            let is_it = ticket < share;
            ticket = ticket.saturating_sub(share);
            is_it
        })
    }
}

impl<'r> Taken<'r> {
    /// Where copies of the call go, each rolled for.
    pub(crate) fn mirrors(&self) -> impl Iterator<Item = (&'r Target, Percentage)> {
        let found = self.entry.and_then(|(routes, entry)| {
            let (_, route) = routes.route(entry.resource, entry.route)?;
            Some((routes, entry, route))
        });
        found.into_iter().flat_map(|(routes, entry, route)| {
            let before = match &route.action {
                Action::Forward(all) => all.len(),
                _ => 0,
            };
            route.mirrors.iter().enumerate().filter_map(move |(index, (_, share))| {
                Some((routes.target(&entry, before + index)?, *share))
            })
        })
    }

    /// What a destination rule says of an endpoint's port.
    pub(crate) fn policy(&self, port: Option<u16>) -> Option<&'r Policy> {
        self.target?.policy(port?)
    }

    fn trace_policy<T: Trace>(&self, service: &Service, sets: &Narrowing, trace: &mut T) {
        if !T::ON {
            return;
        }
        let first = sets.candidates.nth(0).and_then(|index| service.endpoints().get(index));
        let Some(policy) = self.policy(first.map(|endpoint| endpoint.port)) else { return };
        let said = parts(&policy.policy);
        let count = sets.candidates.count();
        if let Some(target) = self.target.filter(|_| !said.is_empty()) {
            let note = format!("applies: its {}", said.join(", "));
            trace.step(&policy.policy.rule, target.line, count, count, note);
        }
    }
}

/// The parts that a policy has.
fn parts(policy: &TrafficPolicy) -> Vec<String> {
    let named = [
        (policy.balance.map(|balance| format!("load balancing ({})", balance.name()))),
        (policy.hash.as_ref().map(|_| "consistent hash".to_owned())),
        (policy.warmup.as_ref().map(|_| "warm-up".to_owned())),
        (policy.connection_pool.as_ref().map(|_| "connection pool".to_owned())),
        (policy.outlier_detection.as_ref().map(|_| "outlier detection".to_owned())),
        (policy.retry_budget.as_ref().map(|_| "retry budget".to_owned())),
    ];
    named.into_iter().flatten().collect()
}

/// The hash of what a consistent hash looks at; `None` where the call has no such
/// thing.
pub(crate) fn hashed(call: &CallView<'_>, source: &HashSource) -> Option<u64> {
    let asked = Asked::new(call);
    match source {
        HashSource::Header(name) => Some(hash_of(asked.header(name)?.as_bytes())),
        HashSource::SourceAddress => Some(hash_of(call.caller.address.as_bytes())),
        HashSource::QueryParameter(name) => Some(hash_of(asked.parameter(name)?.as_bytes())),
        HashSource::Cookie { name, .. } => Some(hash_of(asked.cookie(name)?.as_bytes())),
    }
}

/// Keeps a note of a route that changed nothing.
fn note<T: Trace>(
    resource: &Resource,
    route: &Route,
    sets: &Narrowing,
    trace: &mut T,
    text: impl FnOnce() -> String,
) {
    if T::ON {
        let count = sets.candidates.count();
        trace.step(&resource.label, route.position.line, count, count, text());
    }
}

/// A destination in words.
fn name_of(to: &Destination) -> String {
    let mut name = to.host.as_deref().unwrap_or("the service").to_owned();
    if let Some(subset) = &to.subset {
        name += &format!(" subset {subset}");
    }
    if let Some(port) = to.port {
        name += &format!(" port {port}");
    }
    name
}
