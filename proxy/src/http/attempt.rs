//! Steps 4 to 6 of a call over HTTP: one attempt at one endpoint, what it came to, and
//! whether another one follows.
//!
//! Not here: which endpoint that is (see [`super::routing`]), and how a request is
//! written (see [`super::upstream`]).

use std::time::Instant;

use codec::http::{Version, hop, outcome};
use codec::{Fault, Reason};
use governance::EndpointId;
use h2::Reason as ResetReason;
use http::request;
use tokio::time::timeout_at;

use super::answer::late;
use super::body::Body;
use super::call::Call;
use super::faults::{full, lost};
use super::first::First;
use super::forward::{Upgrade, Way};
use super::h1_client;
use super::orders::{Ordered, ending_of};
use super::upstream::{Connected, NotConnected, Outgoing, Received, SendError, Terms};
use crate::orders::Ending;
use crate::route::{Route, Tried};

/// So often a call is given to a connection that takes no more.
const UNSENT: u32 = 5;

/// Where a call stands between its attempts.
pub(super) struct Progress {
    pub(super) first: First,
    /// The version of HTTP that its head is written in.
    said: Version,
    pub(super) upgrade: Option<Upgrade>,
    pub(super) ordered: Option<Box<Ordered>>,
    pub(super) tried: Tried,
    /// How often it was given to a connection that took no more.
    unsent: u32,
    /// The last endpoint said that it did not look at it.
    pub(super) was_refused: bool,
    /// It was sent: an endpoint that was tried is better than none.
    pub(super) repeats: bool,
    /// When the answer to its last attempt must have begun.
    pub(super) until_head: Option<Instant>,
    /// Whom a broadcast asks.
    pub(super) everybody: Vec<EndpointId>,
}

/// What came of an attempt.
pub(super) enum Came {
    /// Nothing of it was sent: it goes elsewhere.
    Unsent(Outgoing),
    /// It ended so, and this is what the call comes to if no other follows.
    Ended(Ending, End),
    /// No other follows.
    Over(End),
}

/// What a call comes to if no attempt follows.
pub(super) enum End {
    Answer(Box<Received>),
    /// The endpoint broke it off.
    Reset(ResetReason),
    /// The mesh's own answer.
    Fault(Fault),
    /// Its caller broke it off.
    BrokenOff,
}

/// What came of sending.
enum Sent {
    Answered(Box<Received>),
    NotConnected(NotConnected, Outgoing),
    Failed(SendError),
}

impl Progress {
    /// Of a call that was sent nowhere yet.
    pub(super) fn new(body: Body, said: Version, upgrade: Option<Upgrade>) -> Self {
        Progress {
            first: First::new(body),
            said,
            upgrade,
            ordered: None,
            tried: Tried::new(),
            unsent: 0,
            was_refused: false,
            repeats: false,
            until_head: None,
            everybody: Vec::new(),
        }
    }

    /// Of one more attempt of the same call, beside others or later.
    pub(super) fn beside(&self, ordered: &Ordered, caller: Version) -> Progress {
        let mut one = Progress::new(Body::Empty, caller, None);
        (one.first, one.ordered) = (self.first.again(), Some(Box::new(ordered.beside())));
        one
    }

    /// Nothing counts that was tried before: much time has passed.
    pub(super) fn renew(&mut self) {
        self.tried.clear();
        (self.unsent, self.repeats, self.was_refused) = (0, true, false);
    }

    /// The endpoints tried before, and this one, are to be avoided.
    fn avoid(&mut self, route: &Route) {
        self.tried = with(route.hop.tried.clone(), route.hop.endpoint);
    }
}

/// Those that were tried, and one more.
fn with(mut tried: Tried, endpoint: EndpointId) -> Tried {
    if !tried.contains(&endpoint) {
        tried.push(endpoint);
    }
    tried
}

impl Way<'_> {
    /// Steps 4 and 5: connect or reuse, send, and wait for the answer's head.
    pub(super) async fn attempt(
        &self,
        mut request: Outgoing,
        progress: &mut Progress,
        call: &mut Call,
        route: &Route,
    ) -> Came {
        let version = self.version_to(route);
        if let Err(fault) = self.address(&mut request.0, progress, route, version) {
            return Came::Over(End::Fault(fault));
        }
        let terms = Terms::of(&self.http.worker, route);
        let is_repeat = progress.ordered.as_ref().is_some_and(|ordered| ordered.is_repeat());
        match terms.enter(is_repeat) {
            Ok(place) => call.enter(place),
            Err(fault) => return Came::Over(End::Fault(fault)),
        }
        let until_head = self.until_head(route);
        progress.until_head = until_head;
        let deadline = progress
            .ordered
            .as_ref()
            .map_or(until_head, |one| one.wanted.attempt_deadline(until_head, Instant::now()));
        let sending = self.send(request, call, route, version, &terms);
        let sent = match deadline {
            Some(deadline) => timeout_at(deadline.into(), sending).await.ok(),
            None => Some(sending.await),
        };
        match sent {
            Some(sent) => self.came_of(sent, progress, call, route),
            None => Came::Ended(Ending::TimedOut, End::Fault(late(call))),
        }
    }

    /// Makes a head one for this endpoint, in the version of HTTP that it speaks.
    ///
    /// # Errors
    /// Where it cannot be said in that version.
    fn address(
        &self,
        parts: &mut request::Parts,
        progress: &mut Progress,
        route: &Route,
        version: Version,
    ) -> Result<(), Fault> {
        progress.repeats = false;
        if let Some(ordered) = &progress.ordered {
            (*parts, progress.said) = (ordered.request(), self.caller.version);
        }
        hop::request(parts, progress.said, version)
            .map_err(|error| Fault::new(Reason::Unreadable, error.to_string(), "name the host"))?;
        progress.said = version;
        self.set_token(parts, route);
        if let Some((to, _)) = progress.upgrade.as_ref().filter(|_| version == Version::Http1) {
            hop::set_upgrade(&mut parts.headers, to.clone());
        }
        Ok(())
    }

    /// Sends it by a connection that is there or is made.
    async fn send(
        &self,
        request: Outgoing,
        call: &mut Call,
        route: &Route,
        version: Version,
        terms: &Terms,
    ) -> Sent {
        let can_repeat = h1_client::can_repeat(&request.0.method, &request.1);
        let connected = match Connected::get(self.http, route, version, can_repeat, terms).await {
            Ok(connected) => connected,
            Err(error) => return Sent::NotConnected(error, request),
        };
        call.sent(route.hop.endpoint, connected.peer());
        match connected.send(request).await {
            Ok(received) => Sent::Answered(Box::new(received)),
            Err(error) => Sent::Failed(error),
        }
    }

    /// What an attempt came to.
    fn came_of(&self, sent: Sent, progress: &mut Progress, call: &mut Call, route: &Route) -> Came {
        let error = match sent {
            Sent::Answered(received) => {
                return Came::Ended(ending_of(&received.parts), End::Answer(received));
            }
            Sent::NotConnected(NotConnected::Failed, request) => {
                self.http.worker.metrics.retried();
                call.not_connected(route.hop.endpoint, Instant::now());
                progress.avoid(route);
                return Came::Unsent(request);
            }
            Sent::NotConnected(NotConnected::Full(waiting), _) => {
                return Came::Ended(Ending::NotSent, End::Fault(full(waiting)));
            }
            Sent::NotConnected(NotConnected::Refused(fault), _) => {
                return Came::Ended(Ending::NotSent, End::Fault(fault));
            }
            Sent::Failed(error) => error,
        };
        match error {
            SendError::Unsent(request) => {
                call.unsent(Instant::now());
                progress.unsent += 1;
                if progress.unsent >= UNSENT {
                    let fault = lost("every connection ended before it took the call");
                    return Came::Over(End::Fault(fault));
                }
                progress.tried = route.hop.tried.clone();
                Came::Unsent(request)
            }
            SendError::Refused(request) => {
                call.unsent(Instant::now());
                progress.was_refused = true;
                progress.avoid(route);
                Came::Unsent(request)
            }
            SendError::BrokenOff => Came::Over(End::BrokenOff),
            SendError::Reset(reason) => {
                let is_refused = reason == ResetReason::REFUSED_STREAM;
                let ending = if is_refused { Ending::Refused } else { Ending::Reset };
                Came::Ended(ending, End::Reset(reason))
            }
            SendError::Unfit(fault) => Came::Over(End::Fault(fault)),
            SendError::Lost => {
                let fault = lost("the connection broke before the answer came");
                Came::Ended(Ending::Reset, End::Fault(fault))
            }
        }
    }

    /// Whether a call that came to this has failed.
    pub(super) fn has_failed(&self, progress: &Progress, end: &End) -> bool {
        let received = match end {
            End::Answer(received) => received,
            End::Reset(_) | End::Fault(_) => return true,
            End::BrokenOff => return false,
        };
        let Some(ordered) = &progress.ordered else { return false };
        let parts = &received.parts;
        let verdict = outcome::of_head(self.dialect, parts.status, &parts.headers);
        ordered.wanted.is_failure(verdict.so_far(), ending_of(parts))
    }

    /// Step 6: what is sent again after an attempt that ended so, when its time has come.
    ///
    /// # Errors
    /// With what the call comes to where no attempt follows.
    pub(super) async fn repeat(
        &self,
        progress: &mut Progress,
        call: &mut Call,
        route: &Route,
        ending: Ending,
        end: End,
    ) -> Result<Outgoing, End> {
        if !self.has_failed(progress, &end) {
            return Err(end);
        }
        let resend = self.may_resend(&mut progress.ordered, ending, progress.until_head);
        // Where another attempt follows, what this one came to is for nobody: its
        // connection is let go at once.
        let end = if resend.is_some() { None } else { Some(end) };
        match self.resend(&mut progress.ordered, call, ending, resend).await {
            Some(request) => {
                progress.avoid(route);
                (progress.repeats, progress.was_refused) = (true, false);
                Ok(Box::new(request))
            }
            None => Err(end.unwrap_or_else(|| End::Fault(lost("its request is kept no more")))),
        }
    }
}
