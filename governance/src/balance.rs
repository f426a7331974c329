//! Which of several endpoints: health, weight, and the balancers.

mod places;

use std::collections::HashMap;

use codec::RequestHead;
use foldhash::fast::FixedState;

use crate::decide::{Dice, Loads};
use crate::directives::Warmup;
use crate::endpoint::{Endpoint, EndpointId};
use crate::hash::{HashArguments, Ring};
use crate::rules::Compat;
use crate::service::Service;
use crate::set::EndpointSet;
use crate::settings::{Balance, MethodSettings, Terms};

pub(crate) use places::{Places, hash_of};

/// What a pick is made from.
pub(crate) struct Choice<'a> {
    pub(crate) service: &'a Service,
    pub(crate) terms: &'a Terms,
    pub(crate) method: &'a str,
    pub(crate) head: &'a dyn RequestHead,
    /// What is said of the first endpoint, which counts for all in Dubbo.
    pub(crate) settings: MethodSettings,
    /// The first endpoint that is available, whatever the balancer.
    pub(crate) takes_first: bool,
    /// A destination rule's warm-up, which then counts before Dubbo's own.
    pub(crate) warmup: Option<&'a Warmup>,
    /// What the call hashes to, and the table of the destination rule to look that
    /// up in.
    pub(crate) hashed: Option<(u64, &'a Places)>,
    pub(crate) tried: &'a [EndpointId],
    pub(crate) now_ms: u64,
}

/// Memory that picks reuse or need to remember.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    usable: EndpointSet,
    turns: Turns,
    /// The endpoint that a service's sticky calls went to last.
    stuck: HashMap<Box<str>, EndpointId, FixedState>,
}

/// How far each endpoint's next turn is, by service.
type Turns = HashMap<Box<str>, HashMap<EndpointId, i64, FixedState>, FixedState>;

impl Choice<'_> {
    /// Picks one of `candidates` and says whether it was tried before.
    ///
    /// What is unavailable or was tried is taken only when there is no better
    /// one: tried ones come last.
    pub(crate) fn pick(
        &self,
        candidates: &EndpointSet,
        loads: &dyn Loads,
        dice: &mut dyn Dice,
        memory: &mut Memory,
    ) -> Option<(usize, bool)> {
        if self.settings.sticky != Some(true) {
            return self.pick_afresh(candidates, loads, dice, memory);
        }
        let name = self.service.name();
        if let Some(&stuck) = memory.stuck.get(name)
            && !self.tried.contains(&stuck)
            && loads.is_available(stuck)
            && let Some(index) = candidates.iter().find(|&index| self.id(index) == Some(stuck))
        {
            return Some((index, false));
        }
        let picked = self.pick_afresh(candidates, loads, dice, memory);
        if let Some(id) = picked.and_then(|(index, _)| self.id(index)) {
            match memory.stuck.get_mut(name) {
                Some(stuck) => *stuck = id,
                None => drop(memory.stuck.insert(name.into(), id)),
            }
        }
        picked
    }

    fn pick_afresh(
        &self,
        candidates: &EndpointSet,
        loads: &dyn Loads,
        dice: &mut dyn Dice,
        memory: &mut Memory,
    ) -> Option<(usize, bool)> {
        let Memory { usable, turns, .. } = memory;
        let is_tried = |index| self.id(index).is_some_and(|id| self.tried.contains(&id));
        let is_weightless = |index: usize| {
            self.terms.endpoints.get(index).is_none_or(|settings| settings.weight(self.method) == 0)
        };
        // In Java weights count only where there is one above 0.
        let skip_weightless = self.terms.has_weightless
            && (self.service.compat == Compat::Documented
                || self.balance() != Balance::ConsistentHash
                    && candidates.iter().any(|index| !is_weightless(index)));
        // Ask about health only where the choice falls: leaving out what is not
        // available and choosing again gives the same distribution as asking first.
        for available_only in [true, false] {
            usable.copy_from(candidates);
            if skip_weightless {
                for index in candidates.iter().filter(|&index| is_weightless(index)) {
                    usable.remove(index);
                }
            }
            if !self.tried.is_empty() {
                for index in candidates.iter().filter(|&index| is_tried(index)) {
                    usable.remove(index);
                }
            }
            while let Some(index) = self.choose(usable, loads, dice, turns) {
                if !available_only || self.id(index).is_some_and(|id| loads.is_available(id)) {
                    return Some((index, false));
                }
                usable.remove(index);
            }
        }
        usable.copy_from(candidates);
        while let Some(index) = self.choose(usable, loads, dice, turns) {
            if is_tried(index) && !(skip_weightless && is_weightless(index)) {
                return Some((index, true));
            }
            usable.remove(index);
        }
        None
    }

    fn balance(&self) -> Balance {
        self.settings.balance.unwrap_or_default()
    }

    fn id(&self, index: usize) -> Option<EndpointId> {
        self.endpoint(index).map(|endpoint| endpoint.id)
    }

    fn endpoint(&self, index: usize) -> Option<&Endpoint> {
        self.service.endpoints().get(index)
    }

    fn weight(&self, index: usize) -> u64 {
        self.terms.endpoints.get(index).map_or(0, |settings| {
            if let Some(warmup) = self.warmup {
                let share = warmup.share(settings.started_ms, self.now_ms);
                let weight = u64::from(settings.weight(self.method)) * FINE;
                return if weight == 0 { 0 } else { ((weight as f64 * share) as u64).max(1) };
            }
            u64::from(if self.now_ms >= self.terms.warm_from_ms {
                settings.weight(self.method)
            } else {
                settings.weight_at(self.method, self.now_ms)
            })
        })
    }

    /// Picks one of a set by the balancer alone.
    fn choose(
        &self,
        usable: &mut EndpointSet,
        loads: &dyn Loads,
        dice: &mut dyn Dice,
        turns: &mut Turns,
    ) -> Option<usize> {
        let count = usable.count();
        if count <= 1 || self.takes_first {
            return usable.nth(0);
        }
        if let Some((hash, places)) = self.hashed {
            return places.find(hash, usable).or_else(|| usable.nth(0));
        }
        match self.balance() {
            Balance::Random => self.weighted(usable, dice.roll()),
            Balance::P2c => {
                let first = index_of(dice.roll(), count);
                let second = (first + 1 + index_of(dice.roll(), count - 1)) % count;
                let (first, second) = (usable.nth(first)?, usable.nth(second)?);
                let cost = |index: usize| {
                    Some(loads.cost(self.id(index)?) / self.weight(index).max(1) as f64)
                };
                if cost(second)? < cost(first)? { Some(second) } else { Some(first) }
            }
            Balance::LeastActive => self.least(usable, dice, |id| f64::from(loads.active(id))),
            Balance::ShortestResponse => self.least(usable, dice, |id| loads.cost(id)),
            Balance::RoundRobin => self.next_turn(usable, turns),
            Balance::ConsistentHash => {
                let arguments = self.settings.hash_arguments.unwrap_or(HashArguments::FIRST);
                let any = || (dice.roll() * f64::from(u32::MAX)) as u32;
                let point = arguments.point(self.head).unwrap_or_else(any);
                self.terms.ring(&self.settings).and_then(|ring: &Ring| ring.next(point, usable))
            }
        }
    }

    /// A weighted pick: the first endpoint whose share the roll falls into,
    /// shares being half-open, so that a share is exactly its weight.
    fn weighted(&self, usable: &EndpointSet, roll: f64) -> Option<usize> {
        let total: u64 = usable.iter().map(|index| self.weight(index)).sum();
        if total == 0 {
            return usable.nth(index_of(roll, usable.count()));
        }
        let mut ticket = ticket(roll, total);
        for index in usable.iter() {
            let share = self.weight(index);
            if ticket < share {
                return Some(index);
            }
            ticket -= share;
        }
        None
    }

    /// One of those that measure least, by weight.
    fn least(
        &self,
        usable: &EndpointSet,
        dice: &mut dyn Dice,
        measure: impl Fn(EndpointId) -> f64,
    ) -> Option<usize> {
        let of = |index: usize| self.id(index).map_or(f64::MAX, &measure);
        let least = usable.iter().map(of).fold(f64::MAX, f64::min);
        let is_least = |index: &usize| of(*index) <= least;
        let total: u64 = usable.iter().filter(is_least).map(|index| self.weight(index)).sum();
        let roll = dice.roll();
        if total == 0 {
            let count = usable.iter().filter(is_least).count();
            return usable.iter().filter(is_least).nth(index_of(roll, count));
        }
        let mut ticket = ticket(roll, total);
        for index in usable.iter().filter(is_least) {
            let share = self.weight(index);
            if ticket < share {
                return Some(index);
            }
            ticket -= share;
        }
        None
    }

    /// Smooth weighted round robin: everybody gains its weight, the one furthest
    /// ahead takes its turn and falls back by the sum.
    fn next_turn(&self, usable: &EndpointSet, turns: &mut Turns) -> Option<usize> {
        let name = self.service.name();
        if !turns.contains_key(name) {
            turns.insert(name.into(), HashMap::default());
        }
        let ahead = turns.get_mut(name)?;
        let mut total = 0;
        let mut best: Option<(i64, usize, EndpointId)> = None;
        for index in usable.iter() {
            let id = self.id(index)?;
            let weight = i64::try_from(self.weight(index)).unwrap_or(i64::MAX);
            total += weight;
            let gained = ahead.entry(id).or_insert(0);
            *gained += weight;
            if best.is_none_or(|(most, _, _)| *gained > most) {
                best = Some((*gained, index, id));
            }
        }
        let (_, index, id) = best?;
        if let Some(gained) = ahead.get_mut(&id) {
            *gained -= total;
        }
        // Endpoints that are gone shall not be remembered for ever.
        if ahead.len() > 2 * self.service.endpoints().len() + 16 {
            let known = |id: &EndpointId| self.service.endpoints().iter().any(|e| e.id == *id);
            ahead.retain(|id, _| known(id));
        }
        Some(index)
    }
}

/// Weights that grow smoothly need small steps.
const FINE: u64 = 1000;

impl Warmup {
    /// The share of its weight that an endpoint gets which started then; one that
    /// does not say when counts as warm.
    fn share(&self, started_ms: Option<u64>, now_ms: u64) -> f64 {
        let Some(started) = started_ms else { return 1.0 };
        let age = now_ms.saturating_sub(started) as f64 / self.duration.as_millis().max(1) as f64;
        if age >= 1.0 {
            return 1.0;
        }
        age.powf(1.0 / self.aggression).max(self.minimum_percent / 100.0)
    }
}

/// The ticket, below `total`, that a roll stands for.
pub(crate) fn ticket(roll: f64, total: u64) -> u64 {
    ((roll * total as f64) as u64).min(total.saturating_sub(1))
}

fn index_of(roll: f64, count: usize) -> usize {
    ((roll * count as f64) as usize).min(count.saturating_sub(1))
}
