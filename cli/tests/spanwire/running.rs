//! The binary in the background, followed by its log.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use super::command;

/// A process of the binary; killed when a test fails.
pub(crate) struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Running {
        let mut child = command(arguments)
            .args(["--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        Running { child, log }
    }

    /// Reads the log up to a message, and returns one of its fields.
    pub(crate) fn logged(&mut self, message: &str, field: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.log.read_line(&mut line).expect("the log is text");
            assert!(read > 0, "the log ended before {message:?}");
            let entry: serde_json::Value = serde_json::from_str(&line).expect("a JSON line");
            if entry["message"] == message {
                return entry[field].as_str().unwrap_or_default().to_owned();
            }
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        // The shell's own kill: there may be no program of that name.
        let script = ["-c", "kill -s \"$0\" \"$1\"", name, &id];
        let sent = Command::new("sh").args(script).status().expect("a shell");
        assert!(sent.success());
    }

    /// The exit status, once it has ended.
    pub(crate) fn status(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What an HTTP server answers, head and body.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    answer
}
