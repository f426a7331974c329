//! TCP ports and addresses of this machine.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{LazyLock, Mutex, PoisonError};

/// 127.0.0.1 in the one form that Java Dubbo does not replace by the machine's
/// own address when it stands in a `dubbo://` URL.
pub const LOOPBACK_FOR_JAVA: &str = "2130706433";

/// A TCP port that was free on all addresses a moment ago, and that this process
/// was not given before. Somebody else may still take it: check that the program
/// you start on it owns it, see [`is_owned_by`].
///
/// # Panics
/// When this machine has no port left.
#[must_use]
pub fn free() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a test machine has free ports")
            .port();
        if given.insert(port) {
            return port;
        }
    }
}

/// The address that other machines know this one by, which Java peers register
/// and connect to. Loopback where there is no other.
#[must_use]
pub fn own_address() -> Ipv4Addr {
    // Connecting a datagram socket sends nothing; it only picks the source address.
    let source = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9))?;
        socket.local_addr()
    });
    match source.map(|address| address.ip()) {
        Ok(IpAddr::V4(address)) => address,
        _ => Ipv4Addr::LOCALHOST,
    }
}

/// Whether the process `pid` listens on TCP `port`, on any address.
#[must_use]
pub fn is_owned_by(port: u16, pid: u32) -> bool {
    let listening: HashSet<String> = sockets()
        .into_iter()
        .filter(|socket| socket.local_port == port && socket.state == Socket::LISTEN)
        .map(|socket| format!("socket:[{}]", socket.inode))
        .collect();
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        fs::read_link(descriptor.path())
            .is_ok_and(|target| target.to_str().is_some_and(|target| listening.contains(target)))
    })
}

/// The local ports of the connections that are open to `port` of this machine,
/// sorted: the same ports later are the same connections.
#[must_use]
pub fn connections_to(port: u16) -> Vec<u16> {
    let mut ports: Vec<u16> = sockets()
        .into_iter()
        .filter(|socket| socket.remote_port == port && socket.state == Socket::ESTABLISHED)
        .map(|socket| socket.local_port)
        .collect();
    ports.sort_unstable();
    ports
}

/// One line of `/proc/net/tcp`.
struct Socket {
    local_port: u16,
    remote_port: u16,
    state: u8,
    inode: u64,
}

impl Socket {
    const ESTABLISHED: u8 = 1;
    const LISTEN: u8 = 10;

    /// Columns as in proc_pid_net(5): sl, local, remote, state, queues, timer,
    /// retransmits, uid, timeout, inode.
    fn parse(line: &str) -> Option<Socket> {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let port = |column: usize| {
            let (_, port) = columns.get(column)?.rsplit_once(':')?;
            u16::from_str_radix(port, 16).ok()
        };
        Some(Socket {
            local_port: port(1)?,
            remote_port: port(2)?,
            state: u8::from_str_radix(columns.get(3)?, 16).ok()?,
            inode: columns.get(9)?.parse().ok()?,
        })
    }
}

/// Java listens and connects through IPv6 sockets, most others through IPv4.
fn sockets() -> Vec<Socket> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(Socket::parse).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::process;

    use super::{connections_to, free, is_owned_by};

    #[test]
    fn a_free_port_is_owned_once_somebody_listens() {
        let port = free();
        assert!(!is_owned_by(port, process::id()));
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        assert!(is_owned_by(port, process::id()));
        assert!(!is_owned_by(port, 1));
    }

    #[test]
    fn connections_are_known_by_their_local_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert!(connections_to(port).is_empty());
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        assert_eq!(connections_to(port), [client.local_addr().expect("connected").port()]);
    }
}
