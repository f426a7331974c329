//! What becomes of calls by orders of rules, and by limits.

use std::time::{Duration, Instant};

use super::Except::{No, Nothing};
use super::Row;
use super::caller::{Answer, Call, Caller};
use super::server::Reply;
use super::spoken::Spoken;
use super::stage::{Stage, configurator, mesh, route, route_to};
use crate::counters::{CALLERS, IN_FLIGHT, faults, value, wait_for};
use crate::peers::Refusing;

const RESENDS: &str = "spanwire_resends_total";
const MIRRORED: &str = "spanwire_mirrored_calls_total";
const EJECTIONS: &str = "spanwire_ejections_total";
const FOR_EVERY_CALL: &str = "percentage: {value: 100}";

/// What has no answer ends with its connection.
const TCP: &[Spoken] = &[Spoken::Tcp];
const NO_DEADLINE: &str = "a connection lasts as long as its two sides want";

pub const ROWS: &[Row] = &[
    Row {
        feature: "the caller's own deadline",
        check: own_deadline,
        except: &[
            (&[Spoken::Http1, Spoken::Http2], Nothing("HTTP has no word for it")),
            (TCP, Nothing(NO_DEADLINE)),
        ],
    },
    Row {
        feature: "a timeout that a route orders",
        check: timeout,
        except: &[(TCP, No(NO_DEADLINE, no_timeout))],
    },
    Row {
        feature: "a timeout that a configurator orders",
        check: configured_timeout,
        except: &[(TCP, No(NO_DEADLINE, no_configured_timeout))],
    },
    Row {
        feature: "attachments or headers that a route sets and removes",
        check: edited,
        except: &[(TCP, Nothing("a connection has no attachments"))],
    },
    Row {
        feature: "retries that a route orders",
        check: retries,
        except: &[(
            TCP,
            No("what a connection carried is not known, and not sent again", no_retries),
        )],
    },
    Row { feature: "an injected delay", check: delay, except: &[] },
    Row { feature: "an injected failure", check: abort, except: &[] },
    Row {
        feature: "copies to a mirror",
        check: mirror,
        except: &[(TCP, No("two servers cannot both be talked to", no_mirror))],
    },
    Row { feature: "an endpoint that fails too often is left out", check: outlier, except: &[] },
    Row { feature: "`limits.connections` of callers", check: connections, except: &[] },
    Row {
        feature: "calls in flight to a destination (`http2MaxRequests`)",
        check: concurrency,
        except: &[(TCP, No("`maxConnections` limits connections", unlimited))],
    },
    Row {
        feature: "connections to a destination (`maxConnections`)",
        check: pool,
        except: &[(
            &[Spoken::Dubbo, Spoken::Http2, Spoken::Grpc, Spoken::Triple],
            No("callers share a connection, whatever a rule says", unlimited),
        )],
    },
];

fn own_deadline(spoken: Spoken) {
    let stage = Stage::alone(spoken, &[]);
    stage.servers[0].hold();
    let within = Some(Duration::from_millis(100));
    assert_eq!(stage.call(&Call { within, ..Call::default() }), Answer::fault("timeout"));
    stage.wait_for_calls(spoken.methods()[0], "timeout", 1);
    stage.servers[0].release();
}

fn timeout(spoken: Spoken) {
    let stage = Stage::alone(spoken, &[mesh(&route("timeout: 100ms"), "")]);
    stage.servers[0].hold();
    assert_eq!(stage.ask(), Answer::fault("timeout"));
    stage.wait_for_calls(spoken.methods()[0], "timeout", 1);
    stage.servers[0].release();
}

fn no_timeout(spoken: Spoken) {
    outlasted(&Stage::alone(spoken, &[mesh(&route("timeout: 50ms"), "")]));
}

/// A configurator's counts before the caller's own.
fn configured_timeout(spoken: Spoken) {
    let stage = Stage::alone(spoken, &[configurator("parameters: {timeout: 100}")]);
    stage.servers[0].hold();
    let within = Some(Duration::from_secs(60));
    assert_eq!(stage.call(&Call { within, ..Call::default() }), Answer::fault("timeout"));
    stage.servers[0].release();
}

fn no_configured_timeout(spoken: Spoken) {
    outlasted(&Stage::alone(spoken, &[configurator("parameters: {timeout: 50}")]));
}

/// A call that takes three times what the rule gives it is answered.
fn outlasted(stage: &Stage) {
    let held = stage.held();
    std::thread::sleep(Duration::from_millis(150));
    stage.servers[0].release();
    assert_eq!(held.join().unwrap(), Answer::from("one"));
}

fn edited(spoken: Spoken) {
    let headers = "headers: {request: {set: {lane: gray, trail: mesh}, remove: [secret]}}";
    let stage = Stage::alone(spoken, &[mesh(&route(headers), "")]);
    let fields = vec![("lane", "red"), ("secret", "s"), ("kept", "k")];
    assert_eq!(stage.call(&Call { fields, ..Call::default() }), Answer::from("one"));
    let came = stage.servers[0].arrivals().remove(0);
    let wanted =
        [("lane", Some("gray")), ("trail", Some("mesh")), ("secret", None), ("kept", Some("k"))];
    for (name, value) in wanted {
        assert_eq!(came.field(name), value, "{came:?}");
    }
}

fn retried(spoken: Spoken) -> Stage {
    let retries = "retries: {attempts: 2, retryOn: '5xx,unavailable,reset', backoff: 1ms}";
    let stage = Stage::alone(spoken, &[mesh(&route(retries), "")]);
    stage.servers[0].reply(Reply::Refusal, 2);
    stage
}

fn retries(spoken: Spoken) {
    let stage = retried(spoken);
    assert_eq!(stage.ask(), Answer::from("one"));
    stage.servers[0].wait_for(3);
    assert_eq!(value(&stage.proxy, RESENDS), 2);
    // A connection that breaks is as good a reason.
    stage.servers[0].reply(Reply::Break, 1);
    assert_eq!(stage.ask(), Answer::from("one"));
    stage.servers[0].wait_for(5);
    // And one failure more than is repeated is the caller's.
    stage.servers[0].reply(Reply::Refusal, 3);
    assert_eq!(stage.ask(), Answer::Refused);
    stage.wait_for_calls(spoken.methods()[0], "success", 2);
    stage.wait_for_calls(spoken.methods()[0], "provider_error", 1);
}

fn no_retries(spoken: Spoken) {
    let stage = retried(spoken);
    assert_eq!(stage.ask(), Answer::Closed);
    stage.wait_for_calls("connect", "connection_lost", 1);
    assert_eq!((stage.servers[0].arrivals().len(), value(&stage.proxy, RESENDS)), (1, 0));
}

fn delay(spoken: Spoken) {
    let fault = format!("fault: {{delay: {{fixedDelay: 150ms, {FOR_EVERY_CALL}}}}}");
    let stage = Stage::alone(spoken, &[mesh(&route(&fault), "")]);
    let began = Instant::now();
    assert_eq!(stage.ask(), Answer::from("one"));
    assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
}

fn abort(spoken: Spoken) {
    let fault = format!("fault: {{abort: {{httpStatus: 503, {FOR_EVERY_CALL}}}}}");
    let stage = Stage::alone(spoken, &[mesh(&route(&fault), "")]);
    let told = if spoken == Spoken::Tcp { Answer::Closed } else { Answer::fault("injected") };
    assert_eq!(stage.ask(), told);
    stage.wait_for_calls(spoken.methods()[0], "injected", 1);
    assert!(stage.servers[0].arrivals().is_empty());
    assert_eq!(value(&stage.proxy, &faults("injected")), 1);
}

fn mirrored(spoken: Spoken) -> Stage {
    let mirror = format!(
        "mirror: {{host: {}, subset: two}}, mirrorPercentage: {{value: 100}}",
        crate::wire::SERVICE
    );
    Stage::under(spoken, &[mesh(&route_to("one", &mirror), "")])
}

fn mirror(spoken: Spoken) {
    let stage = mirrored(spoken);
    // Nobody waits for the copy's answer.
    stage.servers[1].hold();
    assert_eq!(stage.call(&Call::with("user", "u7")), Answer::from("one"));
    stage.servers[1].wait_for(1);
    let [call, copy] = [0, 1].map(|server| stage.servers[server].arrivals().remove(0));
    assert_eq!((copy.method, copy.fields.iter().any(|field| field.1 == "u7")), (call.method, true));
    assert_eq!(value(&stage.proxy, MIRRORED), 1);
    stage.servers[1].release();
}

fn no_mirror(spoken: Spoken) {
    let stage = mirrored(spoken);
    assert_eq!(stage.shares(3), [3, 0]);
    assert_eq!(value(&stage.proxy, MIRRORED), 0);
}

fn outlier(spoken: Spoken) {
    let policy = "loadBalancer: {simple: ROUND_ROBIN}, \
                  outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 50}";
    let refusing = Refusing::new();
    let stage = Stage::new(spoken, &["one", "two"], &[mesh(&route(""), policy)], |config| {
        // Of a connection, all that can fail is to make it.
        if spoken == Spoken::Tcp {
            config.services[0].endpoints[0].address = refusing.address().to_string();
        }
    });
    stage.servers[0].reply(Reply::Refusal, 100);
    let mut refused = 0;
    let began = Instant::now();
    while value(&stage.proxy, EJECTIONS) == 0 {
        assert!(began.elapsed() < crate::wire::SOON, "none is left out after {refused} failures");
        refused += usize::from(stage.ask() == Answer::Refused);
    }
    assert_eq!(refused, if spoken == Spoken::Tcp { 0 } else { 3 });
    for _ in 0..10 {
        assert_eq!(stage.ask(), Answer::from("two"));
    }
}

fn connections(spoken: Spoken) {
    let stage = Stage::new(spoken, &["one"], &[], |config| config.limits.connections = 1);
    let held = stage.held();
    assert!(Caller::is_turned_away(stage.to));
    stage.servers[0].release();
    assert_eq!(held.join().unwrap(), Answer::from("one"));
    wait_for(&stage.proxy, CALLERS, 0);
    assert_eq!(stage.ask(), Answer::from("one"));
}

fn concurrency(spoken: Spoken) {
    let pool = "connectionPool: {http: {http2MaxRequests: 1}}";
    let stage = Stage::alone(spoken, &[mesh(&route(""), pool)]);
    let held = stage.held();
    assert_eq!(stage.ask(), Answer::fault("overloaded"));
    stage.wait_for_calls(spoken.methods()[0], "overloaded", 1);
    stage.servers[0].release();
    assert_eq!(held.join().unwrap(), Answer::from("one"));
    wait_for(&stage.proxy, IN_FLIGHT, 0);
    assert_eq!(stage.ask(), Answer::from("one"));
}

/// A connection has a call, over HTTP/1.1 one more waits for it, and all others are told.
fn pool(spoken: Spoken) {
    let pool = "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}";
    let stage = Stage::alone(spoken, &[mesh(&route(""), pool)]);
    let held = stage.held();
    let others = [stage.asking(), stage.asking()];
    let refused = if spoken == Spoken::Tcp { 2 } else { 1 };
    stage.wait_for_calls(spoken.methods()[0], "overloaded", refused);
    assert_eq!(stage.servers[0].arrivals().len(), 1);
    stage.servers[0].release();
    assert_eq!(held.join().unwrap(), Answer::from("one"));
    let others = others.map(|other| other.join().unwrap());
    let told = if spoken == Spoken::Tcp { Answer::Closed } else { Answer::fault("overloaded") };
    assert_eq!(others.iter().filter(|other| **other == told).count() as i64, refused);
}

fn unlimited(spoken: Spoken) {
    // The limit that is not meant for the protocol.
    let pool = match spoken {
        Spoken::Tcp => "http: {http2MaxRequests: 1}",
        _ => "tcp: {maxConnections: 1}",
    };
    let policy = format!("connectionPool: {{{pool}}}");
    let stage = Stage::alone(spoken, &[mesh(&route(""), &policy)]);
    let first = stage.held();
    let second = stage.asking();
    stage.servers[0].wait_for(2);
    stage.servers[0].release();
    for calling in [first, second] {
        assert_eq!(calling.join().unwrap(), Answer::from("one"));
    }
}
