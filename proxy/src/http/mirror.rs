//! Copies of a call for those whom a route names as its mirrors. They go out when the
//! request's body has come whole, if it is kept at all (see [`super::tape`]); nobody
//! waits for their answers.

use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::http::{Version, hop};
use http::request;
use tokio::time::timeout_at;

use super::Http;
use super::body::Upload;
use super::forward::Way;
use super::orders::{Ordered, shadow};
use super::tape::Whole;
use super::upstream::{Connected, Terms};
use crate::route::Route;

/// How long a copy may take, answer included, where the call has no deadline.
const LONGEST: Duration = Duration::from_secs(60);

impl Way<'_> {
    /// Sends the copies of a call that its route orders.
    pub(super) fn mirror(&self, ordered: &Ordered, route: &Route) {
        let Some(tape) = &ordered.tape else { return };
        let deadline = self.until_head(route).unwrap_or_else(|| Instant::now() + LONGEST);
        for index in route.orders.mirrors.iter() {
            let Some(endpoint) = route.method.id_of(index) else { continue };
            let copy = Route::to(&route.method, endpoint, index, deadline);
            let version = self.version_to(&copy);
            let mut parts = ordered.request();
            shadow(&mut parts);
            if hop::request(&mut parts, self.caller.version, version).is_err() {
                continue;
            }
            self.set_token(&mut parts, &copy);
            let (http, whole) = (self.http.clone(), tape.copy());
            tokio::task::spawn_local(async move {
                let sending = async {
                    match whole.await {
                        Ok(whole) => send(&http, &copy, version, parts, whole).await,
                        Err(_) => tracing::debug!("a mirror gets no copy: its body is not kept"),
                    }
                };
                drop(timeout_at(deadline.into(), sending).await);
            });
        }
    }
}

/// Sends one copy, and reads its answer, so that the connection can be used again.
async fn send(
    http: &Rc<Http>,
    route: &Route,
    version: Version,
    parts: request::Parts,
    whole: Whole,
) {
    let upload = Upload::new(whole.body(), Rc::default(), None);
    let terms = Terms::of(&http.worker, route);
    let Ok(connected) = Connected::get(http, route, version, false, &terms).await else {
        tracing::debug!("a mirror gets no copy: no connection");
        return;
    };
    http.worker.metrics.mirrored();
    let Ok(mut received) = connected.send(Box::new((parts, upload))).await else { return };
    if received.body.drain().await.is_ok() {
        received.held.give_back();
    }
}
