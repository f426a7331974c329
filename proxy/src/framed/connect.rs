//! Connections: those that callers made to us, and those we make to endpoints.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use codec::{Fault, FrameCodec, Kind, Reason};
use governance::EndpointId;
use tokio::net::TcpStream;

use super::drive::{End, drive};
use super::engine::Engine;
use super::link::{Bound, Link, Role, State};
use crate::forward;
use crate::listener::Admitted;
use crate::metrics::Side;
use crate::route::Route;
use crate::worker::Dialed;

impl<C: FrameCodec> Engine<C> {
    /// Serves a caller until its connection ends, in a task of its own.
    pub(crate) fn serve(self: Rc<Self>, admitted: Admitted, socket: TcpStream, peer: SocketAddr) {
        let now = Instant::now();
        let listener = admitted.listener.clone();
        let (read, write) = socket.into_split();
        let link = Rc::new(Link::from_caller(self.number(), listener, peer, now));
        link.open(write, now);
        self.links.borrow_mut().insert(link.number, link.clone());
        tokio::task::spawn_local(async move {
            let end = drive(&self, &link, read).await;
            self.left(&link, &admitted.listener.name, &end);
        });
    }

    /// A caller is gone.
    fn left(self: &Rc<Self>, link: &Rc<Link<C>>, listener: &str, end: &End) {
        if matches!(end, End::Garbage(_) | End::Eof { mid_frame: true }) {
            tracing::warn!(peer = link.peer, listener, %end, "a caller's connection ended");
        } else {
            tracing::debug!(peer = link.peer, listener, %end, "a caller's connection ended");
        }

        self.forget(link);
        for upstream in link.bound.take() {
            upstream.link.bound.take();
            self.close(&upstream.link);
        }
        self.fail_all(link, Instant::now());
    }

    /// The connection that a call goes out by, which all callers of the
    /// endpoint share.
    pub(crate) fn shared_upstream(self: &Rc<Self>, route: &Route, now: Instant) -> Rc<Link<C>> {
        let index = route.hop.endpoint.0 as usize;
        if let Some(Some(link)) = self.upstreams.borrow().get(index)
            && !link.is_closed()
        {
            return link.clone();
        }
        let link = self.connect(route, now);
        let mut upstreams = self.upstreams.borrow_mut();
        if index >= upstreams.len() {
            upstreams.resize(index + 1, None);
        }
        upstreams[index] = Some(link.clone());
        link
    }

    /// The connection by which this caller alone calls this service. Its first
    /// call decides the endpoint: a later one may take back what that gave
    /// (Dubbo: unsubscribe a callback).
    pub(crate) fn bound_upstream(
        self: &Rc<Self>,
        caller: &Rc<Link<C>>,
        route: &mut Route,
        now: Instant,
    ) -> Rc<Link<C>> {
        let serves =
            |bound: &&Bound<C>| bound.service == route.method.service && !bound.link.is_closed();
        let existing = caller.bound.borrow().iter().find(serves).map(|bound| bound.link.clone());
        if let Some(link) = existing {
            if let Some(endpoint) = link.endpoint() {
                route.hop.endpoint = endpoint;
                route.index = route.method.index_of(endpoint).unwrap_or(route.index);
            }
            return link;
        }
        let link = self.connect(route, now);
        let service = &route.method.service;
        link.bound.borrow_mut().push(Bound { service: service.clone(), link: caller.clone() });
        caller.bound.borrow_mut().push(Bound { service: service.clone(), link: link.clone() });
        link
    }

    /// Starts to connect. What is appended meanwhile goes out when it succeeds,
    /// and to another endpoint when it does not.
    fn connect(self: &Rc<Self>, route: &Route, now: Instant) -> Rc<Link<C>> {
        let address = route.method.address_of(route.index).unwrap_or_default();
        let role = Role::Upstream(route.hop.endpoint);
        let link = Rc::new(Link::new(self.number(), role, address, now));
        self.links.borrow_mut().insert(link.number, link.clone());
        let pool = route.orders.policy.as_ref().and_then(|policy| policy.connection_pool.as_ref());
        let said = pool.and_then(|pool| pool.connect_timeout);
        let limit = said.unwrap_or(self.worker.timeouts.connect);
        let running = self.clone().run_upstream(link.clone(), route.hop.endpoint, limit);
        tokio::task::spawn_local(running);
        link
    }

    async fn run_upstream(
        self: Rc<Self>,
        link: Rc<Link<C>>,
        endpoint: EndpointId,
        limit: Duration,
    ) {
        let Dialed { socket, own: _own } = match self.worker.dial_within(&*link.peer, limit).await {
            Ok(dialed) if !link.is_closed() => dialed,
            Ok(_) => return self.lost(&link, None),
            Err(error) => {
                self.worker.connect_failed(endpoint, &link.peer, &error);
                self.app_leaves(endpoint);
                return self.lost(&link, Some(endpoint));
            }
        };
        let (read, write) = socket.into_split();
        let opened = Instant::now();
        link.open(write, opened);
        for stay in link.pending.borrow_mut().calls_mut().filter_map(|call| call.stay.as_mut()) {
            stay.waiting = None;
        }
        self.drop_expired(&link);
        self.flush_soon(&link);
        self.worker.health.connected(endpoint);
        self.app_answers(endpoint);
        self.worker.metrics.connection_opened(Side::Upstream);
        tracing::info!(endpoint = link.peer, "connected");

        let end = drive(&self, &link, read).await;
        tracing::info!(endpoint = link.peer, %end, "disconnected");
        self.worker.metrics.connection_closed(Side::Upstream);
        self.worker.health.failed(endpoint, Instant::now());
        // One that hangs up on everybody would be connected to again and again.
        let silent = link.last_read.get() == opened;
        self.lost(&link, silent.then_some(endpoint));
    }

    /// Forgets requests that were given up while the connection was made.
    fn drop_expired(&self, link: &Link<C>) {
        for frame in link.take_unsent() {
            let expired = match C::meta(&frame) {
                Ok(meta) if meta.kind == (Kind::Request { one_way: false }) => {
                    link.pending.borrow().get::<C>(meta.id).is_none()
                }
                _ => false,
            };
            if !expired {
                link.push(frame);
            }
        }
    }

    /// A connection to an endpoint is gone: what was never sent goes another
    /// way, the rest is answered.
    fn lost(self: &Rc<Self>, link: &Rc<Link<C>>, avoid: Option<EndpointId>) {
        let now = Instant::now();
        link.state.set(State::Closed);
        self.forget(link);
        for caller in link.bound.take() {
            caller.link.bound.borrow_mut().retain(|bound| !Rc::ptr_eq(&bound.link, link));
        }
        for frame in link.take_unsent() {
            forward::resend(self, link, frame, avoid, now);
        }
        self.fail_all(link, now);
    }

    fn fail_all(self: &Rc<Self>, link: &Link<C>, now: Instant) {
        let calls = link.pending.borrow_mut().take_all();
        for call in calls {
            let fault = Fault::new(
                Reason::ConnectionLost,
                format!("the connection to {} broke before the answer came", link.peer),
                "the provider may have acted on the call; repeat it only if that does no harm",
            );
            forward::fail(self, link, call, &fault, now);
        }
    }

    fn forget(&self, link: &Rc<Link<C>>) {
        link.hang_up();
        self.links.borrow_mut().remove(&link.number);
        let Some(endpoint) = link.endpoint() else { return };
        let mut upstreams = self.upstreams.borrow_mut();
        if let Some(shared) = upstreams.get_mut(endpoint.0 as usize)
            && shared.as_ref().is_some_and(|shared| Rc::ptr_eq(shared, link))
        {
            *shared = None;
        }
    }
}
