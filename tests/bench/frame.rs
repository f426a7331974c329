//! The calls of the bench, as bytes: what Java Dubbo 3.3 sends for
//! `String echoString(String)` with Hessian2, and what its provider answers.
//!
//! Built by hand and not with our codec, so that a mistake there cannot hide
//! here. The shape of both frames is that of captured Java traffic; the
//! attachment `user` is added, for rules to read.
//!
//! Not here: sockets (`load`).

/// Length of a Dubbo frame's fixed header.
pub(crate) const HEADER: usize = 16;

/// Interface that all calls are for.
pub(crate) const SERVICE: &str = "lab.EchoService";

/// Status of an answer that carries a value.
const OK: u8 = 20;
/// First byte of an answer's body: a value with attachments (integer 4).
const VALUE_WITH_ATTACHMENTS: u8 = 0x94;
/// The same without attachments, as some proxies write it anew.
const VALUE: u8 = 0x91;
/// How many characters at the start of the argument name the call.
const TAG: usize = 16;

/// The request that a load sends again and again, with a fresh id and tag.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Where the encoded argument begins and ends, and where its tag begins.
    argument: std::ops::Range<usize>,
    tag: usize,
}

impl Request {
    /// A call whose argument has `size` characters (at least 16, all ASCII), made
    /// by a caller whose `user` attachment is `user`.
    pub(crate) fn new(size: usize, user: &str) -> Request {
        assert!(size >= TAG, "the argument has no room for its tag");
        let mut bytes = vec![0xda, 0xbb, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for text in ["2.0.2", SERVICE, "0.0.0", "echoString", "Ljava/lang/String;"] {
            put_string(&mut bytes, text.as_bytes());
        }
        let filler: Vec<u8> = (0..size).map(|i| b'a' + (i * 7 % 26) as u8).collect();
        let start = bytes.len();
        put_string(&mut bytes, &filler);
        let argument = start..bytes.len();
        let tag = start + lead(size);
        bytes.push(b'H');
        for (name, value) in [
            ("path", SERVICE),
            ("remote.application", "lab-consumer"),
            ("interface", SERVICE),
            ("version", "0.0.0"),
            ("timeout", "5000"),
            ("user", user),
        ] {
            put_string(&mut bytes, name.as_bytes());
            put_string(&mut bytes, value.as_bytes());
        }
        bytes.push(b'Z');
        let body = (bytes.len() - HEADER) as u32;
        bytes[12..16].copy_from_slice(&body.to_be_bytes());
        Request { bytes, argument, tag }
    }

    /// The frame for one call. `tag` is unique among all calls of a run, `id`
    /// only on its connection.
    pub(crate) fn stamp(&mut self, id: u64, tag: u64) -> &[u8] {
        self.bytes[4..12].copy_from_slice(&id.to_be_bytes());
        self.bytes[self.tag..self.tag + TAG].copy_from_slice(&hex(tag));
        &self.bytes
    }

    /// Whether `frame` is the right answer to the call of that id and tag.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn check(&self, frame: &[u8], id: u64, tag: u64) -> Result<(), String> {
        if answer_id(frame) != id {
            return Err(format!("answer to {:#x}, expected {id:#x}", answer_id(frame)));
        }
        if frame[2] & 0xe0 != 0 || frame[3] != OK {
            let text = String::from_utf8_lossy(&frame[HEADER..frame.len().min(200)]);
            return Err(format!("flags {:#x}, status {}: {text}", frame[2], frame[3]));
        }
        let body = &frame[HEADER..];
        let ours = &self.bytes[self.argument.clone()];
        let lead = self.tag - self.argument.start;
        let same = matches!(body.first(), Some(&VALUE_WITH_ATTACHMENTS | &VALUE))
            && body.len() > ours.len()
            && body[1..=lead] == ours[..lead]
            && body[1 + lead..1 + lead + TAG] == hex(tag)
            && body[1 + lead + TAG..=ours.len()] == ours[lead + TAG..];
        if same { Ok(()) } else { Err("an answer with another value".to_owned()) }
    }
}

/// The id in a frame's header.
pub(crate) fn answer_id(frame: &[u8]) -> u64 {
    u64::from_be_bytes([
        frame[4], frame[5], frame[6], frame[7], frame[8], frame[9], frame[10], frame[11],
    ])
}

/// The length of the frame that `bytes` begin with, once its header is there.
///
/// # Errors
/// When this is no Dubbo frame.
pub(crate) fn frame_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    if bytes.len() < HEADER {
        return Ok(None);
    }
    if bytes[..2] != [0xda, 0xbb] {
        return Err(format!("no Dubbo frame: {:x?}", &bytes[..HEADER]));
    }
    let body = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
    Ok(Some(HEADER + body as usize))
}

/// What a provider does with a frame.
pub(crate) enum Reaction<'a> {
    /// Answers with these parts, one after the other; the middle one is the
    /// argument, still where it was received.
    Answer([u8; HEADER + 1], &'a [u8], &'static [u8]),
    /// Answers a heartbeat.
    Pong([u8; HEADER + 1]),
    /// Does nothing.
    Nothing,
}

/// The attachments of every answer: `{"dubbo": "2.0.2"}`.
const ANSWER_ATTACHMENTS: &[u8] = b"H\x05dubbo\x052.0.2Z";

/// What an echo provider does with `frame` (a whole one).
///
/// # Errors
/// When the frame is not one that a consumer may send.
pub(crate) fn react(frame: &[u8]) -> Result<Reaction<'_>, String> {
    let flags = frame[2];
    let mut head = [0; HEADER + 1];
    head[..2].copy_from_slice(&frame[..2]);
    head[3] = OK;
    head[4..12].copy_from_slice(&frame[4..12]);
    if flags & 0x80 == 0 {
        return Ok(Reaction::Nothing); // an answer to nothing we asked: a heartbeat's
    }
    if flags & 0x20 != 0 {
        if flags & 0x40 == 0 {
            return Ok(Reaction::Nothing); // the read-only event
        }
        head[2] = 0x22;
        head[15] = 1;
        head[16] = b'N';
        return Ok(Reaction::Pong(head));
    }
    let body = &frame[HEADER..];
    let mut at = 0;
    for _ in 0..5 {
        at = skip_string(body, at).ok_or("a request whose head cannot be read")?;
    }
    let end = skip_string(body, at).ok_or("a request whose argument is no string")?;
    head[2] = 0x02;
    let length = 1 + (end - at) + ANSWER_ATTACHMENTS.len();
    head[12..16].copy_from_slice(&(length as u32).to_be_bytes());
    head[16] = VALUE_WITH_ATTACHMENTS;
    Ok(Reaction::Answer(head, &body[at..end], ANSWER_ATTACHMENTS))
}

/// The answer to a proxy's heartbeat, when `frame` is one that waits for it.
pub(crate) fn pong(frame: &[u8]) -> Option<[u8; HEADER + 1]> {
    match react(frame) {
        Ok(Reaction::Pong(pong)) if frame[2] & 0x20 != 0 => Some(pong),
        _ => None,
    }
}

/// Whether a frame is an event (a heartbeat, its answer, read-only).
pub(crate) fn is_event(frame: &[u8]) -> bool {
    frame[2] & 0x20 != 0
}

/// Bytes before the characters of a string of `size` characters.
fn lead(size: usize) -> usize {
    match size {
        0..=31 => 1,
        32..=1023 => 2,
        _ => 3,
    }
}

/// Appends a Hessian2 string of ASCII characters.
fn put_string(out: &mut Vec<u8>, mut text: &[u8]) {
    const CHUNK: usize = 0x8000;
    while text.len() > CHUNK {
        out.extend([b'R', (CHUNK >> 8) as u8, CHUNK as u8]);
        out.extend(&text[..CHUNK]);
        text = &text[CHUNK..];
    }
    let n = text.len();
    match lead(n) {
        1 => out.push(n as u8),
        2 => out.extend([0x30 + (n >> 8) as u8, n as u8]),
        _ => out.extend([b'S', (n >> 8) as u8, n as u8]),
    }
    out.extend(text);
}

/// The end of the Hessian2 string of ASCII characters at `at`; `None` when it is
/// not one or not whole.
fn skip_string(body: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let short = |extra: u8| Some(usize::from(extra) << 8 | usize::from(*body.get(at + 1)?));
        let long = || Some(usize::from(*body.get(at + 1)?) << 8 | usize::from(*body.get(at + 2)?));
        let (start, n, more) = match *body.get(at)? {
            n @ 0x00..=0x1f => (at + 1, usize::from(n), false),
            n @ 0x30..=0x33 => (at + 2, short(n - 0x30)?, false),
            b'S' => (at + 3, long()?, false),
            b'R' => (at + 3, long()?, true),
            _ => return None,
        };
        at = start + n;
        if at > body.len() {
            return None;
        }
        if !more {
            return Some(at);
        }
    }
}

/// Sixteen hexadecimal digits.
pub(crate) fn hex(value: u64) -> [u8; TAG] {
    std::array::from_fn(|i| b"0123456789abcdef"[(value >> (60 - 4 * i) & 15) as usize])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use codec::dubbo::{Answer, Dubbo};
    use codec::frame::FrameCodec;
    use codec::head::RequestHead as _;
    use codec::hessian2::Limits;

    use super::*;

    fn answer(request: &mut Request, id: u64, tag: u64) -> Vec<u8> {
        let frame = request.stamp(id, tag).to_vec();
        match react(&frame).unwrap() {
            Reaction::Answer(head, argument, rest) => [&head, argument, rest].concat(),
            _ => panic!("no answer"),
        }
    }

    #[test]
    fn an_echo_passes_the_check_and_anything_else_does_not() {
        for size in [16, 31, 32, 128, 1023, 1024, 0x8000, 0x8001, 65_536] {
            let mut request = Request::new(size, "u7");
            assert_eq!(frame_len(&request.bytes), Ok(Some(request.bytes.len())));
            let good = answer(&mut request, 7, 9);
            assert_eq!(frame_len(&good), Ok(Some(good.len())), "size {size}");
            assert_eq!(request.check(&good, 7, 9), Ok(()), "size {size}");
            assert!(request.check(&good, 8, 9).is_err(), "another id");
            assert!(request.check(&good, 7, 10).is_err(), "another call's value");
            let mut bad = good.clone();
            bad[HEADER + size / 2 + 4] ^= 1;
            assert!(request.check(&bad, 7, 9).is_err(), "size {size}: a changed byte");
        }
    }

    /// A call of Java Dubbo 3.3.5, `echoString("")`, as captured on the wire.
    const CAPTURED: &[u8] = b"\xda\xbb\xc2\x00\xdd\xac\xc2\xf0\xd2\xb1\x54\x9e\x00\x00\x00\xa7\
        \x052.0.2\x0flab.EchoService\x050.0.0\x0aechoString\x12Ljava/lang/String;\x00\
        H\x04path\x0flab.EchoService\x12remote.application\x0clab-consumer\
        \x09interface\x0flab.EchoService\x07version\x050.0.0\x07timeout\x045000Z";

    #[test]
    fn a_request_is_as_java_sends_it() {
        let mut request = Request::new(16, "u7");
        let ours = request.stamp(0xddac_c2f0_d2b1_549e, 0xab);
        let at = CAPTURED.iter().rposition(|&b| b == 0).unwrap();
        let (head, attachments) = (&CAPTURED[HEADER..at], &CAPTURED[at + 1..CAPTURED.len() - 1]);
        let body = [head, b"\x1000000000000000ab", attachments, b"\x04user\x02u7Z"].concat();
        assert_eq!(ours[..12], CAPTURED[..12]);
        assert_eq!(ours[12..16], (body.len() as u32).to_be_bytes());
        assert_eq!(ours[HEADER..], body);
    }

    #[test]
    fn an_answer_is_as_java_sends_it() {
        // Java Dubbo 3.3.5 answers `echoString("")` with this.
        let java = b"\xda\xbb\x02\x14\xdd\xac\xc2\xf0\xd2\xb1\x54\x9e\x00\x00\x00\x10\
            \x94\x00H\x05dubbo\x052.0.2Z";
        let Ok(Reaction::Answer(head, argument, rest)) = react(CAPTURED) else {
            panic!("no answer");
        };
        assert_eq!([&head, argument, rest].concat(), java);
    }

    #[test]
    fn both_frames_can_be_read_by_the_codec() {
        for size in [16, 128, 65_536] {
            let mut request = Request::new(size, "u7");
            let answer = answer(&mut request, 7, 9);
            let head = <Dubbo as FrameCodec>::head(&request.bytes);
            let target = head.target().unwrap();
            assert_eq!((target.service, target.method), (SERVICE, "echoString"));
            assert_eq!(head.field("user").unwrap().unwrap(), "u7");
            assert_eq!(head.timeout(), Some(Duration::from_secs(5)));
            let sent = head.arguments(Limits::DEFAULT).unwrap();
            let answered = Answer::read(&answer, Limits::DEFAULT).unwrap().result.unwrap();
            assert_eq!(sent, [answered], "size {size}");
        }
    }

    #[test]
    fn a_fault_is_told_with_its_status() {
        let mut request = Request::new(128, "u7");
        let mut frame = answer(&mut request, 7, 9);
        frame[3] = 40;
        assert!(request.check(&frame, 7, 9).unwrap_err().contains("status 40"));
    }

    #[test]
    fn heartbeats_are_answered_and_read_only_is_not() {
        let beat = [0xda, 0xbb, 0xe2, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, b'N'];
        assert_eq!(pong(&beat).unwrap()[..4], [0xda, 0xbb, 0x22, 20]);
        let read_only = [0xda, 0xbb, 0xa2, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 1, b'R'];
        assert!(pong(&read_only).is_none());
        assert!(matches!(react(&read_only), Ok(Reaction::Nothing)));
    }
}
