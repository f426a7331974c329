//! The `spanwire` binary, run as its users run it.

use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use crate::port;
use crate::process::{Process, wait_until};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(20);

/// The folder of this build, `target` unless told otherwise.
///
/// # Panics
/// When the test program was moved out of cargo's folders.
#[must_use]
pub fn target_folder() -> PathBuf {
    let folder = profile_folder();
    folder.parent().expect("a profile's folder is in the target folder").to_owned()
}

/// `target/debug` or `target/release`: where cargo put this test program.
fn profile_folder() -> PathBuf {
    let program = env::current_exe().expect("a running program has a path");
    let folder = program.parent().expect("a program is in a folder");
    let folder = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    folder.expect("deps is in a profile's folder").to_owned()
}

/// The binary next to this test program. `SPANWIRE` names another one.
///
/// # Panics
/// When it is missing; the message says what to run.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(other) = env::var_os("SPANWIRE") {
        return PathBuf::from(other);
    }
    let binary = profile_folder().join("spanwire");
    assert!(binary.exists(), "{} is missing: run `cargo build -p cli` first", binary.display());
    binary
}

/// A running `spanwire proxy`. Killed when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    folder: TempDir,
    admin: SocketAddr,
}

impl Proxy {
    /// Starts a proxy and waits until it says that it is ready. `configuration` is
    /// what a configuration file holds, but for `admin`, which is added.
    ///
    /// # Panics
    /// When it ends or does not get ready; the message has its log.
    #[must_use]
    pub fn start(configuration: &str) -> Proxy {
        let folder = TempDir::new().expect("the temporary folder can be written");
        Proxy::start_in(folder, configuration)
    }

    /// [`Proxy::start`] with files that the configuration refers to already in `folder`.
    ///
    /// # Panics
    /// As [`Proxy::start`].
    #[must_use]
    pub fn start_in(folder: TempDir, configuration: &str) -> Proxy {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let file = folder.path().join("spanwire.yaml");
        fs::write(&file, format!("admin: {admin}\n{configuration}")).expect("the folder is ours");
        let mut command = Command::new(binary());
        command.arg("proxy").arg("-c").arg(&file).current_dir(folder.path());
        let mut proxy = Proxy { process: start(&mut command), folder, admin };
        let mut ended = None;
        let ready = wait_until(START, || {
            ended = proxy.process.ended();
            ended.is_some() || proxy.get("/readyz").is_ok_and(|(status, _)| status == 200)
        });
        let log = proxy.log();
        assert!(ended.is_none(), "spanwire proxy ended: {ended:?}\n{configuration}\n{log}");
        assert!(ready, "spanwire proxy is not ready after {START:?}\n{configuration}\n{log}");
        proxy
    }

    /// GET from the admin address: the status and the body.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.admin, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {answer:?}")))?;
        Ok((status, body.to_owned()))
    }

    /// The sum of a counter over all labels that contain `label`.
    ///
    /// # Panics
    /// When the metrics cannot be read.
    #[must_use]
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let (_, metrics) = self.get("/metrics").expect("the admin address answers");
        metrics
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    /// The folder that its configuration file is in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its log so far, the newest lines.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.errors()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks it to drain and end (SIGTERM).
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// How it ended, if it did in time.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        self.process.wait(within)
    }
}

/// A running `spanwire control`. Killed when it is dropped.
#[derive(Debug)]
pub struct Control {
    _process: Process,
    _folder: TempDir,
    port: u16,
}

impl Control {
    /// Starts the embedded store on a free port, with a folder of its own.
    ///
    /// # Panics
    /// When it ends or does not listen; the message has its log.
    #[must_use]
    pub fn start() -> Control {
        let folder = TempDir::new().expect("the temporary folder can be written");
        let port = port::free();
        let mut command = Command::new(binary());
        command.arg("control").arg("--listen").arg(format!("127.0.0.1:{port}"));
        command.arg("--data").arg(folder.path());
        let mut process = start(&mut command);
        let listens = wait_until(START, || {
            process.ended().is_some() || port::is_owned_by(port, process.pid())
        });
        let ended = process.ended();
        assert!(ended.is_none() && listens, "spanwire control: {ended:?}\n{}", process.errors());
        Control { _process: process, _folder: folder, port }
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn start(command: &mut Command) -> Process {
    match Process::start(command) {
        Ok((process, _)) => process,
        Err(error) => panic!("{command:?} does not start: {error}"),
    }
}
