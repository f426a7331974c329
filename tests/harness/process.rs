//! A child process with its output kept, killed when it is dropped.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines of output that are kept: of standard error the newest.
const KEPT: usize = 400;

/// How often a condition is looked at while a test waits for it.
const LOOK: Duration = Duration::from_millis(10);

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    errors: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Starts `command` with piped input and output. Returns the lines of its
    /// standard output; its standard error is kept, see [`Process::errors`].
    pub(crate) fn start(command: &mut Command) -> io::Result<(Process, Receiver<String>)> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let errors = Arc::new(Mutex::new(VecDeque::new()));
        let (to, lines) = mpsc::sync_channel(KEPT);
        if let Some(stdout) = child.stdout.take() {
            // Nobody reading is no reason to stop: a full pipe would block the child.
            each_line(stdout, move |line| drop(to.try_send(line)));
        }
        if let Some(stderr) = child.stderr.take() {
            let kept = Arc::clone(&errors);
            each_line(stderr, move |line| {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == KEPT {
                    kept.pop_front();
                }
                kept.push_back(line);
            });
        }
        Ok((Process { child, errors }, lines))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdin(&mut self) -> Option<&mut std::process::ChildStdin> {
        self.child.stdin.as_mut()
    }

    /// The newest lines of standard error, oldest first.
    pub(crate) fn errors(&self) -> String {
        let kept = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let mut status = None;
        wait_until(within, || {
            status = self.ended();
            status.is_some()
        });
        status
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name, by way of the program `kill`.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "signal {name} was not sent");
    }

    /// Ends it at once (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn each_line(from: impl Read + Send + 'static, mut take: impl FnMut(String) + Send + 'static) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            take(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    });
}

/// Polls until `done`; says whether it came true in time.
pub fn wait_until(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK);
    }
}
