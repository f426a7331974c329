//! What DestinationRules say of the way to an endpoint.

use super::sample::{decide, destination_rule, order, virtual_service};

#[test]
fn traffic_policies() {
    // The field, the policy, and a part of the answer.
    let rows = [
        (
            "loadBalancer.simple",
            "loadBalancer: {simple: ROUND_ROBIN}",
            "policy.balance",
            r#""roundrobin""#,
        ),
        (
            "loadBalancer.simple",
            "loadBalancer: {simple: LEAST_REQUEST}",
            "policy.balance",
            r#""p2c""#,
        ),
        ("loadBalancer.simple", "loadBalancer: {simple: RANDOM}", "policy.balance", r#""random""#),
        (
            "loadBalancer.consistentHash",
            "loadBalancer: {consistentHash: {httpHeaderName: user}}",
            "policy.hash",
            r#"{"source":{"header":"user"},"table":{"ring":1024}}"#,
        ),
        (
            "consistentHash.ringHash",
            "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 64}}}",
            "policy.hash",
            r#"{"source":"source-address","table":{"ring":64}}"#,
        ),
        (
            "consistentHash.maglev",
            "loadBalancer: {consistentHash: {httpQueryParameterName: q, maglev: {tableSize: 101}}}",
            "policy.hash",
            r#"{"source":{"query-parameter":"q"},"table":{"maglev":101}}"#,
        ),
        (
            "consistentHash.httpCookie",
            "loadBalancer: {consistentHash: {httpCookie: {name: c, path: /, ttl: 0s}}}",
            "policy.hash.source",
            r#"{"cookie":{"name":"c","path":"/","ttl":0}}"#,
        ),
        (
            "loadBalancer.warmup",
            "loadBalancer: {warmup: {duration: 60s}}",
            "policy.warmup",
            r#"{"aggression":1.0,"duration":60000,"minimum_percent":10.0}"#,
        ),
        (
            "connectionPool.tcp",
            "connectionPool: {tcp: {maxConnections: 5, connectTimeout: 30ms, maxConnectionDuration: 1h, idleTimeout: 1m, tcpKeepalive: {probes: 3, time: 2h, interval: 75s}}}",
            "policy.connection_pool",
            r#"{"connect_timeout":30,"idle_timeout":60000,"keepalive":{"interval":75000,"probes":3,"time":7200000},"max_connection_duration":3600000,"max_connections":5}"#,
        ),
        (
            "connectionPool.http",
            "connectionPool: {http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRequestsPerConnection: 3, maxRetries: 0, idleTimeout: 5s, maxConcurrentStreams: 4}}",
            "policy.connection_pool",
            r#"{"idle_timeout":5000,"max_concurrent_streams":4,"max_pending_requests":1,"max_requests":2,"max_requests_per_connection":3,"max_retries":0}"#,
        ),
        (
            "outlierDetection",
            "outlierDetection: {}",
            "policy.outlier_detection",
            r#"{"base_ejection_time":30000,"consecutive_5xx":5,"consecutive_gateway_errors":0,"consecutive_local_origin_failures":5,"interval":10000,"max_ejection_percent":10,"min_health_percent":0,"split_local_origin":false}"#,
        ),
        (
            "outlierDetection",
            "outlierDetection: {consecutive5xxErrors: 7, interval: 5m, baseEjectionTime: 15m, maxEjectionPercent: 100}",
            "policy.outlier_detection.base_ejection_time",
            "900000",
        ),
        (
            "retryBudget",
            "retryBudget: {percent: 25, minRetryConcurrency: 5}",
            "policy.retry_budget",
            r#"{"min_concurrency":5,"percent":25.0}"#,
        ),
        ("tls.mode", "tls: {mode: DISABLE}, loadBalancer: {simple: RANDOM}", "policy.tls", "-"),
    ];
    for (field, policy, part, expected) in rows {
        let rules = virtual_service("{route: [{destination: {host: shop}}]}")
            + &destination_rule(&format!("trafficPolicy: {{{policy}}}"));
        assert_eq!(order(&decide(&rules, "", ""), part), expected, "{field}: {policy}");
    }
}

#[test]
fn policies_by_port_and_subset() {
    let rule = destination_rule(
        "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}, retryBudget: {percent: 1}, \
          connectionPool: {tcp: {maxConnections: 1}}, \
          portLevelSettings: [{port: {number: 20881}, loadBalancer: {simple: RANDOM}}]}, \
         subsets: [{name: gray, labels: {env: gray}, \
          trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}}}]",
    );
    let of = |to: &str, part: &str| {
        let rules = virtual_service(&format!("{{route: [{{destination: {{{to}}}}}]}}")) + &rule;
        order(&decide(&rules, "", ""), part)
    };
    // What stands for a port is all that holds there: nothing is inherited.
    let (port, other) = ("host: shop, port: {number: 20881}", "host: shop, port: {number: 20880}");
    assert_eq!(of(port, "policy.balance"), r#""random""#);
    assert_eq!(of(port, "policy.connection_pool"), "-");
    assert_eq!(of(other, "policy.balance"), r#""roundrobin""#);
    assert_eq!(of(other, "policy.connection_pool.max_connections"), "1");
    // A subset inherits what it does not say itself.
    let subset = "host: shop, subset: gray, port: {number: 20880}";
    assert_eq!(of(subset, "policy.balance"), r#""roundrobin""#);
    assert_eq!(of(subset, "policy.connection_pool.max_connections"), "2");
    // Without any route, a rule about the service, or all who provide it, counts.
    assert_eq!(order(&decide(&rule, "", ""), "policy"), "-");
    let service = rule.replace("host: shop", "host: lab.Echo");
    assert_eq!(order(&decide(&service, "", ""), "policy.balance"), r#""roundrobin""#);
}

#[test]
fn a_consistent_hash_keeps_its_endpoint() {
    let rules = |hash: &str| {
        virtual_service("{route: [{destination: {host: lab.Echo}}]}")
            + &destination_rule(&format!(
                "trafficPolicy: {{loadBalancer: {{consistentHash: {{{hash}}}}}}}"
            ))
            .replace("host: shop", "host: lab.Echo")
    };
    let picked = |hash: &str, call: &str, roll: f64| {
        decide(&rules(hash), call, &format!("random: {roll}")).picked.unwrap()
    };
    // The source, two calls that differ in it, and one without it.
    let rows = [
        ("httpHeaderName: user", "attachments: {user: a}", "attachments: {user: b}", ""),
        (
            "httpHeaderName: user, maglev: {}",
            "attachments: {user: a}",
            "attachments: {user: b}",
            "",
        ),
        ("httpQueryParameterName: q", "http: {path: '/?q=a'}", "http: {path: '/?q=b'}", "http: {}"),
        (
            "httpCookie: {name: c}",
            "http: {}, attachments: {Cookie: 'x=1; c=a'}",
            "http: {}, attachments: {cookie: c=b}",
            "http: {}",
        ),
    ];
    for (hash, one, other, without) in rows {
        let first = picked(hash, one, 0.0);
        for roll in [0.3, 0.6, 0.9] {
            assert_eq!(picked(hash, one, roll), first, "{hash}");
        }
        let second = picked(hash, other, 0.0);
        assert_ne!(second, first, "{hash}: chosen so that the two differ");
        // A call without it goes anywhere.
        assert_ne!(picked(hash, without, 0.0), picked(hash, without, 0.99), "{hash}");
        // An endpoint that was tried is passed over.
        let tried = decide(&rules(hash), one, &format!("tried: ['{first}']")).picked.unwrap();
        assert_ne!(tried, first, "{hash}");
    }
    let source =
        |ip: &str| picked("useSourceIp: true", &format!("consumer: {{address: {ip}}}"), 0.5);
    let all: std::collections::BTreeSet<String> =
        (0..20).map(|n| source(&format!("10.1.0.{n}"))).collect();
    assert_eq!(all.len(), 4);
}

#[test]
fn a_new_endpoint_warms_up() {
    let rules = destination_rule(
        "trafficPolicy: {loadBalancer: {simple: RANDOM, warmup: {duration: 100s, minimumPercent: 20}}}",
    );
    let share = |age_ms: u64| {
        let case = format!(
            "now_ms: {}\nrules: [{{key: mesh, text: {rules:?}}}]\n\
             endpoints: ['dubbo://10.0.0.1:1/lab.Echo?application=shop', \
             'dubbo://10.0.0.2:1/lab.Echo?application=shop&timestamp=1000000']\n\
             call: {{service: lab.Echo, method: say}}\n",
            1_000_000 + age_ms
        );
        let case = governance::explain::read_case("case", &case).unwrap();
        let prepared = governance::explain::Prepared::new(&case);
        let second = |roll: u32| {
            let picked = prepared.explain(&[f64::from(roll) / 1200.0]).picked.unwrap();
            u32::from(picked.starts_with("10.0.0.2"))
        };
        (0..1200).map(second).sum::<u32>()
    };
    // 20 % of its weight at the start, then as much as its age, then all.
    assert_eq!((share(0), share(10_000)), (200, 200));
    assert_eq!(share(50_000), 400);
    assert_eq!((share(100_000), share(1_000_000)), (600, 600));
}
