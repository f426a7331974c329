//! Reading a head allocates nothing. A binary of its own: it counts every
//! allocation of the process.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use codec::dubbo::Dubbo;
use codec::http::{Dialect, Head};
use codec::{FrameCodec, RequestHead};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator unchanged; counting
// touches a thread-local without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

fn frames() -> Vec<(String, Vec<u8>)> {
    let lines = include_str!("../testdata/dubbo_frames.jsonl").lines();
    let json = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    json.filter(|json| {
        json["decoded"]["kind"] == "request" && json["decoded"].get("decode_note").is_none()
    })
    .map(|json| {
        let hex = json["hex"].as_str().unwrap();
        let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        let frame = (0..hex.len()).step_by(2).map(byte).collect();
        (json["name"].as_str().unwrap().to_owned(), frame)
    })
    .collect()
}

#[test]
fn counting_works() {
    assert_eq!(allocations(|| drop(black_box(vec![1_u8]))), 1);
}

#[test]
fn a_head_is_read_without_allocating() {
    let frames = frames();
    assert_eq!(frames.len(), 320);
    for (name, frame) in frames {
        let count = allocations(|| {
            let head = Dubbo::head(black_box(&frame));
            black_box(head.target().unwrap());
            black_box(head.group().unwrap());
            black_box(head.timeout());
            black_box(head.has_callback().unwrap());
            black_box(head.parameter_types().unwrap());
            black_box(head.field("interface").unwrap());
            for entry in head.attachments().unwrap() {
                black_box(entry.unwrap());
            }
        });
        assert_eq!(count, 0, "{name}");
    }
}

#[test]
fn an_answer_is_judged_and_an_id_set_without_allocating() {
    let lines = include_str!("../testdata/dubbo_frames.jsonl").lines();
    for line in lines {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let hex = json["hex"].as_str().unwrap();
        let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        let mut frame: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let count = allocations(|| {
            black_box(Dubbo::meta(black_box(&frame)).unwrap());
            black_box(Dubbo::frame_len(black_box(&frame)).unwrap());
            black_box(Dubbo::outcome(black_box(&frame)));
            Dubbo::set_id(black_box(&mut frame), 7);
        });
        assert_eq!(count, 0, "{}", json["name"]);
    }
}

#[test]
fn a_triple_call_is_read_without_allocating() {
    let headers = [
        ("content-type", "application/grpc+proto"),
        ("tri-consumer-appname", "shop"),
        ("tri-service-version", "1.0.0"),
        ("tri-service-group", "g"),
        ("grpc-timeout", "5000000u"),
        ("user", "u7"),
    ];
    let mut request = http::Request::post("/lab.EchoService/say");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let body = b"\x00\x00\x00\x00\x0f\x0a\x08hessian4\x12\x03\x02no";
    let count = allocations(|| {
        let dialect = Dialect::of(black_box(&parts.headers));
        assert_eq!(dialect, Dialect::Triple);
        let head = Head::new(black_box(&parts), dialect, |_| false).with_body(black_box(body));
        black_box(head.target().unwrap());
        black_box(head.group().unwrap());
        black_box(head.timeout().unwrap());
        black_box(head.field("user").unwrap().unwrap());
        black_box(head.field("remote.application").unwrap().unwrap());
        black_box(head.argument(0).unwrap().unwrap());
        black_box(head.argument_bytes(0).unwrap().unwrap());
    });
    assert_eq!(count, 0);
}
