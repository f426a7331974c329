//! One JSON line per call, for people and machines that want every call.
//!
//! A worker formats its line and appends it to a buffer of its own; a separate
//! thread takes the buffers away ten times a second and writes them. A worker waits
//! for nothing but the swap of a buffer: where the disk or pipe is too slow,
//! lines are dropped and counted. Off unless configured, and then nothing of this
//! exists.
//!
//! Not here: which calls there are (the forward path reports each when it ends).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codec::Outcome;
use serde::{Serialize, Serializer};

use crate::config;
use crate::metrics::Metrics;

/// How often lines are written.
const PERIOD: Duration = Duration::from_millis(100);

/// Bytes that a worker may have waiting; lines beyond are dropped.
const WAITING: usize = 4 << 20;

/// One finished call. Serialized, its fields are the line's, in this order.
#[derive(Debug, Clone, Serialize)]
pub struct Entry<'a> {
    /// When the call ended; written as RFC 3339 in UTC, with milliseconds.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The listener it came in by.
    pub listener: &'a str,
    /// The caller's end of the connection.
    pub caller: SocketAddr,
    /// What the call was spoken in.
    pub protocol: &'a str,
    /// The routing key; empty where it could not be read.
    pub service: &'a str,
    /// Method name; empty where it could not be read.
    pub method: &'a str,
    /// The endpoint that the call was sent to; absent where it was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<&'a str>,
    /// How it ended; written as its label.
    #[serde(serialize_with = "label")]
    pub outcome: Outcome,
    /// From the call's arrival to its end, in microseconds.
    pub duration_us: u64,
    /// The request's bytes as they came in.
    pub bytes_in: u64,
    /// The answer's bytes as they went out; 0 where there was none.
    pub bytes_out: u64,
}

fn label<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.label())
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&iso(*time))
}

/// A time in UTC as RFC 3339 writes it, to the millisecond.
pub fn iso(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        since.subsec_millis()
    )
}

/// The Gregorian date that lies `days` after 1970-01-01. Counts years from March,
/// so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// What the workers and the writing thread share.
#[derive(Debug, Default)]
struct Shared {
    buffers: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    written: AtomicU64,
    dropped: AtomicU64,
    closing: AtomicBool,
}

/// The access log of a process. Dropping it writes what is waiting and ends.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the log and starts its thread.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn open(to: &config::AccessLog, metrics: &Metrics) -> io::Result<AccessLog> {
        let target = match to {
            config::AccessLog::Stdout => Target::Stdout,
            config::AccessLog::File(path) => Target::open(path)?,
        };
        let shared = Arc::new(Shared::default());
        let counted = shared.clone();
        metrics.add_source(move |text| {
            text.counter(
                "spanwire_access_log_lines_total",
                "Access log lines, by what became of them.",
            )
            .sample(&[("result", "written")], counted.written.load(Ordering::Relaxed))
            .sample(&[("result", "dropped")], counted.dropped.load(Ordering::Relaxed));
        });
        let writing = shared.clone();
        let writer = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_until_closed(&writing, target))?;
        Ok(AccessLog { shared, writer: Some(writer) })
    }

    /// A worker's own end of the log.
    pub fn worker(&self) -> WorkerLog {
        let buffer = Arc::<Mutex<Vec<u8>>>::default();
        lock(&self.shared.buffers).push(buffer.clone());
        WorkerLog { shared: self.shared.clone(), buffer, line: Vec::new() }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            if writer.join().is_err() {
                tracing::error!("the access log's thread has panicked; lines are lost");
            }
        }
    }
}

/// One worker's end of the access log.
#[derive(Debug)]
pub struct WorkerLog {
    shared: Arc<Shared>,
    buffer: Arc<Mutex<Vec<u8>>>,
    line: Vec<u8>,
}

impl WorkerLog {
    /// Adds a line, or drops and counts it where too much is waiting.
    pub fn write(&mut self, entry: &Entry<'_>) {
        self.line.clear();
        let formatted = serde_json::to_writer(&mut self.line, entry);
        self.line.push(b'\n');
        // Formatted outside the lock, which the writing thread holds only to swap
        // two buffers.
        let mut buffer = lock(&self.buffer);
        if formatted.is_err() || buffer.len() + self.line.len() > WAITING {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        buffer.extend_from_slice(&self.line);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_until_closed(shared: &Shared, mut target: Target) {
    let mut taken = Vec::new();
    let mut failing = false;
    loop {
        // Read before the buffers are: what was added before closing is written.
        let closing = shared.closing.load(Ordering::Acquire);
        for buffer in lock(&shared.buffers).clone() {
            std::mem::swap(&mut *lock(&buffer), &mut taken);
            if taken.is_empty() {
                continue;
            }
            let lines = taken.iter().filter(|byte| **byte == b'\n').count() as u64;
            match target.write(&taken) {
                Ok(()) => {
                    failing = false;
                    shared.written.fetch_add(lines, Ordering::Relaxed);
                }
                Err(error) => {
                    shared.dropped.fetch_add(lines, Ordering::Relaxed);
                    if !failing {
                        tracing::error!(%error, "the access log cannot be written; lines are dropped");
                    }
                    failing = true;
                }
            }
            taken.clear();
        }
        if closing {
            return;
        }
        thread::park_timeout(PERIOD);
    }
}

/// Where lines go.
#[derive(Debug)]
enum Target {
    Stdout,
    File { path: PathBuf, file: File },
}

impl Target {
    fn open(path: &Path) -> io::Result<Target> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Target::File { path: path.to_owned(), file })
    }

    /// Writes whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Target::File { path, file } => {
                // Moved away by a log rotation: begin the new file.
                if !is_same_file(path, file) {
                    let Target::File { file: new, .. } = Target::open(path)? else {
                        unreachable!("a path opens as a file");
                    };
                    *file = new;
                }
                file.write_all(lines)
            }
        }
    }
}

fn is_same_file(path: &Path, file: &File) -> bool {
    let identity = |of: io::Result<std::fs::Metadata>| of.ok().map(|of| (of.dev(), of.ino()));
    identity(path.metadata()) == identity(file.metadata())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use codec::Reason;

    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            time: UNIX_EPOCH + Duration::from_millis(1_709_210_096_007),
            listener: "out",
            caller: ([127, 0, 0, 1], 4711).into(),
            protocol: "dubbo",
            service: "lab.\"Echo\"\n",
            method: "echo",
            endpoint: Some("10.0.0.1:20880"),
            outcome: Outcome::Fault(Reason::Timeout),
            duration_us: 1_000_123,
            bytes_in: 300,
            bytes_out: 0,
        }
    }

    const LINE: &str = concat!(
        r#"{"time":"2024-02-29T12:34:56.007Z","listener":"out","caller":"127.0.0.1:4711","#,
        r#""protocol":"dubbo","service":"lab.\"Echo\"\n","method":"echo","#,
        r#""endpoint":"10.0.0.1:20880","outcome":"timeout","duration_us":1000123,"#,
        r#""bytes_in":300,"bytes_out":0}"#,
        "\n"
    );

    fn open(path: &Path) -> (Arc<Metrics>, AccessLog) {
        let metrics = Metrics::new();
        let log = AccessLog::open(&config::AccessLog::File(path.to_owned()), &metrics)
            .expect("a new file in a fresh folder");
        (metrics, log)
    }

    #[track_caller]
    fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "no {what} within ten seconds");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn dates_are_right_at_the_edges() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (11_322, (2000, 12, 31)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), date, "{days} days");
        }
    }

    #[test]
    fn closing_writes_every_line_and_counts_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let (metrics, log) = open(&path);
        let (mut one, mut two) = (log.worker(), log.worker());
        one.write(&entry());
        two.write(&Entry { endpoint: None, ..entry() });
        drop(log);
        let text = std::fs::read_to_string(&path).unwrap();
        let unsent = LINE.replace("\"endpoint\":\"10.0.0.1:20880\",", "");
        assert_eq!(text, format!("{LINE}{unsent}"));
        let text = metrics.render();
        assert!(text.contains("spanwire_access_log_lines_total{result=\"written\"} 2\n"), "{text}");
    }

    #[test]
    fn a_rotated_log_goes_on_in_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let (_metrics, log) = open(&path);
        let mut worker = log.worker();
        worker.write(&entry());
        wait_for("first line", || std::fs::read_to_string(&path).is_ok_and(|text| text == LINE));
        std::fs::rename(&path, &moved).unwrap();
        worker.write(&entry());
        wait_for("new file", || std::fs::read_to_string(&path).is_ok_and(|text| text == LINE));
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), LINE);
    }

    /// Nobody takes the lines away: a worker goes on, with bounded memory.
    #[test]
    fn lines_over_the_bound_are_dropped_and_counted() {
        let shared = Arc::new(Shared::default());
        let buffer = Arc::<Mutex<Vec<u8>>>::default();
        let mut worker =
            WorkerLog { shared: shared.clone(), buffer: buffer.clone(), line: Vec::new() };
        let fit = WAITING / LINE.len();
        for _ in 0..fit + 5 {
            worker.write(&entry());
        }
        assert_eq!(shared.dropped.load(Ordering::Relaxed), 5);
        assert!(lock(&buffer).len() <= WAITING);
    }

    #[test]
    fn what_cannot_be_written_is_counted_as_dropped() {
        let (metrics, log) = open(Path::new("/dev/full"));
        log.worker().write(&entry());
        drop(log);
        let text = metrics.render();
        assert!(text.contains("spanwire_access_log_lines_total{result=\"dropped\"} 1\n"), "{text}");
    }
}
