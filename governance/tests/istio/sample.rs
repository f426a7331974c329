//! What tables about resources have in common: four endpoints, a call as YAML,
//! and answers short enough for a row.

use std::collections::BTreeMap;

use governance::explain::{Explanation, Prepared, explain_case, read_case};
use governance::{Compat, Origin, RuleSet, Severity};

/// Endpoints 1 to 4.
const ENDPOINTS: &str = "
  - dubbo://10.0.0.1:20880/lab.Echo?application=shop&env=stable
  - dubbo://10.0.0.2:20880/lab.Echo?application=shop&env=gray
  - dubbo://10.0.0.3:20881/lab.Echo?application=shop&env=gray
  - dubbo://10.0.0.4:20880/lab.Echo?application=cart&env=stable
";

/// A case: `rules` is a document of resources, `call` what stands in `call` but
/// the service and method, where it has none, `lab.Echo` and `say`.
fn case(rules: &str, call: &str, more: &str) -> String {
    let text: String = rules.lines().map(|line| format!("      {line}\n")).collect();
    let method = if call.starts_with("method:") { "" } else { "method: say, " };
    format!(
        "{more}\nrules:\n  - key: mesh\n    text: |\n{text}endpoints:{ENDPOINTS}\
         call: {{service: lab.Echo, {method}{call}}}\n"
    )
}

/// Decides a call; `more` holds further keys of the case, such as `random`.
pub(crate) fn decide(rules: &str, call: &str, more: &str) -> Explanation {
    let case = case(rules, call, more);
    let explained = explain_case("case", &case).unwrap_or_else(|found| panic!("{case}{found:?}"));
    let errors = explained.findings.iter().filter(|found| found.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{rules}\n{:?}", explained.findings);
    explained
}

/// The numbers of the endpoints that are left, or the fault and its status.
pub(crate) fn brief(explained: &Explanation) -> String {
    if let Some(fault) = explained.fault {
        let answer = explained.answer.as_ref();
        let status = match answer.map(|answer| (answer.http_status, answer.grpc_status)) {
            Some((Some(http), _)) => format!(" {http}"),
            Some((None, Some(grpc))) => format!(" grpc {grpc}"),
            _ => String::new(),
        };
        return format!("{fault}{status}");
    }
    let number = |address: &String| {
        address.trim_start_matches("10.0.0.").split(':').next().unwrap().to_owned()
    };
    explained.endpoints.iter().map(number).collect::<Vec<_>>().join(" ")
}

/// Decides a call and says in brief what came out.
pub(crate) fn answer(rules: &str, call: &str) -> String {
    brief(&decide(rules, call, ""))
}

/// A part of what the route orders, as JSON.
pub(crate) fn order(explained: &Explanation, part: &str) -> String {
    let whole = serde_json::to_value(explained).unwrap();
    let found = part.split('.').try_fold(&whole, |value, key| value.get(key));
    found.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// What is found in a document: `line:column code`.
pub(crate) fn lint(text: &str) -> Vec<String> {
    let mut rules = RuleSet::new(Compat::Documented);
    let applied = rules.apply("mesh", Some(text), Origin::Store { revision: 1 });
    applied
        .findings
        .iter()
        .map(|found| format!("{}:{} {}", found.line, found.column, found.code))
        .collect()
}

/// The codes alone.
pub(crate) fn codes(text: &str) -> Vec<String> {
    lint(text).iter().map(|found| found.split(' ').nth(1).unwrap().to_owned()).collect()
}

/// A VirtualService for the service, with these items of `http`.
pub(crate) fn virtual_service(http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: echo}}\n\
         spec: {{hosts: [lab.Echo], http: [{http}]}}\n"
    )
}

/// A DestinationRule for an application.
pub(crate) fn destination_rule(spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
         metadata: {{name: shop}}\nspec: {{host: shop, {spec}}}\n"
    )
}

/// How many of 1,000 evenly spread rolls each endpoint is left for.
pub(crate) fn shares(rules: &str, call: &str) -> Vec<(String, u32)> {
    let case = read_case("case", &case(rules, call, "")).unwrap();
    let prepared = Prepared::new(&case);
    let mut shares: BTreeMap<String, u32> = BTreeMap::new();
    for roll in 0..1000 {
        let explained = prepared.explain(&[f64::from(roll) / 1000.0]);
        *shares.entry(brief(&explained)).or_default() += 1;
    }
    shares.into_iter().collect()
}
