//! The floor: a proxy that copies bytes from one socket to the other and looks at
//! none of them. One thread, one epoll, one upstream connection per caller.
//!
//! No proxy of this shape (a socket pair per caller) can be much cheaper; one that
//! merges many callers into one upstream connection can.

use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::stream::Output;
use crate::sys::Epoll;

/// One buffer serves all connections, so that it stays in the cache.
const BUFFER: usize = 128 << 10;

/// A socket and what it did not take yet.
struct Side {
    socket: TcpStream,
    output: Output,
}

/// Copies between whoever connects to `listener` and `upstream`, for ever.
///
/// # Errors
/// When the listener or epoll fails; a failing connection only ends its pair.
pub(crate) fn run(listener: &TcpListener, upstream: SocketAddr) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut epoll = Epoll::new()?;
    epoll.add(listener, u64::MAX)?;
    let mut buffer = vec![0; BUFFER];
    // Side 2n is a caller, 2n+1 its upstream.
    let mut sides: Vec<Option<Side>> = Vec::new();
    loop {
        let n = epoll.wait(Some(Duration::from_secs(60)))?;
        for i in 0..n {
            let ready = epoll.ready(i);
            if ready.token == u64::MAX {
                while let Ok((caller, _)) = listener.accept() {
                    let Ok(server) = TcpStream::connect(upstream) else { continue };
                    for socket in [caller, server] {
                        socket.set_nonblocking(true)?;
                        socket.set_nodelay(true)?;
                        epoll.add(&socket, sides.len() as u64)?;
                        sides.push(Some(Side { socket, output: Output::default() }));
                    }
                }
                continue;
            }
            let near = ready.token as usize;
            let far = near ^ 1;
            if let (Some(mut a), Some(mut b)) = (sides[near].take(), sides[far].take()) {
                let mut alive = !ready.read || copy(&a, &mut b, &mut buffer);
                if alive && a.output.is_blocked() {
                    // With room to write again, the other direction goes on.
                    alive = a.output.flush(&a.socket).is_ok() && copy(&b, &mut a, &mut buffer);
                }
                if alive {
                    (sides[near], sides[far]) = (Some(a), Some(b));
                }
            }
        }
    }
}

/// Copies what `from` has, as long as `to` takes it; `false` when either is gone.
fn copy(from: &Side, to: &mut Side, buffer: &mut [u8]) -> bool {
    while !to.output.is_blocked() {
        match (&from.socket).read(buffer) {
            Ok(0) => return false,
            Ok(n) if to.output.send(&to.socket, &[&buffer[..n]]).is_err() => return false,
            Ok(n) if n < buffer.len() => return true,
            Ok(_) => {}
            Err(e) => return e.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::frame::Request;
    use crate::http::Payload;
    use crate::load::{Calls, Load};
    use crate::protocol::Protocol;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A load whose callers reach its provider through the floor.
    fn load(protocol: Protocol, size: usize, callers: usize) -> Load {
        let calls = match protocol {
            Protocol::Dubbo => Calls::Dubbo(Request::new(size, "u7")),
            _ => Calls::Http(protocol, Payload::new(protocol, size)),
        };
        let mut load = Load::new(calls).unwrap();
        let provider = load.provider().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let floor = listener.local_addr().unwrap();
        thread::spawn(move || run(&listener, provider));
        load.connect(floor, callers).unwrap();
        load
    }

    #[test]
    fn every_call_of_a_closed_load_is_answered() {
        // Enough in flight that sockets fill up in both directions.
        for protocol in Protocol::ALL {
            for (size, callers, outstanding) in [(128, 8, 1), (128, 2, 64), (200_000, 2, 40)] {
                let mut load = load(protocol, size, callers);
                load.start_closed(outstanding).unwrap();
                load.run_for(Duration::from_millis(150)).unwrap();
                load.settle(PATIENCE).unwrap();
                let counts = load.counts();
                let what = format!("{protocol:?}, size {size}: {counts:?}");
                assert!(counts.right >= (callers * outstanding) as u64, "{what}");
                assert_eq!(counts.wrong, 0, "{what}");
            }
        }
    }

    #[test]
    fn an_open_load_sends_by_the_clock_and_counts_every_call() {
        let mut load = load(Protocol::Grpc, 128, 4);
        let (warm_up, counted) = (Duration::from_millis(100), Duration::from_millis(400));
        let latencies = load.run_open(1000.0, warm_up, counted).unwrap();
        assert_eq!(latencies.unanswered, 0);
        assert_eq!(load.counts().right, 500);
        // Answers to the warm-up may come when counting has begun.
        let n = latencies.micros.len();
        assert!((400..=500).contains(&n), "{n} latencies");
    }

    #[test]
    fn a_stalled_provider_shows_in_the_latency_of_every_call() {
        // Nobody accepts: connections are made, and no answer ever comes.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut load = Load::new(Calls::Dubbo(Request::new(128, "u7"))).unwrap();
        load.connect(silent.local_addr().unwrap(), 2).unwrap();
        let latencies = load.run_open(1000.0, Duration::ZERO, Duration::from_millis(200)).unwrap();
        assert_eq!(latencies.unanswered, 200);
        assert_eq!(latencies.micros.len(), 200);
        // As near as the histogram tells values apart.
        let waited = latencies.micros.lowest_equivalent(3_000_000);
        assert!(latencies.micros.min() >= waited, "less than what was waited");
    }
}
