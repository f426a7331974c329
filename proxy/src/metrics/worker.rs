//! What one worker thread counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use codec::Reason;
use governance::ScriptReason;

use super::cell::Cell;
use super::detection::DetectionMetrics;
use super::label_sets::{LabelSet, LabelSets};
use super::method::MethodMetrics;

/// Which of a call's two connections something happened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The caller's.
    Downstream,
    /// The endpoint's.
    Upstream,
}

impl Side {
    pub(super) const ALL: [Side; 2] = [Side::Downstream, Side::Upstream];

    /// The metric label, stable across versions.
    pub fn label(self) -> &'static str {
        match self {
            Side::Downstream => "downstream",
            Side::Upstream => "upstream",
        }
    }
}

/// What repeating a failed call in the background came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failback {
    /// It was answered.
    Answered,
    /// It failed as often as it was to be repeated.
    GivenUp,
    /// Too many waited already.
    Dropped,
}

impl Failback {
    pub(super) const ALL: [Failback; 3] =
        [Failback::Answered, Failback::GivenUp, Failback::Dropped];

    /// The metric label, stable across versions.
    pub fn label(self) -> &'static str {
        match self {
            Failback::Answered => "answered",
            Failback::GivenUp => "given_up",
            Failback::Dropped => "dropped",
        }
    }
}

/// One worker's counters and gauges. Only that worker's thread may write (its
/// methods are plain loads and stores); any thread may read. Summed over the
/// workers when they are scraped.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    sets: Arc<Mutex<LabelSets>>,
    methods: Mutex<HashMap<LabelSet, Arc<MethodMetrics>>>,
    listeners: Mutex<HashMap<String, Arc<DetectionMetrics>>>,
    pub(super) cells: WorkerCells,
}

/// The plain numbers, apart from the maps so that they can be summed alone.
#[derive(Debug, Default)]
pub(super) struct WorkerCells {
    pub(super) in_flight: Cell,
    pub(super) faults: [Cell; Reason::ALL.len()],
    pub(super) retries: Cell,
    pub(super) resends: Cell,
    pub(super) mirrored: Cell,
    pub(super) ejections: Cell,
    pub(super) failbacks: [Cell; Failback::ALL.len()],
    pub(super) late_answers: Cell,
    pub(super) upgraded: Cell,
    pub(super) refused: Cell,
    pub(super) connect_failures: Cell,
    pub(super) script_failures: [Cell; ScriptReason::ALL.len()],
    pub(super) downstream: SideCells,
    pub(super) upstream: SideCells,
}

/// What is counted for both sides alike.
#[derive(Debug, Default)]
pub(super) struct SideCells {
    pub(super) open: Cell,
    pub(super) opened: Cell,
    pub(super) received: Cell,
    pub(super) sent: Cell,
    pub(super) decode_errors: Cell,
    pub(super) heartbeats_sent: Cell,
    pub(super) heartbeats_answered: Cell,
    pub(super) go_aways_sent: Cell,
    pub(super) go_aways_received: Cell,
}

impl WorkerCells {
    pub(super) fn side(&self, side: Side) -> &SideCells {
        match side {
            Side::Downstream => &self.downstream,
            Side::Upstream => &self.upstream,
        }
    }
}

impl WorkerMetrics {
    pub(super) fn new(sets: Arc<Mutex<LabelSets>>) -> Self {
        WorkerMetrics {
            sets,
            methods: Mutex::default(),
            listeners: Mutex::default(),
            cells: WorkerCells::default(),
        }
    }

    /// The counters of one method of one service behind one listener, made at
    /// the first call. Takes locks and allocates: keep the `Arc` beside the
    /// route. Past 2,000 methods for the process, or 100 for one service of one
    /// listener, further ones share counters named `other`.
    ///
    /// Names come from callers: pass a service the mesh does not know as
    /// `"unknown"`, so that made-up names cannot use up the bounds.
    pub fn method(
        &self,
        protocol: &'static str,
        listener: &str,
        service: &str,
        method: &str,
    ) -> Arc<MethodMetrics> {
        let set = self
            .sets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(protocol, listener, service, method);
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        methods.entry(set).or_insert_with(|| Arc::new(MethodMetrics::new())).clone()
    }

    /// Calls `each` with every method's labels and counters.
    pub(super) fn each_method(&self, mut each: impl FnMut(&LabelSet, &MethodMetrics)) {
        let methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        for (set, method) in methods.iter() {
            each(set, method);
        }
    }

    /// What is found out at one listener, by its name in the configuration.
    pub(crate) fn listener(&self, name: &str, use_original_dst: bool) -> Arc<DetectionMetrics> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(DetectionMetrics::new(use_original_dst));
        listeners.entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Calls `each` with every listener's name and counters.
    pub(super) fn each_listener(&self, mut each: impl FnMut(&str, &DetectionMetrics)) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, found) in listeners.iter() {
            each(name, found);
        }
    }

    /// A call was admitted and awaits its end.
    pub fn call_started(&self) {
        self.cells.in_flight.add(1);
    }

    /// A call that [`WorkerMetrics::call_started`] counted has ended, however.
    pub fn call_ended(&self) {
        self.cells.in_flight.sub(1);
    }

    /// The mesh answered a call itself.
    pub fn fault(&self, reason: Reason) {
        self.cells.faults[reason as usize].add(1);
    }

    /// A script had no answer for a call.
    pub fn script_failed(&self, reason: ScriptReason) {
        self.cells.script_failures[reason as usize].add(1);
    }

    /// A call that was never sent is tried on another endpoint.
    pub fn retried(&self) {
        self.cells.retries.add(1);
    }

    /// A call that was sent and failed is sent again, because a rule says so.
    pub fn resent(&self) {
        self.cells.resends.add(1);
    }

    /// A copy of a call went to a mirror.
    pub fn mirrored(&self) {
        self.cells.mirrored.add(1);
    }

    /// An endpoint failed too often and is left out for a while.
    pub fn ejected(&self) {
        self.cells.ejections.add(1);
    }

    /// A call that failed for its caller went on in the background.
    pub fn failback(&self, came_to: Failback) {
        self.cells.failbacks[came_to as usize].add(1);
    }

    /// An answer came for a call that nobody waits for any more.
    pub fn late_answer(&self) {
        self.cells.late_answers.add(1);
    }

    /// A connection was opened (accepted from a caller, or made to an endpoint).
    pub fn connection_opened(&self, side: Side) {
        let cells = self.cells.side(side);
        cells.open.add(1);
        cells.opened.add(1);
    }

    /// A connection that was opened is gone.
    pub fn connection_closed(&self, side: Side) {
        self.cells.side(side).open.sub(1);
    }

    /// A caller's HTTP/1.1 connection goes on with HTTP/2.
    pub fn connection_upgraded(&self) {
        self.cells.upgraded.add(1);
    }

    /// A caller's connection was turned away: over the limit, or draining.
    pub fn connection_refused(&self) {
        self.cells.refused.add(1);
    }

    /// A connection to an endpoint could not be made.
    pub fn connect_failed(&self) {
        self.cells.connect_failures.add(1);
    }

    /// A peer's bytes could not be read.
    pub fn decode_error(&self, side: Side) {
        self.cells.side(side).decode_errors.add(1);
    }

    /// A heartbeat was sent on an idle connection.
    pub fn heartbeat_sent(&self, side: Side) {
        self.cells.side(side).heartbeats_sent.add(1);
    }

    /// A peer's heartbeat was answered.
    pub fn heartbeat_answered(&self, side: Side) {
        self.cells.side(side).heartbeats_answered.add(1);
    }

    /// A peer was asked to send no more calls (Dubbo: the read-only event).
    pub fn go_away_sent(&self, side: Side) {
        self.cells.side(side).go_aways_sent.add(1);
    }

    /// A peer asked for no more calls.
    pub fn go_away_received(&self, side: Side) {
        self.cells.side(side).go_aways_received.add(1);
    }

    /// Bytes came from a peer's socket.
    pub fn bytes_received(&self, side: Side, bytes: u64) {
        self.cells.side(side).received.add(bytes);
    }

    /// Bytes went to a peer's socket.
    pub fn bytes_sent(&self, side: Side, bytes: u64) {
        self.cells.side(side).sent.add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
        }
        for (place, reason) in ScriptReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
        }
    }
}
