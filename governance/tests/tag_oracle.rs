//! The oracle table of tag rules: what Dubbo 3.3.6's `TagStateRouter` answered, for
//! providers A with the static tag gray, B without a tag, and C with `env=beta`; and what
//! was measured of a tag's addresses and match.
#![allow(clippy::unwrap_used)]

use governance::explain::explain_case;

const ENDPOINTS: &str = "
endpoints:
  - dubbo://10.0.0.1:20880/lab.EchoService?application=shop&dubbo.tag=gray
  - dubbo://10.0.0.2:20880/lab.EchoService?application=shop
  - dubbo://10.0.0.3:20881/lab.EchoService?application=shop&env=beta
";

/// Which of A, B and C are left under a rule (none if empty) for a call with a tag (none
/// if empty).
fn left(compat: &str, rule: &str, tag: &str, force: bool) -> String {
    let rules = match rule {
        "" => String::new(),
        rule => {
            let text = serde_json::to_string(rule).unwrap();
            format!("rules: [{{key: shop.tag-router, text: {text}}}]\n")
        }
    };
    let tag = match tag {
        "" => String::new(),
        tag => format!("dubbo.tag: '{tag}', "),
    };
    let case = format!(
        "compat: {compat}\n{rules}{ENDPOINTS}call:\n  service: lab.EchoService\n  method: sayHello\n  \
         attachments: {{{tag}dubbo.force.tag: '{force}'}}\n  consumer: {{address: 10.0.0.9, application: web}}\n"
    );
    let explanation = explain_case("case", &case).unwrap_or_else(|found| panic!("{found:?}"));
    let name = |address: &String| match address.as_str() {
        "10.0.0.1:20880" => "A",
        "10.0.0.2:20880" => "B",
        _ => "C",
    };
    explanation.endpoints.iter().map(name).collect()
}

const NO_RULE: &str = "";
const BETA: &str =
    "configVersion: v3.0\nforce: true\ntags:\n  - {name: beta, addresses: ['10.0.0.3:20881']}\n";
const ABSENT: &str =
    "configVersion: v3.0\nforce: false\ntags:\n  - {name: beta, addresses: ['10.9.9.9:1']}\n";

/// One test per cell of the table: rule, the call's tag, whether it forces it, and who is
/// left in Java and as documented.
macro_rules! cells {
    ($($name:ident: $rule:expr, $tag:expr, force.tag $force:expr => $expected:expr;)*) => {
        $(
            #[test]
            fn $name() {
                for compat in ["java", "documented"] {
                    assert_eq!(left(compat, $rule, $tag, $force), $expected, "{compat}");
                }
            }
        )*
    };
}

cells! {
    no_rule_no_tag: NO_RULE, "", force.tag false => "BC";
    no_rule_gray: NO_RULE, "gray", force.tag false => "A";
    no_rule_unknown_tag: NO_RULE, "nope", force.tag false => "BC";
    no_rule_no_tag_forced: NO_RULE, "", force.tag true => "BC";
    no_rule_gray_forced: NO_RULE, "gray", force.tag true => "A";
    no_rule_unknown_tag_forced: NO_RULE, "nope", force.tag true => "";
    beta_no_tag: BETA, "", force.tag false => "B";
    beta_gray: BETA, "gray", force.tag false => "A";
    beta_beta: BETA, "beta", force.tag false => "C";
    beta_unknown_tag: BETA, "nope", force.tag false => "B";
    beta_level_falls_back: BETA, "beta|x", force.tag false => "C";
    beta_no_tag_forced: BETA, "", force.tag true => "B";
    beta_gray_forced: BETA, "gray", force.tag true => "A";
    beta_beta_forced: BETA, "beta", force.tag true => "C";
    beta_unknown_tag_forced: BETA, "nope", force.tag true => "";
    beta_level_does_not_fall_back_forced: BETA, "beta|x", force.tag true => "";
    absent_beta: ABSENT, "beta", force.tag false => "BC";
    absent_unknown_tag: ABSENT, "nope", force.tag false => "BC";
    absent_beta_forced: ABSENT, "beta", force.tag true => "";
    absent_unknown_tag_forced: ABSENT, "nope", force.tag true => "";
}

/// One test per measured fact about `addresses` and `match` of the call's own tag: the
/// head and the tag's parts, and who is left in Java. `BC`: the tag counts as absent.
macro_rules! facts {
    ($($name:ident: $version:expr, $parts:expr => $java:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let version = $version;
                let rule = format!("{version}\nforce: false\ntags:\n  - {{name: t, {}}}\n", $parts);
                assert_eq!(left("java", &rule, "t", false), $java);
            }
        )*
    };
}

const V30: &str = "configVersion: v3.0";

facts! {
    match_counts_under_v3_0: V30, "match: [{key: env, value: {exact: beta}}]" => "C";
    match_is_not_read_under_v3_1: "configVersion: v3.1", "match: [{key: env, value: {exact: beta}}]" => "BC";
    match_is_not_read_under_v2_7: "configVersion: v2.7", "match: [{key: env, value: {exact: beta}}]" => "BC";
    match_is_not_read_without_version: "scope: application", "match: [{key: env, value: {exact: beta}}]" => "BC";
    neither_addresses_nor_match_drops_the_rule: V30, "x: y}, {name: u, addresses: ['10.0.0.2:20880']" => "BC";
    match_without_value_drops_the_rule: V30, "match: [{key: env}]}, {name: u, addresses: ['10.0.0.2:20880']" => "BC";
    match_of_no_text_drops_the_rule: V30, "match: [{key: env, value: {exact: 5}}]}, {name: u, addresses: ['10.0.0.2:20880']" => "BC";
    integer_name_drops_the_rule: V30, "addresses: ['10.0.0.3:20881']}, {name: 5, addresses: ['10.0.0.2:20880']" => "BC";
    empty_match_is_everyone: V30, "match: []" => "ABC";
    match_of_nobody_counts_as_no_tag: V30, "match: [{key: env, value: {exact: nope}}]" => "BC";
    match_counts_only_without_addresses: V30, "addresses: ['10.0.0.2:20880'], match: [{key: env, value: {exact: beta}}]" => "B";
    any_host_without_port_is_nobody: V30, "addresses: ['0.0.0.0']" => "BC";
    any_host_with_port: V30, "addresses: ['0.0.0.0:20880']" => "AB";
    star_is_everyone: V30, "addresses: ['*']" => "ABC";
    star_with_port: V30, "addresses: ['10.0.0.*:20880']" => "AB";
    range_of_hosts: V30, "addresses: ['10.0.0.2-3']" => "BC";
    network: V30, "addresses: ['10.0.0.0/31']" => "A";
    host_without_port: V30, "addresses: ['10.0.0.3']" => "C";
    invalid_address_is_skipped: V30, "addresses: ['10.0.0', '10.0.0.3:20881']" => "C";
}
