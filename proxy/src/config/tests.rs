//! Configurations as they are written, and every mistake that is found in them.

use std::path::Path;

use super::*;

const EVERYTHING: &str = r#"
workers: 3
admin: 127.0.0.1:15000
store: http://127.0.0.1:2379, http://etcd-2:2379/
state: state
application: web
labels: {region: hz, rank: 7}
services:
  - name: lab.EchoService
    protocol: dubbo
    endpoints:
      - {address: "127.0.0.1:20990", weight: 50, group: g1, version: 1.0.0, labels: {region: hz}}
      - {address: "[::1]:20990"}
  - {name: db, protocol: tcp, addresses: ["10.96.0.7:3306", "*:3307"], endpoints: [{address: "10.0.0.3:3306"}]}
listeners:
  - {name: out, bind: "127.0.0.1:20880", direction: outbound, protocols: [dubbo], default_service: lab.EchoService}
  - name: in
    bind: 0.0.0.0:20881
    direction: inbound
    app: localhost:20991
    register: {advertise: "10.0.0.7:20881", urls: ["dubbo://0.0.0.0:0/lab.EchoService?version=1.0.0"]}
  - {name: gw, bind: "[::]:8080", direction: gateway}
  - {name: db, bind: "127.0.0.1:3306", direction: outbound, protocols: [dubbo, tcp], default_service: db, use_original_dst: true}
limits: {frame: 8MiB, buffer: 1.5MiB, connections: 100, pending: 200, head: 16KiB, body: 1MiB}
timeouts: {call: 1.5s, connect: 200ms, detect: 50ms, heartbeat: 5s, idle: 8h, drain: 0s}
access_log: logs/access.log
scripts: true
"#;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn everything_that_can_be_written_is_read() {
    let config = parse(Path::new("/etc/spanwire/proxy.yaml"), EVERYTHING).unwrap();
    let endpoint = |address: &str, weight, group: &str, version: &str, of| StaticEndpoint {
        address: address.to_owned(),
        weight,
        group: group.to_owned(),
        version: version.to_owned(),
        labels: of,
    };
    let listener = |name: &str, bind: &str, direction, default: Option<&str>| Listener {
        name: name.to_owned(),
        bind: bind.parse().unwrap(),
        protocols: match direction {
            Direction::Outbound => vec![Protocol::Dubbo],
            Direction::Inbound { .. } | Direction::Gateway => {
                vec![
                    Protocol::Dubbo,
                    Protocol::Grpc,
                    Protocol::Triple,
                    Protocol::Http1,
                    Protocol::Http2,
                ]
            }
        },
        direction,
        default_service: default.map(str::to_owned),
        use_original_dst: false,
    };
    let dubbo_or_tcp = vec![Protocol::Dubbo, Protocol::Tcp];
    let expected = Config {
        workers: 3,
        admin: Some(([127, 0, 0, 1], 15000).into()),
        store: vec!["http://127.0.0.1:2379".to_owned(), "http://etcd-2:2379".to_owned()],
        state: Some("/etc/spanwire/state".into()),
        application: "web".to_owned(),
        labels: labels(&[("rank", "7"), ("region", "hz")]),
        services: vec![
            StaticService {
                name: "lab.EchoService".to_owned(),
                protocol: Protocol::Dubbo,
                addresses: vec![],
                endpoints: vec![
                    endpoint("127.0.0.1:20990", 50, "g1", "1.0.0", labels(&[("region", "hz")])),
                    endpoint("[::1]:20990", 100, "", "", labels(&[])),
                ],
            },
            StaticService {
                name: "db".to_owned(),
                protocol: Protocol::Tcp,
                addresses: vec![
                    ServiceAddress { ip: Some([10, 96, 0, 7].into()), port: 3306 },
                    ServiceAddress { ip: None, port: 3307 },
                ],
                endpoints: vec![endpoint("10.0.0.3:3306", 100, "", "", labels(&[]))],
            },
        ],
        rules: vec![],
        scripts: true,
        listeners: vec![
            listener("out", "127.0.0.1:20880", Direction::Outbound, Some("lab.EchoService")),
            listener(
                "in",
                "0.0.0.0:20881",
                Direction::Inbound {
                    app: "localhost:20991".to_owned(),
                    register: Some(Registration {
                        advertise: "10.0.0.7:20881".to_owned(),
                        urls: vec!["dubbo://0.0.0.0:0/lab.EchoService?version=1.0.0".to_owned()],
                    }),
                },
                None,
            ),
            listener("gw", "[::]:8080", Direction::Gateway, None),
            Listener {
                protocols: dubbo_or_tcp,
                use_original_dst: true,
                ..listener("db", "127.0.0.1:3306", Direction::Outbound, Some("db"))
            },
        ],
        limits: Limits {
            frame: 8 << 20,
            buffer: 3 << 19,
            connections: 100,
            pending: 200,
            head: 16 << 10,
            body: Some(1 << 20),
        },
        timeouts: Timeouts {
            call: Duration::from_millis(1500),
            call_over_http: Some(Duration::from_millis(1500)),
            connect: Duration::from_millis(200),
            detect: Duration::from_millis(50),
            heartbeat: Duration::from_secs(5),
            idle: Some(Duration::from_secs(8 * 3600)),
            drain: Duration::ZERO,
        },
        access_log: Some(AccessLog::File("/etc/spanwire/logs/access.log".into())),
    };
    assert_eq!(config, expected);
}

#[test]
fn one_listener_is_enough() {
    let text = "listeners: [{name: out, bind: '0.0.0.0:20880', direction: outbound}]";
    let config = parse(Path::new("proxy.yaml"), text).unwrap();
    assert_eq!(config.listeners.len(), 1);
    let told_apart =
        [Protocol::Dubbo, Protocol::Grpc, Protocol::Triple, Protocol::Http1, Protocol::Http2];
    assert_eq!(config.listeners[0].protocols, told_apart);
    assert!(config.workers >= 1);
    assert_eq!((config.admin, config.state, config.access_log), (None, None, None));
    assert_eq!((config.limits, config.timeouts), (Limits::default(), Timeouts::default()));
}

#[test]
fn rules_are_found_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    let text = "rules: [rules/]\nlisteners: [{name: a, bind: '0.0.0.0:1', direction: gateway}]";
    let config = parse(&folder.path().join("proxy.yaml"), text).unwrap();
    assert_eq!(config.rules, [folder.path().join("rules/")]);
}

#[test]
fn an_admin_port_alone_is_on_loopback() {
    let text = "admin: 15000\nlisteners: [{name: a, bind: '0.0.0.0:1', direction: gateway}]";
    let config = parse(Path::new("proxy.yaml"), text).unwrap();
    assert_eq!(config.admin, Some(([127, 0, 0, 1], 15000).into()));
}

#[test]
fn a_file_that_is_not_there_is_one_finding() {
    let findings = load(Path::new("no/such/proxy.yaml")).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert_eq!(
        findings[0].to_string(),
        "error: no/such/proxy.yaml: the configuration cannot be read: No such file or directory (os error 2) [unreadable]"
    );
}

/// Each finding as `line:column message|hint`.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> = match parse(Path::new("proxy.yaml"), text) {
        Ok(_) => Vec::new(),
        Err(findings) => findings
            .iter()
            .map(|f| format!("{}:{} {}|{}", f.line, f.column, f.message, f.hint))
            .collect(),
    };
    assert_eq!(found, expected, "in:\n{text}");
}

/// A line of a configuration that is otherwise good.
#[track_caller]
fn check_line(line: &str, expected: &[&str]) {
    check(
        &format!("{line}\nlisteners: [{{name: a, bind: '0.0.0.0:1', direction: gateway}}]\n"),
        expected,
    );
}

/// A listener in a configuration that is otherwise good.
#[track_caller]
fn check_listener(listener: &str, expected: &[&str]) {
    check(&format!("listeners:\n- {listener}\n"), expected);
}

#[test]
fn every_mistake_is_found_at_once() {
    check(
        "wokers: 2\nadmin: nowhere\nservices:\n  - name: a b\n    protocol: bolt\n    endpoints:\n      - {address: x, wieght: 1}\nlisteners:\n  - {name: a, bind: '0.0.0.0:1', direction: sideways}\ntimeouts: {call: 1}\n",
        &[
            "1:1 unknown key \"wokers\"|did you mean workers?",
            "2:8 admin \"nowhere\" is not an address to listen on|write IP:PORT, e.g. 127.0.0.1:20880, or 0.0.0.0:20880 to listen on every interface",
            "4:11 \"a b\" cannot be a service's name|write it as callers do, e.g. com.example.EchoService",
            "5:15 protocol bolt is not served by this build|this build serves: dubbo, grpc, triple, http1, http2, tcp",
            "7:19 address \"x\" is not HOST:PORT|write e.g. 127.0.0.1:20880, provider.local:20880 or [::1]:20880",
            "7:22 unknown key \"wieght\"|did you mean weight?",
            "9:45 there is no direction \"sideways\"|outbound takes the local application's calls, inbound hands calls to it, gateway takes calls from anywhere",
            "10:18 call \"1\" is not a duration|write a number and a unit: us, ms, s, m or h, e.g. 500ms or 1.5s",
        ],
    );
}

#[test]
fn mistakes_at_the_top() {
    check("", &["0:0 the document is empty|"]);
    check("[]", &["1:1 the configuration must be a mapping (key: value), but is a list|"]);
    check("workers: 1", &["1:1 listeners is missing|"]);
    check(
        "listeners: []",
        &[
            "1:12 there is no listener, so nothing would be done|add one, e.g. {name: out, bind: \"0.0.0.0:20880\", direction: outbound}",
        ],
    );
    check_line("workers: 0", &["1:10 workers is 0, but must be from 1 to 1024|"]);
    check_line(
        "admin: 0.0.0.0:1",
        &["1:8 a listener has 0.0.0.0:1 already|give the admin pages a port of their own"],
    );
    check_line(
        "admin: localhost:15000",
        &[
            "1:8 admin \"localhost:15000\" is not an address to listen on|write an IP address, not a name: 127.0.0.1:15000 for this machine only, 0.0.0.0:15000 for everyone",
        ],
    );
    let store =
        "write etcd's client addresses, e.g. http://127.0.0.1:2379, several with commas between";
    check_line(
        "store: http://a:2379,https://b:2379,c",
        &[
            &format!(
                "1:8 store \"https://b:2379\" cannot be used: TLS to the store is not in this build|{store}"
            ),
            &format!(
                "1:8 store \"c\" cannot be used: it is not of the form http://HOST:PORT|{store}"
            ),
        ],
    );
    check_line("state: ''", &["1:8 state is an empty path|"]);
    check_line(
        "rules: [/no/such/folder]",
        &[
            "1:9 rules \"/no/such/folder\" cannot be read: No such file or directory (os error 2)|it is looked for at /no/such/folder",
        ],
    );
    check_line("labels: [a]", &["1:9 labels must be a mapping (key: value), but is a list|"]);
    check_line("application: {}", &["1:14 application must be a text, but is a mapping|"]);
    check_line("access_log: ''", &["1:13 access_log is an empty path|"]);
}

#[test]
fn mistakes_in_limits_and_timeouts() {
    check_line(
        "limits: {frame: 2GiB, buffer: 1, connections: 0, pending: many, head: 1KiB, queue: 1}",
        &[
            "1:17 frame is 2GiB, but must be from 1KiB to 2147483647B|",
            "1:31 buffer is 1, but must be from 64KiB to 64GiB|",
            "1:47 connections is 0, but must be from 1 to 10000000|",
            "1:59 pending must be a whole number, but is \"many\"|",
            "1:71 head is 1KiB, but must be from 8KiB to 1MiB|",
            "1:77 unknown key \"queue\"|known here: frame, buffer, connections, pending, head, body",
        ],
    );
    check_line(
        "limits: {frame: huge}",
        &[
            "1:17 frame \"huge\" is not a size|write a number and a unit: B, KiB, MiB or GiB, e.g. 8MiB",
        ],
    );
    check_line(
        "timeouts: {call: 2h, heartbeat: 1ms, conect: 1s}",
        &[
            "1:18 call is 2h, but must be from 1ms to 1h|",
            "1:33 heartbeat is 1ms, but must be from 100ms to 1h|",
            "1:38 unknown key \"conect\"|did you mean connect?",
        ],
    );
}

#[test]
fn mistakes_in_services() {
    check_line("services: [{name: a, protocol: dubbo}]", &["1:12 endpoints is missing|"]);
    check_line(
        "services: [{name: a, protocol: smoke, endpoints: []}]",
        &[
            "1:32 there is no protocol \"smoke\"|this build serves: dubbo, grpc, triple, http1, http2, tcp",
        ],
    );
    let endpoints =
        |list: &str| format!("services: [{{name: a, protocol: dubbo, endpoints: [{list}]}}]");
    check_line(
        &endpoints("{address: '0.0.0.0:1'}"),
        &[
            "1:61 address \"0.0.0.0:1\" stands for every interface, nobody can connect to it|name one host, e.g. 127.0.0.1 for this machine",
        ],
    );
    check_line(
        &endpoints("{address: 'a:1', labels: {group: g, zone: z}}"),
        &["1:77 group is not a label of an endpoint|write group beside address"],
    );
    check_line(
        &endpoints("{address: 'a:1'}, {address: 'a:1', version: v}, {address: 'a:1'}"),
        &[
            "1:99 endpoint a:1 stands here a second time|take it out, or tell them apart by group or version",
        ],
    );
    check_line(
        "services: [{name: a, protocol: dubbo, endpoints: []}, {name: a, protocol: dubbo, endpoints: []}]",
        &["1:55 service \"a\" stands here a second time|write all its endpoints in one place"],
    );
    check_line(
        "services: [{name: a, protocol: dubbo, endpoints: []}, {name: a, protocol: tcp, endpoints: []}]",
        &[
            "1:55 service \"a\" stands above with another protocol|plain TCP has no calls to tell apart: give it a name of its own",
        ],
    );
}

#[test]
fn mistakes_in_listeners() {
    check_listener("x", &["2:3 a listener must be a mapping (key: value), but is \"x\"|"]);
    check_listener(
        "{}",
        &["2:3 name is missing|", "2:3 bind is missing|", "2:3 direction is missing|"],
    );
    check_listener(
        "{name: a, bind: '0.0.0.0:1', direction: inbound}",
        &[
            "2:3 app is missing: an inbound listener hands its calls to an application|write where the application listens, e.g. app: \"127.0.0.1:20991\"",
        ],
    );
    check_listener(
        "{name: a, bind: '0.0.0.0:1', direction: gateway, app: 'b:1', register: {}}",
        &[
            "2:57 app belongs to an inbound listener|take app out, or write direction: inbound",
            "2:74 register belongs to an inbound listener|take register out, or write direction: inbound",
        ],
    );
    check_listener(
        "{name: a, bind: '0.0.0.0:1', direction: inbound, app: 'b:1', register: {advertise: '0.0.0.0:1', urls: []}}",
        &[
            "2:74 there is no store to register in|write store: http://HOST:2379 at the top, or take register out",
            "2:86 advertise \"0.0.0.0:1\" stands for every interface, nobody can connect to it|name one host, e.g. 127.0.0.1 for this machine",
            "2:105 urls is empty, so nothing would be registered|",
        ],
    );
    let hint =
        "write it as Dubbo does, e.g. dubbo://0.0.0.0:0/com.example.EchoService?version=1.0.0";
    check(
        "store: http://a:1\nlisteners:\n- name: a\n  bind: 0.0.0.0:1\n  direction: inbound\n  app: b:1\n  register:\n    advertise: c:1\n    urls:\n    - bolt://a/b\n    - dubbo://a\n    - x\n",
        &[
            &format!(
                "10:7 \"bolt://a/b\" is not a provider URL: it starts with neither dubbo:// nor tri://|{hint}"
            ),
            &format!("11:7 \"dubbo://a\" is not a provider URL: it names no service|{hint}"),
            &format!("12:7 \"x\" is not a provider URL: url \"x\" has no protocol|{hint}"),
        ],
    );
    check_listener(
        "{name: a, bind: '0.0.0.0:1', direction: gateway, protocols: []}",
        &[
            "2:63 protocols is empty, so nothing would be taken|leave protocols out to take every protocol that is told by its first bytes",
        ],
    );
    check_listener(
        "{name: a, bind: '0.0.0.0:1', direction: gateway, protocols: [dubbo, bolt]}",
        &[
            "2:71 protocol bolt is not served by this build|this build serves: dubbo, grpc, triple, http1, http2, tcp",
        ],
    );
    check_listener(
        "{name: a, bind: '0.0.0.0:1', direction: gateway, protocols: [tcp]}",
        &[
            "2:3 plain TCP names no service, and this listener has none for it|write default_service: the service that its connections are for",
        ],
    );
    check_listener(
        "{name: a, bind: '0.0.0.0:1', direction: inbound, app: 'b:1', protocols: [tcp]}",
        &[],
    );
    check_listener(
        "{name: a, bind: '0.0.0.0:1', direction: gateway}\n- {name: a, bind: '0.0.0.0:1', direction: gateway}",
        &[
            "3:3 a listener named \"a\" stands above already|metrics and logs tell listeners apart by name",
            "3:3 another listener above has 0.0.0.0:1 already|give each listener a port of its own",
        ],
    );
}
