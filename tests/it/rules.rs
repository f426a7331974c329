//! Rules, as far as the forward path has a part in them.

use std::path::Path;

use proxy::config::Config;
use tempfile::TempDir;

use crate::counters::{script_failures, value, wait_until};
use crate::wire::*;

/// A provider in region `bj`, one in `hz`, and a folder with one rule.
fn with_rule(condition: &str) -> ([Provider; 2], TempDir, Config) {
    let providers = [Provider::new(), Provider::new()];
    let mut config = outbound(&providers.each_ref().map(Provider::address));
    for (endpoint, region) in config.services[0].endpoints.iter_mut().zip(["bj", "hz"]) {
        endpoint.labels.insert("region".to_owned(), region.to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    write_rule(folder.path(), condition);
    config.rules = vec![folder.path().to_owned()];
    (providers, folder, config)
}

fn write_rule(folder: &Path, condition: &str) {
    let rule = format!(
        "configVersion: v3.0\nscope: service\nforce: true\nenabled: true\nkey: {SERVICE}\n\
         conditions:\n  - \"{condition}\"\n"
    );
    let file = folder.join(format!("{SERVICE}::.condition-router.yaml"));
    std::fs::write(file, rule).unwrap();
}

#[test]
fn a_rule_on_an_attachment_holds_for_generic_calls_and_behind_large_arguments() {
    let ([_, in_hz], _folder, config) = with_rule("attachments[user]=u7 => region=hz");
    let (_proxy, mut caller) = start(config);
    let large = "x".repeat(60_000);
    let mut upstream = None;
    for id in 0..30 {
        let method = ["echo", "$invoke", "$invokeAsync"][id as usize % 3];
        let argument = if id % 2 == 0 { &*large } else { "hello" };
        let attachments = vec![("generic", "true"), ("user", "u7")];
        caller.send(&Request { method, argument, attachments, ..Request::new(id) }.bytes());
        let upstream = upstream.get_or_insert_with(|| in_hz.accept());
        let call = upstream.expect();
        upstream.send(&call.answer(&string("from hz")).bytes());
        assert!(caller.expect().text().contains("from hz"));
    }
}

/// Calls, with ids from 2 on, until one goes to region `bj`, which answers by itself; those
/// that go to `hz` are answered there. The id of the last one.
fn call_until_moved(caller: &mut Wire, in_hz: &mut Wire) -> u64 {
    let mut id = 1;
    wait_until("a call to the other region", || {
        id += 1;
        caller.send(&Request::new(id).bytes());
        while caller.is_quiet(std::time::Duration::from_millis(2)) {
            if !in_hz.is_quiet(std::time::Duration::from_millis(1)) {
                let call = in_hz.expect();
                in_hz.send(&call.answer(&string("from hz")).bytes());
            }
        }
        let text = caller.expect().text();
        if text.contains("pong") { Ok(()) } else { Err(text) }
    });
    id
}

#[test]
fn a_rule_that_is_edited_moves_the_next_calls() {
    let ([in_bj, in_hz], folder, config) = with_rule("=> region=hz");
    in_bj.echo_forever();
    let (_proxy, mut caller) = start(config);
    caller.send(&Request::new(1).bytes());
    let mut upstream = in_hz.accept();
    let held = upstream.expect();
    write_rule(folder.path(), "=> region=bj");
    call_until_moved(&mut caller, &mut upstream);
    // A call from before it ends where it is.
    upstream.send(&held.answer(&string("from hz")).bytes());
    assert_eq!(caller.expect().id, 1);
}

#[test]
fn a_rule_with_a_mistake_changes_nothing() {
    let ([_, in_hz], folder, config) = with_rule("=> region=hz");
    let (_proxy, mut caller) = start(config);
    caller.send(&Request::new(0).bytes());
    let mut upstream = in_hz.accept();
    upstream.expect();
    write_rule(folder.path(), "=> => =>");
    for id in 1..50 {
        caller.send(&Request::new(id).bytes());
        upstream.expect();
        std::thread::yield_now();
    }
}

/// A script by which calls with an attachment go to `hz`, and which never ends without.
const SCRIPT: &str = "type: javascript
force: true
script: |
  (function (invokers, invocation) {
    while (invocation.getAttachment('user') !== 'u7') {}
    invokers.removeIf(function (one) { return one.getUrl().getParameter('region') !== 'hz' });
    return invokers;
  }(invokers, invocation))
";

fn with_script(scripts: bool) -> ([Provider; 2], TempDir, Config) {
    let (providers, folder, mut config) = with_rule("=> region=*");
    for endpoint in &mut config.services[0].endpoints {
        endpoint.labels.insert("application".to_owned(), "shop".to_owned());
    }
    std::fs::write(folder.path().join("shop.script-router.yaml"), SCRIPT).unwrap();
    config.scripts = scripts;
    (providers, folder, config)
}

#[test]
fn a_script_decides_and_one_that_does_not_end_is_left_out_and_counted() {
    let ([in_bj, in_hz], _folder, config) = with_script(true);
    let (proxy, mut caller) = start(config);
    let attachments = vec![("user", "u7")];
    caller.send(&Request { attachments, ..Request::new(1) }.bytes());
    let mut upstream = in_hz.accept();
    let call = upstream.expect();
    upstream.send(&call.answer(&string("from hz")).bytes());
    assert!(caller.expect().text().contains("from hz"));
    for reason in ["error", "steps", "time", "memory"] {
        assert_eq!(value(&proxy, &script_failures(reason)), 0);
    }
    // Without the script both regions answer.
    in_bj.echo_forever();
    let id = call_until_moved(&mut caller, &mut upstream);
    // Which of the two limits comes first depends on the machine.
    let counted =
        value(&proxy, &script_failures("time")) + value(&proxy, &script_failures("steps"));
    assert_eq!(counted, id as i64 - 1);
}

#[test]
fn scripts_are_not_run_unless_somebody_says_so() {
    let ([in_bj, in_hz], _folder, config) = with_script(false);
    in_bj.echo_forever();
    in_hz.echo_forever();
    let (proxy, mut caller) = start(config);
    for id in 0..20 {
        caller.send(&Request::new(id).bytes());
        assert!(caller.expect().text().contains("pong"));
    }
    for reason in ["error", "steps", "time", "memory"] {
        assert_eq!(value(&proxy, &script_failures(reason)), 0);
    }
}
