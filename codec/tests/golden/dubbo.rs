//! Frames of real Java Dubbo, and what the Java library reads in them.

use std::time::Duration;

use bytes::BytesMut;
use codec::dubbo::{Dubbo, Header};
use codec::{Argument, FrameCodec, Kind, Outcome, RequestHead};
use serde_json::Value as Json;

use crate::vectors::dubbo_frames;

struct Vector {
    name: String,
    frame: Vec<u8>,
    decoded: Json,
}

fn vectors() -> impl Iterator<Item = Vector> {
    dubbo_frames().into_iter().map(|vector| Vector {
        name: vector.name,
        frame: vector.bytes,
        decoded: vector.json["decoded"].clone(),
    })
}

#[test]
fn headers_are_read_and_measured_at_every_split() {
    for Vector { name, frame, decoded } in vectors() {
        let header = Header::read(&frame).unwrap();
        assert_eq!(header.id as i64, decoded["id"].as_i64().unwrap(), "{name}");
        assert_eq!(u64::from(header.flags), decoded["flags"].as_u64().unwrap(), "{name}");
        assert_eq!(u64::from(header.status), decoded["status"].as_u64().unwrap(), "{name}");
        assert_eq!(header.is_request(), decoded["request"].as_bool().unwrap(), "{name}");
        assert_eq!(header.is_two_way(), decoded["twoway"].as_bool().unwrap(), "{name}");
        assert_eq!(header.is_event(), decoded["event"].as_bool().unwrap(), "{name}");
        let id = u64::from(header.serialization().id());
        assert_eq!(id, decoded["serialization_id"].as_u64().unwrap(), "{name}");
        for split in 0..frame.len() {
            let length = Dubbo::frame_len(&frame[..split]);
            match split {
                0..16 => assert!(length.is_err(), "{name} at {split}"),
                _ => assert_eq!(length, Ok(frame.len() as u64), "{name} at {split}"),
            }
        }
        let mut rewritten = BytesMut::new();
        header.write(&mut rewritten);
        assert_eq!(rewritten, frame[..16], "{name}");
    }
}

#[test]
fn kinds_are_told_apart() {
    for Vector { name, frame, decoded } in vectors() {
        let two_way = decoded["twoway"].as_bool().unwrap();
        let expected = match (decoded["kind"].as_str().unwrap(), decoded["data"].as_str()) {
            ("request", _) => Kind::Request { one_way: !two_way },
            ("response", _) => Kind::Response,
            ("event", Some("R")) => Kind::GoAway,
            ("event", None) if decoded["request"] == true => Kind::Ping { two_way },
            ("event", None) => Kind::Pong,
            other => panic!("{name}: {other:?}"),
        };
        let meta = Dubbo::meta(&frame).unwrap();
        assert_eq!(meta.kind, expected, "{name}");
        assert_eq!(meta.id as i64, decoded["id"].as_i64().unwrap(), "{name}");
    }
}

#[test]
fn a_new_id_changes_nothing_else() {
    for Vector { name, frame, .. } in vectors() {
        let mut changed = frame.clone();
        Dubbo::set_id(&mut changed, 0x0102_0304_0506_0708);
        assert_eq!(Dubbo::meta(&changed).unwrap().id, 0x0102_0304_0506_0708, "{name}");
        changed[4..12].copy_from_slice(&frame[4..12]);
        assert_eq!(changed, frame, "{name}");
    }
}

#[test]
fn outcomes_follow_status_and_response_type() {
    let mut seen = [0; 3];
    for Vector { name, frame, decoded } in vectors() {
        if decoded["kind"] != "response" {
            continue;
        }
        let expected = match (decoded["status"].as_u64(), decoded["response_type"].as_u64()) {
            (Some(20), Some(0 | 3)) => Outcome::BusinessException,
            (Some(20), _) => Outcome::Success,
            _ => Outcome::ProviderError,
        };
        seen[match expected {
            Outcome::Success => 0,
            Outcome::BusinessException => 1,
            _ => 2,
        }] += 1;
        assert_eq!(Dubbo::outcome(&frame), expected, "{name}");
    }
    assert!(seen.iter().all(|&count| count > 10), "{seen:?}");
}

#[test]
fn request_heads_are_what_java_reads() {
    let mut read = 0;
    for Vector { name, frame, decoded } in vectors() {
        if decoded["kind"] != "request" || decoded.get("decode_note").is_some() {
            continue;
        }
        read += 1;
        let head = Dubbo::head(&frame);
        let target = head.target().unwrap_or_else(|e| panic!("{name}: {e}"));
        let version = decoded["version"].as_str().filter(|version| *version != "0.0.0");
        assert_eq!(target.service, decoded["path"].as_str().unwrap_or_default(), "{name}");
        assert_eq!(target.version, version.unwrap_or_default(), "{name}");
        assert_eq!(target.method, decoded["method"].as_str().unwrap(), "{name}");
        assert_eq!(head.protocol_version(), Ok(decoded["dubbo_version"].as_str().unwrap()));
        assert_eq!(
            head.parameter_types(),
            Ok(decoded["parameter_types_desc"].as_str().unwrap()),
            "{name}"
        );
        assert_eq!(head.is_one_way(), !decoded["twoway"].as_bool().unwrap(), "{name}");

        let attachments = decoded["attachments"].as_object().unwrap();
        let group = head.group().unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = attachments.get("group").and_then(Json::as_str);
        assert_eq!(group, expected.unwrap_or_default(), "{name}");
        assert_eq!(head.attachments().unwrap().count(), attachments.len(), "{name}");
        for (key, value) in attachments {
            let field = head.field(key).unwrap();
            match value {
                Json::String(text) => assert_eq!(field.as_deref(), Some(&**text), "{name} {key}"),
                Json::Null => assert_eq!(field, None, "{name} {key}"),
                Json::Number(_) | Json::Bool(_) => {
                    assert_eq!(field.as_deref(), Some(&*value.to_string()), "{name} {key}")
                }
                _ => assert_eq!(field, None, "{name} {key}"),
            }
        }
        let timeout = attachments.get("_TO").or(attachments.get("timeout"));
        let millis = timeout.and_then(|t| t.as_u64().or_else(|| t.as_str()?.parse().ok()));
        assert_eq!(head.timeout(), millis.map(Duration::from_millis), "{name}");

        let arguments = decoded["arguments"].as_array().unwrap();
        for (index, argument) in arguments.iter().enumerate() {
            let found = head.argument(index).unwrap_or_else(|e| panic!("{name}: {e}")).unwrap();
            match (argument, &found) {
                (Json::Null, Argument::Null) => {}
                (Json::Bool(a), Argument::Bool(b)) => assert_eq!(a, b, "{name}"),
                (Json::String(a), Argument::Text(b)) => assert_eq!(a, b, "{name}"),
                (Json::Number(a), Argument::Int(b)) => assert_eq!(a.as_i64(), Some(*b), "{name}"),
                (Json::Number(a), Argument::Double(b)) => {
                    let a = a.as_f64().unwrap();
                    assert!(a == *b || a as f32 == *b as f32, "{name}: {a} {b}");
                }
                (Json::Array(_) | Json::Object(_), Argument::Other(class)) => {
                    if let Some(expected) = argument.get("@class").and_then(Json::as_str)
                        && !class.is_empty()
                        && expected.starts_with("lab.")
                    {
                        assert_eq!(class, expected, "{name}");
                    }
                }
                (argument, found) => {
                    let special = argument.to_string();
                    assert!(
                        special.contains("@") || special.contains("NaN") || special.contains("Inf"),
                        "{name}: {argument} read as {found:?}"
                    );
                }
            }
        }
        assert_eq!(head.argument(arguments.len()), Ok(None), "{name}");
    }
    assert_eq!(read, 320);
}
