//! TCP keeps no frames together: every place where one can be cut.

use proxy::server::Proxy;

use crate::counters::{received, value, wait_for};
use crate::wire::*;

/// Sends `bytes` so that the proxy reads them in two parts.
fn send_split(proxy: &Proxy, side: &str, wire: &mut Wire, bytes: &[u8], at: usize) {
    let before = value(proxy, &received(side));
    wire.send(&bytes[..at]);
    wait_for(proxy, &received(side), before + at as i64);
    wire.send(&bytes[at..]);
    wait_for(proxy, &received(side), before + bytes.len() as i64);
}

#[test]
fn a_call_may_be_cut_at_every_byte() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let sent = [Request::new(1).frame(), Request { flags: ONE_WAY, ..Request::new(2) }.frame()];
    let bytes: Vec<u8> = sent.iter().flat_map(Frame::bytes).collect();
    let mut upstream = None;
    for at in 1..bytes.len() {
        send_split(&proxy, "downstream", &mut caller, &bytes, at);
        let upstream = upstream.get_or_insert_with(|| provider.accept());
        for frame in &sent {
            let came = upstream.expect();
            assert_eq!(Frame { id: frame.id, ..came }, *frame, "cut after {at} bytes");
        }
    }
}

#[test]
fn an_answer_may_be_cut_at_every_byte() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let calls = [Request::new(1).bytes(), Request::new(2).bytes()].concat();
    caller.send(&calls);
    let mut upstream = provider.accept();
    let length = 2 * Frame::default().answer(&string("pong")).bytes().len();
    for at in 1..length {
        let answers =
            [upstream.expect(), upstream.expect()].map(|call| call.answer(&string("pong")));
        send_split(
            &proxy,
            "upstream",
            &mut upstream,
            &answers.each_ref().map(Frame::bytes).concat(),
            at,
        );
        for (id, answer) in [1, 2].into_iter().zip(answers) {
            assert_eq!(caller.expect(), Frame { id, ..answer }, "cut after {at} bytes");
        }
        caller.send(&calls);
    }
}

#[test]
fn large_calls_may_be_cut_wherever_it_matters() {
    let provider = Provider::new();
    let (proxy, mut caller) = start(outbound(&[provider.address()]));
    let large: String = (0..60_000).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
    // A small one before, and one after, in the same bytes.
    let sent = [
        Request::new(1).frame(),
        Request { argument: &large, ..Request::new(2) }.frame(),
        Request::new(3).frame(),
    ];
    let bytes: Vec<u8> = sent.iter().flat_map(Frame::bytes).collect();
    let first = sent[0].bytes().len();
    let last = bytes.len() - sent[2].bytes().len();
    let cuts = (first - 1..first + 20)
        .chain([first + 16_383, first + 16_384, first + 16_385])
        .chain(last - 2..last + 18);
    let mut upstream = None;
    for at in cuts {
        send_split(&proxy, "downstream", &mut caller, &bytes, at);
        let upstream = upstream.get_or_insert_with(|| provider.accept());
        for frame in &sent {
            let came = upstream.expect();
            let came = Frame { id: frame.id, ..came };
            assert!(
                came == *frame,
                "cut after {at} bytes: {} bytes came for {}, begin {:?}, differ at {:?}",
                came.body.len(),
                frame.body.len(),
                String::from_utf8_lossy(&came.body[..60]),
                came.body.iter().zip(&frame.body).position(|(came, sent)| came != sent),
            );
        }
    }
}

#[test]
fn frames_of_every_size_about_a_buffers_end_pass_whole() {
    let (_proxy, mut caller) = start(outbound(&[Provider::new().mirror_forever()]));
    let mut id = 0;
    for around in [4_096_usize, 16_384, 65_536, 131_072] {
        for length in around - 3..=around + 3 {
            let mut frame = Request::new(id).frame();
            let filler = length - 16 - frame.body.len();
            frame.body.extend(std::iter::repeat_n(id as u8, filler));
            // Several, so that they meet the end of a buffer in several ways.
            caller.send(&frame.bytes().repeat(3));
            for _ in 0..3 {
                let answer = caller.expect();
                assert!(answer.body[1..] == frame.body[..], "{length} bytes");
            }
            id += 1;
        }
    }
}
