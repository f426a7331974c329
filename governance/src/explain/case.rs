//! Reading a case: rules, endpoints and a call.

use codec::Argument;

use crate::document::{Finding, Mapping, Node, Report, Resolved, Value};
use crate::endpoint::{Endpoint, EndpointIds};
use crate::rules::{Compat, Origin, RuleSet};

use super::{Labels, WrittenCall};

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
        let compat = match map.text("compat", report) {
            None | Some("documented") => Compat::Documented,
            Some("java") => Compat::Java,
            Some(other) => {
                let at = map.peek("compat").map(|node| node.position).unwrap_or_default();
                let hint = "write java or documented";
                report.error(at, "unknown-compat", format!("compat is {other:?}"), hint);
                Compat::Documented
            }
        };
        let mut rules = RuleSet::new(compat);
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
        let random = read_rolls(&mut map, report);
        let now_ms = map.integer("now_ms", 0..=u64::MAX, report).unwrap_or(LATE_MS);
        let mut call = WrittenCall::default();
        let (mut address, mut application, mut labels) =
            (String::new(), String::new(), Labels::new());
        if let Some(mut asked) = map.required("call", report)?.mapping("call", report) {
            read_call(&mut asked, &mut call, report);
            if let Some(mut consumer) = asked.mapping("consumer", report) {
                let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
                address = text(consumer.text("address", report));
                application = text(consumer.text("application", report));
                labels = consumer.text_map("labels", report);
                consumer.finish(report);
            }
            asked.finish(report);
        }
        let mut ids = EndpointIds::new();
        let endpoints = map
            .list("endpoints", report)
            .iter()
            .filter_map(|node| read_endpoint(node, &call.service, &mut ids, report))
            .filter(|endpoint| endpoint.service == call.service)
            .collect();
        map.finish(report);
        Some(Case {
            rules,
            findings,
            endpoints,
            call,
            address,
            application,
            labels,
            random,
            now_ms,
        })
    }
}

/// `random: 0.25`, or a list where several choices shall differ.
fn read_rolls(map: &mut Mapping<'_>, report: &mut Report) -> Vec<f64> {
    let Some(node) = map.value("random") else { return vec![0.0] };
    let nodes = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut rolls = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node.scalar().and_then(|scalar| scalar.text.parse().ok()) {
            Some(roll) if (0.0..1.0).contains(&roll) => rolls.push(roll),
            _ => node.wrong_type("random", "a number from 0 to below 1", report),
        }
    }
    rolls
}

fn read_call(map: &mut Mapping<'_>, call: &mut WrittenCall, report: &mut Report) {
    // Rules see every protocol's calls alike.
    map.text("protocol", report);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    call.service = text(map.required_text("service", report));
    call.method = text(map.required_text("method", report));
    call.version = optional(map, "version");
    call.group = optional(map, "group");
    call.attachments = map.text_map("attachments", report);
    call.timeout = map
        .integer("timeout_ms", 1..=u64::from(u32::MAX), report)
        .map(std::time::Duration::from_millis);
    call.parameter_types =
        map.texts("parameter_types", report).iter().map(|(name, _)| descriptor(name)).collect();
    call.arguments = map.list("arguments", report).iter().map(argument).collect();
}

/// A text that may be empty.
fn optional(map: &mut Mapping<'_>, key: &'static str) -> String {
    map.value(key).and_then(Node::scalar).map(|scalar| scalar.text.clone()).unwrap_or_default()
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

fn argument(node: &Node) -> Argument<'static> {
    match &node.value {
        Value::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => Argument::Null,
            Resolved::Bool(value) => Argument::Bool(value),
            Resolved::Int(value) => match i64::try_from(value) {
                Ok(value) => Argument::Int(value),
                Err(_) => Argument::Text(scalar.text.clone().into()),
            },
            Resolved::Float(value) => Argument::Double(value),
            Resolved::Date | Resolved::Text(_) => Argument::Text(scalar.text.clone().into()),
        },
        Value::Sequence(_) => Argument::Other("java.util.List".into()),
        Value::Mapping(_) => Argument::Other("java.util.Map".into()),
    }
}

/// The JVM descriptor of a type as Java source names it.
fn descriptor(name: &str) -> String {
    let element = name.trim_end_matches("[]");
    let dimensions = (name.len() - element.len()) / 2;
    let one = match element {
        "boolean" => "Z".to_owned(),
        "byte" => "B".to_owned(),
        "char" => "C".to_owned(),
        "short" => "S".to_owned(),
        "int" => "I".to_owned(),
        "long" => "J".to_owned(),
        "float" => "F".to_owned(),
        "double" => "D".to_owned(),
        class => format!("L{};", class.replace('.', "/")),
    };
    "[".repeat(dimensions) + &one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_the_jvms() {
        assert_eq!(descriptor("int"), "I");
        assert_eq!(descriptor("java.lang.String[][]"), "[[Ljava/lang/String;");
    }
}
