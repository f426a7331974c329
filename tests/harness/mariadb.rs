//! A real MariaDB server on a free loopback port, with its data in a folder of its
//! own, and its command line client.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::port;
use crate::process::{Process, wait_until};

/// How long its start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running server. Killed when it is dropped.
#[derive(Debug)]
pub struct MariaDb {
    process: Process,
    _data: TempDir,
    port: u16,
}

impl MariaDb {
    /// Starts an empty one, whose account `root` wants no password.
    ///
    /// # Panics
    /// When it cannot be had, ends or does not listen; the message has its log.
    #[must_use]
    pub fn start() -> MariaDb {
        let data = TempDir::new().expect("the temporary folder can be written");
        let folder = data.path().join("data");
        let made = run(Command::new(tool()).arg("install").arg(&folder));
        assert!(made.status.success(), "no empty server could be made: {made:?}");
        let port = port::free();
        let mut command = Command::new(tool());
        command.arg("server").arg("--datadir").arg(&folder);
        command.arg("--socket").arg(data.path().join("socket"));
        command.args(["--bind-address=127.0.0.1", &format!("--port={port}")]);
        // Small: its tables are.
        command.args(["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"]);
        let (mut process, _) = Process::start(&mut command)
            .unwrap_or_else(|error| panic!("tools/mariadb cannot be run: {error}"));
        let listens = wait_until(START, || {
            process.ended().is_some() || port::is_owned_by(port, process.pid())
        });
        let ended = process.ended();
        assert!(ended.is_none() && listens, "mariadb: {ended:?}\n{}", process.errors());
        MariaDb { process, _data: data, port }
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// The client with these statements, which connects to `port` as `user`
/// (`name:password`, or a name alone). It prints rows as text with tabs.
#[must_use]
pub fn client(port: u16, user: &str, statements: &str) -> Command {
    let mut command = Command::new(tool());
    command.args(["client", "--host=127.0.0.1", "--batch", "--skip-column-names", "--raw"]);
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    command.args([&format!("--port={port}"), &format!("--user={name}")]);
    command.args([&format!("--password={password}"), "--execute", statements]);
    command
}

/// What statements print.
///
/// # Panics
/// When one fails; the message says why.
#[must_use]
#[track_caller]
pub fn query(port: u16, user: &str, statements: &str) -> String {
    let output = run(&mut client(port, user, statements));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statements}: {errors}");
    String::from_utf8(output.stdout).expect("the rows are text")
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"))
}

fn tool() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/mariadb")
}
