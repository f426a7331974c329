//! What holds for every value, string and frame.
#![allow(clippy::unwrap_used)]

use bytes::{BufMut, BytesMut};
use codec::dubbo::answer::{Answer, Refusal};
use codec::dubbo::edit::{self, Edit};
use codec::dubbo::{Call, Dubbo, Header, RequestHead, Serialization, reply};
use codec::hessian2::{self, Limits, decode, encode};
use codec::input::Input;
use codec::triple::{self, Message};
use codec::value::{List, Map, Value};
use codec::{DecodeError, Fault, FrameCodec, Outcome, Reason, RequestHead as _, Substitute, jsonb};
use proptest::collection::vec;
use proptest::prelude::*;

fn any_value() -> impl Strategy<Value = Value> {
    let class = || prop::option::of("[a-c]{1,3}".prop_map(|name| name.as_str().into()));
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::Int),
        (-300_000..300_000).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        (-300_000_i64..300_000).prop_map(Value::Long),
        any::<f64>().prop_filter("equal to itself", |d| !d.is_nan()).prop_map(Value::Double),
        (-40_000..40_000).prop_map(|mills| Value::Double(0.001 * f64::from(mills))),
        any::<String>().prop_map(Value::String),
        (0_usize..40_000, any::<char>())
            .prop_map(|(times, c)| Value::String(c.to_string().repeat(times))),
        vec(any::<u8>(), 0..20_000).prop_map(Value::Binary),
        any::<i64>().prop_map(Value::Date),
        (-10_000_i64..10_000).prop_map(|minutes| Value::Date(minutes * 60_000)),
        any::<u32>().prop_map(Value::Ref),
    ];
    scalar.prop_recursive(5, 40, 12, move |inside| {
        prop_oneof![
            (class(), vec(inside.clone(), 0..12))
                .prop_map(|(class, items)| Value::List(List { class, items })),
            (class(), vec((inside.clone(), inside.clone()), 0..6))
                .prop_map(|(class, entries)| Value::Map(Map { class, entries })),
            ("[a-d]", vec(("[a-z]{1,40}", inside), 0..6)).prop_map(|(class, fields)| {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), value.clone()));
                Value::object(&class, fields.collect())
            }),
        ]
    })
}

/// A length-delimited field of protobuf.
fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// Makes each reference one to a container begun before it; where there is
/// none, a null.
fn bind(value: &mut Value, begun: &mut u32) {
    match value {
        Value::Ref(_) if *begun == 0 => *value = Value::Null,
        Value::Ref(index) => *index %= *begun,
        Value::List(list) => {
            *begun += 1;
            list.items.iter_mut().for_each(|item| bind(item, begun));
        }
        Value::Map(map) => {
            *begun += 1;
            for (key, value) in &mut map.entries {
                bind(key, begun);
                bind(value, begun);
            }
        }
        Value::Object(object) => {
            *begun += 1;
            object.values.iter_mut().for_each(|value| bind(value, begun));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(mut value in any_value()) {
        bind(&mut value, &mut 0);
        let bytes = encode::to_bytes(&value);
        prop_assert_eq!(decode::from_slice(&bytes, Limits::DEFAULT), Ok(value));
        let mut input = Input::new(&bytes, 0);
        hessian2::Skip::default().value(&mut input).unwrap();
        prop_assert_eq!(input.at(), bytes.len());
    }

    #[test]
    fn a_call_is_read_as_it_was_made(
        mut arguments in vec(any_value(), 0..4),
        method in "[a-z]{1,70}",
        group in any::<String>(),
        version in "[1-9.]{0,5}",
        one_way: bool,
        id: u64,
    ) {
        let mut begun = 0;
        arguments.iter_mut().for_each(|argument| bind(argument, &mut begun));
        let call = Call {
            service: "lab.Echo\u{1f600}Service".to_owned(),
            version: version.clone(),
            group: group.clone(),
            method: method.clone(),
            parameter_types: "I".repeat(arguments.len()),
            arguments: arguments.clone(),
            attachments: vec![("timeout".to_owned(), "1500".to_owned())],
        };
        let mut frame = BytesMut::new();
        call.write(id, one_way, &mut frame);
        prop_assert_eq!(Dubbo::frame_len(&frame), Ok(frame.len() as u64));
        prop_assert_eq!(Dubbo::meta(&frame).unwrap().id, id);
        let head = Dubbo::head(&frame);
        let target = head.target().unwrap();
        prop_assert_eq!((target.service, target.method), (&*call.service, &*method));
        prop_assert_eq!(target.version, &*version);
        prop_assert_eq!(head.group(), Ok(&*group));
        prop_assert_eq!(head.timeout().unwrap().as_millis(), 1500);
        prop_assert_eq!(head.is_one_way(), one_way);
        prop_assert_eq!(head.arguments(Limits::DEFAULT), Ok(arguments));
    }

    #[test]
    fn attachments_are_changed_and_nothing_else(
        argument in any_value(),
        name in "x[a-zé字😀]{0,40}",
        value in any::<String>(),
    ) {
        let mut argument = argument;
        bind(&mut argument, &mut 0);
        let call = Call {
            service: "lab.EchoService".to_owned(),
            version: String::new(),
            group: "g".to_owned(),
            method: "echo".to_owned(),
            parameter_types: "I".to_owned(),
            arguments: vec![argument],
            attachments: Vec::new(),
        };
        let mut frame = BytesMut::new();
        call.write(1, false, &mut frame);
        let mut with = BytesMut::new();
        let set = [(name.as_str(), value.as_str())];
        edit::request(&frame, Edit { set: &set, remove: &[] }, &mut with).unwrap();
        let field = RequestHead::new(&with).field(&name).unwrap().map(|text| text.into_owned());
        prop_assert_eq!(field, Some(value));
        let mut without = BytesMut::new();
        edit::request(&with, Edit { set: &[], remove: &[&name] }, &mut without).unwrap();
        prop_assert_eq!(without, frame);
    }

    /// Fields of later versions stand between those that are known.
    #[test]
    fn arguments_are_the_same_in_triple_as_in_dubbo(
        mut arguments in vec(any_value(), 0..4),
        unknown in vec(any::<u8>(), 0..200),
        behind in vec(any::<u8>(), 0..20),
    ) {
        arguments.iter_mut().for_each(|argument| bind(argument, &mut 0));
        let mut wrapper = Vec::new();
        field(1, b"hessian4", &mut wrapper);
        for argument in &arguments {
            field(2, &encode::to_bytes(argument), &mut wrapper);
            field(9, &unknown, &mut wrapper);
        }
        arguments.iter().for_each(|_| field(3, b"int", &mut wrapper));
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(wrapper.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&wrapper);
        body.extend_from_slice(&behind);
        let call = Call {
            service: "lab.EchoService".to_owned(),
            version: String::new(),
            group: String::new(),
            method: "echo".to_owned(),
            parameter_types: "I".repeat(arguments.len()),
            arguments: arguments.clone(),
            attachments: Vec::new(),
        };
        let mut frame = BytesMut::new();
        call.write(1, false, &mut frame);
        let (dubbo, triple) = (RequestHead::new(&frame), Message::new(&body));
        for (index, argument) in arguments.iter().enumerate() {
            prop_assert_eq!(triple.argument(index), dubbo.argument(index));
            let bytes = encode::to_bytes(argument);
            prop_assert_eq!(triple.argument_bytes(index), Ok(Some(&bytes[..])));
        }
        prop_assert_eq!(triple.argument(arguments.len()), Ok(None));
        prop_assert_eq!(triple.parameter_types(), Ok(&*call.parameter_types));
    }

    /// As `QueryStringDecoder` does it: a plus sign is a space.
    #[test]
    fn java_reads_the_text_of_a_triple_fault(detail in any::<String>()) {
        let fault = Fault::new(Reason::Timeout, detail, "wait");
        let trailers = triple::answer::trailers(&fault);
        let message = trailers["grpc-message"].to_str().unwrap().replace('+', " ");
        let mut bytes = Vec::new();
        let mut rest = message.as_bytes();
        while let [byte, more @ ..] = rest {
            rest = match (byte, more) {
                (b'%', [high, low, more @ ..]) => {
                    let digits = [*high, *low];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                    more
                }
                _ => {
                    bytes.push(*byte);
                    more
                }
            };
        }
        prop_assert_eq!(String::from_utf8(bytes).unwrap(), fault.to_string());
    }

    #[test]
    fn jsonb_strings_and_numbers_are_read_again(text in any::<String>(), int: i32, long: i64) {
        let mut out = BytesMut::new();
        jsonb::write::map(&mut out, |out| {
            jsonb::write::string(out, &text);
            jsonb::write::int(out, int);
            jsonb::write::string(out, &"k".repeat(text.len()));
            jsonb::write::long(out, long);
        });
        let value = jsonb::Decoder::new(Input::new(&out, 0), Limits::DEFAULT).value().unwrap();
        let expected = Value::map(vec![
            (Value::String(text.clone()), Value::Int(int)),
            (Value::String("k".repeat(text.len())), Value::Long(long)),
        ]);
        prop_assert_eq!(value, expected);
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let mut frame = BytesMut::from(&b"\xda\xbb\xc2\x14"[..]);
        frame.put_slice(&bytes);
        let head = Dubbo::head(&frame);
        let _ = (head.target().is_ok(), head.group().is_ok(), Dubbo::outcome(&frame));
        let _ = decode::from_slice(&bytes, Limits::DEFAULT);
        let _ = jsonb::Decoder::new(Input::new(&bytes, 0), Limits::DEFAULT).value();
    }
}

#[test]
fn limits_are_checked_before_memory_is_taken() {
    let limit = |bytes: &[u8]| match decode::from_slice(bytes, Limits::DEFAULT) {
        Err(DecodeError::TooLarge { what, .. }) => what,
        Err(DecodeError::Truncated { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    // A list that says it has 2^31 - 1 elements, and one of -1.
    assert_eq!(limit(b"\x58I\x7f\xff\xff\xff"), "list length");
    assert_eq!(limit(b"\x58\x8f"), "list length");
    // A class of 2^31 - 1 fields.
    assert_eq!(limit(b"C\x01aI\x7f\xff\xff\xff"), "field count");
    assert_eq!(limit(&b"\x79".repeat(1000)), "nesting");
    assert_eq!(limit(&b"H".repeat(1000)), "nesting");
    let many = [b"\x58I\x00\x50\x00\x00".to_vec(), b"N".repeat(0x50_0000)].concat();
    assert_eq!(limit(&many), "number of values");
    let mut deep = Input::new(&[0x79; 100_000], 0);
    let error = hessian2::Skip::default().value(&mut deep).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { what: "nesting", .. }), "{error}");
}

#[test]
fn a_substitute_reads_as_a_providers_answer() {
    let class = "lab.Refused".to_owned();
    let list = Value::list(vec![Value::Int(1), Value::String("two".to_owned())]);
    for serialization in
        [Serialization::Hessian2, Serialization::Fastjson2, Serialization::Other(8)]
    {
        let mut request = BytesMut::new();
        let flags = 0xc0 | serialization.id();
        Header { flags, status: 0, id: 7, body_len: 0 }.write(&mut request);
        let read = |substitute: &Substitute| {
            let mut frame = BytesMut::from(&b"before"[..]);
            Dubbo::substitute(Dubbo::origin(&request), substitute, &mut frame);
            let frame = frame.split_off(6);
            assert_eq!(Dubbo::frame_len(&frame), Ok(frame.len() as u64));
            assert_eq!(Dubbo::meta(&frame).unwrap().id, 7);
            (Dubbo::outcome(&frame), Answer::read(&frame, Limits::DEFAULT).unwrap().result)
        };
        for value in [Value::Null, Value::Bool(false), Value::from("hi"), list.clone()] {
            let (outcome, result) = read(&Substitute::Value(value.clone()));
            assert_eq!((outcome, result), (Outcome::Success, Ok(value)));
        }
        let exception = Substitute::Exception { class: class.clone(), message: "no".to_owned() };
        match read(&exception) {
            (Outcome::BusinessException, Err(Refusal::Exception(exception))) => {
                assert_eq!(exception.class(), Some("lab.Refused"));
                assert_eq!(exception.get("detailMessage"), Some(&Value::from("no")));
                assert_eq!(exception.get("code"), None);
            }
            (Outcome::ProviderError, Err(Refusal::Status { status: 80, message })) => {
                assert_eq!(serialization, Serialization::Other(8));
                assert_eq!(message, "lab.Refused: no");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_fault_reads_as_its_form_says() {
    for serialization in
        [Serialization::Hessian2, Serialization::Fastjson2, Serialization::Other(8)]
    {
        for reason in Reason::ALL {
            let fault = Fault::new(reason, "lab.EchoService 字 is nowhere", "start a provider");
            let mut request = BytesMut::new();
            let flags = 0xc0 | serialization.id();
            Header { flags, status: 0, id: u64::MAX, body_len: 0 }.write(&mut request);
            let mut frame = BytesMut::from(&b"before"[..]);
            Dubbo::reply(Dubbo::origin(&request), &fault, &mut frame);
            let frame = frame.split_off(6);
            assert_eq!(Dubbo::frame_len(&frame), Ok(frame.len() as u64));
            assert_eq!(Dubbo::meta(&frame).unwrap().id, u64::MAX);
            let answer = Answer::read(&frame, Limits::DEFAULT).unwrap();
            let text = match (answer.result.unwrap_err(), reply::form(reason)) {
                (Refusal::Status { status, message }, reply::Form::Status(expected)) => {
                    assert_eq!(status, expected);
                    assert_eq!(Dubbo::outcome(&frame), Outcome::ProviderError);
                    assert!(reason.may_pass_on_retry());
                    message
                }
                (Refusal::Exception(exception), reply::Form::Exception(code)) => {
                    assert_eq!(exception.class(), Some("org.apache.dubbo.rpc.RpcException"));
                    assert_eq!(exception.get("code"), Some(&Value::Int(code)));
                    assert!(!reason.may_pass_on_retry());
                    exception.get("detailMessage").and_then(Value::as_str).unwrap().to_owned()
                }
                (Refusal::Status { status: 80, message }, _) => {
                    assert_eq!(serialization, Serialization::Other(8));
                    message
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(text, fault.to_string());
        }
    }
}
