//! Reading a call that somebody asks about: all of a case but its rules and
//! endpoints.

use codec::Argument;

use crate::document::{Mapping, Node, Report, Resolved, Value};
use crate::rules::Compat;

use super::{Labels, WrittenCall, WrittenHttp};

/// A call that somebody asks about. What is absent is for whoever answers to
/// fill in.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Whose reading of rules is asked for.
    pub compat: Option<Compat>,
    /// The call.
    pub call: WrittenCall,
    /// The caller's IP address.
    pub address: Option<String>,
    /// The caller's application.
    pub application: Option<String>,
    /// The caller's labels.
    pub labels: Option<Labels>,
    /// Addresses that were tried for this call already.
    pub tried: Vec<String>,
    /// Where the dice fall, in `[0, 1)`, over and over.
    pub random: Vec<f64>,
    /// The time, in milliseconds since 1970.
    pub now_ms: Option<u64>,
}

impl Question {
    /// Reads a question that stands alone: rules and endpoints are those of
    /// whoever answers.
    pub(super) fn read_alone(node: &Node, report: &mut Report) -> Option<Question> {
        let mut map = node.mapping("a case", report)?;
        let question = Question::read(&mut map, report);
        for key in ["rules", "endpoints"] {
            if let Some(node) = map.get(key) {
                report.error(
                    node.position,
                    "not-live",
                    format!("{key} of a case do not count where the call is decided live"),
                    format!("leave {key} out, or decide the case offline"),
                );
            }
        }
        map.finish(report);
        question
    }

    /// Reads a question out of a case; `None` when it asks about no call.
    pub(super) fn read(map: &mut Mapping<'_>, report: &mut Report) -> Option<Question> {
        let compat = match map.text("compat", report) {
            None => None,
            Some("documented") => Some(Compat::Documented),
            Some("java") => Some(Compat::Java),
            Some(other) => {
                let at = map.peek("compat").map(|node| node.position).unwrap_or_default();
                let hint = "write java or documented";
                report.error(at, "unknown-compat", format!("compat is {other:?}"), hint);
                None
            }
        };
        let random = read_rolls(map, report);
        let now_ms = map.integer("now_ms", 0..=u64::MAX, report);
        let tried = map.texts("tried", report).iter().map(|(text, _)| (*text).to_owned()).collect();
        let mut call = WrittenCall::default();
        let (mut address, mut application, mut labels) = (None, None, None);
        if let Some(mut asked) = map.required("call", report)?.mapping("call", report) {
            read_call(&mut asked, &mut call, report);
            if let Some(mut consumer) = asked.mapping("consumer", report) {
                address = consumer.text("address", report).map(str::to_owned);
                application = consumer.text("application", report).map(str::to_owned);
                labels =
                    consumer.value("labels").is_some().then(|| consumer.text_map("labels", report));
                consumer.finish(report);
            }
            asked.finish(report);
        }
        Some(Question { compat, call, address, application, labels, tried, random, now_ms })
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
    call.http = map.mapping("http", report).map(|inside| read_http(inside, call, report));
}

/// `http: {method, scheme, authority, path}`: of what is absent, what a gRPC
/// request for the service and method has.
fn read_http(mut map: Mapping<'_>, call: &WrittenCall, report: &mut Report) -> WrittenHttp {
    let mut text = |key, default: &str, report: &mut Report| {
        map.text(key, report).unwrap_or(default).to_owned()
    };
    let http = WrittenHttp {
        method: text("method", "POST", report),
        scheme: text("scheme", "http", report),
        authority: text("authority", &call.service, report),
        path: text("path", &format!("/{}/{}", call.service, call.method), report),
    };
    map.finish(report);
    http
}

/// A text that may be empty.
fn optional(map: &mut Mapping<'_>, key: &'static str) -> String {
    map.value(key).and_then(Node::scalar).map(|scalar| scalar.text.clone()).unwrap_or_default()
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::explain::read_question;

    #[test]
    fn descriptors_are_the_jvms() {
        assert_eq!(descriptor("int"), "I");
        assert_eq!(descriptor("java.lang.String[][]"), "[[Ljava/lang/String;");
    }

    #[test]
    fn a_question_stands_alone() {
        let text = "compat: java\nrandom: [0.1, 0.9]\ntried: ['h:1']\n\
            call: {service: s, method: m, consumer: {labels: {region: hz}}}\n";
        let question = read_question("case", text).unwrap();
        assert_eq!((question.compat, question.now_ms), (Some(Compat::Java), None));
        assert_eq!((question.address, question.application), (None, None));
        assert_eq!(question.labels.unwrap()["region"], "hz");
        assert_eq!((question.random, question.tried), (vec![0.1, 0.9], vec!["h:1".to_owned()]));
        let findings = read_question("case", &format!("{text}rules: []\n")).unwrap_err();
        assert_eq!((findings[0].code, findings[0].line), ("not-live", 5));
    }

    #[test]
    fn an_endpoint_that_was_tried_is_taken_last() {
        let case = |tried: &str| {
            format!(
                "endpoints: ['dubbo://h:1/s', 'dubbo://h:2/s']\ntried: [{tried}]\n\
                 call: {{service: s, method: m}}\n"
            )
        };
        let picked = |tried| {
            let explained = crate::explain::explain_case("case", &case(tried)).unwrap();
            (explained.picked.unwrap(), explained.repeats)
        };
        assert_eq!(picked(""), ("h:1".to_owned(), false));
        assert_eq!(picked("'h:1'"), ("h:2".to_owned(), false));
        assert!(picked("'h:1', 'h:2'").1);
    }
}
