//! Which calls a VirtualService and each of its routes are about.

use super::http;
use super::sample::{answer, brief, decide, lint, virtual_service};

#[test]
fn matches() {
    let get = http("method: GET, authority: 'shop.example:8080', path: '/a/B?x=1&y=&x=2'");
    let get = get.as_str();
    // The field, the match, the call, and whether it is met.
    let rows: [(&str, &str, &str, bool); 46] = [
        // Of RPC the path is /service/method.
        ("uri.exact", "uri: {exact: /lab.Echo/say}", "", true),
        ("uri.exact", "uri: {exact: /lab.Echo/sa}", "", false),
        ("uri.exact", "uri: {exact: /lab.Echo/SAY}", "", false),
        ("uri.prefix", "uri: {prefix: /lab.}", "", true),
        ("uri.prefix", "uri: {prefix: lab.}", "", false),
        // RE2, and all of the path must match.
        ("uri.regex", "uri: {regex: '/lab\\..+/s[a-z]y'}", "", true),
        ("uri.regex", "uri: {regex: '/lab'}", "", false),
        ("ignoreUriCase", "uri: {exact: /LAB.echo/say}, ignoreUriCase: true", "", true),
        ("ignoreUriCase", "uri: {prefix: /LAB.}, ignoreUriCase: true", "", true),
        // Without effect on regular expressions.
        ("ignoreUriCase", "uri: {regex: '/LAB.*'}, ignoreUriCase: true", "", false),
        // Of HTTP, the path without its query.
        ("uri.exact", "uri: {exact: /a/B}", get, true),
        ("uri.prefix", "uri: {prefix: /a/}", get, true),
        ("uri.prefix", "uri: {prefix: /lab.}", get, false),
        // The RPC method, where the protocol has no HTTP method.
        ("method", "method: {exact: say}", "", true),
        ("method", "method: {regex: 's.*'}", "", true),
        ("method", "method: {exact: POST}", "", false),
        ("method", "method: {exact: GET}", get, true),
        ("method", "method: {exact: say}", get, false),
        // RPC has no scheme.
        ("scheme", "scheme: {exact: http}", get, true),
        ("scheme", "scheme: {exact: https}", get, false),
        ("scheme", "scheme: {prefix: ''}", "", false),
        // The service, where the protocol has no authority.
        ("authority", "authority: {exact: lab.Echo}", "", true),
        ("authority", "authority: {prefix: shop.}", get, true),
        ("authority", "authority: {exact: shop.example}", get, false),
        // Attachments by their exact name; of HTTP in any case.
        ("headers", "headers: {userId: {exact: u7}}", "attachments: {userId: u7}", true),
        ("headers", "headers: {userid: {exact: u7}}", "attachments: {userId: u7}", false),
        ("headers", "headers: {user: {prefix: u}}", "attachments: {user: u7}", true),
        ("headers", "headers: {user: {regex: 'u[0-6]'}}", "attachments: {user: u7}", false),
        ("headers", "headers: {user: {exact: u7}}", "", false),
        // An empty match asks only whether the header is there.
        ("headers", "headers: {user: {}}", "attachments: {user: ''}", true),
        ("headers", "headers: {user: {}}", "", false),
        ("headers", "headers: {X-User: {exact: a}}", "attachments: {x-user: a}, http: {}", true),
        ("withoutHeaders", "withoutHeaders: {user: {}}", "", true),
        ("withoutHeaders", "withoutHeaders: {user: {}}", "attachments: {user: a}", false),
        ("withoutHeaders", "withoutHeaders: {user: {exact: a}}", "attachments: {user: b}", true),
        ("withoutHeaders", "withoutHeaders: {user: {exact: a}}", "", true),
        ("withoutHeaders", "withoutHeaders: {user: {exact: a}}", "attachments: {user: a}", false),
        // The first value of a parameter, as it is written.
        ("queryParams", "queryParams: {x: {exact: '1'}}", get, true),
        ("queryParams", "queryParams: {x: {exact: '2'}}", get, false),
        ("queryParams", "queryParams: {y: {}}", get, true),
        ("queryParams", "queryParams: {z: {}}", get, false),
        ("queryParams", "queryParams: {x: {}}", "", false),
        ("sourceLabels", "sourceLabels: {region: hz}", "consumer: {labels: {region: hz}}", true),
        ("sourceLabels", "sourceLabels: {region: hz}", "", false),
        // All parts of one match must hold.
        ("match", "method: {exact: say}, headers: {user: {exact: a}}", "", false),
        ("gateways", "gateways: [mesh]", "", true),
    ];
    for (field, wanted, call, met) in rows {
        let rules = virtual_service(&format!(
            "{{match: [{{{wanted}}}], route: [{{destination: {{host: cart}}}}]}},\
             {{route: [{{destination: {{host: shop}}}}]}}"
        ));
        let expected = if met { "4" } else { "1 2 3" };
        assert_eq!(answer(&rules, call), expected, "{field}: {wanted} of {call:?}");
    }
}

#[test]
fn the_first_route_that_matches_decides() {
    let cart = "route: [{destination: {host: cart}}]";
    let shop = "route: [{destination: {host: shop}}]";
    // One of several matches is enough.
    let rules = virtual_service(&format!(
        "{{match: [{{method: {{exact: a}}}}, {{method: {{exact: b}}}}], {cart}}},\
         {{match: [{{method: {{prefix: ''}}}}], {shop}}}, {{match: [{{}}], {cart}}}"
    ));
    assert_eq!(answer(&rules, "method: b"), "4");
    assert_eq!(answer(&rules, "method: c"), "1 2 3");
    // Nothing matches: Istio answers 404.
    let rules = virtual_service(&format!("{{match: [{{method: {{exact: a}}}}], {shop}}}"));
    let explained = decide(&rules, "", "");
    assert_eq!(brief(&explained), "no_endpoint 404");
    assert_eq!(explained.steps.len(), 1);
    assert_eq!(explained.steps[0].note, "does not apply: the method is \"say\"");
    assert!(explained.detail.unwrap().contains("has no route about it"));
}

#[test]
fn hosts() {
    // The field, what is in the place of the host, and whether the service is meant.
    let rows = [
        // A service by its name, an application that provides it, in Kubernetes' forms.
        ("lab.Echo", true),
        ("shop", true),
        ("cart.prod", true),
        ("shop.prod.svc", true),
        ("shop.prod.svc.cluster.local", true),
        // A wildcard prefix.
        ("'*'", true),
        ("'*.Echo'", true),
        ("'*.Other'", false),
        ("lab.Ech", false),
        ("web", false),
    ];
    for (host, is_meant) in rows {
        let rules = format!(
            "kind: VirtualService\nmetadata: {{name: echo}}\n\
             spec: {{hosts: [other, {host}], http: [{{route: [{{destination: {{host: shop}}}}]}}]}}\n"
        );
        let expected = if is_meant { "1 2 3" } else { "1 2 3 4" };
        assert_eq!(answer(&rules, ""), expected, "{host}");
    }
}

#[test]
fn the_most_specific_host_counts() {
    let one = |name: &str, host: &str, to: &str| {
        format!(
            "---\nkind: VirtualService\nmetadata: {{name: {name}}}\n\
             spec: {{hosts: ['{host}'], http: [{{route: [{{destination: {{host: {to}, port: {{number: 20880}}}}}}]}}]}}\n"
        )
    };
    let (all, suffix) = (one("a", "*", "cart"), one("b", "*.Echo", "shop"));
    assert_eq!(answer(&format!("{all}{suffix}"), ""), "1 2");
    let application = one("c", "shop", "cart");
    assert_eq!(answer(&format!("{all}{suffix}{application}"), ""), "4");
    let service = one("d", "lab.Echo", "shop");
    assert_eq!(answer(&format!("{all}{application}{suffix}{service}"), ""), "1 2");
    // Of two about one host, the first by name counts, and the other one is warned of.
    let second = one("a2", "*", "shop");
    assert_eq!(answer(&format!("{second}{all}"), ""), "4");
    assert_eq!(lint(&format!("{second}{all}")), ["2:1 shadowed-host"]);
}
