//! The way of a call over HTTP, in the same eight steps as in [`crate::forward`]:
//! 1 admit, 2 route, 3 pick, 4 connect or reuse, 5 send, 6 again where it was
//! never sent, 7 observe, 8 answer. Steps 7 and 8 end with the answer's body: see
//! [`super::answer`].

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use codec::http::{Dialect, Head, Version, answer as own, hop, outcome};
use codec::{Fault, Outcome, Reason, RequestHead};
use governance::Mock;
use h2::Reason as ResetReason;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response, request, response};
use hyper::upgrade::OnUpgrade;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::answer::{Answer, late};
use super::body::{Body, Upload};
use super::call::Call;
use super::caller::Caller;
use super::upstream::{Connected, NotConnected, Received, SendError};
use super::{Http, h1_client, spoken_by, tunnel};
use crate::listener::Destination;
use crate::observe::{Record, observe_record};
use crate::route::{self, Ask, Refusal, Route, Tried};

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
struct Way<'a> {
    http: &'a Rc<Http>,
    caller: &'a Rc<Caller>,
    dialect: Dialect,
    started: Instant,
    is_head: bool,
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
    let way = Way { http, caller, dialect, started: Instant::now(), is_head };
    let worker = &http.worker;

    // 1 admit
    if parts.method == Method::CONNECT {
        way.count_refused(&parts, Outcome::Fault(Reason::Denied));
        return way.answer(own::connect_refused());
    }
    if let Some(fault) = way.not_admitted(&parts) {
        return way.refuse(&parts, &fault);
    }

    let mut body = Some(body);
    let mut said = caller.version;
    let mut tried = Tried::new();
    let mut unsent_times = 0;
    let mut was_refused = false;
    let mut calls: Option<(Call, Upload)> = None;
    loop {
        // 2 route, 3 pick
        let route = match way.route(&parts, &tried).await {
            Ok(route) => route,
            Err(fault) => {
                return match calls {
                    Some((mut call, _)) if was_refused => {
                        call.end(Outcome::ProviderError);
                        Forwarded::Reset(ResetReason::REFUSED_STREAM)
                    }
                    Some((call, _)) => way.fail(call, &fault),
                    None => way.refuse(&parts, &fault),
                };
            }
        };
        let (mut call, upload) = calls.take().unwrap_or_else(|| {
            let call = Call::new(
                worker.clone(),
                caller.clone(),
                dialect,
                route.method.clone(),
                way.started,
            );
            let body = body.take().unwrap_or(Body::Empty);
            let upload = Upload::new(body, call.request_bytes(), worker.limits.body);
            (call, upload)
        });
        let version = way.version_to(&route);
        let goes_on = version == Version::Http1 && upgrade.is_some();
        // What a rule changes in a request is changed here, before the next hop's
        // form is given to it.
        if let Err(error) = hop::request(&mut parts, said, version) {
            let fault = Fault::new(Reason::Unreadable, error.to_string(), "name the host");
            return way.fail(call, &fault);
        }
        said = version;
        if let Some((to, _)) = upgrade.as_ref().filter(|_| goes_on) {
            hop::set_upgrade(&mut parts.headers, to.clone());
        }

        // 4 connect or reuse, 5 send
        let can_repeat = h1_client::can_repeat(&parts.method, &upload);
        let endpoint = route.hop.endpoint;
        let attempt = async {
            let connected = match Connected::get(http, &route, version, can_repeat).await {
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
        let attempt = match until_head {
            Some(deadline) => timeout_at(deadline.into(), attempt).await.ok(),
            None => Some(attempt.await),
        };

        // 6 again
        match attempt {
            Some(Attempt::Answered(received)) => {
                let upgrade = upgrade.take().filter(|_| goes_on);
                return way.pass_on(call, &route, version, *received, upgrade);
            }
            Some(Attempt::NotConnected(NotConnected::Failed, unsent)) => {
                worker.metrics.retried();
                tried = route.hop.tried;
                tried.push(endpoint);
                let (head, upload) = *unsent;
                parts = head;
                calls = Some((call, upload));
            }
            Some(Attempt::NotConnected(NotConnected::Full(waiting), _)) => {
                let fault = Fault::new(
                    Reason::Overloaded,
                    format!(
                        "{waiting} calls wait for the provider's answers; this one was not sent"
                    ),
                    "add providers, or raise `limits.pending` if it only bursts",
                );
                return way.fail(call, &fault);
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
            }
            Some(Attempt::Failed(SendError::Refused(unsent))) => {
                call.unsent(Instant::now());
                was_refused = true;
                tried = route.hop.tried;
                tried.push(endpoint);
                let (head, upload) = *unsent;
                parts = head;
                calls = Some((call, upload));
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
                call.end(Outcome::ProviderError);
                return Forwarded::Reset(reason);
            }
            Some(Attempt::Failed(SendError::TooLarge(limit))) => {
                return way.fail(call, &too_large(limit));
            }
            Some(Attempt::Failed(SendError::Lost)) => {
                return way.fail(call, &lost("the connection broke before the answer came"));
            }
            None => {
                let fault = late(&call);
                return way.fail(call, &fault);
            }
        }
    }
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
            (dialect, Version::Http1) if dialect.is_grpc() => Some(Fault::new(
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

    /// Finds the service and picks an endpoint; waits for a service that was never
    /// asked for before.
    async fn route(&self, parts: &request::Parts, tried: &Tried) -> Result<Route, Fault> {
        let mut changes: Option<watch::Receiver<u64>> = None;
        loop {
            match self.choose(parts, tried.clone()) {
                Ok(route) => return Ok(route),
                Err(Refusal::Fault(fault)) => return Err(fault),
                Err(Refusal::Mocked { mock, cause }) => {
                    return Err(cause.unwrap_or_else(|| unanswerable(&mock)));
                }
                Err(Refusal::Unlisted) => {
                    // The first time, it may have been listed in between.
                    let Some(changes) = &mut changes else {
                        changes = Some(self.http.worker.snapshot_changes());
                        continue;
                    };
                    let head = self.head(parts);
                    let patience = head.timeout().unwrap_or(self.http.worker.timeouts.call);
                    let until = self.started + patience;
                    let mut waiting = Waiting { way: self, parts, is_over: false };
                    let changed = timeout_at(until.into(), changes.changed()).await;
                    waiting.is_over = true;
                    if !matches!(changed, Ok(Ok(()))) {
                        return Err(self.unlisted(&head));
                    }
                }
            }
        }
    }

    fn choose(&self, parts: &request::Parts, tried: Tried) -> Result<Route, Refusal> {
        let head = self.head(parts);
        let ask = Ask {
            protocol: self.caller.protocol(self.dialect),
            listener: &self.caller.listener,
            head: &head,
            caller: &self.caller.host,
            started: self.started,
            now: Instant::now(),
            tried,
        };
        route::choose(&self.http.worker, ask)
    }

    fn head<'p>(&self, parts: &'p request::Parts) -> Head<'p> {
        let snapshot = self.http.worker.snapshot();
        Head::new(parts, self.dialect, |name| snapshot.1.http.contains_key(name))
    }

    fn unlisted(&self, head: &Head<'_>) -> Fault {
        let service = head.target().map(|target| target.service).unwrap_or_default();
        let trouble = self.http.worker.snapshot().1.store_trouble.clone();
        let trouble = trouble.as_deref().unwrap_or("no answer came within the call's deadline");
        route::unknown(service, Some(trouble))
    }

    /// How the endpoint is spoken to: as it says, and the application as it was
    /// spoken to itself. gRPC has HTTP/2 only.
    fn version_to(&self, route: &Route) -> Version {
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

    /// When the answer must have begun. What the configuration says for all calls
    /// holds no longer, because a body may be a stream without end.
    fn until_head(&self, route: &Route) -> Option<Instant> {
        let timeout = route.timeout.or(self.http.worker.timeouts.call_over_http)?;
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
        let (parts, body) = response.into_parts();
        let body = if self.is_head { Bytes::new() } else { body };
        Forwarded::Answer(Box::new(parts), Box::new(Answer::own(body)))
    }

    /// Step 7 for a call that was sent nowhere.
    fn count_refused(&self, parts: &request::Parts, outcome: Outcome) {
        let worker = &self.http.worker;
        let head = self.head(parts);
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

/// Counts a call as given up whose caller goes while it waits for its service.
struct Waiting<'a> {
    way: &'a Way<'a>,
    parts: &'a request::Parts,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.way.count_refused(self.parts, Outcome::Cancelled);
        }
    }
}

/// The fault of a call that a rule wants answered in Dubbo's terms.
fn unanswerable(mock: &Mock) -> Fault {
    Fault::new(
        Reason::Denied,
        format!("a rule has `mock: {}` take a provider's place", mock.text),
        "a mock answers calls of Dubbo, this one came over HTTP: leave the service out of the rule",
    )
}

/// The fault of a call whose connection broke.
pub(super) fn lost(what: &'static str) -> Fault {
    Fault::new(
        Reason::ConnectionLost,
        what,
        "the provider may have acted on the call; repeat it only if that does no harm",
    )
}

fn too_large(limit: u64) -> Fault {
    Fault::new(
        Reason::TooLarge,
        format!("the request is larger than {limit} bytes"),
        "send less, or raise `limits.body` in the proxy's configuration",
    )
}
