//! Failed calls over HTTP repeated in the background, as [`crate::effort`] does it with
//! others: with the body that was kept, wherever they are routed then. Nobody waits for
//! their answers.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::http::Dialect;
use governance::settings::Cluster;
use tokio::time::{sleep, timeout};

use super::Http;
use super::attempt::{Came, End, Progress};
use super::body::{Piece, Upload};
use super::call::Call;
use super::caller::Caller;
use super::forward::Way;
use super::tape::Tape;
use crate::effort::PERIOD;
use crate::metrics::Failback;
use crate::orders::Ending;

/// How long an attempt may take, and what is left of the body may be waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// A failed call.
struct Failed {
    http: Rc<Http>,
    caller: Rc<Caller>,
    dialect: Dialect,
    call: Call,
    progress: Progress,
    tape: Tape,
    times: u32,
}

impl Way<'_> {
    /// Has a call repeated later that came to a failure, where a rule says so.
    pub(super) fn repeat_later(&self, call: &Call, progress: &Progress, end: &End) {
        let Some(ordered) = &progress.ordered else { return };
        let times = ordered.wanted.resends();
        let is_wanted = ordered.wanted.cluster() == Cluster::Failback && times > 0;
        if !is_wanted || !self.has_failed(progress, end) {
            return;
        }
        let metrics = &self.http.worker.metrics;
        let Some(tape) = ordered.tape.clone().filter(Tape::is_kept) else {
            return metrics.failback(Failback::Dropped);
        };
        if self.http.failbacks.begin(metrics) {
            let failed = Failed {
                http: self.http.clone(),
                caller: self.caller.clone(),
                dialect: self.dialect,
                call: call.beside(),
                progress: progress.beside(ordered, self.caller.version),
                tape,
                times,
            };
            tokio::task::spawn_local(failed.repeat());
        }
    }
}

impl Failed {
    async fn repeat(mut self) {
        // Its caller may be sending the end of it still.
        let is_whole = timeout(LONGEST, read_out(&self.tape)).await == Ok(true);
        let mut came_to = if is_whole { Failback::GivenUp } else { Failback::Dropped };
        for _ in 0..if is_whole { self.times } else { 0 } {
            sleep(PERIOD).await;
            let is_answered = timeout(LONGEST, self.attempt()).await == Ok(true);
            // Where its time was up, its attempt is still on.
            self.call.attempted(Ending::TimedOut, Instant::now());
            if is_answered {
                came_to = Failback::Answered;
                break;
            }
        }
        self.http.failbacks.end(came_to, &self.http.worker.metrics);
    }

    /// Sends it once; whether it was answered.
    async fn attempt(&mut self) -> bool {
        let Failed { http, caller, dialect, call, progress, tape, .. } = self;
        let (started, on_answer) = (Instant::now(), RefCell::default());
        let way = Way { http, caller, dialect: *dialect, started, is_head: false, on_answer };
        let Some(ordered) = &progress.ordered else { return false };
        let limit = http.worker.limits.body;
        let mut request =
            Box::new((ordered.request(), Upload::kept(tape, call.request_bytes(), limit)));
        progress.renew();
        loop {
            let Ok(route) = way.route_again(&mut request, progress, call).await else {
                return false;
            };
            let (ending, end) = match way.attempt(request, progress, call, &route).await {
                Came::Unsent(again) => {
                    request = again;
                    continue;
                }
                Came::Ended(ending, end) => (ending, end),
                Came::Over(_) => return false,
            };
            let is_failure = way.has_failed(progress, &end);
            if let End::Answer(mut received) = end
                && received.body.drain().await.is_ok()
            {
                received.held.give_back();
            }
            call.attempted(ending, Instant::now());
            return !is_failure;
        }
    }
}

/// Reads a body to its end; whether it was kept.
async fn read_out(tape: &Tape) -> bool {
    let mut reader = tape.read();
    while !tape.is_whole() && tape.is_kept() {
        match poll_fn(|cx| reader.poll_piece(cx)).await {
            Some(Ok(Piece::Data(data))) => reader.release(data.len()),
            Some(Ok(Piece::Trailers(_))) => {}
            Some(Err(_)) | None => break,
        }
    }
    tape.is_whole()
}
