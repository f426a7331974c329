//! A request on its way to an endpoint, and what comes back.

use std::rc::Rc;

use codec::http::Version;
use h2::Reason;
use http::{request, response};
use tokio::task::AbortHandle;

use super::body::{Body, Upload};
use super::{h1_client, h2_client};
use crate::route::Route;

use super::Http;

/// An answer whose head came.
pub(super) struct Received {
    pub(super) parts: response::Parts,
    pub(super) body: Body,
    pub(super) held: Held,
    /// Writes what is left of the request.
    pub(super) upload: Option<AbortHandle>,
    /// What came with a 101.
    pub(super) upgrade: Option<hyper::upgrade::OnUpgrade>,
}

/// The connection that an answer comes by, held for as long as it does.
pub(super) enum Held {
    Http1(h1_client::Sender),
    Http2(#[allow(dead_code, reason = "counts by being dropped")] h2_client::Lease),
}

impl Held {
    /// The answer came whole: the connection can take another request.
    pub(super) fn give_back(self) {
        match self {
            Held::Http1(sender) => sender.give_back(),
            Held::Http2(lease) => drop(lease),
        }
    }
}

/// Why no answer came.
pub(super) enum SendError {
    /// Nothing of it was sent: here it is.
    Unsent(Box<(request::Parts, Upload)>),
    /// The endpoint says that it did not look at it: here it is.
    Refused(Box<(request::Parts, Upload)>),
    /// The endpoint ended the stream, and says why.
    Reset(Reason),
    /// The caller broke the request off.
    BrokenOff,
    /// The connection broke after it was sent.
    Lost,
    /// The request is over this limit.
    TooLarge(u64),
}

/// Why there is no connection.
pub(super) enum NotConnected {
    /// None could be made; the endpoint is marked.
    Failed,
    /// All are full: so many calls wait.
    Full(usize),
}

/// A connection that takes one request.
pub(super) enum Connected {
    Http1(h1_client::Sender),
    Http2(h2_client::Lease),
}

impl Connected {
    pub(super) async fn get(
        http: &Rc<Http>,
        route: &Route,
        version: Version,
        can_repeat: bool,
    ) -> Result<Connected, NotConnected> {
        Ok(match version {
            Version::Http1 => Connected::Http1(h1_client::get(http, route, can_repeat).await?),
            Version::Http2 => Connected::Http2(h2_client::get(http, route).await?),
        })
    }

    pub(super) fn peer(&self) -> Rc<str> {
        match self {
            Connected::Http1(sender) => sender.peer(),
            Connected::Http2(lease) => lease.peer(),
        }
    }

    pub(super) async fn send(
        self,
        parts: request::Parts,
        upload: Upload,
    ) -> Result<Received, SendError> {
        match self {
            Connected::Http1(sender) => sender.send(parts, upload).await,
            Connected::Http2(lease) => lease.send(parts, upload).await,
        }
    }
}
