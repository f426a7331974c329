//! What routes order or answer.

use super::sample::{brief, decide, destination_rule, order, virtual_service};
use super::{SUBSETS, http};

#[test]
fn faults() {
    // The field, the fault, the roll, and what comes out.
    let rows = [
        (
            "abort.httpStatus",
            "abort: {httpStatus: 418, percentage: {value: 100}}",
            0.9,
            "injected 418",
        ),
        (
            "abort.grpcStatus",
            "abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}",
            0.9,
            "injected grpc 14",
        ),
        (
            "abort.grpcStatus",
            "abort: {grpcStatus: '5', percentage: {value: 100}}",
            0.9,
            "injected grpc 5",
        ),
        (
            "abort.percentage",
            "abort: {httpStatus: 500, percentage: {value: 12.5}}",
            0.1249,
            "injected 500",
        ),
        ("abort.percentage", "abort: {httpStatus: 500, percentage: {value: 12.5}}", 0.125, "1 2 3"),
        ("abort.percentage", "abort: {httpStatus: 500, percentage: {value: 0}}", 0.0, "1 2 3"),
        // Without a percentage, none.
        ("abort.percentage", "abort: {httpStatus: 500}", 0.0, "1 2 3"),
    ];
    for (field, fault, roll, expected) in rows {
        let rules = virtual_service(&format!(
            "{{fault: {{{fault}}}, route: [{{destination: {{host: shop}}}}]}}"
        ));
        let explained = decide(&rules, "", &format!("random: {roll}"));
        assert_eq!(brief(&explained), expected, "{field}: {fault} at {roll}");
    }
    let delay = |share: &str, roll: f64| {
        let rules = virtual_service(&format!(
            "{{fault: {{delay: {{fixedDelay: 1s500ms{share}}}}}, route: [{{destination: {{host: shop}}}}]}}"
        ));
        decide(&rules, "", &format!("random: {roll}")).delay_ms
    };
    assert_eq!(delay(", percentage: {value: 0.1}", 0.0009), Some(1500));
    assert_eq!(delay(", percentage: {value: 0.1}", 0.001), None);
    assert_eq!(delay("", 0.0), None);
    // Both: the caller waits, then gets the failure.
    let both = virtual_service(
        "{fault: {delay: {fixedDelay: 2s, percentage: {value: 100}}, \
          abort: {httpStatus: 503, percentage: {value: 100}}}, route: [{destination: {host: shop}}]}",
    );
    let answer = decide(&both, "", "").answer.unwrap();
    assert_eq!((answer.http_status, answer.delay_ms), (Some(503), Some(2000)));
}

#[test]
fn what_a_route_orders() {
    // The field, the route, and a part of the answer.
    let rows = [
        ("timeout", "timeout: 2s500ms", "timeout_ms", "2500"),
        // 0 is no deadline at all; it counts before what others say.
        ("timeout", "timeout: 0s", "timeout_ms", "86400000"),
        ("retries.attempts", "retries: {attempts: 3}", "retries", "3"),
        ("retries.attempts", "retries: {attempts: 0}", "retries", "0"),
        (
            "retries.perTryTimeout",
            "retries: {attempts: 3, perTryTimeout: 250ms}",
            "directives.retry.per_try_timeout",
            "250",
        ),
        (
            "retries.retryOn",
            "retries: {attempts: 1}",
            "directives.retry.on",
            r#"["connect-failure","refused-stream","unavailable","cancelled"]"#,
        ),
        (
            "retries.retryOn",
            "retries: {attempts: 1, retryOn: '5xx,gateway-error,503'}",
            "directives.retry.on",
            r#"["server-error","gateway-error",{"status":503}]"#,
        ),
        (
            "retries.retryIgnorePreviousHosts",
            "retries: {attempts: 1}",
            "directives.retry.avoid_tried",
            "true",
        ),
        (
            "retries.retryIgnorePreviousHosts",
            "retries: {attempts: 1, retryIgnorePreviousHosts: false}",
            "directives.retry.avoid_tried",
            "false",
        ),
        (
            "retries.backoff",
            "retries: {attempts: 1, backoff: 100ms}",
            "directives.retry.backoff",
            "100",
        ),
        ("retries.backoff", "retries: {attempts: 1}", "directives.retry.backoff", "25"),
        (
            "headers.request",
            "headers: {request: {set: {a: '1'}, add: {b: '2'}, remove: [c]}}",
            "directives.request_headers",
            r#"[{"remove":"c"},{"set":["a","1"]},{"add":["b","2"]}]"#,
        ),
        (
            "headers.response",
            "headers: {response: {remove: [server]}}",
            "directives.response_headers",
            r#"[{"remove":"server"}]"#,
        ),
        (
            "rewrite.authority",
            "rewrite: {authority: other}",
            "directives.rewrite.authority",
            r#""other""#,
        ),
        // What was matched by prefix is replaced, and the whole path otherwise.
        (
            "rewrite.uri",
            "match: [{uri: {prefix: /lab.}}], rewrite: {uri: /v2.}",
            "directives.rewrite.path",
            r#""/lab.* -> /v2.*""#,
        ),
        (
            "rewrite.uri",
            "match: [{uri: {exact: /lab.Echo/say}}], rewrite: {uri: /new}",
            "directives.rewrite.path",
            r#""/new""#,
        ),
        (
            "rewrite.uri",
            "match: [{uri: {exact: /no}}, {uri: {prefix: /lab}}], rewrite: {uri: /new}",
            "directives.rewrite.path",
            r#""/lab* -> /new*""#,
        ),
        (
            "rewrite.uriRegexRewrite",
            "rewrite: {uriRegexRewrite: {match: '^/(.+)/(.+)$', rewrite: '/\\2/\\1'}}",
            "directives.rewrite.path",
            r#""~^/(.+)/(.+)$ -> /${2}/${1}""#,
        ),
        (
            "corsPolicy",
            "corsPolicy: {allowOrigins: [{exact: 'https://a'}, {regex: '.*b'}], allowMethods: [GET], maxAge: 1h, allowCredentials: true}",
            "directives.cors",
            r#"{"allow_credentials":true,"allow_headers":[],"allow_methods":["GET"],"allow_origins":["https://a","~^(?:.*b)$"],"expose_headers":[],"forward_unmatched":true,"max_age":3600000}"#,
        ),
        (
            "corsPolicy.unmatchedPreflights",
            "corsPolicy: {unmatchedPreflights: IGNORE}",
            "directives.cors.forward_unmatched",
            "false",
        ),
        ("mirror", "mirror: {host: cart}", "mirrors", r#"["10.0.0.4:20880"]"#),
        (
            "mirror.subset",
            "mirror: {host: shop, subset: stable}",
            "mirrors",
            r#"["10.0.0.1:20880"]"#,
        ),
        ("mirrorPercentage", "mirror: {host: cart}, mirrorPercentage: {value: 0}", "mirrors", "-"),
        (
            "mirrors",
            "mirrors: [{destination: {host: cart}}, {destination: {host: shop, port: {number: 20881}}, percentage: {value: 100}}]",
            "mirrors",
            r#"["10.0.0.4:20880","10.0.0.3:20881"]"#,
        ),
        // Who would get a copy is not there: the call goes on without.
        ("mirror", "mirror: {host: web}", "mirrors", "-"),
    ];
    for (field, route, part, expected) in rows {
        let rules =
            virtual_service(&format!("{{{route}, route: [{{destination: {{host: shop}}}}]}}"))
                + &destination_rule(SUBSETS);
        let explained = decide(&rules, "timeout_ms: 77", "");
        assert_eq!(order(&explained, part), expected, "{field}: {route}");
        assert_eq!(brief(&explained), "1 2 3", "{field}: {route}");
    }
    // Of a destination's own changes and its route's, the destination's come first.
    let rules = virtual_service(
        "{headers: {request: {set: {a: route}}}, \
          route: [{destination: {host: shop}, headers: {request: {set: {a: own}}}}]}",
    );
    assert_eq!(
        order(&decide(&rules, "", ""), "directives.request_headers"),
        r#"[{"set":["a","own"]},{"set":["a","route"]}]"#
    );
}

#[test]
fn answers_of_a_route() {
    let get = http("method: GET, authority: 'shop.example:8080', path: '/a/b?x=1'");
    // The field, the route, the call, the answer and its location or body.
    let rows = [
        (
            "redirect.uri",
            "redirect: {uri: /c}",
            &*get,
            "answered 301",
            r#""http://shop.example:8080/c?x=1""#,
        ),
        (
            "redirect.authority",
            "redirect: {authority: other}",
            &get,
            "answered 301",
            r#""http://other/a/b?x=1""#,
        ),
        (
            "redirect.scheme",
            "redirect: {scheme: https}",
            &get,
            "answered 301",
            r#""https://shop.example/a/b?x=1""#,
        ),
        (
            "redirect.port",
            "redirect: {port: 81}",
            &get,
            "answered 301",
            r#""http://shop.example:81/a/b?x=1""#,
        ),
        (
            "redirect.derivePort",
            "redirect: {scheme: https, derivePort: FROM_REQUEST_PORT}",
            &get,
            "answered 301",
            r#""https://shop.example:8080/a/b?x=1""#,
        ),
        (
            "redirect.redirectCode",
            "redirect: {redirectCode: 307}",
            &get,
            "answered 307",
            r#""http://shop.example:8080/a/b?x=1""#,
        ),
        // A protocol that cannot follow gets the fault: the route still decides.
        ("redirect", "redirect: {uri: /c}", "", "answered 301", "-"),
    ];
    for (field, route, call, expected, location) in rows {
        let explained = decide(&virtual_service(&format!("{{{route}}}")), call, "");
        assert_eq!(brief(&explained), expected, "{field}: {route}");
        assert_eq!(order(&explained, "answer.headers.location"), location, "{field}: {route}");
    }
    for (body, expected) in [("", r#""""#), (", body: {string: 'gone'}", r#""gone""#)] {
        for call in ["", &get] {
            let rules = virtual_service(&format!("{{directResponse: {{status: 410{body}}}}}"));
            let explained = decide(&rules, call, "");
            assert_eq!(brief(&explained), "answered 410");
            assert_eq!(order(&explained, "answer.body"), expected);
        }
    }
}
