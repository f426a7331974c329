//! Condition rules: `<service>.condition-router` and `<app>.condition-router`,
//! in their old form (`when => then`) and the one of v3.1 (`from`, `to`).
//!
//! Semantics: Dubbo 3.3.6, `ConditionRuleParser`, `ConditionStateRouter` and
//! `MultiDestConditionRouter`. How they run: [`crate::route`].

mod expression;
mod pattern;
mod read;
mod source;
mod tokens;
mod traps;

pub(crate) use expression::{Clause, Condition, Expression, Side};
pub(crate) use pattern::Pattern;
pub(crate) use read::{ConditionRule, Conditions, Split};
pub(crate) use source::{SENTINEL, Source};
