//! A caller's HTTP/1.1 connection (or HTTP/1.0).

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codec::http::{answer as own, hop};
use http::header::EXPECT;
use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::answer::Answer;
use super::body::{Body, Pulled};
use super::caller::Caller;
use super::coarse::{Coarse, TICK};
use super::faults::broken_off;
use super::forward::forward;
use super::grpc_web::{self, Reply, Served};
use super::h2c::Switched;
use super::linger::{Back, Http1, Linger};
use super::socket::Socket;
use super::{Http, Open};
use crate::listener::Admitted;
use crate::metrics::Side;

/// How long a caller may take for a request's head, and for its next request, give or take
/// a [`TICK`]: above what clients commonly keep idle connections for.
const HEAD: Duration = Duration::from_secs(300);

pub(super) async fn serve(open: Open, admitted: Rc<Admitted>, caller: Rc<Caller>, socket: Socket) {
    let switched = Cell::new(None);
    let ended = drive(&open.0, &caller, socket, &switched).await;
    let peer = caller.address;
    match ended {
        Err(error) if error.is_parse() => {
            open.0.worker.metrics.decode_error(Side::Downstream);
            tracing::warn!(%peer, %error, "a caller's connection ended");
        }
        Err(error) => tracing::debug!(%peer, %error, "a caller's connection ended"),
        Ok(()) => match switched.take() {
            // Boxed: most connections never are, and need no room for it.
            Some(switched) => Box::pin(switched.serve(open, admitted, &caller)).await,
            None => tracing::debug!(%peer, "a caller's connection ended"),
        },
    }
}

/// Serves its calls over HTTP/1.1.
async fn drive(
    http: &Rc<Http>,
    caller: &Rc<Caller>,
    socket: Socket,
    switched: &Cell<Option<Switched>>,
) -> hyper::Result<()> {
    let limits = &http.worker.limits;
    let socket = socket.watched(limits.head as usize, caller.tunnel.clone());
    let service = service_fn(|request| answer(http, caller, request, switched));
    let clock = Coarse::new();
    let connection = http1::Builder::new()
        .timer(clock.clone())
        .header_read_timeout(HEAD)
        .preserve_header_case(true)
        .max_header_size(limits.head as usize)
        .max_buf_size(http.h1_buffer())
        .auto_date_header(false)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut ticks = tokio::time::interval(TICK);
    let mut drains = pin!(http.drains());
    let mut is_leaving = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = drains.as_mut(), if !is_leaving => {
                is_leaving = true;
                http.worker.metrics.go_away_sent(Side::Downstream);
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => clock.tick(),
        }
    }
}

async fn answer(
    http: &Rc<Http>,
    caller: &Rc<Caller>,
    mut request: Request<Incoming>,
    switched: &Cell<Option<Switched>>,
) -> Result<Response<Pulled<Reply>>, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    if body.is_end_stream()
        && let Some(asked) = Switched::asked(http, caller, &parts, &upgrade)
    {
        switched.set(Some(asked));
        caller.tunnel.store(true, Ordering::Relaxed);
        return Ok(Switched::answer().map(|answer| Pulled(Reply::Whole(Box::new(answer)))));
    }
    let tunnel = hop::upgrade(&parts.headers).map(|to| (to, upgrade));
    // Of most requests nothing can be left: they have no body.
    let (body, back) = match body.is_end_stream() {
        true => (Body::Empty, None),
        false => {
            let back = Rc::new(Back::default());
            (Body::Http1(Http1::lent(body, back.clone())), Some(back))
        }
    };
    // Whoever waits for a word before it sends a body needs none.
    let waits = parts.headers.contains_key(EXPECT);
    let (form, body) = grpc_web::translate(http, caller, &mut parts, body);
    let tunnel = tunnel.filter(|_| form.is_none());
    let forwarded = forward(http, caller, parts, body, tunnel).await;
    let (parts, mut answer) = match grpc_web::reply(form, forwarded) {
        Served::Answer(parts, answer) => (*parts, answer),
        // HTTP/1.1 has no word for it but a status.
        Served::Reset(reason, on_answer) => {
            let fault = broken_off(reason);
            let (mut parts, body) = own::problem(own::status(fault.reason), &fault).into_parts();
            on_answer.apply(&mut parts.headers);
            (parts, Reply::Whole(Box::new(Answer::own(Body::Whole(body)))))
        }
    };
    match back {
        Some(back) if back.is_there() && !waits => {
            let mut linger = Linger::new(back);
            poll_fn(|cx| linger.poll(cx)).await;
        }
        Some(back) => answer.linger(back),
        None => {}
    }
    Ok(Response::from_parts(parts, Pulled(answer)))
}
