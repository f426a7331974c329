//! The configuration of a proxy, checked: no option that has a default, no
//! unparsed address. Only these types reach the rest of the code.
//!
//! [`load`] and [`parse()`] make one from YAML, or report every mistake in it at
//! once; [`watch()`] follows a file. Each key, with its unit and default, is in
//! `docs/configuration.md`, which a test holds against the reader.

mod addresses;
mod listener;
mod parse;
mod quantity;
mod service;
mod value;
mod watch;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use parse::{load, parse};
pub use quantity::duration;
pub use watch::{needs_restart, watch};

/// All that `spanwire proxy -c FILE` is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads, each with its own listeners, pools and snapshot handle.
    pub workers: usize,
    /// Where `/livez`, `/readyz` and `/metrics` are served; `None` for nowhere.
    pub admin: Option<SocketAddr>,
    /// etcd endpoints (`http://host:port`); empty for none.
    pub store: Vec<String>,
    /// Where the last good view of the store is kept across restarts; `None` to
    /// keep it in memory only.
    pub state: Option<PathBuf>,
    /// The application behind this proxy, where no identity says it.
    pub application: String,
    /// This side's labels, as a Dubbo consumer URL's parameters.
    pub labels: BTreeMap<String, String>,
    /// Services that need no store.
    pub services: Vec<StaticService>,
    /// Rule files and folders, watched for changes.
    pub rules: Vec<PathBuf>,
    /// Whether script rules are run. They are programs: whoever may write rules may then
    /// use up to 20 ms of each call.
    pub scripts: bool,
    /// The sockets to open.
    pub listeners: Vec<Listener>,
    /// Sizes that bound memory.
    pub limits: Limits,
    /// Durations that bound waiting.
    pub timeouts: Timeouts,
    /// Where an access log line per call goes; `None` for no access log.
    pub access_log: Option<AccessLog>,
}

/// A service whose endpoints are written in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticService {
    /// Dubbo interface, Bolt service, gRPC `package.Service` or HTTP host.
    pub name: String,
    /// What its endpoints speak.
    pub protocol: Protocol,
    /// Where callers connect to when they mean it, on listeners with
    /// [`Listener::use_original_dst`]. Only of plain TCP.
    pub addresses: Vec<ServiceAddress>,
    /// Where they are.
    pub endpoints: Vec<StaticEndpoint>,
}

/// An address that stands for a service, as a virtual IP does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceAddress {
    /// `None` for every address (`*`).
    pub ip: Option<IpAddr>,
    /// Never 0.
    pub port: u16,
}

/// One endpoint of a static service.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticEndpoint {
    /// `host:port`.
    pub address: String,
    /// Relative weight, 100 by default; 0 takes no calls.
    pub weight: u32,
    /// Service group, empty for none.
    pub group: String,
    /// Service version, empty for none.
    pub version: String,
    /// Parameters as a Dubbo provider URL would carry them.
    pub labels: BTreeMap<String, String>,
}

/// A wire protocol this build can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Dubbo 2.0.2 framing (Java 2.6, 2.7 and 3.x `dubbo://`).
    Dubbo,
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge; gRPC too.
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
    /// Dubbo 3's dialect of gRPC (Java `tri://`).
    Triple,
    /// Bytes passed on unread; one connection is one call.
    Tcp,
}

impl Protocol {
    /// Its name in configurations, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Dubbo => "dubbo",
            Protocol::Http1 => "http1",
            Protocol::Http2 => "http2",
            Protocol::Grpc => "grpc",
            Protocol::Triple => "triple",
            Protocol::Tcp => "tcp",
        }
    }

    /// Its name in the URLs of endpoints.
    pub fn scheme(self) -> &'static str {
        match self {
            Protocol::Triple => "tri",
            other => other.name(),
        }
    }
}

/// One socket to accept calls on.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where it listens.
    pub bind: SocketAddr,
    /// Which way its calls go.
    pub direction: Direction,
    /// The protocols it accepts; never empty. With [`Protocol::Tcp`] beside
    /// others, whatever is none of the others passes as plain TCP.
    pub protocols: Vec<Protocol>,
    /// The service of plain TCP, and of calls that cannot be read (an unknown
    /// serialization); `None` to answer such calls with a fault.
    pub default_service: Option<String>,
    /// Whether connections are redirected to it (transparent mode): plain TCP then
    /// goes where it was going to, or to the service that this address stands for.
    pub use_original_dst: bool,
}

/// Which way a listener's calls go.
#[derive(Debug, Clone, PartialEq)]
pub enum Direction {
    /// From the local application to the mesh: calls are routed.
    Outbound,
    /// From the mesh to the local application.
    Inbound {
        /// Where the application listens (`host:port`).
        app: String,
        /// Announces the application's services under this listener's address
        /// while the application's port answers; `None` leaves that to the
        /// application.
        register: Option<Registration>,
    },
    /// From anywhere to the mesh: calls are routed.
    Gateway,
}

/// What an inbound listener registers for its application.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The address consumers shall connect to (`host:port`).
    pub advertise: String,
    /// Provider URLs to register; their host and port are replaced by
    /// `advertise`.
    pub urls: Vec<String>,
}

/// Sizes that bound memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The largest frame taken from a peer, in bytes.
    pub frame: u64,
    /// Bytes waiting to be written to one peer before new calls for it are
    /// answered `overloaded`.
    pub buffer: usize,
    /// Connections accepted per listener and worker.
    pub connections: usize,
    /// Calls waiting for an answer per upstream connection.
    pub pending: usize,
    /// The largest head of an HTTP message, in bytes.
    pub head: u32,
    /// The largest body of an HTTP request, in bytes; `None` for no limit, because
    /// bodies are passed on as they come.
    pub body: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            frame: 64 << 20,
            buffer: 64 << 20,
            connections: 65_536,
            pending: 65_536,
            head: 64 << 10,
            body: None,
        }
    }
}

/// Durations that bound waiting.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// A call's deadline where neither the call nor the service's URL says one.
    pub call: Duration,
    /// The same over HTTP, until the answer's head; `None` where `call` is not
    /// written: callers over HTTP know no deadline that they do not name.
    pub call_over_http: Option<Duration>,
    /// Making one connection to an endpoint.
    pub connect: Duration,
    /// After which a caller that has said nothing passes as plain TCP, where a
    /// listener takes that beside other protocols.
    pub detect: Duration,
    /// Idle time after which a heartbeat is sent; three silent ones close.
    pub heartbeat: Duration,
    /// After which a plain TCP connection is broken off by which nothing came or
    /// went; `None` for never.
    pub idle: Option<Duration>,
    /// From SIGTERM to closing connections that still have calls in flight.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            call: Duration::from_millis(1000),
            call_over_http: None,
            connect: Duration::from_millis(3000),
            detect: Duration::from_millis(100),
            heartbeat: Duration::from_secs(60),
            idle: None,
            drain: Duration::from_secs(30),
        }
    }
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessLog {
    /// Standard output, one JSON object a line.
    Stdout,
    /// A file, appended to, one JSON object a line.
    File(PathBuf),
}

#[cfg(test)]
mod documentation_tests;
#[cfg(test)]
mod tests;
