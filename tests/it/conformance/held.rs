//! Features that need peers of their own, each with the tests that hold it.

use std::collections::BTreeSet;
use std::path::Path;

/// A feature, its cells in the table's order, and the tests in `tests/it` and
/// `tests/interop` that show it.
pub struct Held {
    pub feature: &'static str,
    pub cells: [&'static str; 6],
    pub tests: &'static [&'static str],
}

pub const HELD: &[Held] = &[
    Held {
        feature: "`timeouts.call`",
        cells: ["yes", "where written", "where written", "where written", "no", "no"],
        tests: &[
            "a_call_without_a_deadline_has_the_configured_one_only_where_it_is_written",
            "deadlines_and_limits_hold",
        ],
    },
    Held {
        feature: "streams both ways, as fast as their reader",
        cells: ["no", "yes", "yes", "yes", "yes", "yes"],
        tests: &[
            "a_conversation_goes_to_and_fro",
            "a_server_that_reads_slowly_slows_its_caller_down",
            "a_caller_that_reads_slowly_slows_its_server_down_and_nobody_else",
            "one_who_reads_slowly_slows_down_the_one_who_writes",
            "a_gibibyte_each_way_passes_in_little_memory",
        ],
    },
    Held {
        feature: "trailers",
        cells: ["–", "announced ones", "yes", "yes", "yes", "–"],
        tests: &["trailers_of_a_request_arrive", "chunks_and_their_trailers_pass_as_they_come"],
    },
    Held {
        feature: "whoever breaks off breaks off everywhere",
        cells: ["no", "yes", "yes", "yes", "yes", "yes"],
        tests: &[
            "a_caller_that_cuts_its_call_cuts_it_everywhere",
            "a_server_that_cuts_a_call_is_quoted",
            "what_breaks_on_one_side_breaks_on_the_other",
            "a_side_that_breaks_is_passed_on_as_broken",
        ],
    },
    Held {
        feature: "callers of one version, servers of the other",
        cells: ["–", "yes", "yes", "no", "no", "–"],
        tests: &[
            "a_caller_of_http_1_reaches_a_server_of_http_2",
            "a_caller_of_http_2_reaches_a_server_of_http_1",
            "curl_gets_through_the_proxy_what_it_gets_directly_in_both_versions",
            "grpc_over_http_1_is_told_what_it_needs",
        ],
    },
    Held {
        feature: "upgrades (WebSocket)",
        cells: ["–", "yes", "no", "–", "–", "–"],
        tests: &[
            "a_websocket_passes_after_it_was_routed",
            "a_conversation_over_websocket_is_the_same_through_one_proxy_and_through_two",
        ],
    },
    Held {
        feature: "upgrades from HTTP/1.1 to HTTP/2 (h2c)",
        cells: ["–", "yes", "–", "–", "–", "–"],
        tests: &[
            "a_request_that_asks_for_http_2_is_answered_as_its_first_stream",
            "no_upgrade_to_http_2_reaches_an_endpoint",
            "curl_goes_on_with_http_2_where_it_asks_for_it",
        ],
    },
    Held {
        feature: "gRPC-Web, made gRPC",
        cells: ["–", "calls in", "calls in", "endpoints", "–", "–"],
        tests: &[
            "a_call_over_http_1_is_one_of_grpc",
            "text_is_read_and_written_as_it_comes",
            "who_speaks_http_1_gets_it_untouched",
            "a_browser_may_ask_first",
            "grpc_webs_own_client_calls_grpc_go_in_both_forms",
            "connects_client_calls_grpc_go_by_grpc_web_in_both_versions",
            "a_browser_that_asks_first_may_call_grpc_go",
            "connect_grpc_and_grpc_web_conform_as_they_do_without_the_mesh",
        ],
    },
    Held {
        feature: "health checks and reflection by host, and the proxy's own health",
        cells: ["–", "–", "–", "yes", "–", "–"],
        tests: &[
            "calls_about_a_server_are_for_the_service_that_the_host_names",
            "health_checks_for_no_service_are_about_the_proxy",
            "a_list_tells_of_the_proxy_and_of_every_service_that_it_knows",
            "a_watch_tells_every_change_until_the_end",
            "grpcurl_learns_through_proxies_what_it_learns_directly",
            "probes_ask_the_application_or_else_the_proxy",
        ],
    },
    Held {
        feature: "floods and ambiguous requests are refused",
        cells: ["yes", "yes", "yes", "yes", "yes", "–"],
        tests: &[
            "no_ambiguous_head_is_passed_on",
            "no_ambiguous_body_is_passed_on",
            "nginx_sees_no_ambiguous_request",
            "haproxy_sees_no_ambiguous_request",
            "node_sees_no_ambiguous_request",
            "a_caller_that_opens_and_cuts_streams_without_end_is_shut_out",
            "heads_and_frames_without_end_are_not_taken",
            "h2spec_finds_nothing_but_what_is_named",
        ],
    },
    Held {
        feature: "heartbeats of the connection's own",
        cells: ["yes", "no", "yes", "yes", "yes", "TCP's"],
        tests: &[
            "peers_that_answer_no_ping_are_let_go",
            "heartbeats_are_answered_where_they_arrive",
        ],
    },
    Held {
        feature: "redirects and direct responses that routes order",
        cells: ["as a fault", "yes", "yes", "as a status", "as a status", "closed"],
        tests: &[
            "a_route_may_redirect_or_answer_by_itself",
            "redirects_direct_responses_and_failures_are_answers_of_http",
            "failures_are_answers_of_grpc",
        ],
    },
    Held {
        feature: "`actives`, mocks and cluster modes that configurators want (see [rules](rules.md#configurators))",
        cells: ["yes", "yes", "yes", "yes", "yes", "no"],
        tests: &[
            "calls_over_the_limit_wait_for_others_to_end",
            "failover_repeats_a_failed_call_elsewhere_and_no_other",
            "forks_ask_several_and_the_first_answer_counts",
            "a_broadcast_asks_everyone_in_turn_with_the_same_body",
            "a_mock_is_json_to_plain_http_and_a_wrapper_to_triple",
            "java_gets_what_a_mock_says",
        ],
    },
    Held {
        feature: "spoken with peers that others wrote",
        cells: [
            "Java 2.7, 3.2, 3.3",
            "curl, ws",
            "curl, h2spec",
            "grpc-go, grpc-java",
            "Java 3.2, 3.3",
            "MariaDB",
        ],
        tests: &[
            "from_2_7_to_3_3",
            "from_3_2_to_3_2",
            "curl_gets_through_the_proxy_what_it_gets_directly_in_both_versions",
            "a_conversation_over_websocket_is_the_same_through_one_proxy_and_through_two",
            "h2spec_finds_nothing_but_what_is_named",
            "every_case_of_grpc_go_passes_through_one_proxy_and_through_two",
            "what_is_written_and_read_through_the_proxy_is_what_it_is_without",
        ],
    },
];

fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(path).unwrap();
            // What follows a test's attribute is its name.
            for part in source.split("test").skip(1).filter(|part| part.starts_with([']', '('])) {
                let Some((_, rest)) = part.split_once("fn ") else { continue };
                found.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
            }
        }
    }
}

#[test]
fn what_is_held_by_other_tests_is_held_by_some_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for folder in ["it", "interop"] {
        tests_in(&root.join(folder), &mut tests);
    }
    for held in HELD {
        assert!(!held.tests.is_empty(), "{}", held.feature);
        for test in held.tests {
            assert!(tests.contains(*test), "{}: there is no test {test:?}", held.feature);
        }
    }
}
