//! Random tag rules.

use fastrand::Rng;
use serde_json::json;

use super::Sample;
use super::condition::head;
use super::generate::{call, chance, endpoints, one};

const ADDRESSES: &[&str] = &[
    "10.0.0.1:20880",
    "10.0.0.2:20880",
    "10.0.0.3",
    "10.0.0.*",
    "10.0.0.4-5:20880",
    "10.0.0.0/30",
    "10.0.0.0/33",
    "0.0.0.0:20880",
    "0.0.0.0:20881",
    "0.0.0.0",
    "*",
    "*.*.*.*",
    "10.0.0",
    "x.y",
    "10.0.0.2:20881",
    "10.0.0.1/32",
    "010.0.0.1",
    "10.0.0.9-1",
    "10.0.0.a-b",
    " 10.0.0.1 ",
];

fn string_match(rng: &mut Rng) -> String {
    match rng.u32(..12) {
        0 => "{prefix: gr}".to_owned(),
        1 => "{regex: 'g.*|b[et]+a'}".to_owned(),
        2 => "{wildcard: '*'}".to_owned(),
        3 => "{wildcard: gray}".to_owned(),
        4 => "{empty: ''}".to_owned(),
        5 => "{noempty: ''}".to_owned(),
        6 => "{exact: 5}".to_owned(),
        7 => "{}".to_owned(),
        8 => "{exact: gray, prefix: b}".to_owned(),
        9 => "{exact: [gray]}".to_owned(),
        _ => format!("{{exact: {}}}", one(rng, &["gray", "beta", "hz", "bj", "1", "x"])),
    }
}

fn tag(rng: &mut Rng) -> String {
    let name =
        one(rng, &["gray", "gray", "beta", "beta", "red", "gray|beta", "beta|x", "nope", "5", "~"]);
    let mut text = format!("  - name: {name}\n");
    if chance(rng, 2) {
        let list: Vec<String> =
            (0..rng.usize(0..=2)).map(|_| format!("'{}'", one(rng, ADDRESSES))).collect();
        text += &format!("    addresses: [{}]\n", list.join(", "));
    }
    if chance(rng, 2) {
        let list: Vec<String> = (0..rng.usize(0..=2))
            .map(|_| {
                let key = one(rng, &["env", "region", "v", "side", "nope"]);
                if chance(rng, 15) {
                    format!("{{key: {key}}}")
                } else {
                    format!("{{key: {key}, value: {}}}", string_match(rng))
                }
            })
            .collect();
        text += &format!("    match: [{}]\n", list.join(", "));
    }
    text
}

/// Tag rules, or none at all.
pub(crate) fn tags(rng: &mut Rng) -> Sample {
    let mut rules = Vec::new();
    if !chance(rng, 6) {
        let mut text =
            head(rng, &["v3.0", "v3.0", "v3.0", "v3.0", "v3.1", "v2.7", "3.0", "v3.0.1"]);
        text += "tags:\n";
        for _ in 0..rng.usize(1..=3) {
            text += &tag(rng);
        }
        rules.push(json!({"key": one(rng, &["shop.tag-router", "shop.tag-router", "stock.tag-router"]), "text": text}));
    }
    let case = json!({"rules": rules, "endpoints": endpoints(rng), "call": call(rng), "runs": 1});
    Sample { case, choices: 0, compat: "java" }
}
