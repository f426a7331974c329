//! Step 7 of a call, the same for every protocol: what the metrics and the
//! access log are told.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use codec::{FrameCodec, Outcome, RequestHead};

use crate::access_log::Entry;
use crate::framed::Link;
use crate::methods::Method;
use crate::route;
use crate::worker::Worker;

/// A call that ended.
pub(crate) struct Ended<'a, C: FrameCodec> {
    pub(crate) from: &'a Link<C>,
    pub(crate) method: &'a Method,
    /// The request, where it is counted under another name than its own.
    pub(crate) head: Option<&'a dyn RequestHead>,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) outcome: Outcome,
    pub(crate) started: Instant,
    pub(crate) now: Instant,
    pub(crate) request_bytes: u32,
    pub(crate) response_bytes: u32,
}

/// A call that ended, whatever carried it.
pub(crate) struct Record<'a> {
    pub(crate) protocol: &'static str,
    /// The caller's end of its connection.
    pub(crate) caller: SocketAddr,
    pub(crate) method: &'a Method,
    /// The request, where it is counted under another name than its own.
    pub(crate) head: Option<&'a dyn RequestHead>,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// Counts the call and writes its line.
pub(crate) fn observe<C: FrameCodec>(worker: &Worker, ended: Ended<'_, C>) {
    let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
    let record = Record {
        protocol: C::NAME,
        caller: ended.from.address.unwrap_or(nobody),
        method: ended.method,
        head: ended.head,
        endpoint: ended.endpoint,
        outcome: ended.outcome,
        took: ended.now.saturating_duration_since(ended.started),
        bytes_in: ended.request_bytes.into(),
        bytes_out: ended.response_bytes.into(),
    };
    observe_record(worker, &record);
}

/// As [`observe`], of a call that no frame carried.
pub(crate) fn observe_record(worker: &Worker, ended: &Record<'_>) {
    let took_us = ended.took.as_micros() as u64;
    ended.method.metrics.observe(ended.outcome, took_us);
    if let Outcome::Fault(reason) = ended.outcome {
        worker.metrics.fault(reason);
    }
    let Some(log) = &worker.access_log else { return };
    let names = ended.head.and_then(|head| route::names(head).ok());
    let (service, method) = match &names {
        Some((service, method)) => (*service, &**method),
        None => (&*ended.method.service, &*ended.method.name),
    };
    log.borrow_mut().write(&Entry {
        time: SystemTime::now(),
        listener: &ended.method.listener_name,
        caller: ended.caller,
        protocol: ended.protocol,
        service,
        method,
        endpoint: ended.endpoint,
        outcome: ended.outcome,
        duration_us: took_us,
        bytes_in: ended.bytes_in,
        bytes_out: ended.bytes_out,
    });
}
