//! What is counted of one call over HTTP, from its route to its end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::Outcome;
use codec::http::Dialect;
use governance::EndpointId;

use super::caller::Caller;
use crate::methods::Method;
use crate::observe::{Record, observe_record};
use crate::worker::Worker;

/// A call that found a route. It is counted when it ends; one that is dropped
/// before was given up by its caller.
pub(super) struct Call {
    worker: Rc<Worker>,
    caller: Rc<Caller>,
    pub(super) dialect: Dialect,
    method: Rc<Method>,
    pub(super) started: Instant,
    endpoint: Option<(EndpointId, Rc<str>)>,
    in_flight: bool,
    /// Until the answer's head came.
    latency: Option<Duration>,
    request_bytes: Rc<Cell<u64>>,
    pub(super) response_bytes: u64,
    ended: bool,
}

impl Call {
    pub(super) fn new(
        worker: Rc<Worker>,
        caller: Rc<Caller>,
        dialect: Dialect,
        method: Rc<Method>,
        started: Instant,
    ) -> Self {
        Call {
            worker,
            caller,
            dialect,
            method,
            started,
            endpoint: None,
            in_flight: false,
            latency: None,
            request_bytes: Rc::default(),
            response_bytes: 0,
            ended: false,
        }
    }

    /// Bytes of the request's body that went on.
    pub(super) fn request_bytes(&self) -> Rc<Cell<u64>> {
        self.request_bytes.clone()
    }

    /// It goes to this endpoint.
    pub(super) fn sent(&mut self, endpoint: EndpointId, peer: Rc<str>) {
        self.worker.health.sent(endpoint);
        self.worker.metrics.call_started();
        self.endpoint = Some((endpoint, peer));
        self.in_flight = true;
    }

    /// It did not get there, and goes another way.
    pub(super) fn unsent(&mut self, now: Instant) {
        self.settle(now);
        self.request_bytes.set(0);
        self.worker.metrics.retried();
    }

    /// The answer's head came.
    pub(super) fn answered(&mut self, now: Instant) {
        self.latency = Some(now.saturating_duration_since(self.started));
    }

    /// Counts the call, once.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = Instant::now();
        self.settle(now);
        observe_record(
            &self.worker,
            &Record {
                protocol: self.caller.protocol(self.dialect),
                caller: self.caller.address,
                method: &self.method,
                head: None,
                endpoint: self.endpoint.as_ref().map(|(_, peer)| &**peer),
                outcome,
                took: now.saturating_duration_since(self.started),
                bytes_in: self.request_bytes.get(),
                bytes_out: self.response_bytes,
            },
        );
    }

    fn settle(&mut self, now: Instant) {
        if let Some((endpoint, _)) = &self.endpoint
            && std::mem::replace(&mut self.in_flight, false)
        {
            self.worker.health.ended(*endpoint, self.latency, now);
            self.worker.metrics.call_ended();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}
