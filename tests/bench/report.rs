//! Tables of the results: for the terminal and for a page, the same text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::peer::Peer;
use crate::protocol::Protocol;
use crate::results::{Failed, Results, Scenario, Spread};
use crate::targets::verdicts;

/// Scenarios with a column each.
const COLUMNS: [Scenario; 3] = [Scenario::Single, Scenario::Pipelined, Scenario::Large];

/// All tables of a protocol, as Markdown that is aligned for reading as it stands.
pub(crate) fn tables(protocol: Protocol, results: &Results, peers: &[Peer], about: &str) -> String {
    let mut out = format!("{about}\n");
    let peers: Vec<Peer> = peers.iter().copied().filter(|&p| protocol.is_spoken_by(p)).collect();
    let columns: Vec<Scenario> = COLUMNS.into_iter().filter(|&s| protocol.has(s)).collect();
    let titles = || columns.iter().map(|s| s.title().to_owned());
    let proxies: Vec<Peer> = peers.iter().copied().filter(|&p| p != Peer::Direct).collect();
    let mut section = |title: String, rows: Vec<Vec<String>>| {
        if rows.iter().skip(1).any(|row| row.iter().skip(1).any(|cell| !cell.is_empty())) {
            let _ = write!(out, "\n{title}\n\n{}", align(&rows));
        }
    };

    let mut rows = vec![row("peer", titles())];
    let has_memory = protocol.has(Scenario::Idle);
    if has_memory {
        rows[0].extend(["idle RSS, MiB".to_owned(), "KiB per idle connection".to_owned()]);
    }
    for &peer in &proxies {
        let cpu = columns.iter().map(|&s| cell(results, s, peer, results.cpu(s, peer)));
        let mut cells = row(peer.title(protocol), cpu);
        if has_memory {
            cells.push(results.memory(peer).map_or(String::new(), |s| figure(s.median)));
            cells.push(results.per_connection(peer).map_or(String::new(), |s| figure(s.median)));
        }
        rows.push(cells);
    }
    section("**CPU-µs per call** of the proxy, median (min–max):".to_owned(), rows);

    let mut rows = vec![row("peer", titles())];
    for &peer in &peers {
        let rates = columns.iter().map(|&s| cell(results, s, peer, results.rate(s, peer)));
        rows.push(row(peer.title(protocol), rates));
    }
    section("**Calls a second**, median (min–max):".to_owned(), rows);

    let mut rows = vec![row(
        "peer",
        ["p50, µs", "p99, µs", "calls without a right answer"].map(str::to_owned),
    )];
    for &peer in &peers {
        let Some((p50, p99)) = results.latency(peer) else { continue };
        let failed: u64 = results.open[&peer].iter().map(|r| r.failed).sum();
        rows.push(row(peer.title(protocol), [spread(p50), spread(p99), failed.to_string()]));
    }
    let rate = results.open_rate.unwrap_or_default();
    section(
        format!(
            "**Open loop**, {rate:.0} calls a second over 64 connections, half of what {} can do:",
            Peer::Envoy.title(protocol)
        ),
        rows,
    );

    let mut rows = vec![row("4 × 64, 128 B", ["CPU-µs per call".to_owned()])];
    for peer in [Peer::Spanwire, Peer::SpanwireRule] {
        rows.push(row(
            peer.title(protocol),
            [cell(results, Scenario::Rule, peer, results.cpu(Scenario::Rule, peer))],
        ));
    }
    section("**A rule that reads an attachment**:".to_owned(), rows);

    let mut rows = vec![row("target", ["at most", "measured", ""].map(str::to_owned))];
    for verdict in verdicts(protocol, results) {
        let with_unit = |value: f64| format!("{} {}", figure(value), verdict.unit);
        let measured = verdict.measured.map(with_unit).unwrap_or_default();
        let word = match verdict.judged() {
            Ok(true) => "pass".to_owned(),
            Ok(false) => "**miss**".to_owned(),
            Err(why) => format!("not judged: {why}"),
        };
        rows.push(row(&verdict.target, [with_unit(verdict.at_most), measured, word]));
    }
    section("**Targets**, against the peers of the same run:".to_owned(), rows);

    out.push_str(&notes(results, &proxies));
    out
}

/// What the marks in the cells mean, where there are any, and what went wrong.
fn notes(results: &Results, proxies: &[Peer]) -> String {
    let mut out = String::new();
    let cells = || {
        COLUMNS
            .into_iter()
            .chain([Scenario::Rule])
            .flat_map(|s| proxies.iter().map(move |&p| (s, p)))
    };
    if cells().any(|(s, p)| results.limited_by_load(s, p)) {
        out.push_str("\n*L*: limited by the load side, which had its core full; the proxy could do more calls.\n");
    }
    if cells().any(|(s, p)| results.disturbed(s, p)) {
        out.push_str(
            "\n*~*: most runs were disturbed by others on the machine; do not trust the cell.\n",
        );
    }
    for breakdown in &results.breakdowns {
        let _ = writeln!(out, "\nBroke down: {}", breakdown.what);
    }
    for failure in &results.failures {
        let _ = writeln!(out, "\nNot measured: {}", failure.what);
    }
    out
}

fn cell(results: &Results, scenario: Scenario, peer: Peer, figures: Option<Spread>) -> String {
    let Some(figures) = figures else { return String::new() };
    let mut text = spread(figures);
    if results.limited_by_load(scenario, peer) {
        text.push_str(" *L*");
    }
    if results.disturbed(scenario, peer) {
        text.push_str(" *~*");
    }
    text
}

fn spread(s: Spread) -> String {
    format!("{} ({}–{})", figure(s.median), figure(s.min), figure(s.max))
}

/// Three digits that matter.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => {
            let whole = format!("{value:.0}");
            let at = whole.len() - 3;
            if at > 3 {
                format!("{},{},{}", &whole[..at - 3], &whole[at - 3..at], &whole[at..])
            } else {
                format!("{},{}", &whole[..at], &whole[at..])
            }
        }
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn row(first: &str, rest: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(rest).collect()
}

fn align(rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let padding = " ".repeat(width - cell.chars().count());
            let _ = write!(out, "| {cell}{padding} ");
        }
        out.push_str("|\n");
        if i == 0 {
            for width in &widths {
                let _ = write!(out, "|{}", "-".repeat(width + 2));
            }
            out.push_str("|\n");
        }
    }
    out
}

/// Every run, for machines.
pub(crate) fn json(results: &BTreeMap<Protocol, Results>, about: &str) -> Value {
    let each = results
        .iter()
        .map(|(&protocol, results)| (protocol.key().to_owned(), json_of(protocol, results)));
    json!({"about": about, "protocols": each.collect::<serde_json::Map<_, _>>()})
}

fn json_of(protocol: Protocol, results: &Results) -> Value {
    let closed = results.closed.iter().flat_map(|((scenario, peer), runs)| {
        runs.iter().map(move |run| {
            json!({
                "scenario": scenario.key(), "peer": peer.key(), "calls_per_second": run.rate,
                "cpu_us_per_call": run.cpu_micros, "proxy_busy": run.proxy_busy,
                "load_busy": run.load_busy, "disturbed": run.disturbed,
            })
        })
    });
    let open = results.open.iter().flat_map(|(peer, runs)| {
        runs.iter().map(move |run| {
            json!({
                "scenario": Scenario::Open.key(), "peer": peer.key(), "p50_us": run.p50,
                "p99_us": run.p99, "failed": run.failed, "disturbed": run.disturbed,
                "offered_per_second": results.open_rate,
            })
        })
    });
    let idle = results.idle.iter().flat_map(|(peer, runs)| {
        runs.iter().map(move |run| {
            json!({
                "scenario": Scenario::Idle.key(), "peer": peer.key(), "rss_kib": run.memory_kib,
                "kib_per_connection": run.per_connection_kib,
                "rss_kib_with_connections": run.with_connections_kib,
            })
        })
    });
    let targets = verdicts(protocol, results).into_iter().map(|v| {
        json!({
            "target": v.target, "at_most": v.at_most, "measured": v.measured,
            "unit": v.unit, "kept": v.judged().ok(), "not_judged": v.judged().err(),
        })
    });
    let what = |failed: &[Failed]| failed.iter().map(|one| one.what.clone()).collect::<Vec<_>>();
    json!({
        "runs": closed.chain(open).chain(idle).collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
        "breakdowns": what(&results.breakdowns),
        "failures": what(&results.failures),
    })
}

/// The marks around a protocol's block of a page.
fn marks(protocol: Protocol) -> [String; 2] {
    let key = protocol.key();
    [
        format!("<!-- bench {key}: begin (written by `make bench`) -->"),
        format!("<!-- bench {key}: end -->"),
    ]
}

/// Replaces a protocol's block of a page.
///
/// # Errors
/// When the page cannot be read or has no such block.
pub(crate) fn update(page: &Path, protocol: Protocol, tables: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("reading {}", page.display()))?;
    let [begin, end] = marks(protocol);
    let missing = || format!("{} has no block between {begin} and {end}", page.display());
    let (before, rest) = text.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    fs::write(page, format!("{before}{begin}\n{tables}\n{end}{after}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        let figures = [0.3812, 5.0, 33.44, 350.2, 29_600.4, 2_980_000.0];
        assert_eq!(figures.map(figure), ["0.381", "5.00", "33.4", "350", "29,600", "2,980,000"]);
    }

    #[test]
    fn a_page_keeps_what_is_around_the_block() {
        let page = tempfile::NamedTempFile::new().unwrap();
        let block = |protocol, text: &str| marks(protocol).join(&format!("\n{text}\n"));
        let whole = |grpc| {
            let dubbo = block(Protocol::Dubbo, "others");
            format!("# Title\n{dubbo}\nbetween\n{}\nafter\n", block(Protocol::Grpc, grpc))
        };
        fs::write(page.path(), whole("old")).unwrap();
        update(page.path(), Protocol::Grpc, "new").unwrap();
        assert_eq!(fs::read_to_string(page.path()).unwrap(), whole("new"));
        assert!(update(page.path(), Protocol::Http1, "new").is_err());
    }
}
