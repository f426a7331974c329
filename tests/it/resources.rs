//! Resources of Istio, as far as the forward path has a part in them: that their
//! routes, and what they order, reach the wire. What they mean is tested in
//! `governance/tests/istio`.

use std::path::Path;
use std::time::{Duration, Instant};

use proxy::server::Proxy;
use tempfile::TempDir;

use crate::counters::wait_until;
use crate::wire::*;

/// A provider in each of the subsets `stable` and `gray`, and calls that are routed
/// by these items of `http`.
fn routed(http: &str) -> ([Provider; 2], TempDir, Proxy, Wire) {
    let providers = [Provider::new(), Provider::new()];
    let mut config = outbound(&providers.each_ref().map(Provider::address));
    for (endpoint, env) in config.services[0].endpoints.iter_mut().zip(["stable", "gray"]) {
        endpoint.labels.insert("env".to_owned(), env.to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    write_rules(folder.path(), http);
    config.rules = vec![folder.path().to_owned()];
    let (proxy, caller) = start(config);
    (providers, folder, proxy, caller)
}

fn write_rules(folder: &Path, http: &str) {
    let rules = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: echo}}\n\
         spec: {{hosts: [{SERVICE}], http: [{http}]}}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: echo}}\n\
         spec: {{host: {SERVICE}, subsets: [{{name: stable, labels: {{env: stable}}}}, \
         {{name: gray, labels: {{env: gray}}}}]}}\n"
    );
    std::fs::write(folder.join("echo-mesh.yaml"), rules).unwrap();
}

fn to(subset: &str) -> String {
    format!("route: [{{destination: {{host: {SERVICE}, subset: {subset}}}}}]")
}

fn call(id: u64, user: &str) -> Vec<u8> {
    Request { attachments: vec![("user", user)], ..Request::new(id) }.bytes()
}

#[test]
fn a_route_leads_to_its_subset_with_other_attachments() {
    let ([stable, gray], folder, _proxy, mut caller) = routed(&format!(
        "{{match: [{{uri: {{prefix: /{SERVICE}/ec}}, headers: {{user: {{prefix: u}}}}}}], \
          headers: {{request: {{set: {{lane: gray-lane}}, remove: [user]}}}}, {}}}, {{{}}}",
        to("gray"),
        to("stable")
    ));
    caller.send(&call(1, "u7"));
    let mut in_gray = gray.accept();
    let seen = in_gray.expect();
    assert!(seen.text().contains("gray-lane") && !seen.text().contains("u7"), "{}", seen.text());
    in_gray.send(&seen.answer(&string("from gray")).bytes());
    assert!(caller.expect().text().contains("from gray"));

    caller.send(&call(2, "x7"));
    let mut in_stable = stable.accept();
    let seen = in_stable.expect();
    assert!(seen.text().contains("x7") && !seen.text().contains("gray-lane"), "{}", seen.text());
    in_stable.send(&seen.answer(&string("from stable")).bytes());
    assert!(caller.expect().text().contains("from stable"));

    // An edited document moves the next calls.
    write_rules(folder.path(), &format!("{{{}}}", to("gray")));
    let mut id = 2;
    wait_until("a call to the other subset", || {
        id += 1;
        caller.send(&call(id, "x7"));
        while caller.is_quiet(Duration::from_millis(2)) {
            for (one, text) in [(&mut in_gray, "from gray"), (&mut in_stable, "from stable")] {
                if !one.is_quiet(Duration::from_millis(1)) {
                    let seen = one.expect();
                    one.send(&seen.answer(&string(text)).bytes());
                }
            }
        }
        let text = caller.expect().text();
        if text.contains("from gray") { Ok(()) } else { Err(text) }
    });
}

#[test]
fn a_mirror_gets_a_copy_and_its_answer_goes_nowhere() {
    let ([stable, gray], _folder, _proxy, mut caller) =
        routed(&format!("{{mirror: {{host: {SERVICE}, subset: gray}}, {}}}", to("stable")));
    caller.send(&call(1, "u7"));
    let (mut in_stable, mut in_gray) = (stable.accept(), gray.accept());
    let copy = in_gray.expect();
    assert!(copy.text().contains("hello"));
    in_gray.send(&copy.answer(&string("from gray")).bytes());
    assert!(caller.is_quiet(Duration::from_millis(50)));
    let seen = in_stable.expect();
    in_stable.send(&seen.answer(&string("from stable")).bytes());
    assert!(caller.expect().text().contains("from stable"));
    assert!(caller.is_quiet(Duration::from_millis(50)));
}

#[test]
fn delays_and_failures_are_injected() {
    let always = "percentage: {value: 100}";
    let ([stable, gray], _folder, _proxy, mut caller) = routed(&format!(
        "{{match: [{{headers: {{user: {{exact: fails}}}}}}], \
          fault: {{delay: {{fixedDelay: 200ms, {always}}}, abort: {{httpStatus: 503, {always}}}}}, {0}}}, \
         {{match: [{{headers: {{user: {{exact: waits}}}}}}], \
          fault: {{delay: {{fixedDelay: 300ms, {always}}}}}, {0}}}, \
         {{match: [{{method: {{exact: other}}}}], {0}}}",
        to("stable")
    ));
    // Both: the failure comes after the delay.
    let started = Instant::now();
    caller.send(&call(1, "fails"));
    let text = caller.expect().text();
    assert!(text.contains("Spanwire [injected]") && text.contains("injects status 503"), "{text}");
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());

    let started = Instant::now();
    caller.send(&call(2, "waits"));
    let mut in_stable = stable.accept();
    let seen = in_stable.expect();
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    in_stable.send(&seen.answer(&string("from stable")).bytes());
    assert!(caller.expect().text().contains("from stable"));

    // No route is about it.
    caller.send(&call(3, "nobody"));
    let text = caller.expect().text();
    assert!(
        text.contains("Spanwire [no_endpoint]") && text.contains("VirtualService/echo"),
        "{text}"
    );
    assert!(gray.is_left_alone(Duration::from_millis(20)));
}
