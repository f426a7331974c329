//! What Spanwire promises, as ratios to the peers of the same run, and whether it
//! was kept. Absolute figures do not carry over to another machine or day.

use crate::measure::IDLE_CONNECTIONS;
use crate::peer::Peer;
use crate::protocol::Protocol;
use crate::results::{Results, Scenario, Spread};

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
pub(crate) fn verdicts(protocol: Protocol, results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut judge = |target: String, measured: Option<f64>, at_most, unit| {
        if let Some(measured) = measured {
            verdicts.push(Verdict { target, measured, at_most, unit });
        }
    };
    for &(scenario, peer, at_most) in cpu_promises(protocol) {
        let ratio = || {
            let ours = results.cpu(scenario, Peer::Spanwire)?.median;
            Some(ours / results.cpu(scenario, peer)?.median)
        };
        judge(
            format!("CPU per call, {}: against {}", scenario.title(), peer.title(protocol)),
            ratio(),
            at_most,
            "×",
        );
    }
    let ratio = |peer, pick: fn((Spread, Spread)) -> Spread| {
        let ours = pick(results.latency(Peer::Spanwire)?).median;
        Some(ours / pick(results.latency(peer)?).median)
    };
    if protocol != Protocol::Dubbo {
        let envoy = Peer::Envoy.title(protocol);
        let p99 = ratio(Peer::Envoy, |(_, p99)| p99);
        judge(format!("open loop, p99: against {envoy}"), p99, 1.0, "×");
        let memory = || {
            let ours = results.memory_with_connections(Peer::Spanwire)?.median;
            Some(ours / results.memory_with_connections(Peer::Envoy)?.median)
        };
        let what = format!("memory with {IDLE_CONNECTIONS} idle connections: against {envoy}");
        judge(what, memory(), 1.0 / 3.0, "×");
        return verdicts;
    }
    let haproxy = Peer::Haproxy.title(protocol);
    let (p50, p99) = (ratio(Peer::Haproxy, |(p50, _)| p50), ratio(Peer::Haproxy, |(_, p99)| p99));
    judge(format!("open loop, p50: against {haproxy}"), p50, 1.25, "×");
    judge(format!("open loop, p99: against {haproxy}"), p99, 1.25, "×");
    judge("idle memory".to_owned(), results.memory(Peer::Spanwire).map(|s| s.median), 12.0, "MiB");
    let connection = results.per_connection(Peer::Spanwire).map(|s| s.median);
    judge("an idle connection".to_owned(), connection, 4.0, "KiB");
    judge("a rule that reads an attachment, per call".to_owned(), results.rule_cost(), 0.5, "µs");
    verdicts
}

/// Processor time per call: at most so many times that of a peer.
fn cpu_promises(protocol: Protocol) -> &'static [(Scenario, Peer, f64)] {
    match protocol {
        Protocol::Dubbo => &[
            (Scenario::Single, Peer::Envoy, 1.0 / 3.0),
            (Scenario::Single, Peer::Haproxy, 1.0),
            (Scenario::Pipelined, Peer::Envoy, 1.0 / 15.0),
            (Scenario::Pipelined, Peer::Floor, 4.0),
            (Scenario::Large, Peer::Envoy, 1.0 / 4.0),
            (Scenario::Large, Peer::EnvoyAttachment, 1.0 / 4.0),
            (Scenario::Large, Peer::Haproxy, 1.0),
        ],
        Protocol::Grpc => &[
            (Scenario::Single, Peer::Envoy, 1.0 / 2.0),
            (Scenario::Single, Peer::Haproxy, 1.0),
            (Scenario::Pipelined, Peer::Envoy, 1.0 / 2.0),
            (Scenario::Pipelined, Peer::Haproxy, 1.0),
            (Scenario::Large, Peer::Envoy, 1.0),
        ],
        Protocol::Http1 => &[
            (Scenario::Single, Peer::Envoy, 1.0 / 2.0),
            (Scenario::Single, Peer::Haproxy, 1.2),
            (Scenario::Large, Peer::Envoy, 1.0),
        ],
    }
}
