//! What happens to connections because time passes: deadlines and heartbeats.

use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::{Fault, FrameCodec, Reason};

use super::engine::Engine;
use super::link::{Link, State};
use crate::forward;
use crate::route::unconnected;

/// Deadlines closer together than this are handled together.
const GRAIN: Duration = Duration::from_millis(2);
/// A peer that is silent for this many heartbeats is gone (as Dubbo's
/// `heartbeat.timeout`, three times `heartbeat`).
const SILENT_HEARTBEATS: u32 = 3;

/// Answers calls whose deadline has passed.
pub(super) async fn expire_calls<C: FrameCodec>(engine: Rc<Engine<C>>) {
    loop {
        match engine.next_expiry.get() {
            None => engine.earlier.notified().await,
            Some(next) => {
                tokio::select! {
                    () = tokio::time::sleep_until(next.into()) => sweep(&engine),
                    () = engine.earlier.notified() => {}
                }
            }
        }
    }
}

fn sweep<C: FrameCodec>(engine: &Rc<Engine<C>>) {
    let now = Instant::now();
    engine.next_expiry.set(None);
    let links: Vec<_> = engine.links.borrow().values().cloned().collect();
    for link in links {
        if link.pending.borrow().earliest().is_some_and(|earliest| earliest <= now) {
            let mut expired = Vec::new();
            link.pending.borrow_mut().take_expired(now, |call| expired.push(call));
            for call in expired {
                let waited = now.saturating_duration_since(call.started);
                let fault = timed_out(&link, &call.from, waited);
                forward::fail(engine, &link, call, &fault, now);
            }
        }
        let earliest = link.pending.borrow().earliest();
        if let Some(earliest) = earliest {
            engine.expire_at(earliest.max(now + GRAIN));
        }
    }
    if let Some(next) = engine.expire_parked(now) {
        engine.expire_at(next.max(now + GRAIN));
    }
}

fn timed_out<C: FrameCodec>(link: &Link<C>, from: &Link<C>, waited: Duration) -> Fault {
    let waited = waited.as_millis();
    if link.state.get() == State::Connecting
        && let Some(listener) = from.listener()
    {
        return unconnected(listener, format!("no connection to {} within {waited} ms", link.peer));
    }
    Fault::new(
        Reason::Timeout,
        format!("no answer from {} within {waited} ms; it may still act on the call", link.peer),
        "raise the caller's timeout, or see what the provider is busy with",
    )
}

/// Sends a heartbeat where it has been quiet, and cuts peers that stay silent.
pub(super) async fn keep_alive<C: FrameCodec>(engine: Rc<Engine<C>>) {
    let interval = engine.worker.timeouts.heartbeat;
    let mut ticks = tokio::time::interval((interval / 4).max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let links: Vec<_> = engine.links.borrow().values().cloned().collect();
        for link in links {
            let silent = now.saturating_duration_since(link.last_read.get());
            if matches!(link.state.get(), State::Connecting | State::Closed) {
                continue;
            }
            if silent >= interval * SILENT_HEARTBEATS {
                tracing::info!(
                    peer = link.peer,
                    silent_ms = silent.as_millis() as u64,
                    "no sign of life; disconnected"
                );
                engine.close(&link);
            } else if silent >= interval
                && now.saturating_duration_since(link.last_ping.get()) >= interval
            {
                link.last_ping.set(now);
                link.append(&engine.buffers, |out| C::ping(engine.number(), out));
                engine.worker.metrics.heartbeat_sent(link.side());
                engine.flush_soon(&link);
            }
        }
    }
}
