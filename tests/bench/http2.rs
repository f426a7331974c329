//! HTTP/2 by hand: the load's end of a connection, for unary calls of gRPC.
//!
//! Header blocks are fixed: the first of a connection puts its fields into the
//! peer's table, all others name them there, as real clients and servers do. What a
//! peer's header blocks say is not read: a call's answer is right when its message is
//! the call's own and trailers end it. Flow control is obeyed; what this end takes
//! itself is announced so large that it never stops a peer.

use std::collections::{HashMap, VecDeque};

use crate::http::{Answer, SERVICE};
use crate::stream::Input;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame's fixed head.
const HEAD: usize = 9;
/// The largest frame that a peer may send (the protocol's own default).
const FRAME: usize = 16 << 10;
/// The window of a connection and a stream before anybody says otherwise.
const WINDOW: i64 = 65_535;
/// What a peer may send on a stream: no call has as much.
const STREAM_WINDOW: u32 = 1 << 20;
/// What a peer may send on the connection before more is given.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// So much is given back at a time.
const GIVE_BACK: usize = 1 << 28;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

/// One end.
#[derive(Debug)]
pub(crate) struct End {
    is_caller: bool,
    /// It has said what the protocol begins with.
    greeted: bool,
    /// The peer has its header fields in its table.
    indexed: bool,
    /// What may be sent on the connection.
    window: i64,
    /// What may be sent on a new stream.
    stream_window: i64,
    /// The largest frame that may be sent.
    frame: usize,
    /// Bodies for which there was no window.
    blocked: VecDeque<Blocked>,
    /// Bodies of which the end has not come.
    partial: HashMap<u32, Vec<u8>>,
    /// Buffers of bodies that were taken.
    spare: Vec<Vec<u8>>,
    /// Of the connection's window, not given back yet.
    taken: usize,
}

#[derive(Debug)]
struct Blocked {
    stream: u32,
    window: i64,
    rest: VecDeque<u8>,
}

impl End {
    pub(crate) fn new(is_caller: bool) -> End {
        End {
            is_caller,
            greeted: false,
            indexed: false,
            window: WINDOW,
            stream_window: WINDOW,
            frame: FRAME,
            blocked: VecDeque::new(),
            partial: HashMap::new(),
            spare: Vec::new(),
            taken: 0,
        }
    }

    /// See [`crate::http::End::call`].
    pub(crate) fn call(&mut self, index: u64, payload: &[u8], out: &mut Vec<u8>) {
        self.greet(out);
        let stream = 2 * index as u32 + 1;
        if std::mem::replace(&mut self.indexed, true) {
            put(out, HEADERS, END_HEADERS, stream, INDEXED_REQUEST);
        } else {
            put(out, HEADERS, END_HEADERS, stream, &first_request());
        }
        self.send(stream, payload, out);
    }

    fn answer(&mut self, stream: u32, body: &[u8], out: &mut Vec<u8>) {
        if self.indexed {
            put(out, HEADERS, END_HEADERS, stream, INDEXED_RESPONSE);
        } else {
            put(out, HEADERS, END_HEADERS, stream, &first_response());
        }
        self.send(stream, body, out);
    }

    fn greet(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.greeted, true) {
            return;
        }
        if self.is_caller {
            out.extend_from_slice(PREFACE);
        }
        let mut settings = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        settings.extend(STREAM_WINDOW.to_be_bytes());
        put(out, SETTINGS, 0, 0, &settings);
        put(out, WINDOW_UPDATE, 0, 0, &CONNECTION_WINDOW.to_be_bytes());
    }

    /// Sends a body, and what ends the stream behind it, as far as windows go.
    fn send(&mut self, stream: u32, body: &[u8], out: &mut Vec<u8>) {
        let length = body.len() as i64;
        if !self.blocked.is_empty() || length > self.window.min(self.stream_window) {
            let rest = body.iter().copied().collect();
            self.blocked.push_back(Blocked { stream, window: self.stream_window, rest });
            return self.unblock(out);
        }
        self.window -= length;
        let mut pieces = body.chunks(self.frame).peekable();
        while let Some(piece) = pieces.next() {
            let ends = self.is_caller && pieces.peek().is_none();
            put(out, DATA, if ends { END_STREAM } else { 0 }, stream, piece);
        }
        self.end(stream, out);
    }

    fn unblock(&mut self, out: &mut Vec<u8>) {
        for mut blocked in std::mem::take(&mut self.blocked) {
            loop {
                let room = self.window.min(blocked.window).min(self.frame as i64);
                let room = usize::try_from(room).unwrap_or(0).min(blocked.rest.len());
                if room == 0 {
                    break;
                }
                let piece: Vec<u8> = blocked.rest.drain(..room).collect();
                self.window -= room as i64;
                blocked.window -= room as i64;
                let ends = self.is_caller && blocked.rest.is_empty();
                put(out, DATA, if ends { END_STREAM } else { 0 }, blocked.stream, &piece);
            }
            if blocked.rest.is_empty() {
                self.end(blocked.stream, out);
            } else {
                self.blocked.push_back(blocked);
            }
        }
    }

    /// A provider ends a stream with its status.
    fn end(&mut self, stream: u32, out: &mut Vec<u8>) {
        if self.is_caller {
            return;
        }
        if std::mem::replace(&mut self.indexed, true) {
            put(out, HEADERS, END_HEADERS | END_STREAM, stream, INDEXED_TRAILERS);
        } else {
            put(out, HEADERS, END_HEADERS | END_STREAM, stream, &first_trailers());
        }
    }

    /// Takes the frames that have come. A provider answers; a caller tells of each
    /// answer.
    ///
    /// # Errors
    /// When what has come is not what may come.
    pub(crate) fn take(
        &mut self,
        input: &mut Input,
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(u64, Answer<'_>),
    ) -> Result<(), String> {
        if !self.is_caller && !self.greeted {
            if input.unread().len() < PREFACE.len() {
                return Ok(());
            }
            if &input.unread()[..PREFACE.len()] != PREFACE {
                return Err("no HTTP/2".to_owned());
            }
            input.consume(PREFACE.len());
        }
        // A server may speak first; what answers it comes behind the preface too.
        self.greet(out);
        while let Some(head) = input.unread().first_chunk::<HEAD>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
            if length > FRAME {
                return Err(format!("a frame of {length} bytes, at most {FRAME} were allowed"));
            }
            if input.unread().len() < HEAD + length {
                input.reserve(HEAD + length + 1);
                return Ok(());
            }
            let payload = &input.unread()[HEAD..HEAD + length];
            self.frame(kind, flags, stream, payload, out, each)?;
            input.consume(HEAD + length);
        }
        Ok(())
    }

    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(u64, Answer<'_>),
    ) -> Result<(), String> {
        let four = |at: usize| {
            let bytes = payload.get(at..at + 4).and_then(|four| four.try_into().ok());
            bytes.map(u32::from_be_bytes).ok_or("a frame that is too short")
        };
        match kind {
            DATA if flags & PADDED != 0 => return Err("a padded frame".to_owned()),
            DATA => {
                self.taken += payload.len();
                if self.taken >= GIVE_BACK {
                    put(out, WINDOW_UPDATE, 0, 0, &(self.taken as u32).to_be_bytes());
                    self.taken = 0;
                }
                if !self.is_caller && flags & END_STREAM != 0 && !self.partial.contains_key(&stream)
                {
                    self.answer(stream, payload, out);
                    return Ok(());
                }
                let spare = &mut self.spare;
                let body = self.partial.entry(stream);
                let body = body.or_insert_with(|| spare.pop().unwrap_or_default());
                body.extend_from_slice(payload);
                if flags & END_STREAM != 0 {
                    let mut body = self.partial.remove(&stream).unwrap_or_default();
                    if self.is_caller {
                        each(u64::from(stream / 2), Err("an answer without trailers".to_owned()));
                    } else {
                        self.answer(stream, &body, out);
                    }
                    body.clear();
                    self.spare.push(body);
                }
            }
            HEADERS if flags & END_STREAM != 0 => {
                let mut body = self.partial.remove(&stream).unwrap_or_default();
                if self.is_caller {
                    each(u64::from(stream / 2), Ok(&body));
                } else {
                    return Err("a request without a body".to_owned());
                }
                body.clear();
                self.spare.push(body);
            }
            RST_STREAM => {
                self.partial.remove(&stream);
                self.blocked.retain(|blocked| blocked.stream != stream);
                if self.is_caller {
                    each(u64::from(stream / 2), Err(format!("a reset: {}", four(0)?)));
                }
            }
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    let value =
                        u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
                    match u16::from_be_bytes([setting[0], setting[1]]) {
                        INITIAL_WINDOW_SIZE => {
                            let more = i64::from(value) - self.stream_window;
                            self.stream_window += more;
                            self.blocked.iter_mut().for_each(|blocked| blocked.window += more);
                        }
                        MAX_FRAME_SIZE => self.frame = value as usize,
                        _ => {}
                    }
                }
                put(out, SETTINGS, ACK, 0, &[]);
                self.unblock(out);
            }
            PING if flags & ACK == 0 => put(out, PING, ACK, 0, payload),
            GOAWAY if self.is_caller => return Err(format!("GOAWAY with {}", four(4)?)),
            WINDOW_UPDATE => {
                let more = i64::from(four(0)?);
                match self.blocked.iter_mut().find(|blocked| blocked.stream == stream) {
                    Some(blocked) => blocked.window += more,
                    None if stream == 0 => self.window += more,
                    None => {}
                }
                self.unblock(out);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Appends a frame.
fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends a field that goes into the peer's table (RFC 7541, section 6.2.1): with
/// the static table's name, or with a name of its own (0).
fn put_field(out: &mut Vec<u8>, name: u8, own_name: &str, value: &str) {
    out.push(0x40 | name);
    if name == 0 {
        out.push(own_name.len() as u8);
        out.extend_from_slice(own_name.as_bytes());
    }
    out.push(value.len() as u8);
    out.extend_from_slice(value.as_bytes());
}

/// `:method: POST`, `:scheme: http`, and five fields that are then in the table.
fn first_request() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    put_field(&mut block, 4, ":path", &format!("/{SERVICE}/Echo"));
    put_field(&mut block, 1, ":authority", crate::http::HOST);
    put_field(&mut block, 31, "content-type", "application/grpc");
    put_field(&mut block, 0, "te", "trailers");
    put_field(&mut block, 58, "user-agent", "bench/1.0");
    block
}

/// The same, from the table; the newest entry is 62.
const INDEXED_REQUEST: &[u8] = &[0x83, 0x86, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe];
const INDEXED_RESPONSE: &[u8] = &[0x88, 0xbf];
const INDEXED_TRAILERS: &[u8] = &[0xbe];

/// `:status: 200`, and the content type, which is then in the table.
fn first_response() -> Vec<u8> {
    let mut block = vec![0x88];
    put_field(&mut block, 31, "content-type", "application/grpc");
    block
}

fn first_trailers() -> Vec<u8> {
    let mut block = Vec::new();
    put_field(&mut block, 0, "grpc-status", "0");
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets two ends talk until nobody has anything to say; the caller's answers.
    fn talk(caller: &mut End, provider: &mut End, mut out: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
        let mut answers = Vec::new();
        while !out.is_empty() {
            let mut back = Vec::new();
            provider.take(&mut Input::of(&out), &mut back, &mut |_, _| {}).unwrap();
            out.clear();
            let each = &mut |index, body: Answer<'_>| answers.push((index, body.unwrap().to_vec()));
            caller.take(&mut Input::of(&back), &mut out, each).unwrap();
        }
        answers
    }

    #[test]
    fn bodies_of_any_size_come_back_within_the_windows() {
        let (mut caller, mut provider) = (End::new(true), End::new(false));
        let bodies: Vec<Vec<u8>> =
            [128, 70_000, 16_384, 500_000, 64].map(|n| (0..n).map(|i| i as u8).collect()).into();
        for round in 0..3 {
            let mut out = Vec::new();
            for (i, body) in bodies.iter().enumerate() {
                caller.call((round * bodies.len() + i) as u64, body, &mut out);
            }
            let mut answers = talk(&mut caller, &mut provider, out);
            answers.sort();
            let expected: Vec<_> = bodies
                .iter()
                .enumerate()
                .map(|(i, body)| ((round * bodies.len() + i) as u64, body.clone()))
                .collect();
            assert!(answers == expected, "round {round}");
            assert!(caller.blocked.is_empty() && provider.blocked.is_empty());
        }
    }

    #[test]
    fn a_caller_begins_with_the_preface_even_where_the_server_speaks_first() {
        let (mut caller, mut settings, mut out) = (End::new(true), Vec::new(), Vec::new());
        put(&mut settings, SETTINGS, 0, 0, &[]);
        caller.take(&mut Input::of(&settings), &mut out, &mut |_, _| {}).unwrap();
        caller.call(0, b"x", &mut out);
        assert!(out.starts_with(PREFACE));
        assert_eq!(talk(&mut caller, &mut End::new(false), out), [(0, b"x".to_vec())]);
    }

    #[test]
    fn a_reset_and_an_answer_without_a_message_are_told() {
        let mut caller = End::new(true);
        let mut out = Vec::new();
        caller.call(0, b"x", &mut out);
        caller.call(1, b"x", &mut out);
        let mut frames = Vec::new();
        put(&mut frames, RST_STREAM, 0, 1, &7u32.to_be_bytes());
        put(&mut frames, HEADERS, END_HEADERS | END_STREAM, 3, &[0x88]);
        let mut seen = Vec::new();
        let each = &mut |index, body: Answer<'_>| seen.push((index, body.map(<[u8]>::len)));
        caller.take(&mut Input::of(&frames), &mut out, each).unwrap();
        assert_eq!(seen, [(0, Err("a reset: 7".to_owned())), (1, Ok(0))]);
    }
}
