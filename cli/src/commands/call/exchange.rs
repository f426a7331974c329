//! Sends one request on a connection of its own and waits for the answer.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use codec::dubbo::{Answer, Call, Dubbo};
use codec::hessian2::Limits;
use codec::{DecodeError, FrameCodec, Kind};

/// The largest answer that is taken, in bytes.
const MAX_FRAME: u64 = 256 << 20;

/// Any number will do: the connection carries one call.
const ID: u64 = 1;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// No connection could be made; the request was not sent.
    Unreachable(io::Error),
    /// The connection broke after the request was sent, or while it was.
    ConnectionLost(io::Error),
    /// Nothing came in time.
    Timeout,
    /// What came cannot be read.
    Unreadable(DecodeError),
}

/// Makes a Dubbo call.
///
/// # Errors
/// See [`NoAnswer`]; an exception or an error status is an answer.
pub(super) fn dubbo(address: &str, call: &Call, deadline: Instant) -> Result<Answer, NoAnswer> {
    let mut stream = connect(address, deadline)?;
    let mut request = BytesMut::new();
    call.write(ID, false, &mut request);
    stream.write_all(&request).map_err(NoAnswer::ConnectionLost)?;
    let mut received = BytesMut::new();
    loop {
        let header = fill(&mut stream, &mut received, Dubbo::HEADER_LEN, deadline)?;
        let length = Dubbo::frame_len(header).map_err(NoAnswer::Unreadable)?;
        if length > MAX_FRAME {
            return Err(NoAnswer::Unreadable(DecodeError::TooLarge {
                what: "frame",
                found: length,
                limit: MAX_FRAME,
            }));
        }
        let meta = Dubbo::meta(header).map_err(NoAnswer::Unreadable)?;
        let length = usize::try_from(length).expect("the limit of a frame fits into memory");
        let frame = fill(&mut stream, &mut received, length, deadline)?;
        match meta.kind {
            Kind::Response if meta.id == ID => {
                return Answer::read(frame, Limits::default()).map_err(NoAnswer::Unreadable);
            }
            Kind::Ping { two_way: true } => {
                let mut pong = BytesMut::new();
                Dubbo::pong(frame, &mut pong);
                stream.write_all(&pong).map_err(NoAnswer::ConnectionLost)?;
            }
            // Answers to nothing we asked, and what concerns further calls.
            _ => {}
        }
        received.advance(length);
    }
}

fn connect(address: &str, deadline: Instant) -> Result<TcpStream, NoAnswer> {
    let mut refusal = io::Error::other("the name has no address");
    for target in address.to_socket_addrs().map_err(NoAnswer::Unreachable)? {
        match TcpStream::connect_timeout(&target, left(deadline)?) {
            Ok(stream) => {
                let set = stream.set_nodelay(true);
                set.and_then(|()| stream.set_write_timeout(Some(left_or_tick(deadline))))
                    .map_err(NoAnswer::Unreachable)?;
                return Ok(stream);
            }
            Err(error) => refusal = error,
        }
    }
    Err(NoAnswer::Unreachable(refusal))
}

/// Reads until `count` bytes are there, and returns those.
fn fill<'b>(
    stream: &mut TcpStream,
    received: &'b mut BytesMut,
    count: usize,
    deadline: Instant,
) -> Result<&'b [u8], NoAnswer> {
    let mut chunk = [0; 16 << 10];
    while received.len() < count {
        stream.set_read_timeout(Some(left(deadline)?)).map_err(NoAnswer::ConnectionLost)?;
        match stream.read(&mut chunk) {
            Ok(0) => {
                return Err(NoAnswer::ConnectionLost(io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(read) => received.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    return Err(NoAnswer::Timeout);
                }
                io::ErrorKind::Interrupted => {}
                _ => return Err(NoAnswer::ConnectionLost(error)),
            },
        }
    }
    Ok(received.get(..count).unwrap_or_default())
}

/// The time until the deadline, never zero, which sockets take for "for ever".
fn left(deadline: Instant) -> Result<Duration, NoAnswer> {
    match deadline.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(NoAnswer::Timeout),
    }
}

fn left_or_tick(deadline: Instant) -> Duration {
    left(deadline).unwrap_or(Duration::from_millis(1))
}
