//! Condition and affinity rules, compiled and run.

use crate::balance::ticket;
use crate::decide::Dice;
use crate::endpoint::Endpoint;
use crate::rules::Compat;
use crate::rules::affinity::AffinityRule;
use crate::rules::condition::{
    Clause, Condition as ReadCondition, Expression, SENTINEL, Source, Split as ReadSplit,
};
use crate::set::EndpointSet;

use super::call::CallView;
use super::{Narrowing, Verdict};

/// `when => then`.
#[derive(Debug)]
pub(crate) struct Condition {
    when: Expression,
    /// `None`: nobody may answer.
    then: Option<Then>,
    force: bool,
}

/// `from … to …`: one destination is chosen by weight.
#[derive(Debug)]
pub(crate) struct Split {
    when: Expression,
    to: Vec<(Then, u32)>,
    force: bool,
    compat: Compat,
}

/// Endpoints alike the caller are preferred, where they are enough.
#[derive(Debug)]
pub(crate) struct Affinity {
    alike: Then,
    ratio: u32,
}

/// The endpoints that an expression means.
#[derive(Debug)]
struct Then {
    /// Those that match whatever does not depend on the caller.
    fixed: EndpointSet,
    /// What depends on the caller.
    columns: Vec<Column>,
}

/// The values that endpoints have for one key, and who has which.
#[derive(Debug)]
struct Column {
    clause: Clause,
    values: Vec<(Box<str>, EndpointSet)>,
}

impl Condition {
    pub(super) fn compile(read: &ReadCondition, force: bool, endpoints: &[Endpoint]) -> Self {
        let then = read.then.as_ref().map(|then| {
            if then.clauses.is_empty() {
                // Java: a right side of separators only matches nobody.
                Then { fixed: EndpointSet::empty(endpoints.len()), columns: Vec::new() }
            } else {
                Then::compile(then, endpoints)
            }
        });
        Condition { when: read.when.clone(), then, force }
    }

    pub(super) fn run(&self, call: &CallView<'_>, sets: &mut Narrowing) -> Verdict<'_> {
        if let Err(mismatch) = call.check(&self.when) {
            return Verdict::Elsewhere(mismatch);
        }
        let Some(then) = &self.then else {
            sets.candidates.clear();
            return Verdict::Denied("applies and denies the call: there is nothing right of =>");
        };
        sets.next.copy_from(&sets.candidates);
        then.narrow(call, &mut sets.next, &mut sets.part);
        if !sets.next.is_empty() {
            std::mem::swap(&mut sets.candidates, &mut sets.next);
            return Verdict::Plain("applies");
        }
        if self.force {
            sets.candidates.clear();
            return Verdict::Plain("applies, no endpoint matches, and force is true");
        }
        Verdict::Plain("applies, but no endpoint matches; left out, since force is false")
    }
}

impl Affinity {
    pub(super) fn compile(rule: &AffinityRule, endpoints: &[Endpoint]) -> Self {
        Affinity { alike: Then::compile(&rule.alike, endpoints), ratio: rule.ratio }
    }

    pub(super) fn run(&self, call: &CallView<'_>, sets: &mut Narrowing) -> Verdict<'_> {
        sets.next.copy_from(&sets.candidates);
        self.alike.narrow(call, &mut sets.next, &mut sets.part);
        let (alike, all) = (sets.next.count(), sets.candidates.count());
        if alike == 0 || alike * 100 < all * self.ratio as usize {
            return Verdict::Plain("too few endpoints are like the caller: all are kept");
        }
        std::mem::swap(&mut sets.candidates, &mut sets.next);
        Verdict::Plain("applies: endpoints like the caller are kept")
    }
}

impl Split {
    pub(super) fn compile(
        read: &ReadSplit,
        force: bool,
        endpoints: &[Endpoint],
        compat: Compat,
    ) -> Self {
        let to = read
            .to
            .iter()
            .map(|target| (Then::compile(&target.then, endpoints), target.weight))
            .collect();
        Split { when: read.when.clone(), to, force, compat }
    }

    pub(super) fn run(
        &self,
        call: &CallView<'_>,
        sets: &mut Narrowing,
        dice: &mut dyn Dice,
    ) -> Verdict<'_> {
        if let Err(mismatch) = call.check(&self.when) {
            return Verdict::Elsewhere(mismatch);
        }
        if self.to.is_empty() {
            sets.candidates.clear();
            return Verdict::Denied("applies and denies the call: it has no destination");
        }
        // Destinations without endpoints drop out, and their weights with them.
        let mut total = 0_u64;
        let mut filled = 0;
        let mut only = None;
        for (index, (then, weight)) in self.to.iter().enumerate() {
            sets.next.copy_from(&sets.candidates);
            then.narrow(call, &mut sets.next, &mut sets.part);
            if *weight > 0 && !sets.next.is_empty() {
                total += u64::from(*weight);
                filled += 1;
                only = Some(index);
            }
        }
        let chosen = match filled {
            0 if self.force => {
                sets.candidates.clear();
                return Verdict::Plain("applies, no destination has endpoints, and force is true");
            }
            0 => {
                return Verdict::Plain(
                    "applies, but no destination has endpoints; left out, since force is false",
                );
            }
            1 => only,
            _ => self.draw(call, sets, ticket(dice.roll(), total)),
        };
        let Some((index, (then, weight))) =
            chosen.and_then(|index| Some((index, self.to.get(index)?)))
        else {
            return Verdict::Plain("applies to no destination");
        };
        then.narrow(call, &mut sets.candidates, &mut sets.part);
        Verdict::Chose { number: index + 1, of: self.to.len(), weight: *weight, total }
    }

    /// The destination that a ticket falls to. Java takes `ticket <= weight` for
    /// it (`DestinationSet.randDestination`), one ticket too many for the first.
    fn draw(&self, call: &CallView<'_>, sets: &mut Narrowing, mut ticket: u64) -> Option<usize> {
        for (index, (then, weight)) in self.to.iter().enumerate() {
            sets.next.copy_from(&sets.candidates);
            then.narrow(call, &mut sets.next, &mut sets.part);
            let weight = u64::from(*weight);
            if weight == 0 || sets.next.is_empty() {
                continue;
            }
            if ticket < weight || self.compat == Compat::Java && ticket == weight {
                return Some(index);
            }
            ticket -= weight;
        }
        None
    }
}

impl Then {
    fn compile(expression: &Expression, endpoints: &[Endpoint]) -> Then {
        let (dynamic, fixed): (Vec<&Clause>, Vec<&Clause>) =
            expression.clauses.iter().partition(|clause| clause.needs_caller());
        let fixed = EndpointSet::of(endpoints.len(), |index| {
            endpoints.get(index).is_some_and(|endpoint| {
                fixed.iter().all(|clause| {
                    with_value(endpoint, &clause.source, |value| {
                        value.is_some_and(|value| clause.is_match(value, &|_| None))
                    })
                })
            })
        });
        let columns =
            dynamic.into_iter().map(|clause| Column::compile(clause, endpoints)).collect();
        Then { fixed, columns }
    }

    /// Takes out of `set` whoever is not meant.
    fn narrow(&self, call: &CallView<'_>, set: &mut EndpointSet, part: &mut EndpointSet) {
        set.intersect(&self.fixed);
        for column in &self.columns {
            part.copy_from(set);
            set.clear();
            for (value, who) in &column.values {
                if column.clause.is_match(value, &|name| call.variable(name)) {
                    set.unite(who);
                }
            }
            set.intersect(part);
        }
    }
}

impl Column {
    fn compile(clause: &Clause, endpoints: &[Endpoint]) -> Column {
        let mut values: std::collections::BTreeMap<Box<str>, EndpointSet> = Default::default();
        for (index, endpoint) in endpoints.iter().enumerate() {
            with_value(endpoint, &clause.source, |value| {
                let Some(value) = value else { return };
                match values.get_mut(value) {
                    Some(who) => who.insert(index),
                    None => {
                        let mut who = EndpointSet::empty(endpoints.len());
                        who.insert(index);
                        values.insert(value.into(), who);
                    }
                }
            });
        }
        Column { clause: clause.clone(), values: values.into_iter().collect() }
    }
}

/// Hands on what an endpoint has for a key: a parameter, or a part of its
/// address, which goes before a parameter of the same name
/// (`URL.toOriginalMap`).
fn with_value<R>(endpoint: &Endpoint, source: &Source, then: impl FnOnce(Option<&str>) -> R) -> R {
    let key = match source {
        Source::Parameter(key) => &**key,
        Source::Method => "method",
        Source::Argument(_) | Source::Attachment(_) | Source::Sentinel => {
            return then(Some(SENTINEL));
        }
    };
    match key {
        "protocol" => then(Some(&endpoint.protocol)),
        "host" => then(Some(&endpoint.host)),
        "port" if endpoint.port > 0 => then(Some(&endpoint.port.to_string())),
        "address" => then(Some(&endpoint.address)),
        "path" => then(Some(endpoint.path())),
        _ => then(endpoint.parameters.get(key)),
    }
}
