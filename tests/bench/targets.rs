//! What Spanwire promises, as ratios to the peers of the same run, and whether it
//! was kept. Absolute figures do not carry over to another machine or day.

use crate::peer::Peer;
use crate::results::{Results, Scenario};

/// One promise and what was measured.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// In words.
    pub(crate) target: String,
    /// The measured figure or ratio, and the most that it may be.
    pub(crate) measured: f64,
    pub(crate) at_most: f64,
    /// `×` of a ratio, else a unit.
    pub(crate) unit: &'static str,
}

impl Verdict {
    /// Whether the promise was kept.
    pub(crate) fn kept(&self) -> bool {
        self.measured <= self.at_most
    }
}

/// Every promise for which both sides were measured.
pub(crate) fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut judge = |target: String, measured: Option<f64>, at_most, unit| {
        if let Some(measured) = measured {
            verdicts.push(Verdict { target, measured, at_most, unit });
        }
    };
    let promises = [
        (Scenario::Single, Peer::Envoy, 1.0 / 3.0),
        (Scenario::Single, Peer::Haproxy, 1.0),
        (Scenario::Pipelined, Peer::Envoy, 1.0 / 15.0),
        (Scenario::Pipelined, Peer::Floor, 4.0),
        (Scenario::Large, Peer::Envoy, 1.0 / 4.0),
        (Scenario::Large, Peer::EnvoyAttachment, 1.0 / 4.0),
        (Scenario::Large, Peer::Haproxy, 1.0),
    ];
    for (scenario, peer, at_most) in promises {
        let ratio = || {
            let ours = results.cpu(scenario, Peer::Spanwire)?.median;
            Some(ours / results.cpu(scenario, peer)?.median)
        };
        judge(
            format!("CPU per call, {}: against {}", scenario.title(), peer.title()),
            ratio(),
            at_most,
            "×",
        );
    }
    let latency = |pick: fn((crate::results::Spread, crate::results::Spread)) -> f64| {
        let ours = pick(results.latency(Peer::Spanwire)?);
        Some(ours / pick(results.latency(Peer::Haproxy)?))
    };
    let haproxy = Peer::Haproxy.title();
    judge(format!("open loop, p50: against {haproxy}"), latency(|(p50, _)| p50.median), 1.25, "×");
    judge(format!("open loop, p99: against {haproxy}"), latency(|(_, p99)| p99.median), 1.25, "×");
    judge("idle memory".to_owned(), results.memory(Peer::Spanwire).map(|s| s.median), 12.0, "MiB");
    let connection = results.per_connection(Peer::Spanwire).map(|s| s.median);
    judge("an idle connection".to_owned(), connection, 4.0, "KiB");
    judge("a rule that reads an attachment, per call".to_owned(), results.rule_cost(), 0.5, "µs");
    verdicts
}
