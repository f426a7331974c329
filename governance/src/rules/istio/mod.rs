//! Istio's resources: VirtualService and DestinationRule.
//!
//! Facts: the field descriptions of `networking.istio.io/v1`, and how Istio's
//! pilot turns them into Envoy's configuration.

mod action;
mod destination_rule;
mod match_request;
mod pool;
mod retries;
mod virtual_service;

pub(crate) use action::{header_name, header_value};
pub(crate) use destination_rule::read_destination_rule;
pub(crate) use virtual_service::{MAX_HOSTS, MAX_ROUTES, read_virtual_service};
