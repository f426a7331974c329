//! HTTP/1.1 by hand: the load's end of a connection. Heads are fixed, bodies have a
//! length.

use crate::http::{Answer, HOST};
use crate::stream::Input;

/// The longest head that is looked for.
const HEAD: usize = 8 << 10;

/// A caller's end. Answers come in the order of the calls.
#[derive(Debug, Default)]
pub(crate) struct End {
    answered: u64,
}

/// Appends a request.
pub(crate) fn call(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"POST /echo HTTP/1.1\r\nHost: ");
    out.extend_from_slice(HOST.as_bytes());
    out.extend_from_slice(b"\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n");
    with_body(payload, out);
}

/// The rest of a head, and its body.
fn with_body(body: &[u8], out: &mut Vec<u8>) {
    let length = body.len();
    out.extend_from_slice(
        format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
    );
    out.extend_from_slice(body);
}

impl End {
    /// See [`crate::http::End::take_answers`].
    pub(crate) fn take_answers(
        &mut self,
        input: &mut Input,
        each: &mut dyn FnMut(u64, Answer<'_>),
    ) -> Result<(), String> {
        while let Some((head, whole)) = next(input)? {
            let (first, body) = (&input.unread()[..head], &input.unread()[head..whole]);
            let answer = if first.starts_with(b"HTTP/1.1 200 ") {
                Ok(body)
            } else {
                Err(String::from_utf8_lossy(&input.unread()[..whole.min(400)]).into_owned())
            };
            each(self.answered, answer);
            self.answered += 1;
            input.consume(whole);
        }
        Ok(())
    }
}

/// See [`crate::http::End::serve`].
pub(crate) fn serve(input: &mut Input, out: &mut Vec<u8>) -> Result<(), String> {
    while let Some((head, whole)) = next(input)? {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: bench/1.0\r\n");
        with_body(&input.unread()[head..whole], out);
        input.consume(whole);
    }
    Ok(())
}

/// Where the head and the whole of the next message end, if all of it is there;
/// makes room for it if it is not.
fn next(input: &mut Input) -> Result<Option<(usize, usize)>, String> {
    let unread = input.unread();
    let Some(end) = unread.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if unread.len() > HEAD {
            Err("a head without an end".to_owned())
        } else {
            Ok(None)
        };
    };
    let head = end + 4;
    let length = content_length(&unread[..head]).ok_or_else(|| {
        format!("a message without a length: {}", String::from_utf8_lossy(&unread[..head]))
    })?;
    let whole = head + length;
    if unread.len() >= whole {
        return Ok(Some((head, whole)));
    }
    // A read that leaves room needs no second one to see that nothing is left.
    input.reserve(whole + 1);
    Ok(None)
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|&b| b == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))?;
    str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_all_of_it_is_there() {
        let mut out = Vec::new();
        call(b"hello", &mut out);
        let mut input = Input::of(&out);
        let mut answer = Vec::new();
        serve(&mut input, &mut answer).unwrap();
        assert!(input.unread().is_empty());

        let mut end = End::default();
        let mut seen = Vec::new();
        let mut take = |bytes: &[u8]| {
            end.take_answers(&mut Input::of(bytes), &mut |index, body| {
                seen.push((index, body.map(<[u8]>::to_vec)));
            })
        };
        take(&answer[..answer.len() - 1]).unwrap();
        take(&[&answer[..], &answer[..]].concat()).unwrap();
        take(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert!(take(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "no length");
        let hello = || Ok(b"hello".to_vec());
        assert_eq!(seen[..2], [(0, hello()), (1, hello())]);
        assert!(seen[2].1.as_ref().unwrap_err().contains("503"));
    }
}
