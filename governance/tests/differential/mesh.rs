//! Random mesh rules.

use fastrand::Rng;
use serde_json::json;

use super::Sample;
use super::generate::{call, chance, endpoints, one};

fn text(rng: &mut Rng, values: &[&str]) -> String {
    match rng.u32(..8) {
        0 => "{prefix: s}".to_owned(),
        1 => "{regex: '[a-zA-Z0-9.]+'}".to_owned(),
        2 => "{wildcard: '*'}".to_owned(),
        3 => "{noempty: ''}".to_owned(),
        4 => "{empty: ''}".to_owned(),
        _ => format!("{{exact: {}}}", one(rng, values)),
    }
}

fn number(rng: &mut Rng) -> &'static str {
    one(
        rng,
        &[
            "{exact: 5.0}",
            "{exact: 5}",
            "{exact: 0.0, mod: 2.0}",
            "{range: {start: 0.0, end: 30.0}}",
            "{range: {start: 20.0}}",
            "{range: {end: 10.5}}",
            "{range: {end: 10}}",
            "{range: {}}",
            "{exact: 23.375}",
            "{mod: 2.0}",
        ],
    )
}

fn request(rng: &mut Rng) -> String {
    let mut parts = Vec::new();
    if chance(rng, 2) {
        let mut method = Vec::new();
        if chance(rng, 2) {
            method.push(format!("name_match: {}", text(rng, &["sayHello", "sayHi", "get"])));
        }
        if chance(rng, 4) {
            method.push(format!("argc: {}", rng.u32(..4)));
        }
        if chance(rng, 4) {
            let types = &["java.lang.String", "String", "int", "double", "boolean"];
            let list: Vec<String> = (0..rng.usize(1..=2)).map(|_| text(rng, types)).collect();
            method.push(format!("argp: [{}]", list.join(", ")));
        }
        if chance(rng, 3) {
            let value = match rng.u32(..3) {
                0 => format!("str_value: {{oneof: [{}]}}", text(rng, &["tom", "dubbo", "5"])),
                1 => format!("num_value: {{oneof: [{}]}}", number(rng)),
                _ => format!("bool_value: {{exact: {}}}", rng.bool()),
            };
            method.push(format!("args: [{{index: {}, {value}}}]", rng.u32(..3)));
        }
        parts.push(format!("method: {{{}}}", method.join(", ")));
    }
    if chance(rng, 3) {
        let value = one(rng, &["region: hz", "env: gray", "application: web", "side: consumer"]);
        parts.push(format!("sourceLabels: {{{value}}}"));
    }
    if chance(rng, 3) {
        let key = one(rng, &["user", "x", "nope"]);
        let found = text(rng, &["u7", "'1'"]);
        let context = if chance(rng, 8) { "tracingContext" } else { "dubboContext" };
        parts.push(format!("attachments: {{{context}: {{{key}: {found}}}}}"));
    }
    format!("{{{}}}", parts.join(", "))
}

fn destination(rng: &mut Rng, depth: u32) -> String {
    let subset = one(rng, &["gray", "hz", "bj", "all", "nope"]);
    let fallback = if depth < 2 && chance(rng, 4) {
        format!(", fallback: {}", destination(rng, depth + 1))
    } else {
        String::new()
    };
    let weight = if chance(rng, 3) { String::new() } else { format!(", weight: {}", rng.u32(..4)) };
    format!("{{destination: {{host: shop, subset: {subset}{fallback}}}{weight}}}")
}

fn rule(rng: &mut Rng) -> String {
    let mut documents = String::new();
    for _ in 0..rng.usize(1..=2) {
        documents += "apiVersion: service.dubbo.apache.org/v1alpha1\nkind: VirtualService\n\
                      metadata: {name: shop/vs}\nspec:\n  hosts: [shop]\n  dubbo:\n";
        for _ in 0..rng.usize(1..=2) {
            documents += "    - name: r\n";
            if chance(rng, 2) {
                let names = &["lab.EchoService", "x.Y", "lab.Other"];
                documents += &format!("      services: [{}]\n", text(rng, names));
            }
            documents += "      routedetail:\n";
            for _ in 0..rng.usize(1..=2) {
                let route: Vec<String> =
                    (0..rng.usize(1..=3)).map(|_| destination(rng, 0)).collect();
                documents += &format!("        - route: [{}]\n", route.join(", "));
                if !chance(rng, 4) {
                    let list: Vec<String> = (0..rng.usize(1..=2)).map(|_| request(rng)).collect();
                    documents += &format!("          match: [{}]\n", list.join(", "));
                }
            }
        }
        documents += "---\n";
    }
    documents += "apiVersion: service.dubbo.apache.org/v1alpha1\nkind: DestinationRule\n\
                  metadata: {name: shop/dr}\nspec:\n  host: shop\n  subsets:\n    \
                  - {name: gray, labels: {env: gray}}\n    - {name: hz, labels: {region: hz}}\n    \
                  - {name: bj, labels: {region: bj, side: provider}}\n    - {name: all, labels: {}}\n";
    documents
}

/// Mesh rules of one application.
pub(crate) fn meshes(rng: &mut Rng) -> Sample {
    let rules = json!([{"key": "shop.MESHAPPRULE", "text": rule(rng)}]);
    // Every provider has an application, all the same: with several, each draws.
    let endpoints: Vec<String> = endpoints(rng)
        .into_iter()
        .map(|url| url.replace("application=stock", "application=shop"))
        .collect();
    let case = json!({"rules": rules, "endpoints": endpoints, "call": call(rng), "runs": 300});
    Sample { case, choices: 1, compat: "java" }
}
