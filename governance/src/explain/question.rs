//! Reading a call that somebody asks about: all of a case but its rules and
//! endpoints.

use codec::Argument;

use crate::document::{Mapping, Node, Report, Resolved, Value};
use crate::rules::Compat;

use super::{Labels, Spoken, WrittenCall, WrittenHttp};

/// The method that a plain TCP connection counts as.
const CONNECT: &str = "connect";

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
    call.protocol = Spoken::read(map, report);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    call.service = text(map.required_text("service", report));
    call.method = match call.protocol {
        Some(Spoken::Tcp) => map.text("method", report).unwrap_or(CONNECT).to_owned(),
        _ => text(map.required_text("method", report)),
    };
    if let Some(spoken) = call.protocol {
        spoken.check(map, report);
    }
    call.version = optional(map, "version");
    call.group = optional(map, "group");
    call.attachments = map.text_map("attachments", report);
    call.timeout = map
        .integer("timeout_ms", 1..=u64::from(u32::MAX), report)
        .map(std::time::Duration::from_millis);
    call.parameter_types =
        map.texts("parameter_types", report).iter().map(|(name, _)| descriptor(name)).collect();
    call.arguments = map.list("arguments", report).iter().map(argument).collect();
    let http = map.mapping("http", report);
    let is_over_http = http.is_some() || call.protocol.is_some_and(Spoken::is_over_http);
    call.http = is_over_http.then(|| read_http(http, call, report));
}

/// `http: {method, scheme, authority, path}`: of what is absent, what a gRPC
/// request for the service and method has; or, where the call is plain HTTP, one
/// with its method for the root of its host.
fn read_http(map: Option<Mapping<'_>>, call: &WrittenCall, report: &mut Report) -> WrittenHttp {
    let mut http = match call.protocol {
        Some(spoken) if spoken.is_plain_http() => WrittenHttp {
            method: call.method.clone(),
            path: "/".to_owned(),
            ..WrittenHttp::default()
        },
        _ => WrittenHttp {
            method: "POST".to_owned(),
            path: format!("/{}/{}", call.service, call.method),
            ..WrittenHttp::default()
        },
    };
    http.scheme = "http".to_owned();
    http.authority.clone_from(&call.service);
    if let Some(mut map) = map {
        for (key, value) in [
            ("method", &mut http.method),
            ("scheme", &mut http.scheme),
            ("authority", &mut http.authority),
            ("path", &mut http.path),
        ] {
            if let Some(said) = map.text(key, report) {
                said.clone_into(value);
            }
        }
        map.finish(report);
    }
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

    /// What a question says of its call in HTTP's own terms.
    fn http(call: &str) -> (String, Option<(String, String, String)>) {
        let call = read_question("case", &format!("call: {{{call}}}\n")).unwrap().call;
        (call.method, call.http.map(|http| (http.method, http.authority, http.path)))
    }

    #[test]
    fn a_call_has_the_terms_of_what_it_is_spoken_in() {
        let terms = |method: &str, path: &str| {
            let text = str::to_owned;
            Some((text(method), text("s"), text(path)))
        };
        let say = |protocol: &str| http(&format!("protocol: {protocol}, service: s, method: PUT"));
        for protocol in ["grpc", "triple"] {
            assert_eq!(say(protocol).1, terms("POST", "/s/PUT"));
        }
        for protocol in ["http", "http1", "http2"] {
            assert_eq!(say(protocol).1, terms("PUT", "/"));
        }
        for protocol in ["dubbo", "bolt"] {
            assert_eq!(say(protocol).1, None);
        }
        assert_eq!(http("service: s, method: PUT").1, None);
        assert_eq!(http("service: s, method: PUT, http: {}").1, terms("POST", "/s/PUT"));
        let whole = "protocol: http1, service: s, method: PUT, http: {path: /a, method: GET}";
        assert_eq!(http(whole).1, terms("GET", "/a"));
        assert_eq!(http("protocol: tcp, service: s"), ("connect".to_owned(), None));
    }

    #[test]
    fn triple_has_group_and_version_as_attachments() {
        use codec::RequestHead;
        let call = "call: {protocol: PROTOCOL, service: s, method: m, group: g, version: '1'}\n";
        let field = |protocol: &str, name: &str| {
            let question = read_question("case", &call.replace("PROTOCOL", protocol)).unwrap();
            question.call.field(name).unwrap().map(std::borrow::Cow::into_owned)
        };
        assert_eq!(field("triple", "group").as_deref(), Some("g"));
        assert_eq!(field("triple", "version").as_deref(), Some("1"));
        assert_eq!(field("grpc", "group"), None);
    }

    #[test]
    fn what_a_protocol_does_not_have_is_refused() {
        let codes = |call: &str| -> Vec<(&str, u32)> {
            let findings = read_question("case", &format!("call: {{{call}}}\n")).unwrap_err();
            findings.iter().map(|finding| (finding.code, finding.column)).collect()
        };
        assert_eq!(
            codes("protocol: tcp, service: s, attachments: {a: b}, timeout_ms: 5"),
            [("not-in-protocol", 48), ("not-in-protocol", 68)]
        );
        assert_eq!(
            codes("protocol: dubbo, service: s, method: m, http: {}"),
            [("not-in-protocol", 54)]
        );
        assert_eq!(codes("protocol: spdy, service: s, method: m"), [("unknown-word", 18)]);
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
