//! Documents of resources that are made to cost time or memory.

use std::collections::BTreeMap;
use std::time::Instant;

use governance::document::MAX_FINDINGS;
use governance::{Compat, Endpoint, EndpointIds, Options, Origin, RuleSet, Service, Severity};

use super::sample::{destination_rule, virtual_service};

/// What is found in a document, by code; only errors.
fn errors(text: &str) -> BTreeMap<&'static str, usize> {
    let mut rules = RuleSet::new(Compat::Documented);
    let started = Instant::now();
    let applied = rules.apply("mesh", Some(text), Origin::Store { revision: 1 });
    // Generous, for machines that do much else; without limits it is minutes.
    assert!(started.elapsed().as_secs() < 5, "it took {:?}", started.elapsed());
    assert!(applied.findings.len() <= MAX_FINDINGS + 1);
    let mut codes = BTreeMap::new();
    for finding in applied.findings.iter().filter(|one| one.severity == Severity::Error) {
        *codes.entry(finding.code).or_default() += 1;
    }
    codes
}

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn numbers_are_limited() {
    let to = "route: [{destination: {host: shop}}]";
    let rows = [
        virtual_service(&many(1001, |_| format!("{{{to}}}"))),
        virtual_service(&format!("{{match: [{}], {to}}}", many(1001, |_| "{}".to_owned()))),
        virtual_service(&format!("{{route: [{}]}}", many(5000, |_| "{destination: {host: a}, weight: 1}".to_owned()))),
        virtual_service(&format!("{{{to}, mirrors: [{}]}}", many(5, |_| "{destination: {host: a}}".to_owned()))),
        virtual_service("").replace("hosts: [lab.Echo]", &format!("hosts: [{}]", many(257, |n| format!("h{n}")))),
        destination_rule(&format!("subsets: [{}]", many(257, |n| format!("{{name: s{n}}}")))),
        destination_rule(&format!(
            "trafficPolicy: {{portLevelSettings: [{}]}}",
            many(65, |n| format!("{{port: {{number: {}}}}}", n + 1))
        )),
        (0..1001).map(|n| format!("---\nkind: VirtualService\nmetadata: {{name: n{n}}}\nspec: {{http: [{{{to}}}]}}\n")).collect(),
        format!("kind: ServiceProfile\nmetadata: {{name: a}}\nspec: {{dstOverrides: [{}]}}", many(65, |_| "{authority: a, weight: '1'}".to_owned())),
    ];
    for text in rows {
        assert!(errors(&text).contains_key("too-many"), "{}", &text[..200]);
    }
}

#[test]
fn bombs_are_answered_in_time() {
    let to = "route: [{destination: {host: shop}}]";
    // Every alias repeats what it names.
    let mut bomb = String::from("kind: VirtualService\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        bomb += &format!("a{level}: &a{level} [{}]\n", many(10, |_| format!("*a{}", level - 1)));
    }
    assert!(errors(&bomb).contains_key("yaml-too-many-values"));
    let large = virtual_service(&format!("{{name: '{}', {to}}}", "x".repeat(10 << 20)));
    assert_eq!(errors(&large), [("yaml-too-large", 1)].into());
    let keys = virtual_service(&format!("{{{}, {to}}}", many(40_000, |n| format!("k{n}: 1"))));
    assert!(errors(&keys).contains_key("unknown-key"));
    assert!(
        errors(&virtual_service(&format!("{{{to}, {to}}}"))).contains_key("yaml-duplicate-key")
    );
    let regexes = many(300, |n| format!("{{uri: {{regex: '[a-z]{{1,50}}{n}'}}}}"));
    assert!(
        errors(&virtual_service(&format!("{{match: [{regexes}], {to}}}")))
            .contains_key("bad-regex")
    );
    let deep = format!("{}method: a{}", "not: {".repeat(70), "}".repeat(70));
    let deep = format!(
        "kind: ServiceProfile\nmetadata: {{name: a}}\nspec: {{routes: [{{condition: {{{deep}}}}}]}}"
    );
    assert_eq!(errors(&deep).len(), 1, "the parser itself stops at some depth");
}

#[test]
fn a_knot_of_delegates_is_found() {
    let one = |n: usize, to: usize| {
        format!(
            "---\nkind: VirtualService\nmetadata: {{name: n{n}}}\nspec: {{http: [{{delegate: {{name: n{to}}}}}]}}\n"
        )
    };
    let ring: String = (0..900).map(|n| one(n, (n + 1) % 900)).collect();
    assert!(errors(&ring).contains_key("nested-delegate"));
    assert_eq!(errors(&one(1, 1)), [("cyclic-delegate", 1)].into());
}

#[test]
fn wrong_types_everywhere_are_findings() {
    for wrong in ["x", "[x]", "{x: y}", "7", "[[]]", "{}", "[]", "''"] {
        for key in [
            "match",
            "route",
            "redirect",
            "directResponse",
            "delegate",
            "rewrite",
            "timeout",
            "retries",
            "fault",
            "mirror",
            "mirrors",
            "corsPolicy",
            "headers",
            "name",
        ] {
            errors(&virtual_service(&format!("{{{key}: {wrong}}}")));
        }
        for key in ["trafficPolicy", "subsets", "exportTo"] {
            errors(&destination_rule(&format!("{key}: {wrong}")));
        }
        for part in
            ["loadBalancer", "connectionPool", "outlierDetection", "tls", "portLevelSettings"]
        {
            errors(&destination_rule(&format!("trafficPolicy: {{{part}: {wrong}}}")));
        }
        for key in ["metadata", "spec", "kind", "apiVersion", "items"] {
            errors(&format!("kind: HTTPRoute\n{key}: {wrong}\n"));
        }
    }
}

#[test]
fn the_largest_rule_compiles_in_time() {
    let routes = many(950, |n| {
        format!(
            "{{match: [{{method: {{exact: m{n}}}}}], route: [{{destination: {{host: shop, subset: s{}}}, weight: 1}}, \
             {{destination: {{host: shop, port: {{number: {}}}}}, weight: 1}}]}}",
            n % 250,
            n + 1
        )
    });
    let subsets = many(250, |n| format!("{{name: s{n}, labels: {{env: e{n}}}}}"));
    let policy = "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {}}}}";
    let text =
        virtual_service(&routes) + &destination_rule(&format!("{policy}, subsets: [{subsets}]"));
    let mut rules = RuleSet::new(Compat::Documented);
    let applied = rules.apply("mesh", Some(&text), Origin::Store { revision: 1 });
    assert!(applied.is_in_force(), "{:?}", applied.findings);
    let mut ids = EndpointIds::new();
    let endpoint =
        |n: usize| format!("dubbo://10.0.{}.{}:20880/lab.Echo?application=shop", n / 256, n % 256);
    let endpoints =
        (0..1000).map(|n| Endpoint::from_url(&endpoint(n), &mut ids).unwrap()).collect();
    let started = Instant::now();
    Service::compile("lab.Echo", endpoints, &rules, &Options::default());
    assert!(started.elapsed().as_secs() < 5, "it took {:?}", started.elapsed());
}
