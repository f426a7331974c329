//! The task of one connection: reads, hands over, waits until it can write.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use codec::{DecodeError, Fault, FrameCodec, Kind, Reason};
use tokio::net::tcp::OwnedReadHalf;

use super::engine::Engine;
use super::input::{Arrived, Input, Next, Read};
use super::link::{Link, Role, State};
use crate::callback::call_back;
use crate::forward::{self, Arrival, Frame};
use crate::route::Tried;

/// How long a peer that was answered and shut out may take to close, so that
/// the answer reaches it before the connection is reset.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed it.
    Eof {
        /// In the middle of a frame.
        mid_frame: bool,
    },
    /// We closed it.
    Closed,
    /// The socket failed.
    Io(std::io::Error),
    /// The peer's bytes are not this protocol's.
    Garbage(DecodeError),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Eof { mid_frame: false } => f.write_str("the peer closed it"),
            End::Eof { mid_frame: true } => {
                f.write_str("the peer closed it in the middle of a frame")
            }
            End::Closed => f.write_str("closed"),
            End::Io(error) => write!(f, "{error}"),
            End::Garbage(error) => write!(f, "not {error}"),
        }
    }
}

/// Serves the connection until it ends.
pub(super) async fn drive<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    link: &Rc<Link<C>>,
    mut socket: OwnedReadHalf,
) -> End {
    let mut input = Input::default();
    let end = poll_fn(|cx| poll(engine, link, &mut input, &mut socket, cx)).await;
    if matches!(end, End::Closed) && link.state.get() == State::Ending {
        // Boxed: what few need at their end is no part of every connection's task.
        Box::pin(linger(link, &mut socket)).await;
    }
    end
}

fn poll<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    link: &Rc<Link<C>>,
    input: &mut Input,
    socket: &mut OwnedReadHalf,
    cx: &mut Context<'_>,
) -> Poll<End> {
    link.set_waker(cx.waker());
    loop {
        if link.is_closed() {
            return Poll::Ready(End::Closed);
        }
        if let Some(Poll::Ready(ready)) = link.poll_blocked(cx) {
            if let Err(error) = ready {
                return Poll::Ready(End::Io(error));
            }
            link.unblock();
            engine.flush(link);
            continue;
        }
        if link.state.get() == State::Ending && link.waiting() == 0 && link.unanswered.get() == 0 {
            return Poll::Ready(End::Closed);
        }
        if link.pauses_reading() || link.has_ended_reading() {
            return Poll::Pending;
        }
        let read = {
            let mut scratch = engine.scratch.borrow_mut();
            let now = Instant::now();
            let limit = engine.worker.limits.frame;
            input.poll::<C>(cx, socket, &mut scratch, &engine.buffers, limit, |arrived| {
                handle(engine, link, arrived, now)
            })
        };
        match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(End::Io(error)),
            Poll::Ready(Ok(Err(error))) => {
                engine.worker.metrics.decode_error(link.side());
                return Poll::Ready(End::Garbage(error));
            }
            Poll::Ready(Ok(Ok(Read::Bytes(count)))) => {
                engine.worker.metrics.bytes_received(link.side(), count as u64);
                link.last_read.set(Instant::now());
            }
            Poll::Ready(Ok(Ok(Read::End))) => {
                // A caller may shut its own side and still wait for answers.
                let waits =
                    link.listener().is_some() && (link.unanswered.get() > 0 || link.waiting() > 0);
                if !waits || input.is_mid_frame() {
                    return Poll::Ready(End::Eof { mid_frame: input.is_mid_frame() });
                }
                link.end_reading();
                link.end();
            }
        }
    }
}

/// One frame arrived.
fn handle<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    link: &Rc<Link<C>>,
    arrived: Arrived<'_>,
    now: Instant,
) -> Next {
    let frame = match arrived {
        Arrived::Borrowed(bytes) => Frame::Borrowed(bytes),
        Arrived::Owned(bytes) => Frame::Owned(bytes),
        Arrived::TooLarge { header, len } => return too_large(engine, link, header, len, now),
    };
    let meta = match C::meta(frame.bytes()) {
        Ok(meta) => meta,
        Err(error) => {
            engine.worker.metrics.decode_error(link.side());
            tracing::warn!(peer = link.peer, %error, "a frame was dropped");
            return Next::Continue;
        }
    };
    match meta.kind {
        Kind::Request { one_way } => called(engine, link, frame, one_way, now),
        Kind::Response => forward::answer(engine, link, meta.id, frame, now),
        Kind::Ping { two_way } => {
            // One that reads nothing must not fill the memory with answers.
            if two_way && link.waiting() <= engine.worker.limits.buffer {
                link.append(&engine.buffers, |out| C::pong(frame.bytes(), out));
                engine.worker.metrics.heartbeat_answered(link.side());
                engine.flush_soon(link);
            }
        }
        Kind::Pong => {}
        Kind::GoAway => {
            engine.worker.metrics.go_away_received(link.side());
            if let Role::Upstream(endpoint) = link.role
                && link.state.get() == State::Open
            {
                tracing::info!(endpoint = link.peer, "asks for no more calls; taken out");
                link.state.set(State::GoingAway);
                engine.worker.health.going_away(endpoint);
                engine.app_leaves(endpoint);
            }
        }
    }
    Next::Continue
}

/// A peer calls: a caller its provider, or a provider back over a bound
/// connection.
fn called<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    link: &Rc<Link<C>>,
    frame: Frame<'_>,
    one_way: bool,
    now: Instant,
) {
    if link.state.get() == State::Ending {
        return;
    }
    match &link.role {
        Role::Downstream(listener) => {
            let origin = C::origin(frame.bytes());
            let arrival = Arrival {
                from: link,
                listener,
                frame,
                one_way,
                origin,
                started: now,
                tried: Tried::new(),
                is_again: false,
            };
            forward::request(engine, arrival, now);
        }
        Role::Upstream(_) => call_back(engine, link, frame, one_way, now),
    }
}

/// A frame over the limit: a caller is answered and shut out; of a provider's
/// answer only that call fails.
fn too_large<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    link: &Rc<Link<C>>,
    header: &[u8],
    len: u64,
    now: Instant,
) -> Next {
    let limit = engine.worker.limits.frame;
    engine.worker.metrics.decode_error(link.side());
    tracing::warn!(peer = link.peer, len, limit, "a frame is over the limit");
    let fault = |what| {
        Fault::new(
            Reason::TooLarge,
            format!("the {what} of {len} bytes is over the limit of {limit}"),
            "send less, or raise `limits.frame` in the proxy's configuration",
        )
    };
    match C::meta(header).map(|meta| (meta.kind, meta.id)) {
        Ok((Kind::Response, id)) => {
            let call = link.pending.borrow_mut().take::<C>(id);
            if let Some(call) = call {
                forward::fail(engine, link, call, &fault("answer"), now);
            }
            Next::Continue
        }
        Ok((Kind::Request { one_way }, _)) => {
            engine.worker.metrics.fault(Reason::TooLarge);
            let answerable = (!one_way).then(|| C::origin(header));
            engine.reply(link, answerable, &fault("request"));
            link.end();
            Next::Stop
        }
        _ => {
            link.end();
            Next::Stop
        }
    }
}

/// Waits for the peer to close, throwing away what it still sends.
async fn linger<C: FrameCodec>(link: &Link<C>, socket: &mut OwnedReadHalf) {
    use tokio::io::AsyncReadExt;
    link.shut_down();
    let mut rest = [0; 1024];
    let drained = async { while matches!(socket.read(&mut rest).await, Ok(count) if count > 0) {} };
    let _ = tokio::time::timeout(LINGER, drained).await;
}
