//! Several endpoints for one call over HTTP: at once (Dubbo's `ForkingClusterInvoker`),
//! or one after another (`BroadcastClusterInvoker`).
//!
//! Both hold as far as the call's body is kept. The attempts of a fork send it side by
//! side, as it comes; of those that are left behind when it outgrows what is kept, none
//! goes on. A broadcast goes on to the next endpoint when it has come whole: a call that is
//! answered before goes to one endpoint.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use codec::http::outcome;
use governance::settings::Cluster;
use tokio::time::timeout_at;

use super::answer::late;
use super::attempt::{Came, End, Progress};
use super::body::{Body, Upload};
use super::call::Call;
use super::faults::lost;
use super::forward::Way;
use super::orders::Ordered;
use super::upstream::Outgoing;
use crate::actives::Permit;
use crate::orders::Ending;
use crate::route::{self, Route, Tried};

/// What came of one attempt among several: its accounts, and where it went.
type Forked = (Came, Call, Route);

impl Way<'_> {
    /// Steps 4 and 5, in as many attempts at once, or one after another, as a rule wants.
    /// `route` becomes that of the attempt which this came of.
    pub(super) async fn attempts(
        &self,
        mut request: Outgoing,
        progress: &mut Progress,
        call: &mut Call,
        route: &mut Route,
    ) -> Came {
        if let Err(end) = self.turn(&mut request, progress, call, route).await {
            return Came::Over(end);
        }
        let cluster = progress.ordered.as_ref().map(|ordered| ordered.wanted.cluster());
        // What goes on as another protocol goes to one endpoint.
        let may_be_many = progress.upgrade.is_none();
        match cluster {
            Some(Cluster::Forking) if may_be_many => {
                Box::pin(self.fork(request, progress, call, route)).await
            }
            Some(Cluster::Broadcast) if may_be_many => {
                Box::pin(self.broadcast(request, progress, call, route)).await
            }
            _ => self.attempt(request, progress, call, route).await,
        }
    }

    /// Attempts at several endpoints at once: the first good answer counts.
    async fn fork(
        &self,
        request: Outgoing,
        progress: &mut Progress,
        call: &mut Call,
        route: &mut Route,
    ) -> Came {
        let Some(ordered) = &progress.ordered else {
            return self.attempt(request, progress, call, route).await;
        };
        let Some(tape) = ordered.tape.clone() else {
            return self.attempt(request, progress, call, route).await;
        };
        drop(request);
        let mut going: Vec<Pin<Box<dyn Future<Output = Forked> + '_>>> = Vec::new();
        let limit = self.http.worker.limits.body;
        let forks = self.forks(progress, ordered, call, route).await;
        let everybody: Tried = forks.iter().map(|(route, _)| route.hop.endpoint).collect();
        for (mut route, permit) in forks {
            let mut own = call.beside();
            own.permit(permit);
            let (count, is_first) = (own.request_bytes(), going.is_empty());
            let upload = match is_first {
                true => Upload::kept(&tape, count, limit),
                false => Upload::beside(&tape, count, limit),
            };
            let endpoint = route.hop.endpoint;
            route.hop.tried = everybody.iter().copied().filter(|one| *one != endpoint).collect();
            let progress = progress.beside(ordered, self.caller.version);
            going.push(Box::pin(self.one_fork(
                Box::new((ordered.request(), upload)),
                progress,
                own,
                route,
            )));
        }
        loop {
            let (came, mut own, to) = poll_fn(|cx| {
                let ready = going.iter_mut().enumerate().find_map(|(at, fork)| {
                    match fork.as_mut().poll(cx) {
                        Poll::Ready(forked) => Some((at, forked)),
                        Poll::Pending => None,
                    }
                });
                let Some((at, forked)) = ready else { return Poll::Pending };
                drop(going.swap_remove(at));
                Poll::Ready(forked)
            })
            .await;
            let is_good = match &came {
                Came::Ended(_, end) => !self.has_failed(progress, end),
                Came::Unsent(_) | Came::Over(_) => false,
            };
            if is_good || going.is_empty() {
                call.take_over(&mut own);
                *route = to;
                return came;
            }
            if let Came::Ended(ending, _) = came {
                own.attempted(ending, Instant::now());
            }
        }
    }

    /// Who is asked at once: the endpoint that was picked, and others, as many as a rule
    /// wants and there are. Those that are busy are left out.
    async fn forks(
        &self,
        progress: &Progress,
        ordered: &Ordered,
        call: &mut Call,
        route: &Route,
    ) -> Vec<(Route, Option<Permit>)> {
        let mut tried = Tried::from_elem(route.hop.endpoint, 1);
        let mut forks = vec![(route.clone(), call.take_permit())];
        let mut first = progress.first.again();
        while !ordered.wanted.has_forks(tried.len()) {
            let Ok(next) = self.route(ordered.asked(), &tried, &mut first, true).await else {
                break;
            };
            if next.repeats {
                break;
            }
            tried.push(next.hop.endpoint);
            if let Ok(permit) = self.http.worker.published.actives.enter(&next) {
                forks.push((next, permit));
            }
        }
        forks
    }

    /// One attempt of a fork, elsewhere where it cannot be sent.
    async fn one_fork(
        &self,
        mut request: Outgoing,
        mut progress: Progress,
        mut call: Call,
        mut route: Route,
    ) -> Forked {
        loop {
            let came = self.attempt(request, &mut progress, &mut call, &route).await;
            let Came::Unsent(again) = came else { return (came, call, route) };
            request = again;
            match self.route_again(&mut request, &mut progress, &mut call).await {
                Ok(next) => route = next,
                Err(end) => return (Came::Over(end), call, route),
            }
        }
    }

    /// An attempt at each endpoint in turn, until too many have failed. The last answer
    /// counts, or the last failure where there was one.
    async fn broadcast(
        &self,
        request: Outgoing,
        progress: &mut Progress,
        call: &mut Call,
        route: &mut Route,
    ) -> Came {
        let everybody = std::mem::take(&mut progress.everybody);
        let routes: Vec<Route> =
            everybody.into_iter().filter_map(|endpoint| route.elsewhere(endpoint)).collect();
        let (total, mut failed, mut failure) = (routes.len(), 0, None);
        let Some(wanted) = progress.ordered.as_ref().map(|ordered| ordered.wanted.clone()) else {
            return self.attempt(request, progress, call, route).await;
        };
        let mut next = Some(request);
        for (at, to) in routes.into_iter().enumerate() {
            let Some(mut request) = next.take() else { break };
            *route = to;
            let came = loop {
                match self.attempt(request, progress, call, route).await {
                    // A connection that served before took no more: it gets another.
                    Came::Unsent(again) if !progress.tried.contains(&route.hop.endpoint) => {
                        request = again;
                    }
                    came => break came,
                }
            };
            let (ending, end) = match came {
                Came::Ended(ending, end) => (ending, end),
                Came::Over(End::BrokenOff) => return Came::Over(End::BrokenOff),
                Came::Over(end) => (Ending::NotSent, end),
                Came::Unsent(_) => {
                    let fault = route::unreachable(&self.caller.listener, 1);
                    (Ending::NotConnected, End::Fault(fault))
                }
            };
            let has_failed = self.has_failed(progress, &end);
            next = self.again(progress, call, !has_failed);
            let is_last = at + 1 == total || next.is_none();
            let end = match has_failed {
                true => Some(end),
                false if is_last && failure.is_none() => return Came::Ended(ending, end),
                false => self.read_out(end, progress, call, route).await,
            };
            if let Some(end) = end {
                failed += 1;
                if is_last || wanted.gives_up(failed, total) {
                    return Came::Ended(ending, end);
                }
                failure = Some((ending, end));
            }
            call.attempted(ending, Instant::now());
        }
        match failure {
            Some((ending, end)) => Came::Ended(ending, end),
            None => Came::Over(End::Fault(lost("there is no endpoint left to ask"))),
        }
    }

    /// The request for the next endpoint, where it is kept; after an answer, where it has
    /// come whole.
    fn again(&self, progress: &Progress, call: &Call, was_answered: bool) -> Option<Outgoing> {
        let ordered = progress.ordered.as_ref()?;
        let tape = ordered.tape.as_ref()?;
        let has_come = if was_answered { tape.is_whole() } else { tape.is_kept() };
        let limit = self.http.worker.limits.body;
        let upload = || Upload::kept(tape, call.request_bytes(), limit);
        has_come.then(|| Box::new((ordered.request(), upload())))
    }

    /// Reads an answer to its end; what the call comes to if that says that it has failed.
    async fn read_out(
        &self,
        end: End,
        progress: &Progress,
        call: &Call,
        route: &Route,
    ) -> Option<End> {
        let End::Answer(mut received) = end else { return Some(end) };
        let until = self.until_head(route).unwrap_or(route.deadline);
        let trailers = match timeout_at(until.into(), received.body.drain()).await {
            Ok(Ok(trailers)) => trailers,
            Ok(Err(_)) => {
                let fault = lost("the connection broke before the answer was whole");
                return Some(End::Fault(fault));
            }
            Err(_) => return Some(End::Fault(late(call))),
        };
        let parts = &mut received.parts;
        let verdict = outcome::of_head(self.dialect, parts.status, &parts.headers);
        let outcome = verdict.at_end(trailers.as_ref());
        let wanted = progress.ordered.as_ref().map(|ordered| &ordered.wanted);
        if !wanted.is_some_and(|wanted| wanted.is_failure(outcome, Ending::of(outcome))) {
            received.held.give_back();
            return None;
        }
        // As an answer without a body says it.
        parts.headers.extend(trailers.unwrap_or_default());
        received.body = Body::Empty;
        Some(End::Answer(received))
    }
}
