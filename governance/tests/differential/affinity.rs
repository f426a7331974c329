//! Random affinity rules.

use fastrand::Rng;
use serde_json::{Value, json};

use super::Sample;
use super::generate::{call, chance, endpoints, one};

/// A rule of the service.
pub(crate) fn affinities(rng: &mut Rng) -> Sample {
    let version = one(rng, &["v3.1", "v3.1", "v3.1", "v3.1", "v3.0", "3.1", "v3.10"]);
    let mut text = format!("configVersion: {version}\n");
    for (key, values) in [
        ("enabled", &["true", "true", "off", "no"][..]),
        ("valid", &["true", "true", "false"]),
        ("runtime", &["true", "false"]),
        ("priority", &["1", "'2'", "x"]),
        ("scope", &["service"]),
    ] {
        if chance(rng, 6) {
            text += &format!("{key}: {}\n", one(rng, values));
        }
    }
    let key = one(rng, &["region", "region", "env", "v", "nope", "application", "''", "~"]);
    let ratio = match rng.u32(..12) {
        0 => "-1".to_owned(),
        1 => "101".to_owned(),
        2 => "x".to_owned(),
        3 => "0".to_owned(),
        4 => "100".to_owned(),
        _ => rng.u32(..=100).to_string(),
    };
    if !chance(rng, 30) {
        text += &format!("affinityAware: {{key: {key}, ratio: {ratio}}}\n");
    }
    // Tags would have their say before.
    let endpoints: Vec<String> =
        endpoints(rng).iter().map(|url| url.replace("dubbo.tag=", "tag=")).collect();
    let mut call = call(rng);
    for place in ["/attachments", "/consumer/labels"] {
        let values = call.pointer_mut(place).and_then(Value::as_object_mut).unwrap();
        values.retain(|name, _| !name.starts_with("dubbo."));
    }
    let case = json!({
        "rules": [{"key": "lab.EchoService::.affinity-router", "text": text}],
        "endpoints": endpoints,
        "call": call,
        "runs": 1,
        "affinity": true,
    });
    Sample { case, choices: 0, compat: "documented" }
}
