//! Deciding calls that are written down instead of received, and saying why.
//!
//! A [`Case`] holds rules, endpoints and a call; [`explain`] decides it with the
//! same code as a proxy and keeps what each rule did. A [`Question`] is a call
//! alone, for [`explain_request`] to decide by tables that are compiled already.
//! Nothing here decides.

mod call;
mod case;
mod explanation;
mod question;
mod spoken;
mod terms;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::{
    Caller, Dice, Idle, Request, Resolution, Scratch, decide_traced, decision, view_of,
};
use crate::document::{Finding, Report, parse_one};
use crate::route::Trace;
use crate::rules::Compat;
use crate::service::{Options, Service};

pub use call::{WrittenCall, WrittenHttp};
pub use case::Case;
pub use explanation::{Effective, Explanation, OwnAnswer, Step};
pub use question::Question;
pub use spoken::Spoken;
pub use terms::MoreTerms;

/// A call's deadline where nobody says one, in milliseconds
/// (`CommonConstants.DEFAULT_TIMEOUT`).
pub const DEFAULT_TIMEOUT_MS: u64 = 1000;

impl Trace for Vec<Step> {
    const ON: bool = true;

    fn step(&mut self, rule: &str, line: u32, before: usize, after: usize, note: String) {
        self.push(Step { rule: rule.to_owned(), line, origin: None, before, after, note });
    }
}

/// Dice that fall as written, over and over.
struct Written<'a> {
    rolls: &'a [f64],
    next: usize,
}

impl Dice for Written<'_> {
    fn roll(&mut self) -> f64 {
        let roll = self.rolls.get(self.next % self.rolls.len().max(1)).copied().unwrap_or(0.0);
        self.next += 1;
        roll
    }
}

/// Decides the call of a case.
pub fn explain(case: &Case) -> Explanation {
    Prepared::new(case).explain(&case.random)
}

/// A case whose rules are compiled, to be decided more than once.
#[derive(Debug)]
pub struct Prepared<'a> {
    case: &'a Case,
    service: Service,
}

impl<'a> Prepared<'a> {
    /// Compiles the rules of a case.
    pub fn new(case: &'a Case) -> Self {
        let options = Options { callers: Some(vec![case.application.clone()]) };
        let service =
            Service::compile(&case.call.service, case.endpoints.clone(), &case.rules, &options);
        Prepared { case, service }
    }

    fn request(&self) -> Request<'_> {
        let case = self.case;
        Request {
            head: &case.call,
            caller: Caller {
                address: &case.address,
                application: &case.application,
                labels: &case.labels,
            },
            tried: &case.tried,
            now_ms: case.now_ms,
        }
    }

    /// On which terms the endpoints that the call may go to are called, by
    /// address; those that a configurator switches off are left out.
    pub fn effective(&self) -> BTreeMap<String, Effective> {
        effective(&self.service, &self.request(), DEFAULT_TIMEOUT_MS)
    }

    /// Decides the call with these rolls of the dice, over and over.
    pub fn explain(&self, rolls: &[f64]) -> Explanation {
        let (service, request) = (&self.service, self.request());
        let mut explanation = explain_request(service, &request, rolls, DEFAULT_TIMEOUT_MS);
        explanation.findings.clone_from(&self.case.findings);
        explanation
    }
}

/// Decides a call by a service's tables, with every endpoint healthy and idle,
/// and with these rolls of the dice, over and over. `default_timeout_ms` is the
/// deadline where nobody says one; 0 for none.
pub fn explain_request(
    service: &Service,
    request: &Request<'_>,
    rolls: &[f64],
    default_timeout_ms: u64,
) -> Explanation {
    let mut steps = Vec::new();
    let mut scratch = Scratch::new();
    let mut dice = Written { rolls, next: 0 };
    let decided = decide_traced(service, request, &Idle, &mut dice, &mut scratch, &mut steps);
    let address = |index: usize| {
        let endpoint = service.endpoints().get(index);
        endpoint.map(|endpoint| endpoint.address.clone()).unwrap_or_default()
    };
    let mut endpoints: Vec<String> = scratch.candidates().map(address).collect();
    endpoints.sort();
    let is_configured = view_of(service, request)
        .is_ok_and(|(call, variant)| service.is_configured(variant, call.caller.application));
    let mut explanation = match decided {
        Ok(Resolution::Send(decision)) => Explanation {
            picked: Some(address(decision.endpoint)),
            timeout_ms: millis(decision.timeout, default_timeout_ms),
            retries: decision.retries,
            delay_ms: decision.delay.map(whole_millis),
            mirrors: decision.mirrors.iter().map(address).collect(),
            directives: decision.directives.as_deref().cloned(),
            policy: decision.policy.as_deref().cloned(),
            repeats: decision.repeats,
            ..Explanation::empty()
        },
        Ok(Resolution::Answer { mock, cause }) => Explanation {
            mocked: Some(mock.text.to_string()),
            ..cause.map_or_else(Explanation::empty, |fault| Explanation::of_fault(&fault))
        },
        Err(fault) => Explanation::of_fault(&fault),
    };
    explanation.endpoints = endpoints;
    explanation.steps = steps;
    explanation.effective = is_configured.then(|| effective(service, request, default_timeout_ms));
    explanation
}

fn effective(
    service: &Service,
    request: &Request<'_>,
    default_timeout_ms: u64,
) -> BTreeMap<String, Effective> {
    let Ok((call, variant)) = view_of(service, request) else { return BTreeMap::new() };
    let terms = service.terms_for(variant, &call.caller);
    let method = &*call.method;
    let effective = service.endpoints().iter().enumerate().filter_map(|(index, endpoint)| {
        let is_off = terms.disabled.as_ref().is_some_and(|off| off.contains(index));
        if is_off || !variant.members.contains(index) {
            return None;
        }
        let settings = terms.endpoints.get(index)?;
        let decision = decision(service.compat, &terms, index, method, None, false);
        let (retries, cluster) = match service.compat {
            Compat::Java => (terms.caller.of(method).retries, terms.caller.cluster),
            Compat::Documented => (settings.of(method).retries, settings.cluster),
        };
        let own_terms = settings.of(method);
        let own = Effective {
            timeout_ms: millis(decision.timeout, default_timeout_ms),
            retries: retries.unwrap_or(crate::decide::DEFAULT_RETRIES),
            loadbalance: own_terms.balance.unwrap_or_default().name(),
            cluster: cluster.unwrap_or_default().name(),
            weight: settings.weight(method),
            more: MoreTerms::of(&own_terms, decision.cluster.as_deref()),
        };
        Some((endpoint.address.clone(), own))
    });
    effective.collect()
}

fn millis(timeout: Option<Duration>, default_ms: u64) -> u64 {
    timeout.map_or(default_ms, whole_millis)
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The cases of a text: what stands between lines that start with `---`. Each
/// is read on its own, so that there may be any number of them.
pub fn split_cases(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let is_mark = |at: usize| {
            let behind = text.get(at + 3..).unwrap_or_default();
            (at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))
                && (behind.is_empty() || behind.starts_with(char::is_whitespace))
        };
        match text.match_indices("---").find(|(at, _)| is_mark(*at)) {
            Some((at, mark)) => {
                rest = text.get(at + mark.len()..);
                text.get(..at)
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
    .filter(|case| {
        case.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    })
}

/// Reads one case.
///
/// # Errors
/// What is wrong with the text. Faulty rules are no mistake of the case: they
/// are explained.
pub fn read_case(file: &str, text: &str) -> Result<Case, Vec<Finding>> {
    let mut report = Report::new(file);
    let case = parse_one(text, &mut report).and_then(|node| Case::read(&node, &mut report));
    match case {
        Some(case) if !report.has_errors() => Ok(case),
        _ => Err(report.into_findings()),
    }
}

/// Reads a call that stands alone, to be decided by rules and endpoints that are
/// not written down.
///
/// # Errors
/// What is wrong with the text; rules or endpoints in it are.
pub fn read_question(file: &str, text: &str) -> Result<Question, Vec<Finding>> {
    let mut report = Report::new(file);
    let node = parse_one(text, &mut report);
    match node.and_then(|node| Question::read_alone(&node, &mut report)) {
        Some(question) if !report.has_errors() => Ok(question),
        _ => Err(report.into_findings()),
    }
}

/// Reads one case and decides it.
///
/// # Errors
/// As [`read_case`].
pub fn explain_case(file: &str, text: &str) -> Result<Explanation, Vec<Finding>> {
    read_case(file, text).map(|case| explain(&case))
}

/// Labels as rules see them.
type Labels = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_stand_between_lines_of_dashes() {
        let text = "---\na: 1\n--- # next\nb: '---'\n# x\n---x: 2\n---\n# nothing\n---\nc: 3";
        let cases: Vec<&str> = split_cases(text).map(str::trim).collect();
        assert_eq!(cases, ["a: 1", "# next\nb: '---'\n# x\n---x: 2", "c: 3"]);
    }
}
