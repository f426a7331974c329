//! What operators see, and what they change while calls go on.

use std::process::Command;

use proxy::admin::client::{Explained, explain};
use proxy::config::{AccessLog, Protocol, StaticService};
use serde_json::Value;

use super::Except::No;
use super::Row;
use super::caller::{Answer, Call, RUNTIME};
use super::server::Reply;
use super::spoken::Spoken;
use super::stage::{LISTENER, Stage, conditions};
use crate::counters::{IN_FLIGHT, faults, value, wait_for, wait_until};
use crate::peers::Refusing;
use crate::store::Store;
use crate::wire::{SERVICE, service};

pub const ROWS: &[Row] = &[
    Row { feature: "a rule in the store is in force at once", check: pushed, except: &[] },
    Row {
        feature: "`explain` says where calls go, and by which rule",
        check: explained,
        except: &[],
    },
    Row { feature: "metrics of each call, under the same labels", check: counted, except: &[] },
    Row {
        feature: "a line in the access log for each call, with the same fields",
        check: logged,
        except: &[],
    },
    Row {
        feature: "the mesh's own answers in the caller's language, with a reason",
        check: told_why,
        except: &[(
            &[Spoken::Tcp],
            No(
                "bytes are nobody's language: the connection is closed, and the reason is in the log and the metrics",
                closed,
            ),
        )],
    },
];

/// Rules of the service, and of the application that provides it.
fn pushed(spoken: Spoken) {
    for key in ["lab.EchoService::.condition-router", "shop.condition-router"] {
        let store = Store::start();
        let at = store.config().store;
        let stage = Stage::new(spoken, &["one", "two"], &[], |config| {
            config.store = at;
            for endpoint in &mut config.services[0].endpoints {
                endpoint.labels.insert("application".to_owned(), "shop".to_owned());
            }
        });
        for server in ["two", "one"] {
            let (_, text) = conditions(&[format!("=> env={server}")]);
            store.put_all(&[(&format!("/dubbo/config/dubbo/{key}"), &text)]);
            let mut in_a_row = 0;
            wait_until(&format!("{key} to lead to {server}"), || {
                // Before, either of them takes a call, and none fails.
                let answer = stage.ask();
                assert!(matches!(answer, Answer::From(_)), "{answer:?}");
                in_a_row = if answer == Answer::from(server) { in_a_row + 1 } else { 0 };
                if in_a_row == 20 { Ok(()) } else { Err(format!("{answer:?}")) }
            });
        }
    }
}

/// What a running proxy says of a call: by its page, and by the command that asks it.
fn said(stage: &Stage, case: &str) -> Value {
    let admin = stage.proxy.admin().unwrap().to_string();
    let page = match RUNTIME.block_on(explain(&admin, case, true)).unwrap() {
        Explained::Decided { text, .. } => text,
        Explained::Refused(findings) => panic!("{findings}"),
    };
    let file = stage.folder.path().join("call.case");
    std::fs::write(&file, case).unwrap();
    let mut command = Command::new(harness::spanwire::binary());
    command.args(["explain", "-o", "json", "--admin", &admin, "-f"]).arg(&file);
    let printed = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&printed.stdout), page, "{printed:?}");
    serde_json::from_str(&page).unwrap()
}

fn explained(spoken: Spoken) {
    // A connection has nothing to be told by but its service.
    let told = match spoken {
        Spoken::Tcp => [("", "method=connect")].to_vec(),
        _ => [("u7", "attachments[user]=u7"), ("u8", "attachments[user]=u8")].to_vec(),
    };
    for leads_to in ["env=two", ""] {
        let rules: Vec<String> =
            told.iter().map(|(_, call)| format!("{call} => {leads_to}")).collect();
        // The service is provided over another family, too, which is not meant.
        let other = match spoken {
            Spoken::Dubbo | Spoken::Tcp => Protocol::Http1,
            _ => Protocol::Dubbo,
        };
        let stage = Stage::new(spoken, &["one", "two"], &[conditions(&rules)], |config| {
            let elsewhere = service(SERVICE, &[([127, 9, 9, 9], 9).into()]);
            let mut more = StaticService { protocol: other, ..elsewhere };
            more.endpoints[0].labels.insert("env".to_owned(), "two".to_owned());
            config.services.push(more);
        });
        let (rule, _) = conditions(&[]);
        let rule = rule.strip_suffix(".yaml").unwrap();
        for (line, (user, _)) in told.iter().enumerate() {
            let (call, attachments) = match *user {
                "" => (Call::default(), String::new()),
                user => (Call::with("user", user), format!(", attachments: {{user: {user}}}")),
            };
            let method = spoken.methods()[0];
            let case = format!(
                "call: {{protocol: {spoken}, service: {SERVICE}, method: {method}{attachments}}}\n"
            );
            let said = said(&stage, &case);
            let answer = stage.call(&call);
            let applied: Vec<&Value> = said["steps"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|step| step["note"].as_str().unwrap().starts_with("applies"))
                .collect();
            assert_eq!(applied.len(), 1, "{said}");
            assert_eq!(applied[0]["rule"], rule, "{said}");
            assert_eq!(applied[0]["line"], 3, "{said}");
            if leads_to.is_empty() {
                let reason = said["fault"].as_str().expect("a fault");
                stage.wait_for_calls(method, reason, line as i64 + 1);
                let closed = spoken == Spoken::Tcp && answer == Answer::Closed;
                assert!(closed || answer == Answer::fault(reason), "{answer:?}, {said}");
                continue;
            }
            let Answer::From(name) = answer else { panic!("{answer:?}") };
            let took = stage.servers.iter().find(|server| server.name == name).unwrap();
            assert_eq!(said["picked"], took.address.to_string(), "{said}");
            assert_eq!(said["endpoints"], serde_json::json!([took.address.to_string()]));
        }
    }
}

fn counted(spoken: Spoken) {
    let stage = Stage::alone(spoken, &[]);
    let method = spoken.methods()[0];
    assert_eq!(stage.shares(3), [3]);
    stage.wait_for_calls(method, "success", 3);
    stage.servers[0].reply(Reply::Refusal, 1);
    stage.ask();
    let failed = if spoken == Spoken::Tcp { "connection_lost" } else { "provider_error" };
    stage.wait_for_calls(method, failed, 1);
    wait_for(&stage.proxy, IN_FLIGHT, 0);
    stage.servers[0].hold();
    let held = stage.asking();
    stage.servers[0].wait_for(5);
    assert_eq!(value(&stage.proxy, IN_FLIGHT), 1);
    stage.servers[0].release();
    held.join().unwrap();
    stage.wait_for_calls(method, "success", 4);
    wait_for(&stage.proxy, IN_FLIGHT, 0);
    let lasted = format!(
        "spanwire_call_duration_seconds_count{{protocol=\"{spoken}\",listener=\"{LISTENER}\",\
         service=\"{SERVICE}\",method=\"{method}\"}}"
    );
    assert_eq!(value(&stage.proxy, &lasted), 5);
}

/// The fields of a line, in their order.
const FIELDS: [&str; 11] = [
    "time",
    "listener",
    "caller",
    "protocol",
    "service",
    "method",
    "endpoint",
    "outcome",
    "duration_us",
    "bytes_in",
    "bytes_out",
];

/// The first server, and the line of a call under a condition: nothing but these fields, in this order.
fn line(spoken: Spoken, condition: &str, outcome: &str, fields: &[&str]) -> (String, Value) {
    let log = tempfile::tempdir().unwrap();
    let path = log.path().join("access.log");
    let access_log = Some(AccessLog::File(path.clone()));
    let rules = [conditions(&[condition.to_owned()])];
    let stage =
        Stage::new(spoken, &["one", "two"], &rules, |config| config.access_log = access_log);
    stage.ask();
    stage.wait_for_calls(spoken.methods()[0], outcome, 1);
    let one = stage.servers[0].address.to_string();
    stage.proxy.drain().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let mut rest = text.as_str();
    for field in fields {
        let (_, behind) = rest.split_once(&format!("\"{field}\":")).expect(field);
        rest = behind;
    }
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line.as_object().unwrap().len(), fields.len(), "{text}");
    let protocol = spoken.to_string();
    for (field, wanted) in [
        ("listener", LISTENER),
        ("protocol", &protocol),
        ("service", SERVICE),
        ("method", spoken.methods()[0]),
        ("outcome", outcome),
    ] {
        assert_eq!(line[field], wanted, "{text}");
    }
    (one, line)
}

fn logged(spoken: Spoken) {
    let (one, sent) = line(spoken, "=> env=one", "success", &FIELDS);
    assert_eq!(sent["endpoint"], one);
    for field in ["bytes_in", "bytes_out"] {
        assert!(sent[field].as_u64().unwrap() >= 3, "{field} in {sent}");
    }
    // One that was sent nowhere has no endpoint.
    let fields: Vec<&str> = FIELDS.into_iter().filter(|field| *field != "endpoint").collect();
    let (_, refused) = line(spoken, "=>", "denied", &fields);
    assert_eq!((&refused["bytes_in"], &refused["bytes_out"]), (&Value::from(0), &Value::from(0)));
}

/// A call to a service of which no endpoint takes a connection.
fn unreachable(spoken: Spoken, told: &Answer) {
    let refusing = Refusing::new();
    let stage = Stage::new(spoken, &["one"], &[], |config| {
        config.services[0].endpoints[0].address = refusing.address().to_string();
    });
    assert_eq!(stage.ask(), *told);
    stage.wait_for_calls(spoken.methods()[0], "unreachable", 1);
    assert_eq!(value(&stage.proxy, &faults("unreachable")), 1);
}

fn told_why(spoken: Spoken) {
    unreachable(spoken, &Answer::fault("unreachable"));
    // An endpoint that breaks off while it has the call.
    let stage = Stage::alone(spoken, &[]);
    stage.servers[0].reply(Reply::Break, 1);
    assert_eq!(stage.ask(), Answer::fault("connection_lost"));
}

fn closed(spoken: Spoken) {
    unreachable(spoken, &Answer::Closed);
}
