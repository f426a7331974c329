//! The proxy between scripted peers: every byte of both sides is the test's.
//!
//! One file for each topic. What Envoy 1.40's `dubbo_proxy` gets wrong when it is
//! put into these dialogues, and where the same is held here:
//!
//! * A connection upstream for each outstanding call:
//!   `calls::a_thousand_calls_at_once_need_one_connection`; and for each one-way
//!   call: `calls::one_way_calls_pass_without_an_answer_over_the_shared_connection`.
//! * A cold start under load fails calls:
//!   `crowds::a_cold_start_under_full_load_fails_no_call`.
//! * No timeout: `deadlines`.
//! * Answers over 1 MiB never arrive: `calls::answers_of_several_megabytes_arrive`.
//! * Requests over 16 MiB close the connection:
//!   `calls::requests_over_eight_megabytes_arrive` (of 17 MiB); those over the limit
//!   do so without a word:
//!   `bad_callers::a_call_over_the_limit_is_answered_and_only_its_caller_is_shut_out`.
//! * A provider's heartbeat closes its connection:
//!   `liveness::heartbeats_are_answered_where_they_arrive`.
//! * The read-only event is dropped: `read_only`.
//! * An unknown service called one-way gets an answer:
//!   `faults::one_way_calls_are_never_answered_not_even_with_a_fault`.
//! * Other serializations than hessian2 close the connection: `serializations`; a
//!   null service version does so: `calls::a_null_service_version_is_no_version`.
//! * A route on an attachment does not match generic calls:
//!   `rules::a_rule_on_an_attachment_holds_for_generic_calls_and_behind_large_arguments`.
//!
//! Real peers are in `tests/interop`.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod bad_callers;
mod bad_providers;
mod callbacks;
mod calls;
mod conformance;
mod counters;
mod crowds;
mod deadlines;
mod detection;
mod drain;
mod faults;
mod http;
mod liveness;
mod orders;
mod parked;
mod peers;
mod policies;
mod raw;
mod read_only;
mod resources;
mod rule_push;
mod rule_states;
mod rules;
mod serializations;
mod splits;
mod start;
mod store;
mod storm;
mod tcp;
mod tcp_breaks;
mod transparent;
mod upstream_loss;
mod wire;
