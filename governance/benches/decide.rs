//! What a decision costs: 1,000 rules over 200 services with 10,000 endpoints, as
//! conditions of one kind and as documents of every kind; and a changed rule.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::hint::black_box;

use codec::Argument;
use criterion::{Criterion, criterion_group, criterion_main};
use governance::explain::WrittenCall;
use governance::{
    Caller, Compat, Dice, Endpoint, EndpointIds, Idle, Options, Origin, Request, RuleSet, Scratch,
    Service, decide,
};

struct Xorshift(u64);

impl Dice for Xorshift {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn name(service: usize) -> String {
    format!("com.example.trade.Service{service}")
}

fn endpoints(service: usize, count: usize, ids: &mut EndpointIds) -> Vec<Endpoint> {
    (0..count)
        .map(|n| {
            let region = ["hz", "bj", "sh"][n % 3];
            let url = format!(
                "dubbo://10.{}.{}.{}:20880/{}?application=shop{service}&region={region}&env=prod\
                 &methods=sayHello,get&side=provider&timestamp=1700000000000&release=3.3.6",
                service % 256,
                n / 256,
                n % 256,
                name(service)
            );
            Endpoint::from_url(&url, ids).unwrap()
        })
        .collect()
}

fn apply(rules: &mut RuleSet, key: &str, text: &str) {
    let applied = rules.apply(key, Some(text), Origin::Store { revision: 1 });
    assert!(applied.is_in_force(), "{:?}", applied.findings);
}

const PLAIN: &str = "application=web & method=sayHello => region=$region";
const READING: &str = "attachments[user]=u1*,u7 & arguments[1]=40~50 => region=$region";

/// Five conditions for each service, about method, host, application and region,
/// and one more.
fn conditions(services: usize, one: &str) -> RuleSet {
    let mut rules = RuleSet::new(Compat::Documented);
    for service in 0..services {
        let text = format!(
            "configVersion: v3.0\nconditions:\n  - method=get* => region=hz,bj,sh\n  - {one}\n  \
             - host=10.9.* => env=gray\n  - method=sayBye => host=10.0.0.1\n  \
             - region=nowhere => region=bj\n"
        );
        apply(&mut rules, &format!("{}::.condition-router", name(service)), &text);
    }
    rules
}

/// Five documents for each service: its conditions, affinity and configurators,
/// and the conditions and tags of the application that provides it.
fn documents(services: usize) -> RuleSet {
    let mut rules = RuleSet::new(Compat::Documented);
    for service in 0..services {
        let about = name(service);
        let mut add = |key: String, text: &str| apply(&mut rules, &key, text);
        add(
            format!("{about}::.condition-router"),
            &format!("configVersion: v3.0\nconditions: ['{PLAIN}']\n"),
        );
        add(
            format!("{about}::.affinity-router"),
            "configVersion: v3.1\naffinityAware: {key: env, ratio: 50}\n",
        );
        add(
            format!("{about}::.configurators"),
            &format!(
                "configVersion: v3.0\nkey: {about}\nconfigs:\n  \
                 - {{side: consumer, parameters: {{timeout: 2000}}}}\n"
            ),
        );
        add(
            format!("shop{service}.condition-router"),
            "configVersion: v3.1\nconditions:\n  - from: {match: 'method=say*'}\n    \
             to: [{match: region=hz, weight: 5000}, {match: region=bj, weight: 5000}]\n",
        );
        add(
            format!("shop{service}.tag-router"),
            &format!(
                "configVersion: v3.0\ntags: [{{name: gray, addresses: ['10.{}.0.1:20880']}}]\n",
                service % 256
            ),
        );
    }
    rules
}

fn call(service: usize) -> WrittenCall {
    WrittenCall {
        service: name(service),
        method: "sayHello".into(),
        arguments: vec![Argument::Text("tom".into()), Argument::Int(42)],
        attachments: [("user".to_owned(), "u7".to_owned())].into(),
        ..WrittenCall::default()
    }
}

/// One of the services after another, so that their tables are not at hand.
fn over_services(criterion: &mut Criterion, about: &str, rules: &RuleSet) {
    let mut ids = EndpointIds::new();
    let services: Vec<Service> = (0..200)
        .map(|n| Service::compile(&name(n), endpoints(n, 50, &mut ids), rules, &of_web()))
        .collect();
    decide_over(criterion, about, &services);
}

fn of_web() -> Options {
    Options { callers: Some(vec!["web".to_owned()]) }
}

fn decide_over(criterion: &mut Criterion, about: &str, services: &[Service]) {
    let calls: Vec<WrittenCall> = (0..services.len()).map(call).collect();
    let labels: BTreeMap<String, String> =
        [("region".to_owned(), "hz".to_owned()), ("env".to_owned(), "prod".to_owned())].into();
    let caller = Caller { address: "10.1.2.3", application: "web", labels: &labels };
    let mut scratch = Scratch::new();
    let mut dice = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut next = 0;
    criterion.bench_function(about, |bencher| {
        bencher.iter(|| {
            next = (next + 1) % services.len();
            let request = Request { head: &calls[next], caller, tried: &[], now_ms: 1 << 42 };
            black_box(decide(&services[next], &request, &Idle, &mut dice, &mut scratch)).unwrap()
        });
    });
}

fn decisions(criterion: &mut Criterion) {
    over_services(criterion, "1000 conditions, 200 services", &conditions(200, PLAIN));
    over_services(criterion, "1000 conditions, attachment and argument", &conditions(200, READING));
    over_services(criterion, "1000 documents of five kinds", &documents(200));

    let mut ids = EndpointIds::new();
    let split = "configVersion: v3.1\nconditions:\n  - from: {match: 'method=say*'}\n    \
                 to: [{match: region=hz, weight: 10}, {match: region=bj, weight: 90}]\n";
    let mut splitting = RuleSet::new(Compat::Documented);
    apply(&mut splitting, &format!("{}::.condition-router", name(0)), split);
    let service = Service::compile(&name(0), endpoints(0, 50, &mut ids), &splitting, &of_web());
    decide_over(criterion, "split by weight", std::slice::from_ref(&service));
}

/// A rule of one service changes: it is read, the services that it names are found
/// among 200, and the one with 1,000 endpoints is compiled again.
fn changes(criterion: &mut Criterion) {
    let mut ids = EndpointIds::new();
    let mut rules = documents(200);
    let services: Vec<Service> = (0..200)
        .map(|n| {
            let count = if n == 0 { 1000 } else { 50 };
            Service::compile(&name(n), endpoints(n, count, &mut ids), &rules, &of_web())
        })
        .collect();
    let key = format!("{}::.condition-router", name(0));
    let text = format!("configVersion: v3.0\nconditions: ['{PLAIN}']\n");
    criterion.bench_function("a changed rule, 1000 endpoints", |bencher| {
        bencher.iter(|| {
            let applied = rules.apply(&key, Some(&text), Origin::Store { revision: 2 });
            let named = services.iter().filter(|service| service.is_affected(&applied.affected));
            let compiled: Vec<Service> = named.map(|service| service.recompile(&rules)).collect();
            assert_eq!(compiled.len(), 1);
            black_box(compiled)
        });
    });
}

criterion_group!(benches, decisions, changes);
criterion_main!(benches);
