//! Which service or address a plain TCP connection is for: it cannot say so itself.

use std::io;
use std::net::SocketAddr;

use codec::{Fault, Reason};

use crate::listener::Destination;
use crate::redirected::Origin;

/// What connections count as that go on to where they were going, as in Istio.
const PASSTHROUGH: &str = "passthrough";

/// Where a connection is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To<'a> {
    /// To an endpoint of a service, by its rules.
    Service(&'a str),
    /// On to where it was going when it was redirected.
    Address(SocketAddr),
    /// It was not redirected, and the listener has no service for such.
    Nowhere,
}

impl<'a> To<'a> {
    pub(super) fn new(destination: &'a Destination, origin: Option<&'a Origin>) -> Self {
        match (destination, origin) {
            (Destination::App(table), _) => To::Service(table.name()),
            (_, Some(Origin::Service(service))) => To::Service(service),
            (_, Some(Origin::Other(address))) => To::Address(*address),
            (Destination::Mesh { default_service }, _) => {
                default_service.as_deref().map_or(To::Nowhere, To::Service)
            }
        }
    }

    /// The service that it counts as.
    pub(super) fn service(self) -> Option<&'a str> {
        match self {
            To::Service(service) => Some(service),
            To::Address(_) => Some(PASSTHROUGH),
            To::Nowhere => None,
        }
    }
}

pub(super) fn nowhere() -> Fault {
    Fault::new(
        Reason::Unreadable,
        "the connection was not redirected, and the listener has no service for such",
        "connect to the address that is meant and have that redirected, or give the listener a `default_service`",
    )
}

pub(super) fn unreachable(address: SocketAddr, error: &io::Error) -> Fault {
    Fault::new(
        Reason::Unreachable,
        format!("no connection could be made to {address}, where the caller was going: {error}"),
        "check that it is up and can be reached from here",
    )
}
