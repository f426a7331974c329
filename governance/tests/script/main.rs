//! Script rules: what a script finds around it, and what it cannot do.
#![allow(clippy::unwrap_used)]

mod calls;
mod hostile;

use governance::explain::{Explanation, explain_case};

const RULE: &str = "configVersion: v3.0\nkey: shop\ntype: javascript\nenabled: true\n";

/// Three providers and a call, under a script rule with this head and script.
fn case(compat: &str, head: &str, script: &str) -> String {
    let text: String = script.lines().map(|line| format!("        {line}\n")).collect();
    let head: String =
        format!("{RULE}{head}").lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "compat: {compat}
scripts: true
rules:
  - key: shop.script-router
    text: |
{head}      script: |
{text}endpoints:
  - dubbo://10.0.0.1:20880/lab.EchoService?application=shop&region=hz&weight=50&group=g
  - dubbo://10.0.0.2:20880/lab.EchoService?application=shop&region=bj&group=g
  - dubbo://10.0.0.3:20881/any?interface=lab.EchoService&application=shop&version=1.0.0&group=g
call:
  service: lab.EchoService
  method: sayHello
  group: '*'
  version: '*'
  parameter_types: [java.lang.String, int]
  arguments: [tom, 42, {{a: 1}}]
  attachments: {{user: u7}}
  consumer: {{address: 10.0.0.9, application: web}}
"
    )
}

fn explain(compat: &str, head: &str, script: &str) -> Explanation {
    explain_case("case", &case(compat, head, script)).unwrap_or_else(|found| panic!("{found:?}"))
}

/// Which of A, B and C are left, and what the rule's step says.
fn left(compat: &str, head: &str, script: &str) -> (String, String) {
    let explanation = explain(compat, head, script);
    let name = |address: &String| match address.as_str() {
        "10.0.0.1:20880" => 'A',
        "10.0.0.2:20880" => 'B',
        _ => 'C',
    };
    let note = explanation.steps.first().map(|step| step.note.clone());
    let note = note.unwrap_or_else(|| format!("{:?}", explanation.findings));
    (explanation.endpoints.iter().map(name).collect(), note)
}

/// The endpoints for which an expression over `invoker` and `url` holds.
fn those(expression: &str) -> String {
    let script = format!(
        "(function route(invokers, invocation, context) {{
  var result = new java.util.ArrayList(invokers.size());
  for (i = 0; i < invokers.size(); i++) {{
    var invoker = invokers.get(i), url = invoker.getUrl();
    if ({expression}) result.add(invoker);
  }}
  return result;
}}(invokers, invocation, context));"
    );
    let both: Vec<_> =
        ["java", "documented"].map(|compat| left(compat, "force: true", &script)).into();
    assert_eq!(both[0], both[1], "{expression}");
    assert!(both[0].1.starts_with("applies"), "{expression}: {}", both[0].1);
    both[0].0.clone()
}

#[test]
fn what_dubbo_scripts_ask_is_answered() {
    for (expression, expected) in [
        ("\"10.0.0.2\".equals(url.getHost())", "B"),
        ("url.getPort() == 20881", "C"),
        ("url.getAddress() === '10.0.0.1:20880'", "A"),
        ("url.getIp() == '10.0.0.3'", "C"),
        ("url.getProtocol().equalsIgnoreCase('DUBBO')", "ABC"),
        ("url.getPath() == 'any'", "C"),
        ("url.getServiceInterface() == 'lab.EchoService'", "ABC"),
        ("url.getGroup() == 'g' && url.getVersion() == '1.0.0'", "C"),
        ("url.getVersion() === null", "AB"),
        ("url.getParameter('region') == 'hz'", "A"),
        ("url.getParameter('region') == null", "C"),
        ("url.getParameter('region', 'bj') == 'bj'", "BC"),
        ("url.getParameter('weight', 100) < 100", "A"),
        ("url.getParameter('weight', true)", "BC"),
        ("url.getMethodParameter('sayHello', 'weight', 7) == 7", "BC"),
        ("url.hasParameter('region')", "AB"),
        ("url.getApplication() == 'shop' && url.getRemoteApplication() == 'shop'", "ABC"),
        ("invoker.url.host.startsWith('10.0.0.1')", "A"),
        ("invoker.getInterface().getName() == 'lab.EchoService' && invoker.isAvailable()", "ABC"),
        ("invoker.interface.simpleName == 'EchoService'", "ABC"),
        ("invocation.getMethodName().startsWith('say') && i == 1", "B"),
        ("invocation.methodName === 'sayHello'", "ABC"),
        ("invocation.getArguments().length == 3 && invocation.getArguments()[0] == 'tom'", "ABC"),
        ("invocation.arguments[1] > 41", "ABC"),
        ("invocation.arguments[2].getClass().getName() == 'java.util.Map'", "ABC"),
        ("invocation.getParameterTypes()[0].getName() == 'java.lang.String'", "ABC"),
        ("invocation.getParameterTypes()[1].getSimpleName() == 'int'", "ABC"),
        ("invocation.getAttachment('user') == 'u7'", "ABC"),
        ("invocation.getAttachment('nope') === null", "ABC"),
        ("invocation.getAttachment('nope', 'x') == 'x'", "ABC"),
        ("invocation.getAttachments().get('user').contains('7')", "ABC"),
        ("invocation.getServiceName() == 'lab.EchoService'", "ABC"),
        ("invocation.getTargetServiceUniqueName() == '*/lab.EchoService:*'", "ABC"),
        ("context.getAttachment('user').matches('u[0-9]')", "ABC"),
        ("'a'.compareTo('b') < 0 && 'ab'.hashCode() == 3105 && !'a'.isEmpty()", "ABC"),
        ("invokers.indexOf(invoker) == 2 && invokers.contains(invoker)", "C"),
        ("invokers[i] === invoker && invokers.length == 3 && !invokers.isEmpty()", "ABC"),
        ("false", ""),
    ] {
        assert_eq!(those(expression), expected, "{expression}");
    }
}

#[test]
fn lists_are_javas() {
    for (body, expected) in [
        ("invokers.remove(0); return invokers", "BC"),
        ("invokers.remove(invokers.get(1)); return invokers", "AC"),
        (
            "var l = new java.util.ArrayList(invokers); l.clear(); l.add(invokers.get(2)); return l",
            "C",
        ),
        ("var l = new java.util.LinkedList(); l.addAll(invokers.subList(0, 2)); return l", "AB"),
        (
            "var L = Java.type('java.util.ArrayList'); var l = new L(); l.add(0, invokers.get(1)); return l",
            "B",
        ),
        ("invokers.removeIf(function (i) { return i.url.port == 20880 }); return invokers", "C"),
        (
            "var l = new java.util.ArrayList(); invokers.forEach(function (i) { l.add(i) }); l.set(0, l.get(1)); return l",
            "BC",
        ),
        (
            "var l = new java.util.ArrayList(); for (var it = invokers.iterator(); it.hasNext();) { var n = it.next(); if (n.url.port != 20881) l.add(n) } return l",
            "AB",
        ),
        ("return Java.to([invokers.get(0)])", "A"),
        ("return invokers.toArray()", "ABC"),
        (
            "var l = new java.util.ArrayList(); l.add(invokers.get(0)); l.add('x'); l.add(null); return l",
            "A",
        ),
        (
            "var l = new java.util.ArrayList(invokers); l.retainAll(invokers.subList(1, 3)); l.removeAll(invokers.subList(2, 3)); return l",
            "B",
        ),
        ("try { invokers.get(9) } catch (e) { return invokers.subList(0, 1) }", "A"),
    ] {
        let script = format!("(function (invokers) {{ {body} }}(invokers))");
        for compat in ["java", "documented"] {
            let (found, note) = left(compat, "", &script);
            assert_eq!((found.as_str(), note.as_str()), (expected, "applies"), "{compat}: {body}");
        }
    }
}

#[test]
fn statements_have_the_value_of_the_last_one() {
    let script = "function route(invokers) { return invokers.subList(0, 1); }\nroute(invokers);\n";
    assert_eq!(left("java", "", script).0, "A");
    let script = "var list = new java.util.ArrayList();\nlist.add(invokers.get(2));\nlist";
    assert_eq!(left("java", "", script).0, "C");
    let script = "let kept = invokers.filter((one) => one.url.port === 20881);\nkept";
    assert_eq!(left("documented", "", script).0, "C");
}

#[test]
fn what_java_does_not_take_is_told_apart() {
    for (script, java, documented) in [
        // A JavaScript array is no list of Java's.
        ("[invokers.get(0)]", "", "A"),
        ("invokers.slice(0, 1)", "ABC", "A"),
        ("null", "", "ABC"),
        ("undefined", "", "ABC"),
        ("'x'", "", "ABC"),
        ("invokers.get(0)", "", "ABC"),
        ("invokers.get(7)", "", "ABC"),
        ("invokers.get(0).getUrl().getParameter('region', 5)", "", "ABC"),
        ("new java.util.ArrayList(-1)", "", "ABC"),
        // What JavaScript itself throws is caught.
        ("nope", "ABC", "ABC"),
        ("(function () { throw 'x' })()", "ABC", "ABC"),
        ("invokers.get(0).nope()", "ABC", "ABC"),
        ("new java.util.HashMap()", "ABC", "ABC"),
        // Force is not asked for.
        ("new java.util.ArrayList()", "", "ABC"),
    ] {
        assert_eq!(left("java", "", script).0, java, "java: {script}");
        assert_eq!(left("documented", "", script).0, documented, "documented: {script}");
    }
    assert_eq!(left("documented", "force: true", "new java.util.ArrayList()").0, "");
}

#[test]
fn failures_say_where_and_why() {
    let note = |script: &str| left("documented", "", script).1;
    assert_eq!(note("nope"), "the script fails in its line 1: nope is not defined; left out");
    assert_eq!(
        note("(function () {\n  var x = null;\n  return x.y;\n}())"),
        "the script fails in its line 3: cannot read property 'y' of null; left out"
    );
    assert_eq!(
        note("var x = 1;\nthrow new Error('no ' + x);"),
        "the script fails in its line 2: no 1; left out"
    );
    assert_eq!(note("throw 'thrown'"), "the script fails: thrown; left out");
    assert_eq!(
        note("null"),
        "the script fails: java.lang.NullPointerException: the script returns null; left out"
    );
    let (found, note) = left("java", "", "invokers.get(7)");
    assert_eq!(found, "");
    assert_eq!(
        note,
        "the script fails in its line 1: java.lang.IndexOutOfBoundsException: index 7 of 3; \
         Java does not catch that"
    );
    let explanation = explain("java", "", "null");
    assert!(explanation.detail.unwrap().contains("Java does not catch that"));
}

#[test]
fn limits_end_what_would_not_end() {
    for script in hostile::SCRIPTS {
        let (found, note) = left("documented", "", script);
        assert_eq!(found, "ABC", "{script}: {note}");
        assert!(note.ends_with("; left out"), "{script}: {note}");
        // Where only a limit can end it, one did; else what it asks for is refused.
        let is_endless = script.contains("for (;;)") || script.contains("; i++)");
        let by_limit = note.starts_with("the script takes more than ");
        let is_too_long = note.contains("string too long");
        assert!(by_limit || is_too_long || !is_endless, "{script}: {note}");
        assert!(by_limit || note.starts_with("the script fails"), "{script}: {note}");
    }
    let note = |script: &str| left("documented", "", script).1;
    assert_eq!(note("for (;;) {}"), "the script takes more than 1000000 steps; left out");
    assert_eq!(
        note("(function () { var a = []; for (;;) a[a.length] = {} }())"),
        "the script takes more than 8192 KiB of memory, or 256 KiB at once; left out"
    );
    let deep = note("(function f() { return f() + 1 }())");
    assert!(deep.contains("call stack size exceeded"), "{deep}");
    let (found, _) = left("java", "", "(function f() { return f() + 1 }())");
    assert_eq!(found, "", "in Java an overflow of the stack goes through");
}

#[test]
fn nothing_of_the_machine_can_be_reached() {
    for name in [
        "Date",
        "Math.random",
        "eval",
        "Function",
        "require",
        "process",
        "console",
        "setTimeout",
        "fetch",
        "XMLHttpRequest",
        "load",
        "quit",
        "Proxy",
        "Reflect",
        "Promise",
        "WeakRef",
        "SharedArrayBuffer",
        "ArrayBuffer",
        "BigInt",
        "performance",
        "os",
        "std",
        "scriptArgs",
        "navigator",
        "queueMicrotask",
        "Packages",
        "java.lang",
        "java.io",
        "(function () {}).constructor",
        "(function* () {}).constructor",
        "(async function () {}).constructor",
        "invokers.constructor.constructor",
    ] {
        let script = format!("(typeof ({name}) == 'undefined') ? invokers : null");
        let (found, note) = left("java", "", &script);
        let is_gone = note == "applies" || note.contains("is not defined");
        assert!(found == "ABC" && is_gone, "{name}: {note}");
    }
    let script = "import('os').then(function () {}); invokers";
    let (found, note) = left("java", "", script);
    assert_eq!(found, "ABC", "{note}");
}

#[test]
fn a_script_that_is_not_right_is_refused_with_its_place() {
    let found = |head: &str, script: &str| {
        let explanation = explain("documented", head, script);
        let errors =
            explanation.findings.into_iter().filter(|f| f.severity == governance::Severity::Error);
        errors
            .map(|f| format!("{}:{} {} {}", f.line, f.column, f.code, f.message))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found("", "var a = 1;\n  var b = ;\ninvokers"),
        ["7:13 script-syntax the script cannot be run: unexpected token in expression: ';'"]
    );
    let text = found("", "a(\n");
    assert_eq!(text.len(), 1, "{text:?}");
    assert!(text[0].contains("script-syntax"), "{text:?}");
    let text = found("", "return invokers");
    assert!(text[0].starts_with("6:3 script-syntax"), "{text:?}");
    let text = found("", "var big = 10n;\ninvokers");
    assert!(text[0].starts_with("6:13 script-syntax"), "{text:?}");
    let quoted = "rules: [{key: shop.script-router, text: \"script: 'a b'\"}]\nscripts: true\n\
                  call: {service: a, method: b}\n";
    let explanation = explain_case("case", quoted).unwrap();
    let message = &explanation.findings[0].message;
    assert!(message.ends_with(", in its line 1, column 3"), "{message}");
}

#[test]
fn heads_are_checked() {
    let codes = |text: &str, scripts: bool| {
        let text = serde_json::to_string(text).unwrap();
        let case = format!(
            "rules: [{{key: shop.script-router, text: {text}}}]\nscripts: {scripts}\n\
             call: {{service: a, method: b}}\n"
        );
        let findings = explain_case("case", &case).unwrap().findings;
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(codes("script: invokers", true), [""; 0]);
    assert_eq!(codes("script: invokers", false), ["script-not-run"]);
    assert_eq!(codes("type: groovy\nscript: invokers", true), ["script-type"]);
    assert_eq!(codes("type: JavaScript\nscript: invokers", true), [""; 0]);
    assert_eq!(codes("type: javascript", true), ["missing-key"]);
    assert_eq!(codes("configVersion: v3.1\nscript: invokers", true), ["unknown-version"]);
    assert_eq!(codes("force: false\nscript: invokers", true), ["script-force"]);
    assert_eq!(codes("scrip: invokers", true), ["missing-key", "unknown-key"]);
    assert_eq!(codes("script: 5", true), ["not-a-text"]);
    assert_eq!(codes("script: \"const a = 1; invokers\"", true), ["script-not-portable"]);
    assert_eq!(
        codes("script: \"invokers.get(0).getUrl().getHost(); invokers\"", true),
        [""; 0],
        "what only Go reads otherwise is a note"
    );
}
