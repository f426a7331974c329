//! One measured run of one peer under one load, from a fresh process on.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::frame::Request;
use crate::http::Payload;
use crate::load::{Calls, Load};
use crate::peer::{NOBODY, Peer, Stage, USER};
use crate::process::{Process, Time, own_time, stolen};
use crate::protocol::Protocol;

/// A closed load: how many callers, calls outstanding on each, characters in the
/// argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) callers: usize,
    pub(crate) outstanding: usize,
    pub(crate) size: usize,
}

/// How long the parts of a run take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Durations {
    pub(crate) warm_up: Duration,
    pub(crate) closed: Duration,
    pub(crate) open: Duration,
}

/// What a closed run found.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    /// Calls answered in a second.
    pub(crate) rate: f64,
    /// Processor time of the proxy for one call, in microseconds; `None` without
    /// a proxy.
    pub(crate) cpu_micros: Option<f64>,
    /// How much of its core the proxy used, 0 to 1.
    pub(crate) proxy_busy: f64,
    /// How much of its core the load used, 0 to 1.
    pub(crate) load_busy: f64,
    /// Somebody else took time from either core.
    pub(crate) disturbed: bool,
}

/// What an open run found.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    /// In microseconds from when a call should have been sent.
    pub(crate) p50: u64,
    /// The same, of the slowest hundredth.
    pub(crate) p99: u64,
    /// Calls without a right answer.
    pub(crate) failed: u64,
    /// As in [`Closed`].
    pub(crate) disturbed: bool,
}

/// What an idle run found.
#[derive(Debug, Clone)]
pub(crate) struct Idle {
    /// Resident memory after start and one call, in KiB.
    pub(crate) memory_kib: u64,
    /// The same with [`IDLE_CONNECTIONS`] more.
    pub(crate) with_connections_kib: u64,
    /// What each idle connection adds, in KiB.
    pub(crate) per_connection_kib: f64,
}

/// Connections of the idle run.
pub(crate) const IDLE_CONNECTIONS: usize = 2000;
/// Share of a run that others may take before it counts as disturbed.
const DISTURBED: f64 = 0.03;

/// Runs a closed load against a fresh `peer`.
pub(crate) fn closed(
    stage: &Stage,
    protocol: Protocol,
    peer: Peer,
    shape: Shape,
    durations: Durations,
    load_core: usize,
) -> Result<Closed> {
    let mut run = Run::start(stage, protocol, peer, shape.size)?;
    if peer == Peer::SpanwireRule {
        run.see_the_rule_obeyed()?;
    }
    let to = run.to()?;
    run.load.connect(to, shape.callers)?;
    run.load.start_closed(shape.outstanding)?;
    run.load.run_for(durations.warm_up)?;
    let before = run.sample(stage.core, load_core)?;
    run.load.run_for(durations.closed)?;
    let after = run.sample(stage.core, load_core)?;
    run.load.settle(Duration::from_secs(10))?;
    run.all_right()?;

    let calls = (after.calls - before.calls) as f64;
    let wall = (after.at - before.at).as_nanos() as f64;
    if calls == 0.0 {
        bail!("no call was answered");
    }
    let (proxy, load) = (after.proxy - before.proxy, after.load - before.load);
    Ok(Closed {
        rate: calls / wall * 1e9,
        cpu_micros: run.proxy.is_some().then(|| proxy.running as f64 / calls / 1e3),
        proxy_busy: proxy.running as f64 / wall,
        load_busy: load.running as f64 / wall,
        disturbed: after.disturbed_since(&before),
    })
}

/// Runs an open load of `rate` calls a second over 64 connections against a fresh
/// `peer`, from a cold start but for one call.
pub(crate) fn open(
    stage: &Stage,
    protocol: Protocol,
    peer: Peer,
    rate: f64,
    durations: Durations,
    load_core: usize,
) -> Result<Open> {
    let mut run = Run::start(stage, protocol, peer, 128)?;
    let to = run.to()?;
    run.load.connect(to, 64)?;
    let before = run.sample(stage.core, load_core)?;
    let latencies = run.load.run_open(rate, durations.warm_up, durations.open)?;
    let after = run.sample(stage.core, load_core)?;
    Ok(Open {
        p50: latencies.micros.value_at_quantile(0.5),
        p99: latencies.micros.value_at_quantile(0.99),
        failed: latencies.unanswered + run.load.counts().wrong,
        disturbed: after.disturbed_since(&before),
    })
}

/// Finds the memory of a fresh `peer`, with one connection and with many; every
/// connection has carried one call.
pub(crate) fn idle(stage: &Stage, protocol: Protocol, peer: Peer) -> Result<Idle> {
    let mut run = Run::start(stage, protocol, peer, 128)?;
    let proxy = run.proxy.as_ref().context("no proxy to look at")?;
    let to = proxy.listen();
    run.load.connect(to, 1)?;
    run.load.call_once_each()?;
    let settle = Duration::from_millis(1000);
    thread::sleep(settle);
    let before = proxy.memory()?;
    run.load.connect(to, IDLE_CONNECTIONS)?;
    run.load.call_once_each()?;
    // Memory that is freed by a timer may go first.
    thread::sleep(settle);
    let after = proxy.memory()?;
    run.all_right()?;
    let added = after.saturating_sub(before) as f64;
    Ok(Idle {
        memory_kib: before,
        with_connections_kib: after,
        per_connection_kib: added / IDLE_CONNECTIONS as f64,
    })
}

/// A load in front of a fresh proxy.
struct Run {
    load: Load,
    proxy: Option<Process>,
}

struct Sample {
    at: Instant,
    calls: u64,
    proxy: Time,
    load: Time,
    stolen: u64,
}

impl Sample {
    fn disturbed_since(&self, before: &Sample) -> bool {
        let wall = (self.at - before.at).as_nanos() as f64;
        let (proxy, load) = (self.proxy - before.proxy, self.load - before.load);
        let taken = proxy.waiting.max(load.waiting) as f64;
        let stolen = (self.stolen - before.stolen) as f64 * 1e7; // ticks of 10 ms
        taken > DISTURBED * wall || stolen > DISTURBED * wall
    }
}

impl Run {
    /// Starts the peer, and makes one call so that it is known to work.
    fn start(stage: &Stage, protocol: Protocol, peer: Peer, size: usize) -> Result<Run> {
        let mut load = Load::new(match protocol {
            Protocol::Dubbo => Calls::Dubbo(Request::new(size, USER)),
            _ => Calls::Http(protocol, Payload::new(protocol, size)),
        })?;
        let proxy = stage.start(protocol, peer, load.provider()?)?;
        let to = proxy.as_ref().map_or(load.provider()?, Process::listen);
        load.connect(to, 1)?;
        let mut run = Run { load, proxy };
        run.load
            .call_once_each()
            .and_then(|()| run.all_right())
            .with_context(|| run.story("the first call"))?;
        run.load.hang_up();
        Ok(run)
    }

    fn to(&self) -> Result<std::net::SocketAddr> {
        self.proxy.as_ref().map_or_else(|| self.load.provider(), |p| Ok(p.listen()))
    }

    /// A rule that nobody obeys would cost nothing.
    fn see_the_rule_obeyed(&mut self) -> Result<()> {
        let to = self.to()?;
        self.load.set_request(Request::new(128, NOBODY));
        self.load.connect(to, 1)?;
        self.load.call_once_each()?;
        if self.load.counts().wrong == 0 {
            bail!("the rule on an attachment is not obeyed");
        }
        self.load.hang_up();
        self.load.forgive();
        self.load.set_request(Request::new(128, USER));
        Ok(())
    }

    fn sample(&self, proxy_core: usize, load_core: usize) -> Result<Sample> {
        Ok(Sample {
            calls: self.load.counts().right,
            proxy: self.proxy.as_ref().map_or(Ok(Time::default()), Process::time)?,
            load: own_time()?,
            stolen: stolen(proxy_core) + stolen(load_core),
            at: Instant::now(),
        })
    }

    fn all_right(&self) -> Result<()> {
        let counts = self.load.counts();
        if counts.wrong > 0 {
            let first = counts.first_wrong.as_deref().unwrap_or_default();
            bail!("{} answers were wrong, the first: {first}", counts.wrong);
        }
        Ok(())
    }

    fn story(&self, what: &str) -> String {
        match &self.proxy {
            Some(proxy) => format!("{what} failed; the proxy printed: {}", proxy.log()),
            None => format!("{what} failed"),
        }
    }
}
