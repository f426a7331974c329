//! Arguments and results in frames of real Java Dubbo.

use bytes::BytesMut;
use codec::dubbo::answer::{Answer, Refusal};
use codec::dubbo::{RequestHead, Serialization};
use codec::hessian2::{Decoder, Encoder, Limits};
use codec::input::Input;

use crate::check::Check;
use crate::vectors::dubbo_frames;

#[test]
fn arguments_and_results_are_what_java_reads() {
    let mut checked = [0; 2];
    for vector in dubbo_frames() {
        let (name, decoded) = (vector.name, &vector.json["decoded"]);
        if decoded.get("decode_note").is_some() || decoded["kind"] == "event" {
            continue;
        }
        if decoded["kind"] == "request" {
            let head = RequestHead::new(&vector.bytes);
            let arguments =
                head.arguments(Limits::DEFAULT).unwrap_or_else(|e| panic!("{name}: {e}"));
            let expected = decoded["arguments"].as_array().unwrap();
            assert_eq!(arguments.len(), expected.len(), "{name}");
            for (index, (argument, expected)) in arguments.iter().zip(expected).enumerate() {
                // hessian2 numbers containers over the body, JSONB over each document.
                let message = match head.serialization() {
                    Serialization::Hessian2 => &arguments[..],
                    _ => &arguments[index..=index],
                };
                let result = Check::of(message).is(argument, expected);
                result.unwrap_or_else(|e| panic!("{name}: {e}"));
                checked[0] += 1;
            }
            continue;
        }
        let answer =
            Answer::read(&vector.bytes, Limits::DEFAULT).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (value, expected) = match &answer.result {
            Ok(value) => (value, &decoded["value"]),
            Err(Refusal::Exception(value)) => (value, &decoded["exception"]),
            Err(Refusal::Status { status, message }) => {
                assert_eq!(u64::from(*status), decoded["status"].as_u64().unwrap(), "{name}");
                assert_eq!(message, decoded["error_message"].as_str().unwrap(), "{name}");
                continue;
            }
        };
        let result = Check::of(std::slice::from_ref(value)).is(value, expected);
        result.unwrap_or_else(|e| panic!("{name}: {e}"));
        if let Some(class) = expected["@class"].as_str()
            && answer.result.is_err()
        {
            assert_eq!(value.class(), Some(class), "{name}");
        }
        let attachments = decoded["attachments"].as_object();
        assert_eq!(answer.attachments.len(), attachments.map_or(0, |a| a.len()), "{name}");
        for (key, value) in &answer.attachments {
            assert_eq!(decoded["attachments"][key].as_str(), Some(&**value), "{name}");
        }
        checked[1] += 1;
    }
    assert!(checked[0] > 250 && checked[1] > 250, "{checked:?}");
}

#[test]
fn hessian2_bodies_are_written_as_java_wrote_them() {
    let mut other = Vec::new();
    for vector in dubbo_frames() {
        if vector.json["serialization"] != "hessian2"
            || vector.json["decoded"].get("decode_note").is_some()
        {
            continue;
        }
        let mut decoder = Decoder::new(Input::new(&vector.bytes, 16), Limits::DEFAULT);
        let mut encoder = Encoder::new();
        let mut out = BytesMut::new();
        while !decoder.input().is_at_end() {
            let value = decoder.value().unwrap_or_else(|e| panic!("{}: {e}", vector.name));
            encoder.value(&mut out, &value);
        }
        if out != vector.bytes[16..] {
            other.push(vector.name);
        }
    }
    assert_eq!(other, [""; 0]);
}
