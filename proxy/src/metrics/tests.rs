//! The scraped text as a whole: sums over workers, and the format's rules.

use std::collections::{BTreeMap, HashMap, HashSet};

use codec::Outcome;

use super::*;

/// A process that has seen a little of everything.
fn busy() -> Arc<Metrics> {
    let metrics = Metrics::new();
    let (one, two) = (metrics.worker(), metrics.worker());
    for (worker, micros) in [(&one, 40), (&two, 2_000)] {
        worker.connection_opened(Side::Downstream);
        worker.call_started();
        worker.method("dubbo", "out", "lab.EchoService", "echo").observe(Outcome::Success, micros);
        worker.call_ended();
    }
    one.call_started();
    // A caller's connection may move: one worker's gauge goes below zero.
    one.connection_closed(Side::Downstream);
    one.connection_closed(Side::Downstream);
    two.connection_opened(Side::Downstream);
    two.fault(Reason::NoEndpoint);
    two.method("dubbo", "out", "odd \"name\"\\\n", "m")
        .observe(Outcome::Fault(Reason::NoEndpoint), 10);
    two.bytes_received(Side::Upstream, 77);
    metrics.config_refused();
    metrics.add_source(|text| {
        text.gauge("extra", "From elsewhere.").sample(&[], 5);
    });
    metrics
}

#[track_caller]
fn assert_line(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "no line {line:?} in:\n{text}");
}

#[test]
fn workers_are_summed() {
    let text = busy().render();
    let echo = r#"protocol="dubbo",listener="out",service="lab.EchoService",method="echo""#;
    assert_line(&text, &format!(r#"spanwire_calls_total{{{echo},outcome="success"}} 2"#));
    assert_line(&text, &format!(r#"spanwire_calls_total{{{echo},outcome="provider_error"}} 0"#));
    assert_line(
        &text,
        &format!(r#"spanwire_call_duration_seconds_bucket{{{echo},le="0.00005"}} 1"#),
    );
    assert_line(&text, &format!(r#"spanwire_call_duration_seconds_bucket{{{echo},le="+Inf"}} 2"#));
    assert_line(&text, &format!(r#"spanwire_call_duration_seconds_sum{{{echo}}} 0.00204"#));
    assert_line(&text, "spanwire_calls_in_flight 1");
    assert_line(&text, r#"spanwire_connections{side="downstream"} 1"#);
    assert_line(&text, r#"spanwire_connections_opened_total{side="downstream"} 3"#);
    assert_line(&text, r#"spanwire_received_bytes_total{side="upstream"} 77"#);
    assert_line(&text, r#"spanwire_faults_total{reason="no_endpoint"} 1"#);
    assert_line(&text, r#"spanwire_config_reloads_total{result="refused"} 1"#);
    assert_line(&text, "extra 5");
    assert!(!text.contains(r#"method="echo",outcome="timeout""#), "{text}");
}

#[test]
fn every_fault_reason_is_there_before_it_happens() {
    let metrics = Metrics::new();
    let text = metrics.render();
    for reason in Reason::ALL {
        assert_line(&text, &format!("spanwire_faults_total{{reason=\"{}\"}} 0", reason.label()));
    }
}

#[test]
fn a_counter_is_the_same_each_time_it_is_asked_for() {
    let metrics = Metrics::new();
    let worker = metrics.worker();
    let method = worker.method("dubbo", "out", "s", "m");
    assert!(Arc::ptr_eq(&method, &worker.method("dubbo", "out", "s", "m")));
    assert!(!Arc::ptr_eq(&method, &metrics.worker().method("dubbo", "out", "s", "m")));
}

/// The rules of the text format, and those that `promtool check metrics` adds.
#[test]
fn the_text_keeps_the_formats_rules() {
    let text = busy().render();
    assert!(text.ends_with('\n'));
    let mut kinds = HashMap::new();
    let mut seen = HashSet::new();
    let mut family = "";
    let mut buckets = BTreeMap::<String, u64>::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(!help.is_empty(), "{line}");
            assert!(kinds.insert(name, "").is_none(), "{name} appears twice");
            family = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, family, "HELP and TYPE belong together");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            kinds.insert(name, kind);
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let suffix = name.strip_prefix(family).expect("samples follow their family");
            let histogram = kinds[family] == "histogram";
            assert_eq!(!suffix.is_empty(), histogram, "{line}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(labels.is_empty() || labels.ends_with("\"}"), "{line}");
            let number: f64 = value.parse().expect("a number");
            assert!(number.is_finite(), "{line}");
            assert!(seen.insert(series.to_owned()), "{series} appears twice");
            if suffix == "_bucket" {
                let (labels, _) = labels.split_once(",le=").expect("buckets have bounds");
                let cumulative: u64 = value.parse().expect("a count");
                let last = buckets.insert(labels.to_owned(), cumulative);
                assert!(last.is_none_or(|last| last <= cumulative), "{line}");
            }
            if suffix == "_count" {
                let labels = labels.trim_end_matches('}');
                assert_eq!(value, buckets[labels].to_string(), "{line}");
            }
        }
    }
    assert!(kinds.len() > 20, "{kinds:?}");
}
