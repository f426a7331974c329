//! What is counted of one call over HTTP, from its route to its end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::Outcome;
use codec::http::{Dialect, grpc};
use governance::EndpointId;
use http::HeaderMap;

use super::caller::Caller;
use crate::actives::Permit;
use crate::methods::Method;
use crate::observe::{Record, observe_record};
use crate::orders::{Ending, Place};
use crate::worker::Worker;

/// A call that found a route. It is counted when it ends; one that is dropped
/// before was given up by its caller.
pub(super) struct Call {
    worker: Rc<Worker>,
    caller: Rc<Caller>,
    pub(super) dialect: Dialect,
    method: Rc<Method>,
    pub(super) started: Instant,
    /// Whether it stands in metrics and the access log when it ends: an attempt beside
    /// others does not.
    is_counted: bool,
    flight: Flight,
    /// The statuses of its answer, HTTP's and gRPC's, once there is one.
    statuses: Option<(u16, Option<u32>)>,
    /// When its last attempt was sent.
    since: Instant,
    /// From then until the answer's head came.
    latency: Option<Duration>,
    request_bytes: Rc<Cell<u64>>,
    pub(super) response_bytes: u64,
    ended: bool,
}

/// An attempt at an endpoint.
#[derive(Default)]
struct Flight {
    endpoint: Option<(EndpointId, Rc<str>)>,
    is_on: bool,
    /// Its place at a destination that a rule has terms for.
    place: Option<Place>,
    /// Its place among the calls that a configurator limits.
    permit: Option<Permit>,
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
            is_counted: true,
            flight: Flight::default(),
            statuses: None,
            since: started,
            latency: None,
            request_bytes: Rc::default(),
            response_bytes: 0,
            ended: false,
        }
    }

    /// One more attempt of the same call, at the same time or later.
    pub(super) fn beside(&self) -> Call {
        let (worker, caller) = (self.worker.clone(), self.caller.clone());
        let started = Instant::now();
        let mut one = Call::new(worker, caller, self.dialect, self.method.clone(), started);
        one.is_counted = false;
        one
    }

    /// An attempt beside it is the one that counts.
    pub(super) fn take_over(&mut self, other: &mut Call) {
        std::mem::swap(&mut self.flight, &mut other.flight);
        self.request_bytes = other.request_bytes.clone();
    }

    /// Bytes of the request's body that went on.
    pub(super) fn request_bytes(&self) -> Rc<Cell<u64>> {
        self.request_bytes.clone()
    }

    /// It goes to this endpoint.
    pub(super) fn sent(&mut self, endpoint: EndpointId, peer: Rc<str>) {
        self.since = Instant::now();
        self.worker.health.sent(endpoint);
        self.worker.metrics.call_started();
        self.flight.endpoint = Some((endpoint, peer));
        self.flight.is_on = true;
    }

    /// It has a place at its destination, until its attempt ends.
    pub(super) fn enter(&mut self, place: Option<Place>) {
        self.flight.place = place;
    }

    /// It has a place among the calls of its method, until its attempt ends.
    pub(super) fn permit(&mut self, permit: Option<Permit>) {
        self.flight.permit = permit;
    }

    /// Its place among the calls of its method, for an attempt beside others.
    pub(super) fn take_permit(&mut self) -> Option<Permit> {
        self.flight.permit.take()
    }

    /// No connection to this endpoint came about.
    pub(super) fn not_connected(&mut self, endpoint: EndpointId, now: Instant) {
        self.leave(endpoint, Ending::NotConnected, now);
        self.flight.permit = None;
    }

    /// Its attempt ended so, and is not the last.
    pub(super) fn attempted(&mut self, ending: Ending, now: Instant) {
        self.settle(ending, now);
        self.statuses = None;
        self.latency = None;
    }

    /// Its attempt ended so, and is repeated.
    pub(super) fn repeated(&mut self, ending: Ending, now: Instant) {
        self.attempted(ending, now);
        self.worker.metrics.resent();
    }

    /// What its answer's head or end says; `None` where that counts no more, because the
    /// answer broke off.
    pub(super) fn set_statuses(&mut self, statuses: Option<(u16, Option<u32>)>) {
        self.statuses = statuses;
    }

    /// The gRPC status stands in these trailers.
    pub(super) fn set_trailers(&mut self, trailers: &HeaderMap) {
        if let Some((_, status)) = &mut self.statuses {
            *status = grpc::status(trailers).or(*status);
        }
    }

    /// It did not get there, and goes another way.
    pub(super) fn unsent(&mut self, now: Instant) {
        self.settle(Ending::NotSent, now);
        self.request_bytes.set(0);
        self.worker.metrics.retried();
    }

    /// The answer's head came.
    pub(super) fn answered(&mut self, now: Instant) {
        self.latency = Some(now.saturating_duration_since(self.since));
    }

    /// Counts the call, once.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = Instant::now();
        self.settle(self.ending(outcome), now);
        if !self.is_counted {
            return;
        }
        observe_record(
            &self.worker,
            &Record {
                protocol: self.caller.protocol(self.dialect),
                caller: self.caller.address,
                method: &self.method,
                head: None,
                endpoint: self.flight.endpoint.as_ref().map(|(_, peer)| &**peer),
                outcome,
                took: now.saturating_duration_since(self.started),
                bytes_in: self.request_bytes.get(),
                bytes_out: self.response_bytes,
            },
        );
    }

    /// How its attempt ended, as outlier detection sees it: a gRPC status counts as the
    /// HTTP status that says the same, as in Envoy.
    fn ending(&self, outcome: Outcome) -> Ending {
        match (outcome, self.statuses) {
            (Outcome::Fault(_) | Outcome::Cancelled, _) | (_, None) => Ending::of(outcome),
            (_, Some((http, status))) => {
                let grpc = status.and_then(|status| u16::try_from(status).ok());
                let http = grpc.map_or(http, grpc::http_status);
                Ending::Answered { http, grpc: grpc.unwrap_or(0) }
            }
        }
    }

    fn settle(&mut self, ending: Ending, now: Instant) {
        if let Some((endpoint, _)) = &self.flight.endpoint
            && std::mem::replace(&mut self.flight.is_on, false)
        {
            let endpoint = *endpoint;
            self.worker.health.ended(endpoint, self.latency, now);
            self.worker.metrics.call_ended();
            self.leave(endpoint, ending, now);
        }
        (self.flight.place, self.flight.permit) = (None, None);
    }

    fn leave(&mut self, endpoint: EndpointId, ending: Ending, now: Instant) {
        if let Some(place) = self.flight.place.take()
            && place.ended(endpoint, ending, &self.worker.health, now)
        {
            self.worker.metrics.ejected();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}
