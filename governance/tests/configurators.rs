//! What configurators do to decisions, as documented.
#![allow(clippy::unwrap_used)]

use governance::explain::{Explanation, explain_case};

/// Two providers, one of which says `timeout=4000`, and a call from `web`.
fn decide(parameters: &str, more: &str, call: &str) -> Explanation {
    let case = format!(
        "random: 0.6
rules:
  - key: lab.EchoService::.configurators
    text: |
      configVersion: v3.0
      configs:
        - {{side: consumer, parameters: {parameters}{more}}}
endpoints:
  - dubbo://10.0.0.1:20880/lab.EchoService?application=shop&timeout=4000
  - dubbo://10.0.0.2:20880/lab.EchoService?application=shop
call:
  service: lab.EchoService
  method: sayHello
  consumer: {{address: 10.0.0.9, application: web}}
{call}"
    );
    let explanation = explain_case("case", &case).unwrap();
    let codes: Vec<&str> = explanation.findings.iter().map(|finding| finding.code).collect();
    assert!(codes.iter().all(|code| *code == "network-never-matches"), "{codes:?}");
    explanation
}

const FIRST: &str = ", match: {providerAddress: {exact: '10.0.0.1:20880'}}";
const SECOND: &str = ", match: {providerAddress: {exact: '10.0.0.2:20880'}}";

#[test]
fn an_ordered_timeout_goes_before_what_the_caller_asked_for() {
    let caller = "  timeout_ms: 50\n";
    assert_eq!(decide("{retries: 1}", "", caller).timeout_ms, 50);
    assert_eq!(decide("{timeout: 700}", "", caller).timeout_ms, 700);
    assert_eq!(decide("{timeout: 700, sayHello.timeout: 300}", "", "").timeout_ms, 300);
    let other = decide("{timeout: 700}", ", match: {app: {oneof: [{exact: other}]}}", caller);
    assert_eq!(other.timeout_ms, 50);
}

#[test]
fn weight_and_disabled_move_calls() {
    assert_eq!(decide("{timeout: 9}", "", "").picked.unwrap(), "10.0.0.2:20880");
    assert_eq!(decide("{weight: 900}", FIRST, "").picked.unwrap(), "10.0.0.1:20880");
    assert_eq!(decide("{weight: 0}", SECOND, "").picked.unwrap(), "10.0.0.1:20880");
    assert_eq!(decide("{disabled: true}", SECOND, "").endpoints, ["10.0.0.1:20880"]);
    assert_eq!(decide("{disabled: true}", "", "").fault, Some("no_endpoint"));
}

#[test]
fn failfast_is_not_tried_again() {
    let explanation = decide("{cluster: failfast, retries: 4}", "", "");
    assert_eq!(explanation.retries, 0);
    assert_eq!(explanation.effective.unwrap()["10.0.0.1:20880"].retries, 4);
    assert_eq!(decide("{retries: 4}", "", "").retries, 4);
}

#[test]
fn a_network_is_compared_with_the_address_alone() {
    let by = |network: &str| {
        let only = format!(", match: {{providerAddress: {{cird: {network}}}}}");
        decide("{disabled: true}", &only, "").endpoints
    };
    assert_eq!(by("10.0.0.2/32"), ["10.0.0.1:20880"]);
    assert_eq!(by("10.9.0.0/16"), ["10.0.0.1:20880", "10.0.0.2:20880"]);
}
