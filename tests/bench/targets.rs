//! What Spanwire promises, as ratios to the peers of the same run, and whether it
//! was kept. Absolute figures do not carry over to another machine or day.

use crate::measure::IDLE_CONNECTIONS;
use crate::peer::Peer;
use crate::protocol::Protocol;
use crate::results::{Failed, Results, Scenario, Spread};

/// One promise and what was measured.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// In words.
    pub(crate) target: String,
    /// The measured figure or ratio, if there is one, and the most that it may be.
    pub(crate) measured: Option<f64>,
    pub(crate) at_most: f64,
    /// `×` of a ratio, else a unit.
    pub(crate) unit: &'static str,
    /// Why what was measured is no proof.
    doubt: Option<String>,
}

impl Verdict {
    /// Whether the promise was kept.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub(crate) fn judged(&self) -> Result<bool, &str> {
        match (&self.doubt, self.measured) {
            (Some(doubt), _) => Err(doubt),
            (None, Some(measured)) => Ok(measured <= self.at_most),
            (None, None) => Err("nothing was measured"),
        }
    }
}

/// What was measured of one peer under one load.
type Cell = (Scenario, Peer);

/// The promises of a protocol, judged one after the other.
struct Judge<'a> {
    protocol: Protocol,
    results: &'a Results,
    verdicts: Vec<Verdict>,
}

impl Judge<'_> {
    /// Judges a figure of ours, or what comes of ours and a peer's. One for which nothing
    /// was measured, and nothing went wrong, is left out.
    fn judge(
        &mut self,
        target: String,
        (ours, theirs): (Cell, Option<Cell>),
        (measured, at_most, unit): (Option<f64>, f64, &'static str),
    ) {
        let kept = measured.map(|measured| measured <= at_most);
        let doubt = [Some(ours), theirs].into_iter().flatten().find_map(|cell| self.doubt(cell));
        let doubt = doubt.or_else(|| self.doubt_of_load(kept?, ours, theirs?));
        if measured.is_some() || doubt.is_some() {
            self.verdicts.push(Verdict { target, measured, at_most, unit, doubt });
        }
    }

    /// Why a cell proves nothing.
    fn doubt(&self, (scenario, peer): Cell) -> Option<String> {
        let (results, name) = (self.results, peer.title(self.protocol));
        let is_cell = |failed: &&Failed| failed.scenario == scenario && failed.peer == peer;
        if results.breakdowns.iter().any(|failed| is_cell(&failed)) {
            return Some(format!("{name} broke down"));
        }
        if results.failures.iter().any(|failed| is_cell(&failed)) {
            return Some(format!("a run of {name} failed"));
        }
        if results.disturbed(scenario, peer) {
            return Some(format!("most runs of {name} were disturbed"));
        }
        // Of our own they are no excuse: they count in the figure.
        let unanswered = results.unanswered(peer);
        (scenario == Scenario::Open && peer != Peer::Spanwire && unanswered > 0)
            .then(|| format!("{name} left {unanswered} calls without a right answer"))
    }

    /// Where the load had its core full, a proxy's cost is an upper bound: a peer's may be
    /// lower, so that the promise is not kept, and ours too, so that it is.
    fn doubt_of_load(&self, kept: bool, ours: Cell, theirs: Cell) -> Option<String> {
        let (scenario, peer) = if kept { theirs } else { ours };
        let name = peer.title(self.protocol);
        self.results
            .limited_by_load(scenario, peer)
            .then(|| format!("{name} was limited by the load, its figure is an upper bound"))
    }
}

/// Every promise for which both sides were measured, or should have been.
pub(crate) fn verdicts(protocol: Protocol, results: &Results) -> Vec<Verdict> {
    let mut judge = Judge { protocol, results, verdicts: Vec::new() };
    let both = |scenario, peer| ((scenario, Peer::Spanwire), Some((scenario, peer)));
    for &(scenario, peer, at_most) in cpu_promises(protocol) {
        let ratio = || {
            let ours = results.cpu(scenario, Peer::Spanwire)?.median;
            Some(ours / results.cpu(scenario, peer)?.median)
        };
        let target =
            format!("CPU per call, {}: against {}", scenario.title(), peer.title(protocol));
        judge.judge(target, both(scenario, peer), (ratio(), at_most, "×"));
    }
    let ratio = |peer, pick: fn((Spread, Spread)) -> Spread| {
        let ours = pick(results.latency(Peer::Spanwire)?).median;
        Some(ours / pick(results.latency(peer)?).median)
    };
    if protocol != Protocol::Dubbo {
        let envoy = Peer::Envoy.title(protocol);
        let p99 = ratio(Peer::Envoy, |(_, p99)| p99);
        let target = format!("open loop, p99: against {envoy}");
        judge.judge(target, both(Scenario::Open, Peer::Envoy), (p99, 1.0, "×"));
        let memory = || {
            let ours = results.memory_with_connections(Peer::Spanwire)?.median;
            Some(ours / results.memory_with_connections(Peer::Envoy)?.median)
        };
        let target = format!("memory with {IDLE_CONNECTIONS} idle connections: against {envoy}");
        judge.judge(target, both(Scenario::Idle, Peer::Envoy), (memory(), 1.0 / 3.0, "×"));
        return judge.verdicts;
    }
    let haproxy = Peer::Haproxy.title(protocol);
    let (p50, p99) = (ratio(Peer::Haproxy, |(p50, _)| p50), ratio(Peer::Haproxy, |(_, p99)| p99));
    for (quantile, ratio) in [("p50", p50), ("p99", p99)] {
        let target = format!("open loop, {quantile}: against {haproxy}");
        judge.judge(target, both(Scenario::Open, Peer::Haproxy), (ratio, 1.25, "×"));
    }
    let own = ((Scenario::Idle, Peer::Spanwire), None);
    let memory = results.memory(Peer::Spanwire).map(|s| s.median);
    judge.judge("idle memory".to_owned(), own, (memory, 12.0, "MiB"));
    let connection = results.per_connection(Peer::Spanwire).map(|s| s.median);
    judge.judge("an idle connection".to_owned(), own, (connection, 4.0, "KiB"));
    let rule = ((Scenario::Rule, Peer::SpanwireRule), Some((Scenario::Rule, Peer::Spanwire)));
    let target = "a rule that reads an attachment, per call".to_owned();
    judge.judge(target, rule, (results.rule_cost(), 0.5, "µs"));
    judge.verdicts
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Closed, Idle, Open};

    fn closed(cpu: f64, load_busy: f64, disturbed: bool) -> Vec<Closed> {
        let run =
            Closed { rate: 1.0, cpu_micros: Some(cpu), proxy_busy: 0.5, load_busy, disturbed };
        vec![run; 3]
    }

    fn open(p99: u64, failed: u64, disturbed: bool) -> Vec<Open> {
        vec![Open { p50: 1, p99, failed, disturbed }]
    }

    /// What is said of the promise whose name holds this.
    fn said(results: &Results, target: &str) -> Option<Result<bool, String>> {
        let verdicts = verdicts(Protocol::Grpc, results);
        let verdict = verdicts.iter().find(|verdict| verdict.target.contains(target))?;
        Some(verdict.judged().map_err(str::to_owned))
    }

    fn single(ours: Vec<Closed>, envoys: Vec<Closed>) -> Results {
        let at = |peer| (Scenario::Single, peer);
        let closed = [(at(Peer::Spanwire), ours), (at(Peer::Envoy), envoys)].into();
        Results { closed, ..Results::default() }
    }

    const SINGLE: &str = "64 × 1, 128 B: against Envoy";

    #[test]
    fn quiet_cells_are_judged_and_what_was_not_measured_is_left_out() {
        let results = single(closed(1.0, 0.5, false), closed(4.0, 0.5, false));
        assert_eq!(said(&results, SINGLE), Some(Ok(true)));
        let results = single(closed(3.0, 0.5, false), closed(4.0, 0.5, false));
        assert_eq!(said(&results, SINGLE), Some(Ok(false)));
        assert_eq!(said(&results, "64 KiB"), None);
    }

    #[test]
    fn a_disturbed_cell_on_either_side_is_not_judged() {
        let quiet = || closed(1.0, 0.5, false);
        for (results, name) in [
            (single(closed(1.0, 0.5, true), quiet()), "Spanwire"),
            (single(quiet(), closed(4.0, 0.5, true)), "Envoy"),
        ] {
            let why = format!("most runs of {name} were disturbed");
            assert_eq!(said(&results, SINGLE), Some(Err(why)));
        }
        let mut results = Results::default();
        results.open.insert(Peer::Spanwire, open(1, 0, true));
        results.open.insert(Peer::Envoy, open(2, 0, false));
        let why = "most runs of Spanwire were disturbed".to_owned();
        assert_eq!(said(&results, "p99"), Some(Err(why)));
    }

    #[test]
    fn an_upper_bound_proves_nothing_where_less_would_change_the_verdict() {
        let why = |name: &str| {
            Some(Err(format!("{name} was limited by the load, its figure is an upper bound")))
        };
        let (full, free) = (0.99, 0.5);
        let case = |ours, load: [f64; 2]| {
            single(closed(ours, load[0], false), closed(4.0, load[1], false))
        };
        assert_eq!(said(&case(1.0, [free, full]), SINGLE), why("Envoy"));
        assert_eq!(said(&case(1.0, [full, free]), SINGLE), Some(Ok(true)));
        assert_eq!(said(&case(3.0, [full, free]), SINGLE), why("Spanwire"));
        assert_eq!(said(&case(3.0, [free, full]), SINGLE), Some(Ok(false)));
    }

    #[test]
    fn a_peer_that_broke_down_or_left_calls_unanswered_is_no_measure() {
        let mut results = Results::default();
        results.open.insert(Peer::Spanwire, open(1, 0, false));
        results.open.insert(Peer::Envoy, open(9, 7, false));
        let why = "Envoy left 7 calls without a right answer".to_owned();
        assert_eq!(said(&results, "p99"), Some(Err(why)));
        // It broke down in every run: there is no figure at all.
        results.open.remove(&Peer::Envoy);
        let failed = |scenario| {
            vec![Failed { scenario, peer: Peer::Envoy, what: "it closed a connection".to_owned() }]
        };
        results.breakdowns = failed(Scenario::Open);
        assert_eq!(said(&results, "p99"), Some(Err("Envoy broke down".to_owned())));
        // That says nothing of another cell.
        let run = Idle { memory_kib: 1, with_connections_kib: 1, per_connection_kib: 1.0 };
        results.idle = [Peer::Spanwire, Peer::Envoy].map(|peer| (peer, vec![run.clone()])).into();
        assert_eq!(said(&results, "idle connections"), Some(Ok(false)));
        results.failures = failed(Scenario::Idle);
        let why = "a run of Envoy failed".to_owned();
        assert_eq!(said(&results, "idle connections"), Some(Err(why)));
    }

    #[test]
    fn the_table_says_why() {
        let results = single(closed(1.0, 0.5, true), closed(4.0, 0.5, false));
        let peers = [Peer::Envoy, Peer::Spanwire];
        let table = crate::report::tables(Protocol::Grpc, &results, &peers, "about");
        let row = table.lines().find(|line| line.contains("against Envoy")).unwrap();
        assert!(row.contains("| not judged: most runs of Spanwire were disturbed "), "{row}");
        assert!(!table.contains("| pass"), "{table}");
    }
}
