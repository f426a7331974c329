//! What is not honoured, and what makes no sense.

use super::sample::{codes, destination_rule, lint, virtual_service};

#[test]
fn what_is_not_honoured_is_refused() {
    let route = |more: &str| {
        virtual_service(&format!("{{{more}, route: [{{destination: {{host: shop}}}}]}}"))
    };
    let matching = |one: &str| route(&format!("match: [{{{one}}}]"));
    let policy = |one: &str| destination_rule(&format!("trafficPolicy: {{{one}}}"));
    let spec = |more: &str| {
        let whole = virtual_service("{route: [{destination: {host: shop}}]}");
        whole.replace("http:", &format!("{more}, http:"))
    };
    let rows = [
        (spec("tcp: []"), "tcp-route-not-honoured"),
        (spec("tls: []"), "tls-route-not-honoured"),
        (spec("gateways: [ingress]"), "gateway-not-honoured"),
        (spec("exportTo: ['.']"), "export-not-honoured"),
        (matching("port: 80"), "port-match-not-honoured"),
        (matching("sourceNamespace: a"), "source-namespace-not-honoured"),
        (matching("statPrefix: a"), "stat-prefix-not-honoured"),
        (matching("headers: {':path': {exact: a}}"), "pseudo-header-not-honoured"),
        (matching("gateways: [ingress]"), "gateway-not-honoured"),
        (route("headers: {request: {set: {a: '%REQ(b)%'}}}"), "header-variable-not-honoured"),
        (route("headers: {request: {set: {'a(b': c}}}"), "bad-header"),
        (
            route("fault: {delay: {exponentialDelay: 1s, percentage: {value: 1}}}"),
            "exponential-delay-not-honoured",
        ),
        (
            route("fault: {abort: {http2Error: x, percentage: {value: 1}}}"),
            "http2-error-not-honoured",
        ),
        (route("fault: {abort: {httpStatus: 500, percent: 1}}"), "percent-not-honoured"),
        (route("retries: {attempts: 1, retryOn: envoy-ratelimited}"), "retry-on-not-honoured"),
        (
            route("retries: {attempts: 1, retryRemoteLocalities: true}"),
            "remote-localities-not-honoured",
        ),
        (
            virtual_service("{directResponse: {status: 200, body: {bytes: YQ==}}}"),
            "bytes-body-not-honoured",
        ),
        (destination_rule("workloadSelector: {}"), "workload-selector-not-honoured"),
        (policy("tls: {mode: ISTIO_MUTUAL}"), "tls-not-honoured"),
        (policy("tunnel: {}"), "tunnel-not-honoured"),
        (policy("proxyProtocol: {}"), "proxy-protocol-not-honoured"),
        (policy("loadBalancer: {simple: PASSTHROUGH}"), "passthrough-not-honoured"),
        (policy("loadBalancer: {localityLbSetting: {}}"), "locality-not-honoured"),
        (policy("loadBalancer: {warmupDurationSecs: 1s}"), "warmup-seconds-not-honoured"),
        (
            policy("loadBalancer: {warmup: {duration: 1s}, consistentHash: {useSourceIp: true}}"),
            "warmup-with-hash",
        ),
        (
            policy("loadBalancer: {consistentHash: {httpCookie: {name: a, attributes: []}}}"),
            "cookie-attributes-not-honoured",
        ),
        (
            policy("connectionPool: {http: {h2UpgradePolicy: UPGRADE}}"),
            "protocol-change-not-honoured",
        ),
        (policy("connectionPool: {http: {http2KeepAlive: {}}}"), "http2-keepalive-not-honoured"),
    ];
    for (text, code) in rows {
        assert_eq!(codes(&text), [code], "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_found_where_it_stands() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a/b]\n  http:\n  - match: [{uri: {exact: a, prefix: b}}]\n    timeout: 5\n    retries: {attempts: x}\n    route:\n    - destination: {host: '*', subest: b}\n    - weigth: 5\n";
    assert_eq!(
        lint(text),
        [
            "5:11 bad-host",
            "7:19 one-way-to-match",
            "8:14 bad-duration",
            "9:25 wrong-type",
            "11:20 bad-host",
            "11:32 unknown-key",
            "12:7 missing-key",
            "12:7 unknown-key",
        ]
    );
    let all = virtual_service(
        "{route: [{destination: {host: shop}}]}, {route: [{destination: {host: cart}}]}",
    );
    assert_eq!(codes(&all), ["unreachable-route"]);
    let again = virtual_service("{route: [{destination: {host: shop}}]}");
    assert_eq!(codes(&format!("{again}---\n{again}")), ["resource-twice"]);
    let version = again.replace("networking.istio.io", "example.org");
    assert_eq!(codes(&version), ["unknown-kind"]);
}
