//! Affinity rules, as documented.
#![allow(clippy::unwrap_used)]

use governance::explain::explain_case;

fn left(compat: &str, ratio: u32, region: &str) -> Vec<String> {
    let case = format!(
        "compat: {compat}
rules:
  - key: lab.EchoService::.affinity-router
    text: |
      configVersion: v3.1
      scope: service
      key: lab.EchoService
      enabled: true
      runtime: true
      affinityAware: {{key: region, ratio: {ratio}}}
endpoints:
  - dubbo://a:1/lab.EchoService?region=hz
  - dubbo://b:1/lab.EchoService?region=bj
  - dubbo://c:1/lab.EchoService?region=bj
  - dubbo://d:1/lab.EchoService
call:
  service: lab.EchoService
  method: sayHello
  consumer: {{address: 10.0.0.9, application: web, labels: {{region: {region}}}}}
"
    );
    let explanation = explain_case("case", &case).unwrap();
    assert!(
        !explanation.findings.iter().any(|f| f.code != "affinity-inactive-in-java"),
        "{:?}",
        explanation.findings
    );
    let hosts = explanation.endpoints.iter().map(|address| address.replace(":1", ""));
    hosts.collect()
}

#[test]
fn endpoints_like_the_caller_are_kept_where_they_are_enough() {
    assert_eq!(left("documented", 20, "hz"), ["a"]);
    assert_eq!(left("documented", 25, "hz"), ["a"]);
    assert_eq!(left("documented", 26, "hz"), ["a", "b", "c", "d"]);
    assert_eq!(left("documented", 50, "bj"), ["b", "c"]);
    assert_eq!(left("documented", 0, "sh"), ["a", "b", "c", "d"], "never nobody");
    assert_eq!(left("java", 20, "hz"), ["a", "b", "c", "d"], "Java never loads it");
}
