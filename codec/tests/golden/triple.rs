//! Calls of real Java over Triple, and what was said and seen on both sides.

use std::time::Duration;

use codec::http::outcome::{self, Verdict};
use codec::http::{Dialect, Head, grpc};
use codec::triple::fields::{Attachment, attachments};
use codec::triple::{self, Message};
use codec::{Argument, Outcome, RequestHead, Target};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use serde_json::Value as Json;

use crate::vectors::{hex, read};

/// One call: what the consumer sent, what the provider answered, what the
/// consumer's program saw.
struct Call {
    name: String,
    seen: String,
    request: Parts,
    body: Vec<u8>,
    status: StatusCode,
    head: HeaderMap,
    trailers: Option<HeaderMap>,
}

fn calls() -> Vec<Call> {
    let vectors = read(include_str!("../../testdata/triple_calls.jsonl"));
    assert_eq!(vectors.len(), 50);
    vectors.iter().map(Call::of).collect()
}

impl Call {
    fn of(json: &Json) -> Call {
        let (mut body, mut heads) = (Vec::new(), Vec::new());
        let mut request = None;
        for frame in json["frames"].as_array().unwrap() {
            match (frame["from"].as_str().unwrap(), &frame["headers"]) {
                ("client", Json::Null) => body.extend(hex(frame["data"].as_str().unwrap_or(""))),
                ("client", lines) => request = Some(parts(lines)),
                (_, Json::Null) => {}
                (_, lines) => heads.push(lines),
            }
        }
        let status = heads.first().and_then(|lines| pseudo(lines, ":status"));
        Call {
            name: json["name"].as_str().unwrap().to_owned(),
            seen: json["seen"].as_str().unwrap().to_owned(),
            request: request.unwrap(),
            body,
            status: status.map_or(StatusCode::OK, |status| status.parse().unwrap()),
            head: heads.first().map(|lines| headers(lines)).unwrap_or_default(),
            trailers: heads.get(1).map(|lines| headers(lines)),
        }
    }

    fn head(&self) -> Head<'_> {
        let dialect = Dialect::of(&self.request.headers);
        assert_eq!(dialect, Dialect::Triple, "{}", self.name);
        Head::new(&self.request, dialect, |_| false).with_body(&self.body)
    }

    fn verdict(&self) -> Verdict {
        outcome::of_head(Dialect::Triple, self.status, &self.head)
    }
}

fn pairs(lines: &Json) -> impl Iterator<Item = (&str, &str)> {
    lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line[0].as_str().unwrap(), line[1].as_str().unwrap()))
}

fn pseudo<'j>(lines: &'j Json, name: &str) -> Option<&'j str> {
    pairs(lines).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn headers(lines: &Json) -> HeaderMap {
    pairs(lines)
        .filter(|(name, _)| !name.starts_with(':'))
        .map(|(name, value)| {
            // Java writes and reads one byte for each character.
            let bytes: Vec<u8> = value.chars().map(|c| u8::try_from(c).unwrap()).collect();
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(&bytes).unwrap())
        })
        .collect()
}

fn parts(lines: &Json) -> Parts {
    let (mut parts, ()) = Request::builder()
        .method(pseudo(lines, ":method").unwrap())
        .uri(pseudo(lines, ":path").unwrap())
        .body(())
        .unwrap()
        .into_parts();
    parts.headers = headers(lines);
    parts
}

#[test]
fn heads_say_what_the_consumer_was_told() {
    for call in calls() {
        let name = &*call.name;
        let head = call.head();
        let target = head.target().unwrap();
        let (version, group) = match name {
            "group and version" | "attachments" => ("2.0.0", "g1"),
            "no such group and version" => ("9.9.9", "g9"),
            _ => ("", ""),
        };
        assert_eq!((target.version, head.group().unwrap()), (version, group), "{name}");
        assert_eq!(head.field("remote.application").unwrap().as_deref(), Some("interop-capture"));
        let is_stream = name.contains("stream") || name == "bidirectional";
        let timeout = match name {
            "timed out" => Some(200),
            _ if is_stream => None,
            _ => Some(5000),
        };
        assert_eq!(head.timeout(), timeout.map(Duration::from_millis), "{name}");
        assert!(!head.is_one_way());
    }
    let all = calls();
    let target = |name: &str| all.iter().find(|call| call.name == name).unwrap().head();
    let head = target("hessian2: echo");
    let expected = Target { service: "interop.EchoService", method: "$echo", version: "" };
    assert_eq!(head.target(), Ok(expected));
    // The method that is meant stands in the first argument.
    assert_eq!(target("generic").meant_method().as_deref(), Ok("string"));
}

#[test]
fn arguments_are_those_of_the_call() {
    let text = |text: &'static str| Argument::Text(text.into());
    let other = |class: &'static str| Argument::Other(class.into());
    // Only fastjson2 names the class of an array of bytes.
    let of = |name: &str, fastjson2: bool| -> Vec<Argument<'static>> {
        match name {
            "no argument" | "void" => vec![],
            "string" => vec![text("\u{e4}rger \u{1f600}")],
            "null" => vec![Argument::Null],
            "int" => vec![Argument::Int(70_000)],
            "long" => vec![Argument::Int(-5)],
            "boolean" => vec![Argument::Bool(true)],
            "double" => vec![Argument::Double(12.25)],
            "overloaded int" => vec![Argument::Int(5)],
            "overloaded string" => vec![text("5")],
            "object" => vec![other("interop.Node")],
            "list" => vec![other("")],
            "bytes" if fastjson2 => vec![other("[B")],
            "bytes" => vec![other("")],
            "echo" => vec![text("hello")],
            "fails: checked" => vec![text("checked")],
            "fails: runtime" => vec![text("runtime")],
            "fails: custom" => vec![text("custom")],
            "fails: error" => vec![text("error")],
            name => panic!("{name}"),
        }
    };
    let mut read = 0;
    for call in calls() {
        let Some((_, name)) = call.name.split_once("2: ") else { continue };
        let head = call.head();
        let expected = of(name, call.name.starts_with("fastjson2"));
        for (index, expected) in expected.iter().enumerate() {
            let found = head.argument(index);
            assert_eq!(found.as_ref().ok(), Some(&Some(expected.clone())), "{}", call.name);
        }
        assert_eq!(head.argument(expected.len()), Ok(None), "{}", call.name);
        read += 1;
    }
    assert_eq!(read, 36);
}

#[test]
fn parameter_types_are_descriptors() {
    for (name, types) in [
        ("hessian2: no argument", ""),
        ("hessian2: overloaded int", "I"),
        ("fastjson2: overloaded string", "Ljava/lang/String;"),
        ("hessian2: bytes", "[B"),
        ("generic", codec::dubbo::head::GENERIC_PARAMETER_TYPES),
        ("server stream", "Ljava/lang/Integer;Lorg/apache/dubbo/common/stream/StreamObserver;"),
    ] {
        let call = calls().into_iter().find(|call| call.name == name).unwrap();
        assert_eq!(call.head().parameter_types(), Ok(types), "{name}");
    }
}

/// Their first field is a string, too.
#[test]
fn a_message_in_protobuf_is_no_wrapper() {
    for call in calls().iter().filter(|call| call.name.starts_with("protobuf")) {
        let error = call.head().argument(0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "serialization 22 (protobuf) is passed on but cannot be read"
        );
    }
}

/// The frames may split it anywhere, and the rest may be long in coming.
#[test]
fn an_argument_is_read_once_it_has_come() {
    for call in calls() {
        let whole = triple::message::length(&call.body).unwrap() as usize;
        let expected = Message::new(&call.body).argument(0);
        let mut known = false;
        for end in 0..=call.body.len() {
            match Message::new(&call.body[..end]).argument(0) {
                Ok(found) => {
                    assert_eq!(Ok(found), expected, "{} at {end}", call.name);
                    known = true;
                }
                Err(_) => assert!(!known || expected.is_err(), "{} at {end}", call.name),
            }
            assert!(end < whole || known == expected.is_ok(), "{} at {end}", call.name);
        }
    }
}

#[test]
fn attachments_are_those_of_the_programs() {
    let call = calls().into_iter().find(|call| call.name == "attachments").unwrap();
    let mut found = attachments(&call.request.headers);
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let text = |text: &'static str| Attachment::Text(text.into());
    let expected = [
        ("Mixed-Case", text("kept")),
        ("dubbo.tag", text("gray")),
        ("empty", text("")),
        ("flag", text("true")),
        ("number", text("42")),
        ("raw", Attachment::Binary(vec![0, 0xff, 1, 2])),
        ("timeout", text("5000")),
        ("user", text("u7")),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    assert_eq!(found, expected);
    let head = call.head();
    assert_eq!(head.field("Mixed-Case").unwrap().as_deref(), Some("kept"));
    assert_eq!(head.field("user").unwrap().as_deref(), Some("u7"));

    let mut back = attachments(call.trailers.as_ref().unwrap());
    back.sort_by(|(one, _), (other, _)| one.cmp(other));
    let expected = [
        ("answer-plain".to_owned(), text("from the provider")),
        ("answer-unicode".to_owned(), text("f\u{fc}r ??")),
    ];
    assert_eq!(back, expected);
}

#[test]
fn outcomes_are_what_the_consumer_saw() {
    let mut exceptions = 0;
    for call in calls() {
        let seen = &*call.seen;
        let found = call.verdict().at_end(call.trailers.as_ref());
        let expected = match &*call.name {
            // No answer at all.
            "timed out" => Outcome::ProviderError,
            "no such service" | "no such method" => Outcome::ProviderError,
            "server stream that fails" => Outcome::BusinessException,
            _ if seen.starts_with("threw ") => Outcome::BusinessException,
            _ => Outcome::Success,
        };
        assert_eq!(found, expected, "{}: {seen}", call.name);
        exceptions += u32::from(expected == Outcome::BusinessException);
    }
    assert_eq!(exceptions, 10);
}

/// A unary answer's status comes in its trailers, a refusal's in its head.
#[test]
fn refusals_have_no_trailers() {
    for call in calls().iter().filter(|call| call.name != "timed out") {
        let refused = call.name.starts_with("no such") && call.status != StatusCode::OK;
        assert_eq!(call.trailers.is_none(), refused, "{}", call.name);
        let said = if refused { Some(&call.head) } else { call.trailers.as_ref() };
        assert!(grpc::status(said.unwrap()).is_some(), "{}", call.name);
    }
}
