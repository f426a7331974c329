//! The rule documents that are in force, by key.
//!
//! A key is a data id as Dubbo writes it: `lab.EchoService::.condition-router`,
//! `shop.tag-router`. Under any other key stand resources of Istio, Gateway API
//! and Linkerd ([`resource`]). A document that fails its check changes nothing: the last
//! good one stays in force and the findings are kept.

mod address;
pub(crate) mod affinity;
mod applied;
pub(crate) mod condition;
pub(crate) mod configurator;
mod gateway;
mod head;
mod istio;
mod key;
mod linkerd;
pub(crate) mod mesh;
pub(crate) mod resource;
pub(crate) mod script;
mod split;
mod string_match;
mod table;
pub(crate) mod tag;

use std::collections::BTreeMap;

use crate::document::{Finding, Position, Report, Severity};
use crate::script::ScriptLimits;

pub(crate) use address::is_meant as address_is_meant;
pub use applied::{Affected, Applied, Compat, Origin};
pub use key::{Kind, RuleKey, Scope};
pub(crate) use string_match::StringMatch;

use affinity::AffinityRule;
use condition::ConditionRule;
use configurator::Configurators;
use mesh::MeshRule;
use resource::Resources;
use script::ScriptRule;
use table::Table;
use tag::TagRule;

/// The rules in force.
#[derive(Debug, Default)]
pub struct RuleSet {
    compat: Compat,
    pub(crate) conditions: Table<ConditionRule>,
    pub(crate) tags: Table<TagRule>,
    pub(crate) configurators: Table<Configurators>,
    pub(crate) meshes: Table<MeshRule>,
    pub(crate) affinities: Table<AffinityRule>,
    pub(crate) scripts: Table<ScriptRule>,
    /// `None` where scripts are off.
    script_limits: Option<ScriptLimits>,
    pub(crate) resources: Resources,
    findings: BTreeMap<String, Vec<Finding>>,
    /// Whether what is only worth knowing is told.
    notes: bool,
}

impl RuleSet {
    /// Without any rule.
    pub fn new(compat: Compat) -> Self {
        RuleSet { compat, ..Self::default() }
    }

    /// Runs script rules, within these limits; `None`, as at first, refuses them.
    pub fn with_scripts(self, limits: Option<ScriptLimits>) -> Self {
        RuleSet { script_limits: limits, ..self }
    }

    /// The same, telling also what is only worth knowing ([`Severity::Info`]): what
    /// dubbo-go reads otherwise, what Java does not act on.
    pub fn with_notes(self) -> Self {
        RuleSet { notes: true, ..self }
    }

    /// Whose reading counts.
    pub fn compat(&self) -> Compat {
        self.compat
    }

    /// Takes a document that was added or changed, or was removed (`None`).
    ///
    /// One that does not check out changes nothing: what was in force under its
    /// key stays in force.
    pub fn apply(&mut self, key: &str, text: Option<&str>, origin: Origin) -> Applied {
        let parsed = RuleKey::parse(key);
        let file = match &origin {
            Origin::File(path) => path.display().to_string(),
            Origin::Store { .. } => key.to_owned(),
        };
        let mut report = Report::new(file);
        let mut accepted = Vec::new();
        let affected = match parsed {
            Some(parsed) => self.replace(&parsed, text, &mut report),
            None => self.apply_resources(key, text, &mut report, &mut accepted),
        };
        let mut findings = report.into_findings();
        findings.retain(|finding| self.notes || finding.severity > Severity::Info);
        self.keep_findings(key, &findings);
        Applied { findings, affected, accepted }
    }

    fn keep_findings(&mut self, key: &str, findings: &[Finding]) {
        if findings.is_empty() {
            self.findings.remove(key);
        } else {
            self.findings.insert(key.to_owned(), findings.to_vec());
        }
    }

    /// A resource that moves from one document to another may arrive before it
    /// leaves: documents that wait for that are looked at again.
    fn apply_resources(
        &mut self,
        key: &str,
        text: Option<&str>,
        report: &mut Report,
        accepted: &mut Vec<(String, Vec<Finding>)>,
    ) -> Affected {
        let mut affected = self.resources.apply(key, text, report);
        if report.has_errors() {
            return affected;
        }
        for (key, file, text) in self.resources.waiting() {
            let mut report = Report::new(file);
            affected = affected.and(self.resources.apply(&key, Some(&text), &mut report));
            let is_in_force = !report.has_errors();
            let findings = report.into_findings();
            self.keep_findings(&key, &findings);
            if is_in_force {
                accepted.push((key, findings));
            }
        }
        affected
    }

    fn replace(&mut self, key: &RuleKey, text: Option<&str>, report: &mut Report) -> Affected {
        let compat = self.compat;
        match key.kind {
            Kind::Condition => {
                replace_in(&mut self.conditions, key, text, report, |text, report| {
                    let rule = ConditionRule::read(text, key.scope(), compat, report);
                    be_lenient(compat, report);
                    rule
                });
            }
            Kind::Tag => replace_in(&mut self.tags, key, text, report, |text, report| {
                let rule = TagRule::read(text, compat, report);
                be_lenient(compat, report);
                rule
            }),
            Kind::Affinity => {
                replace_in(&mut self.affinities, key, text, report, |text, report| {
                    let rule = AffinityRule::read(text, key.scope(), compat, report);
                    be_lenient(compat, report);
                    rule
                });
            }
            Kind::Mesh => replace_in(&mut self.meshes, key, text, report, |text, report| {
                let rule = MeshRule::read(text, compat, report);
                be_lenient(compat, report);
                rule
            }),
            Kind::Script => {
                let limits = self.script_limits;
                replace_in(&mut self.scripts, key, text, report, |text, report| {
                    let Some(limits) = limits else {
                        report.error(
                            Position::default(),
                            "script-not-run",
                            "scripts are off",
                            "set scripts: true in the proxy's configuration, or write what the \
                             script does as a condition, tag or mesh rule",
                        );
                        return None;
                    };
                    let rule = ScriptRule::read(text, limits, compat, report);
                    be_lenient(compat, report);
                    rule
                });
            }
            Kind::Configurators => {
                replace_in(&mut self.configurators, key, text, report, |text, report| {
                    let rule = Configurators::read(text, &key.about, key.scope(), compat, report);
                    be_lenient(compat, report);
                    rule
                });
            }
        }
        if report.has_errors() { Affected::Nothing } else { key.affected() }
    }

    /// The (group, version) pairs that rules about a service name; `prefix` is
    /// its name and a colon.
    pub(crate) fn service_pairs<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let conditions = self.conditions.with_prefix(prefix).map(|(about, _)| about);
        let configurators = self.configurators.with_prefix(prefix).map(|(about, _)| about);
        let affinities = self.affinities.with_prefix(prefix).map(|(about, _)| about);
        conditions.chain(configurators).chain(affinities).filter_map(move |about| {
            let (version, group) = about.strip_prefix(prefix)?.split_once(':')?;
            Some((group, version))
        })
    }

    /// What is known against the documents last seen, by key; only keys with
    /// findings are listed.
    pub fn findings(&self) -> impl Iterator<Item = (&str, &[Finding])> {
        self.findings.iter().map(|(key, findings)| (key.as_str(), findings.as_slice()))
    }
}

/// Java passes over what it does not know, and takes the last of equal keys.
fn be_lenient(compat: Compat, report: &mut Report) {
    if compat == Compat::Java {
        report.soften("unknown-key");
        report.soften("yaml-duplicate-key");
    }
}

/// Reads a document and puts it in force, unless something is wrong with it.
fn replace_in<T>(
    table: &mut Table<T>,
    key: &RuleKey,
    text: Option<&str>,
    report: &mut Report,
    read: impl FnOnce(&str, &mut Report) -> Option<T>,
) {
    let rule = match text {
        None => None,
        Some(text) => match read(text, report) {
            Some(rule) if !report.has_errors() => Some(rule),
            _ => return,
        },
    };
    table.set(&key.about, rule);
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "lab.Echo::.condition-router";

    fn apply(rules: &mut RuleSet, key: &str, text: Option<&str>) -> Applied {
        rules.apply(key, text, Origin::Store { revision: 1 })
    }

    #[test]
    fn a_bad_document_changes_nothing_and_is_remembered() {
        let mut rules = RuleSet::default();
        let good = apply(&mut rules, KEY, Some("conditions: ['=> region=hz']"));
        assert_eq!(good.affected, Affected::Services(vec!["lab.Echo".to_owned()]));
        let before = rules.conditions.get("lab.Echo::").cloned();
        let bad = apply(&mut rules, KEY, Some("conditions: ['a!!b']"));
        assert_eq!((bad.is_in_force(), bad.affected), (false, Affected::Nothing));
        assert_eq!(rules.conditions.get("lab.Echo::").cloned(), before);
        assert_eq!(rules.findings().count(), 1);
        let gone = apply(&mut rules, KEY, None);
        assert!(gone.is_in_force());
        assert_eq!(rules.conditions.get("lab.Echo::"), None);
        assert_eq!(rules.findings().count(), 0);
    }

    #[test]
    fn a_key_of_no_known_kind_is_refused_and_forgotten() {
        let mut rules = RuleSet::default();
        assert!(!apply(&mut rules, "shop.nonsense", Some("x: 1")).is_in_force());
        assert!(!apply(&mut rules, "shop.script-router", Some("x: 1")).is_in_force());
        assert_eq!(rules.findings().count(), 2);
        assert!(apply(&mut rules, "shop.nonsense", None).is_in_force());
        assert_eq!(rules.findings().count(), 1);
    }
}
