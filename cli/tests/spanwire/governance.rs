//! `spanwire rule lint` and `spanwire explain`.

use std::fs;
use std::io::Write;

use super::*;

#[test]
fn good_rules_give_no_findings() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = "configVersion: v3.0\nconditions: ['method=say* => region=$region']\n";
    let file = folder.path().join("lab.EchoService::.condition-router.yaml");
    fs::write(&file, rule).expect("a new file");
    let path = folder.path().to_str().expect("UTF-8");
    check(&["rule", "lint", path], 0, "", "");
    check(&["rule", "lint", path, "-o", "json"], 0, "[]\n", "");
}

#[test]
fn every_finding_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lab.EchoService::.condition-router.yaml");
    fs::write(
        &file,
        "configVersion: v3.0\nforce: flase\nruntme: true\nconditions: ['=> host=10.0.0.1']\n",
    )
    .expect("a new file");
    let path = file.to_str().expect("UTF-8");
    check(
        &["rule", "lint", path],
        1,
        "",
        &format!(
            "error: {path}:2:8: force must be true or false, but is \"flase\" [wrong-type]

error: {path}:3:1: unknown key \"runtme\" [unknown-key]

hint: did you mean runtime?
"
        ),
    );
    let finding = |line, column, code, message, hint| {
        format!(
            r#"{{"file":"{path}","line":{line},"column":{column},"code":"{code}","severity":"error","message":"{message}","hint":"{hint}"}}"#
        )
    };
    let first = finding(2, 8, "wrong-type", r#"force must be true or false, but is \"flase\""#, "");
    let second = finding(3, 1, "unknown-key", r#"unknown key \"runtme\""#, "did you mean runtime?");
    check(&["rule", "lint", path, "-o", "json"], 1, &format!("[{first},{second}]\n"), "");
}

#[test]
fn rules_that_are_not_there_cannot_be_checked() {
    check(
        &["rule", "lint", "no/such/folder"],
        2,
        "",
        "error: no/such/folder cannot be read: No such file or directory (os error 2)\n",
    );
}

#[test]
fn a_code_is_explained_by_its_page() {
    let page = include_str!("../../../docs/lint/weight-zero.md");
    check(&["rule", "lint", "--explain", "weight-zero"], 0, page, "");
    // The page shows what lint prints.
    let folder = tempfile::tempdir().expect("a folder");
    let file = "lab.EchoService::.condition-router.yaml";
    let (_, example) = page.split_once("condition-router\n").expect("an example");
    let (document, rest) = example.split_once("```").expect("its end");
    fs::write(folder.path().join(file), document).expect("a new file");
    let ran = ran(command(&["rule", "lint", file]).current_dir(folder.path()));
    assert!(rest.contains(&format!("```text\n{}```", ran.stderr)), "{}", ran.stderr);
}

#[test]
fn what_is_only_worth_knowing_is_told_when_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shop.tag-router.yaml");
    fs::write(&file, "configVersion: v3.0\ntags: [{name: gray, addresses: [10.0.0.1]}]\n")
        .expect("a new file");
    let path = file.to_str().expect("UTF-8");
    check(&["rule", "lint", path], 0, "", "");
    let ran = run(&["rule", "lint", "--notes", path]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.starts_with("info: ") && ran.stderr.contains("[go-literal-address]"));
}

#[test]
fn codes_like_one_that_is_not_known_are_proposed() {
    check(
        &["rule", "lint", "--explain", "zero-weight"],
        2,
        "",
        "error: no finding has the code \"zero-weight\"

hint: did you mean weight-zero, negative-weight, timeout-zero?
",
    );
    check(
        &["rule", "lint", "--explain", "colour"],
        2,
        "",
        "error: no finding has the code \"colour\"

hint: a finding ends in its code, in brackets; docs/rules.md lists all
",
    );
}

const CASE: &str = r#"
compat: java
rules:
  - {key: "lab.EchoService::.condition-router", text: "configVersion: v3.0\nforce: false\nconditions:\n  - 'method=say* => region=$region'\n"}
endpoints:
  - dubbo://10.0.0.1:20880/lab.EchoService?application=shop&region=hz
  - dubbo://10.0.0.2:20880/lab.EchoService?application=shop&region=bj
call:
  protocol: dubbo
  service: lab.EchoService
  method: sayHello
  consumer: {address: 10.0.0.9, application: web, labels: {region: hz}}
random: 0.25
"#;

/// The parts of an answer that scripts rely on.
fn essence(line: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
    let steps: Vec<String> = answer["steps"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| format!("{}:{} {}>{}", step["rule"], step["line"], step["in"], step["out"]))
        .collect();
    format!("{} {} {} {steps:?}", answer["endpoints"], answer["picked"], answer["fault"])
}

const DECIDED: &str =
    r#"["10.0.0.1:20880"] "10.0.0.1:20880" null ["\"lab.EchoService::.condition-router\":4 2>1"]"#;

#[test]
fn a_case_is_decided_and_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("case.yaml");
    fs::write(&file, CASE).expect("a new file");
    let path = file.to_str().expect("UTF-8");
    let ran = run(&["explain", "-f", path, "-o", "json"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(essence(&ran.stdout), DECIDED);
    let ran = run(&["explain", "-f", path]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    for part in ["2 -> 1", "lab.EchoService::.condition-router:4", "picked   10.0.0.1:20880"] {
        assert!(ran.stdout.contains(part), "no {part:?} in:\n{}", ran.stdout);
    }
}

/// What `explain -f -` prints, and how it ends.
fn explain(cases: &str) -> (String, Option<i32>) {
    let mut child = command(&["explain", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(cases.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    (String::from_utf8(output.stdout).expect("text"), output.status.code())
}

#[test]
fn many_cases_come_from_standard_input() {
    let nobody =
        CASE.replace("region: hz}}", "region: sh}}").replace("force: false", "force: true");
    let (stdout, status) = explain(&format!("{CASE}---\n{nobody}"));
    let lines: Vec<String> = stdout.lines().map(essence).collect();
    let none = r#"[] null "no_endpoint" ["\"lab.EchoService::.condition-router\":4 2>0"]"#;
    assert_eq!(lines, [DECIDED, none]);
    assert_eq!(status, Some(1), "one of the calls has no endpoint");
}

#[test]
fn a_case_that_cannot_be_read_takes_no_other_cases_line() {
    let (stdout, status) = explain(&format!("{CASE}---\nrules: 7\n---\n{CASE}"));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert_eq!((essence(lines[0]), essence(lines[2])), (DECIDED.to_owned(), DECIDED.to_owned()));
    assert!(lines[1].starts_with(r#"{"error":[{"#) && lines[1].contains("case 2"), "{}", lines[1]);
    assert_eq!(status, Some(2));
}
