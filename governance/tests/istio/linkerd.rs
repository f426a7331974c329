//! Linkerd's ServiceProfile (`linkerd.io/v1alpha2`).

use super::http;
use super::sample::{answer, codes, decide, order, shares};

/// A profile of the service.
fn profile(spec: &str) -> String {
    format!(
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\n\
         metadata: {{name: lab.Echo, namespace: prod}}\nspec: {{{spec}}}\n"
    )
}

#[test]
fn the_first_route_whose_condition_is_met_counts() {
    let get = http("method: GET, path: '/books/7?x=1'");
    let get = get.as_str();
    // The field, the condition, the call, and whether it is met.
    let rows: [(&str, &str, &str, bool); 12] = [
        // All of the path must match.
        ("pathRegex", "pathRegex: '/books/\\d+'", get, true),
        ("pathRegex", "pathRegex: '/books'", get, false),
        ("pathRegex", "pathRegex: '/lab\\.Echo/.*'", "", true),
        ("method", "method: GET", get, true),
        ("method", "method: POST", get, false),
        ("method", "method: say", "", true),
        // Several things in one condition must all hold.
        ("pathRegex, method", "pathRegex: '/books/.*', method: PUT", get, false),
        ("all", "all: [{method: GET}, {pathRegex: '/books.*'}]", get, true),
        ("all", "all: [{method: GET}, {pathRegex: '/other'}]", get, false),
        ("any", "any: [{method: PUT}, {method: GET}]", get, true),
        ("any", "any: [{method: PUT}, {method: POST}]", get, false),
        ("not", "not: {method: PUT}", get, true),
    ];
    for (field, condition, call, met) in rows {
        let rules = profile(&format!(
            "routes: [{{name: r, condition: {{{condition}}}, timeout: 3s}}, \
             {{name: s, condition: {{pathRegex: '.*'}}, timeout: 4s}}]"
        ));
        let expected = if met { 3000 } else { 4000 };
        assert_eq!(decide(&rules, call, "").timeout_ms, expected, "{field}: {condition}");
    }
    // A call that no route is about is made as any other.
    let none = profile("routes: [{name: r, condition: {method: x}, timeout: 3s}]");
    let explained = decide(&none, "", "");
    assert_eq!((explained.timeout_ms, explained.endpoints.len()), (1000, 4));
    assert_eq!(explained.steps.len(), 2);
}

#[test]
fn what_a_profile_orders() {
    // The field, the route, and a part of the answer.
    let rows = [
        (
            "isRetryable",
            "isRetryable: true",
            "directives.retry.on",
            r#"["failure","connect-failure"]"#,
        ),
        // The budget alone limits them.
        ("isRetryable", "isRetryable: true", "retries", "4294967295"),
        ("isRetryable", "isRetryable: false", "directives.retry", "-"),
        ("timeout", "timeout: 250ms", "timeout_ms", "250"),
        (
            "responseClasses",
            "responseClasses: [{condition: {status: {min: 500}}, isFailure: true}, \
             {condition: {not: {all: [{status: {max: 403}}]}}}]",
            "directives.response_classes",
            r#"[{"condition":{"status":[500,599]},"is_failure":true},{"condition":{"not":{"all":[{"status":[100,403]}]}},"is_failure":false}]"#,
        ),
        (
            "retryBudget",
            "timeout: 1s",
            "policy.retry_budget",
            r#"{"interval":10000,"min_per_second":10,"percent":20.0}"#,
        ),
    ];
    for (field, route, part, expected) in rows {
        let rules = profile(&format!(
            "retryBudget: {{retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s}}, \
             routes: [{{condition: {{pathRegex: '.*'}}, {route}}}]"
        ));
        assert_eq!(order(&decide(&rules, "", ""), part), expected, "{field}: {route}");
    }
}

#[test]
fn overrides_split_all_calls() {
    let rules = profile(
        "dstOverrides: [{authority: 'shop.prod.svc.cluster.local:20880', weight: 900m}, \
         {authority: cart.prod, weight: 100m}], \
         routes: [{condition: {method: x}, timeout: 1s}]",
    );
    for call in ["", "method: x"] {
        assert_eq!(shares(&rules, call), [("1 2".to_owned(), 900), ("4".to_owned(), 100)]);
    }
    let whole = "dstOverrides: [{authority: shop, weight: '1'}, {authority: cart, weight: 500m}]";
    assert_eq!(shares(&profile(whole), ""), [("1 2 3".to_owned(), 667), ("4".to_owned(), 333)]);
}

#[test]
fn a_profile_is_about_a_service_or_an_application() {
    let of = |name: &str| {
        profile("routes: [{condition: {pathRegex: '.*'}, timeout: 3s}]").replace("lab.Echo", name)
    };
    for (name, timeout) in
        [("lab.Echo", 3000), ("shop.prod.svc.cluster.local", 3000), ("web", 1000)]
    {
        assert_eq!(decide(&of(name), "", "").timeout_ms, timeout, "{name}");
    }
    // A VirtualService goes before a profile of the same service.
    let both = of("lab.Echo")
        + "---\n"
        + &super::sample::virtual_service("{route: [{destination: {host: cart}}]}");
    assert_eq!(answer(&both, ""), "4");
    assert_eq!(codes(&both), ["shadowed-host"]);
}

#[test]
fn what_is_not_honoured_or_makes_no_sense_is_found() {
    let rows = [
        ("opaquePorts: ['3306']", "opaque-ports-not-honoured"),
        ("routes: [{name: r}]", "missing-key"),
        ("routes: [{condition: {}}]", "missing-key"),
        ("routes: [{condition: {pathRegex: '('}}]", "bad-regex"),
        ("routes: [{condition: {method: GET}, timeout: 5}]", "bad-duration"),
        ("retryBudget: {retryRatio: 0.2}", "missing-key"),
        ("dstOverrides: [{authority: '*', weight: '1'}]", "bad-host"),
        ("dstOverrides: [{authority: a, weight: 1k}]", "wrong-type"),
    ];
    for (spec, code) in rows {
        assert!(
            codes(&profile(spec)).iter().any(|found| found == code),
            "{spec}: {:?}",
            codes(&profile(spec))
        );
    }
}
