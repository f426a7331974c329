//! A non-blocking socket with its unread and unsent bytes. Reads and writes as
//! seldom as it can.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;

/// How far the read buffer grows before a frame asks for more; larger ones would
/// only leave the cache.
const BUFFER: usize = 64 << 10;

/// See the module. Its halves can be borrowed one by one, so that what was read
/// can be sent without a copy.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) socket: TcpStream,
    pub(crate) input: Input,
    pub(crate) output: Output,
}

/// Bytes that were read and not consumed.
#[derive(Debug)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// Bytes that the socket did not take yet.
#[derive(Debug, Default)]
pub(crate) struct Output {
    rest: Vec<u8>,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// There may be more: read again.
    More,
    /// Nothing is left for now.
    Drained,
    /// The peer has closed.
    Closed,
}

impl Stream {
    /// Takes over a connected socket.
    pub(crate) fn new(socket: TcpStream) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let input = Input { bytes: vec![0; 4096], start: 0, end: 0 };
        Ok(Stream { socket, input, output: Output::default() })
    }

    /// Reads once; see [`Input::fill`].
    pub(crate) fn fill(&mut self) -> io::Result<Filled> {
        self.input.fill(&self.socket)
    }

    /// Writes what an earlier send had to keep.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush(&self.socket)
    }
}

impl Input {
    /// With these bytes unread.
    #[cfg(test)]
    pub(crate) fn of(bytes: &[u8]) -> Input {
        Input { bytes: bytes.to_vec(), start: 0, end: bytes.len() }
    }

    /// What was read and not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Gives up the first `n` unread bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Makes room for `n` unread bytes in all.
    pub(crate) fn reserve(&mut self, n: usize) {
        if self.start + n > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if n > self.bytes.len() {
                self.bytes.resize(n, 0);
            }
        }
    }

    /// Reads once. A read that leaves room has drained the socket.
    fn fill(&mut self, mut socket: &TcpStream) -> io::Result<Filled> {
        if self.end == self.bytes.len() {
            let unread = self.end - self.start;
            self.reserve((unread + 1).max((2 * self.bytes.len()).min(BUFFER)));
        }
        let room = self.bytes.len() - self.end;
        match socket.read(&mut self.bytes[self.end..]) {
            Ok(0) => Ok(Filled::Closed),
            Ok(n) => {
                self.end += n;
                Ok(if n == room { Filled::More } else { Filled::Drained })
            }
            Err(e) => match e.kind() {
                ErrorKind::WouldBlock => Ok(Filled::Drained),
                ErrorKind::Interrupted => Ok(Filled::More),
                ErrorKind::ConnectionReset => Ok(Filled::Closed),
                _ => Err(e),
            },
        }
    }
}

impl Output {
    /// Writes up to four `parts`, and keeps what the socket does not take.
    pub(crate) fn send(&mut self, mut socket: &TcpStream, parts: &[&[u8]]) -> io::Result<()> {
        let mut sent = 0;
        if self.rest.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
            }
            sent = taken(socket.write_vectored(&slices[..parts.len()]))?;
        }
        for part in parts {
            let skipped = sent.min(part.len());
            sent -= skipped;
            self.rest.extend_from_slice(&part[skipped..]);
        }
        Ok(())
    }

    /// Whether bytes wait for the socket to take them.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Writes what an earlier send had to keep.
    pub(crate) fn flush(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        if self.is_blocked() {
            let sent = taken(socket.write(&self.rest))?;
            self.rest.drain(..sent);
        }
        Ok(())
    }
}

/// How much of a write the socket took; none when it is full.
fn taken(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn nothing_is_lost_when_the_peer_is_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let (mut near, mut far) = (Stream::new(near).unwrap(), Stream::new(far).unwrap());
        let sent: Vec<u8> = (0..12 << 20).map(|i| (i / 3) as u8).collect();
        let (first, second) = sent.split_at(sent.len() / 2);
        near.output.send(&near.socket, &[first, second]).unwrap();
        assert!(near.output.is_blocked(), "more than a socket takes");
        let mut received = Vec::new();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while received.len() < sent.len() {
            assert!(std::time::Instant::now() < end, "only {} bytes came", received.len());
            near.flush().unwrap();
            assert_ne!(far.fill().unwrap(), Filled::Closed);
            // Leaves a byte behind, so that the buffer has to move and grow.
            let n = far.input.unread().len().saturating_sub(1);
            received.extend_from_slice(&far.input.unread()[..n]);
            far.input.consume(n);
            if received.len() + 1 == sent.len() {
                received.extend_from_slice(far.input.unread());
            }
        }
        assert!(received == sent);
    }
}
