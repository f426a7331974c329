//! Random rules, endpoints and calls, decided by `compat: java` and by Dubbo
//! 3.3.6's own router chain. Not one difference is allowed.
//!
//! Needs Java 17 and Maven (`governance/oracle`). `SPANWIRE_ORACLE_CASES` sets
//! the number of cases per family, `SPANWIRE_ORACLE_SEED` where they start.
// A test that runs a program reads files, the environment and uses threads.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod affinity;
mod condition;
mod configurator;
mod generate;
mod mesh;
mod oracle;
mod script;
mod tag;

use std::collections::{BTreeMap, BTreeSet};

use codec::Substitute;
use codec::value::json;
use governance::explain::{Prepared, WrittenCall, read_case};
use governance::{
    Caller, Compat, Dice, Idle, Options, Origin, Request, Resolution, RuleSet, Scratch, Service,
    decide,
};
use serde_json::{Value, json};

use oracle::Oracle;

/// A case and how its choices shall be tried out.
struct Sample {
    case: Value,
    /// How many weighted choices may follow one another.
    choices: usize,
    /// Whose reading of ours is compared.
    compat: &'static str,
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text}, not a number")),
        Err(_) => default,
    }
}

/// The results that our reading can come to.
fn ours(sample: &Sample) -> BTreeSet<String> {
    let mut text = sample.case.clone();
    text["compat"] = json!(sample.compat);
    for key in ["runs", "affinity"] {
        text.as_object_mut().unwrap().remove(key);
    }
    let text = text.to_string();
    let case = read_case("case", &text).unwrap_or_else(|findings| panic!("{findings:?}\n{text}"));
    let prepared = Prepared::new(&case);
    let grid = |n: u32, of: u32| (f64::from(n) + 0.5) / f64::from(of);
    let rolls: Vec<Vec<f64>> = match sample.choices {
        0 => vec![vec![0.0]],
        1 => (0..120).map(|n| vec![grid(n, 120)]).collect(),
        _ => (0..24).flat_map(|a| (0..24).map(move |b| vec![grid(a, 24), grid(b, 24)])).collect(),
    };
    rolls.iter().map(|rolls| prepared.explain(rolls).endpoints.join(",")).collect()
}

/// Compares one family of rules and prints the first differences in full.
fn compare(family: &str, make: impl Fn(&mut fastrand::Rng) -> Sample) {
    let count = setting("SPANWIRE_ORACLE_CASES", 4000);
    let seed = setting("SPANWIRE_ORACLE_SEED", 1);
    let samples: Vec<Sample> =
        (0..count).map(|n| make(&mut fastrand::Rng::with_seed(seed + n))).collect();
    let answers = Oracle::build().ask(samples.iter().map(|sample| &sample.case));
    assert_eq!(answers.len(), samples.len(), "the oracle must answer every case");
    let mut differences = 0;
    let mut outcomes = BTreeSet::new();
    for (number, (sample, answer)) in samples.iter().zip(&answers).enumerate() {
        let ours = ours(sample);
        outcomes.extend(ours.iter().cloned());
        // Where Java throws, a call has no endpoint.
        let theirs: BTreeSet<String> = match answer["results"].as_object() {
            Some(results) => results.keys().cloned().collect(),
            None => BTreeSet::from([String::new()]),
        };
        if ours != theirs {
            differences += 1;
            if differences <= 5 {
                println!(
                    "number {number}, case {}",
                    serde_json::to_string_pretty(&sample.case).unwrap()
                );
                println!("ours {ours:?}\njava {answer}\n");
            }
        }
    }
    println!("{family}: {count} cases from seed {seed}, {} different results", outcomes.len());
    assert_eq!(differences, 0, "{family}: differences to Dubbo");
}

#[test]
fn condition_rules_decide_as_in_java() {
    compare("condition", condition::plain);
}

#[test]
fn split_rules_decide_as_in_java() {
    compare("split", condition::split);
}

#[test]
fn tag_rules_decide_as_in_java() {
    compare("tag", tag::tags);
}

#[test]
fn scripts_decide_as_in_java() {
    compare("script", script::scripts);
}

/// Dubbo has the router and never loads it. What it does where it is called is compared
/// with what is documented; that it may leave nobody at a ratio of 0 is its own.
#[test]
fn affinity_rules_decide_as_javas_router() {
    compare("affinity", affinity::affinities);
}

#[test]
fn mesh_rules_decide_as_in_java() {
    compare("mesh", mesh::meshes);
}

/// What we make of the providers of a case, as the oracle writes it, and which one
/// a call's hash leads to.
fn our_terms(case: &Value) -> (Value, Option<String>) {
    let mut text = case.clone();
    text["compat"] = json!("java");
    text.as_object_mut().unwrap().remove("effective");
    // An endpoint without configurators has terms, too.
    let case = read_case("case", &text.to_string()).unwrap();
    let prepared = Prepared::new(&case);
    (json!(prepared.effective()), prepared.explain(&[0.0]).picked)
}

#[test]
fn configurators_change_the_same_as_in_java() {
    let count = setting("SPANWIRE_ORACLE_CASES", 4000);
    let seed = setting("SPANWIRE_ORACLE_SEED", 1);
    let cases: Vec<Value> = (0..count)
        .map(|n| configurator::configurators(&mut fastrand::Rng::with_seed(seed + n)))
        .collect();
    let answers = Oracle::build().ask(cases.iter());
    assert_eq!(answers.len(), cases.len(), "the oracle must answer every case");
    let (mut differences, mut hashes) = (0, 0);
    for (number, (case, answer)) in cases.iter().zip(&answers).enumerate() {
        let (ours, picked) = our_terms(case);
        // A mock answers instead, and where nothing is hashed a pick is luck.
        let hashed = answer["picked"].as_str().filter(|_| picked.is_some());
        hashes += usize::from(hashed.is_some());
        if ours != answer["effective"] || hashed.is_some_and(|of| Some(of) != picked.as_deref()) {
            differences += 1;
            if differences <= 5 {
                println!("number {number}, case {}", serde_json::to_string_pretty(case).unwrap());
                println!("ours {ours}, {picked:?}\njava {answer}\n");
            }
        }
    }
    assert!(hashes * 20 > cases.len(), "only {hashes} calls were hashed");
    println!("configurators: {count} cases from seed {seed}");
    assert_eq!(differences, 0, "configurators: differences to Dubbo");
}

/// What we make of a mock, as the oracle writes it.
fn our_mock(text: &str) -> Value {
    let mut rules = RuleSet::new(Compat::Java);
    let document = json!({
        "configVersion": "v3.0", "scope": "service", "key": "lab.Echo", "enabled": true,
        "configs": [{"side": "consumer", "parameters": {"mock": text}}],
    });
    rules.apply(
        "lab.Echo::.configurators",
        Some(&document.to_string()),
        Origin::Store { revision: 1 },
    );
    let service = Service::compile("lab.Echo", Vec::new(), &rules, &Options::default());
    let call =
        WrittenCall { service: "lab.Echo".into(), method: "echo".into(), ..Default::default() };
    let labels = BTreeMap::new();
    let caller = Caller { address: "10.0.0.9", application: "web", labels: &labels };
    let request = Request { head: &call, caller, tried: &[], now_ms: 0 };
    // Nobody provides the service: a mock answers, or nobody does.
    match decide(&service, &request, &Idle, &mut Unthrown, &mut Scratch::new()) {
        Err(_) => json!({}),
        Ok(Resolution::Answer { mock, .. }) => match &mock.answer {
            Substitute::Value(value) => {
                let value = json::to_json(value, json::Classes::Shown);
                json!({"force": mock.force, "return": value})
            }
            Substitute::Exception { class, .. } => {
                let class = if class.ends_with(".RpcException") { "" } else { class };
                json!({"force": mock.force, "throw": class})
            }
        },
        Ok(Resolution::Send(decision)) => panic!("{decision:?} of nobody"),
    }
}

/// Nothing is left to chance.
struct Unthrown;

impl Dice for Unthrown {
    fn roll(&mut self) -> f64 {
        0.0
    }
}

#[test]
fn mocks_mean_the_same_as_in_java() {
    let seed = setting("SPANWIRE_ORACLE_SEED", 1);
    let texts: BTreeSet<String> =
        (0..4000).map(|n| configurator::mock(&mut fastrand::Rng::with_seed(seed + n))).collect();
    let cases: Vec<Value> = texts.iter().map(|text| json!({"mock": text})).collect();
    let answers = Oracle::build().ask(cases.iter());
    assert_eq!(answers.len(), texts.len(), "the oracle must answer every case");
    let mut differences = Vec::new();
    for (text, java) in texts.iter().zip(answers) {
        let ours = our_mock(text);
        if ours != java {
            differences.push(format!("{text:?}: ours {ours}, java {java}"));
        }
    }
    println!("mocks: {} texts from seed {seed}", texts.len());
    assert!(differences.is_empty(), "differences to Dubbo:\n{}", differences.join("\n"));
}
