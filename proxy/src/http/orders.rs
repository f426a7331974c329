//! What a route orders for a call over HTTP, carried out: another path and other
//! headers, CORS, delays, further attempts, the cookie of a consistent hash.
//!
//! A request by orders is kept as it came: each attempt is routed by that, and changed
//! anew. Its body is kept where it may have to be sent again (see [`super::tape`]).
//!
//! Not here: what is ordered (`governance::Directives`), counting and limits (see
//! [`crate::orders`]), copies (see [`super::mirror`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use codec::http::{Dialect, Version, grpc, head, hop};
use codec::{Fault, Reason};
use governance::directives::{HashSource, HeaderEdit, Rewrite};
use governance::{Dice as _, Directives};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, COOKIE, HOST, ORIGIN, SET_COOKIE, VARY,
};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri, request, response};
use tokio::time::sleep_until;

use super::answer::Answer;
use super::body::{Body, Upload};
use super::call::Call;
use super::first::First;
use super::forward::{Forwarded, Way};
use super::tape::Tape;
use crate::effort::{Resend, Wanted};
use crate::orders::{Ending, Orders, Repeat};
use crate::route::{Route, Tried};

/// A call that something is ordered for.
pub(super) struct Ordered {
    asked: request::Parts,
    /// The body, where it may be sent more than once.
    pub(super) tape: Option<Tape>,
    pub(super) wanted: Wanted,
    resent: u32,
    repeat: Option<Repeat>,
}

impl Ordered {
    /// Takes up a call's orders, and its body.
    pub(super) fn begin(
        way: &Way<'_>,
        parts: &request::Parts,
        first: &mut First,
        route: &Route,
        call: &Call,
    ) -> (Option<Box<Ordered>>, Upload) {
        let orders = &route.orders;
        let limits = &way.http.worker.limits;
        let (body, count) = (first.take_body(), call.request_bytes());
        if orders.directives.is_none() && orders.policy.is_none() && route.cluster.is_none() {
            return (None, Upload::new(body, count, limits.body));
        }
        let wanted = Wanted::new(route.cluster.clone(), orders.clone());
        let is_kept = wanted.keeps_request() || !orders.mirrors.is_empty();
        // What answers in a provider's place has the form of the arguments.
        let is_looked_at = way.dialect == Dialect::Triple && wanted.instead().is_some();
        let (tape, upload) = if is_kept || is_looked_at {
            let room = is_kept.then(|| way.http.kept.room());
            let tape = Tape::new(body, room, limits.buffer);
            let upload = Upload::kept(&tape, count, limits.body);
            (Some(tape), upload)
        } else {
            (None, Upload::new(body, count, limits.body))
        };
        way.on_answer.borrow_mut().begin(orders, parts);
        let mut asked = parts.clone();
        hop::leave(&mut asked, way.caller.version);
        let ordered = Ordered { asked, tape, wanted, resent: 0, repeat: None };
        (Some(Box::new(ordered)), upload)
    }

    /// The same for an attempt beside others, or later.
    pub(super) fn beside(&self) -> Ordered {
        let (asked, tape, wanted) = (self.asked.clone(), self.tape.clone(), self.wanted.clone());
        Ordered { asked, tape, wanted, resent: 0, repeat: None }
    }

    /// The request as it came.
    pub(super) fn asked(&self) -> &request::Parts {
        &self.asked
    }

    /// The request as the route wants it.
    pub(super) fn request(&self) -> request::Parts {
        let mut parts = self.asked.clone();
        if let Some(directives) = &self.wanted.orders.directives {
            if let Some(rewrite) = &directives.rewrite {
                rewritten(&mut parts, rewrite);
            }
            if edit(&mut parts.headers, &directives.request_headers) {
                hop::leave(&mut parts, Version::Http1);
            }
        }
        parts
    }

    /// Whether the attempt that begins now is a retry that a destination rule counts.
    pub(super) fn is_repeat(&self) -> bool {
        self.repeat.is_some()
    }

    /// Until when the call may take, as its route says.
    fn deadline(&self, way: &Way<'_>) -> Option<Instant> {
        self.wanted.orders.directives.as_ref()?.timeout.map(|timeout| way.started + timeout)
    }
}

/// What an answer's head tells a route's retries.
pub(super) fn ending_of(parts: &response::Parts) -> Ending {
    let grpc = grpc::status(&parts.headers).and_then(|status| u16::try_from(status).ok());
    Ending::Answered { http: parts.status.as_u16(), grpc: grpc.unwrap_or(0) }
}

/// What becomes of an answer, whoever gives it.
#[derive(Default)]
pub(super) struct OnAnswer {
    directives: Option<Arc<Directives>>,
    /// The origin of the caller's page, where it may call.
    origin: Option<HeaderValue>,
    /// A cookie that the caller is given.
    cookie: Option<HeaderValue>,
}

impl OnAnswer {
    fn begin(&mut self, orders: &Orders, parts: &request::Parts) {
        self.directives = orders.directives.clone();
        let cors = self.directives.as_ref().and_then(|directives| directives.cors.as_ref());
        self.origin = cors.and_then(|cors| {
            let origin = parts.headers.get(ORIGIN)?;
            cors.allows(origin.to_str().ok()?).then(|| origin.clone())
        });
    }

    /// Changes an answer's headers as ordered.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        if let Some(directives) = &self.directives
            && edit(headers, &directives.response_headers)
        {
            hop::strip(headers);
        }
        self.tell_origin(headers);
        if let Some(cookie) = &self.cookie {
            headers.append(SET_COOKIE, cookie.clone());
        }
    }

    fn tell_origin(&self, headers: &mut HeaderMap) {
        let cors = self.directives.as_ref().and_then(|directives| directives.cors.as_ref());
        let (Some(cors), Some(origin)) = (cors, &self.origin) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(VARY, HeaderValue::from_static("origin"));
        if cors.allow_credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        insert_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers);
    }

    /// The answer to a browser that asks whether its page may call
    /// (<https://fetch.spec.whatwg.org/#http-cors-protocol>); `None` where this is no such
    /// question, or one for the application.
    pub(super) fn preflight(&self, parts: &request::Parts) -> Option<Response<Bytes>> {
        let cors = self.directives.as_ref()?.cors.as_ref()?;
        let headers = &parts.headers;
        let is_asked = parts.method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.get(ACCESS_CONTROL_REQUEST_METHOD).is_some_and(|method| !method.is_empty());
        if !is_asked || (self.origin.is_none() && cors.forward_unmatched) {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        let answer = response.headers_mut();
        answer.insert(CONTENT_LENGTH, HeaderValue::from(0));
        if self.origin.is_some() {
            self.tell_origin(answer);
            answer.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
            insert_list(answer, ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods);
            insert_list(answer, ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers);
            if let Some(age) = cors.max_age {
                answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
            }
        }
        Some(response)
    }
}

fn insert_list(headers: &mut HeaderMap, name: HeaderName, list: &[Box<str>]) {
    if !list.is_empty()
        && let Ok(value) = HeaderValue::try_from(list.join(","))
    {
        headers.insert(name, value);
    }
}

impl Way<'_> {
    /// Whether another attempt may follow one that ended so.
    pub(super) fn may_resend(
        &self,
        ordered: &mut Option<Box<Ordered>>,
        ending: Ending,
        deadline: Option<Instant>,
    ) -> Option<Resend> {
        let ordered = ordered.as_mut()?;
        // If it was a retry, it is none any more: the next needs no second place.
        ordered.repeat = None;
        if !ordered.tape.as_ref().is_some_and(Tape::is_kept) {
            return None;
        }
        let (deadline, now) = (deadline.or(ordered.deadline(self)), Instant::now());
        ordered.wanted.may_resend(&self.http.worker, ending, ordered.resent, deadline, now)
    }

    /// Waits for the time of another attempt, if there is one: its request.
    pub(super) async fn resend(
        &self,
        ordered: &mut Option<Box<Ordered>>,
        call: &mut Call,
        ending: Ending,
        resend: Option<Resend>,
    ) -> Option<(request::Parts, Upload)> {
        let (ordered, Resend { wait, repeat }) = (ordered.as_mut()?, resend?);
        call.repeated(ending, Instant::now());
        tokio::time::sleep(wait).await;
        ordered.resent += 1;
        ordered.repeat = repeat;
        let limit = self.http.worker.limits.body;
        let upload = Upload::kept(ordered.tape.as_ref()?, call.request_bytes(), limit);
        Some((ordered.request(), upload))
    }

    /// The answer to a preflight request, where it is one for the mesh.
    pub(super) fn preflight(&self, parts: &request::Parts) -> Option<Forwarded> {
        let (parts, body) = self.on_answer.borrow().preflight(parts)?.into_parts();
        Some(Forwarded::Answer(Box::new(parts), Box::new(Answer::own(Body::Whole(body)))))
    }

    /// Waits as long as a route delays the call.
    ///
    /// # Errors
    /// Where that is beyond its deadline.
    pub(super) async fn delay(&self, route: &Route) -> Result<(), Fault> {
        let Some(delay) = route.orders.delay else { return Ok(()) };
        let (until, deadline) = (Instant::now() + delay, self.until_head(route));
        sleep_until(deadline.map_or(until, |deadline| until.min(deadline)).into()).await;
        if deadline.is_none_or(|deadline| Instant::now() < deadline) {
            return Ok(());
        }
        Err(Fault::new(
            Reason::Timeout,
            format!("a rule delays the call by {} ms, beyond its deadline", delay.as_millis()),
            "shorten the delay, or give the call more time",
        ))
    }

    /// The route of a call whose endpoint depends on a cookie that it has not: it is given
    /// one, and goes where that leads from now on.
    pub(super) async fn with_cookie(
        &self,
        parts: &request::Parts,
        route: Route,
        first: &mut First,
    ) -> Route {
        let Some((name, path, ttl)) = wanted_cookie(&route, &parts.headers) else { return route };
        let roll = self.http.worker.dice.borrow_mut().roll();
        let value = format!("{:013x}", (roll * (1_u64 << 52) as f64) as u64);
        let mut asked = parts.clone();
        let Ok(cookie) = HeaderValue::try_from(format!("{name}={value}")) else { return route };
        if asked.headers.contains_key(COOKIE) {
            let before = asked.headers.get(COOKIE).and_then(|all| all.to_str().ok());
            let all = format!("{}; {name}={value}", before.unwrap_or_default());
            let Ok(all) = HeaderValue::try_from(all) else { return route };
            asked.headers.insert(COOKIE, all);
        } else {
            asked.headers.insert(COOKIE, cookie);
        }
        let mut given = format!("{name}=\"{value}\"");
        if !ttl.is_zero() {
            given += &format!("; Max-Age={}", ttl.as_secs());
        }
        if let Some(path) = path {
            given += &format!("; Path={path}");
        }
        given += "; HttpOnly";
        self.on_answer.borrow_mut().cookie = HeaderValue::try_from(given).ok();
        // What was rolled for this call counts, not what is rolled now.
        let Ok(mut there) = self.route(&asked, &Tried::new(), first, false).await else {
            return route;
        };
        (there.orders.delay, there.orders.mirrors) = (route.orders.delay, route.orders.mirrors);
        there
    }
}

/// The name, path and life of a cookie that the call's endpoint depends on.
fn wanted_cookie(
    route: &Route,
    headers: &HeaderMap,
) -> Option<(Box<str>, Option<Box<str>>, Duration)> {
    let hash = route.orders.policy.as_ref()?.hash.as_ref()?;
    let HashSource::Cookie { name, path, ttl: Some(ttl) } = &hash.source else { return None };
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|one| one.split_once('='));
    let is_there = pairs.any(|(key, _)| *key.trim() == **name);
    (!is_there).then(|| (name.clone(), path.clone(), *ttl))
}

/// Changes headers in order; whether there was something to change. What belongs to a
/// connection has to be taken out behind it: HTTP/2 refuses to write that.
fn edit(headers: &mut HeaderMap, edits: &[HeaderEdit]) -> bool {
    for edit in edits {
        let (name, value, adds) = match edit {
            HeaderEdit::Remove(name) => {
                headers.remove(&**name);
                continue;
            }
            HeaderEdit::Set(name, value) => (name, value, false),
            HeaderEdit::Add(name, value) => (name, value, true),
        };
        match (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
            (Ok(name), Ok(value)) if adds => drop(headers.append(name, value)),
            (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
            _ => tracing::debug!(?edit, "a call goes out without a change"),
        }
    }
    !edits.is_empty()
}

/// Gives a request another path or authority.
fn rewritten(parts: &mut request::Parts, rewrite: &Rewrite) {
    if let Some(authority) = &rewrite.authority {
        set_host(parts, authority);
    }
    let Some(path) = &rewrite.path else { return };
    let before = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let after = path.apply(before);
    let after = if after.starts_with('/') { after.into_owned() } else { format!("/{after}") };
    match PathAndQuery::try_from(after) {
        Ok(after) => {
            let mut uri = std::mem::take(&mut parts.uri).into_parts();
            uri.path_and_query = Some(after);
            parts.uri = Uri::from_parts(uri).unwrap_or_default();
        }
        Err(error) => tracing::debug!(%error, ?path, "a path is not rewritten"),
    }
}

/// Makes a request one for another host.
pub(super) fn set_host(parts: &mut request::Parts, host: &str) {
    let (Ok(authority), Ok(value)) = (Authority::try_from(host), HeaderValue::try_from(host))
    else {
        tracing::debug!(host, "a host is not rewritten");
        return;
    };
    if parts.uri.authority().is_some() {
        let mut uri = std::mem::take(&mut parts.uri).into_parts();
        uri.authority = Some(authority);
        parts.uri = Uri::from_parts(uri).unwrap_or_default();
    } else {
        parts.headers.insert(HOST, value);
    }
}

/// The host of a mirror's requests, as Envoy writes it: `shop-shadow:8080`.
pub(super) fn shadow(parts: &mut request::Parts) {
    let Some(host) = head::authority(parts) else { return };
    let shadow = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => format!("{name}-shadow:{port}"),
        _ => format!("{host}-shadow"),
    };
    set_host(parts, &shadow);
}
