//! What was measured of Dubbo 3.3.6's `StandardMeshRuleRouter`, a test for each fact:
//! provider A with `env=gray`, B with `env=stable`, C without, and `sayHello("tom", 42)`.
#![allow(clippy::unwrap_used)]

use governance::explain::{Explanation, explain_case};

const SUBSETS: &str = "  subsets:
    - {name: gray, labels: {env: gray}}
    - {name: stable, labels: {env: stable}}
    - {name: nobody, labels: {env: nope}}
";

fn explain(compat: &str, name: &str, detail: &str, labels: &str, random: f64) -> Explanation {
    let rule = format!(
        "apiVersion: service.dubbo.apache.org/v1alpha1
kind: VirtualService
metadata: {{{name}}}
spec:
  hosts: [shop]
  dubbo:
    - services: [{{exact: lab.EchoService}}]
      routedetail:
{detail}
---
apiVersion: service.dubbo.apache.org/v1alpha1
kind: DestinationRule
metadata: {{name: shop/dr}}
spec:
  host: shop
{SUBSETS}"
    );
    let text = serde_json::to_string(&rule).unwrap();
    let case = format!(
        "compat: {compat}
random: {random}
rules: [{{key: shop.MESHAPPRULE, text: {text}}}]
endpoints:
  - dubbo://10.0.0.1:20880/lab.EchoService?application=shop&env=gray
  - dubbo://10.0.0.2:20880/lab.EchoService?application=shop&env=stable
  - dubbo://10.0.0.3:20881/lab.EchoService?application=shop
call:
  service: lab.EchoService
  method: sayHello
  parameter_types: [java.lang.String, int]
  arguments: [tom, 42]
  attachments: {{user: u7}}
  consumer: {{address: 10.0.0.9, application: web, labels: {{{labels}}}}}
"
    );
    explain_case("case", &case).unwrap_or_else(|found| panic!("{found:?}"))
}

fn letters(explanation: &Explanation) -> String {
    let name = |address: &String| match address.as_str() {
        "10.0.0.1:20880" => "A",
        "10.0.0.2:20880" => "B",
        _ => "C",
    };
    explanation.endpoints.iter().map(name).collect()
}

const NAME: &str = "name: shop/vs";

/// Where a match (`match`'s list) sends the call: A where it matches, B else.
fn matching(compat: &str, list: &str) -> String {
    let detail = format!(
        "        - match: [{list}]\n          route: [{{destination: {{host: shop, subset: gray}}}}]\n        \
         - route: [{{destination: {{host: shop, subset: stable}}}}]"
    );
    letters(&explain(compat, NAME, &detail, "", 0.0))
}

/// One test per fact: the list under `match`, and who is left in Java and as documented.
macro_rules! matches {
    ($($name:ident: $list:expr => $java:expr, $documented:expr;)*) => {
        $(
            #[test]
            fn $name() {
                assert_eq!(matching("java", $list), $java, "java");
                assert_eq!(matching("documented", $list), $documented, "documented");
            }
        )*
    };
}

matches! {
    method_name: "{method: {name_match: {exact: sayHello}}}" => "A", "A";
    other_method_name: "{method: {name_match: {exact: get}}}" => "B", "B";
    items_are_anded: "{method: {name_match: {exact: sayHello}}}, {method: {argc: 1}}" => "B", "B";
    argument_count: "{method: {argc: 2}}" => "A", "A";
    argument_types_by_full_name: "{method: {argp: [{exact: java.lang.String}, {exact: int}]}}" => "A", "A";
    argument_types_by_simple_name: "{method: {argp: [{exact: String}, {exact: int}]}}" => "A", "A";
    argument_types_of_another_number: "{method: {argp: [{exact: String}]}}" => "B", "B";
    text_argument: "{method: {args: [{index: 0, type: string, str_value: {oneof: [{prefix: t}]}}]}}" => "A", "A";
    range_has_its_start: "{method: {args: [{index: 1, num_value: {oneof: [{range: {start: 42.0, end: 43.0}}]}}]}}" => "A", "A";
    range_lacks_its_end: "{method: {args: [{index: 1, num_value: {oneof: [{range: {start: 1.0, end: 42.0}}]}}]}}" => "B", "B";
    number_by_its_rest: "{method: {args: [{index: 1, num_value: {oneof: [{exact: 0.0, mod: 2.0}]}}]}}" => "A", "A";
    missing_argument_throws: "{method: {args: [{index: 2, str_value: {oneof: [{exact: x}]}}]}}" => "", "B";
    number_of_a_text_throws: "{method: {args: [{index: 0, num_value: {oneof: [{exact: 1.0}]}}]}}" => "", "B";
    attachment: "{attachments: {dubboContext: {user: {regex: 'u[0-7]'}}}}" => "A", "A";
    missing_attachment: "{attachments: {dubboContext: {nope: {exact: x}}}}" => "B", "B";
    headers_are_not_evaluated: "{headers: {x: {exact: y}}}" => "A", "ABC";
}

#[test]
fn source_labels_are_the_callers_exactly() {
    let detail = "        - match: [{sourceLabels: {region: hz}}]
          route: [{destination: {host: shop, subset: gray}}]
        - route: [{destination: {host: shop, subset: stable}}]";
    for compat in ["java", "documented"] {
        assert_eq!(letters(&explain(compat, NAME, detail, "region: hz", 0.0)), "A");
        assert_eq!(letters(&explain(compat, NAME, detail, "region: hz2", 0.0)), "B");
    }
}

#[test]
fn an_empty_subset_falls_back() {
    let detail = "        - route: [{destination: {host: shop, subset: nobody, \
                  fallback: {destination: {host: shop, subset: stable}}}}]";
    for compat in ["java", "documented"] {
        assert_eq!(letters(&explain(compat, NAME, detail, "", 0.0)), "B");
    }
}

#[test]
fn an_empty_subset_without_fallback_leaves_all() {
    let detail = "        - route: [{destination: {host: shop, subset: nobody}}]";
    for compat in ["java", "documented"] {
        assert_eq!(letters(&explain(compat, NAME, detail, "", 0.0)), "ABC");
    }
}

#[test]
fn the_first_match_decides_even_where_it_leads_nowhere() {
    let detail = "        - route: [{destination: {host: shop, subset: nobody}}]
        - route: [{destination: {host: shop, subset: stable}}]";
    for compat in ["java", "documented"] {
        assert_eq!(letters(&explain(compat, NAME, detail, "", 0.0)), "ABC");
    }
}

#[test]
fn no_match_leaves_all() {
    let detail = "        - match: [{method: {argc: 7}}]
          route: [{destination: {host: shop, subset: gray}}]";
    for compat in ["java", "documented"] {
        assert_eq!(letters(&explain(compat, NAME, detail, "", 0.0)), "ABC");
    }
}

#[test]
fn a_name_with_a_dot_is_for_another_router() {
    let detail = "        - route: [{destination: {host: shop, subset: gray}}]";
    assert_eq!(letters(&explain("java", "name: shop.other", detail, "", 0.0)), "ABC");
}

#[test]
fn a_document_without_a_name_does_not_count() {
    let detail = "        - route: [{destination: {host: shop, subset: gray}}]";
    let explanation = explain("java", "", detail, "", 0.0);
    assert_eq!(letters(&explanation), "ABC");
    assert!(explanation.findings.iter().any(|finding| finding.code == "missing-key"));
}

#[test]
fn subsets_compare_with_the_providers_own_labels() {
    let detail = "        - route: [{destination: {host: shop, subset: gray}}]";
    for compat in ["java", "documented"] {
        assert_eq!(letters(&explain(compat, NAME, detail, "env: stable", 0.0)), "A");
    }
}

/// The share of calls that subset gray gets, in percent.
fn share(compat: &str, gray: &str, stable: &str) -> usize {
    let detail = format!(
        "        - route: [{{destination: {{host: shop, subset: gray}}{gray}}}, \
         {{destination: {{host: shop, subset: stable}}{stable}}}]"
    );
    let rolls = (0..100).map(|n| (f64::from(n) + 0.5) / 100.0);
    rolls.filter(|roll| letters(&explain(compat, NAME, &detail, "", *roll)) == "A").count()
}

#[test]
fn the_first_destination_gets_one_ticket_too_many_in_java() {
    assert_eq!(share("java", ", weight: 1", ", weight: 9"), 20);
    assert_eq!(share("documented", ", weight: 1", ", weight: 9"), 10);
}
