//! A caller's HTTP/2 connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::header::EXPECT;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::body::{Body, Source as _};
use super::caller::Caller;
use super::gather::{Gathered, Turn, gather};
use super::grpc_web::{self, Served};
use super::liveness::Liveness;
use super::pump::Pump;
use super::socket::Socket;
use super::{CONNECTION_WINDOW, FRAME, Http, STREAM_WINDOW};
use crate::metrics::Side;

/// Streams that a caller may have open.
const STREAMS: u32 = 1024;
/// How long a caller may take for the first bytes of the protocol.
const PREFACE: Duration = Duration::from_secs(10);

type Driver = server::Connection<Gathered, Bytes>;

pub(super) async fn serve(http: &Rc<Http>, caller: Rc<Caller>, socket: TcpStream) {
    let heard = Liveness::heard();
    let metrics = http.worker.metrics.clone();
    let (socket, turn) = gather(Socket::accepted(socket, metrics, heard.clone()));
    let handshake = server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(http.worker.limits.head)
        .max_concurrent_streams(STREAMS)
        .handshake::<_, Bytes>(socket);
    let peer = caller.address;
    let mut driver = match timeout(PREFACE, handshake).await {
        Ok(Ok(driver)) => driver,
        Ok(Err(error)) => {
            http.worker.metrics.decode_error(Side::Downstream);
            tracing::warn!(%peer, %error, "no HTTP/2 connection came about");
            return;
        }
        Err(_) => {
            tracing::info!(%peer, "closed: it does not go on after HTTP/2's first bytes");
            return;
        }
    };
    let liveness = http.watch(Side::Downstream, heard, driver.ping_pong());
    turn.begin();
    tokio::select! {
        () = take_streams(http, &caller, &mut driver, &turn) => {}
        () = liveness.is_dead() => tracing::info!(%peer, "closed: it does not answer pings"),
    }
}

/// Takes the caller's streams until its connection ends. Each is a task of its
/// own: one that waits holds nobody up.
async fn take_streams(http: &Rc<Http>, caller: &Rc<Caller>, driver: &mut Driver, turn: &Turn) {
    let mut drains = pin!(http.drains());
    let mut told = false;
    loop {
        let accepted = poll_fn(|cx| {
            if !told && drains.as_mut().poll(cx).is_ready() {
                told = true;
                driver.graceful_shutdown();
            }
            if caller.is_abusive() {
                driver.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            let accepted = driver.poll_accept(cx);
            if accepted.is_pending() {
                turn.end(cx);
            }
            accepted
        });
        match accepted.await {
            Some(Ok((request, respond))) => {
                let (http, caller) = (http.clone(), caller.clone());
                tokio::task::spawn_local(stream(http, caller, request, respond));
            }
            Some(Err(error)) => {
                // A caller that hangs up breaks nothing but its own calls.
                if error.is_io() {
                    tracing::debug!(peer = %caller.address, %error, "a caller's connection ended");
                } else {
                    http.worker.metrics.decode_error(Side::Downstream);
                    tracing::warn!(peer = %caller.address, %error, "a caller's connection ended");
                }
                return;
            }
            None => return,
        }
    }
}

/// One call.
async fn stream(
    http: Rc<Http>,
    caller: Rc<Caller>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (parts, body) = request.into_parts();
    let body = if body.is_end_stream() { Body::Empty } else { Body::Http2(body) };
    if parts.headers.get(EXPECT) == Some(&HeaderValue::from_static("100-continue")) {
        let mut go_on = Response::new(());
        *go_on.status_mut() = StatusCode::CONTINUE;
        // A caller that is gone is noticed below.
        let _ = respond.send_informational(go_on);
    }
    let mut forwarded = pin!(grpc_web::serve(&http, &caller, parts, body, None));
    let forwarded = poll_fn(|cx| match forwarded.as_mut().poll(cx) {
        Poll::Ready(forwarded) => Poll::Ready(Some(forwarded)),
        // Whoever cuts the stream cuts the call, which is dropped with this.
        Poll::Pending => respond.poll_reset(cx).map(|_| None),
    });
    let (parts, answer) = match forwarded.await {
        Some(Served::Answer(parts, answer)) => (*parts, answer),
        Some(Served::Reset(reason)) => return respond.send_reset(reason),
        None => return caller.cut(),
    };
    let ends = answer.is_end();
    match respond.send_response(Response::from_parts(parts, ()), ends) {
        Ok(_) if ends => {}
        Ok(stream) => {
            Pump::new(answer, stream).await;
        }
        Err(error) => tracing::debug!(peer = %caller.address, %error, "an answer was for nobody"),
    }
}
