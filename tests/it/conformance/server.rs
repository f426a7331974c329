//! A server of any protocol that does as it is told: answers with its name, refuses,
//! breaks off, or holds what came.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use tokio::sync::Notify;

use super::caller::{RUNTIME, framed};
use super::spoken::Spoken;
use crate::counters::wait_until;
use crate::http::http1;
use crate::http::peers::{drain, status, write};
use crate::policies::refusal;
use crate::wire::{Frame, PONG, Provider, SOON, Wire, own_address, string};

/// A call as it came to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub method: String,
    /// Attachments, or headers.
    pub fields: Vec<(String, String)>,
}

impl Arrival {
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The server's name.
    Name,
    /// A failure in the protocol's own words; a connection has none, and is broken off.
    Refusal,
    /// The connection is broken off.
    Break,
}

#[derive(Debug, Default)]
struct State {
    arrivals: Vec<Arrival>,
    /// What becomes of the next calls, the first one last.
    next: Vec<Reply>,
    is_held: bool,
}

/// One server.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: &'static str,
    pub address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Server {
    /// Starts one that answers with its name.
    pub fn start(spoken: Spoken, name: &'static str) -> Server {
        let state = Arc::default();
        if spoken.is_http2() {
            let listener = RUNTIME.block_on(tokio::net::TcpListener::bind(own_address())).unwrap();
            let server = Server { name, address: listener.local_addr().unwrap(), state };
            RUNTIME.spawn(server.clone().serve_http2(listener, spoken));
            return server;
        }
        let provider = Provider::new();
        let server = Server { name, address: provider.address(), state };
        let serving = server.clone();
        std::thread::spawn(move || {
            // Nobody comes any more once its test is over.
            while let Some(wire) = provider.try_accept_within(SOON * 12) {
                let server = serving.clone();
                std::thread::spawn(move || match spoken {
                    Spoken::Dubbo => server.serve_dubbo(wire),
                    Spoken::Http1 => server.serve_http1(wire),
                    _ => server.serve_tcp(wire),
                });
            }
        });
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    /// What has come.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.state().arrivals.clone()
    }

    /// Waits until so many calls have come.
    #[track_caller]
    pub fn wait_for(&self, wanted: usize) {
        wait_until(&format!("{wanted} calls at {}", self.name), || {
            let came = self.state().arrivals.len();
            if came == wanted { Ok(()) } else { Err(format!("{came} came")) }
        });
    }

    /// The next `count` calls get this, and then their name again.
    pub fn reply(&self, reply: Reply, count: usize) {
        self.state().next = vec![reply; count];
    }

    /// Holds calls that come; see [`Server::release`].
    pub fn hold(&self) {
        self.state().is_held = true;
    }

    /// Goes on with those that are held.
    pub fn release(&self) {
        self.state().is_held = false;
        self.state.1.notify_all();
    }

    /// Notes a call, and says what becomes of it once it is not held.
    fn take(&self, arrival: Arrival) -> Reply {
        let mut state = self.state();
        state.arrivals.push(arrival);
        let reply = state.next.pop().unwrap_or(Reply::Name);
        let (_, held) = &*self.state;
        drop(held.wait_timeout_while(state, SOON * 4, |state| state.is_held).unwrap());
        reply
    }

    fn serve_dubbo(self, mut wire: Wire) {
        while let Ok(Some(frame)) = wire.try_next() {
            let (mut to, server) = (wire.clone(), self.clone());
            match frame.flags & 0xe0 {
                // Other calls on the connection are not held up.
                0xc0 => drop(std::thread::spawn(move || {
                    let answer = match server.take(dubbo_call(&frame.body)) {
                        Reply::Name => frame.answer(&string(server.name)),
                        Reply::Refusal => refusal(&frame),
                        Reply::Break => return to.hang_up(),
                    };
                    drop(to.try_send(&answer.bytes()));
                })),
                0xe0 => {
                    let id = frame.id;
                    let pong = Frame { flags: PONG, status: 20, id, body: b"N".to_vec() };
                    drop(to.try_send(&pong.bytes()));
                }
                _ => {}
            }
        }
    }

    fn serve_http1(self, mut wire: Wire) {
        while let Ok(first) = wire.try_take() {
            let (head, _body) = message_after(first, &mut wire);
            let mut lines = head.lines();
            let method = lines.next().and_then(|line| line.split(' ').next()).unwrap_or_default();
            let fields = lines.filter_map(|line| line.split_once(": "));
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let status = match self.take(Arrival { method: method.to_owned(), fields }) {
                Reply::Name => "200 OK",
                Reply::Refusal => "503 Service Unavailable",
                Reply::Break => return,
            };
            let length = self.name.len();
            let name = self.name;
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{name}");
            if wire.try_send(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn serve_tcp(self, mut wire: Wire) {
        // Until the caller has said its line.
        loop {
            match wire.try_take() {
                Ok(b'\n') => break,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        let arrival = Arrival { method: "connect".to_owned(), fields: Vec::new() };
        if self.take(arrival) != Reply::Name {
            return wire.reset();
        }
        // It goes on until the caller ends it.
        if wire.try_send(format!("{}\n", self.name).as_bytes()).is_ok() {
            while wire.try_take().is_ok() {}
        }
    }

    async fn serve_http2(self, listener: tokio::net::TcpListener, spoken: Spoken) {
        while let Ok((socket, _)) = listener.accept().await {
            let server = self.clone();
            tokio::spawn(async move {
                let broken = Arc::new(Notify::new());
                let Ok(mut connection) = h2::server::handshake(socket).await else { return };
                loop {
                    let next = tokio::select! {
                        next = connection.accept() => next,
                        () = broken.notified() => return,
                    };
                    let Some(Ok((request, respond))) = next else { return };
                    tokio::spawn(server.clone().stream(request, respond, spoken, broken.clone()));
                }
            });
        }
    }

    async fn stream(
        self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        spoken: Spoken,
        broken: Arc<Notify>,
    ) {
        let (parts, body) = request.into_parts();
        if drain(body).await.is_err() {
            return;
        }
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        let path = parts.uri.path().rsplit('/').next().unwrap_or_default();
        let arrival = Arrival {
            method: if spoken.is_grpc() { path } else { parts.method.as_str() }.to_owned(),
            fields: parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
        };
        let server = self.clone();
        let taken = tokio::task::spawn_blocking(move || server.take(arrival));
        let name = Bytes::from_static(self.name.as_bytes());
        let (head, message, end) = match (taken.await.unwrap(), spoken.is_grpc()) {
            (Reply::Break, _) => {
                broken.notify_one();
                // Let go of sooner, the stream would be reset by itself.
                return tokio::time::sleep(SOON).await;
            }
            (Reply::Name, false) => (Response::builder(), Some(name), None),
            (Reply::Refusal, false) => (Response::builder().status(503), Some(name), None),
            (Reply::Name, true) => {
                (Response::builder(), Some(framed(self.name)), Some(status("0")))
            }
            (Reply::Refusal, true) => (Response::builder().header("grpc-status", "14"), None, None),
        };
        let head = match spoken.is_grpc() {
            true => head.header("content-type", "application/grpc+proto"),
            false => head,
        };
        // The caller may have given up.
        let Ok(mut answer) = respond.send_response(head.body(()).unwrap(), message.is_none())
        else {
            return;
        };
        let Some(message) = message else { return };
        if write(&mut answer, message).await.is_ok() {
            let _ = match end {
                Some(trailers) => answer.send_trailers(trailers),
                None => answer.send_data(Bytes::new(), true),
            };
        }
    }
}

/// A message of HTTP/1.1 whose first byte has come.
pub fn message_after(first: u8, wire: &mut Wire) -> (String, String) {
    let head = char::from(first).to_string() + &http1::head(wire);
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let body = wire.take(length.map_or(0, |length| length.parse().unwrap()));
    (head, String::from_utf8(body).unwrap())
}

/// The method and attachments of a call's body as [`crate::wire::Request`] writes it.
fn dubbo_call(body: &[u8]) -> Arrival {
    let mut rest = body;
    let mut texts: Vec<String> = Vec::new();
    while let Ok(text) = read_string(&mut rest) {
        texts.push(text);
    }
    // Version, service, its version, method, types, one argument; then the map.
    let method = texts.get(3).cloned().unwrap_or_default();
    let mut fields = Vec::new();
    rest = rest.get(1..).unwrap_or_default();
    while let (Ok(name), Ok(value)) = (read_string(&mut rest), read_string(&mut rest)) {
        fields.push((name, value));
    }
    Arrival { method, fields }
}

/// A short or middling string of hessian2, in ASCII.
fn read_string(rest: &mut &[u8]) -> io::Result<String> {
    let none = || io::Error::from(io::ErrorKind::InvalidData);
    let (length, behind) = match **rest {
        [length @ 0..32, ref behind @ ..] => (usize::from(length), behind),
        [high @ 0x30..0x34, low, ref behind @ ..] => {
            (usize::from(high - 0x30) << 8 | usize::from(low), behind)
        }
        _ => return Err(none()),
    };
    let text = behind.get(..length).ok_or_else(none)?;
    *rest = &behind[length..];
    Ok(String::from_utf8_lossy(text).into_owned())
}
