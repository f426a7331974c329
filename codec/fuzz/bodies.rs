//! What the fuzz targets do with their input. Also run on seeded input by
//! `codec/tests/fuzz.rs`. Nothing here may panic but for the assertions.

use bytes::BytesMut;
use codec::dubbo::answer::Answer;
use codec::dubbo::edit::{self, Edit, Missing};
use codec::dubbo::{Dubbo, RequestHead};
use codec::hessian2::{self, Limits};
use codec::input::Input;
use codec::triple::{Message, message};
use codec::value::json::{Classes, to_json};
use codec::{FrameCodec, RequestHead as _, jsonb};

/// Small enough that a run that ignores them is seen by its memory.
const LIMITS: Limits = Limits { depth: 64, values: 10_000, classes: 100, text_bytes: 1 << 20 };

/// A peer's bytes as a Dubbo frame: everything that may be asked of it.
pub(crate) fn dubbo_frame(bytes: &[u8]) {
    let _ = Dubbo::detect(bytes);
    let _ = Dubbo::frame_len(bytes);
    let _ = Dubbo::meta(bytes);
    let _ = Dubbo::outcome(bytes);
    let _ = Dubbo::origin(bytes);
    let mut out = BytesMut::new();
    Dubbo::pong(bytes, &mut out);

    let head = Dubbo::head(bytes);
    let _ = (head.target().is_ok(), head.group().is_ok(), head.timeout(), head.is_one_way());
    let _ = (head.parameter_types().is_ok(), head.has_callback(), head.meant_method().is_ok());
    for index in 0..4 {
        let _ = head.argument(index);
    }
    let _ = head.arguments(LIMITS);
    if let Ok(attachments) = head.attachments() {
        for (key, value) in attachments.flatten().take(1000) {
            let _ = (key.to_str(), value.to_text(), value.to_int());
        }
    }
    let _ = Answer::read(bytes, LIMITS);

    let edit = Edit { set: &[("path", "p"), ("x-new", "n")], remove: &["timeout"] };
    let mut edited = BytesMut::new();
    if edit::request(bytes, edit, &mut edited).is_ok() {
        let head = RequestHead::new(&edited);
        assert_eq!(head.field("x-new").ok().flatten().as_deref(), Some("n"));
        assert_eq!(head.field("timeout"), Ok(None));
    } else {
        assert!(edited.is_empty());
    }
    let _ = edit::response(bytes, edit, Missing::Add, &mut edited);
}

/// Bytes as hessian2 values: what is read can be stepped over, and written and
/// read again.
pub(crate) fn hessian2_values(bytes: &[u8]) {
    let mut decoder = hessian2::Decoder::new(Input::new(bytes, 0), LIMITS);
    let mut skip = hessian2::Skip::default();
    let mut skipped = Input::new(bytes, 0);
    let mut values = Vec::new();
    while !decoder.input().is_at_end() {
        let value = decoder.value();
        let end = skip.value(&mut skipped);
        let Ok(value) = value else { break };
        assert_eq!(end, Ok(()));
        assert_eq!(skipped.at(), decoder.input().at());
        values.push(value);
    }
    let mut out = BytesMut::new();
    let mut encoder = hessian2::Encoder::new();
    values.iter().for_each(|value| encoder.value(&mut out, value));
    // Not itself limited: what was cut out as malformed text may have grown.
    let mut again = hessian2::Decoder::new(Input::new(&out, 0), Limits::DEFAULT);
    for value in &values {
        let read = again.value().expect("what was written can be read");
        // By text: a NaN is no equal of itself.
        assert_eq!(format!("{read:?}"), format!("{value:?}"));
        let _ = to_json(value, Classes::Shown);
    }
    assert!(again.input().is_at_end());
}

/// Bytes as a JSONB document: what is read can be stepped over.
pub(crate) fn jsonb_document(bytes: &[u8]) {
    let mut decoder = jsonb::Decoder::new(Input::new(bytes, 0), LIMITS);
    let mut skip = jsonb::Skip::default();
    let mut skipped = Input::new(bytes, 0);
    if let Ok(value) = decoder.value() {
        assert_eq!(skip.value(&mut skipped), Ok(()));
        assert_eq!(skipped.at(), decoder.input().at());
        let _ = to_json(&value, Classes::Shown);
    }
}

/// Bytes as the body of a Triple request: what can be read of the first message is the
/// same whatever follows it, and whether or not the rest has come.
pub(crate) fn triple_message(bytes: &[u8]) {
    let first = Message::new(bytes);
    let _ = (first.serialization().is_ok(), first.parameter_types().is_ok());
    let _ = codec::http::health::asked(bytes);
    let is_whole = message::length(bytes).is_some_and(|length| length <= bytes.len() as u64);
    let followed = [bytes, b"\x00\x00\x00\x00\x01x"].concat();
    for index in 0..4 {
        let argument = first.argument(index);
        if let Ok(argument) = &argument {
            assert!(is_whole || argument.is_some());
            assert_eq!(Message::new(&followed).argument(index).ok().as_ref(), Some(argument));
        }
        let half = Message::new(&bytes[..bytes.len() / 2]);
        if let Ok(found) = half.argument(index) {
            assert_eq!(Some(found), argument.ok());
        }
    }
}
