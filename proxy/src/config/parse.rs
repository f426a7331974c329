//! From YAML text to a checked [`Config`], or to every mistake at once.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use governance::Finding;
use governance::document::{Mapping, Node, Position, Report, parse_one};

use super::value::{bind_or_port, duration, host_and_port, optional_duration, optional_size, size};
use super::{AccessLog, Config, Limits, Timeouts, addresses, listener, service};

/// More worker threads than any machine has CPUs for.
const MAX_WORKERS: u64 = 1024;

/// Reads a configuration. `file` names it in findings; relative paths in it count
/// from the folder that `file` is in.
///
/// # Errors
/// Everything that is wrong, by position.
pub fn parse(file: &Path, text: &str) -> Result<Config, Vec<Finding>> {
    let mut report = Report::new(file.display().to_string());
    let config = parse_one(text, &mut report)
        .and_then(|root| config(file, &root, &mut report))
        .filter(|_| !report.has_errors());
    config.ok_or_else(|| report.into_findings())
}

/// Reads the configuration in `file`.
///
/// # Errors
/// Everything that is wrong; a file that cannot be read is one finding.
pub fn load(file: &Path) -> Result<Config, Vec<Finding>> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(file, &text),
        Err(error) => {
            let mut report = Report::new(file.display().to_string());
            report.error(
                Position::default(),
                "unreadable",
                format!("the configuration cannot be read: {error}"),
                "",
            );
            Err(report.into_findings())
        }
    }
}

fn config(file: &Path, root: &Node, report: &mut Report) -> Option<Config> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut top = root.mapping("the configuration", report)?;
    let workers = top.integer("workers", 1..=MAX_WORKERS, report);
    let admin = top.value("admin").and_then(|node| bind_or_port(node, "admin", report));
    let store = store(&mut top, report);
    let config = Config {
        workers: workers
            .and_then(|workers| usize::try_from(workers).ok())
            .unwrap_or_else(|| available_parallelism().map_or(1, usize::from)),
        admin,
        state: path(&mut top, "state", folder, report),
        application: top.text("application", report).unwrap_or_default().to_owned(),
        labels: top.text_map("labels", report),
        services: service::services(&mut top, report),
        rules: rules(&mut top, folder, report),
        scripts: top.boolean("scripts", report).unwrap_or(false),
        listeners: listener::listeners(&mut top, !store.is_empty(), report),
        limits: limits(&mut top, report),
        timeouts: timeouts(&mut top, report),
        access_log: access_log(&mut top, folder, report),
        store,
    };
    let taken = |admin| config.listeners.iter().any(|listener| listener.bind == admin);
    if let Some(admin) = config.admin.filter(|admin| admin.port() != 0 && taken(*admin))
        && let Some(node) = top.value("admin")
    {
        report.error(
            node.position,
            "duplicate-bind",
            format!("a listener has {admin} already"),
            "give the admin pages a port of their own",
        );
    }
    addresses::check(&mut top, &config, report);
    top.finish(report);
    Some(config)
}

/// etcd endpoints, comma separated.
fn store(top: &mut Mapping<'_>, report: &mut Report) -> Vec<String> {
    let Some(node) = top.value("store") else { return Vec::new() };
    let Some(text) = node.text("store", report) else { return Vec::new() };
    let mut endpoints = Vec::new();
    for endpoint in text.split(',').map(str::trim) {
        let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
        let problem = match scheme {
            "" | "http" if host_and_port(rest.trim_end_matches('/')).is_some() => {
                endpoints.push(format!("http://{}", rest.trim_end_matches('/')));
                continue;
            }
            "https" => "TLS to the store is not in this build",
            _ => "it is not of the form http://HOST:PORT",
        };
        report.error(
            node.position,
            "bad-store",
            format!("store {endpoint:?} cannot be used: {problem}"),
            "write etcd's client addresses, e.g. http://127.0.0.1:2379, several with commas between",
        );
    }
    endpoints
}

fn path(
    top: &mut Mapping<'_>,
    key: &'static str,
    folder: &Path,
    report: &mut Report,
) -> Option<PathBuf> {
    let node = top.value(key)?;
    non_empty(node, key, report).map(|text| folder.join(text))
}

fn non_empty<'n>(node: &'n Node, what: &str, report: &mut Report) -> Option<&'n str> {
    let text = node.text(what, report)?;
    if text.is_empty() {
        report.error(node.position, "bad-path", format!("{what} is an empty path"), "");
        return None;
    }
    Some(text)
}

/// Rule files and folders. They are looked for here, because a missing one is a
/// mistake in this file.
fn rules(top: &mut Mapping<'_>, folder: &Path, report: &mut Report) -> Vec<PathBuf> {
    let mut rules = Vec::new();
    for node in top.list("rules", report) {
        let Some(text) = non_empty(node, "rules", report) else { continue };
        let path = folder.join(text);
        if let Err(error) = path.metadata() {
            report.error(
                node.position,
                "no-rules",
                format!("rules {text:?} cannot be read: {error}"),
                format!("it is looked for at {}", path.display()),
            );
        }
        rules.push(path);
    }
    rules
}

fn limits(top: &mut Mapping<'_>, report: &mut Report) -> Limits {
    let default = Limits::default();
    let Some(mut mapping) = top.mapping("limits", report) else { return default };
    let narrow = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let count = |key, default: usize, mapping: &mut Mapping<'_>, report: &mut Report| {
        mapping.integer(key, 1..=10_000_000, report).map_or(default, narrow)
    };
    let limits = Limits {
        // A Dubbo length is a signed 32-bit number.
        frame: size(&mut mapping, "frame", 1 << 10..=(2 << 30) - 1, default.frame, report),
        buffer: narrow(size(
            &mut mapping,
            "buffer",
            64 << 10..=64 << 30,
            default.buffer as u64,
            report,
        )),
        connections: count("connections", default.connections, &mut mapping, report),
        pending: count("pending", default.pending, &mut mapping, report),
        head: u32::try_from(size(
            &mut mapping,
            "head",
            8 << 10..=1 << 20,
            default.head.into(),
            report,
        ))
        .unwrap_or(default.head),
        body: optional_size(&mut mapping, "body", 0..=1 << 40, report),
    };
    mapping.finish(report);
    limits
}

fn timeouts(top: &mut Mapping<'_>, report: &mut Report) -> Timeouts {
    let default = Timeouts::default();
    let Some(mut mapping) = top.mapping("timeouts", report) else { return default };
    let (ms, hour) = (Duration::from_millis, Duration::from_secs(3600));
    let call = duration(&mut mapping, "call", ms(1)..=hour, default.call, report);
    let timeouts = Timeouts {
        call,
        call_over_http: mapping.value("call").is_some().then_some(call),
        connect: duration(&mut mapping, "connect", ms(1)..=hour, default.connect, report),
        detect: duration(&mut mapping, "detect", ms(1)..=ms(10_000), default.detect, report),
        heartbeat: duration(&mut mapping, "heartbeat", ms(100)..=hour, default.heartbeat, report),
        idle: optional_duration(&mut mapping, "idle", ms(100)..=hour * 24, report),
        drain: duration(&mut mapping, "drain", Duration::ZERO..=hour, default.drain, report),
    };
    mapping.finish(report);
    timeouts
}

fn access_log(top: &mut Mapping<'_>, folder: &Path, report: &mut Report) -> Option<AccessLog> {
    match non_empty(top.value("access_log")?, "access_log", report)? {
        "stdout" => Some(AccessLog::Stdout),
        path => Some(AccessLog::File(folder.join(path))),
    }
}
