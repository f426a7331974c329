//! The load: callers and the echo provider behind the proxy, together in one
//! thread on one core, so that as little as possible is spent outside the proxy.
//! Every answer is checked.
//!
//! A *closed* load keeps a fixed number of calls outstanding on each connection
//! and finds what a call costs. An *open* load sends by the clock and finds how
//! long callers wait: a call's latency counts from when it should have been sent,
//! so that a stalled proxy cannot hide the calls that it delays.

mod over_http;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};
use hdrhistogram::Histogram;

use crate::caller::Caller;
use crate::frame::{self, Reaction, Request};
use crate::http::{End, Payload};
use crate::protocol::Protocol;
use crate::stream::{Filled, Input, Stream};
use crate::sys::{Epoll, Ready};

/// Frames larger than this are written on their own instead of being gathered.
const LARGE: usize = 16 << 10;
/// A load that gets no answer at all for so long gives up.
const STALL: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Load {
    epoll: Epoll,
    listener: TcpListener,
    sockets: Vec<Option<Socket>>,
    callers: Vec<usize>,
    calls: Calls,
    gathered: Vec<u8>,
    started: Instant,
    refill: bool,
    outstanding: u64,
    latencies: Option<Histogram<u64>>,
    counts: Counts,
}

/// What has happened so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Answers that were right.
    pub(crate) right: u64,
    /// Answers that were not: another value, a fault.
    pub(crate) wrong: u64,
    /// What was wrong with the first of them.
    pub(crate) first_wrong: Option<String>,
}

/// How an open load went.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// In microseconds, of every call; those without an answer with the time that
    /// was waited for them.
    pub(crate) micros: Histogram<u64>,
    /// Calls without an answer at the end.
    pub(crate) unanswered: u64,
}

/// What is called.
#[derive(Debug, Clone)]
pub(crate) enum Calls {
    Dubbo(Request),
    Http(Protocol, Payload),
}

#[derive(Debug)]
struct Socket {
    stream: Stream,
    caller: Option<Caller>,
    /// What the connection's protocol remembers, where that is HTTP.
    end: Option<End>,
}

impl Load {
    /// A provider on a free port, and no caller yet.
    pub(crate) fn new(calls: Calls) -> Result<Load> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new()?;
        epoll.add(&listener, u64::MAX)?;
        Ok(Load {
            epoll,
            listener,
            sockets: Vec::new(),
            callers: Vec::new(),
            calls,
            gathered: Vec::new(),
            started: Instant::now(),
            refill: false,
            outstanding: 0,
            latencies: None,
            counts: Counts::default(),
        })
    }

    /// Where the provider listens.
    pub(crate) fn provider(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// What has happened so far.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Makes all further calls with another request.
    pub(crate) fn set_request(&mut self, request: Request) {
        self.calls = Calls::Dubbo(request);
    }

    /// Forgets the answers that were wrong.
    pub(crate) fn forgive(&mut self) {
        self.counts = Counts::default();
    }

    /// Closes the connections of all callers.
    pub(crate) fn hang_up(&mut self) {
        for index in self.callers.drain(..) {
            self.sockets[index] = None;
        }
    }

    /// Connects `callers` more callers to `to`.
    pub(crate) fn connect(&mut self, to: SocketAddr, callers: usize) -> Result<()> {
        for _ in 0..callers {
            let socket = TcpStream::connect(to).with_context(|| format!("connecting to {to}"))?;
            self.callers.push(self.sockets.len());
            // No two callers of a run have the same number.
            let number = self.sockets.len() as u64;
            self.add(socket, Some(Caller::new(number)))?;
            // Lets the provider accept, when there is no proxy or it connects at once.
            self.turn(None)?;
        }
        Ok(())
    }

    /// One call from every caller, one after the other.
    pub(crate) fn call_once_each(&mut self) -> Result<()> {
        for caller in 0..self.callers.len() {
            let now = self.nanos();
            self.call(caller, 1, now)?;
            self.settle(STALL)?;
        }
        Ok(())
    }

    /// Begins a closed load: `each` calls outstanding on every connection.
    pub(crate) fn start_closed(&mut self, each: usize) -> Result<()> {
        self.refill = true;
        for caller in 0..self.callers.len() {
            let now = self.nanos();
            self.call(caller, each, now)?;
        }
        Ok(())
    }

    /// Goes on with a closed load for `duration`.
    pub(crate) fn run_for(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        let mut last = (self.counts.right, Instant::now());
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if self.counts.right != last.0 {
                last = (self.counts.right, now);
            } else if now - last.1 > STALL {
                bail!("no answer for {STALL:?}, {} calls outstanding", self.outstanding);
            }
            self.turn(Some((end - now).min(Duration::from_millis(100))))?;
        }
    }

    /// Ends a load: waits until every call has its answer.
    pub(crate) fn settle(&mut self, patience: Duration) -> Result<()> {
        self.refill = false;
        let end = Instant::now() + patience;
        while self.outstanding > 0 {
            let now = Instant::now();
            if now >= end {
                bail!("{} calls without an answer after {patience:?}", self.outstanding);
            }
            self.turn(Some((end - now).min(Duration::from_millis(100))))?;
        }
        Ok(())
    }

    /// An open load: `rate` calls a second over all connections in turn, for
    /// `warm_up` and then for `duration`, which counts.
    pub(crate) fn run_open(
        &mut self,
        rate: f64,
        warm_up: Duration,
        duration: Duration,
    ) -> Result<Latencies> {
        let patience = Duration::from_secs(3);
        let gap = 1e9 / rate;
        let begin = self.nanos();
        let calls = ((warm_up + duration).as_secs_f64() * rate) as u64;
        let counted = (warm_up.as_secs_f64() * rate) as u64;
        let mut sent = 0;
        while sent < calls {
            let now = self.nanos();
            while sent < calls {
                let intended = begin + (sent as f64 * gap) as u64;
                if intended > now {
                    break;
                }
                if sent == counted {
                    self.latencies = Some(Histogram::new(3)?);
                }
                self.call((sent % self.callers.len() as u64) as usize, 1, intended)?;
                sent += 1;
            }
            // Never sleeps: being late would be our own latency, not the proxy's.
            self.turn(None)?;
        }
        let end = Instant::now() + patience;
        while self.outstanding > 0 && Instant::now() < end {
            self.turn(Some(Duration::from_millis(20)))?;
        }
        let now = self.nanos();
        let mut micros = self.latencies.take().context("an open load without a counted call")?;
        for socket in self.sockets.iter().flatten() {
            for intended in socket.caller.iter().flat_map(Caller::waiting) {
                micros.record((now - intended) / 1000)?;
            }
        }
        Ok(Latencies { micros, unanswered: self.outstanding })
    }

    fn nanos(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn add(&mut self, socket: TcpStream, caller: Option<Caller>) -> Result<()> {
        let stream = Stream::new(socket)?;
        self.epoll.add(&stream.socket, self.sockets.len() as u64)?;
        let end = match &self.calls {
            Calls::Dubbo(_) => None,
            Calls::Http(protocol, _) => Some(End::new(*protocol, caller.is_some())),
        };
        self.sockets.push(Some(Socket { stream, caller, end }));
        Ok(())
    }

    /// Waits once and handles what has happened; `None` waits not at all.
    fn turn(&mut self, timeout: Option<Duration>) -> Result<()> {
        let n = self.epoll.wait(timeout)?;
        for i in 0..n {
            let ready = self.epoll.ready(i);
            if ready.token == u64::MAX {
                while let Ok((socket, _)) = self.listener.accept() {
                    self.add(socket, None)?;
                }
            } else {
                self.handle(ready)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, ready: Ready) -> Result<()> {
        let index = ready.token as usize;
        let Some(socket) = self.sockets[index].as_mut() else { return Ok(()) };
        if ready.write {
            socket.stream.flush()?;
        }
        if !ready.read {
            return Ok(());
        }
        let is_caller = socket.caller.is_some();
        loop {
            let Some(socket) = self.sockets[index].as_mut() else { return Ok(()) };
            let filled = socket.stream.fill()?;
            match (socket.end.is_some(), is_caller) {
                (false, true) => self.take_answers(index)?,
                (false, false) => self.serve(index)?,
                (true, true) => self.take_answers_over_http(index)?,
                (true, false) => self.serve_over_http(index)?,
            }
            match filled {
                Filled::More => {}
                Filled::Drained => return Ok(()),
                Filled::Closed if is_caller => bail!("the proxy closed a caller's connection"),
                Filled::Closed => {
                    self.sockets[index] = None;
                    return Ok(());
                }
            }
        }
    }

    /// Reads answers, checks them, and calls again where the load is closed.
    fn take_answers(&mut self, index: usize) -> Result<()> {
        let now = self.nanos();
        let Calls::Dubbo(request) = &self.calls else { return Ok(()) };
        let Some(Socket { stream, caller: Some(caller), .. }) = self.sockets[index].as_mut() else {
            return Ok(());
        };
        let Stream { socket, input, output } = stream;
        let mut answered = 0;
        while let Some(length) = next_frame(input)? {
            let bytes = &input.unread()[..length];
            if frame::is_event(bytes) {
                if let Some(pong) = frame::pong(bytes) {
                    output.send(socket, &[&pong])?;
                }
                input.consume(length);
                continue;
            }
            let id = frame::answer_id(bytes);
            let Some((call, intended)) = caller.answered(id) else {
                bail!("an answer to a call that is not outstanding: {id:#x}");
            };
            match request.check(bytes, call.id, call.tag) {
                Ok(()) => self.counts.right += 1,
                Err(why) => {
                    self.counts.wrong += 1;
                    self.counts.first_wrong.get_or_insert(why);
                }
            }
            if let Some(latencies) = &mut self.latencies {
                latencies.record((now - intended) / 1000)?;
            }
            input.consume(length);
            answered += 1;
        }
        self.outstanding -= answered;
        if self.refill && answered > 0 {
            self.call_from(index, answered as usize, now)?;
        }
        Ok(())
    }

    /// `n` calls of a caller, in as few writes as possible.
    fn call(&mut self, caller: usize, n: usize, intended: u64) -> Result<()> {
        self.call_from(self.callers[caller], n, intended)
    }

    fn call_from(&mut self, index: usize, n: usize, intended: u64) -> Result<()> {
        let Some(Socket { stream, caller: Some(caller), end }) = self.sockets[index].as_mut()
        else {
            bail!("a caller without a connection");
        };
        self.gathered.clear();
        for _ in 0..n {
            let call = caller.call(intended);
            let bytes = match (&mut self.calls, &mut *end) {
                (Calls::Dubbo(request), _) => request.stamp(call.id, call.tag),
                (Calls::Http(_, payload), Some(end)) => {
                    end.call(call.index(), payload.stamp(call.tag), &mut self.gathered);
                    continue;
                }
                (Calls::Http(..), None) => bail!("a connection that does not speak HTTP"),
            };
            if bytes.len() > LARGE {
                stream.output.send(&stream.socket, &[bytes])?;
            } else {
                self.gathered.extend_from_slice(bytes);
            }
        }
        if !self.gathered.is_empty() {
            stream.output.send(&stream.socket, &[&self.gathered])?;
        }
        self.outstanding += n as u64;
        Ok(())
    }

    /// The provider: answers every request that has arrived.
    fn serve(&mut self, index: usize) -> Result<()> {
        let Some(Socket { stream, .. }) = self.sockets[index].as_mut() else { return Ok(()) };
        let Stream { socket, input, output } = stream;
        self.gathered.clear();
        while let Some(length) = next_frame(input)? {
            match frame::react(&input.unread()[..length]).map_err(Error::msg)? {
                Reaction::Answer(head, argument, rest) if argument.len() > LARGE => {
                    output.send(socket, &[&head, argument, rest])?;
                }
                Reaction::Answer(head, argument, rest) => {
                    self.gathered.extend_from_slice(&head);
                    self.gathered.extend_from_slice(argument);
                    self.gathered.extend_from_slice(rest);
                }
                Reaction::Pong(pong) => self.gathered.extend_from_slice(&pong),
                Reaction::Nothing => {}
            }
            input.consume(length);
        }
        if !self.gathered.is_empty() {
            output.send(socket, &[&self.gathered])?;
        }
        Ok(())
    }
}

/// The length of the next whole frame, if it is all there; makes room for it if
/// it is not.
fn next_frame(input: &mut Input) -> Result<Option<usize>> {
    let Some(length) = frame::frame_len(input.unread()).map_err(Error::msg)? else {
        return Ok(None);
    };
    if input.unread().len() >= length {
        return Ok(Some(length));
    }
    // A read that leaves room needs no second one to see that nothing is left.
    input.reserve(length + 1);
    Ok(None)
}
