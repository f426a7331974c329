//! What reading a Dubbo request's head costs.
//!
//! `cargo bench -p codec --bench dubbo_head -- --quick`

use std::hint::black_box;

use bytes::BytesMut;
use codec::dubbo::call::descriptor;
use codec::dubbo::edit::{self, Edit};
use codec::dubbo::{Call, Dubbo};
use codec::value::Value;
use codec::{FrameCodec, RequestHead};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A call as Dubbo 3.3 writes it, with one argument.
fn call(java_type: &str, argument: Value) -> BytesMut {
    let attachments =
        [("remote.application", "lab-consumer"), ("timeout", "5000"), ("group", "g1")];
    let call = Call {
        service: "lab.EchoService".to_owned(),
        version: String::new(),
        group: String::new(),
        method: "echoString".to_owned(),
        parameter_types: descriptor([java_type]).unwrap_or_default(),
        arguments: vec![argument],
        attachments: attachments.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
    };
    let mut frame = BytesMut::new();
    call.write(1, false, &mut frame);
    frame
}

fn heads(criterion: &mut Criterion) {
    let string = |text: String| call("java.lang.String", Value::String(text));
    let person = Value::object(
        "lab.Person",
        vec![
            ("name", "person-1".into()),
            ("id", Value::Long(1001)),
            ("tags", Value::list(vec!["t1".into(), "common".into()])),
        ],
    );
    let calls = [
        ("128 B", string("x".repeat(128))),
        ("object", call("lab.Person", person)),
        ("64 KiB ascii", string("x".repeat(65_536))),
        ("64 KiB cjk", string("字".repeat(65_536 / 3))),
        ("64 KiB bytes", call("byte[]", Value::Binary(vec![7; 65_536]))),
    ];
    for (name, frame) in &calls {
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function("target", |bencher| {
            bencher.iter(|| {
                let head = Dubbo::head(black_box(frame));
                black_box(head.target().map(|target| target.service.len()))
            });
        });
        group.bench_function("target, group, timeout", |bencher| {
            bencher.iter(|| {
                let head = Dubbo::head(black_box(frame));
                let target = head.target().map(|target| target.service.len());
                black_box((target, head.group().map(str::len), head.timeout()))
            });
        });
        group.bench_function("one attachment more", |bencher| {
            bencher.iter(|| {
                let head = Dubbo::head(black_box(frame));
                let group = head.group().map(str::len);
                black_box((group, head.field("remote.application").map(|field| field.is_some())))
            });
        });
        group.finish();
    }
    let (_, frame) = &calls[0];
    criterion.bench_function("128 B: set an attachment", |bencher| {
        let mut out = BytesMut::with_capacity(4096);
        let edit = Edit { set: &[("dubbo.tag", "gray")], remove: &[] };
        bencher.iter(|| {
            out.clear();
            black_box(edit::request(black_box(frame), edit, &mut out).is_ok())
        });
    });
}

criterion_group!(benches, heads);
criterion_main!(benches);
