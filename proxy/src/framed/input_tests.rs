//! Frames that come in pieces.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use codec::FrameCodec;
use codec::dubbo::Dubbo;
use tokio::io::{AsyncRead, ReadBuf};

use super::buffers::Buffers;
use super::input::{Arrived, Input, Next, Read};
use super::output::OWN_FROM;

const LIMIT: u64 = 100_000;

/// A socket that gives its bytes in these pieces, and then ends.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn frame(id: u8, body: usize) -> Vec<u8> {
    let mut frame = vec![0xda, 0xbb, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, id];
    frame.extend((body as u32).to_be_bytes());
    frame.extend(std::iter::repeat_n(id, body));
    frame
}

/// What was handed over of a stream in pieces, what is over the limit as its
/// length alone; and how it ended.
#[derive(Debug, Default, PartialEq)]
struct Came {
    frames: Vec<Vec<u8>>,
    too_large: Vec<u64>,
    is_garbage: bool,
    is_mid_frame: bool,
}

fn read(pieces: Vec<Vec<u8>>, after_large: Next) -> Came {
    let (mut socket, mut came) = (Pieces(pieces.into()), Came::default());
    let (mut input, buffers) = (Input::default(), Buffers::default());
    let mut scratch = vec![0; 64 << 10];
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let on = |arrived: Arrived<'_>| {
            match arrived {
                Arrived::Borrowed(frame) => came.frames.push(frame.to_vec()),
                Arrived::Owned(frame) => came.frames.push(frame.to_vec()),
                Arrived::TooLarge { header, len } => {
                    assert!(header.len() >= Dubbo::HEADER_LEN);
                    came.too_large.push(len);
                    return after_large;
                }
            }
            Next::Continue
        };
        match input.poll::<Dubbo>(&mut cx, &mut socket, &mut scratch, &buffers, LIMIT, on) {
            Poll::Ready(Ok(Ok(Read::Bytes(_)))) => {}
            Poll::Ready(Ok(Ok(Read::End))) => break,
            Poll::Ready(Ok(Err(_))) => {
                came.is_garbage = true;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    came.is_mid_frame = input.is_mid_frame();
    came
}

#[test]
fn frames_arrive_whole_wherever_the_stream_is_cut() {
    let frames = vec![frame(1, 5), frame(2, 0), frame(3, 40), frame(4, OWN_FROM + 7), frame(5, 1)];
    let stream = frames.concat();
    let expected = Came { frames, ..Came::default() };
    let near_an_edge =
        |at: &usize| *at < 200 || *at > stream.len() - 200 || at.is_multiple_of(1021);
    for at in (1..stream.len()).filter(near_an_edge) {
        let pieces = vec![stream[..at].to_vec(), stream[at..].to_vec()];
        assert!(read(pieces, Next::Stop) == expected, "cut after {at} bytes");
    }
    for size in [1, 2, 7, 15, 16, 17, 1000, OWN_FROM, OWN_FROM + 16] {
        let pieces = stream.chunks(size).map(<[u8]>::to_vec).collect();
        assert!(read(pieces, Next::Stop) == expected, "in pieces of {size} bytes");
    }
}

#[test]
fn a_frame_over_the_limit_is_thrown_away_and_the_next_one_read() {
    let over = frame(2, LIMIT as usize - 15);
    let stream = [frame(1, 3), over.clone(), frame(3, 3)].concat();
    for size in [1, 16, 500, 70_000, stream.len()] {
        let pieces = stream.chunks(size).map(<[u8]>::to_vec).collect();
        let came = read(pieces, Next::Continue);
        assert_eq!(came.too_large, [over.len() as u64], "in pieces of {size} bytes");
        assert_eq!(came.frames, [frame(1, 3), frame(3, 3)], "in pieces of {size} bytes");
        assert!(!came.is_mid_frame);
    }
}

#[test]
fn a_frame_of_exactly_the_limit_is_taken() {
    let largest = frame(1, LIMIT as usize - 16);
    let came = read(vec![largest.clone()], Next::Stop);
    assert!(came.frames == [largest] && came.too_large.is_empty());
}

#[test]
fn after_stop_nothing_more_is_handed_over() {
    let stream = [frame(1, LIMIT as usize), frame(2, 3), vec![0xff; 100]].concat();
    let came = read(vec![stream], Next::Stop);
    assert_eq!((came.frames.len(), came.too_large.len(), came.is_garbage), (0, 1, false));
}

#[test]
fn garbage_ends_the_stream_after_what_came_before_it() {
    let came = read(vec![[frame(1, 3), vec![0x47; 16]].concat()], Next::Stop);
    assert_eq!((came.frames, came.is_garbage), (vec![frame(1, 3)], true));
}

#[test]
fn a_stream_that_ends_within_a_frame_says_so() {
    for (bytes, is_mid_frame) in [
        (frame(1, 3), false),
        (frame(1, 3)[..1].to_vec(), true),
        (frame(1, 3)[..18].to_vec(), true),
        (frame(1, OWN_FROM)[..OWN_FROM].to_vec(), true),
        (frame(1, LIMIT as usize)[..500].to_vec(), true),
    ] {
        let came = read(vec![bytes.clone()], Next::Continue);
        assert_eq!(came.is_mid_frame, is_mid_frame, "{} bytes", bytes.len());
    }
}
