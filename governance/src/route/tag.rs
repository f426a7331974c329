//! Tags, compiled and run: Dubbo's `TagStateRouter`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::rules::Compat;
use crate::rules::tag::{TagRule, Who};
use crate::rules::{address_is_meant, tag};
use crate::set::EndpointSet;

use super::call::CallView;
use super::{Narrowing, Site, Verdict};

/// The attachment, and the URL parameter, that holds a tag.
const TAG: &str = "dubbo.tag";
/// The attachment, and the URL parameter, that makes tags strict.
const FORCE: &str = "dubbo.force.tag";

/// Who has which tag.
#[derive(Debug)]
pub(crate) struct Tags {
    /// From provider URLs: endpoints without a tag, and those with each.
    untagged: EndpointSet,
    fixed: BTreeMap<Box<str>, EndpointSet>,
    /// From the rule, where one counts.
    rule: Option<Dynamic>,
}

#[derive(Debug)]
struct Dynamic {
    force: bool,
    tags: BTreeMap<Box<str>, EndpointSet>,
    /// Endpoints without any of these tags.
    others: EndpointSet,
}

impl Tags {
    /// `None` where no call can be affected.
    ///
    /// As documented, calls to a service without a single tag are not asked for
    /// theirs, since that costs time on every call: a strict tag
    /// (`dubbo.force.tag`) that nobody provides then has no effect. Java asks.
    pub(super) fn compile(rule: Option<&TagRule>, site: &Site<'_>, compat: Compat) -> Option<Tags> {
        let length = site.endpoints.len();
        let mut fixed: BTreeMap<Box<str>, EndpointSet> = BTreeMap::new();
        let mut untagged = EndpointSet::empty(length);
        for (index, endpoint) in site.endpoints.iter().enumerate() {
            match endpoint.parameters.get(TAG).filter(|tag| !tag.is_empty()) {
                None => untagged.insert(index),
                Some(tag) => fixed
                    .entry(tag.into())
                    .or_insert_with(|| EndpointSet::empty(length))
                    .insert(index),
            }
        }
        let dynamic = rule.filter(|rule| rule.enabled).map(|rule| Dynamic::compile(rule, site));
        if dynamic.is_none() && fixed.is_empty() && compat == Compat::Documented {
            return None;
        }
        Some(Tags { untagged, fixed, rule: dynamic })
    }

    pub(super) fn run(&self, call: &CallView<'_>, sets: &mut Narrowing) -> Verdict<'_> {
        let asked = value_of(call, TAG);
        let tag = asked.as_deref().filter(|tag| !tag.is_empty());
        let Some(rule) = &self.rule else { return self.run_fixed(call, tag, sets) };
        let Some(tag) = tag else {
            sets.candidates.intersect(&rule.others);
            sets.candidates.intersect(&self.untagged);
            return Verdict::Plain("the call has no tag: endpoints with one are left out");
        };
        let strict = is_strict(call);
        sets.next.copy_from(&sets.candidates);
        let found = rule.find(tag, strict);
        match found {
            Some(members) => sets.next.intersect(members),
            None => match self.fixed.get(tag) {
                Some(members) => sets.next.intersect(members),
                None => sets.next.clear(),
            },
        }
        if !sets.next.is_empty() || strict || found.is_some() && rule.force {
            std::mem::swap(&mut sets.candidates, &mut sets.next);
            return Verdict::Plain(match (sets.candidates.is_empty(), strict) {
                (false, _) => "endpoints with the call's tag",
                (true, true) => "no endpoint has the call's tag, and dubbo.force.tag is true",
                (true, false) => "no endpoint has the call's tag, and force is true",
            });
        }
        sets.candidates.intersect(&rule.others);
        sets.candidates.intersect(&self.untagged);
        Verdict::Plain("no endpoint has the call's tag: those without any are taken")
    }

    /// Without a rule, tags in provider URLs count alone.
    fn run_fixed(
        &self,
        call: &CallView<'_>,
        tag: Option<&str>,
        sets: &mut Narrowing,
    ) -> Verdict<'_> {
        let Some(tag) = tag else {
            let before = sets.candidates.count();
            sets.candidates.intersect(&self.untagged);
            return if sets.candidates.count() == before {
                Verdict::Silent
            } else {
                Verdict::Plain("the call has no tag: endpoints with one are left out")
            };
        };
        sets.next.copy_from(&sets.candidates);
        match self.fixed.get(tag) {
            Some(members) => sets.next.intersect(members),
            None => sets.next.clear(),
        }
        if !sets.next.is_empty() {
            std::mem::swap(&mut sets.candidates, &mut sets.next);
            return Verdict::Plain("endpoints with the call's tag");
        }
        if is_strict(call) {
            sets.candidates.clear();
            return Verdict::Plain("no endpoint has the call's tag, and dubbo.force.tag is true");
        }
        sets.candidates.intersect(&self.untagged);
        Verdict::Plain("no endpoint has the call's tag: those without any are taken")
    }
}

impl Dynamic {
    fn compile(rule: &TagRule, site: &Site<'_>) -> Dynamic {
        let length = site.endpoints.len();
        let mut tags: BTreeMap<Box<str>, EndpointSet> = BTreeMap::new();
        // Tags by address first, then those by match, which go over them.
        for tag::Tag { name, who } in &rule.tags {
            if let Who::Addresses(addresses) = who {
                let set = EndpointSet::of(length, |index| {
                    site.endpoints.get(index).is_some_and(|endpoint| {
                        addresses.iter().any(|address| {
                            address_is_meant(address, &endpoint.host, endpoint.port)
                                || address.strip_prefix("0.0.0.0:")
                                    == Some(&endpoint.port.to_string())
                        })
                    })
                });
                tags.insert(name.clone(), set);
            }
        }
        for tag::Tag { name, who } in &rule.tags {
            if let Who::Match(matches) = who {
                let set = EndpointSet::of(length, |index| {
                    site.endpoints.get(index).is_some_and(|endpoint| {
                        matches.iter().all(|(key, value)| {
                            value
                                .as_ref()
                                .is_some_and(|value| value.is_match(endpoint.parameters.get(key)))
                        })
                    })
                });
                // A match that nobody passes counts as no tag at all.
                if set.meets(site.members) {
                    tags.insert(name.clone(), set);
                }
            }
        }
        let mut tagged = EndpointSet::empty(length);
        for set in tags.values() {
            tagged.unite(set);
        }
        let mut others = EndpointSet::of(length, |_| true);
        others.subtract(&tagged);
        Dynamic { force: rule.force, tags, others }
    }

    /// Who has a tag; of `a|b|c`, the longest known of itself, `a|b` and `a`,
    /// unless the call is strict (`TagStateRouter.selectAddressByTagLevel`).
    fn find(&self, tag: &str, strict: bool) -> Option<&EndpointSet> {
        if strict {
            return self.tags.get(tag);
        }
        let mut level = tag;
        loop {
            if let Some(found) = self.tags.get(level) {
                return Some(found);
            }
            level = level.rsplit_once('|')?.0;
        }
    }
}

/// The call's attachment, or the caller's parameter where that is missing or
/// empty.
fn value_of<'a>(call: &'a CallView<'_>, name: &str) -> Option<Cow<'a, str>> {
    match call.head.field(name) {
        Ok(Some(value)) if !value.is_empty() => Some(value),
        _ => call.parameter(name).map(Cow::Borrowed),
    }
}

/// Whether the call insists on its tag. An attachment goes before the caller's
/// parameter even where it is not `true`.
fn is_strict(call: &CallView<'_>) -> bool {
    let is_true = |value: &str| value.eq_ignore_ascii_case("true");
    match call.head.field(FORCE) {
        Ok(Some(value)) => is_true(&value),
        _ => call.parameter(FORCE).is_some_and(is_true),
    }
}
