//! An application behind an inbound listener stops: its callers are told, while
//! it still answers.
//!
//! An outbound listener's callers are never told, because one endpoint of many is
//! none of their business. An inbound listener stands for one application: what
//! the application asks for, it asks of the listener's callers.

use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::FrameCodec;
use governance::EndpointId;

use super::engine::Engine;
use super::link::Link;
use crate::listener::{Destination, ListenerContext};
use crate::metrics::Side;

/// How long a caller that was told keeps its connection. By then a Java
/// application that stops is gone (10 s) and so is its registration; a caller that
/// comes back finds another one, or the same one started again.
const KEPT: Duration = Duration::from_secs(15);
/// A caller that sent nothing for this long has taken notice.
const QUIET: Duration = Duration::from_millis(300);

impl<C: FrameCodec> Engine<C> {
    /// The endpoint asked for no more calls, or is not there any more: where it
    /// is the application behind a listener, the listener's callers are told.
    pub(super) fn app_leaves(self: &Rc<Self>, app: EndpointId) {
        for listener in self.listeners_before(app) {
            if !listener.app_is_up.replace(false) {
                continue;
            }
            tracing::info!(listener = listener.name, "the application stops; telling its callers");
            listener.app_stops.notify_one();
            for link in self.callers() {
                if link.listener().is_some_and(|of| Rc::ptr_eq(of, listener)) {
                    self.ask_to_leave(&link);
                }
            }
        }
    }

    /// A connection to the endpoint was made.
    pub(super) fn app_answers(&self, app: EndpointId) {
        for listener in self.listeners_before(app) {
            listener.app_is_up.set(true);
        }
    }

    fn listeners_before(&self, app: EndpointId) -> impl Iterator<Item = &Rc<ListenerContext>> {
        self.listeners.iter().filter(move |listener| match &listener.destination {
            Destination::App(table) => table.endpoints().iter().any(|endpoint| endpoint.id == app),
            Destination::Mesh { .. } => false,
        })
    }

    /// Asks a caller for no more calls, and closes its connection when that has
    /// had time to take effect.
    fn ask_to_leave(self: &Rc<Self>, link: &Rc<Link<C>>) {
        self.send_go_away(link);
        let link = link.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(KEPT).await;
            while !link.is_closed() && !link.is_quiet(Instant::now()) {
                tokio::time::sleep(QUIET).await;
            }
            link.end();
        });
    }

    pub(super) fn send_go_away(&self, link: &Rc<Link<C>>) {
        link.append(&self.buffers, |out| C::go_away(self.number(), out));
        self.worker.metrics.go_away_sent(Side::Downstream);
        self.flush_soon(link);
    }
}

impl<C: FrameCodec> Link<C> {
    /// Whether nothing is left to do for the caller, and nothing came lately.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_read.get()) >= QUIET
            && self.unanswered.get() == 0
            && self.waiting() == 0
    }
}
