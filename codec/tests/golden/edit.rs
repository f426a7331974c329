//! Changing the attachments of frames of real Java Dubbo.

use bytes::BytesMut;
use codec::EditError;
use codec::dubbo::edit::{self, Edit, Missing};
use codec::dubbo::{Header, RequestHead, ResponseHead};
use codec::{FrameCodec, RequestHead as _};

use crate::vectors::{Vector, dubbo_frames};

fn requests() -> impl Iterator<Item = Vector> {
    dubbo_frames().into_iter().filter(|vector| {
        let decoded = &vector.json["decoded"];
        decoded["kind"] == "request" && decoded.get("decode_note").is_none()
    })
}

fn request(frame: &[u8], edit: Edit<'_>) -> BytesMut {
    let mut out = BytesMut::from(&b"before"[..]);
    edit::request(frame, edit, &mut out).unwrap();
    let out = out.split_off(6);
    let length = codec::dubbo::Dubbo::frame_len(&out).unwrap();
    assert_eq!(length, out.len() as u64);
    out
}

#[test]
fn an_edit_undone_leaves_the_frame_as_it_was() {
    let long = "y".repeat(70_000);
    for Vector { name, bytes, .. } in requests() {
        for value in ["", "v", "\u{5b57}\u{1f600}", &long] {
            let set = [("x-spanwire", value), ("x-two", "2")];
            let with = request(&bytes, Edit { set: &set, remove: &[] });
            let head = RequestHead::new(&with);
            assert_eq!(head.field("x-spanwire").unwrap().as_deref(), Some(value), "{name}");
            assert_eq!(head.field("x-two").unwrap().as_deref(), Some("2"), "{name}");
            assert_eq!(head.target(), RequestHead::new(&bytes).target());
            let without = request(&with, Edit { set: &[], remove: &["x-two", "x-spanwire"] });
            assert_eq!(without, bytes, "{name}");
        }
        assert_eq!(request(&bytes, Edit::default()), bytes, "{name}");
    }
}

#[test]
fn a_replaced_value_keeps_its_place() {
    for Vector { name, bytes, .. } in requests() {
        let head = RequestHead::new(&bytes);
        let keys = |head: &RequestHead<'_>| -> Vec<String> {
            let entries = head.attachments().unwrap().map(|entry| entry.unwrap().0);
            entries.map(|key| key.to_str().into_owned()).collect()
        };
        let path = head.field("path").unwrap().unwrap();
        let changed = request(&bytes, Edit { set: &[("path", "other.Path")], remove: &[] });
        let head = RequestHead::new(&changed);
        assert_eq!(head.field("path").unwrap().as_deref(), Some("other.Path"), "{name}");
        assert_eq!(keys(&head), keys(&RequestHead::new(&bytes)), "{name}");
        let back = request(&changed, Edit { set: &[("path", &path)], remove: &[] });
        assert_eq!(back, bytes, "{name}");
    }
}

#[test]
fn responses_are_changed_where_they_have_attachments() {
    let mut seen = [0; 3];
    for Vector { name, bytes, json } in dubbo_frames() {
        let decoded = &json["decoded"];
        if decoded["kind"] != "response" {
            continue;
        }
        let edit = Edit { set: &[("x-spanwire", "1")], remove: &[] };
        let mut out = BytesMut::new();
        let refused = edit::response(&bytes, edit, Missing::Refuse, &mut out);
        let read = |frame: &[u8]| {
            let head = ResponseHead::new(frame).unwrap();
            assert_eq!(Header::read(frame).unwrap().frame_len(), frame.len() as u64, "{name}");
            let mut entries = head.attachments().unwrap().unwrap().map(|entry| entry.unwrap());
            let (_, value) = entries.find(|(key, _)| key.is("x-spanwire")).unwrap();
            value.to_text().map(|text| text.into_owned())
        };
        match decoded["response_type"].as_u64() {
            Some(3..=5) => {
                seen[0] += 1;
                refused.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(read(&out).as_deref(), Some("1"), "{name}");
                let mut back = BytesMut::new();
                let edit = Edit { set: &[], remove: &["x-spanwire"] };
                edit::response(&out, edit, Missing::Refuse, &mut back).unwrap();
                assert_eq!(back, bytes, "{name}");
            }
            Some(_) => {
                seen[1] += 1;
                assert_eq!(refused, Err(EditError::NoAttachments), "{name}");
                assert!(out.is_empty());
                edit::response(&bytes, edit, Missing::Add, &mut out).unwrap();
                assert_eq!(read(&out).as_deref(), Some("1"), "{name}");
                let before = ResponseHead::new(&bytes).unwrap().response_type().unwrap();
                let after = ResponseHead::new(&out).unwrap().response_type().unwrap();
                assert_eq!(after, before.with_attachments(), "{name}");
            }
            None => {
                seen[2] += 1;
                assert_eq!(refused, Err(EditError::NoAttachments), "{name}");
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 5), "{seen:?}");
}
