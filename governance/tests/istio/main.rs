//! The resources of Istio, Gateway API and Linkerd, field by field: each row names
//! the field as its reference does, what stands there, a call, and what must come
//! out.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod changes;
mod destination_rules;
mod destinations;
mod gateway;
mod hostile;
mod linkerd;
mod matches;
mod orders;
mod refused;
mod sample;

/// An HTTP call, with this much more of `http`.
fn http(more: &str) -> String {
    format!("http: {{{more}}}")
}

const SUBSETS: &str = "subsets: [{name: stable, labels: {env: stable}}, \
    {name: gray, labels: {env: gray}}]";
