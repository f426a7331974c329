//! Rules at work: each step narrows the set of candidates that the one before
//! left, in the order of Dubbo's router chain.
//!
//! Rules are read in [`crate::rules`]; here they are compiled for one service's
//! endpoints ([`Chain`]) and run for one call. Explaining is the same run with
//! a [`Trace`] that keeps notes.

mod call;
mod chain;
mod condition;
mod mesh;
mod resource;
mod script;
mod tag;

use std::sync::Arc;

use crate::decide::Dice;
use crate::script::Scripts;
use crate::set::EndpointSet;

pub(crate) use call::{CallView, Mismatch};
pub(crate) use chain::{Chain, Site};
pub(crate) use mesh::names_of;
pub(crate) use resource::{Routed, Routes, Taken, hashed};

/// One rule, or one condition of it, compiled for a service's endpoints.
#[derive(Debug)]
pub(crate) struct Step {
    /// The rule's key.
    pub(crate) rule: Arc<str>,
    /// Where in the rule it stands; 0 for the whole.
    pub(crate) line: u32,
    pub(crate) action: Action,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Action {
    Affinity(condition::Affinity),
    Condition(condition::Condition),
    Split(condition::Split),
    Tag(tag::Tags),
    Mesh(mesh::Mesh),
    Script(script::Script),
}

/// Who wants to know how a call was decided.
pub(crate) trait Trace {
    /// Whether notes are wanted at all; without, none is written.
    const ON: bool;
    /// A rule looked at the call.
    fn step(&mut self, rule: &str, line: u32, before: usize, after: usize, note: String);
}

/// Nobody wants to know.
pub(crate) struct Untraced;

impl Trace for Untraced {
    const ON: bool = false;

    fn step(&mut self, _: &str, _: u32, _: usize, _: usize, _: String) {}
}

/// The sets that steps narrow and reuse, and the scripts that some of them run.
#[derive(Debug, Default)]
pub(crate) struct Narrowing {
    /// Who is left.
    pub(crate) candidates: EndpointSet,
    /// Room for a step's own result.
    pub(crate) next: EndpointSet,
    /// Room for one key's endpoints.
    part: EndpointSet,
    pub(crate) scripts: Scripts,
}

/// What a step did.
pub(crate) enum Verdict<'r> {
    /// Nothing: it is about other calls.
    Elsewhere(Mismatch<'r>),
    /// What it says.
    Plain(&'static str),
    /// It failed: what, and what became of it.
    Failed(String),
    /// It is there to deny such calls.
    Denied(&'static str),
    /// It is no rule of anybody's, and changed nothing.
    Silent,
    /// It chose a subset.
    Subset {
        /// The line of the route that led there.
        line: u32,
        /// Its name.
        subset: &'r str,
    },
    /// It chose one of several destinations.
    Chose {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// Its weight.
        weight: u32,
        /// The weight of all that had endpoints.
        total: u64,
    },
}

impl Verdict<'_> {
    /// In words.
    pub(crate) fn note(&self, call: &CallView<'_>) -> String {
        match self {
            Verdict::Elsewhere(mismatch) => mismatch.note(call),
            Verdict::Plain(text) | Verdict::Denied(text) => (*text).to_owned(),
            Verdict::Failed(text) => text.clone(),
            Verdict::Silent => String::new(),
            Verdict::Subset { subset, .. } => format!("applies: subset {subset}"),
            Verdict::Chose { number, of, weight, total } => {
                format!("applies: destination {number} of {of}, with weight {weight} of {total}")
            }
        }
    }
}

/// The step that left nobody.
pub(crate) struct Emptied<'r> {
    pub(crate) step: &'r Step,
    pub(crate) verdict: Verdict<'r>,
}

impl Step {
    fn run<T: Trace>(
        &self,
        call: &CallView<'_>,
        sets: &mut Narrowing,
        dice: &mut dyn Dice,
        trace: &mut T,
    ) -> Verdict<'_> {
        let before = if T::ON { sets.candidates.count() } else { 0 };
        let verdict = match &self.action {
            Action::Affinity(affinity) => affinity.run(call, sets),
            Action::Condition(condition) => condition.run(call, sets),
            Action::Split(split) => split.run(call, sets, dice),
            Action::Tag(tags) => tags.run(call, sets),
            Action::Mesh(mesh) => mesh.run(call, sets, dice),
            Action::Script(script) => script.run(&self.rule, call, sets),
        };
        if T::ON {
            let after = sets.candidates.count();
            if !matches!(verdict, Verdict::Silent) {
                let line = match verdict {
                    Verdict::Subset { line, .. } => line,
                    _ => self.line,
                };
                trace.step(&self.rule, line, before, after, verdict.note(call));
            }
        }
        verdict
    }
}
