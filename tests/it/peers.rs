//! Addresses at which nobody answers, and what the mesh's own answers look like.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::wire::{Frame, Provider, own_address};

/// An address that refuses connections for as long as this lives.
pub struct Refusing {
    socket: Socket,
}

impl Refusing {
    pub fn new() -> Refusing {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&own_address().into()).expect("a free port");
        Refusing { socket }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket").as_socket().expect("an IP address")
    }
}

/// An address that leaves connections unanswered for as long as this lives: its
/// queue is full.
pub struct Unanswering {
    listener: Socket,
    queued: Vec<TcpStream>,
}

impl Unanswering {
    pub fn new() -> Unanswering {
        let listener = Refusing::new().socket;
        listener.listen(0).expect("a bound socket");
        let address = listener.local_addr().expect("bound").as_socket().expect("an IP address");
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queued.push(stream);
        }
        Unanswering { listener, queued }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("bound").as_socket().expect("an IP address")
    }

    /// From now on it answers.
    pub fn answer(self) -> Provider {
        self.listener.listen(64).expect("a bound socket");
        let provider = Provider::over(self.listener.into());
        for _ in self.queued {
            provider.accept();
        }
        provider
    }
}

/// An answer that Java raises at once, without its own failover: status 20 and a
/// serialized `RpcException` of this code, with a message that names Spanwire,
/// the reason and everything in `says`.
#[track_caller]
pub fn assert_exception(answer: &Frame, id: u64, code: u8, reason: &str, says: &[&str]) {
    assert_eq!((answer.flags, answer.status, answer.id), (0x02, 20, id), "{}", answer.text());
    // Response type 0 (an exception), then the definition of its class.
    let start = [&[0x90, b'C', 0x30, 33][..], b"org.apache.dubbo.rpc.RpcException"].concat();
    assert!(answer.body.starts_with(&start), "{:02x?}", answer.body);
    // The instance follows the names of its fields; `code` is the first.
    let fields = answer.body.windows(14).position(|part| part == b"\x0ddetailMessage");
    let instance = &answer.body[fields.expect("a message field") + 14..];
    assert_eq!(instance[..2], [0x60, 0x90 + code], "code {code}");
    assert_says(answer, reason, says);
}

/// An answer that Java's own failover may repeat: an error status and one string.
#[track_caller]
pub fn assert_status(answer: &Frame, id: u64, status: u8, reason: &str, says: &[&str]) {
    assert_eq!((answer.flags, answer.status, answer.id), (0x02, status, id), "{}", answer.text());
    assert_says(answer, reason, says);
}

#[track_caller]
fn assert_says(answer: &Frame, reason: &str, says: &[&str]) {
    let text = answer.text();
    let name = format!("Spanwire [{reason}]: ");
    assert!(text.contains(&name), "{name:?} in {text:?}");
    for part in says {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}
