//! How a call was decided, for programs and for people.

use std::collections::BTreeMap;
use std::fmt;

use codec::Fault;
use serde::Serialize;

use super::{DEFAULT_TIMEOUT_MS, MoreTerms, whole_millis};
use crate::directives::{Directives, TrafficPolicy};
use crate::document::Finding;

/// How a call was decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The addresses left after all rules, sorted.
    pub endpoints: Vec<String>,
    /// The address that the balancer picked.
    pub picked: Option<String>,
    /// Why there is none: a [`codec::Reason`]'s label.
    pub fault: Option<&'static str>,
    /// What the caller would be told.
    pub detail: Option<String>,
    /// The mock that answers, as its rule says it; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mocked: Option<String>,
    /// The call's deadline; 0 where it has none.
    pub timeout_ms: u64,
    /// Attempts after the first.
    pub retries: u32,
    /// What each rule did, in order.
    pub steps: Vec<Step>,
    /// What configurators make of each endpoint, by address; absent where none
    /// is about the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<BTreeMap<String, Effective>>,
    /// How long the call waits before it is sent: an injected delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The addresses that get a copy of the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// What the route orders that took the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directives: Option<Directives>,
    /// What a destination rule says of the way to the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<TrafficPolicy>,
    /// The answer that a rule gives in place of an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<OwnAnswer>,
    /// Whether the picked endpoint was tried before, because there is no other.
    #[serde(skip_serializing_if = "is_false")]
    pub repeats: bool,
    /// What the answer takes for granted, where a proxy would know better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed: Option<&'static str>,
    /// What is wrong with the rules of the case.
    pub findings: Vec<Finding>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Explanation {
    /// Of a call that no rule gets to see.
    pub fn of_fault(fault: &Fault) -> Explanation {
        Explanation {
            fault: Some(fault.reason.label()),
            detail: Some(fault.to_string()),
            answer: fault.answer.as_deref().map(OwnAnswer::new),
            ..Explanation::empty()
        }
    }

    pub(super) fn empty() -> Explanation {
        Explanation {
            endpoints: Vec::new(),
            picked: None,
            fault: None,
            detail: None,
            mocked: None,
            timeout_ms: DEFAULT_TIMEOUT_MS,
            retries: crate::decide::DEFAULT_RETRIES,
            steps: Vec::new(),
            effective: None,
            delay_ms: None,
            mirrors: Vec::new(),
            directives: None,
            policy: None,
            answer: None,
            repeats: false,
            assumed: None,
            findings: Vec::new(),
        }
    }
}

/// For people: findings, a line pair per step, then the answer.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}\n")?;
        }
        if self.steps.is_empty() && self.effective.is_none() {
            writeln!(f, "no rule looked at the call")?;
        }
        for step in &self.steps {
            let line = if step.line > 0 { format!(":{}", step.line) } else { String::new() };
            let origin = step.origin.as_ref().map(|origin| format!("  ({origin})"));
            let origin = origin.unwrap_or_default();
            writeln!(f, "{:>4} -> {:<4} {}{line}{origin}", step.before, step.after, step.rule)?;
            writeln!(f, "             {}", step.note)?;
        }
        for (address, terms) in self.effective.iter().flatten() {
            writeln!(
                f,
                "       terms {address}: timeout {} ms, {} retries, {}, {}, weight {}{}",
                terms.timeout_ms,
                terms.retries,
                terms.loadbalance,
                terms.cluster,
                terms.weight,
                terms.more
            )?;
        }
        writeln!(f)?;
        if let Some(mocked) = &self.mocked {
            if let Some(detail) = &self.detail {
                writeln!(f, "fault    {detail}")?;
            }
            return writeln!(f, "mocked   {mocked}");
        }
        match (&self.picked, &self.detail) {
            (Some(picked), _) => {
                writeln!(f, "left     {}", self.endpoints.join(", "))?;
                let again = if self.repeats { ", tried before: there is no other" } else { "" };
                writeln!(f, "picked   {picked}{again}")?;
                let retries = match self.retries {
                    u32::MAX => "retries as the budget allows".to_owned(),
                    retries => format!("{retries} retries"),
                };
                match self.timeout_ms {
                    0 => writeln!(f, "timeout  none, {retries}")?,
                    timeout => writeln!(f, "timeout  {timeout} ms, {retries}")?,
                }
                self.write_orders(f)?;
            }
            (None, Some(detail)) => {
                writeln!(f, "fault    {detail}")?;
                if let Some(answer) = &self.answer {
                    writeln!(f, "answer   {}", said(answer).unwrap_or_default())?;
                }
            }
            (None, None) => {}
        }
        match self.assumed {
            Some(assumed) => writeln!(f, "assumed  {assumed}"),
            None => Ok(()),
        }
    }
}

impl Explanation {
    /// What is ordered beyond the endpoint, where anything is.
    fn write_orders(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(delay) = self.delay_ms {
            writeln!(f, "delay    {delay} ms")?;
        }
        if !self.mirrors.is_empty() {
            writeln!(f, "mirrors  {}", self.mirrors.join(", "))?;
        }
        if let Some(orders) = self.directives.as_ref().and_then(said) {
            writeln!(f, "orders   {orders}")?;
        }
        if let Some(policy) = self.policy.as_ref().and_then(said) {
            writeln!(f, "policy   {policy}")?;
        }
        Ok(())
    }
}

/// The parts of a value that stand nowhere else, as JSON; `None` where there are
/// none.
fn said(value: &impl Serialize) -> Option<String> {
    let mut value = serde_json::to_value(value).ok()?;
    let parts = value.as_object_mut()?;
    for elsewhere in ["rule", "line", "timeout"] {
        parts.remove(elsewhere);
    }
    (!parts.is_empty()).then(|| value.to_string())
}

/// An answer that a rule gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnAnswer {
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The gRPC status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u16>,
    /// HTTP headers, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body of an HTTP answer, where it is not the fault's own text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long the caller waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

impl OwnAnswer {
    fn new(answer: &codec::Answer) -> OwnAnswer {
        let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.clone()));
        OwnAnswer {
            http_status: answer.http_status,
            grpc_status: answer.grpc_status,
            headers: headers.collect(),
            body: answer.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned()),
            delay_ms: answer.delay.map(whole_millis),
        }
    }
}

/// On which terms an endpoint is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// The deadline.
    pub timeout_ms: u64,
    /// Attempts after the first, where the cluster mode makes any.
    pub retries: u32,
    /// The balancer that its URL names.
    pub loadbalance: &'static str,
    /// What becomes of a failed call.
    pub cluster: &'static str,
    /// Its weight once it is warm.
    pub weight: u32,
    /// What is seldom said.
    #[serde(flatten)]
    pub more: MoreTerms,
}

/// What one rule, or one condition of it, did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The rule's key.
    pub rule: String,
    /// The line in it; 0 for the whole.
    pub line: u32,
    /// Which document that is, where several could stand under the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How many endpoints were left before.
    #[serde(rename = "in")]
    pub before: usize,
    /// And after.
    #[serde(rename = "out")]
    pub after: usize,
    /// Why.
    pub note: String,
}
