//! What a change of rules would do: calls, each decided many times before the
//! change and after it, by tables made of one look at the store.
//!
//! Nothing is changed here, and no second way to decide: see [`crate::explain`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use governance::explain::{Explanation, Question, WrittenCall};
use governance::rules::RuleKey;
use governance::{Affected, Compat, Endpoint, EndpointIds, Origin, RuleSet, ScriptLimits};
use registry::{RuleDocument, View};
use serde::Serialize;

use crate::explain::Stored;

/// How often each call is decided: a share is exact to half a percent.
pub const SAMPLES: u32 = 200;
/// Calls made up at most.
const CALLS: usize = 2_000;
/// Choices that one decision can make at most before dice repeat.
const CHOICES: usize = 8;

/// Documents by key, as they are to be; `None` for one that is to go.
pub type Changes = BTreeMap<String, Option<Arc<RuleDocument>>>;

/// Whose calls documents are about, as they are and as they are to be.
pub fn about(view: &View, changes: &Changes) -> Vec<Affected> {
    let mut about = Vec::new();
    let mut rules = RuleSet::new(Compat::Documented).with_scripts(Some(ScriptLimits::default()));
    // A resource may be about what others are that name it.
    for (key, document) in view.rules.iter().filter(|(key, _)| RuleKey::parse(key).is_none()) {
        rules.apply(key, Some(&document.text), Origin::Store { revision: 0 });
    }
    for (key, document) in changes {
        let before = view.rules.get(key).map(|document| &*document.text);
        let after = document.as_ref().map(|document| &*document.text);
        for text in [before, after] {
            let affected = rules.apply(key, text, Origin::Store { revision: 0 }).affected;
            if affected != Affected::Nothing && !about.contains(&affected) {
                about.push(affected);
            }
        }
    }
    about
}

/// The view as it would be.
pub fn changed(view: &View, changes: &Changes) -> View {
    let mut after = view.clone();
    for (key, document) in changes {
        match document {
            Some(document) => after.rules.insert(key.clone(), Arc::clone(document)),
            // What was hidden behind it counts then.
            None => match after.hidden.iter().position(|hidden| hidden.key == *key) {
                Some(hidden) => after.rules.insert(key.clone(), after.hidden.remove(hidden)),
                None => after.rules.remove(key),
            },
        };
    }
    after
}

/// The calls that change, of those that were looked at.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Those that change.
    pub calls: Vec<ChangedCall>,
    /// How many do not.
    pub unchanged: usize,
    /// Whether there are more calls than were looked at.
    pub is_cut: bool,
}

/// A call that a change moves.
#[derive(Debug, PartialEq, Serialize)]
pub struct ChangedCall {
    /// The service.
    pub service: String,
    /// Its version; empty for none.
    pub version: String,
    /// Its group; empty for none.
    pub group: String,
    /// The method.
    pub method: String,
    /// The application that calls; empty where it makes no difference.
    pub application: String,
    /// How it is decided now.
    pub before: Decided,
    /// And how it would be.
    pub after: Decided,
}

/// How a call is decided, taken many times.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Decided {
    /// The share of calls that each endpoint gets, from 0 to 1.
    pub endpoints: BTreeMap<String, f64>,
    /// The share of calls that get a fault, by its reason.
    pub faults: BTreeMap<&'static str, f64>,
    /// The deadline, in milliseconds; 0 where there is no endpoint.
    pub timeout_ms: u64,
    /// Attempts after the first.
    pub retries: u32,
}

impl ChangedCall {
    /// Whether more calls than now would get no endpoint.
    pub fn loses(&self) -> bool {
        let lost = |decided: &Decided| decided.faults.values().sum::<f64>();
        lost(&self.after) > lost(&self.before)
    }
}

/// Compares calls before and after a change.
pub fn plan(before: &Stored<'_>, after: &Stored<'_>, calls: &[Question], now_ms: u64) -> Plan {
    let rolls = rolls();
    let mut plan = Plan::default();
    for question in calls {
        let decide =
            |tables: &Stored<'_>| Decided::of(&tables.explain_each(question, &rolls, now_ms));
        let (before, after) = (decide(before), decide(after));
        if before == after {
            plan.unchanged += 1;
            continue;
        }
        let call = &question.call;
        plan.calls.push(ChangedCall {
            service: call.service.clone(),
            version: call.version.clone(),
            group: call.group.clone(),
            method: call.method.clone(),
            application: question.application.clone().unwrap_or_default(),
            before,
            after,
        });
    }
    plan
}

/// Makes up a call of every method that somebody provides, as far as what is
/// `about` these touches it: by nobody in particular, and by each application
/// that is named. Tells whether there are more than it makes.
pub fn calls(
    view: &View,
    before: &Stored<'_>,
    after: &Stored<'_>,
    about: &[Affected],
) -> (Vec<Question>, bool) {
    let mut applications = BTreeSet::from([""]);
    applications.extend(about.iter().filter_map(|about| match about {
        Affected::Application(name) => Some(name.as_str()),
        _ => None,
    }));
    let mut calls = Vec::new();
    for (service, found) in &view.services {
        let is_touched = |application: &str| {
            [before, after].iter().any(|tables| tables.is_affected(service, application, about))
        };
        let callers: Vec<&str> =
            applications.iter().copied().filter(|name| is_touched(name)).collect();
        for (version, group, method) in methods(&found.instances) {
            for application in &callers {
                if calls.len() == CALLS {
                    return (calls, true);
                }
                let call = WrittenCall {
                    service: service.clone(),
                    version: version.clone(),
                    group: group.clone(),
                    method: method.clone(),
                    ..WrittenCall::default()
                };
                calls.push(question(call, application));
            }
        }
    }
    (calls, false)
}

fn question(call: WrittenCall, application: &str) -> Question {
    Question {
        compat: None,
        call,
        address: None,
        application: Some(application.to_owned()),
        labels: None,
        tried: Vec::new(),
        random: Vec::new(),
        now_ms: None,
    }
}

/// Version, group and name of the methods that instances offer; `*` for those of
/// one that names none.
fn methods(instances: &[registry::Instance]) -> BTreeSet<(String, String, String)> {
    let mut ids = EndpointIds::new();
    let mut found = BTreeSet::new();
    for instance in instances {
        let Ok(endpoint) = Endpoint::from_url(&instance.url, &mut ids) else { continue };
        let named = endpoint.parameters.get("methods").unwrap_or("*");
        for method in named.split(',').map(str::trim).filter(|method| !method.is_empty()) {
            found.insert((endpoint.version.clone(), endpoint.group.clone(), method.to_owned()));
        }
    }
    found
}

impl Decided {
    fn of(explanations: &[Explanation]) -> Decided {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        let mut faults: BTreeMap<&'static str, u32> = BTreeMap::new();
        for explained in explanations {
            match (&explained.picked, explained.fault) {
                (Some(picked), _) => *counts.entry(picked).or_default() += 1,
                (None, fault) => *faults.entry(fault.unwrap_or_default()).or_default() += 1,
            }
        }
        let share = |count: u32| f64::from(count) / f64::from(SAMPLES);
        let terms = explanations.iter().find(|explained| explained.picked.is_some());
        Decided {
            endpoints: counts.into_iter().map(|(name, n)| (name.to_owned(), share(n))).collect(),
            faults: faults.into_iter().map(|(reason, n)| (reason, share(n))).collect(),
            timeout_ms: terms.map_or(0, |terms| terms.timeout_ms),
            retries: terms.map_or(0, |terms| terms.retries),
        }
    }
}

/// Rolls that fall evenly: the first of each decision in equal steps, the others
/// by irrational steps, so that no two choices depend on each other.
fn rolls() -> Vec<Vec<f64>> {
    const STEPS: [f64; CHOICES - 1] = [2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0];
    let roll = |sample: u32| {
        let at = f64::from(sample) + 0.5;
        let others = STEPS.iter().map(move |step| (at * step.sqrt()).fract());
        std::iter::once(at / f64::from(SAMPLES)).chain(others).collect()
    };
    (0..SAMPLES).map(roll).collect()
}

#[cfg(test)]
mod tests {
    use registry::{Instance, Origin, Service, ServiceState};

    use super::*;

    const SPLIT: &str = "lab.Echo::.condition-router";

    fn view(urls: &[&str]) -> View {
        let instances = urls.iter().map(|url| Instance { url: (*url).into() }).collect();
        let name = "lab.Echo".to_owned();
        let service = Service { name: name.clone(), instances, state: ServiceState::Live };
        View { services: BTreeMap::from([(name, Arc::new(service))]), ..View::default() }
    }

    fn rule(key: &str, text: &str) -> Changes {
        let origin = Origin::File(format!("{key}.yaml").into());
        let (key, text) = (key.to_owned(), text.to_owned());
        let rule = RuleDocument { key: key.clone(), text, origin, unreadable: None };
        Changes::from([(key, Some(Arc::new(rule)))])
    }

    fn planned(view: &View, changes: &Changes) -> Plan {
        let after = changed(view, changes);
        let tables = [view, &after].map(|view| Stored::new(view, Compat::Documented));
        let about = about(view, changes);
        let (made, is_cut) = calls(view, &tables[0], &tables[1], &about);
        assert!(!is_cut);
        plan(&tables[0], &tables[1], &made, 0)
    }

    #[test]
    fn a_split_moves_as_many_calls_as_its_weights_say() {
        let view = view(&[
            "dubbo://10.0.0.1:20880/lab.Echo?application=shop&region=hz&methods=echo,add",
            "dubbo://10.0.0.2:20880/lab.Echo?application=shop&region=bj&methods=echo,add",
        ]);
        let changes = rule(
            SPLIT,
            "configVersion: v3.1\nconditions: [{from: {match: method=echo}, \
             to: [{match: region=hz, weight: 90}, {match: region=bj, weight: 10}]}]\n",
        );
        let plan = planned(&view, &changes);
        assert_eq!((plan.calls.len(), plan.unchanged), (1, 1), "{plan:?}");
        let echo = &plan.calls[0];
        assert_eq!((echo.method.as_str(), echo.loses()), ("echo", false));
        let shares = |decided: &Decided| decided.endpoints.values().copied().collect::<Vec<f64>>();
        assert_eq!((shares(&echo.before), shares(&echo.after)), (vec![0.5, 0.5], vec![0.9, 0.1]));
    }

    #[test]
    fn an_application_that_is_named_calls_too() {
        let view = view(&["dubbo://10.0.0.1:20880/lab.Echo?application=shop&region=hz"]);
        let changes = rule("web.condition-router", "force: true\nconditions: ['=> region=sh']\n");
        let plan = planned(&view, &changes);
        assert_eq!((plan.calls.len(), plan.unchanged), (1, 0), "{plan:?}");
        let call = &plan.calls[0];
        assert_eq!((call.application.as_str(), call.method.as_str()), ("web", "*"));
        assert!(call.loses());
        assert_eq!(call.after.faults, BTreeMap::from([("no_endpoint", 1.0)]));
    }

    #[test]
    fn what_was_hidden_counts_once_the_other_is_gone() {
        let mut view = view(&["dubbo://10.0.0.1:20880/lab.Echo?region=hz"]);
        let documents = |text| rule(SPLIT, text).into_values().flatten();
        view.rules.extend(documents("x: 1").map(|rule| (SPLIT.to_owned(), rule)));
        view.hidden.extend(documents("force: true\nconditions: ['=> region=sh']\n"));
        let plan = planned(&view, &Changes::from([(SPLIT.to_owned(), None)]));
        assert!(plan.calls[0].loses(), "{plan:?}");
    }
}
