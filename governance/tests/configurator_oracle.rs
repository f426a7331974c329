//! What was measured of Dubbo 3.3.6's configurators at interface-level discovery, a test
//! for each fact: provider A says `timeout=300` and `env=gray`, B nothing; `web` calls.
#![allow(clippy::unwrap_used)]

use governance::explain::explain_case;

/// The timeouts of A and B in milliseconds under a document.
fn timeouts(compat: &str, document: &str) -> [u64; 2] {
    let text = serde_json::to_string(document).unwrap();
    let case = format!(
        "compat: {compat}
rules: [{{key: 'lab.EchoService::.configurators', text: {text}}}]
endpoints:
  - dubbo://10.0.0.1:20880/lab.EchoService?application=shop&env=gray&timeout=300
  - dubbo://10.0.0.2:20880/lab.EchoService?application=shop
call:
  service: lab.EchoService
  method: sayHello
  consumer: {{address: 10.0.0.9, application: web}}
"
    );
    let explanation = explain_case("case", &case).unwrap_or_else(|found| panic!("{found:?}"));
    let unchanged = [300, 1000];
    let Some(effective) = explanation.effective else { return unchanged };
    ["10.0.0.1:20880", "10.0.0.2:20880"].map(|address| effective[address].timeout_ms)
}

/// A configuration that sets timeout 81, with more of its parts.
fn item(parts: &str) -> String {
    format!(
        "configVersion: v3.0\nscope: service\nkey: lab.EchoService\nconfigs:\n  \
         - {{parameters: {{timeout: 81}}{parts}}}\n"
    )
}

/// One test per fact: the document, and the timeouts of A and B in Java.
macro_rules! facts {
    ($($name:ident: $document:expr => [$a:expr, $b:expr];)*) => {
        $(
            #[test]
            fn $name() {
                assert_eq!(timeouts("java", &$document), [$a, $b]);
            }
        )*
    };
}

facts! {
    for_consumers: item(", side: consumer") => [81, 81];
    for_providers_does_nothing_to_calls: item(", side: provider") => [300, 1000];
    without_a_side_does_nothing: item("") => [300, 1000];
    type_weight_without_enabled_is_off: item(", side: consumer, type: weight") => [300, 1000];
    type_weight_enabled: item(", side: consumer, type: weight, enabled: true") => [81, 81];
    type_general_does_not_read_enabled: item(", side: consumer, type: general, enabled: false") => [81, 81];
    empty_address_never_matches: item(", side: consumer, match: {address: {}}") => [300, 1000];
    provider_address_exactly: item(", side: consumer, match: {providerAddress: {exact: '10.0.0.1:20880'}}") => [81, 1000];
    provider_address_by_cird_never_matches: item(", side: consumer, match: {providerAddress: {cird: 10.0.0.0/24}}") => [300, 1000];
    match_app_is_the_callers: item(", side: consumer, match: {app: {oneof: [{exact: web}]}}") => [81, 81];
    match_app_is_not_the_providers: item(", side: consumer, match: {app: {oneof: [{exact: shop}]}}") => [300, 1000];
    match_other_app: item(", side: consumer, match: {app: {oneof: [{exact: cart}]}}") => [300, 1000];
    match_application_means_everybody: item(", side: consumer, match: {application: {oneof: [{exact: cart}]}}") => [81, 81];
    labels_never_match_in_param: item(", side: consumer, match: {param: [{key: env, value: {exact: gray}}]}") => [300, 1000];
    absent_overrides_the_providers_own: "['absent://0.0.0.0/lab.EchoService?category=configurators&side=consumer&timeout=81']" => [81, 81];
    a_host_goes_after_any_host: "['override://10.0.0.9/lab.EchoService?category=configurators&side=consumer&timeout=82', \
        'override://0.0.0.0/lab.EchoService?category=configurators&side=consumer&timeout=81']" => [82, 82];
    the_higher_priority_goes_last: "['override://0.0.0.0/lab.EchoService?category=configurators&side=consumer&timeout=82&priority=2', \
        'override://0.0.0.0/lab.EchoService?category=configurators&side=consumer&timeout=81&priority=1']" => [82, 82];
    a_tilde_compares_with_the_callers: "['override://0.0.0.0/lab.EchoService?category=configurators&side=consumer&timeout=81&~application=web']" => [81, 81];
    no_parameters_refuse_the_whole: item(", side: consumer}\n  - {side: consumer") => [300, 1000];
}
