//! `spanwire call` against real providers: what a person sees of them.

use std::process::Command;

use harness::java::Line;
use harness::spanwire::binary;
use serde_json::{Value, json};

use crate::fixture::{provider, unique};

/// Exit status, standard output, standard error.
fn call(port: u16, service: &str, method: &str, arguments: &[&str]) -> (i32, String, String) {
    let url = format!("dubbo://127.0.0.1:{port}/{service}/{method}");
    let output = Command::new(binary())
        .args(["call", &url])
        .args(arguments)
        .args(["--timeout", "20s"])
        .output()
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

fn calls_show_what_java_answers(line: Line) {
    let mut provider = provider(line);
    let name = unique("command-line");
    let port = provider.export(&name, json!({})).expect("exported");
    let echo =
        |method: &str, arguments: &[&str]| call(port, "interop.EchoService", method, arguments);

    let node = r#"[{"name": "a", "boxed": 7, "children": [{"name": "b"}], "labels": {"x": "y"}}]"#;
    let child = json!({
        "class": "interop.Node", "name": "b", "number": 0, "boxed": null, "parent": null,
        "children": [], "labels": null,
    });
    let root = json!({
        "class": "interop.Node", "name": "a", "number": 0, "boxed": 7, "parent": null,
        "children": [child], "labels": {"x": "y"},
    });
    let cases: [(&str, &[&str], Value); 10] = [
        ("whoami", &[], json!(name)),
        ("string", &[r#"["hé😀llo"]"#], json!("hé😀llo")),
        ("longValue", &["[5]"], json!(5)),
        ("nothing", &[], json!(null)),
        ("node", &[node], root),
        ("color", &[r#"["RED"]"#], json!("RED")),
        ("overloaded", &["[1]", "--types", "int"], json!("int 1")),
        ("overloaded", &[r#"["1"]"#, "--types", "java.lang.String"], json!("string 1")),
        ("bytes", &[r#"["AQI="]"#, "--types", "byte[]"], json!("AQI=")),
        ("attachments", &[r#"["us"]"#, "-A", "user=u7"], json!("{user=u7}")),
    ];
    for (method, arguments, expected) in cases {
        let (status, stdout, stderr) = echo(method, arguments);
        let result: Value = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{line:?} {method}: {error}: {stdout}{stderr}"));
        assert_eq!((status, result, stderr.as_str()), (0, expected, ""), "{line:?} {method}");
    }

    let (status, stdout, stderr) = echo("fail", &[r#"["custom"]"#]);
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "error: interop.CustomFailure: custom failure\n", "{line:?}");
    for (service, method, hint) in [
        ("interop.EchoService", "overloaded", "name the parameters' types with --types"),
        ("interop.EchoService", "nope", "the service has no method of this name"),
        ("interop.NoService", "echo", "that is how Java answers when it has no such service"),
    ] {
        let (status, stdout, stderr) = call(port, service, method, &["[1]"]);
        assert_eq!((status, stdout.as_str()), (1, ""), "{line:?} {method}");
        assert!(stderr.contains(&format!("\n\nhint: {hint}")), "{line:?} {method}: {stderr}");
    }
}

#[test]
fn calls_show_what_java_3_3_answers() {
    calls_show_what_java_answers(Line::Dubbo33);
}

#[test]
fn calls_show_what_java_2_7_answers() {
    calls_show_what_java_answers(Line::Dubbo27);
}
