//! Everything that a bench has measured so far, and medians of it.

use std::collections::BTreeMap;

use crate::measure::{Closed, Idle, Open, Shape};
use crate::peer::Peer;

/// What is measured; each has a column in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// 64 connections with one call outstanding, 128 B.
    Single,
    /// 4 connections with 64 calls outstanding, 128 B.
    Pipelined,
    /// 64 connections with one call outstanding, 64 KiB.
    Large,
    /// By the clock, at half of what Envoy can do.
    Open,
    /// Memory without calls.
    Idle,
    /// What a rule that reads an attachment adds to a pipelined call.
    Rule,
}

impl Scenario {
    /// All of them, in the order of measuring.
    pub(crate) const ALL: [Scenario; 6] = [
        Scenario::Single,
        Scenario::Pipelined,
        Scenario::Large,
        Scenario::Rule,
        Scenario::Idle,
        Scenario::Open,
    ];

    /// As it is named on the command line and in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Scenario::Single => "64x1",
            Scenario::Pipelined => "4x64",
            Scenario::Large => "64k",
            Scenario::Open => "open",
            Scenario::Idle => "idle",
            Scenario::Rule => "rule",
        }
    }

    /// As a person reads it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Scenario::Single => "64 × 1, 128 B",
            Scenario::Pipelined => "4 × 64, 128 B",
            Scenario::Large => "64 × 1, 64 KiB",
            Scenario::Open => "open loop",
            Scenario::Idle => "idle",
            Scenario::Rule => "4 × 64, a rule",
        }
    }

    /// The scenario of that name.
    ///
    /// # Errors
    /// When there is none; names those that there are.
    pub(crate) fn parse(key: &str) -> Result<Scenario, String> {
        Scenario::ALL.into_iter().find(|s| s.key() == key).ok_or_else(|| {
            format!("no scenario {key}; there are {}", Scenario::ALL.map(Scenario::key).join(", "))
        })
    }

    /// The load of a closed scenario.
    pub(crate) fn shape(self) -> Option<Shape> {
        match self {
            Scenario::Single => Some(Shape { callers: 64, outstanding: 1, size: 128 }),
            Scenario::Pipelined | Scenario::Rule => {
                Some(Shape { callers: 4, outstanding: 64, size: 128 })
            }
            Scenario::Large => Some(Shape { callers: 64, outstanding: 1, size: 64 << 10 }),
            Scenario::Open | Scenario::Idle => None,
        }
    }
}

/// Every run, by scenario and peer.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) closed: BTreeMap<(Scenario, Peer), Vec<Closed>>,
    pub(crate) open: BTreeMap<Peer, Vec<Open>>,
    pub(crate) idle: BTreeMap<Peer, Vec<Idle>>,
    /// Calls a second of the open load.
    pub(crate) open_rate: Option<f64>,
    /// Runs in which a peer broke under the open load.
    pub(crate) breakdowns: Vec<Failed>,
    /// Other runs that did not end well.
    pub(crate) failures: Vec<Failed>,
}

/// A run without figures.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) scenario: Scenario,
    pub(crate) peer: Peer,
    /// What happened, in words.
    pub(crate) what: String,
}

/// The middle of some figures and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[half]
        } else {
            (figures[half - 1] + figures[half]) / 2.0
        };
        Some(Spread { median, min, max })
    }
}

impl Results {
    /// Processor time of one call, in microseconds.
    pub(crate) fn cpu(&self, scenario: Scenario, peer: Peer) -> Option<Spread> {
        Spread::of(self.runs(scenario, peer).iter().filter_map(|r| r.cpu_micros))
    }

    /// Calls in a second.
    pub(crate) fn rate(&self, scenario: Scenario, peer: Peer) -> Option<Spread> {
        Spread::of(self.runs(scenario, peer).iter().map(|r| r.rate))
    }

    /// The load had its core full and the proxy had not: the proxy could do more.
    pub(crate) fn limited_by_load(&self, scenario: Scenario, peer: Peer) -> bool {
        let runs = self.runs(scenario, peer);
        let busy =
            |of: fn(&Closed) -> f64| Spread::of(runs.iter().map(of)).map_or(0.0, |s| s.median);
        peer != Peer::Direct && busy(|r| r.load_busy) > 0.95 && busy(|r| r.proxy_busy) < 0.95
    }

    /// More than half of the runs were disturbed by others on the machine.
    pub(crate) fn disturbed(&self, scenario: Scenario, peer: Peer) -> bool {
        let most = |disturbed: usize, all: usize| disturbed * 2 > all;
        if scenario == Scenario::Open {
            let runs = self.open.get(&peer).map_or(&[][..], Vec::as_slice);
            return most(runs.iter().filter(|r| r.disturbed).count(), runs.len());
        }
        let runs = self.runs(scenario, peer);
        most(runs.iter().filter(|r| r.disturbed).count(), runs.len())
    }

    /// Calls of the open load that a peer left without a right answer.
    pub(crate) fn unanswered(&self, peer: Peer) -> u64 {
        self.open.get(&peer).map_or(0, |runs| runs.iter().map(|run| run.failed).sum())
    }

    /// Latency of the open load, in microseconds: median and 99th percentile.
    pub(crate) fn latency(&self, peer: Peer) -> Option<(Spread, Spread)> {
        let runs = self.open.get(&peer)?;
        Some((
            Spread::of(runs.iter().map(|r| r.p50 as f64))?,
            Spread::of(runs.iter().map(|r| r.p99 as f64))?,
        ))
    }

    /// Idle memory in MiB.
    pub(crate) fn memory(&self, peer: Peer) -> Option<Spread> {
        Spread::of(self.idle.get(&peer)?.iter().map(|r| r.memory_kib as f64 / 1024.0))
    }

    /// Memory with [`IDLE_CONNECTIONS`](crate::measure::IDLE_CONNECTIONS) idle
    /// connections, in MiB.
    pub(crate) fn memory_with_connections(&self, peer: Peer) -> Option<Spread> {
        let runs = self.idle.get(&peer)?;
        Spread::of(runs.iter().map(|r| r.with_connections_kib as f64 / 1024.0))
    }

    /// Memory of an idle connection in KiB.
    pub(crate) fn per_connection(&self, peer: Peer) -> Option<Spread> {
        Spread::of(self.idle.get(&peer)?.iter().map(|r| r.per_connection_kib))
    }

    /// What the rule adds to a call, in microseconds.
    pub(crate) fn rule_cost(&self) -> Option<f64> {
        let with = self.cpu(Scenario::Rule, Peer::SpanwireRule)?;
        Some(with.median - self.cpu(Scenario::Rule, Peer::Spanwire)?.median)
    }

    /// Every closed run of a peer under a scenario.
    pub(crate) fn runs(&self, scenario: Scenario, peer: Peer) -> &[Closed] {
        self.closed.get(&(scenario, peer)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let middle = |figures: &[f64]| Spread::of(figures.iter().copied()).map(|s| s.median);
        assert_eq!(middle(&[]), None);
        assert_eq!(middle(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(middle(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
