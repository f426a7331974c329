//! A Dubbo provider that says what a test tells it to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

/// A frame's fixed header.
const HEADER: usize = 16;

/// A provider for one connection. It reads one request and then writes its
/// script; a `0xid` placeholder of eight `0xee` bytes becomes the request's id.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<Vec<u8>>,
}

impl Provider {
    pub(crate) fn start(script: Vec<u8>) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let serving = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a caller");
            let request = read_frame(&mut socket);
            let script = with_id(&script, &request[4..12]);
            socket.write_all(&script).expect("the caller reads");
            // Until the caller is done; what it sends meanwhile is its answer to
            // whatever the script asked.
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).expect("the caller closes");
            [request, rest].concat()
        });
        Provider { address, serving }
    }

    /// Everything that the caller sent, once it is gone.
    pub(crate) fn received(self) -> Vec<u8> {
        self.serving.join().expect("the provider was not disturbed")
    }
}

fn read_frame(socket: &mut impl Read) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    socket.read_exact(&mut frame).expect("a whole header");
    let length = u32::from_be_bytes(frame[12..16].try_into().expect("four bytes"));
    frame.resize(HEADER + length as usize, 0);
    socket.read_exact(&mut frame[HEADER..]).expect("a whole body");
    frame
}

fn with_id(script: &[u8], id: &[u8]) -> Vec<u8> {
    let mut script = script.to_vec();
    for place in 0..script.len().saturating_sub(7) {
        if script[place..place + 8] == [0xee; 8] {
            script[place..place + 8].copy_from_slice(id);
        }
    }
    script
}

/// A response frame with this status and hessian2 body.
pub(crate) fn response(status: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a short body");
    [&[0xda, 0xbb, 0x02, status], &[0xee; 8][..], &length.to_be_bytes(), body].concat()
}

/// A two-way heartbeat (hessian2 null), as a provider sends it.
pub(crate) const HEARTBEAT: [u8; 17] =
    [0xda, 0xbb, 0xe2, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, b'N'];

/// The answer to [`HEARTBEAT`].
pub(crate) const HEARTBEAT_ANSWER: [u8; 17] =
    [0xda, 0xbb, 0x22, 20, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, b'N'];
