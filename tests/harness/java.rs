//! Real Java Dubbo programs, driven by JSON lines: see `tests/interop/java`.
//!
//! They are compiled once per Dubbo line into `target/java`, which needs Maven
//! and, the first time, its repository. Beside them, [`GrpcJava`]: the programs of
//! grpc-java.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::port;
use crate::process::{Process, wait_until};

mod build;
mod grpc;

pub use grpc::GrpcJava;

/// How long one command may take; the whole suite of calls is one.
const PATIENCE: Duration = Duration::from_secs(90);

/// hessian reads fields of these packages, which Java 17 closes.
const OPENED: [&str; 7] = [
    "java.lang",
    "java.lang.reflect",
    "java.math",
    "java.net",
    "java.time",
    "java.util",
    "java.util.concurrent",
];

/// A line of Dubbo releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Line {
    /// 3.3.x
    Dubbo33,
    /// 3.2.x
    Dubbo32,
    /// 2.7.x
    Dubbo27,
}

impl Line {
    /// As in the names of Maven profiles and folders.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Line::Dubbo33 => "3.3",
            Line::Dubbo32 => "3.2",
            Line::Dubbo27 => "2.7",
        }
    }

    /// Whether it speaks Triple.
    #[must_use]
    pub fn has_triple(self) -> bool {
        self != Line::Dubbo27
    }
}

/// Which program of the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `interop.Provider`
    Provider,
    /// `interop.Consumer`
    Consumer,
    /// `interop.TripleProvider`, for lines that have Triple.
    TripleProvider,
    /// `interop.TripleConsumer`, for lines that have Triple.
    TripleConsumer,
}

/// Why a peer did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Maven or javac failed, or is not there.
    #[error("the Java peers {peers} cannot be built: {what}\n{output}")]
    Build {
        /// A line of Dubbo, or `grpc`.
        peers: &'static str,
        /// Which step failed.
        what: String,
        /// What the step printed.
        output: String,
    },
    /// The program ended.
    #[error("{peer} ended ({status:?}) instead of answering {command}; it said:\n{errors}")]
    Ended {
        /// Line and role.
        peer: String,
        /// The command it was given.
        command: String,
        /// How it ended, if that is known yet.
        status: Option<ExitStatus>,
        /// Its standard error.
        errors: String,
    },
    /// No answer came.
    #[error("{peer} gave no answer to {command} within {PATIENCE:?}; it said:\n{errors}")]
    Silent {
        /// Line and role.
        peer: String,
        /// The command it was given.
        command: String,
        /// Its standard error.
        errors: String,
    },
    /// The command failed.
    #[error("{peer} could not do {command}: {failure}")]
    Refused {
        /// Line and role.
        peer: String,
        /// The command it was given.
        command: String,
        /// What it answered.
        failure: String,
    },
    /// An answer that is no JSON object.
    #[error("{peer} answered {command} with {answer:?}")]
    Unreadable {
        /// Line and role.
        peer: String,
        /// The command it was given.
        command: String,
        /// What it answered.
        answer: String,
    },
}

/// A running Java program. Ends when it is dropped.
#[derive(Debug)]
pub struct Peer {
    line: Line,
    role: Role,
    process: Process,
    answers: Receiver<String>,
}

impl Peer {
    /// Starts a program, building it first if need be. `properties` are Java system
    /// properties (`-Dkey=value`), `environment` is added to this process's own.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn start(
        line: Line,
        role: Role,
        properties: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<Peer, PeerError> {
        let mut command = java(line)?;
        for (key, value) in properties {
            command.arg(format!("-D{key}={value}"));
        }
        command.arg(match role {
            Role::Provider => "interop.Provider",
            Role::Consumer => "interop.Consumer",
            Role::TripleProvider => "interop.TripleProvider",
            Role::TripleConsumer => "interop.TripleConsumer",
        });
        command.envs(environment.iter().copied());
        let (process, answers) = Process::start(&mut command).map_err(|error| {
            let what = format!("java does not start: {error}");
            PeerError::Build { peers: line.name(), what, output: String::new() }
        })?;
        Ok(Peer { line, role, process, answers })
    }

    /// Gives a command and waits for its answer.
    ///
    /// # Errors
    /// When it failed, or no answer came.
    pub fn ask(&mut self, command: &Value) -> Result<Value, PeerError> {
        let text = command.to_string();
        if let Some(stdin) = self.process.stdin() {
            // A failure shows as a missing answer.
            let _ = writeln!(stdin, "{text}").and_then(|()| stdin.flush());
        }
        let answer = match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                return Err(PeerError::Silent {
                    peer: self.name(),
                    command: text,
                    errors: self.process.errors(),
                });
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PeerError::Ended {
                    peer: self.name(),
                    command: text,
                    status: self.process.wait(Duration::from_secs(2)),
                    errors: self.process.errors(),
                });
            }
        };
        match serde_json::from_str::<Value>(&answer) {
            Ok(value) if value.get("error").is_some() => Err(PeerError::Refused {
                peer: self.name(),
                command: text,
                failure: value["error"].as_str().unwrap_or_default().to_owned(),
            }),
            Ok(value) if value.is_object() => Ok(value),
            _ => Err(PeerError::Unreadable { peer: self.name(), command: text, answer }),
        }
    }

    /// Exports the service under `name` on a free port, which it returns once the
    /// program listens there. `options` are further fields of the command.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    ///
    /// # Panics
    /// When the program says that it exported the service, but does not listen.
    pub fn export(&mut self, name: &str, options: Value) -> Result<u16, PeerError> {
        let port = port::free();
        self.export_at(name, port, options)?;
        Ok(port)
    }

    /// [`Peer::export`] on a port that the caller chose.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    ///
    /// # Panics
    /// As [`Peer::export`].
    pub fn export_at(&mut self, name: &str, port: u16, options: Value) -> Result<(), PeerError> {
        self.ask(&with(json!({"cmd": "export", "name": name, "port": port}), options))?;
        let pid = self.process.pid();
        let listens = wait_until(Duration::from_secs(5), || port::is_owned_by(port, pid));
        assert!(listens, "{} does not listen on {port}:\n{}", self.name(), self.process.errors());
        Ok(())
    }

    /// Makes a reference named `reference`. `options` are further fields of the command.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    pub fn refer(&mut self, reference: &str, options: Value) -> Result<(), PeerError> {
        self.ask(&with(json!({"cmd": "refer", "ref": reference}), options)).map(drop)
    }

    /// Makes every call of the suite; what the caller saw, by name of the case.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    pub fn suite(&mut self, reference: &str) -> Result<BTreeMap<String, String>, PeerError> {
        let answer = self.ask(&json!({"cmd": "suite", "ref": reference}))?;
        let cases = answer["cases"].as_object().into_iter().flatten();
        Ok(cases.map(|(name, seen)| (name.clone(), text(seen))).collect())
    }

    /// Makes one call. `options` are fields of the command: method, how, text, number.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    pub fn call(&mut self, reference: &str, options: Value) -> Result<Seen, PeerError> {
        let answer = self.ask(&with(json!({"cmd": "call", "ref": reference}), options))?;
        let millis = answer["millis"].as_u64().unwrap_or_default();
        Ok(match answer.get("failure") {
            Some(failure) => Seen { result: Err(text(failure)), millis },
            None => Seen { result: Ok(text(&answer["value"])), millis },
        })
    }

    /// Has the consumer's scripted server answer every request so from now on; its
    /// port. `script` is what `interop.ScriptedServer` reads.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    ///
    /// # Panics
    /// When the program says no port.
    pub fn script(&mut self, script: Value) -> Result<u16, PeerError> {
        let answer = self.ask(&with(json!({"cmd": "script"}), script))?;
        let port = answer["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        Ok(port.expect("the server has a port"))
    }

    /// How often the scripted server was asked since it was told how to answer.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    pub fn asked(&mut self) -> Result<u64, PeerError> {
        Ok(self.ask(&json!({"cmd": "scripted"}))?["asked"].as_u64().unwrap_or_default())
    }

    /// Ends it as Dubbo does it: no new calls, those in flight answered.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    pub fn stop(&mut self) -> Result<(), PeerError> {
        self.ask(&json!({"cmd": "stop"})).map(drop)
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits until the program is gone; says whether it is.
    pub fn is_gone(&mut self, within: Duration) -> bool {
        self.process.wait(within).is_some()
    }

    /// What it wrote to standard error, the newest lines.
    #[must_use]
    pub fn errors(&self) -> String {
        self.process.errors()
    }

    fn name(&self) -> String {
        format!("{:?} {}", self.role, self.line.name())
    }
}

/// What the program `class` of the peers prints until it ends.
///
/// # Errors
/// When it cannot be built or started, or fails.
pub fn output_of(line: Line, class: &str) -> Result<String, PeerError> {
    let failed = |what: String, output| PeerError::Build { peers: line.name(), what, output };
    let ran = java(line)?
        .arg(class)
        .output()
        .map_err(|error| failed(error.to_string(), String::new()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match ran.status.success() {
        true => Ok(text(&ran.stdout)),
        false => Err(failed(format!("{class} failed"), text(&ran.stderr))),
    }
}

/// Java with the peers of a line on its class path; what comes next is the class.
fn java(line: Line) -> Result<Command, PeerError> {
    let mut command = jvm(build::class_path(line)?);
    for package in OPENED {
        command.arg("--add-opens").arg(format!("java.base/{package}=ALL-UNNAMED"));
    }
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    Ok(command)
}

/// Java that starts fast and takes little.
fn jvm(class_path: OsString) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx384m"])
        .arg("-cp")
        .arg(class_path);
    command
}

/// What the caller of one call saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The value or the failure, as `interop.Text` writes it.
    pub result: Result<String, String>,
    /// How long the call took.
    pub millis: u64,
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The fields of `options` on top of those of `command`.
fn with(mut command: Value, options: Value) -> Value {
    if let (Some(command), Value::Object(options)) = (command.as_object_mut(), options) {
        command.extend(options);
    }
    command
}

/// Where the sources of the peers are.
fn sources() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/java"))
}
