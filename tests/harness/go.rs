//! Real programs in Go: gRPC's interoperability client and server, h2spec, grpcurl,
//! grpc-health-probe, and a server of ours with health checks and reflection. See
//! `tools/go-peers`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use crate::port;
use crate::process::{Process, wait_until};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(20);

/// A program, built when it is first asked for.
///
/// # Panics
/// When Go is missing or does not build it; the message says why.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/go-peers");
        let built = Command::new(&tool).output().expect("tools/go-peers is in the repository");
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "the Go programs cannot be built:\n{errors}");
        PathBuf::from(String::from_utf8_lossy(&built.stdout).trim())
    });
    HOME.join(name)
}

/// A running server of grpc-go for the interoperability tests. Killed when it is dropped.
#[derive(Debug)]
pub struct GrpcServer {
    _process: Process,
    port: u16,
}

impl GrpcServer {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When it ends or does not listen; the message has its log.
    #[must_use]
    pub fn start() -> GrpcServer {
        let port = port::free();
        let mut command = Command::new(program("server"));
        command.arg("-port").arg(port.to_string());
        GrpcServer::run(command, port)
    }

    /// The same service, with health checks and reflection. `healths` are such as
    /// `grpc.testing.TestService=NOT_SERVING`.
    ///
    /// # Panics
    /// As [`GrpcServer::start`].
    #[must_use]
    pub fn with_health(healths: &[&str]) -> GrpcServer {
        let port = port::free();
        let mut command = Command::new(program("testserver"));
        command.arg(format!("127.0.0.1:{port}")).args(healths);
        GrpcServer::run(command, port)
    }

    fn run(mut command: Command, port: u16) -> GrpcServer {
        let (mut process, _) = Process::start(&mut command).expect("it was built");
        let listens = wait_until(START, || {
            process.ended().is_some() || port::is_owned_by(port, process.pid())
        });
        let ended = process.ended();
        assert!(ended.is_none() && listens, "grpc-go's server: {ended:?}\n{}", process.errors());
        GrpcServer { _process: process, port }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
