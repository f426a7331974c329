//! Steps 2 and 3 of a call over HTTP: which service it is for, and which endpoint takes it.
//! A call waits here for what its route depends on: endpoints that are on their way, and, of
//! Triple, arguments.
//!
//! Not here: the decision itself (see [`crate::route`]).

use std::sync::Arc;
use std::time::Instant;

use codec::http::{Dialect, Head};
use codec::{Fault, Outcome, Reason, RequestHead};
use governance::Mock;
use http::request;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::about_server::Meant;
use super::first::First;
use super::forward::Way;
use crate::route::{self, Ask, LONGEST_TIMEOUT, Refusal, Route, Tried};

impl Way<'_> {
    /// Finds the service and picks an endpoint; waits for a service that was never
    /// asked for before. Where the call `repeats`, an endpoint that was tried is better
    /// than none.
    pub(super) async fn route(
        &self,
        parts: &request::Parts,
        tried: &Tried,
        first: &mut First,
        repeats: bool,
    ) -> Result<Route, Unrouted> {
        let mut changes: Option<watch::Receiver<u64>> = None;
        // Of nearly every call, no time has passed.
        let mut now = if repeats || !tried.is_empty() { Instant::now() } else { self.started };
        loop {
            let head = self.head(parts, first.read());
            let until = self.started + head.timeout().unwrap_or(self.http.worker.timeouts.call);
            // A generic call's first argument says what is called.
            let _ = head.meant_method();
            let waits = || head.wants_more() && first.may_go_on();
            let chosen = (!waits()).then(|| self.choose(&head, tried.clone(), repeats, now));
            let Some(chosen) = chosen.filter(|_| !waits()) else {
                let waiting = self.waiting(parts);
                first.wait(until).await;
                waiting.over();
                now = Instant::now();
                continue;
            };
            match chosen {
                Ok(route) => return Ok(route),
                Err(Refusal::Fault(fault)) => return Err(Unrouted::Fault(fault)),
                Err(Refusal::Mocked { mock, cause }) => {
                    return Err(Unrouted::Mocked { mock, cause });
                }
                Err(Refusal::Unlisted) => {
                    // The first time, it may have been listed in between.
                    let Some(changes) = &mut changes else {
                        changes = Some(self.http.worker.snapshot_changes());
                        continue;
                    };
                    let waiting = self.waiting(parts);
                    let changed = timeout_at(until.into(), changes.changed()).await;
                    waiting.over();
                    now = Instant::now();
                    if !matches!(changed, Ok(Ok(()))) {
                        return Err(Unrouted::Fault(self.unlisted(&head)));
                    }
                }
            }
        }
    }

    fn choose(
        &self,
        head: &Head<'_>,
        tried: Tried,
        repeats: bool,
        now: Instant,
    ) -> Result<Route, Refusal> {
        let ask = Ask {
            protocol: self.caller.protocol(self.dialect),
            listener: &self.caller.listener,
            head,
            caller: &self.caller.host,
            started: self.started,
            now,
            tried,
        };
        let worker = &self.http.worker;
        let mut route =
            if repeats { route::select(worker, ask)? } else { route::choose(worker, ask)? };
        let ordered = route.orders.directives.as_ref().and_then(|directives| directives.timeout);
        // Java gives each unary call a deadline, and a stream none, whatever its
        // URL says.
        if self.dialect == Dialect::Triple && head.timeout().is_none() && ordered.is_none() {
            route.timeout = None;
        }
        Ok(route)
    }

    /// The head of a request of whose body this much was read.
    pub(super) fn head<'p>(&self, parts: &'p request::Parts, read: &'p [u8]) -> Head<'p> {
        let meant = self.meant(parts, false);
        let snapshot = self.http.worker.snapshot();
        let head = Head::new(parts, self.dialect, |name| snapshot.1.http.contains_key(name));
        let head = match meant {
            None => head,
            Some(Meant::Service(service)) => head.for_service(Some(service)),
            Some(Meant::Unlisted(service)) => head.for_service(Some(service.into())),
            Some(Meant::Nobody(host)) => head.for_service(host),
        };
        head.with_body(read)
    }

    /// Waits as long as a rule delays its own answer.
    pub(super) async fn ordered_wait(&self, parts: &request::Parts, fault: &Fault) {
        let Some(delay) = fault.answer.as_ref().and_then(|answer| answer.delay) else { return };
        let waiting = self.waiting(parts);
        tokio::time::sleep(delay.min(LONGEST_TIMEOUT)).await;
        waiting.over();
    }

    /// Has a call counted that is given up before it has found a route.
    pub(super) fn waiting<'w>(&'w self, parts: &'w request::Parts) -> Waiting<'w> {
        Waiting { way: self, parts, is_over: false }
    }

    fn unlisted(&self, head: &Head<'_>) -> Fault {
        let service = head.target().map(|target| target.service).unwrap_or_default();
        let trouble = self.http.worker.snapshot().1.store_trouble.clone();
        let trouble = trouble.as_deref().unwrap_or("no answer came within the call's deadline");
        route::unknown(service, Some(trouble))
    }
}

/// Why a call has no route.
pub(super) enum Unrouted {
    /// The mesh answers.
    Fault(Fault),
    /// A rule answers in a provider's place.
    Mocked {
        mock: Arc<Mock>,
        /// Why no endpoint would have taken the call.
        cause: Option<Fault>,
    },
}

impl Unrouted {
    /// What a call is told that gets no answer in a provider's place.
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Unrouted::Fault(fault) | Unrouted::Mocked { cause: Some(fault), .. } => fault,
            Unrouted::Mocked { mock, cause: None } => unsayable(&mock),
        }
    }
}

/// Counts a call as given up whose caller goes while it waits for its service.
pub(super) struct Waiting<'a> {
    way: &'a Way<'a>,
    parts: &'a request::Parts,
    is_over: bool,
}

impl Waiting<'_> {
    /// It is not given up.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.way.count_refused(self.parts, Outcome::Cancelled);
        }
    }
}

/// The fault of a call that a rule wants answered with a value that its language cannot
/// say.
fn unsayable(mock: &Mock) -> Fault {
    Fault::new(
        Reason::Denied,
        format!("a rule has `mock: {}` take a provider's place", mock.text),
        "gRPC can be told `return null` and `throw` alone, because the type of the answer is not \
         known here: leave the method out of the rule",
    )
}
