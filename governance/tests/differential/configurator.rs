//! Random configurators.

use fastrand::Rng;
use serde_json::{Value, json};

use super::generate::{call, chance, endpoints, one};

// Numbers that are none are left out: Java throws at each call.
fn parameters(rng: &mut Rng) -> String {
    let mut list = Vec::new();
    for _ in 0..rng.usize(1..=3) {
        let (key, values): (&str, &[&str]) = match rng.u32(..20) {
            0 => ("sayHello.timeout", &["700", "0"]),
            1 => ("get.weight", &["7", "0"]),
            2 => ("retries", &["0", "5", "-1"]),
            3 => ("loadbalance", &["leastactive", "roundrobin", "random", "consistenthash"]),
            4 => (
                "cluster",
                &[
                    "failfast",
                    "failover",
                    "failsafe",
                    "failback",
                    "forking",
                    "broadcast",
                    "available",
                ],
            ),
            5 => ("weight", &["0", "50", "300", "-4"]),
            6 => ("~region", &["hz", "bj", "'*'"]),
            7 => ("priority", &["1", "2"]),
            8 => ("disabled", &["true", "false"]),
            9 => ("application", &["web", "x"]),
            10 => ("forks", &["1", "3", "0"]),
            11 => ("broadcast.fail.percent", &["0", "50", "100"]),
            12 => ("mock", &["force:return null", "'fail: throw'", "'false'", "return"]),
            13 => ("sayHello.mock", &["fail:return 7", "'0'", "force:throw lab.Refused"]),
            14 => ("sayHello.sticky", &["true", "false"]),
            15 => ("actives", &["10", "0"]),
            16 => ("hash.nodes", &["16", "320"]),
            17 => ("hash.arguments", &["'0'", "'1'", "0,1", "1,0,2"]),
            _ => ("timeout", &["2000", "300", "0"]),
        };
        let pair = format!("{key}: {}", one(rng, values));
        if !list.iter().any(|known: &String| known.starts_with(&format!("{key}:"))) {
            list.push(pair);
        }
    }
    format!("{{{}}}", list.join(", "))
}

fn item(rng: &mut Rng) -> String {
    let mut text = format!("  - parameters: {}\n", parameters(rng));
    if !chance(rng, 12) {
        text +=
            &format!("    side: {}\n", one(rng, &["consumer", "consumer", "consumer", "provider"]));
    }
    if chance(rng, 8) {
        text += &format!("    type: {}\n", one(rng, &["general", "weight", "balancing"]));
    }
    if chance(rng, 8) {
        text += &format!("    enabled: {}\n", one(rng, &["true", "false"]));
    }
    if chance(rng, 4) {
        text += &format!(
            "    addresses: ['{}']\n",
            one(rng, &["0.0.0.0", "10.0.0.9", "10.0.0.1:20880", "0.0.0.0:20880", "10.0.0.8"])
        );
    }
    if chance(rng, 4) {
        text += &format!(
            "    providerAddresses: ['{}', '{}']\n",
            one(rng, &["10.0.0.1:20880", "10.0.0.2", "0.0.0.0", "0.0.0.0:20881", "0.0.0.0:*"]),
            one(rng, &["10.0.0.3:20880", "10.0.0.4", "10.0.0.9"]),
        );
    }
    if chance(rng, 6) {
        text += &format!("    applications: [{}]\n", one(rng, &["web", "shop", "'*'", "x"]));
    }
    if chance(rng, 6) {
        text += &format!("    services: [{}]\n", one(rng, &["lab.EchoService", "'*'", "x"]));
    }
    if chance(rng, 3) {
        let address = |rng: &mut Rng| {
            one(
                rng,
                &[
                    "{wildcard: '10.0.*'}",
                    "{wildcard: '*'}",
                    "{cird: 10.0.0.0/28}",
                    "{exact: 10.0.0.9}",
                    "{exact: '10.0.0.1:20880'}",
                    "{}",
                    "{wildcard: '*:20881'}",
                ],
            )
        };
        let mut parts = Vec::new();
        if chance(rng, 3) {
            parts.push(format!("address: {}", address(rng)));
        }
        if chance(rng, 3) {
            let found = address(rng);
            // Java throws at an address with a port and a network.
            parts.push(format!("providerAddress: {}", found.replace("{cird: 10.0.0.0/28}", "{}")));
        }
        if chance(rng, 3) {
            let name = one(rng, &["exact: lab.EchoService", "prefix: lab", "exact: x"]);
            parts.push(format!("service: {{oneof: [{{{name}}}]}}"));
        }
        if chance(rng, 3) {
            let name = one(rng, &["exact: web", "exact: shop", "exact: stock"]);
            parts.push(format!("app: {{oneof: [{{{name}}}]}}"));
        }
        if chance(rng, 4) {
            let name = one(rng, &["side", "timeout", "application", "region", "env", "v"]);
            let value = one(
                rng,
                &["exact: consumer", "exact: hz", "exact: web", "noempty: ''", "empty: ''"],
            );
            parts.push(format!("param: [{{key: {name}, value: {{{value}}}}}]"));
        }
        if !parts.is_empty() {
            text += &format!("    match: {{{}}}\n", parts.join(", "));
        }
    }
    text
}

/// Configurators of a service or an application.
pub(crate) fn configurators(rng: &mut Rng) -> Value {
    let mut rules = Vec::new();
    for (about, key) in [("lab.EchoService::", "lab.EchoService"), ("web", "web")] {
        if chance(rng, 3) {
            continue;
        }
        let mut text = String::new();
        if !chance(rng, 8) {
            text += &format!("configVersion: {}\n", one(rng, &["v3.0", "v3.0", "v2.7"]));
        }
        let scope = if about == "web" { "application" } else { "service" };
        if about == "web" || !chance(rng, 3) {
            text += &format!("scope: {scope}\n");
        }
        text += &format!("key: {}\n", if chance(rng, 15) { "other" } else { key });
        if chance(rng, 12) {
            text += "enabled: false\n";
        }
        text += "configs:\n";
        for _ in 0..rng.usize(1..=3) {
            text += &item(rng);
        }
        rules.push(json!({"key": format!("{about}.configurators"), "text": text}));
    }
    let endpoints: Vec<String> = endpoints(rng)
        .into_iter()
        .map(|url| url.replace("dubbo.tag=", "tag="))
        .map(|url| match rng.u32(..6) {
            3 => format!("{url}&loadbalance=consistenthash&hash.nodes=64&get.hash.arguments=1"),
            4 => format!("{url}&loadbalance=consistenthash&sayHi.sticky=false"),
            0 => format!("{url}&timeout=4000&weight=20"),
            1 => format!("{url}&sayHello.timeout=100"),
            _ => url,
        })
        .collect();
    let mut call = call(rng);
    // Nothing but the balancer shall choose.
    for facts in ["/attachments", "/consumer/labels"] {
        let facts = call.pointer_mut(facts).and_then(Value::as_object_mut).unwrap();
        facts.retain(|name, _| !name.starts_with("dubbo."));
    }
    json!({"rules": rules, "endpoints": endpoints, "call": call, "effective": true})
}

/// A `mock` parameter, put together of what it may be made of. Numbers with a sign or
/// a point are left out: Java goes by the method's type, which is unknown here.
pub(crate) fn mock(rng: &mut Rng) -> String {
    let lead = one(rng, &["", "", "fail:", "force:", "force: ", " fail:", "fail:force:"]);
    let kind = one(rng, &["return ", "return ", "return  ", "throw ", "throw", "return", "x"]);
    let value = one(
        rng,
        &[
            "null",
            "empty",
            "true",
            "false",
            "\"a b\"",
            "'x'",
            "`y`",
            "42",
            "007",
            "4200000000",
            "abc",
            "lab.Refused",
            "[1,2]",
            "{\"a\":1}",
            "{\"a\":[true,null]}",
            "\"",
            "''",
            "",
        ],
    );
    let whole = one(rng, &["false", "0", "N/A", "true", "default", "fail", "force", "return", " "]);
    if chance(rng, 6) { whole.to_owned() } else { format!("{lead}{kind}{value}") }
}
