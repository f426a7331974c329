//! The server that Connect's conformance runner tests: its own reference server, behind
//! proxies. `conformance-server REFERENCE-SERVER PROXIES`, started by the runner, which says
//! on standard input what it wants to speak, and is told on standard output where.
//!
//! Calls of gRPC-Web and of gRPC go to the reference server as gRPC over HTTP/2; those of
//! Connect, which is plain HTTP to the mesh, in the version that they come in.
//!
//! Not here: the test (`tests/interop/conformance.rs`).

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use harness::port;
use harness::spanwire::Proxy;
use tokio::signal::unix::{SignalKind, signal};

/// Numbers of the runner's messages: `ServerCompatRequest` and `ServerCompatResponse`.
mod field {
    pub(super) const PROTOCOL: u64 = 1;
    pub(super) const HTTP_VERSION: u64 = 2;
    pub(super) const HOST: u64 = 1;
    pub(super) const PORT: u64 = 2;
}
const CONNECT: u64 = 1;
const GRPC: u64 = 2;
const HTTP_1: u64 = 1;
const HTTP_2: u64 = 2;

/// What gRPC's calls name.
const SERVICE: &str = "connectrpc.conformance.v1.ConformanceService";
/// What plain requests name: the address that the runner is told.
const HOST: &str = "127.0.0.1";

/// A field of a protobuf message.
#[derive(Debug, Clone)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, Default)]
struct Message(Vec<(u64, Value)>);

impl Message {
    /// One that stands behind its length, as the runner and its servers write them.
    fn read(from: &mut impl Read) -> Result<Message> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut message)?;
        let mut rest = &message[..];
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            let value = match key & 7 {
                0 => Value::Number(varint(&mut rest)?),
                2 => {
                    let length = varint(&mut rest)? as usize;
                    let (bytes, after) = rest.split_at_checked(length).context("it is cut")?;
                    rest = after;
                    Value::Bytes(bytes.to_vec())
                }
                other => bail!("a field of wire type {other}"),
            };
            fields.push((key >> 3, value));
        }
        Ok(Message(fields))
    }

    fn write(&self, to: &mut impl Write) -> Result<()> {
        let mut message = Vec::new();
        for (number, value) in &self.0 {
            match value {
                Value::Number(value) => {
                    put_varint(number << 3, &mut message);
                    put_varint(*value, &mut message);
                }
                Value::Bytes(bytes) => {
                    put_varint(number << 3 | 2, &mut message);
                    put_varint(bytes.len() as u64, &mut message);
                    message.extend_from_slice(bytes);
                }
            }
        }
        to.write_all(&(message.len() as u32).to_be_bytes())?;
        to.write_all(&message)?;
        Ok(to.flush()?)
    }

    fn number(&self, wanted: u64) -> u64 {
        let of = |(number, value): &(u64, Value)| match value {
            Value::Number(value) if *number == wanted => Some(*value),
            _ => None,
        };
        self.0.iter().find_map(of).unwrap_or_default()
    }

    fn set(&mut self, wanted: u64, value: Value) {
        self.0.retain(|(number, _)| *number != wanted);
        self.0.push((wanted, value));
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().context("a number is cut")?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number has no end")
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Ended when it is dropped.
struct Reference(Child);

impl Reference {
    /// Starts it as the runner would, and says where it listens.
    fn start(program: &str, wanted: &Message) -> Result<(Reference, u64)> {
        let mut command = Command::new(program);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut reference = Reference(child.with_context(|| format!("{program} does not start"))?);
        wanted.write(reference.0.stdin.as_mut().context("it has an input")?)?;
        let told = Message::read(reference.0.stdout.as_mut().context("it has an output")?)?;
        Ok((reference, told.number(field::PORT)))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A proxy before the server at one port, and the port that it listens on.
fn before(server: u64, service: &str, protocol: &str) -> (Proxy, u64) {
    let listen = port::free();
    let proxy = Proxy::start(&format!(
        "workers: 1
services: [{{name: {service}, protocol: {protocol}, endpoints: [{{address: \"127.0.0.1:{server}\"}}]}}]
listeners: [{{name: out, bind: \"127.0.0.1:{listen}\", direction: outbound}}]
"
    ));
    (proxy, listen.into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, program, count] = &arguments[..] else {
        bail!("usage: conformance-server REFERENCE-SERVER PROXIES");
    };
    let mut ends = signal(SignalKind::terminate())?;
    let mut wanted = Message::read(&mut io::stdin()).context("what the runner wants")?;
    let is_plain = wanted.number(field::PROTOCOL) == CONNECT;
    let (service, protocol) = match wanted.number(field::HTTP_VERSION) {
        HTTP_1 if is_plain => (HOST, "http1"),
        _ if is_plain => (HOST, "http2"),
        _ => (SERVICE, "grpc"),
    };
    if !is_plain {
        wanted.set(field::PROTOCOL, Value::Number(GRPC));
        wanted.set(field::HTTP_VERSION, Value::Number(HTTP_2));
    }
    let (_reference, mut port) = Reference::start(program, &wanted)?;
    let mut proxies = Vec::new();
    for _ in 0..count.parse().context("the number of proxies")? {
        let (proxy, listen) = before(port, service, protocol);
        proxies.push(proxy);
        port = listen;
    }
    let mut told = Message::default();
    told.set(field::HOST, Value::Bytes(HOST.into()));
    told.set(field::PORT, Value::Number(port));
    told.write(&mut io::stdout())?;
    ends.recv().await;
    Ok(())
}
