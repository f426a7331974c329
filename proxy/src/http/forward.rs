//! The way of a call over HTTP, in the same eight steps as in [`crate::forward`]:
//! 1 admit, 2 route, 3 pick, 4 connect or reuse, 5 send, 6 again where it was
//! never sent, 7 observe, 8 answer. Steps 7 and 8 end with the answer's body: see
//! [`super::answer`].

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use codec::http::{Dialect, Version, answer as own, hop, outcome};
use codec::{Fault, Outcome, Reason};
use h2::Reason as ResetReason;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response, request, response};
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout_at;

use super::answer::{Answer, late};
use super::body::{Body, Upload};
use super::call::Call;
use super::caller::Caller;
use super::first::First;
use super::upstream::{Connected, NotConnected, Received, SendError};
use super::{Http, h1_client, spoken_by, tunnel};
use crate::listener::Destination;
use crate::observe::{Record, observe_record};
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

    let mut first = First::new(body);
    let mut said = caller.version;
    let mut tried = Tried::new();
    let mut unsent_times = 0;
    let mut was_refused = false;
    let mut calls: Option<(Call, Upload)> = None;
    loop {
        // 2 route, 3 pick
        let route = match way.route(&parts, &tried, &mut first).await {
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
            let upload = Upload::new(first.take_body(), call.request_bytes(), worker.limits.body);
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
        way.set_token(&mut parts, &route);
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

    /// Puts in what the endpoint demands of Dubbo's callers; see [`crate::forward`].
    fn set_token(&self, parts: &mut request::Parts, route: &Route) {
        if self.dialect == Dialect::Triple
            && let Some(token) = route.method.token_of(route.index)
            && let Ok(token) = HeaderValue::from_str(&token)
        {
            parts.headers.insert("token", token);
        }
    }

    /// When the answer must have begun. What the configuration says for all calls
    /// holds no longer, because a body may be a stream without end.
    fn until_head(&self, route: &Route) -> Option<Instant> {
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

fn too_large(limit: u64) -> Fault {
    Fault::new(
        Reason::TooLarge,
        format!("the request is larger than {limit} bytes"),
        "send less, or raise `limits.body` in the proxy's configuration",
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
