//! What the proxy counts, and how Prometheus reads it.
//!
//! A worker thread writes to cells of its own ([`WorkerMetrics`],
//! [`MethodMetrics`]) without a lock or an atomic read-modify-write;
//! [`Metrics::render`] sums them when somebody scrapes. Which label values exist
//! is bounded ([`WorkerMetrics::method`]).
//!
//! Not here: serving the text over HTTP, the job of [`crate::admin`], and what
//! other parts of the process count: they add it with [`Metrics::add_source`].

mod cell;
mod detection;
mod label_sets;
mod method;
mod process;
mod registry;
mod rules;
mod text;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use codec::Reason;
use governance::ScriptReason;

pub(crate) use detection::DetectionMetrics;
pub use method::MethodMetrics;
pub(crate) use registry::registry_source;
pub(crate) use rules::rules_source;
pub use text::{CONTENT_TYPE, Family, Label, Text};
pub use worker::{Failback, Side, WorkerMetrics};

use crate::detect::Detected;
use crate::redirected::Origin;
use label_sets::LabelSets;
use method::{BOUNDS, MethodSum, outcomes};
use worker::{SideCells, WorkerCells};

/// Writes metric families of its own when the process is scraped.
type Source = Box<dyn Fn(&mut Text) + Send + Sync>;

/// Everything the process counts.
#[derive(Default)]
pub struct Metrics {
    sets: Arc<Mutex<LabelSets>>,
    workers: Mutex<Vec<Arc<WorkerMetrics>>>,
    sources: Mutex<Vec<Source>>,
    configs_applied: AtomicU64,
    configs_refused: AtomicU64,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// With nothing counted yet.
    pub fn new() -> Arc<Metrics> {
        Arc::default()
    }

    /// A new worker's counters; they are kept, and scraped, for good.
    pub fn worker(&self) -> Arc<WorkerMetrics> {
        let worker = Arc::new(WorkerMetrics::new(self.sets.clone()));
        lock(&self.workers).push(worker.clone());
        worker
    }

    /// Adds a part of the process that writes families of its own, with names
    /// that nobody else uses. Called at every scrape; must not block.
    pub fn add_source(&self, source: impl Fn(&mut Text) + Send + Sync + 'static) {
        lock(&self.sources).push(Box::new(source));
    }

    /// A changed configuration was taken over.
    pub fn config_applied(&self) {
        self.configs_applied.fetch_add(1, Ordering::Relaxed);
    }

    /// A changed configuration had mistakes; the last good one stays.
    pub fn config_refused(&self) {
        self.configs_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything in the Prometheus text format ([`CONTENT_TYPE`]).
    pub fn render(&self) -> String {
        let mut text = Text::default();
        let workers = lock(&self.workers).clone();
        text.gauge("spanwire_build_info", "Always 1; the version is the label.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.gauge("spanwire_workers", "Worker threads.").sample(&[], workers.len());
        render_calls(&mut text, &workers);
        render_worker_cells(&mut text, &workers);
        render_detections(&mut text, &workers);
        render_origins(&mut text, &workers);
        text.counter(
            "spanwire_config_reloads_total",
            "Changed configurations, by what became of them.",
        )
        .sample(&[("result", "applied")], self.configs_applied.load(Ordering::Relaxed))
        .sample(&[("result", "refused")], self.configs_refused.load(Ordering::Relaxed));
        process::render(&mut text);
        for source in lock(&self.sources).iter() {
            source(&mut text);
        }
        text.finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn render_calls(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    let mut sums = BTreeMap::<_, MethodSum>::new();
    for worker in workers {
        worker.each_method(|set, method| method.add_to(sums.entry(set.clone()).or_default()));
    }
    let mut calls = text.counter(
        "spanwire_calls_total",
        "Finished calls by how they ended; a fault's reason is the outcome.",
    );
    for (set, sum) in &sums {
        for (outcome, count) in outcomes().zip(sum.outcomes) {
            // What a method has never done is left out, but for the answers:
            // these start at 0, so that a rate sees the first of them.
            let answer = matches!(
                outcome,
                codec::Outcome::Success
                    | codec::Outcome::BusinessException
                    | codec::Outcome::ProviderError
            );
            if count > 0 || answer {
                let labels = [
                    ("protocol", set.protocol),
                    ("listener", &*set.listener),
                    ("service", &*set.service),
                    ("method", &*set.method),
                    ("outcome", outcome.label()),
                ];
                calls.sample(&labels, count);
            }
        }
    }
    let mut durations = text.histogram(
        "spanwire_call_duration_seconds",
        "Time from a call's arrival to its end, of all outcomes.",
    );
    for (set, sum) in &sums {
        let labels = [
            ("protocol", set.protocol),
            ("listener", &*set.listener),
            ("service", &*set.service),
            ("method", &*set.method),
        ];
        durations.buckets(&labels, &BOUNDS, &sum.buckets, sum.micros);
    }
}

fn render_detections(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    let mut sums = BTreeMap::<String, [u64; Detected::ALL.len()]>::new();
    for worker in workers {
        worker.each_listener(|listener, found| {
            let sum = sums.entry(listener.to_owned()).or_default();
            for (total, detected) in sum.iter_mut().zip(Detected::ALL) {
                *total += found.get(detected);
            }
        });
    }
    let mut found = text
        .counter("spanwire_connections_detected_total", "Callers' connections by what they speak.");
    for (listener, sum) in &sums {
        for (detected, count) in Detected::ALL.into_iter().zip(sum) {
            found.sample(&[("listener", listener), ("protocol", detected.label())], count);
        }
    }
}

fn render_origins(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    let mut sums = BTreeMap::<String, [u64; Origin::LABELS.len()]>::new();
    for worker in workers {
        worker.each_listener(|listener, found| {
            let Some(origins) = found.origins() else { return };
            let sum = sums.entry(listener.to_owned()).or_default();
            for (total, count) in sum.iter_mut().zip(origins) {
                *total += count;
            }
        });
    }
    if sums.is_empty() {
        return;
    }
    let mut origins = text.counter(
        "spanwire_connections_redirected_total",
        "Callers' connections by where they were going to, at listeners with use_original_dst.",
    );
    for (listener, sum) in &sums {
        for (label, count) in Origin::LABELS.into_iter().zip(sum) {
            origins.sample(&[("listener", listener), ("to", label)], count);
        }
    }
}

/// A counter's name, its help text, and where its number is.
type Row<Cells> = (&'static str, &'static str, fn(&Cells) -> u64);

fn render_worker_cells(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    let sum = |read: &dyn Fn(&WorkerCells) -> u64| {
        workers.iter().fold(0u64, |sum, worker| sum.wrapping_add(read(&worker.cells)))
    };
    text.gauge("spanwire_calls_in_flight", "Calls admitted and not yet ended.")
        .sample(&[], sum(&|cells| cells.in_flight.get()).cast_signed());
    let mut faults =
        text.counter("spanwire_faults_total", "Calls that the mesh answered itself, by reason.");
    for reason in Reason::ALL {
        let count = sum(&|cells| cells.faults[reason as usize].get());
        faults.sample(&[("reason", reason.label())], count);
    }
    let mut scripts = text.counter(
        "spanwire_script_failures_total",
        "Calls for which a script rule had no answer, by why; the rule was left out.",
    );
    for reason in ScriptReason::ALL {
        let count = sum(&|cells| cells.script_failures[reason as usize].get());
        scripts.sample(&[("reason", reason.label())], count);
    }
    let single: [Row<WorkerCells>; 8] = [
        (
            "spanwire_retries_total",
            "Calls tried on another endpoint, having never been sent.",
            |cells| cells.retries.get(),
        ),
        (
            "spanwire_resends_total",
            "Calls sent again after they were sent and failed, because a rule says so.",
            |cells| cells.resends.get(),
        ),
        (
            "spanwire_mirrored_calls_total",
            "Copies of calls sent to mirrors, because a rule says so.",
            |cells| cells.mirrored.get(),
        ),
        (
            "spanwire_ejections_total",
            "Endpoints left out for a while by a worker, because they failed too often.",
            |cells| cells.ejections.get(),
        ),
        ("spanwire_late_answers_total", "Answers that nobody waited for any more.", |cells| {
            cells.late_answers.get()
        }),
        (
            "spanwire_connections_upgraded_total",
            "Callers' HTTP/1.1 connections that went on with HTTP/2.",
            |cells| cells.upgraded.get(),
        ),
        (
            "spanwire_connections_refused_total",
            "Callers' connections turned away: over the limit, or draining.",
            |cells| cells.refused.get(),
        ),
        (
            "spanwire_connect_failures_total",
            "Connections to endpoints that could not be made.",
            |cells| cells.connect_failures.get(),
        ),
    ];
    for (name, help, read) in single {
        text.counter(name, help).sample(&[], sum(&read));
    }
    let mut failbacks = text.counter(
        "spanwire_failbacks_total",
        "Failed calls repeated in the background, by what came of it.",
    );
    for came_to in Failback::ALL {
        let count = sum(&|cells| cells.failbacks[came_to as usize].get());
        failbacks.sample(&[("result", came_to.label())], count);
    }
    let mut open = text.gauge("spanwire_connections", "Open connections.");
    for side in Side::ALL {
        let count = sum(&|cells| cells.side(side).open.get()).cast_signed();
        open.sample(&[("side", side.label())], count);
    }
    let by_side: [Row<SideCells>; 8] = [
        ("spanwire_connections_opened_total", "Connections accepted or made.", |c| c.opened.get()),
        ("spanwire_received_bytes_total", "Bytes taken from peers' sockets.", |c| c.received.get()),
        ("spanwire_sent_bytes_total", "Bytes given to peers' sockets.", |c| c.sent.get()),
        ("spanwire_decode_errors_total", "Times a peer's bytes could not be read.", |c| {
            c.decode_errors.get()
        }),
        ("spanwire_heartbeats_sent_total", "Heartbeats sent on idle connections.", |c| {
            c.heartbeats_sent.get()
        }),
        ("spanwire_heartbeats_answered_total", "Peers' heartbeats answered.", |c| {
            c.heartbeats_answered.get()
        }),
        ("spanwire_go_aways_sent_total", "Peers asked to send no more calls.", |c| {
            c.go_aways_sent.get()
        }),
        ("spanwire_go_aways_received_total", "Peers that asked for no more calls.", |c| {
            c.go_aways_received.get()
        }),
    ];
    for (name, help, read) in by_side {
        let mut family = text.counter(name, help);
        for side in Side::ALL {
            family.sample(&[("side", side.label())], sum(&|cells| read(cells.side(side))));
        }
    }
}

#[cfg(test)]
mod tests;
