//! The way of a call over HTTP, in the same eight steps as in [`crate::forward`]:
//! 1 admit, 2 route, 3 pick, 4 connect or reuse, 5 send, 6 again where it was
//! never sent, 7 observe, 8 answer. Steps 4 to 6 are in [`super::attempt`]; steps 7 and
//! 8 end with the answer's body: see [`super::answer`].

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Instant;

use codec::http::{Dialect, Version, answer as own, grpc, hop, outcome};
use codec::{Fault, Outcome, Reason};
use governance::settings::Cluster;
use h2::Reason as ResetReason;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, request, response};
use hyper::upgrade::OnUpgrade;

use super::answer::Answer;
use super::attempt::{Came, End, Progress};
use super::body::{Body, Upload};
use super::call::Call;
use super::caller::Caller;
use super::faults::too_large;
use super::grpc_web::is_web;
use super::orders::{OnAnswer, Ordered};
use super::upstream::Received;
use super::{Http, spoken_by, tunnel};
use crate::effort::everybody;
use crate::listener::Destination;
use crate::observe::{Record, observe_record};
use crate::orders::Ending;
use crate::route::{self, Route, Tried};

/// What becomes of a call.
pub(super) enum Forwarded {
    Answer(Box<response::Parts>, Box<Answer>),
    /// The endpoint broke it off before its answer began, and says why. Where that is told
    /// in an answer, this becomes of it.
    Reset(ResetReason, Box<OnAnswer>),
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
#[expect(clippy::manual_async_fn, reason = "an async function holds its arguments twice")]
pub(super) fn forward<'a>(
    http: &'a Rc<Http>,
    caller: &'a Rc<Caller>,
    parts: request::Parts,
    body: Body,
    upgrade: Option<Upgrade>,
) -> impl Future<Output = Forwarded> + 'a {
    async move {
        let dialect = Dialect::of(&parts.headers);
        let is_head = parts.method == Method::HEAD;
        let (started, on_answer) = (Instant::now(), RefCell::default());
        let way = Way { http, caller, dialect, started, is_head, on_answer };

        // 1 admit
        if let Some(refused) = way.admit(&parts) {
            return refused;
        }

        // 2 route, 3 pick
        let mut progress = Progress::new(body, caller.version, upgrade);
        let first = &mut progress.first;
        if let Some(answered) = way.about_server(&parts, first).await {
            return answered;
        }
        let mut route = match way.route(&parts, &Tried::new(), first, false).await {
            Ok(route) => way.with_cookie(&parts, route, first).await,
            Err(why) => return Box::pin(way.unrouted(&parts, first, why)).await,
        };
        let (mut call, upload) = match way.begin(&parts, &mut progress, &route).await {
            Ok(begun) => begun,
            Err(answer) => return answer,
        };
        let mut request = Box::new((parts, upload));
        loop {
            // 4 connect or reuse, 5 send
            let came = way.attempts(request, &mut progress, &mut call, &mut route).await;

            // 6 again
            request = match came {
                Came::Unsent(request) => request,
                Came::Over(end) => return way.conclude(call, &route, &mut progress, end).await,
                Came::Ended(ending, end) => {
                    match way.repeat(&mut progress, &mut call, &route, ending, end).await {
                        Ok(request) => request,
                        Err(end) => return way.conclude(call, &route, &mut progress, end).await,
                    }
                }
            };
            match way.route_again(&mut request, &mut progress, &mut call).await {
                Ok(next) => route = next,
                Err(end) => return way.conclude(call, &route, &mut progress, end).await,
            }
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Way<'_> {
    /// Step 1: the answer to a call that is not even routed.
    fn admit(&self, parts: &request::Parts) -> Option<Forwarded> {
        if parts.method == Method::CONNECT {
            self.count_refused(parts, Outcome::Fault(Reason::Denied));
            return Some(self.answer(own::connect_refused().map(Body::Whole)));
        }
        let fault = self.not_admitted(parts)?;
        Some(self.refuse(parts, &fault))
    }

    /// Why a call is not even routed, if it is not.
    fn not_admitted(&self, parts: &request::Parts) -> Option<Fault> {
        let length = content_length(&parts.headers).unwrap_or_default();
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

    /// Takes up a call that found its first route, and does what is done once.
    ///
    /// # Errors
    /// With the answer to a call that is sent nowhere.
    async fn begin(
        &self,
        parts: &request::Parts,
        progress: &mut Progress,
        route: &Route,
    ) -> Result<(Call, Upload), Forwarded> {
        let (worker, caller) = (self.http.worker.clone(), self.caller.clone());
        let mut call = Call::new(worker, caller, self.dialect, route.method.clone(), self.started);
        if route.cluster.as_ref().is_some_and(|policy| policy.cluster == Cluster::Broadcast) {
            progress.everybody = everybody(&self.http.worker, route);
        }
        let (ordered, upload) = Ordered::begin(self, parts, &mut progress.first, route, &call);
        progress.ordered = ordered;
        if let Some(preflight) = self.preflight(parts) {
            call.end(Outcome::Fault(Reason::Answered));
            return Err(preflight);
        }
        if let Err(fault) = self.delay(route).await {
            return Err(self.fail(call, &fault));
        }
        if let Some(ordered) = &progress.ordered {
            self.mirror(ordered, route);
        }
        Ok((call, upload))
    }

    /// Steps 2 and 3 before a further attempt, which may have to wait once more for
    /// there being an endpoint.
    ///
    /// # Errors
    /// With what the call comes to for which there is none.
    pub(super) async fn route_again(
        &self,
        request: &mut (request::Parts, Upload),
        progress: &mut Progress,
        call: &mut Call,
    ) -> Result<Route, End> {
        loop {
            let Progress { first, ordered, tried, repeats, .. } = &mut *progress;
            let asked = ordered.as_ref().map_or(&request.0, |ordered| ordered.asked());
            let fault = match self.route(asked, tried, first, *repeats).await {
                Ok(route) => return Ok(route),
                Err(_) if progress.was_refused => {
                    return Err(End::Reset(ResetReason::REFUSED_STREAM));
                }
                Err(why) => why.into_fault(),
            };
            let ending = Ending::of(Outcome::Fault(fault.reason));
            let resend = self.may_resend(&mut progress.ordered, ending, progress.until_head);
            match self.resend(&mut progress.ordered, call, ending, resend).await {
                Some(again) => *request = again,
                None => return Err(End::Fault(fault)),
            }
            progress.repeats = true;
        }
    }

    /// Steps 7 and 8: no attempt follows.
    async fn conclude(
        &self,
        call: Call,
        route: &Route,
        progress: &mut Progress,
        end: End,
    ) -> Forwarded {
        self.repeat_later(&call, progress, &end);
        let is_wanted = progress.ordered.as_ref().is_some_and(|one| one.wanted.instead().is_some());
        let (mut call, end) = match is_wanted {
            true => match Box::pin(self.instead(call, route, progress, end)).await {
                Ok(answer) => return answer,
                Err(came) => came,
            },
            false => (call, end),
        };
        match end {
            End::Answer(received) => self.pass_on(call, route, *received, progress.upgrade.take()),
            End::Reset(reason) => {
                call.end(Outcome::ProviderError);
                Forwarded::Reset(reason, Box::new(self.on_answer.take()))
            }
            End::Fault(fault) => self.fail(call, &fault),
            End::BrokenOff => {
                call.end(Outcome::Cancelled);
                let fault = Fault::new(
                    Reason::Unreadable,
                    "the request broke off before its end",
                    "send it whole",
                );
                self.answer(own::fault(self.dialect, &fault).map(Body::Whole))
            }
        }
    }

    /// How the endpoint is spoken to: as it says, and the application as it was
    /// spoken to itself. gRPC has HTTP/2 only.
    pub(super) fn version_to(&self, route: &Route) -> Version {
        match &self.caller.listener.destination {
            _ if self.dialect.is_grpc() => Version::Http2,
            Destination::App(_) => self.caller.began_as,
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
        mut received: Received,
        upgrade: Option<Upgrade>,
    ) -> Forwarded {
        let version = self.version_to(route);
        let mut parts = std::mem::replace(&mut received.parts, Response::new(()).into_parts().0);
        let switched = received.upgrade.take();
        let verdict = outcome::of_head(self.dialect, parts.status, &parts.headers);
        let has_none = self.is_head || parts.status == StatusCode::NOT_MODIFIED;
        let length = if has_none { Some(0) } else { content_length(&parts.headers) };
        call.set_statuses(Some((parts.status.as_u16(), grpc::status(&parts.headers))));
        // In this order, so that an endpoint's `Connection` takes out nothing of a rule's.
        hop::response(&mut parts, version, self.caller.version);
        self.on_answer.borrow().apply(&mut parts.headers);
        if let (Some(endpoint), Some((to, caller))) = (switched, upgrade) {
            hop::set_upgrade(&mut parts.headers, to);
            self.caller.tunnel.store(true, std::sync::atomic::Ordering::Relaxed);
            call.answered(Instant::now());
            let (http, admitted) = (self.http.clone(), self.caller.admitted.upgrade());
            let carried = tunnel::carry(http, admitted, call, caller, endpoint, received.held);
            tokio::task::spawn_local(carried);
            return Forwarded::Answer(Box::new(parts), Box::new(Answer::own(Body::Empty)));
        }
        let deadline = route.timeout.map(|timeout| self.started + timeout);
        let answer = Answer::of(call, verdict, length, deadline, received);
        Forwarded::Answer(Box::new(parts), Box::new(answer))
    }

    /// Steps 7 and 8 for a call that gets no answer but the mesh's.
    fn fail(&self, mut call: Call, fault: &Fault) -> Forwarded {
        tracing::debug!(peer = %self.caller.address, %fault, "failed");
        call.end(Outcome::Fault(fault.reason));
        self.answer(own::fault(self.dialect, fault).map(Body::Whole))
    }

    /// Answers a call that found no route.
    pub(super) fn refuse(&self, parts: &request::Parts, fault: &Fault) -> Forwarded {
        tracing::debug!(peer = %self.caller.address, %fault, "refused");
        self.count_refused(parts, Outcome::Fault(fault.reason));
        self.answer(own::fault(self.dialect, fault).map(Body::Whole))
    }

    pub(super) fn answer(&self, response: Response<Body>) -> Forwarded {
        let (mut parts, body) = response.into_parts();
        self.on_answer.borrow().apply(&mut parts.headers);
        let body = if self.is_head { Body::Empty } else { body };
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
