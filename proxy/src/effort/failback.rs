//! Failed calls repeated in the background (Dubbo's `FailbackClusterInvoker`): every
//! five seconds, as often as the rule says, wherever they are routed then. Nobody
//! waits for them; what came of it is counted.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use codec::FrameCodec;

use super::kept::KeptFrame;
use super::{Effort, Progress};
use crate::forward::Frame;
use crate::framed::Engine;
use crate::metrics::{Failback, WorkerMetrics};

/// Dubbo's `RETRY_FAILED_PERIOD`.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);
/// Dubbo's `DEFAULT_FAILBACK_TASKS`, for each worker.
const MOST: usize = 100;

/// The calls of one engine that are repeated in the background.
#[derive(Debug, Default)]
pub(crate) struct Failbacks {
    count: Cell<usize>,
}

impl Failbacks {
    /// One more, if there is room for it; counted in either case.
    pub(crate) fn begin(&self, metrics: &WorkerMetrics) -> bool {
        let has_room = self.count.get() < MOST;
        if has_room {
            self.count.set(self.count.get() + 1);
        } else {
            metrics.failback(Failback::Dropped);
        }
        has_room
    }

    /// One of them is over.
    pub(crate) fn end(&self, came_to: Failback, metrics: &WorkerMetrics) {
        self.count.set(self.count.get().saturating_sub(1));
        metrics.failback(came_to);
    }
}

/// Repeats a failed call later, as far as there is room and its request was kept.
pub(super) fn enqueue<C: FrameCodec>(engine: &Rc<Engine<C>>, failed: &Effort<C>) {
    if failed.wanted.resends() == 0 {
        return;
    }
    let metrics = &engine.worker.metrics;
    match failed.frame.take() {
        Some(frame) if engine.failbacks.begin(metrics) => later(engine, failed, frame, 0),
        Some(_) => {}
        None => metrics.failback(Failback::Dropped),
    }
}

/// It failed once more.
pub(super) fn missed<C: FrameCodec>(engine: &Rc<Engine<C>>, failed: Rc<Effort<C>>) {
    let repeats = failed.repeats.unwrap_or(0);
    match failed.frame.take() {
        Some(frame) if repeats < failed.wanted.resends() => later(engine, &failed, frame, repeats),
        _ => engine.failbacks.end(Failback::GivenUp, &engine.worker.metrics),
    }
}

/// It was answered, with whatever.
pub(super) fn answered<C: FrameCodec>(engine: &Engine<C>, effort: &Effort<C>) {
    effort.progress.borrow_mut().is_done = true;
    effort.frame.take();
    engine.failbacks.end(Failback::Answered, &engine.worker.metrics);
}

fn later<C: FrameCodec>(
    engine: &Rc<Engine<C>>,
    failed: &Effort<C>,
    frame: KeptFrame,
    repeats: u32,
) {
    let time = failed.deadline - failed.started;
    let now = Instant::now();
    let next = Effort {
        from: engine.nobody(&failed.listener, now),
        listener: failed.listener.clone(),
        origin: failed.origin,
        method: failed.method.clone(),
        wanted: failed.wanted.clone(),
        started: now + PERIOD,
        deadline: now + PERIOD + time,
        request_bytes: failed.request_bytes,
        repeats: Some(repeats + 1),
        frame: Some(frame).into(),
        progress: Progress::default().into(),
    };
    let engine = engine.clone();
    tokio::task::spawn_local(async move {
        tokio::time::sleep(PERIOD).await;
        let effort = Rc::new(next);
        let frame: Option<Bytes> = effort.frame.borrow().as_ref().map(KeptFrame::bytes);
        let frame = frame.unwrap_or_default();
        if effort.again(&engine, Frame::Borrowed(&frame), false, None, Instant::now()).is_err() {
            missed(&engine, effort);
        }
    });
}
