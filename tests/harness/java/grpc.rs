//! grpc-java's interoperability programs, driven by lines: see
//! `tests/interop/java/grpc`.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use super::{PATIENCE, PeerError, build, jvm};
use crate::port;
use crate::process::Process;

/// A running JVM that makes calls, or serves, as it is told. Ends when it is dropped.
#[derive(Debug)]
pub struct GrpcJava {
    process: Process,
    answers: Receiver<String>,
}

impl GrpcJava {
    /// Starts one, building it first if need be.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn start() -> Result<GrpcJava, PeerError> {
        let mut command = jvm(build::grpc_class_path()?);
        let (process, answers) =
            Process::start(command.arg("interop.GrpcJava")).map_err(|error| {
                build::failed("grpc", format!("java does not start: {error}"), String::new())
            })?;
        Ok(GrpcJava { process, answers })
    }

    /// Has it serve the interoperability tests on a free port, which it returns once it
    /// listens there.
    ///
    /// # Errors
    /// What the server failed with.
    pub fn serve(&mut self) -> Result<u16, String> {
        let port = port::free();
        self.run(&format!("server --use_tls=false --port={port}"))?;
        Ok(port)
    }

    /// Has its client run one case against a server on this machine. `options` are
    /// further arguments of the client.
    ///
    /// # Errors
    /// What the case failed with.
    pub fn call(&mut self, case: &str, port: u16, options: &[&str]) -> Result<(), String> {
        let host = "--server_host=127.0.0.1 --use_tls=false";
        self.run(&format!(
            "client {host} --server_port={port} --test_case={case} {}",
            options.join(" ")
        ))
    }

    fn run(&mut self, line: &str) -> Result<(), String> {
        if let Some(stdin) = self.process.stdin() {
            // A failure shows as a missing answer.
            let _ = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        }
        let failure = match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) if answer == "passed" => return Ok(()),
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => format!("no answer within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => "it ended".to_owned(),
        };
        Err(format!("{line}: {failure}; it said:\n{}", self.process.errors()))
    }
}
