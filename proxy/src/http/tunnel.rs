//! What comes after an upgrade (WebSocket and others): bytes, passed on unread
//! both ways until both sides have ended.

use std::rc::Rc;

use codec::Outcome;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::Http;
use super::call::Call;
use super::upstream::Held;
use crate::listener::Admitted;

/// Carries one tunnel to its end. It is its call's, which ends with it.
pub(super) async fn carry(
    http: Rc<Http>,
    admitted: Option<Rc<Admitted>>,
    mut call: Call,
    caller: OnUpgrade,
    endpoint: OnUpgrade,
    held: Held,
) {
    // As long as it lasts, its caller is one that is connected.
    let (_open, _admitted) = (http.opened(), admitted);
    let (caller, endpoint) = match tokio::try_join!(caller, endpoint) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "an upgrade did not come about");
            return; // and the call counts as given up
        }
    };
    let (mut caller, mut endpoint) = (TokioIo::new(caller), TokioIo::new(endpoint));
    let request_bytes = call.request_bytes();
    match tokio::io::copy_bidirectional(&mut caller, &mut endpoint).await {
        Ok((up, down)) => {
            request_bytes.set(up);
            call.response_bytes = down;
            call.end(Outcome::Success);
        }
        Err(error) => tracing::debug!(%error, "a tunnel broke"),
    }
    drop(held);
}
