//! The rule documents, and what became of each.
//!
//! The control side gives it every new view of the registry. It keeps the rules
//! in force ([`RuleSet`]) and publishes [`RuleStates`] for people and machines
//! who ask: `/rules`, `/metrics` and live explanations. Nothing of this is on a
//! call's way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use governance::rules::RuleKey;
use governance::{Affected, Compat, Finding, RuleSet, ScriptLimits, Severity, document};
use registry::{Origin, RuleDocument, RulePlace, Unreadable, View};

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It counts.
    InForce,
    /// It was refused; the last good one under its key counts.
    LastGood,
    /// It was refused, and nothing counts under its key.
    Refused,
    /// A place that comes first has a document of the same key.
    Hidden,
}

impl State {
    /// All of them.
    pub const ALL: [State; 4] = [State::InForce, State::LastGood, State::Refused, State::Hidden];

    /// The state as metric label and in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            State::InForce => "in_force",
            State::LastGood => "last_good",
            State::Refused => "refused",
            State::Hidden => "hidden",
        }
    }
}

/// One document.
#[derive(Debug, Clone)]
pub struct RuleState {
    /// The document as it stands.
    pub document: Arc<RuleDocument>,
    /// What became of it.
    pub state: State,
    /// Since when it is so.
    pub since: SystemTime,
    /// All that was found in it.
    pub findings: Arc<[Finding]>,
    /// The document that counts under its key.
    pub in_force: Option<Arc<RuleDocument>>,
    /// Whose calls it is about, in force or not.
    pub about: Affected,
}

/// Every document at one moment.
#[derive(Debug, Default)]
pub struct RuleStates {
    /// By key; hidden ones behind the one that hides them.
    pub documents: Vec<RuleState>,
    /// The store's folders of rules, and up to which revision each is applied.
    pub places: Vec<RulePlace>,
    /// What happened since the start.
    pub changes: Changes,
}

/// How many documents were applied, refused and removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    /// Took effect, new or changed.
    pub applied: u64,
    /// Did not check out.
    pub refused: u64,
    /// Are gone.
    pub removed: u64,
    /// When the last of these happened.
    pub last: Option<SystemTime>,
}

impl RuleStates {
    /// How many documents are in a state.
    pub fn count(&self, state: State) -> usize {
        self.documents.iter().filter(|document| document.state == state).count()
    }

    /// The document that counts under a key.
    pub fn in_force(&self, key: &str) -> Option<&Arc<RuleDocument>> {
        let first = self.documents.partition_point(|one| one.document.key.as_str() < key);
        let found = self.documents.get(first).filter(|one| one.document.key == key)?;
        found.in_force.as_ref()
    }
}

/// Where a document comes from, for people: a file's path, or the store's key
/// and revision.
pub(crate) fn source_of(document: &RuleDocument) -> String {
    match &document.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::Store { key, revision } => format!("{key}@{revision}"),
    }
}

/// The rules in force and what became of each document.
#[derive(Debug)]
pub(crate) struct RuleBook {
    rules: RuleSet,
    known: BTreeMap<String, RuleState>,
    hidden: Vec<RuleState>,
    changes: Changes,
    published: Arc<ArcSwap<RuleStates>>,
    logs: bool,
    /// What is published is older than this.
    is_stale: bool,
}

impl RuleBook {
    pub(crate) fn new(compat: Compat) -> RuleBook {
        RuleBook {
            rules: RuleSet::new(compat),
            known: BTreeMap::new(),
            hidden: Vec::new(),
            changes: Changes::default(),
            published: Arc::default(),
            logs: true,
            is_stale: false,
        }
    }

    /// For a question, not a proxy: nothing is logged, and scripts are checked and run.
    pub(crate) fn quiet(compat: Compat) -> RuleBook {
        let book = RuleBook::new(compat).with_scripts(Some(ScriptLimits::default()));
        RuleBook { logs: false, ..book }
    }

    /// Runs script rules within these limits; `None`, as at first, refuses them.
    pub(crate) fn with_scripts(self, limits: Option<ScriptLimits>) -> RuleBook {
        RuleBook { rules: self.rules.with_scripts(limits), ..self }
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// What became of each document, now and later.
    pub(crate) fn published(&self) -> Arc<ArcSwap<RuleStates>> {
        self.published.clone()
    }

    /// Takes the rules of a new view. Tells which services it touches.
    pub(crate) fn update(&mut self, view: &View, now: SystemTime) -> Vec<Affected> {
        let mut affected = Vec::new();
        let gone = |key: &&String| !view.rules.contains_key(*key);
        let removed: Vec<String> = self.known.keys().filter(gone).cloned().collect();
        for key in removed {
            affected.push(self.remove(&key, now));
        }
        for (key, document) in &view.rules {
            let same = |known: &RuleState| known.document == *document;
            if !self.known.get(key).is_some_and(same) {
                affected.push(self.take(document, now));
            }
        }
        self.hide(&view.hidden, now);
        self.is_stale |= !affected.is_empty();
        affected
    }

    /// Tells everybody who asks; call it once what [`RuleBook::update`] touched
    /// is in use.
    pub(crate) fn publish(&mut self, view: &View) {
        // Most views are new for their endpoints.
        let places_moved = self.published.load().places != view.rule_places;
        if !std::mem::take(&mut self.is_stale) && !places_moved {
            return;
        }
        let mut documents: Vec<RuleState> =
            self.known.values().chain(&self.hidden).cloned().collect();
        // Stable: what hides stays before what it hides.
        documents.sort_by(|a, b| a.document.key.cmp(&b.document.key));
        let places = view.rule_places.clone();
        self.published.store(Arc::new(RuleStates { documents, places, changes: self.changes }));
    }

    fn remove(&mut self, key: &str, now: SystemTime) -> Affected {
        let Some(old) = self.known.remove(key) else { return Affected::Nothing };
        let applied = self.rules.apply(key, None, origin(&old.document));
        if self.logs {
            tracing::info!(rule = key, from = source_of(&old.document), "removed");
        }
        self.changes.removed += 1;
        self.changes.last = Some(now);
        self.accept(applied.accepted, now);
        applied.affected
    }

    fn take(&mut self, document: &Arc<RuleDocument>, now: SystemTime) -> Affected {
        let key = &document.key;
        let (findings, affected) = match &document.unreadable {
            None => {
                let text = Some(document.text.as_str());
                let applied = self.rules.apply(key, text, origin(document));
                self.accept(applied.accepted, now);
                (applied.findings, applied.affected)
            }
            Some(reason) => (vec![unreadable(document, reason)], Affected::Nothing),
        };
        let is_good = findings.iter().all(|finding| finding.severity < Severity::Error);
        let before = self.known.remove(key).and_then(|known| known.in_force);
        let (state, in_force) = match before {
            _ if is_good => (State::InForce, Some(document.clone())),
            Some(kept) => (State::LastGood, Some(kept)),
            None => (State::Refused, None),
        };
        let changes = &mut self.changes;
        *(if is_good { &mut changes.applied } else { &mut changes.refused }) += 1;
        changes.last = Some(now);
        // What was refused touches nothing, and is about something all the same.
        let about = if is_good { affected.clone() } else { about(key) };
        let (document, findings) = (document.clone(), findings.into());
        let known = RuleState { document, state, since: now, findings, in_force, about };
        if self.logs {
            log(&known);
        }
        self.known.insert(key.clone(), known);
        affected
    }

    /// Documents that were refused, and are in force now that another one changed.
    fn accept(&mut self, accepted: Vec<(String, Vec<Finding>)>, now: SystemTime) {
        for (key, findings) in accepted {
            if let Some(known) = self.known.get_mut(&key) {
                known.state = State::InForce;
                known.in_force = Some(known.document.clone());
                known.findings = findings.into();
                known.since = now;
                self.changes.applied += 1;
                if self.logs {
                    log(known);
                }
            }
        }
    }

    fn hide(&mut self, hidden: &[Arc<RuleDocument>], now: SystemTime) {
        if self.hidden.iter().map(|one| &one.document).eq(hidden) {
            return;
        }
        self.is_stale = true;
        let before = std::mem::take(&mut self.hidden);
        self.hidden = hidden
            .iter()
            .map(|document| {
                let known = before.iter().find(|known| known.document == *document);
                RuleState {
                    document: document.clone(),
                    state: State::Hidden,
                    since: known.map_or(now, |known| known.since),
                    findings: Arc::default(),
                    in_force: None,
                    about: about(&document.key),
                }
            })
            .collect();
    }
}

/// Whose calls a document under this key is about.
fn about(key: &str) -> Affected {
    RuleKey::parse(key).map_or(Affected::Nothing, |key| key.affected())
}

fn log(taken: &RuleState) {
    let (rule, from) = (&taken.document.key, source_of(&taken.document));
    for finding in taken.findings.iter() {
        tracing::warn!(rule, "{finding}");
    }
    match (&taken.in_force, taken.state) {
        (Some(kept), State::LastGood) => {
            let kept = source_of(kept);
            tracing::error!(rule, from, kept, "refused; the last good one stays in force");
        }
        (Some(_), _) => tracing::info!(rule, from, "in force"),
        (None, _) => tracing::error!(rule, from, "refused; nothing is in force under this key"),
    }
}

fn origin(document: &RuleDocument) -> governance::Origin {
    match &document.origin {
        Origin::File(path) => governance::Origin::File(path.clone()),
        Origin::Store { revision, .. } => governance::Origin::Store { revision: *revision },
    }
}

fn unreadable(document: &RuleDocument, reason: &Unreadable) -> Finding {
    let file = match &document.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::Store { .. } => document.key.clone(),
    };
    let finding = document::unreadable(&file, &reason.to_string());
    match reason {
        Unreadable::NotUtf8 => {
            Finding { code: "not-utf8", hint: "write the rule in UTF-8".to_owned(), ..finding }
        }
        Unreadable::File(_) => finding,
    }
}

#[cfg(test)]
mod tests;
