//! Random condition rules.

use fastrand::Rng;
use serde_json::json;

use super::Sample;
use super::generate::{call, chance, endpoints, one};

fn value(rng: &mut Rng) -> String {
    match rng.u32(..10) {
        0 => one(rng, &["*", "h*", "*z", "s*o", "10.0.*", "10.0.0.*", "*:20881", "a*b*c", "say*"]),
        1 => {
            one(rng, &["1~10", "5~", "~10", "40~50", "~", "1~2~3", "-5~5", "x~5", "1~99999999999"])
        }
        2 => one(rng, &["$region", "$env", "$host", "$port", "$v", "$nope", "$", "$application"]),
        _ => one(
            rng,
            &[
                "hz",
                "bj",
                "gray",
                "beta",
                "sayHello",
                "sayHi",
                "10.0.0.1",
                "10.0.0.2",
                "10.0.0.9",
                "20880",
                "20881",
                "10.0.0.3:20880",
                "web",
                "shop",
                "stock",
                "u7",
                "tom",
                "42",
                "5",
                "true",
                "null",
                "1",
                "dubbo",
                "consumer",
                "0.125",
                "lab.EchoService",
            ],
        ),
    }
    .to_owned()
}

fn key(rng: &mut Rng, left: bool) -> &'static str {
    if left {
        one(
            rng,
            &[
                "method",
                "method",
                "methods",
                "host",
                "application",
                "region",
                "env",
                "interface",
                "side",
                "protocol",
                "address",
                "port",
                "path",
                "arguments[0]",
                "arguments[1]",
                "arguments[2]",
                "arguments[x]",
                "arguments",
                "arguments[0].name",
                "attachments[user]",
                "attachments[x.y]",
                "attachments[x]",
                "attachments[nope]",
                "attachments[]",
                "attachments[dubbo.tag]",
                "foo",
                "consumer.host",
                "version",
            ],
        )
    } else {
        one(
            rng,
            &[
                "host",
                "host",
                "port",
                "address",
                "region",
                "region",
                "env",
                "v",
                "application",
                "protocol",
                "path",
                "method",
                "arguments[0]",
                "attachments[user]",
                "foo",
                "provider.host",
                "side",
                "dubbo.tag",
            ],
        )
    }
}

/// An expression, now and then a crooked one.
fn expression(rng: &mut Rng, left: bool) -> String {
    let mut text = String::new();
    for n in 0..rng.usize(1..=3) {
        if n > 0 {
            text += one(rng, &["&", " & ", " & ", " & ", " ", "&&"]);
            if chance(rng, 30) {
                text += "& ";
            }
        }
        text += key(rng, left);
        for _ in 0..if chance(rng, 5) { rng.usize(0..=2) } else { 1 } {
            text += one(rng, &["=", "=", "=", "!=", " = ", " != "]);
            text += &value(rng);
            for _ in 0..rng.usize(0..=1) {
                text += one(rng, &[",", ", ", " , "]);
                text += &value(rng);
            }
        }
    }
    if chance(rng, 40) {
        text += one(rng, &["&", ",", "=", "!", "!!=x", "==y", " ,z"]);
    }
    text
}

fn condition(rng: &mut Rng) -> String {
    let when = match rng.u32(..8) {
        0 => String::new(),
        1 => "true".to_owned(),
        _ => expression(rng, true),
    };
    let then = match rng.u32(..20) {
        0 => String::new(),
        1 => "false".to_owned(),
        _ => expression(rng, false),
    };
    match rng.u32(..30) {
        0 => then,
        1 => format!("{when}=>{then}=>x"),
        2 => String::new(),
        _ => format!("{when} => {then}"),
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The lines that every rule may start with.
pub(crate) fn head(rng: &mut Rng, versions: &[&str]) -> String {
    let mut text = String::new();
    if !chance(rng, 10) {
        text += &format!("configVersion: {}\n", one(rng, versions));
    }
    for (key, values) in [
        ("force", &["true", "false", "yes", "on", "'TRUE'", "y", "1", "~"][..]),
        ("enabled", &["true", "true", "true", "true", "off", "x"]),
        ("valid", &["true", "true", "true", "true", "false"]),
        ("runtime", &["true", "false"]),
        ("priority", &["1", "1", "'2'", "x"]),
        ("key", &["lab.EchoService", "x", "5", "~"]),
        ("scope", &["service", "application", "other"]),
        ("unknown", &["1"]),
    ] {
        let rare = if key == "force" { 2 } else { 9 };
        if chance(rng, rare) {
            text += &format!("{key}: {}\n", one(rng, values));
        }
    }
    text
}

fn rule_key(rng: &mut Rng) -> String {
    let about = one(
        rng,
        &[
            "lab.EchoService::",
            "lab.EchoService::",
            "web",
            "shop",
            "stock",
            "lab.EchoService:1.0.0:",
        ],
    );
    format!("{about}.condition-router")
}

/// Rules with `when => then`.
pub(crate) fn plain(rng: &mut Rng) -> Sample {
    let mut rules: Vec<serde_json::Value> = Vec::new();
    for _ in 0..rng.usize(1..=2) {
        // Of two good rules with one key we keep the last, of a good and a bad
        // one the good; a config centre holds one.
        let key = rule_key(rng);
        if rules.iter().any(|rule| rule["key"] == key.as_str()) {
            continue;
        }
        let mut text =
            head(rng, &["v3.0", "v3.0", "v3.0", "v2.7", "'3.1'", "3.0", "x", "v3.2", "''"]);
        text += "conditions:\n";
        for _ in 0..rng.usize(1..=3) {
            text += &format!("  - {}\n", quote(&condition(rng)));
        }
        rules.push(json!({"key": key, "text": text}));
    }
    let case = json!({"rules": rules, "endpoints": endpoints(rng), "call": call(rng), "runs": 1});
    Sample { case, choices: 0, compat: "java" }
}

/// Rules with `from` and `to`.
pub(crate) fn split(rng: &mut Rng) -> Sample {
    let mut text = head(rng, &["v3.1", "v3.1", "v3.1", "V3.1", "v3.10"]);
    text += "conditions:\n";
    for _ in 0..rng.usize(1..=2) {
        let from = match rng.u32(..6) {
            0 => "~".to_owned(),
            1 => "{match: ''}".to_owned(),
            2 => "{match: 'true'}".to_owned(),
            _ => format!("{{match: {}}}", quote(&expression(rng, true))),
        };
        text += &format!("  - from: {from}\n");
        if chance(rng, 8) {
            continue;
        }
        text += "    to:\n";
        // Shares must not get so small that tries miss them.
        let defaults = chance(rng, 4);
        for _ in 0..rng.usize(1..=3) {
            let then = match rng.u32(..10) {
                0 => "''".to_owned(),
                1 => "'false'".to_owned(),
                _ => quote(&expression(rng, false)),
            };
            text += &format!("      - match: {then}\n");
            if !defaults || chance(rng, 2) {
                let weight = match rng.u32(..12) {
                    _ if defaults => one(rng, &["0", "-5", "~", "100", "50"]).to_owned(),
                    0 => one(rng, &["abc", "1.5", "'2'"]).to_owned(),
                    _ => rng.u32(1..4).to_string(),
                };
                text += &format!("        weight: {weight}\n");
            }
        }
    }
    let rules = json!([{"key": rule_key(rng), "text": text}]);
    let case = json!({"rules": rules, "endpoints": endpoints(rng), "call": call(rng), "runs": 600});
    Sample { case, choices: 2, compat: "java" }
}
