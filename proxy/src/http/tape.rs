//! A request's body that may be sent more than once: what went on of it is kept, so
//! that another attempt, or a mirror, begins at its start.
//!
//! Nothing is held back for it: the first attempt sends pieces as they come. A body
//! over [`LONGEST`], or one for which there is no room among all that are kept, goes on
//! and is forgotten: it is sent once.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use http_body::SizeHint;
use tokio::sync::oneshot;

use super::body::{Body, BodyError, Piece};
use crate::effort::Room;

/// The longest body that is kept, in bytes: what one stream may send before it is asked
/// for more.
pub(super) const LONGEST: usize = super::STREAM_WINDOW as usize;

/// So much of a body's start is remembered in any case: enough to tell how arguments are
/// serialized.
pub(super) const START: usize = 64;

/// A body whose pieces are kept.
#[derive(Clone)]
pub(super) struct Tape(Rc<RefCell<Recording>>);

struct Recording {
    body: Body,
    pieces: Vec<Piece>,
    /// How many pieces were taken of the body, kept or not.
    taken: usize,
    /// Its first bytes, kept or not.
    start: Vec<u8>,
    /// `None` when it is not kept, or not any more.
    room: Option<Room>,
    /// What all requests that are kept may take together.
    limit: usize,
    is_over: bool,
    /// Why it does not go on: the body itself says so once, and then that it is over.
    broken: Option<BodyError>,
    /// The window that its sender was given back.
    released: usize,
    /// The reader that counts: the last one.
    reader: u32,
    /// Who waits for the next piece where several read at once.
    waiting: Vec<Waker>,
    has_several: bool,
    copies: Vec<oneshot::Sender<Whole>>,
}

/// All of a body. It takes its room for as long as this lives.
#[derive(Clone)]
pub(super) struct Whole {
    data: Bytes,
    trailers: Option<HeaderMap>,
    _tape: Tape,
}

impl Whole {
    /// The body, to be sent.
    pub(super) fn body(&self) -> Body {
        match &self.trailers {
            Some(trailers) => Body::End(Ok(trailers.clone())).after(self.data.clone()),
            None if self.data.is_empty() => Body::Empty,
            None => Body::Whole(self.data.clone()),
        }
    }
}

impl Tape {
    /// Without `room`, only its start is remembered.
    pub(super) fn new(body: Body, room: Option<Room>, limit: usize) -> Self {
        let is_over = body.is_end();
        Tape(Rc::new(RefCell::new(Recording {
            body,
            pieces: Vec::new(),
            taken: 0,
            start: Vec::new(),
            room,
            limit,
            is_over,
            broken: None,
            released: 0,
            reader: 0,
            waiting: Vec::new(),
            has_several: false,
            copies: Vec::new(),
        })))
    }

    /// Whether it can be sent from its start.
    pub(super) fn is_kept(&self) -> bool {
        self.0.borrow().room.is_some()
    }

    /// Whether all of it came, and is kept.
    pub(super) fn is_whole(&self) -> bool {
        let tape = self.0.borrow();
        tape.is_over && tape.room.is_some()
    }

    /// Its first bytes, at most [`START`], as far as they were read.
    pub(super) fn start(&self) -> Vec<u8> {
        self.0.borrow().start.clone()
    }

    /// Sends it from its start; whoever did so before gets no more of it.
    pub(super) fn read(&self) -> Reader {
        let mut tape = self.0.borrow_mut();
        tape.reader += 1;
        Reader { tape: self.clone(), number: tape.reader, next: 0, released: 0 }
    }

    /// Sends it from its start beside whoever does already. If it is forgotten, only who
    /// is ahead goes on.
    pub(super) fn read_beside(&self) -> Reader {
        let mut tape = self.0.borrow_mut();
        tape.has_several = true;
        Reader { tape: self.clone(), number: tape.reader, next: 0, released: 0 }
    }

    /// All of it, when it has come; an error where it is not kept, or nobody reads it to
    /// its end.
    pub(super) fn copy(&self) -> oneshot::Receiver<Whole> {
        let (sender, receiver) = oneshot::channel();
        let mut tape = self.0.borrow_mut();
        if tape.is_over && tape.room.is_some() {
            let whole = tape.whole(self);
            // Whoever does not wait for it wants none.
            let _ = sender.send(whole);
        } else if tape.room.is_some() {
            tape.copies.push(sender);
        }
        receiver
    }
}

impl Recording {
    fn keep(&mut self, piece: &Piece) {
        let length = match piece {
            Piece::Data(data) => data.len(),
            Piece::Trailers(_) => 0,
        };
        self.taken += 1;
        if let Piece::Data(data) = piece {
            let more = data.len().min(START - self.start.len());
            self.start.extend_from_slice(data.get(..more).unwrap_or_default());
        }
        let Some(room) = &mut self.room else { return };
        if room.taken() + length > LONGEST || !room.take(length, self.limit) {
            return self.forget();
        }
        self.pieces.push(piece.clone());
    }

    fn forget(&mut self) {
        self.room = None;
        self.pieces = Vec::new();
        self.copies = Vec::new();
    }

    fn end(&mut self, tape: &Tape) {
        self.is_over = true;
        if self.copies.is_empty() {
            return;
        }
        let whole = self.whole(tape);
        for copy in self.copies.drain(..) {
            let _ = copy.send(whole.clone());
        }
    }

    fn whole(&self, tape: &Tape) -> Whole {
        let (mut data, mut trailers) = (Vec::new(), None);
        for piece in &self.pieces {
            match piece {
                Piece::Data(piece) => data.push(piece),
                Piece::Trailers(sent) => trailers = Some(sent.clone()),
            }
        }
        let data = match data[..] {
            [all] => all.clone(),
            _ => data.into_iter().flatten().copied().collect(),
        };
        Whole { data, trailers, _tape: tape.clone() }
    }
}

/// One sending of a body.
pub(super) struct Reader {
    tape: Tape,
    number: u32,
    /// The piece that comes next.
    next: usize,
    released: usize,
}

impl Reader {
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        let mut tape = self.tape.0.borrow_mut();
        let tape = &mut *tape;
        if tape.reader != self.number {
            return Poll::Ready(Some(Err(BodyError::Reset(Reason::CANCEL))));
        }
        if let Some(piece) = tape.pieces.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(piece.clone())));
        }
        // What was forgotten cannot be read any more.
        if self.next < tape.taken {
            return Poll::Ready(Some(Err(BodyError::Reset(Reason::CANCEL))));
        }
        if let Some(error) = tape.broken {
            return Poll::Ready(Some(Err(error)));
        }
        if tape.is_over {
            return Poll::Ready(None);
        }
        let piece = match tape.body.poll_piece(cx) {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                // The body itself tells only who asked last.
                if tape.has_several && !tape.waiting.iter().any(|one| one.will_wake(cx.waker())) {
                    tape.waiting.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
        };
        tape.waiting.drain(..).for_each(Waker::wake);
        match &piece {
            None => tape.end(&self.tape),
            Some(Err(error)) => {
                tape.broken = Some(*error);
                tape.forget();
            }
            Some(Ok(piece)) => {
                tape.keep(piece);
                self.next += 1;
                if tape.body.is_end() || matches!(piece, Piece::Trailers(_)) {
                    tape.end(&self.tape);
                }
            }
        }
        Poll::Ready(piece)
    }

    /// Gives back window, once for each byte of the body.
    pub(super) fn release(&mut self, bytes: usize) {
        self.released += bytes;
        let mut tape = self.tape.0.borrow_mut();
        let more = self.released.saturating_sub(tape.released);
        if more > 0 {
            tape.released = self.released;
            tape.body.release(more);
        }
    }

    pub(super) fn is_end(&self) -> bool {
        let tape = self.tape.0.borrow();
        tape.is_over && self.next >= tape.taken
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let tape = self.tape.0.borrow();
        let length = |piece: &Piece| match piece {
            Piece::Data(data) => data.len() as u64,
            Piece::Trailers(_) => 0,
        };
        // What broke or was forgotten has none: hyper would write an empty body of that length,
        // and never ask for the error.
        let is_forgotten = self.next < tape.taken && tape.pieces.len() < tape.taken;
        if tape.broken.is_some() || is_forgotten {
            return SizeHint::default();
        }
        let again: u64 = tape.pieces.iter().skip(self.next).map(length).sum();
        match tape.body.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(again + rest),
            None if tape.is_over => SizeHint::with_exact(again),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::effort::Kept;

    fn next(reader: &mut Reader) -> Option<Vec<u8>> {
        match reader.poll_piece(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(Piece::Data(data)))) => Some(data.to_vec()),
            Poll::Ready(Some(Ok(Piece::Trailers(_)))) => Some(b"trailers".to_vec()),
            _ => None,
        }
    }

    fn body(first: &'static [u8]) -> Body {
        Body::End(Ok(HeaderMap::new())).after(Bytes::from_static(first))
    }

    #[test]
    fn a_body_is_sent_from_its_start_as_often_as_it_is_read() {
        let kept = Kept::default();
        let tape = Tape::new(body(b"one"), Some(kept.room()), 100);
        let mut copy = tape.copy();
        let mut first = tape.read();
        assert_eq!(next(&mut first).as_deref(), Some(&b"one"[..]));
        let mut second = tape.read();
        assert_eq!(next(&mut first), None, "another one reads it");
        assert!(copy.try_recv().is_err() && !second.is_end());
        assert_eq!(next(&mut second).as_deref(), Some(&b"one"[..]));
        assert_eq!(next(&mut second).as_deref(), Some(&b"trailers"[..]));
        assert!(second.is_end() && tape.is_kept());
        let whole = copy.try_recv().unwrap();
        assert_eq!((&whole.data[..], whole.trailers.is_some()), (&b"one"[..], true));
        assert!(tape.copy().try_recv().is_ok());
        drop((tape, first, second));
        assert!(kept.keep(&[0; 98], 100).is_none(), "the copy takes room");
        drop(whole);
        assert!(kept.keep(&[0; 98], 100).is_some());
    }

    #[test]
    fn several_may_read_a_body_at_once() {
        let body = body(b"two").after(Bytes::from_static(b"one"));
        let tape = Tape::new(body, Some(Kept::default().room()), 100);
        let mut readers = [tape.read(), tape.read_beside()];
        for (at, piece) in [(0, "one"), (1, "one"), (1, "two"), (0, "two"), (0, "trailers")] {
            assert_eq!(next(&mut readers[at]).as_deref(), Some(piece.as_bytes()));
        }
        assert!(readers[0].is_end() && !readers[1].is_end() && tape.is_whole());
        assert_eq!(tape.start(), b"onetwo");
        // Who falls behind what is forgotten is told so, and takes nothing for the end.
        let body = Body::Whole(Bytes::from_static(b"larger")).after(Bytes::from_static(b"one"));
        let tape = Tape::new(body, Some(Kept::default().room()), 5);
        let mut readers = [tape.read(), tape.read_beside()];
        let ahead = [next(&mut readers[0]), next(&mut readers[0])];
        assert_eq!(ahead, [Some(b"one".to_vec()), Some(b"larger".to_vec())]);
        let polled = readers[1].poll_piece(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Some(Err(BodyError::Reset(Reason::CANCEL))))));
        let lengths = readers.each_ref().map(|reader| reader.size_hint().exact());
        assert_eq!(lengths, [Some(0), None], "no length makes a whole of it");
        assert!(readers[0].is_end() && !readers[1].is_end() && !tape.is_whole());
    }

    #[test]
    fn a_broken_body_is_whole_to_nobody() {
        let body = Body::End(Err(BodyError::Lost)).after(Bytes::from_static(b"one"));
        let tape = Tape::new(body, Some(Kept::default().room()), 100);
        let mut readers = [tape.read(), tape.read_beside()];
        for reader in &mut readers {
            assert_eq!(next(reader).as_deref(), Some(&b"one"[..]));
        }
        for at in [0, 1, 0, 1] {
            let reader = &mut readers[at];
            let polled = reader.poll_piece(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Some(Err(BodyError::Lost)))));
            assert!(!reader.is_end());
        }
        assert!(!tape.is_kept() && !tape.is_whole());
        // One that comes later is told no length, which would be that of nothing.
        let tape = Tape::new(Body::End(Err(BodyError::Lost)), Some(Kept::default().room()), 100);
        let mut readers = [tape.read(), tape.read_beside()];
        assert_eq!(next(&mut readers[0]), None);
        assert!(readers.iter().all(|reader| reader.size_hint().exact().is_none()));
    }

    #[test]
    fn a_body_for_which_there_is_no_room_goes_on_and_is_forgotten() {
        let tape = Tape::new(body(b"larger"), Some(Kept::default().room()), 5);
        let mut copy = tape.copy();
        let mut reader = tape.read();
        assert_eq!(next(&mut reader).as_deref(), Some(&b"larger"[..]));
        assert!(!tape.is_kept() && copy.try_recv().is_err());
        assert_eq!(next(&mut reader).as_deref(), Some(&b"trailers"[..]));
        assert_eq!(next(&mut reader), None);
    }
}
