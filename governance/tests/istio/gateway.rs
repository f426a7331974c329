//! Gateway API's HTTPRoute and GRPCRoute (`gateway.networking.k8s.io/v1`) for
//! services of the mesh.

use super::http;
use super::sample::{answer, brief, codes, decide, order, shares};

/// A route of this kind and name for the service, with these rules.
fn named(kind: &str, name: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{{name}}}\n\
         spec: {{parentRefs: [{{kind: Service, group: '', name: lab.Echo}}], rules: [{rules}]}}\n"
    )
}

fn http_route(rules: &str) -> String {
    named("HTTPRoute", "name: echo", rules)
}

fn grpc_route(rules: &str) -> String {
    named("GRPCRoute", "name: echo", rules)
}

const SHOP: &str = "backendRefs: [{name: shop}]";
const CART: &str = "backendRefs: [{name: cart}]";

#[test]
fn matches_of_an_http_route() {
    let get = http("method: GET, authority: h, path: '/a/b?q=1'");
    let get = get.as_str();
    // The field, the match, the call, and whether it is met.
    let rows: [(&str, &str, &str, bool); 22] = [
        ("path: Exact", "path: {type: Exact, value: /a/b}", get, true),
        ("path: Exact", "path: {type: Exact, value: /a/b/}", get, false),
        // Prefixes are of whole elements.
        ("path: PathPrefix", "path: {type: PathPrefix, value: /a}", get, true),
        ("path: PathPrefix", "path: {value: /a/}", get, true),
        ("path: PathPrefix", "path: {value: /a/b}", get, true),
        ("path: PathPrefix", "path: {value: /a/}", "http: {path: /ab}", false),
        ("path: PathPrefix", "path: {value: /}", get, true),
        ("path: RegularExpression", "path: {type: RegularExpression, value: '/a/.'}", get, true),
        ("path: RegularExpression", "path: {type: RegularExpression, value: '/a'}", get, false),
        ("path", "path: {value: /lab.Echo}", "", true),
        ("method", "method: GET", get, true),
        ("method", "method: POST", get, false),
        ("method", "method: say", "", true),
        ("headers: Exact", "headers: [{name: User, value: a}]", "attachments: {User: a}", true),
        ("headers: Exact", "headers: [{name: user, value: a}]", "attachments: {User: a}", false),
        (
            "headers: Exact",
            "headers: [{name: user, value: a}]",
            "http: {}, attachments: {User: a}",
            true,
        ),
        (
            "headers: RegularExpression",
            "headers: [{type: RegularExpression, name: u, value: 'a+'}]",
            "attachments: {u: aa}",
            true,
        ),
        ("headers", "headers: [{name: u, value: a}]", "", false),
        ("queryParams", "queryParams: [{name: q, value: '1'}]", get, true),
        ("queryParams", "queryParams: [{name: q, value: '2'}]", get, false),
        // All parts of one match must hold.
        ("matches", "method: GET, queryParams: [{name: r, value: '1'}]", get, false),
        ("matches", "", "", true),
    ];
    for (field, wanted, call, met) in rows {
        let rules = http_route(&format!("{{matches: [{{{wanted}}}], {SHOP}}}"));
        let expected = if met { "1 2 3" } else { "no_endpoint 404" };
        assert_eq!(answer(&rules, call), expected, "{field}: {wanted} of {call:?}");
    }
}

#[test]
fn matches_of_a_grpc_route() {
    let grpc = "http: {}, attachments: {user: a}";
    // The field, the match, the call, and whether it is met.
    let rows: [(&str, &str, &str, bool); 11] = [
        ("method.service", "method: {service: lab.Echo}", grpc, true),
        ("method.service", "method: {service: lab}", grpc, false),
        ("method.method", "method: {method: say}", grpc, true),
        ("method.method", "method: {service: lab.Echo, method: other}", grpc, false),
        (
            "method.type",
            "method: {type: RegularExpression, service: 'lab\\..*', method: 's.*'}",
            grpc,
            true,
        ),
        ("method.type", "method: {type: RegularExpression, service: 'lab'}", grpc, false),
        ("headers", "headers: [{name: user, value: a}]", grpc, true),
        ("headers", "headers: [{name: user, value: b}]", grpc, false),
        // Any other RPC has services and methods, too.
        ("method", "method: {service: lab.Echo, method: say}", "", true),
        // A request that is no gRPC's has its path.
        ("method", "method: {method: say}", "http: {path: /say}", false),
        ("matches", "", grpc, true),
    ];
    for (field, wanted, call, met) in rows {
        let rules = grpc_route(&format!("{{matches: [{{{wanted}}}], {SHOP}}}"));
        let expected = if met { "1 2 3" } else { "no_endpoint 404" };
        assert_eq!(answer(&rules, call), expected, "{field}: {wanted} of {call:?}");
    }
}

/// The specification's order, whatever the order in the document.
#[test]
fn what_says_more_goes_first() {
    let call = "http: {method: GET, path: '/a/b?q=1&r=2'}, attachments: {u: a, v: b}";
    // Why, the match that must win, and the one that loses.
    let rows = [
        ("exact path", "path: {type: Exact, value: /a/b}", "path: {value: /a/b}, method: GET"),
        ("longest prefix", "path: {value: /a/b}", "path: {value: /a}, method: GET"),
        (
            "method",
            "path: {value: /a}, method: GET",
            "path: {value: /a}, headers: [{name: u, value: a}]",
        ),
        (
            "most headers",
            "headers: [{name: u, value: a}, {name: v, value: b}]",
            "headers: [{name: u, value: a}], queryParams: [{name: q, value: '1'}, {name: r, value: '2'}]",
        ),
        (
            "most parameters",
            "queryParams: [{name: q, value: '1'}, {name: r, value: '2'}]",
            "queryParams: [{name: q, value: '1'}]",
        ),
    ];
    for (why, wins, loses) in rows {
        let (one, two) = (
            format!("{{matches: [{{{wins}}}], {CART}}}"),
            format!("{{matches: [{{{loses}}}], {SHOP}}}"),
        );
        for rules in [format!("{one}, {two}"), format!("{two}, {one}")] {
            assert_eq!(answer(&http_route(&rules), call), "4", "{why}: {rules}");
        }
        // Among the matches of one rule and of several routes alike.
        let routes = named("HTTPRoute", "name: a", &two) + &named("HTTPRoute", "name: b", &one);
        assert_eq!(answer(&routes, call), "4", "{why}");
    }
    // gRPC: the longer service, the longer method, the most headers.
    let rows = [
        ("service", "service: lab.Echo", "method: say"),
        ("method", "service: lab.Echo, method: say", "service: lab.Echo"),
    ];
    for (why, wins, loses) in rows {
        let rules = format!(
            "{{matches: [{{method: {{{loses}}}}}], {SHOP}}}, {{matches: [{{method: {{{wins}}}}}], {CART}}}"
        );
        assert_eq!(answer(&grpc_route(&rules), ""), "4", "{why}");
    }
}

#[test]
fn among_equals_the_oldest_then_the_first_by_name_then_by_place() {
    let (shop, cart) = (format!("{{{SHOP}}}"), format!("{{{CART}}}"));
    let route = |name: &str, rule: &str| named("HTTPRoute", name, rule);
    let made = |name: &str, time: &str| format!("name: {name}, creationTimestamp: {time}");
    let old = route(&made("z", "2024-01-01T00:00:00Z"), &cart);
    let new = route(&made("a", "'2025-01-01T00:00:00Z'"), &shop);
    assert_eq!(answer(&format!("{new}{old}"), ""), "4");
    // Of unknown age come last.
    assert_eq!(answer(&format!("{}{old}", route("name: a", &shop)), ""), "4");
    assert_eq!(answer(&format!("{}{}", route("name: b", &shop), route("name: a", &cart)), ""), "4");
    let spaces = format!(
        "{}{}",
        route("name: a, namespace: y", &shop),
        route("name: b, namespace: x", &cart)
    );
    assert_eq!(answer(&spaces, ""), "4");
    assert_eq!(answer(&http_route(&format!("{cart}, {shop}")), ""), "4");
    // A GRPCRoute goes before an HTTPRoute of the same service.
    assert_eq!(answer(&format!("{}{}", http_route(&shop), grpc_route(&cart)), ""), "4");
}

#[test]
fn backends() {
    let of = |shop: u32, cart: u32| vec![("1 2 3".to_owned(), shop), ("4".to_owned(), cart)];
    let weights = |weights: &str| shares(&http_route(&format!("{{backendRefs: [{weights}]}}")), "");
    // A weight is 1 where none is written; 0 gets nothing.
    assert_eq!(weights("{name: shop}, {name: cart, weight: 3}"), of(250, 750));
    assert_eq!(weights("{name: shop, weight: 0}, {name: cart}"), [("4".to_owned(), 1000)]);
    // 500 where no backend has a weight, or there is none at all.
    let none = [("no_endpoint 500".to_owned(), 1000)];
    assert_eq!(weights("{name: shop, weight: 0}"), none);
    assert_eq!(weights(""), none);
    assert_eq!(answer(&http_route("{backendRefs: [{name: shop, port: 20881}]}"), ""), "3");
    assert_eq!(answer(&http_route("{backendRefs: [{name: shop, namespace: x}]}"), ""), "1 2 3");
}

#[test]
fn filters_and_what_else_is_ordered() {
    // The field, the rule, and a part of the answer.
    let rows = [
        (
            "RequestHeaderModifier",
            "filters: [{type: RequestHeaderModifier, requestHeaderModifier: \
             {set: [{name: a, value: '1'}], add: [{name: b, value: '2'}], remove: [c]}}]",
            "directives.request_headers",
            r#"[{"remove":"c"},{"set":["a","1"]},{"add":["b","2"]}]"#,
        ),
        (
            "ResponseHeaderModifier",
            "filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [c]}}]",
            "directives.response_headers",
            r#"[{"remove":"c"}]"#,
        ),
        (
            "RequestMirror",
            "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: cart}}}]",
            "mirrors",
            r#"["10.0.0.4:20880"]"#,
        ),
        (
            "RequestMirror.percent",
            "filters: [{type: RequestMirror, requestMirror: {percent: 0, backendRef: {name: cart}}}]",
            "mirrors",
            "-",
        ),
        (
            "URLRewrite.path",
            "matches: [{path: {value: /lab.Echo}}], filters: [{type: URLRewrite, urlRewrite: \
             {hostname: h, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2/}}}]",
            "directives.rewrite",
            r#"{"authority":"h","path":"/lab.Echo* -> /v2*"}"#,
        ),
        (
            "URLRewrite.path",
            "filters: [{type: URLRewrite, urlRewrite: \
             {path: {type: ReplaceFullPath, replaceFullPath: /new}}}]",
            "directives.rewrite.path",
            r#""/new""#,
        ),
        ("timeouts.request", "timeouts: {request: 5s}", "timeout_ms", "5000"),
        ("timeouts.request", "timeouts: {request: 0s}", "timeout_ms", "86400000"),
        (
            "timeouts.backendRequest",
            "timeouts: {request: 5s, backendRequest: 1s}",
            "directives.retry.per_try_timeout",
            "1000",
        ),
        ("retry.attempts", "retry: {attempts: 4}", "retries", "4"),
        (
            "retry.codes",
            "retry: {codes: [503], backoff: 1s}",
            "directives.retry",
            r#"{"attempts":2,"avoid_tried":true,"backoff":1000,"on":["connect-failure","reset",{"status":503}]}"#,
        ),
    ];
    for (field, rule, part, expected) in rows {
        let explained = decide(&http_route(&format!("{{{rule}, {SHOP}}}")), "", "");
        assert_eq!(order(&explained, part), expected, "{field}: {rule}");
    }
    let redirect = http_route(
        "{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: other, \
          path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}], matches: [{path: {value: /a}}]}",
    );
    let explained = decide(&redirect, &http("authority: h, path: /a/b"), "");
    assert_eq!(brief(&explained), "answered 302");
    assert_eq!(order(&explained, "answer.headers.location"), r#""https://other/v2/b""#);
}

#[test]
fn what_is_not_honoured_is_refused() {
    let parent = |parent: &str| {
        http_route(&format!("{{{SHOP}}}"))
            .replace("kind: Service, group: '', name: lab.Echo", parent)
    };
    let rows = [
        (parent("name: gw"), "gateway-not-honoured"),
        (parent("kind: Service, name: lab.Echo, port: 80"), "section-not-honoured"),
        (http_route("{backendRefs: [{kind: Backend, name: b}]}"), "backend-not-honoured"),
        (http_route("{filters: [{type: ExtensionRef}]}"), "filter-not-honoured"),
        (grpc_route("{filters: [{type: URLRewrite}]}"), "filter-not-honoured"),
        (http_route("{sessionPersistence: {}}"), "session-persistence-not-honoured"),
        (
            http_route(
                "{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: \
                 {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}",
            ),
            "prefix-without-prefix",
        ),
        (http_route("{matches: [{path: {value: a}}]}"), "bad-path"),
        (http_route("{timeouts: {request: 1s, backendRequest: 2s}}"), "bad-duration"),
        (
            http_route("{matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]}"),
            "match-twice",
        ),
        (grpc_route("{timeouts: {request: 1s}}"), "unknown-key"),
        (grpc_route("{retry: {attempts: 1}}"), "unknown-key"),
    ];
    for (text, code) in rows {
        assert!(
            codes(&text).iter().any(|found| found == code),
            "{code} in {:?}\n{text}",
            codes(&text)
        );
    }
}
