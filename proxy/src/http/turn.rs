//! Calls over HTTP that wait for others to end, because a configurator allows no more in
//! flight (Dubbo's `actives`).
//!
//! Not here: how many there are (see [`crate::actives`]).

use std::rc::Rc;
use std::time::Instant;

use http::request;

use super::Http;
use super::attempt::{End, Progress};
use super::body::Upload;
use super::call::Call;
use super::forward::Way;
use crate::actives::{Full, TICK};
use crate::route::Route;

/// A call that waits, until this is dropped.
struct Waiting(Rc<Http>);

impl Waiting {
    /// One more, unless as many wait as may.
    fn begin(http: &Rc<Http>) -> Option<Waiting> {
        let count = http.waiting.get();
        if count >= http.worker.limits.pending {
            return None;
        }
        http.waiting.set(count + 1);
        http.worker.metrics.call_started();
        Some(Waiting(http.clone()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
        self.0.worker.metrics.call_ended();
    }
}

impl Way<'_> {
    /// Gives a call a place among those in flight, when there is one: at its endpoint or
    /// wherever it is routed then.
    ///
    /// # Errors
    /// With the fault of a call whose time is up, or for which there is no room to wait.
    pub(super) async fn turn(
        &self,
        request: &mut (request::Parts, Upload),
        progress: &mut Progress,
        call: &mut Call,
        route: &mut Route,
    ) -> Result<(), End> {
        match self.http.worker.published.actives.enter(route) {
            Ok(permit) => {
                call.permit(permit);
                Ok(())
            }
            // Few calls wait: the others need not have room for it.
            Err(full) => Box::pin(self.wait(full, request, progress, call, route)).await,
        }
    }

    async fn wait(
        &self,
        mut full: Full,
        request: &mut (request::Parts, Upload),
        progress: &mut Progress,
        call: &mut Call,
        route: &mut Route,
    ) -> Result<(), End> {
        let waiting = Waiting::begin(self.http);
        loop {
            // Where nobody gives the call a deadline, it waits as long as a call may take.
            let until = self.until_head(route).unwrap_or(route.deadline);
            let now = Instant::now();
            if waiting.is_none() || now >= until {
                return Err(End::Fault(full.fault(now.saturating_duration_since(self.started))));
            }
            tokio::time::sleep_until(until.min(now + TICK).into()).await;
            *route = self.route_again(request, progress, call).await?;
            match self.http.worker.published.actives.enter(route) {
                Ok(permit) => {
                    call.permit(permit);
                    return Ok(());
                }
                Err(still) => full = still,
            }
        }
    }
}
