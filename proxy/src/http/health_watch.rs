//! The answer to one who watches the health of this proxy or of a service: a status now,
//! and one more whenever it changes, until its caller leaves or the proxy does.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use codec::http::grpc::Code;
use codec::http::health::{self, Status};
use tokio::sync::watch;

use super::Http;
use super::body::Piece;
use crate::server::Phase;

/// What is told. It keeps the last status, however many changes nobody has read.
pub(super) struct Watch {
    http: Rc<Http>,
    /// Empty for the proxy itself.
    service: String,
    told: Option<Status>,
    next: Pin<Box<dyn Future<Output = Changes>>>,
}

/// Where changes come from.
struct Changes {
    snapshots: watch::Receiver<u64>,
    phase: watch::Receiver<Phase>,
}

impl Changes {
    async fn next(mut self) -> Changes {
        tokio::select! {
            Ok(()) = self.snapshots.changed() => self,
            Ok(()) = self.phase.changed() => self,
            // The process ends.
            else => pending().await,
        }
    }
}

impl Watch {
    pub(super) fn new(http: &Rc<Http>, service: String) -> Watch {
        let snapshots = http.worker.snapshot_changes();
        let changes = Changes { snapshots, phase: http.phase.clone() };
        Watch { http: http.clone(), service, told: None, next: Box::pin(changes.next()) }
    }

    /// The next status, or the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        loop {
            let status = self.http.status_of(&self.service).unwrap_or(Status::ServiceUnknown);
            if self.told.replace(status) != Some(status) {
                return Poll::Ready(Piece::Data(health::message(status)));
            }
            if *self.http.phase.borrow() >= Phase::Drain {
                let end = health::trailers(Code::Unavailable, "this proxy is shutting down");
                return Poll::Ready(Piece::Trailers(end));
            }
            let changes = ready!(self.next.as_mut().poll(cx));
            self.next = Box::pin(changes.next());
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("service", &self.service).finish_non_exhaustive()
    }
}
