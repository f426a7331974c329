//! How a call would be decided now: by the tables of a running proxy, or by
//! tables made of one look at the store.
//!
//! Both are the tables that calls are routed by, and `governance` decides as it
//! does for calls. Only what a worker knows by itself is not known here: which
//! endpoints are ejected or busy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use codec::{Fault, Reason};
use governance::explain::{
    DEFAULT_TIMEOUT_MS, Explanation, Question, Spoken, WrittenCall, explain_request,
};
use governance::{
    Affected, Caller, Compat, EndpointIds, Finding, Options, Request, Service, Severity,
};
use registry::View;

use crate::config::Timeouts;
use crate::control;
use crate::route;
use crate::rule_book::{RuleBook, RuleStates, source_of};
use crate::snapshot::{self, Entry, Identity, Published};

/// What no one but a worker knows.
const ASSUMED: &str = "every endpoint is available and idle";
/// Callers beside a proxy come from here where nobody says otherwise.
const LOOPBACK: &str = "127.0.0.1";

/// A running proxy's tables, to be asked.
#[derive(Debug)]
pub(crate) struct Live {
    /// What the workers route by.
    pub(crate) published: Arc<Published>,
    /// Where its rules come from.
    pub(crate) rules: Arc<ArcSwap<RuleStates>>,
    /// Among them a call's deadline where nobody says one.
    pub(crate) timeouts: Timeouts,
}

impl Live {
    /// The names of the services that a change of what is `about` this touches,
    /// as far as this proxy knows them; those that it names come in any case,
    /// because a rule may be there before its service.
    pub(crate) fn services(&self, about: &Affected) -> BTreeSet<String> {
        let named = match about {
            Affected::Services(names) => names.as_slice(),
            _ => &[],
        };
        let snapshot = self.published.load();
        let is_touched = |entry: &Entry| match entry {
            Entry::Ready(service) => service.is_affected(about),
            Entry::Pending => false,
        };
        let both = snapshot.services.iter().chain(&snapshot.http);
        let touched = both.filter(|(_, entry)| is_touched(entry));
        touched.map(|(name, _)| name.clone()).chain(named.iter().cloned()).collect()
    }

    /// Decides a call as it would be decided now. Where the question names no
    /// consumer, it is this proxy's own application.
    ///
    /// # Errors
    /// Where this proxy can never decide so: it reads rules as documented, and
    /// calls in its own application's name only.
    pub(crate) fn explain(
        &self,
        question: &Question,
        now_ms: u64,
    ) -> Result<Explanation, Vec<Finding>> {
        let snapshot = self.published.load();
        let identity = &*snapshot.identity;
        check(question, identity)?;
        let service = question.call.service.as_str();
        let trouble = snapshot.store_trouble.as_deref();
        let fault = match snapshot.provided(service, is_over_http(&question.call)) {
            Some(Entry::Ready(table)) if route::is_known(table) => {
                match serves(table, &question.call) {
                    Err(fault) => fault,
                    Ok(()) => {
                        let states = self.rules.load();
                        let address = LOOPBACK;
                        let asked = Asked { question, identity, address, now_ms, trouble };
                        let timeout_ms = default_timeout_ms(&self.timeouts, &question.call);
                        return Ok(explain(table, &asked, &question.random, &states, timeout_ms));
                    }
                }
            }
            Some(Entry::Ready(_)) => route::unknown(service, trouble),
            Some(Entry::Pending) => Fault::new(
                Reason::UnknownService,
                format!("the store was asked who provides {service} and has not answered yet"),
                "ask again",
            ),
            None if snapshot.has_store => Fault::new(
                Reason::UnknownService,
                format!(
                    "nobody called {service} through this proxy yet, so it does not know who provides it"
                ),
                "call it once, or name it under `services`; or ask the store instead of the proxy",
            ),
            None => route::unconfigured(service),
        };
        Ok(Explanation::of_fault(&fault))
    }
}

/// Whether the call is one over HTTP; `None` where the question does not say.
fn is_over_http(call: &WrittenCall) -> Option<bool> {
    match (&call.http, call.protocol) {
        (Some(_), _) => Some(true),
        (None, said) => said.map(|_| false),
    }
}

/// As for a call; one of no protocol in particular is any.
fn serves(table: &Service, call: &WrittenCall) -> Result<(), Fault> {
    call.protocol.map_or(Ok(()), |spoken| route::serves(table, spoken.name()))
}

/// How long a call may take where nobody says; 0 for any time.
fn default_timeout_ms(timeouts: &Timeouts, call: &WrittenCall) -> u64 {
    let timeout = match call.protocol {
        Some(Spoken::Triple | Spoken::Tcp) => None,
        Some(spoken) if spoken.is_over_http() => timeouts.call_over_http,
        _ => Some(timeouts.call),
    };
    timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
}

fn check(question: &Question, own: &Identity) -> Result<(), Vec<Finding>> {
    let mut findings = Vec::new();
    let mut error = |code, message, hint: &str| {
        findings.push(Finding {
            file: "case".to_owned(),
            line: 0,
            column: 0,
            code,
            severity: Severity::Error,
            message,
            hint: hint.to_owned(),
        });
    };
    if question.compat == Some(Compat::Java) {
        let message = "this proxy reads rules as documented, not as Java does".to_owned();
        error("not-live", message, "decide the case offline, or by the store");
    }
    let other = |name: &&String| !own.application.is_empty() && **name != own.application;
    if let Some(other) = question.application.as_ref().filter(other) {
        let message = format!("the caller is {other}, but this proxy calls as {}", own.application);
        error("not-live", message, "ask the caller's own proxy, or decide by the store");
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

/// Tables made of what a look at the store has found; see [`registry::look()`].
#[derive(Debug)]
pub struct Stored<'a> {
    view: &'a View,
    book: RuleBook,
}

impl<'a> Stored<'a> {
    /// Reads the rules of a view.
    pub fn new(view: &'a View, compat: Compat) -> Stored<'a> {
        let mut book = RuleBook::quiet(compat);
        book.update(view, SystemTime::now());
        book.publish(view);
        Stored { view, book }
    }

    /// Decides a call.
    pub fn explain(&self, question: &Question, now_ms: u64) -> Explanation {
        let mut one = self.explain_each(question, std::slice::from_ref(&question.random), now_ms);
        // One roll, one explanation.
        one.pop().unwrap_or_else(|| Explanation::of_fault(&route::unknown("", None)))
    }

    /// Decides a call once for each of these rolls of the dice.
    pub fn explain_each(
        &self,
        question: &Question,
        rolls: &[Vec<f64>],
        now_ms: u64,
    ) -> Vec<Explanation> {
        let name = question.call.service.as_str();
        let identity = Identity {
            application: question.application.clone().unwrap_or_default(),
            labels: BTreeMap::new(),
        };
        let compiled = self.compile(name, &identity.application, is_over_http(&question.call));
        let table = compiled.as_ref().filter(|table| route::is_known(table));
        let table = table
            .ok_or_else(|| route::unknown(name, None))
            .and_then(|table| serves(table, &question.call).map(|()| table));
        let table = match table {
            Ok(table) => table,
            Err(fault) => {
                let fault = Explanation::of_fault(&fault);
                return rolls.iter().map(|_| fault.clone()).collect();
            }
        };
        let states = self.states();
        let (identity, address) = (&identity, "");
        let asked = Asked { question, identity, address, now_ms, trouble: None };
        rolls.iter().map(|roll| explain(table, &asked, roll, &states, DEFAULT_TIMEOUT_MS)).collect()
    }

    /// What became of each of its rules.
    pub fn states(&self) -> Arc<RuleStates> {
        self.book.published().load_full()
    }

    /// Whether a change of what is `about` one of these touches calls of a service
    /// by an application.
    pub fn is_affected(&self, service: &str, application: &str, about: &[Affected]) -> bool {
        [false, true].into_iter().any(|over_http| {
            let compiled = self.compile(service, application, Some(over_http));
            compiled.is_some_and(|table| about.iter().any(|about| table.is_affected(about)))
        })
    }

    /// `None` for a service that nobody asked the store about.
    fn compile(
        &self,
        service: &str,
        application: &str,
        over_http: Option<bool>,
    ) -> Option<Arc<Service>> {
        let options = Options { callers: Some(vec![application.to_owned()]) };
        let found = self.view.services.get(service).map(|found| &**found);
        let (mut ids, rules) = (EndpointIds::new(), self.book.rules());
        let compiled = control::compile(service, &[], found, &mut ids, rules, &options);
        match snapshot::provided(&compiled.entry, &compiled.http, over_http) {
            Entry::Ready(table) => Some(table.clone()),
            Entry::Pending => None,
        }
    }
}

/// A question, and what counts where it says nothing.
struct Asked<'a> {
    question: &'a Question,
    identity: &'a Identity,
    address: &'a str,
    now_ms: u64,
    /// Why the store cannot be asked at the moment.
    trouble: Option<&'a str>,
}

fn explain(
    service: &Service,
    asked: &Asked<'_>,
    rolls: &[f64],
    states: &RuleStates,
    default_timeout_ms: u64,
) -> Explanation {
    let Asked { question, identity, .. } = asked;
    let was_tried = |endpoint: &&governance::Endpoint| question.tried.contains(&endpoint.address);
    let tried: Vec<_> =
        service.endpoints().iter().filter(was_tried).map(|endpoint| endpoint.id).collect();
    let request = Request {
        head: &question.call,
        caller: Caller {
            address: question.address.as_deref().unwrap_or(asked.address),
            application: question.application.as_ref().unwrap_or(&identity.application),
            labels: question.labels.as_ref().unwrap_or(&identity.labels),
        },
        tried: &tried,
        now_ms: question.now_ms.unwrap_or(asked.now_ms),
    };
    let mut explained = explain_request(service, &request, rolls, default_timeout_ms);
    if service.endpoints().is_empty() && explained.mocked.is_none() {
        explained = Explanation::of_fault(&route::unknown(service.name(), asked.trouble));
    }
    let ordered = explained.directives.as_ref().and_then(|directives| directives.timeout);
    match question.call.protocol {
        // As for calls: see `http::routing` and `tcp`.
        Some(Spoken::Triple) if question.call.timeout.is_none() && ordered.is_none() => {
            explained.timeout_ms = 0;
        }
        Some(Spoken::Tcp) => explained.timeout_ms = 0,
        _ => {}
    }
    for step in &mut explained.steps {
        step.origin = states.in_force(&step.rule).map(|document| source_of(document));
    }
    explained.findings = findings_about(service, states);
    explained.assumed = Some(ASSUMED);
    explained
}

/// What was found in documents about a service: a rule that was refused is why
/// one waits for its effect in vain.
fn findings_about(service: &Service, states: &RuleStates) -> Vec<Finding> {
    let documents = states.documents.iter();
    documents
        .filter(|one| !one.findings.is_empty() && service.is_affected(&one.about))
        .flat_map(|one| one.findings.iter().cloned())
        .collect()
}
