//! A caller's HTTP/2 connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::header::EXPECT;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::time::timeout;

use super::body::{Body, Source as _};
use super::caller::{CUTS, Caller};
use super::forward::{Forwarded, forward};
use super::gather::{Gathered, Turn, gather};
use super::grpc_web::{self, Served};
use super::liveness::Liveness;
use super::pump::Pump;
use super::socket::Socket;
use super::{CONNECTION_WINDOW, FRAME, Http, Open, STREAM_WINDOW};
use crate::listener::Admitted;
use crate::metrics::Side;

/// Streams that a caller may have open.
const STREAMS: u32 = 1024;
/// How long a caller may take for the first bytes of the protocol.
const PREFACE: Duration = Duration::from_secs(10);

/// How long a stream is kept that the mesh answers while its request may still come: to the
/// reset that would follow, some callers (curl 7.88) lose the answer.
const LINGER: Duration = Duration::from_millis(250);

type Driver = server::Connection<Gathered, Bytes>;

/// What a caller's connection consists of.
struct Connection {
    driver: Driver,
    liveness: Rc<Liveness>,
    /// It was asked for no more calls.
    is_leaving: bool,
}

/// Serves a caller until its connection ends.
///
/// Written so that an idle connection holds little beside what h2 does: nothing is in two
/// places, and no timer or notification is waited for one by one.
pub(super) fn serve(
    open: Open,
    admitted: Rc<Admitted>,
    caller: Rc<Caller>,
    socket: Socket,
) -> impl Future<Output = ()> {
    let heard = socket.heard();
    let (socket, turn) = gather(socket);
    async move {
        let handshake = server::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .max_header_list_size(open.0.worker.limits.head)
            .max_concurrent_streams(STREAMS)
            // What is cut is counted here, for longer: another proxy's calls come by one
            // connection, and h2's own limit (20) would end it for a few callers' cuts.
            .max_pending_accept_reset_streams(CUTS as usize)
            .handshake::<_, Bytes>(socket);
        let mut connection = match timeout(PREFACE, handshake).await {
            Ok(Ok(driver)) => Connection::new(&open.0, driver, heard),
            Ok(Err(error)) => {
                open.0.worker.metrics.decode_error(Side::Downstream);
                let peer = caller.address;
                tracing::warn!(%peer, %error, "no HTTP/2 connection came about");
                return;
            }
            Err(_) => {
                let peer = caller.address;
                tracing::info!(%peer, "closed: it does not go on after HTTP/2's first bytes");
                return;
            }
        };
        turn.begin();
        poll_fn(|cx| connection.poll(&open.0, &caller, &turn, cx)).await;
        drop(connection);
        drop(admitted); // it counts until its socket is closed
    }
}

impl Connection {
    fn new(http: &Http, mut driver: Driver, heard: Arc<AtomicBool>) -> Self {
        let liveness = http.watch(Side::Downstream, heard, driver.ping_pong());
        Connection { driver, liveness, is_leaving: false }
    }

    /// Takes the caller's streams until its connection ends. Each is a task of its
    /// own: one that waits holds nobody up.
    fn poll(
        &mut self,
        http: &Rc<Http>,
        caller: &Rc<Caller>,
        turn: &Turn,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.liveness.poll_dead(cx).is_ready() {
            tracing::info!(peer = %caller.address, "closed: it does not answer pings");
            return Poll::Ready(());
        }
        if http.draining.get() && !std::mem::replace(&mut self.is_leaving, true) {
            http.worker.metrics.go_away_sent(Side::Downstream);
            self.driver.graceful_shutdown();
        }
        loop {
            if caller.is_abusive() {
                self.driver.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            match self.driver.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let (http, caller) = (http.clone(), caller.clone());
                    tokio::task::spawn_local(stream(http, caller, request, respond));
                }
                Poll::Ready(Some(Err(error))) => {
                    // A caller that hangs up breaks nothing but its own calls.
                    let peer = caller.address;
                    if error.is_io() {
                        tracing::debug!(%peer, %error, "a caller's connection ended");
                    } else {
                        http.worker.metrics.decode_error(Side::Downstream);
                        tracing::warn!(%peer, %error, "a caller's connection ended");
                    }
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {
                    turn.end(cx);
                    return Poll::Pending;
                }
            }
        }
    }
}

/// One call. What it is made of is taken apart before it is a task, which would hold it
/// twice.
fn stream(
    http: Rc<Http>,
    caller: Rc<Caller>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> impl Future<Output = ()> {
    let (mut parts, body) = request.into_parts();
    async move {
        if poll_fn(|cx| Poll::Ready(respond.poll_reset(cx).is_ready())).await {
            return caller.cut(); // before anybody took it up
        }
        let is_whole = body.is_end_stream();
        let body = if is_whole { Body::Empty } else { Body::Http2(body) };
        let expected = parts.headers.get(EXPECT).map(HeaderValue::as_bytes);
        if expected.is_some_and(|expected| expected.eq_ignore_ascii_case(b"100-continue")) {
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            // A caller that is gone is noticed below.
            let _ = respond.send_informational(go_on);
        }
        let (form, body) = grpc_web::translate(&http, &caller, &mut parts, body);
        let mut forwarded = pin!(forward(&http, &caller, parts, body, None));
        let forwarded = poll_fn(|cx| match forwarded.as_mut().poll(cx) {
            Poll::Ready(forwarded) => Poll::Ready(Some(forwarded)),
            // Whoever cuts the stream cuts the call, which is dropped with this.
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
        });
        let Some(forwarded) = forwarded.await else { return caller.cut() };
        let is_own = matches!(&forwarded, Forwarded::Answer(_, answer) if answer.is_own);
        let (parts, answer) = match grpc_web::reply(form, forwarded) {
            Served::Answer(parts, answer) => (*parts, answer),
            Served::Reset(reason, _) => return respond.send_reset(reason),
        };
        let ends = answer.is_end();
        match respond.send_response(Response::from_parts(parts, ()), ends) {
            Ok(_) if ends => {}
            Ok(stream) => {
                Pump::new(answer, stream).await;
            }
            Err(error) => {
                tracing::debug!(peer = %caller.address, %error, "an answer was for nobody")
            }
        }
        if is_own && !is_whole {
            drop(timeout(LINGER, poll_fn(|cx| respond.poll_reset(cx))).await);
        }
    }
}
