//! Transparent mode: connections that the system redirected to a listener, where
//! they were going to, and the guard against going round in circles.
//!
//! A rule of netfilter (`REDIRECT`, `DNAT`) changes the address that a connection
//! goes to. Linux remembers it, and tells whoever accepts the connection
//! (`SO_ORIGINAL_DST`, netfilter's `nf_conntrack_proto.c`).
//!
//! A rule that also catches what the proxy itself connects to would send it its own
//! connections back, without end. So a proxy with such a listener knows the
//! connections that it made, and takes none of them in.
//!
//! Not here: what is done with the address (see [`crate::engines`], [`mod@crate::tcp`]).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use dashmap::DashSet;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::config::StaticService;

/// Where a connection was going to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// To a service of plain TCP, by an address that stands for it.
    Service(Arc<str>),
    /// To this address, which stands for no service.
    Other(SocketAddr),
    /// To the listener itself: nobody redirected it.
    Listener,
    /// Wherever this proxy sent it, which made it.
    Own,
}

impl Origin {
    /// The metric labels, stable across versions, by [`Origin::index`].
    pub(crate) const LABELS: [&str; 4] = ["service", "other", "listener", "own"];

    /// Its place among the labels.
    pub(crate) fn index(&self) -> usize {
        match self {
            Origin::Service(_) => 0,
            Origin::Other(_) => 1,
            Origin::Listener => 2,
            Origin::Own => 3,
        }
    }

    /// Finds out about an accepted connection.
    pub(crate) fn of(
        socket: &TcpStream,
        peer: SocketAddr,
        addresses: &Addresses,
        own: &OwnConnections,
    ) -> Origin {
        // Without an address it is gone already, and was going nowhere.
        let Ok(local) = socket.local_addr().map(canonical) else { return Origin::Listener };
        let original = original_destination(socket, local);
        if own.0.contains(&(canonical(peer), original.unwrap_or(local))) {
            return Origin::Own;
        }
        match original {
            None => Origin::Listener,
            Some(address) => {
                addresses.service(address).map_or(Origin::Other(address), Origin::Service)
            }
        }
    }
}

/// Where the caller connected to, if not to `local`, where its connection came in.
fn original_destination(socket: &TcpStream, local: SocketAddr) -> Option<SocketAddr> {
    let socket = SockRef::from(socket);
    // An IPv4 connection keeps its address for IPv4 also on a socket for both.
    let found = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    match found {
        Ok(address) => address.as_socket().map(canonical).filter(|address| *address != local),
        Err(error) => {
            // Where no rule is in force, nothing is remembered either.
            tracing::debug!(%local, %error, "no original destination");
            None
        }
    }
}

/// The form without IPv4 in IPv6, and without what IPv6 has beside address and port.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Which services of plain TCP are meant by which addresses.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    exact: HashMap<SocketAddr, Arc<str>>,
    ports: HashMap<u16, Arc<str>>,
}

impl Addresses {
    pub(crate) fn new(services: &[StaticService]) -> Self {
        let mut addresses = Addresses::default();
        for service in services {
            let name: Arc<str> = service.name.as_str().into();
            for address in &service.addresses {
                let (name, port) = (name.clone(), address.port);
                match address.ip {
                    Some(ip) => addresses.exact.insert(SocketAddr::new(ip, port), name),
                    None => addresses.ports.insert(port, name),
                };
            }
        }
        addresses
    }

    /// The service that an address stands for; an address before a port.
    fn service(&self, address: SocketAddr) -> Option<Arc<str>> {
        self.exact.get(&address).or_else(|| self.ports.get(&address.port())).cloned()
    }
}

/// The connections that this proxy's workers made: where from, and where to. Both,
/// because others may use the same port to go somewhere else.
///
/// Another worker may accept one before it is entered here. It then goes round once
/// more, and is found the next time.
#[derive(Debug, Default)]
pub(crate) struct OwnConnections(DashSet<Ends>);

/// The ends of a connection as whoever made it sees them: its own first.
type Ends = (SocketAddr, SocketAddr);

impl OwnConnections {
    /// Enters a connection, for as long as the result lives.
    pub(crate) fn enter(self: &Arc<Self>, socket: &TcpStream) -> Option<OwnConnection> {
        let ends = (canonical(socket.local_addr().ok()?), canonical(socket.peer_addr().ok()?));
        self.0.insert(ends);
        Some(OwnConnection { all: self.clone(), ends })
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct OwnConnection {
    all: Arc<OwnConnections>,
    ends: Ends,
}

impl Drop for OwnConnection {
    fn drop(&mut self) {
        self.all.0.remove(&self.ends);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::config::{Protocol, ServiceAddress};

    fn service(name: &str, addresses: &[(Option<IpAddr>, u16)]) -> StaticService {
        let address = |&(ip, port)| ServiceAddress { ip, port };
        StaticService {
            name: name.to_owned(),
            protocol: Protocol::Tcp,
            addresses: addresses.iter().map(address).collect(),
            endpoints: Vec::new(),
        }
    }

    #[test]
    fn an_address_counts_before_a_port() {
        let ip: IpAddr = [10, 96, 0, 7].into();
        let addresses = Addresses::new(&[
            service("one", &[(Some(ip), 3306)]),
            service("any", &[(None, 3306), (None, 25)]),
        ]);
        for (address, expected) in [
            ("10.96.0.7:3306", Some("one")),
            ("10.96.0.8:3306", Some("any")),
            ("[fd00::7]:25", Some("any")),
            ("10.96.0.7:80", None),
        ] {
            let found = addresses.service(address.parse().unwrap());
            assert_eq!(found.as_deref(), expected, "{address}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_that_nobody_redirected_was_going_to_the_listener() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, peer) = listener.accept().await.unwrap();
        let (addresses, own) = (Addresses::default(), Arc::<OwnConnections>::default());
        assert_eq!(Origin::of(&far, peer, &addresses, &own), Origin::Listener);
        let entered = own.enter(&near);
        assert_eq!(Origin::of(&far, peer, &addresses, &own), Origin::Own);
        // One from the same port to elsewhere is another.
        own.0.clear();
        own.0.insert((peer, SocketAddr::from(([127, 0, 0, 2], 1))));
        assert_eq!(Origin::of(&far, peer, &addresses, &own), Origin::Listener);
        drop(entered);
        assert_eq!(own.0.len(), 1);
        assert_eq!(Origin::of(&far, peer, &addresses, &own), Origin::Listener);
    }

    #[test]
    fn every_origin_has_its_own_label() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let all =
            [Origin::Service("db".into()), Origin::Other(address), Origin::Listener, Origin::Own];
        for (place, origin) in all.iter().enumerate() {
            assert_eq!(origin.index(), place, "{origin:?}");
        }
    }
}
