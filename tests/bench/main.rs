//! `make bench`: Spanwire side by side with real peers, in one run.
//!
//! The load (callers and provider, [`load`]) has one core, the proxy under
//! measurement the other. Every run is of a fresh process ([`process`]); peers
//! take turns over several rounds ([`measure`]), and the medians are compared with
//! what Spanwire promises ([`targets`]). `docs/performance.md` says how to read it.
//!
//! It speaks Dubbo ([`frame`]), HTTP/1.1 and HTTP/2 ([`http`]) by hand and uses none of
//! Spanwire's own crates.

mod caller;
mod copy;
mod frame;
mod http;
mod http1;
mod http2;
mod load;
mod measure;
mod peer;
mod process;
mod protocol;
mod report;
mod results;
mod stream;
mod sys;
mod targets;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;

use measure::{Closed, Durations, Open};
use peer::{Peer, Stage};
use protocol::Protocol;
use results::{Failed, Results, Scenario, Spread};

/// Measures Spanwire side by side with real peers, on two cores.
///
/// Exit status: 0 when everything was measured, whether or not the targets were
/// met; 1 when a run failed; 2 when it could not begin.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Options {
    /// Two short rounds instead of seven
    #[arg(long)]
    quick: bool,
    /// How many rounds
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Only these protocols: dubbo, grpc, http1
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Protocol::parse)]
    protocols: Vec<Protocol>,
    /// Only these scenarios: 64x1, 4x64, 64k, rule, idle, open
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Scenario::parse)]
    only: Vec<Scenario>,
    /// Only these peers: direct, floor, haproxy, envoy-tcp, envoy, envoy-attach,
    /// spanwire
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Peer::parse)]
    peers: Vec<Peer>,
    /// The binary to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    spanwire: Option<PathBuf>,
    /// Calls a second of the open loop [default: half of what Envoy can do]
    #[arg(long, value_name = "CALLS")]
    rate: Option<f64>,
    /// Writes every run as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Updates the tables of a page, after a full run
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, clap::Subcommand)]
enum Role {
    /// Is the floor: a proxy that copies bytes
    Copy {
        /// Where to listen
        listen: SocketAddr,
        /// Where to copy to
        upstream: SocketAddr,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("bench: {e:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    if let Some(Role::Copy { listen, upstream }) = options.role {
        copy::run(&TcpListener::bind(listen)?, upstream)?;
        return Ok(true);
    }
    let mut bench = Bench::new(options)?;
    let about = bench.about();
    eprintln!("{about}");
    bench.measure();

    for (&protocol, results) in &bench.results {
        let tables = report::tables(protocol, results, &bench.peers, &about);
        println!("{}\n\n{tables}", protocol.title());
    }
    if let Some(file) = &options.json {
        let json = report::json(&bench.results, &about);
        std::fs::write(file, format!("{json:#}\n"))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(page) = &options.report {
        let whole = options.only.is_empty() && options.peers.is_empty() && !options.quick;
        for (&protocol, results) in &bench.results {
            if whole && results.failures.is_empty() {
                let tables = report::tables(protocol, results, &bench.peers, &about);
                report::update(page, protocol, &tables)?;
            } else {
                eprintln!(
                    "{}: what it says of {} is left as it is: only a full run without failures goes there",
                    page.display(),
                    protocol.title()
                );
            }
        }
    }
    Ok(bench.results.values().all(|results| results.failures.is_empty()))
}

/// A bench under way.
struct Bench {
    stage: Stage,
    load_core: usize,
    protocols: Vec<Protocol>,
    peers: Vec<Peer>,
    scenarios: Vec<Scenario>,
    rounds: usize,
    durations: Durations,
    rate: Option<f64>,
    /// How many disturbed runs may still be done again.
    repeats: usize,
    results: BTreeMap<Protocol, Results>,
    started: Instant,
}

impl Bench {
    fn new(options: &Options) -> Result<Bench> {
        let cores = sys::cores()?;
        let (Some(&load_core), Some(&core)) = (cores.first(), cores.get(1)) else {
            bail!("two cores are needed, one for the load and one for the proxy");
        };
        let files = sys::raise_file_limit()?;
        let needed = 4 * measure::IDLE_CONNECTIONS as u64;
        if files < needed {
            bail!("only {files} files may be open, {needed} are needed (ulimit -n)");
        }
        sys::pin(load_core)?;
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no repository around")?;
        let beside = std::env::current_exe()?.with_file_name("spanwire");
        let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 7 });
        let millis = Duration::from_millis;
        let pick = |quick, full| millis(if options.quick { quick } else { full });
        let or = |chosen: &[Peer]| {
            if chosen.is_empty() { Peer::DEFAULT.to_vec() } else { chosen.to_vec() }
        };
        let mut scenarios = options.only.clone();
        if scenarios.is_empty() {
            scenarios = Scenario::ALL.to_vec();
        }
        Ok(Bench {
            stage: Stage {
                core,
                spanwire: std::path::absolute(options.spanwire.as_ref().unwrap_or(&beside))?,
                tools: root.join("tools"),
            },
            load_core,
            protocols: if options.protocols.is_empty() {
                Protocol::ALL.to_vec()
            } else {
                options.protocols.clone()
            },
            peers: or(&options.peers),
            scenarios,
            rounds: rounds.max(1),
            durations: Durations {
                warm_up: pick(300, 500),
                closed: pick(800, 1500),
                open: pick(1500, 3000),
            },
            rate: options.rate,
            repeats: 8 * rounds,
            results: BTreeMap::new(),
            started: Instant::now(),
        })
    }

    /// Machine and versions, in one paragraph.
    fn about(&self) -> String {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": "));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let average = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        format!(
            "{}, Linux {}; load on core {}, proxy on core {}, {} rounds. Load average of the \
             machine when the run began: {}.",
            model.map_or("an unknown processor", |m| m.1),
            kernel.trim(),
            self.load_core,
            self.stage.core,
            self.rounds,
            average.split(' ').next().unwrap_or("unknown")
        )
    }

    fn measure(&mut self) {
        for round in 1..=self.rounds {
            for protocol in self.protocols.clone() {
                for scenario in self.scenarios.clone() {
                    // The longer ones need fewer rounds.
                    let due = match scenario {
                        Scenario::Idle => round == 1,
                        Scenario::Open => {
                            round > self.rounds.saturating_sub(3).max(usize::from(self.rounds > 1))
                        }
                        _ => true,
                    };
                    if due && protocol.has(scenario) {
                        self.measure_scenario(protocol, scenario, round);
                    }
                }
            }
        }
    }

    fn measure_scenario(&mut self, protocol: Protocol, scenario: Scenario, round: usize) {
        let spanwire = self.peers.contains(&Peer::Spanwire);
        let peers = match scenario {
            Scenario::Rule if spanwire => vec![Peer::Spanwire, Peer::SpanwireRule],
            Scenario::Rule => Vec::new(),
            Scenario::Idle => self.peers.iter().copied().filter(|&p| p != Peer::Direct).collect(),
            _ => self.peers.clone(),
        };
        for peer in peers.into_iter().filter(|&peer| protocol.is_spoken_by(peer)) {
            let seconds = self.started.elapsed().as_secs();
            let place = format!(
                "{seconds:4} s  round {round}/{}  {:5} {:5} {:14}",
                self.rounds,
                protocol.key(),
                scenario.key(),
                peer.key()
            );
            match self.measure_once(protocol, scenario, peer) {
                Ok(found) => eprintln!("{place} {found}"),
                Err(e) => {
                    eprintln!("{place} FAILED: {e:#}");
                    let what = format!("{}, {}: {e:#}", scenario.key(), peer.title(protocol));
                    let what = Failed { scenario, peer, what };
                    let results = self.results.entry(protocol).or_default();
                    // A peer that breaks under a load it does not set is a result.
                    if scenario == Scenario::Open && peer.is_compared_with() {
                        results.breakdowns.push(what);
                    } else {
                        results.failures.push(what);
                    }
                }
            }
        }
    }

    fn measure_once(
        &mut self,
        protocol: Protocol,
        scenario: Scenario,
        peer: Peer,
    ) -> Result<String> {
        let Some(shape) = scenario.shape() else {
            if scenario == Scenario::Idle {
                let run = measure::idle(&self.stage, protocol, peer)?;
                let found = format!(
                    "{} KiB, {:.2} KiB per connection",
                    run.memory_kib, run.per_connection_kib
                );
                self.results.entry(protocol).or_default().idle.entry(peer).or_default().push(run);
                return Ok(found);
            }
            let rate = self.open_rate(protocol)?;
            let run = self.undisturbed(
                |b| measure::open(&b.stage, protocol, peer, rate, b.durations, b.load_core),
                |run: &Open| run.disturbed,
            )?;
            let found = format!("p50 {} µs, p99 {} µs, {} failed", run.p50, run.p99, run.failed);
            self.results.entry(protocol).or_default().open.entry(peer).or_default().push(run);
            return Ok(found);
        };
        let run = self.undisturbed(
            |b| measure::closed(&b.stage, protocol, peer, shape, b.durations, b.load_core),
            |run: &Closed| run.disturbed,
        )?;
        let found = format!(
            "{:9.0} calls/s  {:7.3} µs/call  proxy {:3.0} %  load {:3.0} %{}",
            run.rate,
            run.cpu_micros.unwrap_or_default(),
            run.proxy_busy * 100.0,
            run.load_busy * 100.0,
            if run.disturbed { "  disturbed" } else { "" }
        );
        let results = self.results.entry(protocol).or_default();
        results.closed.entry((scenario, peer)).or_default().push(run);
        Ok(found)
    }

    /// Does a disturbed run again, as long as there is time for it.
    fn undisturbed<T>(
        &mut self,
        run: impl Fn(&Bench) -> Result<T>,
        disturbed: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let mut result = run(self)?;
        let mut tries = 2;
        while disturbed(&result) && tries > 0 && self.repeats > 0 {
            tries -= 1;
            self.repeats -= 1;
            result = run(self)?;
        }
        Ok(result)
    }

    /// Half of what Envoy can do, measured now if it was not yet.
    fn open_rate(&mut self, protocol: Protocol) -> Result<f64> {
        let results = self.results.entry(protocol).or_default();
        if let Some(rate) = self.rate.or(results.open_rate) {
            results.open_rate = Some(rate);
            return Ok(rate);
        }
        let measured =
            Spread::of(results.runs(Scenario::Single, Peer::Envoy).iter().map(|r| r.rate));
        let capacity = match (measured, Scenario::Single.shape()) {
            (Some(spread), _) => spread.median,
            (None, Some(shape)) => {
                let (stage, core) = (&self.stage, self.load_core);
                measure::closed(stage, protocol, Peer::Envoy, shape, self.durations, core)?.rate
            }
            (None, None) => bail!("no load to find Envoy's capacity with"),
        };
        results.open_rate = Some((capacity / 2.0).round());
        Ok(capacity / 2.0)
    }
}
