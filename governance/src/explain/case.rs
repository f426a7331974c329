//! Reading a case: rules, endpoints and a call.

use crate::document::{Finding, Node, Report, Value};
use crate::endpoint::{Endpoint, EndpointId, EndpointIds};
use crate::rules::{Origin, RuleSet};
use crate::script::ScriptLimits;

use super::{Labels, Question, WrittenCall};

/// The time at which every endpoint is warm.
const LATE_MS: u64 = 1 << 62;

/// Rules, endpoints and a call to decide.
#[derive(Debug)]
pub struct Case {
    /// The rules, as far as they are good.
    pub rules: RuleSet,
    /// What is wrong with them.
    pub findings: Vec<Finding>,
    /// Who can answer.
    pub endpoints: Vec<Endpoint>,
    /// Those of them that were tried for this call already.
    pub tried: Vec<EndpointId>,
    /// The call.
    pub call: WrittenCall,
    /// The caller's IP address.
    pub address: String,
    /// The caller's application.
    pub application: String,
    /// The caller's labels.
    pub labels: Labels,
    /// Where the dice fall, in `[0, 1)`, over and over.
    pub random: Vec<f64>,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
}

impl Case {
    /// Reads a case; `None` when it is none, and why is reported.
    pub(super) fn read(node: &Node, report: &mut Report) -> Option<Case> {
        let mut map = node.mapping("a case", report)?;
        let scripts = map.boolean("scripts", report).unwrap_or(false);
        let Question { compat, call, address, application, labels, tried, random, now_ms } =
            Question::read(&mut map, report)?;
        let mut rules = RuleSet::new(compat.unwrap_or_default())
            .with_scripts(scripts.then(ScriptLimits::default));
        let mut findings = Vec::new();
        for entry in map.list("rules", report) {
            let Some(mut rule) = entry.mapping("a rule", report) else { continue };
            let key = rule.required_text("key", report);
            let text = rule.required_text("text", report);
            if let (Some(key), Some(text)) = (key, text) {
                let origin = Origin::Store { revision: 0 };
                findings.extend(rules.apply(key, Some(text), origin).findings);
            }
            rule.finish(report);
        }
        let mut ids = EndpointIds::new();
        let endpoints: Vec<Endpoint> = map
            .list("endpoints", report)
            .iter()
            .filter_map(|node| read_endpoint(node, &call.service, &mut ids, report))
            .filter(|endpoint| endpoint.service == call.service)
            .collect();
        map.finish(report);
        let tried = |endpoint: &&Endpoint| tried.contains(&endpoint.address);
        Some(Case {
            rules,
            findings,
            tried: endpoints.iter().filter(tried).map(|endpoint| endpoint.id).collect(),
            endpoints,
            call,
            address: address.unwrap_or_default(),
            application: application.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            random,
            now_ms: now_ms.unwrap_or(LATE_MS),
        })
    }
}

fn read_endpoint(
    node: &Node,
    service: &str,
    ids: &mut EndpointIds,
    report: &mut Report,
) -> Option<Endpoint> {
    let read = match &node.value {
        Value::Mapping(_) => {
            let mut map = node.mapping("an endpoint", report)?;
            let address = map.required_text("address", report);
            let mut labels = map.text_map("labels", report);
            if let Some(weight) = map.integer("weight", 0..=u64::from(u32::MAX), report) {
                labels.insert("weight".to_owned(), weight.to_string());
            }
            map.finish(report);
            Endpoint::from_parts("dubbo", service, address?, labels, ids)
        }
        _ => Endpoint::from_url(node.text("an endpoint", report)?, ids),
    };
    read.map_err(|error| report.error(node.position, "bad-endpoint", error.to_string(), "")).ok()
}
