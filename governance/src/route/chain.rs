//! The steps of a service in one group and version, in order.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::decide::Dice;
use crate::endpoint::Endpoint;
use crate::rules::condition::{ConditionRule, Conditions};
use crate::rules::{Compat, Kind, RuleSet};
use crate::set::EndpointSet;

use super::call::CallView;
use super::{Action, Emptied, Narrowing, Step, Trace, condition, mesh, script, tag};

/// What rules are compiled for.
pub(crate) struct Site<'a> {
    pub(crate) service: &'a str,
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) endpoints: &'a Arc<[Endpoint]>,
    /// Those of the group and version.
    pub(crate) members: &'a EndpointSet,
    /// The applications that may call; `None` for any.
    pub(crate) callers: Option<&'a [String]>,
}

/// The steps, in the order of Dubbo's router chain (`@Activate(order)`): mesh
/// rules (-50), tags (100), affinity of the
/// service and of the application that provides it (130, 135), the service's own conditions (140), those of the application that provides it
/// (145), those of the application that calls (150), scripts (200).
#[derive(Debug, Default)]
pub(crate) struct Chain {
    mesh: Option<Step>,
    tags: Option<Step>,
    affinity: Vec<Step>,
    service: Vec<Step>,
    provider: Vec<Step>,
    callers: HashMap<Box<str>, Vec<Step>, FixedState>,
    /// In Java the router for the provider's application starts with the rule
    /// of the caller's, and keeps it where the provider's has none.
    callers_twice: bool,
    script: Option<Step>,
}

impl Chain {
    pub(crate) fn compile(site: &Site<'_>, rules: &RuleSet) -> Chain {
        let compat = rules.compat();
        let provider = site
            .members
            .iter()
            .find_map(|index| site.endpoints.get(index))
            .and_then(Endpoint::application);
        let mut chain = Chain {
            mesh: mesh_step(site, rules),
            tags: tag_step(site, provider, rules),
            script: script_step(site, provider, rules),
            ..Chain::default()
        };
        let key = format!("{}:{}:{}", site.service, site.version, site.group);
        for about in [Some(key.as_str()), provider].into_iter().flatten() {
            let Some(rule) = rules.affinities.get(about).filter(|rule| rule.enabled) else {
                continue;
            };
            chain.affinity.push(Step {
                rule: format!("{about}{}", Kind::Affinity.suffix()).into(),
                line: rule.line,
                action: Action::Affinity(condition::Affinity::compile(rule, site.endpoints)),
            });
        }
        if let Some(rule) = rules.conditions.get(&key) {
            add_conditions(&mut chain.service, &key, rule, site.endpoints, compat);
        }
        let provided = provider.and_then(|app| Some((app, rules.conditions.get(app)?)));
        if let Some((app, rule)) = provided {
            add_conditions(&mut chain.provider, app, rule, site.endpoints, compat);
        }
        let mut add_caller = |app: &str, rule: &ConditionRule| {
            let steps = chain.callers.entry(app.into()).or_default();
            add_conditions(steps, app, rule, site.endpoints, compat);
        };
        match site.callers {
            Some(callers) => {
                for app in callers {
                    if let Some(rule) = rules.conditions.get(app) {
                        add_caller(app, rule);
                    }
                }
            }
            None => {
                for (app, rule) in rules.conditions.with_prefix("") {
                    if !app.contains(':') {
                        add_caller(app, rule);
                    }
                }
            }
        }
        chain.callers_twice = compat == Compat::Java && provided.is_none();
        chain
    }

    /// Narrows the candidates down. Stops as soon as nobody is left, and says
    /// which step that was.
    pub(crate) fn run<T: Trace>(
        &self,
        call: &CallView<'_>,
        sets: &mut Narrowing,
        dice: &mut dyn Dice,
        trace: &mut T,
    ) -> Option<Emptied<'_>> {
        let caller = self.callers.get(call.caller.application).map_or(&[][..], Vec::as_slice);
        let twice = if self.callers_twice { caller } else { &[] };
        // Where one application provides and calls, its rule stands in both.
        let provider = if call.compat == Compat::Java || caller.is_empty() {
            self.provider.as_slice()
        } else {
            let same = self.provider.first().map(|step| &step.rule)
                == caller.first().map(|step| &step.rule);
            if same { &[] } else { self.provider.as_slice() }
        };
        let (mesh, tags) = (self.mesh.as_slice(), self.tags.as_slice());
        let script = self.script.as_slice();
        for steps in [mesh, tags, &self.affinity, &self.service, provider, twice, caller, script] {
            for step in steps {
                let verdict = step.run(call, sets, dice, trace);
                if sets.candidates.is_empty() {
                    return Some(Emptied { step, verdict });
                }
            }
        }
        None
    }
}

/// Unlike other rules, those of every application among the providers count.
fn mesh_step(site: &Site<'_>, rules: &RuleSet) -> Option<Step> {
    let mut names: Vec<&str> =
        site.members.iter().filter_map(|index| site.endpoints.get(index)?.application()).collect();
    names.sort_unstable();
    names.dedup();
    let found: Vec<_> =
        names.into_iter().filter_map(|name| Some((name, &**rules.meshes.get(name)?))).collect();
    let (first, _) = found.first()?;
    let rule = format!("{first}{}", Kind::Mesh.suffix()).into();
    let mesh = mesh::Mesh::compile(found.into_iter(), site, rules.compat())?;
    Some(Step { rule, line: 0, action: Action::Mesh(mesh) })
}

/// Tags are at work without a rule, too: providers may have them in their URLs.
fn tag_step(site: &Site<'_>, provider: Option<&str>, rules: &RuleSet) -> Option<Step> {
    let found = provider.and_then(|app| Some((app, rules.tags.get(app)?)));
    let tags = tag::Tags::compile(found.map(|(_, rule)| &**rule), site, rules.compat())?;
    let rule = match found {
        Some((app, _)) => format!("{app}{}", Kind::Tag.suffix()).into(),
        None => "dubbo.tag".into(),
    };
    Some(Step { rule, line: 0, action: Action::Tag(tags) })
}

fn script_step(site: &Site<'_>, provider: Option<&str>, rules: &RuleSet) -> Option<Step> {
    let app = provider?;
    let rule = rules.scripts.get(app).filter(|rule| rule.enabled)?;
    Some(Step {
        rule: format!("{app}{}", Kind::Script.suffix()).into(),
        line: rule.line,
        action: Action::Script(script::Script::compile(rule, site.endpoints, rules.compat())),
    })
}

fn add_conditions(
    steps: &mut Vec<Step>,
    about: &str,
    rule: &ConditionRule,
    endpoints: &[Endpoint],
    compat: Compat,
) {
    if !rule.enabled {
        return;
    }
    let key: Arc<str> = format!("{about}{}", Kind::Condition.suffix()).into();
    match &rule.conditions {
        Conditions::Plain(conditions) => steps.extend(conditions.iter().map(|read| Step {
            rule: key.clone(),
            line: read.position.line,
            action: Action::Condition(condition::Condition::compile(read, rule.force, endpoints)),
        })),
        Conditions::Split(splits) => steps.extend(splits.iter().map(|read| Step {
            rule: key.clone(),
            line: read.position.line,
            action: Action::Split(condition::Split::compile(read, rule.force, endpoints, compat)),
        })),
    }
}
