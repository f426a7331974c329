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
