//! Scripted Dubbo peers: a test is a dialogue in bytes, with a real proxy in
//! between.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use proxy::config::{
    Config, Direction, Limits, Listener, Protocol, StaticEndpoint, StaticService, Timeouts,
};
use proxy::server::Proxy;

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(5);
/// The service that most tests call.
pub const SERVICE: &str = "lab.EchoService";

/// One Dubbo frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    pub flags: u8,
    pub status: u8,
    pub id: u64,
    pub body: Vec<u8>,
}

pub const TWO_WAY: u8 = 0xc2;
pub const ONE_WAY: u8 = 0x82;
pub const RESPONSE: u8 = 0x02;
pub const PING: u8 = 0xe2;
pub const PONG: u8 = 0x22;
pub const READ_ONLY: u8 = 0xa2;

impl Frame {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0xda, 0xbb, self.flags, self.status];
        bytes.extend(self.id.to_be_bytes());
        bytes.extend((self.body.len() as u32).to_be_bytes());
        bytes.extend(&self.body);
        bytes
    }

    /// The body as text, for a look at messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A provider's answer to this request: the value `body`, unwrapped.
    pub fn answer(&self, body: &[u8]) -> Frame {
        Frame { flags: RESPONSE, status: 20, id: self.id, body: [&[0x91], body].concat() }
    }
}

/// A hessian2 string.
pub fn string(text: &str) -> Vec<u8> {
    let mut bytes = match text.chars().count() {
        length @ 0..32 => vec![length as u8],
        length @ 32..1024 => vec![0x30 + (length >> 8) as u8, length as u8],
        length => [&b"S"[..], &(length as u16).to_be_bytes()].concat(),
    };
    bytes.extend(text.as_bytes());
    bytes
}

/// A call to be written down; what is not said is as Java would write it.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub flags: u8,
    pub id: u64,
    pub service: &'a str,
    pub version: Option<&'a str>,
    pub method: &'a str,
    pub argument: &'a str,
    pub attachments: Vec<(&'a str, &'a str)>,
}

impl Request<'static> {
    pub fn new(id: u64) -> Self {
        Request {
            flags: TWO_WAY,
            id,
            service: SERVICE,
            version: Some("0.0.0"),
            method: "echo",
            argument: "hello",
            attachments: vec![("timeout", "60000")],
        }
    }
}

impl Request<'_> {
    pub fn frame(&self) -> Frame {
        let version = self.version.map_or(b"N".to_vec(), string);
        let mut body = [
            string("2.0.2"),
            string(self.service),
            version,
            string(self.method),
            string("Ljava/lang/String;"),
            string(self.argument),
        ]
        .concat();
        body.push(b'H');
        for (key, value) in &self.attachments {
            body.extend(string(key));
            body.extend(string(value));
        }
        body.push(b'Z');
        Frame { flags: self.flags, status: 0, id: self.id, body }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.frame().bytes()
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub fn connect(to: SocketAddr) -> Wire {
        Wire::over(TcpStream::connect(to).expect("the peer listens"))
    }

    pub fn over(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(SOON)).expect("a positive timeout");
        stream.set_nodelay(true).expect("a connected socket");
        Wire { stream }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the peer takes bytes");
    }

    /// Sends, to a peer that may have hung up.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame, or `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Frame> {
        self.try_next().expect("a frame or the end of the stream")
    }

    pub fn try_next(&mut self) -> io::Result<Option<Frame>> {
        let mut header = [0; 16];
        match self.stream.read(&mut header)? {
            0 => return Ok(None),
            count => self.stream.read_exact(&mut header[count..])?,
        }
        assert_eq!(header[..2], [0xda, 0xbb], "magic of {header:02x?}");
        let length = u32::from_be_bytes([header[12], header[13], header[14], header[15]]);
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body)?;
        let mut id = [0; 8];
        id.copy_from_slice(&header[4..12]);
        Ok(Some(Frame { flags: header[2], status: header[3], id: u64::from_be_bytes(id), body }))
    }

    /// The next frame; the test fails at the end of the stream.
    #[track_caller]
    pub fn expect(&mut self) -> Frame {
        self.next().expect("a frame before the end of the stream")
    }

    /// The next `count` bytes, whatever they mean.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// The next byte, where one comes.
    pub fn try_take(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).map(|()| byte[0])
    }

    /// Whether nothing comes for a while.
    pub fn is_quiet(&mut self, during: Duration) -> bool {
        self.stream.set_read_timeout(Some(during)).expect("a positive timeout");
        let quiet = match self.stream.peek(&mut [0]) {
            Ok(_) => false,
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
            }
        };
        self.stream.set_read_timeout(Some(SOON)).expect("a positive timeout");
        quiet
    }

    /// Whether the peer closes, with nothing more to read. A peer that neither
    /// sends nor closes fails the test.
    #[track_caller]
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => true,
            Err(error) => panic!("not closed: {error}"),
        }
    }

    /// Whether the peer breaks the connection off. One that ends it, as if all had
    /// been said, does not.
    #[track_caller]
    pub fn is_reset(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => {
                assert_eq!(count, 0, "bytes instead of an end");
                false
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => true,
            Err(error) => panic!("neither ended nor reset: {error}"),
        }
    }

    /// Closes the connection, whoever else holds it.
    pub fn hang_up(self) {
        // A peer that was quicker is as good.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Cuts the connection off, as when a machine loses its power and is back.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a connected socket");
    }

    /// Answers calls and heartbeats until the peer hangs up.
    fn answer_all(mut self, answer: fn(&Frame) -> Frame) {
        self.stream.set_read_timeout(None).expect("no timeout");
        while let Ok(Some(frame)) = self.try_next() {
            let answer = match frame.flags & 0xe0 {
                0xc0 => answer(&frame),
                0xe0 => Frame { flags: PONG, status: 20, id: frame.id, body: b"N".to_vec() },
                _ => continue,
            };
            if self.try_send(&answer.bytes()).is_err() {
                return;
            }
        }
    }

    /// Ends our side; the other may still send.
    pub fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("a connected socket");
    }
}

/// The same connection, for another thread.
impl Clone for Wire {
    fn clone(&self) -> Wire {
        Wire { stream: self.stream.try_clone().expect("an open socket") }
    }
}

/// A loopback address that nobody else in this process gets, with any port. A
/// port alone is given out again, and the last one's peers may still call there.
pub fn own_address() -> SocketAddr {
    static COUNT: AtomicU16 = AtomicU16::new(1 << 8);
    let [high, low] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    SocketAddr::from(([127, 0, high, low], 0))
}

/// A provider that a test speaks for.
#[derive(Debug)]
pub struct Provider {
    listener: TcpListener,
}

impl Provider {
    pub fn new() -> Provider {
        Provider { listener: TcpListener::bind(own_address()).expect("a free port") }
    }

    pub fn over(listener: TcpListener) -> Provider {
        Provider { listener }
    }

    /// At an address that was one's before.
    pub fn at(address: SocketAddr) -> Provider {
        Provider { listener: TcpListener::bind(address).expect("an address that is free again") }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket")
    }

    /// The next connection made to it.
    pub fn accept(&self) -> Wire {
        Wire::over(self.try_accept(SOON).expect("a connection within the time"))
    }

    /// A connection made to it, if there is one now.
    pub fn try_next(&self) -> Option<Wire> {
        self.try_accept(Duration::ZERO).map(Wire::over)
    }

    /// The next connection made to it, if one is made in time.
    pub fn try_accept_within(&self, time: Duration) -> Option<Wire> {
        self.try_accept(time).map(Wire::over)
    }

    /// Whether nobody connects for a while.
    pub fn is_left_alone(&self, during: Duration) -> bool {
        self.try_accept(during).is_none()
    }

    fn try_accept(&self, within: Duration) -> Option<TcpStream> {
        self.listener.set_nonblocking(true).expect("a bound socket");
        let deadline = std::time::Instant::now() + within;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("a connected socket");
                    return Some(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("accept: {error}"),
            }
            if std::time::Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Answers every call with `pong`, on every connection, until the test ends.
    pub fn echo_forever(self) -> SocketAddr {
        self.answer_forever(|call| call.answer(&string("pong")))
    }

    /// Answers every call with the bytes of its own body.
    pub fn mirror_forever(self) -> SocketAddr {
        self.answer_forever(|call| call.answer(&call.body))
    }

    /// Answers every call, on every connection, until the test ends. The threads that
    /// do so are named by the provider's address.
    pub fn answer_forever(self, answer: fn(&Frame) -> Frame) -> SocketAddr {
        let address = self.address();
        std::thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                std::thread::Builder::new()
                    .name(address.to_string())
                    .spawn(move || Wire::over(stream).answer_all(answer))
                    .expect("a thread");
            }
        });
        address
    }
}

/// A configuration with one outbound listener `out` and static endpoints.
pub fn outbound(endpoints: &[SocketAddr]) -> Config {
    Config {
        workers: 1,
        admin: None,
        store: Vec::new(),
        state: None,
        application: "web".to_owned(),
        labels: Default::default(),
        services: vec![service(SERVICE, endpoints)],
        rules: Vec::new(),
        scripts: false,
        listeners: vec![listener("out", Direction::Outbound)],
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        access_log: None,
    }
}

/// A configuration with one inbound listener `in` before an application.
pub fn inbound(app: SocketAddr) -> Config {
    let direction = Direction::Inbound { app: app.to_string(), register: None };
    Config { services: Vec::new(), listeners: vec![listener("in", direction)], ..outbound(&[]) }
}

pub fn listener(name: &str, direction: Direction) -> Listener {
    Listener {
        name: name.to_owned(),
        bind: ([127, 0, 0, 1], 0).into(),
        direction,
        protocols: vec![Protocol::Dubbo],
        default_service: None,
        use_original_dst: false,
    }
}

pub fn service(name: &str, endpoints: &[SocketAddr]) -> StaticService {
    StaticService {
        name: name.to_owned(),
        protocol: Protocol::Dubbo,
        addresses: Vec::new(),
        endpoints: endpoints
            .iter()
            .map(|address| StaticEndpoint {
                address: address.to_string(),
                weight: 100,
                group: String::new(),
                version: String::new(),
                labels: Default::default(),
            })
            .collect(),
    }
}

/// Starts a proxy, and connects a caller to its only listener.
pub fn start(config: Config) -> (Proxy, Wire) {
    let name = config.listeners[0].name.clone();
    let proxy = run(config);
    let caller = Wire::connect(proxy.address(&name).expect("the listener's address"));
    (proxy, caller)
}

/// Starts a proxy. Where a worker panics, the tests end at once: its runtime would
/// swallow it.
pub fn run(config: Config) -> Proxy {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            if name.starts_with("worker-") || name == "control" {
                std::process::abort();
            }
        }));
    });
    Proxy::start(config).expect("a good configuration")
}
