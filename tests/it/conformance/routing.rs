//! Where calls go.

use super::Except::{No, Nothing};
use super::Row;
use super::caller::{Answer, Call};
use super::spoken::Spoken;
use super::stage::{LISTENER, Stage, conditions, configurator, mesh, route};
use crate::counters::{CONNECT_FAILURES, IN_FLIGHT, UPSTREAMS, value, wait_for, wait_until};
use crate::peers::Refusing;
use crate::wire::SERVICE;

const TCP: &[Spoken] = &[Spoken::Tcp];
const NO_FIELDS: &str = "a connection has no attachments";

pub const ROWS: &[Row] = &[
    Row {
        feature: "told by its first bytes on a port for all protocols",
        check: told_by_first_bytes,
        except: &[],
    },
    Row {
        feature: "routed by a rule on an attachment or header",
        check: by_field,
        except: &[(TCP, Nothing(NO_FIELDS))],
    },
    Row { feature: "routed by a rule on the method", check: by_method, except: &[] },
    Row {
        feature: "routed by tag (`dubbo.tag`)",
        check: by_tag,
        except: &[(TCP, Nothing(NO_FIELDS))],
    },
    Row { feature: "routed by affinity", check: by_affinity, except: &[] },
    Row { feature: "routed by a script", check: by_script, except: &[] },
    Row { feature: "endpoints that a configurator switches off", check: switched_off, except: &[] },
    Row { feature: "spread by weight", check: by_weight, except: &[] },
    Row { feature: "spread by calls in flight (`leastactive`)", check: by_load, except: &[] },
    Row {
        feature: "spread by a hash of an attachment or header",
        check: by_hash,
        except: &[(TCP, Nothing(NO_FIELDS))],
    },
    Row { feature: "split by a route's shares (canary)", check: by_share, except: &[] },
    Row { feature: "what was not sent goes to another endpoint", check: passed_over, except: &[] },
    Row {
        feature: "one connection to an endpoint for many callers",
        check: shared,
        except: &[(
            &[Spoken::Http1, Spoken::Tcp],
            No("a connection has one call at a time", |spoken| connections(spoken, 2)),
        )],
    },
];

fn told_by_first_bytes(spoken: Spoken) {
    let stage = Stage::alone(spoken, &[]);
    assert_eq!(stage.ask(), Answer::from("one"));
    let detected = spoken.detected();
    let series = format!(
        r#"spanwire_connections_detected_total{{listener="{LISTENER}",protocol="{detected}"}}"#
    );
    assert_eq!(value(&stage.proxy, &series), 1);
}

fn by_field(spoken: Spoken) {
    let rules = ["attachments[user]=u7 => env=two", "attachments[user]=u8 => env=one"];
    let stage = Stage::under(spoken, &[conditions(&rules.map(str::to_owned))]);
    for _ in 0..8 {
        assert_eq!(stage.call(&Call::with("user", "u7")), Answer::from("two"));
        assert_eq!(stage.call(&Call::with("user", "u8")), Answer::from("one"));
    }
    assert_eq!(stage.servers[1].arrivals()[0].field("user"), Some("u7"));
}

fn by_method(spoken: Spoken) {
    let methods = spoken.methods();
    let first = methods[0];
    let rules = [format!("method={first} => env=two"), format!("method!={first} => env=one")];
    let stage = Stage::under(spoken, &[conditions(&rules)]);
    for _ in 0..8 {
        for (method, server) in methods.iter().zip(["two", "one"]) {
            assert_eq!(stage.call(&Call::of(method)), Answer::from(server));
        }
    }
    assert_eq!(stage.servers[1].arrivals()[0].method, first);
}

/// Servers of an application, with rules about what it provides.
fn of_an_application(spoken: Spoken, rule: &str, text: &str) -> Stage {
    let rule = (format!("{rule}.yaml"), text.to_owned());
    Stage::new(spoken, &["one", "two"], &[rule], |config| {
        config.scripts = true;
        config.labels.insert("env".to_owned(), "two".to_owned());
        for endpoint in &mut config.services[0].endpoints {
            endpoint.labels.insert("application".to_owned(), "shop".to_owned());
        }
    })
}

fn by_tag(spoken: Spoken) {
    let tags = "tags:\n  - {name: gray, match: [{key: env, value: {exact: two}}]}\n";
    let text = format!("configVersion: v3.0\nforce: true\n{tags}");
    let stage = of_an_application(spoken, "shop.tag-router", &text);
    for _ in 0..8 {
        assert_eq!(stage.call(&Call::with("dubbo.tag", "gray")), Answer::from("two"));
        assert_eq!(stage.ask(), Answer::from("one"));
    }
}

fn by_affinity(spoken: Spoken) {
    let text = "configVersion: v3.1\naffinityAware: {key: env, ratio: 10}\n";
    let stage = of_an_application(spoken, "shop.affinity-router", text);
    assert_eq!(stage.shares(10), [0, 10]);
}

fn by_script(spoken: Spoken) {
    let text = format!(
        "type: javascript\nenabled: true\nscript: |\n  (function route(invokers, invocation, context) {{\n    \
         return invokers.filter(invoker => invoker.getUrl().getParameter('env') === \
         (invocation.getMethodName() === '{}' ? 'two' : 'one'));\n  }})(invokers, invocation, context)\n",
        spoken.methods()[0]
    );
    let stage = of_an_application(spoken, "shop.script-router", &text);
    for _ in 0..8 {
        for (method, server) in spoken.methods().iter().zip(["two", "one"]) {
            assert_eq!(stage.call(&Call::of(method)), Answer::from(server));
        }
    }
}

fn switched_off(spoken: Spoken) {
    let off = "match: {param: [{key: env, value: {exact: one}}]}, parameters: {disabled: true}";
    let stage = Stage::under(spoken, &[configurator(off)]);
    assert_eq!(stage.shares(10), [0, 10]);
}

fn by_load(spoken: Spoken) {
    let stage = Stage::under(spoken, &[configurator("parameters: {loadbalance: leastactive}")]);
    let [one, two] = [&stage.servers[0], &stage.servers[1]];
    one.hold();
    // Sooner or later one has a call, and from then on two gets all.
    let held = loop {
        let calling = stage.asking();
        wait_until("the call to arrive somewhere", || {
            let came = one.arrivals().len();
            if came == 1 || calling.is_finished() { Ok(()) } else { Err("nowhere".to_owned()) }
        });
        if one.arrivals().len() == 1 {
            break calling;
        }
        assert_eq!(calling.join().unwrap(), Answer::from("two"));
    };
    let before = two.arrivals().len();
    for _ in 0..10 {
        // A connection is in flight until its end is seen.
        wait_for(&stage.proxy, IN_FLIGHT, 1);
        assert_eq!(stage.ask(), Answer::from("two"));
    }
    assert_eq!((one.arrivals().len(), two.arrivals().len()), (1, before + 10));
    one.release();
    assert_eq!(held.join().unwrap(), Answer::from("one"));
}

fn by_hash(spoken: Spoken) {
    const USERS: [&str; 16] = [
        "u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "ua", "ub", "uc", "ud", "ue",
        "uf",
    ];
    let policy = "loadBalancer: {consistentHash: {httpHeaderName: user}}";
    let stage = Stage::under(spoken, &[mesh(&route(""), policy)]);
    let ask = || USERS.map(|user| stage.call(&Call::with("user", user)));
    let first = ask();
    for name in ["one", "two"] {
        assert!(first.contains(&Answer::from(name)), "{first:?}");
    }
    for _ in 0..3 {
        assert_eq!(ask(), first);
    }
}

/// Of 120 calls 90 are expected at the second; the bounds are six standard deviations
/// away.
#[track_caller]
fn assert_three_quarters(shares: &[usize]) {
    assert!((62..=118).contains(&shares[1]) && shares[0] + shares[1] == 120, "{shares:?}");
}

fn by_weight(spoken: Spoken) {
    let stage = Stage::new(spoken, &["one", "two"], &[], |config| {
        config.services[0].endpoints[1].weight = 300;
    });
    assert_three_quarters(&stage.shares(120));
}

fn by_share(spoken: Spoken) {
    let to = |subset, weight| {
        format!("{{destination: {{host: {SERVICE}, subset: {subset}}}, weight: {weight}}}")
    };
    let routes = format!("{{route: [{}, {}]}}", to("one", 25), to("two", 75));
    let stage = Stage::under(spoken, &[mesh(&routes, "")]);
    assert_three_quarters(&stage.shares(120));
}

fn passed_over(spoken: Spoken) {
    let refusing = Refusing::new();
    let stage = Stage::new(spoken, &["one", "two"], &[], |config| {
        config.services[0].endpoints[1].address = refusing.address().to_string();
    });
    assert_eq!(stage.shares(12), [12, 0]);
    assert!(value(&stage.proxy, CONNECT_FAILURES) >= 1, "it was tried");
}

fn shared(spoken: Spoken) {
    connections(spoken, 1);
}

/// Two callers have a call at a server at once.
fn connections(spoken: Spoken, wanted: i64) {
    let stage = Stage::alone(spoken, &[mesh(&route(""), "")]);
    let first = stage.held();
    let second = stage.asking();
    stage.servers[0].wait_for(2);
    assert_eq!(value(&stage.proxy, UPSTREAMS), wanted);
    stage.servers[0].release();
    for calling in [first, second] {
        assert_eq!(calling.join().unwrap(), Answer::from("one"));
    }
}
