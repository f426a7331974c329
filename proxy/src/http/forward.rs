//! The way of a call over HTTP, in the same eight steps as in [`crate::forward`]:
//! 1 admit, 2 route, 3 pick, 4 connect or reuse, 5 send, 6 again where it was
//! never sent, 7 observe, 8 answer. Steps 7 and 8 end with the answer's body: see
//! [`super::answer`].

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use codec::http::{Dialect, Version, answer as own, grpc, hop, outcome};
use codec::{Fault, Outcome, Reason};
use governance::EndpointId;
use h2::Reason as ResetReason;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response, request, response};
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout_at;

use super::answer::{Answer, late};
use super::body::{Body, Upload};
use super::call::Call;
use super::caller::Caller;
use super::faults::{full, lost, too_large};
use super::first::First;
use super::grpc_web::is_web;
use super::orders::{OnAnswer, Ordered, ending_of};
use super::upstream::{Connected, NotConnected, Received, SendError, Terms};
use super::{Http, h1_client, spoken_by, tunnel};
use crate::listener::Destination;
use crate::observe::{Record, observe_record};
use crate::orders::Ending;
use crate::route::{self, Route, Tried};

/// So often a call is given to a connection that takes no more.
const UNSENT: u32 = 5;

/// What becomes of a call.
pub(super) enum Forwarded {
    Answer(Box<response::Parts>, Box<Answer>),
    /// The endpoint broke it off before its answer began, and says why.
    Reset(ResetReason),
}

/// What a caller asks its connection to go on with, and its end of it.
pub(super) type Upgrade = (HeaderValue, OnUpgrade);

/// A call on its way.
pub(super) struct Way<'a> {
    pub(super) http: &'a Rc<Http>,
    pub(super) caller: &'a Rc<Caller>,
    pub(super) dialect: Dialect,
    pub(super) started: Instant,
    pub(super) is_head: bool,
    /// What a route orders for its answer.
    pub(super) on_answer: RefCell<OnAnswer>,
}

/// Takes a call from its head to its answer's.
pub(super) async fn forward(
    http: &Rc<Http>,
    caller: &Rc<Caller>,
    mut parts: request::Parts,
    body: Body,
    mut upgrade: Option<Upgrade>,
) -> Forwarded {
    let dialect = Dialect::of(&parts.headers);
    let is_head = parts.method == Method::HEAD;
    let (started, on_answer) = (Instant::now(), RefCell::default());
    let way = Way { http, caller, dialect, started, is_head, on_answer };
    let worker = &http.worker;

    // 1 admit
    if parts.method == Method::CONNECT {
        way.count_refused(&parts, Outcome::Fault(Reason::Denied));
        return way.answer(own::connect_refused());
    }
    if let Some(fault) = way.not_admitted(&parts) {
        return way.refuse(&parts, &fault);
    }

    let mut first = First::new(body);
    let mut said = caller.version;
    let mut tried = Tried::new();
    let mut unsent_times = 0;
    let mut was_refused = false;
    let mut calls: Option<(Call, Upload)> = None;
    let mut ordered: Option<Box<Ordered>> = None;
    let mut repeats = false;
    loop {
        // 2 route, 3 pick
        let asked = ordered.as_ref().map_or(&parts, |ordered| ordered.asked());
        let route = match (way.route(asked, &tried, &mut first, repeats).await, calls.is_none()) {
            (Ok(route), true) => way.with_cookie(&parts, route, &mut first).await,
            (Ok(route), false) => route,
            (Err(fault), _) => {
                let Some((mut call, _)) = calls else {
                    way.ordered_wait(&parts, &fault).await;
                    return way.refuse(&parts, &fault);
                };
                if was_refused {
                    call.end(Outcome::ProviderError);
                    return Forwarded::Reset(ResetReason::REFUSED_STREAM);
                }
                let ending = Ending::of(Outcome::Fault(fault.reason));
                let resend = way.may_resend(&ordered, ending, None);
                match way.resend(&mut ordered, &mut call, ending, resend).await {
                    Some((head, upload)) => (parts, calls) = (head, Some((call, upload))),
                    None => return way.fail(call, &fault),
                }
                repeats = true;
                continue;
            }
        };
        repeats = false;
        let (mut call, upload) = match calls.take() {
            Some(begun) => begun,
            None => {
                let mut call = way.call(&route);
                let upload;
                (ordered, upload) = Ordered::begin(&way, &parts, &mut first, &route.orders, &call);
                if let Some(preflight) = way.preflight(&parts) {
                    call.end(Outcome::Fault(Reason::Answered));
                    return preflight;
                }
                if let Err(fault) = way.delay(&route).await {
                    return way.fail(call, &fault);
                }
                if let Some(ordered) = &ordered {
                    way.mirror(ordered, &route);
                }
                (call, upload)
            }
        };
        if let Some(ordered) = &ordered {
            (parts, said) = (ordered.request(), caller.version);
        }
        let version = way.version_to(&route);
        let goes_on = version == Version::Http1 && upgrade.is_some();
        if let Err(error) = hop::request(&mut parts, said, version) {
            let fault = Fault::new(Reason::Unreadable, error.to_string(), "name the host");
            return way.fail(call, &fault);
        }
        said = version;
        way.set_token(&mut parts, &route);
        if let Some((to, _)) = upgrade.as_ref().filter(|_| goes_on) {
            hop::set_upgrade(&mut parts.headers, to.clone());
        }

        // 4 connect or reuse, 5 send
        let can_repeat = h1_client::can_repeat(&parts.method, &upload);
        let endpoint = route.hop.endpoint;
        let is_repeat = ordered.as_ref().is_some_and(|ordered| ordered.is_repeat());
        let terms = Terms::of(worker, &route);
        match terms.enter(is_repeat) {
            Ok(place) => call.enter(place),
            Err(fault) => return way.fail(call, &fault),
        }
        let attempt = async {
            let connected = match Connected::get(http, &route, version, can_repeat, &terms).await {
                Ok(connected) => connected,
                Err(error) => return Attempt::NotConnected(error, Box::new((parts, upload))),
            };
            call.sent(endpoint, connected.peer());
            match connected.send(parts, upload).await {
                Ok(received) => Attempt::Answered(Box::new(received)),
                Err(error) => Attempt::Failed(error),
            }
        };
        let until_head = way.until_head(&route);
        let deadline = ordered
            .as_ref()
            .map_or(until_head, |ordered| ordered.attempt_deadline(until_head, Instant::now()));
        let attempt = match deadline {
            Some(deadline) => timeout_at(deadline.into(), attempt).await.ok(),
            None => Some(attempt.await),
        };

        // 6 again
        let (ending, end) = match attempt {
            Some(Attempt::Answered(received)) => {
                (ending_of(&received.parts), End::Answer(received))
            }
            Some(Attempt::NotConnected(NotConnected::Failed, unsent)) => {
                worker.metrics.retried();
                call.not_connected(endpoint, Instant::now());
                tried = with(route.hop.tried, endpoint);
                let (head, upload) = *unsent;
                parts = head;
                calls = Some((call, upload));
                continue;
            }
            Some(Attempt::NotConnected(NotConnected::Full(waiting), _)) => {
                (Ending::NotSent, End::Fault(full(waiting)))
            }
            Some(Attempt::NotConnected(NotConnected::Refused(fault), _)) => {
                (Ending::NotSent, End::Fault(fault))
            }
            Some(Attempt::Failed(SendError::Unsent(unsent))) => {
                call.unsent(Instant::now());
                unsent_times += 1;
                if unsent_times >= UNSENT {
                    let fault = lost("every connection ended before it took the call");
                    return way.fail(call, &fault);
                }
                tried = route.hop.tried;
                let (head, upload) = *unsent;
                parts = head;
                calls = Some((call, upload));
                continue;
            }
            Some(Attempt::Failed(SendError::Refused(unsent))) => {
                call.unsent(Instant::now());
                was_refused = true;
                tried = with(route.hop.tried, endpoint);
                let (head, upload) = *unsent;
                parts = head;
                calls = Some((call, upload));
                continue;
            }
            Some(Attempt::Failed(SendError::BrokenOff)) => {
                call.end(Outcome::Cancelled);
                let fault = Fault::new(
                    Reason::Unreadable,
                    "the request broke off before its end",
                    "send it whole",
                );
                return way.answer(own::fault(dialect, &fault));
            }
            Some(Attempt::Failed(SendError::Reset(reason))) => {
                let is_refused = reason == ResetReason::REFUSED_STREAM;
                let ending = if is_refused { Ending::Refused } else { Ending::Reset };
                (ending, End::Reset(reason))
            }
            Some(Attempt::Failed(SendError::Unfit(fault))) => (Ending::NotSent, End::Fault(fault)),
            Some(Attempt::Failed(SendError::Lost)) => {
                (Ending::Reset, End::Fault(lost("the connection broke before the answer came")))
            }
            None => (Ending::TimedOut, End::Fault(late(&call))),
        };
        let resend = way.may_resend(&ordered, ending, until_head);
        // Where another attempt follows, what this one came to is for nobody: its
        // connection is let go at once.
        let end = if resend.is_some() { None } else { Some(end) };
        if let Some((head, upload)) = way.resend(&mut ordered, &mut call, ending, resend).await {
            tried = with(route.hop.tried, endpoint);
            (parts, calls) = (head, Some((call, upload)));
            (repeats, was_refused) = (true, false);
            continue;
        }
        return match end.unwrap_or_else(|| End::Fault(lost("its request is kept no more"))) {
            End::Answer(received) => {
                let upgrade = upgrade.take().filter(|_| goes_on);
                way.pass_on(call, &route, version, *received, upgrade)
            }
            End::Reset(reason) => {
                call.end(Outcome::ProviderError);
                Forwarded::Reset(reason)
            }
            End::Fault(fault) => way.fail(call, &fault),
        };
    }
}

/// What a call comes to if no attempt follows.
enum End {
    Answer(Box<Received>),
    Reset(ResetReason),
    Fault(Fault),
}

/// Those that were tried, and one more.
fn with(mut tried: Tried, endpoint: EndpointId) -> Tried {
    if !tried.contains(&endpoint) {
        tried.push(endpoint);
    }
    tried
}

/// What came of sending.
enum Attempt {
    Answered(Box<Received>),
    NotConnected(NotConnected, Box<(request::Parts, Upload)>),
    Failed(SendError),
}

impl Way<'_> {
    /// Why a call is not even routed, if it is not.
    fn not_admitted(&self, parts: &request::Parts) -> Option<Fault> {
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<u64>().ok()).unwrap_or_default();
        if let Some(limit) = self.http.worker.limits.body.filter(|limit| length > *limit) {
            return Some(too_large(limit));
        }
        match (self.dialect, self.caller.version) {
            (dialect, Version::Http1) if dialect.is_grpc() && !is_web(parts) => Some(Fault::new(
                Reason::Unreadable,
                "gRPC needs HTTP/2, this came over HTTP/1.1",
                "let the client speak HTTP/2 without TLS (prior knowledge)",
            )),
            (Dialect::Plain, Version::Http2) if self.caller.listener.grpc_only => Some(Fault::new(
                Reason::Unreadable,
                "this listener takes gRPC only, this is plain HTTP/2",
                "add http2 to the listener's `protocols`",
            )),
            _ => None,
        }
    }

    /// How the endpoint is spoken to: as it says, and the application as it was
    /// spoken to itself. gRPC has HTTP/2 only.
    pub(super) fn version_to(&self, route: &Route) -> Version {
        match &self.caller.listener.destination {
            _ if self.dialect.is_grpc() => Version::Http2,
            Destination::App(_) => self.caller.version,
            Destination::Mesh { .. } => route
                .method
                .with_endpoint(route.index, |endpoint| spoken_by(&endpoint.protocol))
                .flatten()
                .unwrap_or(self.caller.version),
        }
    }

    /// Puts in what the endpoint demands of Dubbo's callers; see [`crate::forward`].
    pub(super) fn set_token(&self, parts: &mut request::Parts, route: &Route) {
        if self.dialect == Dialect::Triple
            && let Some(token) = route.method.token_of(route.index)
            && let Ok(token) = HeaderValue::from_str(&token)
        {
            parts.headers.insert("token", token);
        }
    }

    /// When the answer must have begun. What the configuration says for all calls
    /// holds no longer, because a body may be a stream without end.
    pub(super) fn until_head(&self, route: &Route) -> Option<Instant> {
        let default = match self.dialect {
            Dialect::Triple => None,
            Dialect::Plain | Dialect::Grpc => self.http.worker.timeouts.call_over_http,
        };
        let timeout = route.timeout.or(default)?;
        Some(self.started + timeout)
    }

    /// Steps 7 and 8 for an answer that came: its head now, its body as it comes.
    fn pass_on(
        &self,
        mut call: Call,
        route: &Route,
        version: Version,
        mut received: Received,
        upgrade: Option<Upgrade>,
    ) -> Forwarded {
        let mut parts = std::mem::replace(&mut received.parts, Response::new(()).into_parts().0);
        let switched = received.upgrade.take();
        let verdict = outcome::of_head(self.dialect, parts.status, &parts.headers);
        call.set_statuses(Some((parts.status.as_u16(), grpc::status(&parts.headers))));
        self.on_answer.borrow().apply(&mut parts.headers);
        hop::response(&mut parts, version, self.caller.version);
        if let (Some(endpoint), Some((to, caller))) = (switched, upgrade) {
            hop::set_upgrade(&mut parts.headers, to);
            self.caller.tunnel.store(true, std::sync::atomic::Ordering::Relaxed);
            call.answered(Instant::now());
            let http = self.http.clone();
            tokio::task::spawn_local(tunnel::carry(http, call, caller, endpoint, received.held));
            return Forwarded::Answer(Box::new(parts), Box::new(Answer::own(Bytes::new())));
        }
        let deadline = route.timeout.map(|timeout| self.started + timeout);
        let answer = Answer::of(call, verdict, deadline, received);
        Forwarded::Answer(Box::new(parts), Box::new(answer))
    }

    /// A call that found a route.
    fn call(&self, route: &Route) -> Call {
        let (worker, caller) = (self.http.worker.clone(), self.caller.clone());
        Call::new(worker, caller, self.dialect, route.method.clone(), self.started)
    }

    /// Steps 7 and 8 for a call that gets no answer but the mesh's.
    fn fail(&self, mut call: Call, fault: &Fault) -> Forwarded {
        tracing::debug!(peer = %self.caller.address, %fault, "failed");
        call.end(Outcome::Fault(fault.reason));
        self.answer(own::fault(self.dialect, fault))
    }

    /// Answers a call that found no route.
    fn refuse(&self, parts: &request::Parts, fault: &Fault) -> Forwarded {
        tracing::debug!(peer = %self.caller.address, %fault, "refused");
        self.count_refused(parts, Outcome::Fault(fault.reason));
        self.answer(own::fault(self.dialect, fault))
    }

    fn answer(&self, response: Response<Bytes>) -> Forwarded {
        let (mut parts, body) = response.into_parts();
        self.on_answer.borrow().apply(&mut parts.headers);
        let body = if self.is_head { Bytes::new() } else { body };
        Forwarded::Answer(Box::new(parts), Box::new(Answer::own(body)))
    }

    /// Step 7 for a call that was sent nowhere.
    pub(super) fn count_refused(&self, parts: &request::Parts, outcome: Outcome) {
        let worker = &self.http.worker;
        let head = self.head(parts, &[]);
        let protocol = self.caller.protocol(self.dialect);
        let listener = &self.caller.listener;
        let method = route::refused_method(worker, protocol, listener, &head, outcome);
        let record = Record {
            protocol,
            caller: self.caller.address,
            method: &method,
            head: Some(&head),
            endpoint: None,
            outcome,
            took: self.started.elapsed(),
            bytes_in: 0,
            bytes_out: 0,
        };
        observe_record(worker, &record);
    }
}
