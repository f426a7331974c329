//! Bytes from one socket to another, both ways, until both sides have ended.
//!
//! All connections of a worker read into one scratch buffer, and what is read is
//! written at once. A connection keeps only what the other side does not take
//! yet, never more than one read, and reads no more until that is gone: the one
//! who reads slowly slows down the one who writes. An idle connection keeps nothing.
//!
//! Each side may end while the other goes on (half-close). A side that breaks is
//! passed on as a reset, because to a protocol without lengths an end would say
//! that everything came; so does one whose time is up, on both
//! sides.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::clock::{Clock, Expired};
use crate::metrics::{Side, WorkerMetrics};

/// Reads that one connection gets before others get their turn.
const ROUNDS: usize = 4;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// Both sides said that they had sent everything.
    Both,
    /// The caller broke it off.
    Caller(io::Error),
    /// The endpoint broke it off.
    Endpoint(io::Error),
    /// Its time is up.
    Expired(Expired),
}

impl Ending {
    fn broken(side: Side, error: io::Error) -> Self {
        match side {
            Side::Downstream => Ending::Caller(error),
            Side::Upstream => Ending::Endpoint(error),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Both => f.write_str("both sides ended"),
            Ending::Caller(error) => write!(f, "the caller broke it off: {error}"),
            Ending::Endpoint(error) => write!(f, "the endpoint broke it off: {error}"),
            Ending::Expired(Expired::Idle(time)) => {
                write!(f, "nothing was passed on for {time:?}")
            }
            Ending::Expired(Expired::Old(time)) => write!(f, "it has lasted for {time:?}"),
        }
    }
}

/// What was carried.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) ending: Ending,
    /// Bytes from the caller that the endpoint's socket took.
    pub(super) up: u64,
    /// Bytes from the endpoint that the caller's socket took.
    pub(super) down: u64,
}

/// Carries bytes until both sides have ended, one broke, or its time is up.
pub(super) async fn copy(
    metrics: &WorkerMetrics,
    scratch: &RefCell<Box<[u8]>>,
    caller: &TcpStream,
    endpoint: &TcpStream,
    mut clock: Option<Clock>,
) -> Copied {
    let mut up = Way::new((caller, Side::Downstream), (endpoint, Side::Upstream));
    let mut down = Way::new((endpoint, Side::Upstream), (caller, Side::Downstream));
    let broken = poll_fn(|cx| {
        let scratch = &mut *scratch.borrow_mut();
        let up_ended = match up.poll(cx, scratch, metrics) {
            Ok(ended) => ended,
            Err((side, error)) => return Poll::Ready(Some(Ending::broken(side, error))),
        };
        let down_ended = match down.poll(cx, scratch, metrics) {
            Ok(ended) => ended,
            Err((side, error)) => return Poll::Ready(Some(Ending::broken(side, error))),
        };
        if up_ended.is_ready() && down_ended.is_ready() {
            return Poll::Ready(None);
        }
        let Some(clock) = &mut clock else { return Poll::Pending };
        clock.poll(cx, up.carried + down.carried).map(|why| Some(Ending::Expired(why)))
    })
    .await;
    let ending = match broken {
        Some(ending) => {
            let others: &[_] = match ending {
                Ending::Caller(_) => &[endpoint],
                Ending::Endpoint(_) => &[caller],
                Ending::Both | Ending::Expired(_) => &[caller, endpoint],
            };
            others.iter().for_each(|socket| close_with_reset(socket));
            ending
        }
        None => match (down.refused.take(), up.refused.take()) {
            (Some(error), _) => Ending::Caller(error),
            (None, Some(error)) => Ending::Endpoint(error),
            (None, None) => Ending::Both,
        },
    };
    Copied { ending, up: up.carried, down: down.carried }
}

/// Has a socket closed with a reset, and without what waits to be sent to it.
pub(crate) fn close_with_reset(socket: &TcpStream) {
    if let Err(error) = SockRef::from(socket).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "ended instead of reset");
    }
}

/// A socket and whose it is.
type End<'a> = (&'a TcpStream, Side);

/// One direction.
struct Way<'a> {
    from: End<'a>,
    to: End<'a>,
    /// What was read and not taken yet.
    kept: Vec<u8>,
    /// How much of it was taken since.
    taken: usize,
    stage: Stage,
    /// Why the other side takes no more. What that side still says, or said
    /// before, is carried to its end all the same.
    refused: Option<io::Error>,
    carried: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// More may come.
    Open,
    /// All was read.
    Ended,
    /// Nothing is left to do.
    Done,
}

impl<'a> Way<'a> {
    fn new(from: End<'a>, to: End<'a>) -> Self {
        let (kept, stage) = (Vec::new(), Stage::Open);
        Way { from, to, kept, taken: 0, stage, refused: None, carried: 0 }
    }

    /// # Errors
    /// That `from` broke, and how.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        metrics: &WorkerMetrics,
    ) -> Result<Poll<()>, (Side, io::Error)> {
        for _ in 0..ROUNDS {
            if self.poll_kept(cx, metrics).is_pending() {
                return Ok(Poll::Pending);
            }
            match self.stage {
                Stage::Done => return Ok(Poll::Ready(())),
                Stage::Ended => {
                    self.stage = Stage::Done;
                    // A peer that is gone already shows when it is read from.
                    let _ = SockRef::from(self.to.0).shutdown(Shutdown::Write);
                    return Ok(Poll::Ready(()));
                }
                Stage::Open => {}
            }
            let (socket, side) = self.from;
            match socket.poll_read_ready(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(ready) => ready.map_err(|error| (side, error))?,
            }
            match socket.try_read(scratch) {
                Ok(0) => self.stage = Stage::Ended,
                Ok(came) => {
                    metrics.bytes_received(side, came as u64);
                    let taken = self.write(&scratch[..came], metrics);
                    if self.refused.is_none() {
                        self.kept.extend_from_slice(&scratch[taken..came]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err((side, error)),
            }
        }
        cx.waker().wake_by_ref();
        Ok(Poll::Pending)
    }

    /// Writes what is kept.
    fn poll_kept(&mut self, cx: &mut Context<'_>, metrics: &WorkerMetrics) -> Poll<()> {
        while self.taken < self.kept.len() && self.refused.is_none() {
            if let Err(error) = ready!(self.to.0.poll_write_ready(cx)) {
                self.refuse(error);
                break;
            }
            let kept = std::mem::take(&mut self.kept);
            self.taken += self.write(&kept[self.taken..], metrics);
            self.kept = kept;
        }
        (self.kept, self.taken) = (Vec::new(), 0);
        Poll::Ready(())
    }

    /// Writes what the other side takes now.
    fn write(&mut self, bytes: &[u8], metrics: &WorkerMetrics) -> usize {
        let (socket, side) = self.to;
        match socket.try_write(bytes) {
            Ok(count) => {
                self.carried += count as u64;
                metrics.bytes_sent(side, count as u64);
                count
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                self.refuse(error);
                0
            }
        }
    }

    fn refuse(&mut self, error: io::Error) {
        self.refused = Some(error);
        self.stage = Stage::Done;
    }
}
