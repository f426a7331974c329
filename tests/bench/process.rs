//! A proxy under measurement: a fresh process pinned to its core, and what the
//! kernel says that it costs.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::sys;

/// How long a proxy may take to listen.
const START: Duration = Duration::from_secs(20);

/// A running proxy; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    listen: SocketAddr,
    directory: TempDir,
}

/// Processor time, in nanoseconds, as the scheduler counts it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Time {
    /// Spent on a core.
    pub(crate) running: u64,
    /// Spent runnable, waiting for a core that somebody else had.
    pub(crate) waiting: u64,
}

impl std::ops::Sub for Time {
    type Output = Time;
    fn sub(self, earlier: Time) -> Time {
        Time {
            running: self.running.saturating_sub(earlier.running),
            waiting: self.waiting.saturating_sub(earlier.waiting),
        }
    }
}

impl Process {
    /// Starts `command` on `core`, in `directory`, and waits until it listens.
    ///
    /// # Errors
    /// When it does not start, or ends, or does not own the port in time; with
    /// the end of what it printed.
    pub(crate) fn start(
        mut command: Command,
        listen: SocketAddr,
        core: usize,
        directory: TempDir,
    ) -> Result<Process> {
        let log = fs::File::create(directory.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        sys::confine(&mut command, core);
        let child =
            command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
        let mut process = Process { child, listen, directory };
        let end = Instant::now() + START;
        while !owns_port(process.child.id(), listen.port())? {
            if let Some(status) = process.child.try_wait()? {
                bail!("{:?} ended with {status}: {}", command.get_program(), process.log());
            }
            if Instant::now() > end {
                bail!(
                    "{:?} does not listen after {START:?}: {}",
                    command.get_program(),
                    process.log()
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    /// Where it listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The time of all its threads so far.
    pub(crate) fn time(&self) -> Result<Time> {
        let mut sum = Time::default();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end between the listing and the reading.
            if let Ok(time) = read_time(&task?.path().join("schedstat")) {
                sum.running += time.running;
                sum.waiting += time.waiting;
            }
        }
        Ok(sum)
    }

    /// Resident memory, in KiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// The end of what it printed.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(1500)..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Failing to kill means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time of the calling thread so far.
pub(crate) fn own_time() -> Result<Time> {
    read_time(Path::new("/proc/thread-self/schedstat"))
}

/// Time that the hypervisor took from a core, in clock ticks (10 ms).
pub(crate) fn stolen(core: usize) -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{core}");
    let line = stat.lines().find(|l| l.split(' ').next() == Some(&name));
    line.and_then(|l| l.split_whitespace().nth(8)?.parse().ok()).unwrap_or(0)
}

fn read_time(path: &Path) -> Result<Time> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut fields = text.split_whitespace().map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(running)), Some(Ok(waiting))) => Ok(Time { running, waiting }),
        _ => bail!("{}: not a schedstat: {text}", path.display()),
    }
}

/// A port of 127.0.0.1 that nobody listens on now.
pub(crate) fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Whether the process has a socket that listens on the port. Only this proves
/// that no other program answers there.
fn owns_port(pid: u32, port: u16) -> Result<bool> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let listening = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?.rsplit(':').next()?;
        let listens = *fields.get(3)? == "0A" && u16::from_str_radix(local, 16) == Ok(port);
        listens.then(|| format!("socket:[{}]", fields[9]))
    });
    let listening: Vec<String> = listening.collect();
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Ok(false) };
    Ok(files.flatten().any(|file| {
        fs::read_link(file.path())
            .is_ok_and(|to| listening.iter().any(|l| to.as_os_str() == l.as_str()))
    }))
}
