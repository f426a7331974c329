//! HTTP/2 peers that a test speaks for.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use proxy::config::{Config, Direction, Listener, Protocol, StaticService};
use proxy::server::Proxy;
use tokio::net::{TcpListener, TcpStream};

use crate::counters::{IN_FLIGHT, wait_for};
use crate::wire::{self, SERVICE, listener, outbound, own_address, service};

/// The window that peers have for a stream and a connection: the protocol's own.
pub const WINDOW: usize = 65_535;

/// What a client begins with: the preface, and settings that say nothing.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An outbound listener `http` for everything, and the tests' service in `protocol`.
pub fn http(protocol: Protocol, endpoints: &[SocketAddr]) -> Config {
    let served = StaticService { protocol, ..service(SERVICE, endpoints) };
    let protocols = vec![Protocol::Dubbo, Protocol::Grpc, Protocol::Http1, Protocol::Http2];
    let listener = Listener { protocols, ..listener("http", Direction::Outbound) };
    Config { services: vec![served], listeners: vec![listener], ..outbound(&[]) }
}

/// A proxy before gRPC servers, and a caller's connection to it.
pub async fn grpc(endpoints: &[SocketAddr]) -> (Proxy, SendRequest<Bytes>) {
    run(http(Protocol::Grpc, endpoints)).await
}

/// Starts a proxy and connects a caller to its listener `http`.
pub async fn run(config: Config) -> (Proxy, SendRequest<Bytes>) {
    let proxy = wire::run(config);
    let caller = connect(&proxy).await;
    (proxy, caller)
}

/// One more caller's connection.
pub async fn connect(proxy: &Proxy) -> SendRequest<Bytes> {
    connect_to(proxy.address("http").unwrap()).await
}

/// A caller's connection to this address.
pub async fn connect_to(address: SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (caller, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    caller
}

/// A server of HTTP/2.
pub struct Server {
    listener: TcpListener,
}

pub type Connection = server::Connection<TcpStream, Bytes>;

impl Server {
    pub async fn new() -> Server {
        Server { listener: TcpListener::bind(own_address()).await.unwrap() }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection made to it.
    pub async fn accept(&self) -> Connection {
        self.accept_as(&server::Builder::new()).await
    }

    pub async fn accept_as(&self, builder: &server::Builder) -> Connection {
        let (socket, _) = soon(self.listener.accept()).await.unwrap();
        builder.handshake(socket).await.unwrap()
    }

    /// The same, however long it takes until one is made.
    pub async fn accept_next(&self) -> Connection {
        let (socket, _) = self.listener.accept().await.unwrap();
        server::handshake(socket).await.unwrap()
    }

    /// Answers every request on every connection, each in a task of its own.
    pub fn serve<F, A>(self, answer: A) -> SocketAddr
    where
        A: Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let address = self.address();
        tokio::spawn(async move {
            loop {
                let (socket, _) = self.listener.accept().await.unwrap();
                let answer = answer.clone();
                tokio::spawn(async move {
                    // As tonic's servers have it. With the protocol's own, the h2 crate
                    // takes 133 small messages at once, for all of a connection's calls.
                    let mut builder = server::Builder::new();
                    builder.initial_connection_window_size(1 << 20);
                    let Ok(mut connection) = builder.handshake(socket).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(answer(request, respond));
                    }
                });
            }
        });
        address
    }

    /// Answers every call of gRPC with its own messages, as they come.
    pub fn echo(self) -> SocketAddr {
        self.serve(echo)
    }

    /// Says its own name in every answer.
    pub fn named(self, name: &'static str) -> SocketAddr {
        self.serve(move |request, mut respond| async move {
            drain(request.into_body()).await.unwrap();
            let answer = Response::builder().header("name", name).header("grpc-status", "0");
            respond.send_response(answer.body(()).unwrap(), true).unwrap();
        })
    }
}

/// Gives each piece of the request's body back, then `grpc-status: 0`.
pub async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let Ok(mut answer) = respond.send_response(head, false) else { return };
    let mut body = request.into_body();
    while let Some(Ok(piece)) = body.data().await {
        let length = piece.len();
        if write(&mut answer, piece).await.is_err() {
            return;
        }
        let _ = body.flow_control().release_capacity(length);
    }
    let _ = answer.send_trailers(status("0"));
}

/// Trailers with a gRPC status.
pub fn status(status: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())])
}

/// Writes all of it, as the peer's window allows.
pub async fn write(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let Some(room) = room.transpose()? else {
            return Err(h2::Reason::STREAM_CLOSED.into());
        };
        stream.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}

/// All that comes, and gives the window back.
pub async fn drain(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        all.extend_from_slice(&piece);
        let _ = body.flow_control().release_capacity(piece.len());
    }
    Ok((all, body.trailers().await?))
}

/// A call of gRPC to the tests' service.
pub fn say() -> Request<()> {
    request(&format!("http://mesh/{SERVICE}/Say"))
}

pub fn request(uri: &str) -> Request<()> {
    Request::post(uri)
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

impl Answer {
    /// The gRPC status, wherever it stands, and its message.
    pub fn grpc(&self) -> (&str, &str) {
        let text = |name| {
            let value = self.trailers.get(name).or(self.headers.get(name));
            value.map_or("none", |value| value.to_str().unwrap())
        };
        (text("grpc-status"), text("grpc-message"))
    }
}

/// Sends a request with a whole body and reads its answer.
pub async fn call(
    caller: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: &[u8],
) -> Result<Answer, h2::Error> {
    let (answer, mut stream) = open(caller, request).await;
    // It may be answered before it was sent.
    if write(&mut stream, Bytes::copy_from_slice(body)).await.is_ok() {
        let _ = stream.send_data(Bytes::new(), true);
    }
    read(answer).await
}

/// Opens a stream whose body is the test's to write.
pub async fn open(
    caller: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> (ResponseFuture, SendStream<Bytes>) {
    std::future::poll_fn(|cx| caller.poll_ready(cx)).await.unwrap();
    caller.send_request(request, false).unwrap()
}

pub async fn read(answer: ResponseFuture) -> Result<Answer, h2::Error> {
    let (parts, body) = soon(answer).await?.into_parts();
    let (body, trailers) = soon(drain(body)).await?;
    let trailers = trailers.unwrap_or_default();
    Ok(Answer { status: parts.status, headers: parts.headers, body, trailers })
}

/// What must come in time.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it comes in time")
}

/// The number of calls of the tests' service that ended so.
#[track_caller]
pub fn wait_for_calls(proxy: &Proxy, protocol: &str, method: &str, outcome: &str, wanted: i64) {
    let series = format!(
        r#"spanwire_calls_total{{protocol="{protocol}",listener="http",service="{SERVICE}",method="{method}",outcome="{outcome}"}} "#
    );
    crate::counters::wait_until(&format!("{series}to be {wanted}"), || {
        let text = proxy.metrics().render();
        let count = text.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or("0");
        if count == wanted.to_string() { Ok(()) } else { Err(format!("it is {count}")) }
    });
    wait_for(proxy, IN_FLIGHT, 0);
}
