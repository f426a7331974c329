//! Random endpoints and calls.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// One of several.
pub(crate) fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// Whether something with a chance of one in `n` happens.
pub(crate) fn chance(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

/// Up to six providers of `lab.EchoService`.
pub(crate) fn endpoints(rng: &mut Rng) -> Vec<String> {
    let mut hosts: Vec<u32> = (1..=6).collect();
    rng.shuffle(&mut hosts);
    let mixed = chance(rng, 5);
    let mut list: Vec<String> = hosts
        .iter()
        .take(rng.usize(1..=5))
        .map(|host| {
            let port = if chance(rng, 3) { 20881 } else { 20880 };
            let mut url = format!("dubbo://10.0.0.{host}:{port}/lab.EchoService?");
            let application = if mixed && chance(rng, 2) { "stock" } else { "shop" };
            if !chance(rng, 20) {
                url += &format!("application={application}&");
            }
            if !chance(rng, 4) {
                url += &format!("region={}&", one(rng, &["hz", "bj", "hz2", "*"]));
            }
            if chance(rng, 3) {
                url += &format!("env={}&", one(rng, &["gray", "beta", "sub-env"]));
            }
            if chance(rng, 2) {
                url += &format!("v={}&", one(rng, &["1", "5", "12", "x", "-3", "99999999999"]));
            }
            if chance(rng, 4) {
                url += &format!("dubbo.tag={}&", one(rng, &["gray", "beta", "red"]));
            }
            url.push_str("side=provider");
            url
        })
        .collect();
    // We sort by address; rules look at the first provider's application.
    list.sort();
    list
}

/// A call of `lab.EchoService` from 10.0.0.9.
pub(crate) fn call(rng: &mut Rng) -> Value {
    let mut attachments = Map::new();
    for (name, values) in [
        ("user", &["u7", "u8", "7", ""][..]),
        ("x.y", &["1", "gray"]),
        ("x", &["1"]),
        ("dubbo.tag", &["gray", "beta", "red", "beta|x", "gray|beta", "nope", ""]),
        ("dubbo.force.tag", &["true", "false", "TRUE", "x"]),
    ] {
        if chance(rng, 2) {
            attachments.insert(name.to_owned(), json!(one(rng, values)));
        }
    }
    let mut labels = Map::new();
    for (name, values) in [
        ("region", &["hz", "bj", "h*", "nope", "*"][..]),
        ("env", &["gray", "beta"]),
        ("v", &["5", "12"]),
    ] {
        if chance(rng, 2) {
            labels.insert(name.to_owned(), json!(one(rng, values)));
        }
    }
    if chance(rng, 12) {
        labels.insert("dubbo.tag".to_owned(), json!(one(rng, &["gray", "beta"])));
    }
    if chance(rng, 12) {
        labels.insert("dubbo.force.tag".to_owned(), json!("true"));
    }
    let mut types = Vec::new();
    let mut arguments = Vec::new();
    for _ in 0..rng.usize(..4) {
        let (class, value) = match rng.u32(..6) {
            0 => ("java.lang.String", json!(one(rng, &["tom", "dubbo", "5", ""]))),
            1 => ("int", json!(rng.i32(-3..60))),
            2 => ("boolean", json!(rng.bool())),
            3 => ("java.lang.String", Value::Null),
            4 => ("double", json!(f64::from(rng.i32(0..100)) / 4.0 + 0.125)),
            _ => ("long", json!(rng.i64(0..5_000_000_000))),
        };
        types.push(json!(class));
        arguments.push(value);
    }
    json!({
        "service": "lab.EchoService",
        "method": one(rng, &["sayHello", "sayHi", "get", "$echo"]),
        "parameter_types": types,
        "arguments": arguments,
        "attachments": attachments,
        "consumer": {
            "address": "10.0.0.9",
            "application": one(rng, &["web", "web", "shop"]),
            "labels": labels,
        },
    })
}
