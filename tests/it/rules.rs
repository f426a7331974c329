//! Rules, as far as the forward path has a part in them.

use std::path::Path;

use proxy::config::Config;
use tempfile::TempDir;

use crate::counters::wait_until;
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

#[test]
fn a_rule_that_is_edited_moves_the_next_calls() {
    let ([in_bj, in_hz], folder, config) = with_rule("=> region=hz");
    in_bj.echo_forever();
    let (_proxy, mut caller) = start(config);
    caller.send(&Request::new(1).bytes());
    let mut upstream = in_hz.accept();
    let held = upstream.expect();
    write_rule(folder.path(), "=> region=bj");
    let mut id = 1;
    wait_until("a call to the other region", || {
        id += 1;
        caller.send(&Request::new(id).bytes());
        while caller.is_quiet(std::time::Duration::from_millis(2)) {
            if !upstream.is_quiet(std::time::Duration::from_millis(1)) {
                let call = upstream.expect();
                upstream.send(&call.answer(&string("from hz")).bytes());
            }
        }
        let text = caller.expect().text();
        if text.contains("pong") { Ok(()) } else { Err(text) }
    });
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
