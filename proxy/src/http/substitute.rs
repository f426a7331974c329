//! Answers in a provider's place: Dubbo's mocks, and the empty answers of its failsafe
//! and failback modes, for calls over HTTP.
//!
//! Not here: when they are given (`governance::ClusterPolicy`, [`crate::effort::Wanted`])
//! and how they are written (`codec::http::substitute`).

use std::future::poll_fn;
use std::sync::Arc;

use codec::http::{Dialect, substitute::substitute};
use codec::{Fault, Outcome, Substitute};
use governance::Mock;
use http::{HeaderMap, Response, request};
use tokio::time::timeout_at;

use super::attempt::{End, Progress};
use super::body::Body;
use super::call::Call;
use super::first::First;
use super::forward::{Forwarded, Way};
use super::orders::Ordered;
use super::routing::Unrouted;
use super::tape::{START, Tape};
use crate::route::Route;

impl Way<'_> {
    /// Answers a call that found no route, because a rule answers or there is none.
    pub(super) async fn unrouted(
        &self,
        parts: &request::Parts,
        first: &mut First,
        why: Unrouted,
    ) -> Forwarded {
        if let Unrouted::Mocked { mock, cause } = &why
            && let Some(answer) = self.mocked(parts, first, mock, cause.as_ref()).await
        {
            return answer;
        }
        let fault = why.into_fault();
        self.ordered_wait(parts, &fault).await;
        self.refuse(parts, &fault)
    }

    /// The answer of a mock; `None` where the caller's language cannot say it.
    async fn mocked(
        &self,
        parts: &request::Parts,
        first: &mut First,
        mock: &Arc<Mock>,
        cause: Option<&Fault>,
    ) -> Option<Forwarded> {
        if self.dialect == Dialect::Triple && first.may_go_on() {
            let waiting = self.waiting(parts);
            first.wait(self.started + self.http.worker.timeouts.call).await;
            waiting.over();
        }
        let answer = self.said(&parts.headers, first.read(), &mock.answer)?;
        self.count_refused(parts, Outcome::Degraded);
        if let Some(cause) = cause {
            self.http.worker.metrics.fault(cause.reason);
        }
        Some(answer)
    }

    /// Steps 7 and 8 for a call that has failed, where a rule has an answer in place of
    /// failures.
    ///
    /// # Errors
    /// With the call and what it came to, where no rule has, or the caller's language
    /// cannot say it.
    pub(super) async fn instead(
        &self,
        mut call: Call,
        route: &Route,
        progress: &mut Progress,
        end: End,
    ) -> Result<Forwarded, (Call, End)> {
        if !self.has_failed(progress, &end) {
            return Err((call, end));
        }
        let Some(ordered) = &progress.ordered else { return Err((call, end)) };
        let Some(answer) = ordered.wanted.instead() else { return Err((call, end)) };
        let first = match progress.first.read() {
            [] => self.start_of(ordered, route).await,
            read => read.to_vec(),
        };
        let Some(said) = self.said(&ordered.asked().headers, &first, answer) else {
            return Err((call, end));
        };
        if let End::Fault(Fault { reason, .. }) = &end {
            self.http.worker.metrics.fault(*reason);
        }
        call.end(Outcome::Degraded);
        Ok(said)
    }

    fn said(&self, request: &HeaderMap, first: &[u8], answer: &Substitute) -> Option<Forwarded> {
        let (response, trailers) = substitute(self.dialect, request, first, answer)?;
        let (parts, bytes) = response.into_parts();
        let body = match trailers {
            Some(trailers) => Body::End(Ok(trailers)).after(bytes),
            None => Body::Whole(bytes),
        };
        Some(self.answer(Response::from_parts(parts, body)))
    }

    /// How the body of a Triple call begins, also of one that was sent nowhere.
    async fn start_of(&self, ordered: &Ordered, route: &Route) -> Vec<u8> {
        let Some(tape) = ordered.tape.as_ref().filter(|_| self.dialect == Dialect::Triple) else {
            return Vec::new();
        };
        if tape.start().is_empty() {
            // Late, what has come counts.
            drop(timeout_at(route.deadline.into(), begin(tape)).await);
        }
        tape.start()
    }
}

/// Reads a body until its start has come, or its end.
async fn begin(tape: &Tape) {
    let mut reader = tape.read();
    while tape.start().len() < START {
        match poll_fn(|cx| reader.poll_piece(cx)).await {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}
