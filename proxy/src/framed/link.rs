//! One connection to a peer, whichever side opened it.
//!
//! A link owns the bytes on their way out, the calls sent to the peer that wait
//! for an answer, and the connection's liveness. It is driven by one task (see
//! [`super::drive`]); everybody else on the worker only appends to it and marks
//! it for the next flush.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::BytesMut;
use codec::FrameCodec;
use smallvec::SmallVec;
use tokio::net::tcp::OwnedWriteHalf;

use super::buffers::Buffers;
use super::call::Call;
use super::output::Output;
use super::pending::Pending;
use crate::listener::ListenerContext;
use crate::metrics::Side;
use governance::EndpointId;

/// A peer that leaves this much (bytes) unread is not read from either.
const READ_PAUSE: usize = 4 << 20;

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// A caller that connected to one of our listeners.
    Downstream(Rc<ListenerContext>),
    /// An endpoint that we connected to.
    Upstream(EndpointId),
}

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Being connected; what is appended waits.
    Connecting,
    /// In use.
    Open,
    /// The peer asked for no more calls; those in flight go on.
    GoingAway,
    /// What waits is written, then it closes; what the peer sends is thrown away.
    Ending,
    /// Gone.
    Closed,
}

/// The other end of a pair of connections that serve only each other, so that a
/// provider can call back.
pub(crate) struct Bound<C: FrameCodec> {
    pub(crate) service: Box<str>,
    pub(crate) link: Rc<Link<C>>,
}

/// One connection.
pub(crate) struct Link<C: FrameCodec> {
    pub(crate) number: u64,
    pub(crate) role: Role,
    /// The peer, for logs: its address, or the name it was reached by.
    pub(crate) peer: String,
    /// The address of a caller.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) state: Cell<State>,
    pub(crate) pending: RefCell<Pending<Call<C>>>,
    /// Calls from this peer that have no answer yet.
    pub(crate) unanswered: Cell<u32>,
    pub(crate) last_read: Cell<Instant>,
    /// When the last heartbeat was sent.
    pub(crate) last_ping: Cell<Instant>,
    /// The upstream connections that serve this caller alone, or the one caller
    /// that an upstream connection serves alone.
    pub(crate) bound: RefCell<Vec<Bound<C>>>,
    output: RefCell<Output>,
    socket: RefCell<Option<OwnedWriteHalf>>,
    /// The kernel took less than was offered; wait until it takes more.
    blocked: Cell<bool>,
    dirty: Cell<bool>,
    read_ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<C: FrameCodec> Link<C> {
    pub(crate) fn new(number: u64, role: Role, peer: String, now: Instant) -> Self {
        Link {
            number,
            role,
            peer,
            address: None,
            state: Cell::new(State::Connecting),
            pending: RefCell::new(Pending::new()),
            unanswered: Cell::new(0),
            last_read: Cell::new(now),
            last_ping: Cell::new(now),
            bound: RefCell::new(Vec::new()),
            output: RefCell::new(Output::default()),
            socket: RefCell::new(None),
            blocked: Cell::new(false),
            dirty: Cell::new(false),
            read_ended: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// The connection of a caller, still to be [opened](Link::open).
    pub(crate) fn from_caller(
        number: u64,
        listener: Rc<ListenerContext>,
        address: SocketAddr,
        now: Instant,
    ) -> Self {
        let role = Role::Downstream(listener);
        Link { address: Some(address), ..Link::new(number, role, address.to_string(), now) }
    }

    /// Gives a connecting link its socket.
    pub(crate) fn open(&self, socket: OwnedWriteHalf, now: Instant) {
        *self.socket.borrow_mut() = Some(socket);
        if self.state.get() == State::Connecting {
            self.state.set(State::Open);
        }
        self.last_read.set(now);
    }

    /// Whether it is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.get() == State::Closed
    }

    /// Bytes that wait to be written to the peer.
    pub(crate) fn waiting(&self) -> usize {
        self.output.borrow().len()
    }

    /// Whether the peer leaves so much unread that reading from it pauses.
    pub(crate) fn pauses_reading(&self) -> bool {
        matches!(self.role, Role::Downstream(_)) && self.waiting() > READ_PAUSE
    }

    /// Lets `write` append one frame.
    pub(crate) fn append(&self, buffers: &Buffers, write: impl FnOnce(&mut BytesMut)) {
        self.output.borrow_mut().append(buffers, write);
    }

    /// Appends a copy of a small `frame` under another id.
    pub(crate) fn append_as(&self, buffers: &Buffers, frame: &[u8], id: u64) {
        self.append(buffers, |out| {
            let start = out.len();
            out.extend_from_slice(frame);
            C::set_id(&mut out[start..], id);
        });
    }

    /// Writes a large `frame` under another id, straight from where it was read,
    /// as far as the kernel takes it now; the rest waits. Returns the bytes
    /// written. What waits already must be flushed first.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn write_through(
        &self,
        buffers: &Buffers,
        frame: &[u8],
        id: u64,
    ) -> io::Result<usize> {
        let mut header: SmallVec<[u8; 32]> = frame.iter().copied().take(C::HEADER_LEN).collect();
        C::set_id(&mut header, id);
        let body = frame.get(C::HEADER_LEN..).unwrap_or_default();
        let mut written = 0;
        if let Some(socket) = &*self.socket.borrow()
            && self.waiting() == 0
            && !self.blocked.get()
            && !self.is_closed()
        {
            let slices = [IoSlice::new(&header), IoSlice::new(body)];
            match socket.try_write_vectored(&slices) {
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if written < frame.len() {
                self.blocked.set(true);
                self.wake();
            }
        }
        if written < frame.len() {
            let mut own = buffers.take_large(frame.len());
            own.extend_from_slice(frame);
            C::set_id(&mut own, id);
            self.output.borrow_mut().push_rest(own, written);
        }
        Ok(written)
    }

    /// Appends `frame`, which nobody else holds, under another id.
    pub(crate) fn push_as(&self, mut frame: BytesMut, id: u64) {
        C::set_id(&mut frame, id);
        self.output.borrow_mut().push(frame);
    }

    /// Appends `frame` as it is.
    pub(crate) fn push(&self, frame: BytesMut) {
        self.output.borrow_mut().push(frame);
    }

    /// Empties the output and returns the frames of which nothing was written.
    pub(crate) fn take_unsent(&self) -> Vec<BytesMut> {
        self.output.borrow_mut().take_unsent()
    }

    /// Marks it for the next flush; `false` where it is marked already.
    pub(crate) fn mark_dirty(&self) -> bool {
        !self.dirty.replace(true)
    }

    /// Writes what the kernel takes. `Ok(true)` when nothing is left.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn flush(&self, buffers: &Buffers) -> io::Result<bool> {
        self.dirty.set(false);
        let socket = self.socket.borrow();
        let Some(socket) = &*socket else { return Ok(false) };
        if self.blocked.get() || self.is_closed() {
            return Ok(false);
        }
        let mut output = self.output.borrow_mut();
        output.flush(buffers, |slices| match slices {
            [one] => socket.try_write(one),
            many => socket.try_write_vectored(many),
        })?;
        let done = output.is_empty();
        if !done {
            self.blocked.set(true);
            self.wake();
        }
        Ok(done)
    }

    /// Where the kernel must take more before the next flush: waits until it does.
    pub(crate) fn poll_blocked(&self, cx: &mut Context<'_>) -> Option<Poll<io::Result<()>>> {
        if !self.blocked.get() {
            return None;
        }
        Some(self.socket.borrow().as_ref()?.as_ref().poll_write_ready(cx))
    }

    /// The kernel takes more.
    pub(crate) fn unblock(&self) {
        self.blocked.set(false);
    }

    /// Whoever drives this link asks to be woken through `waker`.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut stored = self.waker.borrow_mut();
        match &*stored {
            Some(current) if current.will_wake(waker) => {}
            _ => *stored = Some(waker.clone()),
        }
    }

    /// Makes its task look at the state again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// The peer's IP address, without its port.
    pub(crate) fn peer_host(&self) -> &str {
        let host = self.peer.rsplit_once(':').map_or(&*self.peer, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The listener the peer connected to, if it is a caller.
    pub(crate) fn listener(&self) -> Option<&Rc<ListenerContext>> {
        match &self.role {
            Role::Downstream(listener) => Some(listener),
            Role::Upstream(_) => None,
        }
    }

    /// The endpoint at the other end, if it is one.
    pub(crate) fn endpoint(&self) -> Option<EndpointId> {
        match self.role {
            Role::Upstream(endpoint) => Some(endpoint),
            Role::Downstream(_) => None,
        }
    }

    /// Which side of the proxy the peer is on.
    pub(crate) fn side(&self) -> Side {
        match self.role {
            Role::Downstream(_) => Side::Downstream,
            Role::Upstream(_) => Side::Upstream,
        }
    }

    /// The peer sends no more; it still takes answers.
    pub(crate) fn end_reading(&self) {
        self.read_ended.set(true);
    }

    /// Whether the peer sends no more.
    pub(crate) fn has_ended_reading(&self) -> bool {
        self.read_ended.get()
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shut_down(&self) {
        if let Some(socket) = &*self.socket.borrow() {
            // A peer that is gone already needs no telling.
            let _ = socket2::SockRef::from(socket.as_ref()).shutdown(std::net::Shutdown::Write);
        }
    }

    /// It is over: lets go of the socket, although calls of the peer's may still
    /// be on their way and know of this link.
    pub(crate) fn hang_up(&self) {
        self.state.set(State::Closed);
        self.socket.take();
    }

    /// Writes what waits, then closes. What the peer sends is thrown away.
    pub(crate) fn end(&self) {
        if !self.is_closed() {
            self.state.set(State::Ending);
            self.wake();
        }
    }
}
