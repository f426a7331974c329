//! Calls of gRPC about a server itself: health checks and reflection. Their path is the same
//! for every server, so that it names no service of the mesh. They are for the service that
//! their host names, as requests of plain HTTP are, and else for the listener's
//! `default_service`. Where neither names one, a health check is about this proxy, and
//! answered here; reflection has nothing to tell then.
//!
//! Not here: inbound listeners, whose application gets these calls like all others; the
//! messages ([`codec::http::health`]); who watches ([`super::health_watch`]).

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use codec::http::grpc::Code;
use codec::http::health::{self, HEALTH, Status};
use codec::http::outcome::{self, Verdict};
use codec::http::{Head, answer as own, head};
use codec::{Fault, Outcome, Reason, RequestHead};
use http::{Response, request};
use tokio::time::timeout_at;

use super::answer::Answer;
use super::body::Body;
use super::call::Call;
use super::first::First;
use super::forward::{Forwarded, Way};
use super::health_watch::Watch;
use crate::listener::Destination;
use crate::route;
use crate::snapshot::{Entry, Snapshot};

/// Services that `List` tells of at most, as in grpc-go.
const LISTED: usize = 100;

/// Whom a call about a server is for.
pub(super) enum Meant<'p> {
    /// This service.
    Service(Cow<'p, str>),
    /// This one, if the store knows it: it has not said yet.
    Unlisted(&'p str),
    /// No service; this is the host that it names.
    Nobody(Option<Cow<'p, str>>),
}

impl Way<'_> {
    /// Whom a call about a server is for; `None` for all other calls. One that `may_wait`
    /// does so until the store has told of the service that its host names.
    pub(super) fn meant<'p>(&self, parts: &'p request::Parts, may_wait: bool) -> Option<Meant<'p>> {
        if !self.dialect.is_grpc() {
            return None;
        }
        let (in_path, _) = health::about_server(parts)?;
        let Destination::Mesh { default_service } = &self.caller.listener.destination else {
            return None;
        };
        let snapshot = self.http.worker.snapshot();
        let snapshot = &snapshot.1;
        let host = head::host(parts, |name| snapshot.http.contains_key(name));
        if let Some(host) = &host {
            let is_unlisted = match snapshot.http.get(&**host) {
                Some(entry) if takes_calls(entry) => return Some(Meant::Service(host.clone())),
                Some(entry) => matches!(entry, Entry::Pending),
                None => snapshot.has_store && !is_address(host),
            };
            if is_unlisted && may_wait && snapshot.store_trouble.is_none() {
                // Java's names have capitals.
                return head::authority(parts).map(head::without_port).map(Meant::Unlisted);
            }
        }
        if snapshot.http.get(in_path).is_some_and(takes_calls) {
            return None; // whoever calls a service so means it
        }
        Some(match default_service {
            Some(service) => Meant::Service(service.clone().into()),
            None => Meant::Nobody(host),
        })
    }

    /// The answer to a call about a server that is for no service; `None` for all other
    /// calls, which go their way.
    pub(super) async fn about_server(
        &self,
        parts: &request::Parts,
        first: &mut First,
    ) -> Option<Forwarded> {
        self.meant(parts, false)?;
        // On the heap, because there are few of them and each call would have room for it.
        Box::pin(async {
            self.until_listed(parts).await;
            let Some(Meant::Nobody(_)) = self.meant(parts, false) else { return None };
            Some(match health::about_server(parts)? {
                (HEALTH, method @ ("Check" | "Watch" | "List")) => {
                    self.tell_health(parts, first, method).await
                }
                (HEALTH, method) => self.untold(
                    parts,
                    format!("this proxy answers Check, Watch and List of {HEALTH}, not {method}"),
                ),
                (service, _) => self.untold(
                    parts,
                    format!(
                        "{service} tells about a server, and this call is for none that is known"
                    ),
                ),
            })
        })
        .await
    }

    /// Waits until the store has told of the service that the host names; not for longer
    /// than the call may take.
    async fn until_listed(&self, parts: &request::Parts) {
        let worker = &self.http.worker;
        let mut changes = worker.snapshot_changes();
        let until = self.until(parts);
        while let Some(Meant::Unlisted(service)) = self.meant(parts, true) {
            if !worker.subscriptions.subscribe(service) {
                return;
            }
            let waiting = self.waiting(parts);
            let changed = timeout_at(until.into(), changes.changed()).await;
            waiting.over();
            if !matches!(changed, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Until when the call may wait for what it depends on.
    fn until(&self, parts: &request::Parts) -> Instant {
        let timeout = own_head(self, parts).timeout();
        self.started + timeout.unwrap_or(self.http.worker.timeouts.call)
    }

    /// Answers a health check about this proxy, or about services as this proxy knows them.
    async fn tell_health(
        &self,
        parts: &request::Parts,
        first: &mut First,
        asked: &str,
    ) -> Forwarded {
        let waiting = self.waiting(parts);
        first.wait(self.until(parts)).await;
        waiting.over();
        let (worker, caller) = (&self.http.worker, self.caller);
        let head = own_head(self, parts);
        let protocol = caller.protocol(self.dialect);
        let method = route::unrouted_method(worker, protocol, &caller.listener, &head);
        let mut call =
            Call::new(worker.clone(), caller.clone(), self.dialect, method, self.started);
        call.request_bytes().set(first.read().len() as u64);
        if first.read().first() == Some(&1) {
            let text = "this proxy reads no compressed health checks: send them as they are";
            return self.tell_end(call, Code::Unimplemented, text);
        }
        if asked == "List" {
            return match self.http.statuses() {
                Ok(statuses) => told(call, health::list(statuses)),
                Err(known) => {
                    let text = format!(
                        "List tells of {LISTED} services at most, and {known} are known: ask \
                         Check about those that you need"
                    );
                    self.tell_end(call, Code::ResourceExhausted, &text)
                }
            };
        }
        let service = match health::asked(first.read()) {
            Ok(service) => service,
            Err(error) => {
                let hint = "send a HealthCheckRequest";
                let fault = Fault::new(Reason::Unreadable, error.to_string(), hint);
                call.end(Outcome::Fault(fault.reason));
                return self.answer(own::fault(self.dialect, &fault).map(Body::Whole));
            }
        };
        if asked == "Watch" {
            let deadline = head.timeout().map(|timeout| self.started + timeout);
            let body = Body::Watch(Box::new(Watch::new(self.http, service)));
            let verdict = Verdict::Final(Outcome::Success);
            let answer = Answer::counted(call, verdict, deadline, body);
            return answered(health::head().map(|()| answer));
        }
        match self.http.status_of(&service) {
            Some(status) => told(call, health::message(status)),
            None => {
                let text = format!("no service named {service} is known to this proxy");
                self.tell_end(call, Code::NotFound, &text)
            }
        }
    }

    /// An answer that is only a status.
    fn tell_end(&self, call: Call, code: Code, text: &str) -> Forwarded {
        let mut response = health::head();
        response.headers_mut().extend(health::trailers(code, text));
        let verdict = outcome::of_head(self.dialect, response.status(), response.headers());
        let answer = Answer::counted(call, verdict, None, Body::Empty);
        answered(response.map(|()| answer))
    }

    /// Refuses a call about a server that nobody answers.
    fn untold(&self, parts: &request::Parts, detail: String) -> Forwarded {
        let fault = Fault::new(
            Reason::UnknownService,
            detail,
            "name the service as the host (:authority), or give the listener a `default_service`",
        );
        self.refuse(parts, &fault)
    }
}

/// The head of a call that goes nowhere else.
fn own_head<'p>(way: &Way<'_>, parts: &'p request::Parts) -> Head<'p> {
    Head::new(parts, way.dialect, |_| false)
}

/// An answer of one message.
fn told(call: Call, message: Bytes) -> Forwarded {
    let body = Body::End(Ok(health::trailers(Code::Ok, ""))).after(message);
    let answer = Answer::counted(call, Verdict::AtEnd(Outcome::Success), None, body);
    answered(health::head().map(|()| answer))
}

fn answered(response: Response<Answer>) -> Forwarded {
    let (parts, answer) = response.into_parts();
    Forwarded::Answer(Box::new(parts), Box::new(answer))
}

/// Whether calls of a service go somewhere: to its endpoints, or where a rule says.
fn takes_calls(entry: &Entry) -> bool {
    matches!(entry, Entry::Ready(table) if !table.endpoints().is_empty() || table.is_ruled())
}

/// Whether a host is this machine or an IP address, which no store has as a service.
fn is_address(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok()
}

impl super::Http {
    /// How this proxy is, for the empty name, or a service as far as this proxy knows;
    /// `None` for a service that it does not know: one that is neither configured nor was
    /// called before.
    pub(super) fn status_of(&self, service: &str) -> Option<Status> {
        self.status_in(&self.worker.snapshot().1, service)
    }

    fn status_in(&self, snapshot: &Snapshot, service: &str) -> Option<Status> {
        let takes_calls = match service {
            "" => true,
            service => match snapshot.provided(service, None)? {
                Entry::Pending => false,
                Entry::Ready(table) => !table.endpoints().is_empty(),
            },
        };
        Some(if takes_calls && !self.is_leaving() { Status::Serving } else { Status::NotServing })
    }

    /// The same of the proxy and all services that it knows.
    ///
    /// # Errors
    /// With how many it knows, where those are too many.
    fn statuses(&self) -> Result<Vec<(String, Status)>, usize> {
        let snapshot = &self.worker.snapshot().1;
        let known = snapshot.services.len();
        if known > LISTED {
            return Err(known);
        }
        let names = snapshot.services.keys().map(String::as_str).chain([""]);
        let status = |name: &str| Some((name.to_owned(), self.status_in(snapshot, name)?));
        Ok(names.filter_map(status).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_store_is_asked_about_addresses() {
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            assert!(is_address(host), "{host}");
        }
        for host in ["shop", "lab.Echo", "10.shop.example"] {
            assert!(!is_address(host), "{host}");
        }
    }
}
