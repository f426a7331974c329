//! A caller of any protocol: what it sends, and what it makes of the answer.

use std::io;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::server::message_after;
use super::spoken::Spoken;
use crate::http::peers;
use crate::wire::{self, READ_ONLY, SERVICE, SOON, Wire};

/// For the peers of HTTP/2, which are futures.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// What is called.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The first method of the protocol, unless it is another.
    pub method: Option<&'static str>,
    /// Attachments, or headers.
    pub fields: Vec<(&'static str, &'static str)>,
    /// How long the caller waits, where the protocol can say so.
    pub within: Option<Duration>,
}

impl Call {
    pub fn with(name: &'static str, value: &'static str) -> Call {
        Call { fields: vec![(name, value)], ..Call::default() }
    }

    pub fn of(method: &'static str) -> Call {
        Call { method: Some(method), ..Call::default() }
    }
}

/// What a caller got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A server's own, with its name.
    From(String),
    /// A server's own failure.
    Refused,
    /// The mesh's, in the protocol's own form, with its reason.
    Fault(String),
    /// None: the connection was closed.
    Closed,
}

impl Answer {
    pub fn from(name: &str) -> Answer {
        Answer::From(name.to_owned())
    }

    pub fn fault(reason: &str) -> Answer {
        Answer::Fault(reason.to_owned())
    }
}

/// A message of gRPC.
pub fn framed(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}

/// One connection.
pub struct Caller {
    spoken: Spoken,
    peer: Peer,
    /// It was asked to make no more calls.
    is_told: bool,
}

enum Peer {
    Bytes(Wire),
    Streams(SendRequest<Bytes>),
}

impl Caller {
    pub fn connect(spoken: Spoken, to: SocketAddr) -> Caller {
        let peer = if spoken.is_http2() {
            Peer::Streams(RUNTIME.block_on(async {
                let socket = TcpStream::connect(to).await.unwrap();
                let (caller, connection) = h2::client::handshake(socket).await.unwrap();
                tokio::spawn(async move { drop(connection.await) });
                caller
            }))
        } else {
            Peer::Bytes(Wire::connect(to))
        };
        Caller { spoken, peer, is_told: false }
    }

    /// Makes a call and waits for its answer. A connection is one, and over then.
    pub fn call(&mut self, call: &Call) -> Answer {
        let spoken = self.spoken;
        let method = call.method.unwrap_or(spoken.methods()[0]);
        match &mut self.peer {
            Peer::Streams(caller) => RUNTIME.block_on(stream(caller, spoken, method, call)),
            Peer::Bytes(wire) => match spoken {
                Spoken::Dubbo => dubbo(wire, method, call, &mut self.is_told),
                Spoken::Http1 => http1(wire, method, call, &mut self.is_told),
                _ => connection(wire),
            },
        }
    }

    /// Whether it is asked to make no more calls, sooner or later.
    pub fn is_told(&mut self) -> bool {
        let Peer::Streams(caller) = &mut self.peer else { return self.is_told };
        let gone = async {
            loop {
                let ready = std::future::poll_fn(|cx| caller.poll_ready(cx)).await;
                if let Err(error) = ready {
                    return error.is_go_away() || error.is_io();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        RUNTIME.block_on(async { tokio::time::timeout(SOON, gone).await.unwrap_or(false) })
    }

    /// Whether the connection was turned away before it said a word.
    pub fn is_turned_away(to: SocketAddr) -> bool {
        Wire::connect(to).is_closed()
    }
}

/// What came; silence is no end.
fn unless_closed<T>(came: io::Result<T>) -> Option<T> {
    let ends =
        [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    came.map_err(|error| assert!(ends.contains(&error.kind()), "no answer: {error}")).ok()
}

/// The reason in a text that names Spanwire.
fn reason(text: &str) -> Option<Answer> {
    let (_, behind) = text.split_once("Spanwire [")?;
    let (reason, _) = behind.split_once("]: ")?;
    Some(Answer::fault(reason))
}

fn dubbo(wire: &mut Wire, method: &str, call: &Call, is_told: &mut bool) -> Answer {
    let timeout = call.within.unwrap_or(Duration::from_secs(60)).as_millis().to_string();
    let mut attachments = vec![("timeout", timeout.as_str())];
    attachments.extend(&call.fields);
    let request = wire::Request { method, attachments, ..wire::Request::new(1) };
    if wire.try_send(&request.bytes()).is_err() {
        return Answer::Closed;
    }
    loop {
        let Some(frame) = unless_closed(wire.try_next()).flatten() else { return Answer::Closed };
        if frame.flags == READ_ONLY {
            *is_told = true;
            continue;
        }
        let text = frame.text();
        return match (frame.status, frame.body.split_first()) {
            (_, _) if text.contains("Spanwire [") => reason(&text).unwrap(),
            // A value, unwrapped: a short string.
            (20, Some((0x91, value))) => Answer::from(&String::from_utf8_lossy(&value[1..])),
            _ => Answer::Refused,
        };
    }
}

fn problem(body: &[u8]) -> Answer {
    let problem: serde_json::Value = serde_json::from_slice(body).expect("a problem in JSON");
    Answer::fault(problem["reason"].as_str().expect("a reason"))
}

fn http1(wire: &mut Wire, method: &str, call: &Call, is_told: &mut bool) -> Answer {
    let mut head = format!("{method} / HTTP/1.1\r\nHost: {SERVICE}\r\n");
    for (name, value) in &call.fields {
        head += &format!("{name}: {value}\r\n");
    }
    if wire.try_send(format!("{head}Content-Length: 5\r\n\r\nhello").as_bytes()).is_err() {
        return Answer::Closed;
    }
    let Some(first) = unless_closed(wire.try_take()) else { return Answer::Closed };
    let (head, body) = message_after(first, wire);
    let lower = head.to_ascii_lowercase();
    *is_told = lower.contains("\r\nconnection: close\r\n");
    match lower.contains("\r\ncontent-type: application/problem+json\r\n") {
        true => problem(body.as_bytes()),
        false if lower.starts_with("http/1.1 200 ") => Answer::From(body),
        false => Answer::Refused,
    }
}

async fn stream(
    caller: &mut SendRequest<Bytes>,
    spoken: Spoken,
    method: &str,
    call: &Call,
) -> Answer {
    let mut request = match spoken.is_grpc() {
        true => peers::request(&format!("http://mesh/{SERVICE}/{method}")),
        false => http::Request::builder()
            .method(method)
            .uri(format!("http://{SERVICE}/"))
            .body(())
            .unwrap(),
    };
    let headers = request.headers_mut();
    if spoken == Spoken::Triple {
        headers.insert("tri-consumer-appname", "web".parse().unwrap());
    }
    if let Some(within) = call.within.filter(|_| spoken.is_grpc()) {
        headers.insert("grpc-timeout", format!("{}m", within.as_millis()).parse().unwrap());
    }
    for (name, value) in &call.fields {
        headers.insert(*name, value.parse().unwrap());
    }
    let body = if spoken.is_grpc() { framed("hello") } else { Bytes::from_static(b"hello") };
    let Ok(answer) = peers::call(caller, request, &body).await else { return Answer::Closed };
    if spoken.is_grpc() {
        let (status, message) = answer.grpc();
        return match reason(message) {
            // Java would make an error of its own of the details.
            Some(fault) => {
                let detailed = answer.headers.contains_key("grpc-status-details-bin");
                assert_eq!(detailed, spoken == Spoken::Grpc, "{answer:?}");
                fault
            }
            None if status == "0" => Answer::from(&String::from_utf8_lossy(&answer.body[5..])),
            None => Answer::Refused,
        };
    }
    match answer.headers.get("content-type") {
        Some(kind) if kind == "application/problem+json" => problem(&answer.body),
        _ if answer.status == 200 => Answer::from(&String::from_utf8_lossy(&answer.body)),
        _ => Answer::Refused,
    }
}

fn connection(wire: &mut Wire) -> Answer {
    if wire.try_send(b"hello\n").is_err() {
        return Answer::Closed;
    }
    let mut name = String::new();
    loop {
        match unless_closed(wire.try_take()) {
            Some(b'\n') => return Answer::From(name),
            Some(byte) => name.push(char::from(byte)),
            None => return Answer::Closed,
        }
    }
}
