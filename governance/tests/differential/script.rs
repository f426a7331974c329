//! Random script rules, from templates.

use fastrand::Rng;
use serde_json::json;

use super::Sample;
use super::condition::head;
use super::generate::{call, chance, endpoints, one};

/// Something about an invoker or the call, with `url`, `invoker` and `n` at hand.
fn predicate(rng: &mut Rng) -> String {
    let host = format!("10.0.0.{}", rng.u32(1..=6));
    match rng.u32(..26) {
        0 => format!("\"{host}\".equals(url.getHost())"),
        1 => format!("url.getHost() == '{host}'"),
        2 => format!("url.getHost() !== '{host}'"),
        3 => "url.getPort() == 20880".to_owned(),
        4 => "url.getPort() > 20880".to_owned(),
        5 => format!("url.getAddress().startsWith('{host}')"),
        6 => format!("url.getParameter('region') == '{}'", one(rng, &["hz", "bj", "hz2"])),
        7 => "url.getParameter('region') === null".to_owned(),
        8 => "url.getParameter('region', 'hz').equals('hz')".to_owned(),
        9 => format!("url.getParameter('v', {}) > 4", one(rng, &["5", "1", "-3"])),
        10 => format!(
            "url.getParameter('env').{}",
            one(rng, &["contains('a')", "length == 4", "isEmpty()"])
        ),
        11 => "url.hasParameter('env')".to_owned(),
        12 => "url.getProtocol().equalsIgnoreCase('DUBBO') && url.getPath() == 'lab.EchoService'"
            .to_owned(),
        13 => "invoker.url.parameters.env == 'gray' || url.getParameters().get('region') == 'hz'"
            .to_owned(),
        14 => {
            format!("invocation.getMethodName() == '{}'", one(rng, &["sayHello", "sayHi", "get"]))
        }
        15 => "invocation.getMethodName().startsWith('say')".to_owned(),
        16 => format!("invocation.getAttachment('user') == '{}'", one(rng, &["u7", "u8", "7"])),
        17 => "context.getAttachment('x') == '1'".to_owned(),
        18 => "invocation.getAttachment('nope', 'd') === 'd'".to_owned(),
        19 => "invocation.getArguments().length > 1".to_owned(),
        20 => format!(
            "invocation.arguments[{}] == {}",
            rng.u32(..2),
            one(rng, &["'tom'", "'5'", "5", "true", "null"])
        ),
        21 => format!("invocation.arguments[0] > {}", rng.i32(-2..50)),
        22 => "invocation.getParameterTypes()[0].getName() == 'java.lang.String'".to_owned(),
        23 => "n % 2 == 0".to_owned(),
        24 => {
            "invocation.getServiceName() == 'lab.EchoService' && invoker.isAvailable()".to_owned()
        }
        _ => format!("url.getRemoteApplication() == '{}'", one(rng, &["shop", "stock"])),
    }
}

/// A predicate, or two of them.
fn condition(rng: &mut Rng) -> String {
    match rng.u32(..4) {
        0 => format!("{} && {}", predicate(rng), predicate(rng)),
        1 => format!("{} || !({})", predicate(rng), predicate(rng)),
        _ => predicate(rng),
    }
}

/// Fills `result` with invokers.
fn filling(rng: &mut Rng) -> String {
    let when = condition(rng);
    match rng.u32(..7) {
        0 => format!(
            "for (n = 0; n < invokers.size(); n++) {{ var invoker = invokers.get(n), url = invoker.getUrl(); if ({when}) result.add(invoker); }}"
        ),
        1 => format!(
            "for (var n = 0; n < invokers.length; n++) {{ var invoker = invokers[n]; var url = invoker.url; if ({when}) {{ result.add(invoker); {} }} }}",
            one(rng, &["", "break;", "continue;", "result.add(invoker);"])
        ),
        2 => format!(
            "var n = 0, walk = invokers.iterator(); while (walk.hasNext()) {{ var invoker = walk.next(), url = invoker.getUrl(); if ({when}) result.add(0, invoker); n++; }}"
        ),
        3 => format!(
            "var n = 0; invokers.forEach(function (invoker) {{ var url = invoker.getUrl(); if ({when}) result.add(invoker); n++; }});"
        ),
        4 => format!(
            "result.addAll(invokers); var n = 0; result.removeIf(function (invoker) {{ var url = invoker.getUrl(); n++; return {when}; }});"
        ),
        5 => format!(
            "for (var n in invokers) {{ var invoker = invokers.get(n), url = invoker.getUrl(); if ({when}) result.add(invoker); }}"
        ),
        _ => {
            let size = rng.u32(..4);
            format!("result.addAll(invokers.subList(0, {size}));")
        }
    }
}

/// What is done before the answer, mostly nothing.
fn oddity(rng: &mut Rng) -> &'static str {
    if !chance(rng, 4) {
        return "";
    }
    one(
        rng,
        &[
            "throw 'no';",
            "throw new Error('no');",
            "null.x;",
            "nope();",
            "invokers.get(99);",
            "try { invokers.get(99); } catch (e) { }",
            "try { nope(); } catch (e) { return invokers; }",
            "result.add('x');",
            "result.add(null);",
            "result.clear();",
            "result.remove(0);",
            "if (result.isEmpty()) return invokers;",
            "if (result.size() == 0) throw 'empty';",
            "invokers.clear();",
            "invokers.remove(result.get(0));",
            "result.retainAll(invokers);",
            "var s = 0; for (var k = 0; k < 100; k++) { s += k; } if (s != 4950) return null;",
            "if ('a'.compareTo('b') >= 0 || 'ab'.hashCode() != 3105) return null;",
            "result.set(0, invokers.get(0));",
        ],
    )
}

fn answer(rng: &mut Rng) -> &'static str {
    if !chance(rng, 5) {
        return "return result;";
    }
    one(
        rng,
        &[
            "return null;",
            "return;",
            "return 'x';",
            "return 5;",
            "return invokers.get(0);",
            "return invokers;",
            "return [invokers.get(0)];",
            "return Java.to([invokers.get(0)]);",
            "return Java.to(['x']);",
            "return result.toArray();",
            "return invokers.subList(0, 1);",
            "return new java.util.ArrayList(result);",
            "return {};",
            "return result.size() > 0 ? result : invokers;",
            "return Java.from(result);",
        ],
    )
}

fn script(rng: &mut Rng) -> String {
    let list = one(
        rng,
        &[
            "new java.util.ArrayList(invokers.size())",
            "new java.util.ArrayList()",
            "new java.util.LinkedList()",
            "new (Java.type('java.util.ArrayList'))()",
        ],
    );
    let body =
        format!("  var result = {list};\n  {}\n  {}\n  {}", filling(rng), oddity(rng), answer(rng));
    match rng.u32(..6) {
        0 => format!(
            "function route(invokers, invocation, context) {{\n{body}\n}}\nroute(invokers, invocation, context);"
        ),
        1 => format!("var f = function () {{\n{body}\n}};\nf()"),
        2 => format!("(function () {{\n{body}\n}})()"),
        _ => format!(
            "(function route(invokers, invocation, context) {{\n{body}\n}}(invokers, invocation, context));"
        ),
    }
}

/// A script rule.
pub(crate) fn scripts(rng: &mut Rng) -> Sample {
    let mut text = head(rng, &["v3.0", "v3.0", "v3.0", "v3.1", "3.0", "x"]);
    if !chance(rng, 3) {
        text += &format!(
            "type: {}\n",
            one(rng, &["javascript", "javascript", "javascript", "js", "groovy", "5", "~"])
        );
    }
    let source = match rng.u32(..30) {
        0 => "var a = ;".to_owned(),
        1 => "(function () {".to_owned(),
        _ => script(rng),
    };
    if !chance(rng, 40) {
        text += "script: |\n";
        for line in source.lines() {
            text += &format!("  {line}\n");
        }
    }
    let key = one(rng, &["shop.script-router", "shop.script-router", "stock.script-router"]);
    let case = json!({
        "scripts": true,
        "rules": [{"key": key, "text": text}],
        "endpoints": endpoints(rng),
        "call": call(rng),
        "runs": 1,
    });
    Sample { case, choices: 0, compat: "java" }
}
