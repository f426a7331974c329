//! What a decision costs: 1,000 rules over 200 services with 10,000 endpoints.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::hint::black_box;

use codec::Argument;
use criterion::{Criterion, criterion_group, criterion_main};
use governance::explain::WrittenCall;
use governance::{
    Caller, Compat, Dice, Endpoint, EndpointId, EndpointIds, Loads, Options, Origin, Request,
    RuleSet, Scratch, Service, decide,
};

struct Idle;

impl Loads for Idle {
    fn is_available(&self, _: EndpointId) -> bool {
        true
    }

    fn cost(&self, _: EndpointId) -> f64 {
        1.0
    }

    fn active(&self, _: EndpointId) -> u32 {
        0
    }
}

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
                "dubbo://10.{}.{}.{}:20880/{}?application=shop&region={region}&env=prod\
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

/// Five conditions each about method, host, application and region.
fn rules(services: usize) -> RuleSet {
    let mut rules = RuleSet::new(Compat::Documented);
    for service in 0..services {
        let text = "configVersion: v3.0\nconditions:\n  \
                    - method=get* => region=hz,bj,sh\n  \
                    - application=web & method=sayHello => region=$region\n  \
                    - host=10.9.* => env=gray\n  \
                    - method=sayBye => host=10.0.0.1\n  \
                    - region=nowhere => region=bj\n";
        let key = format!("{}::.condition-router", name(service));
        let applied = rules.apply(&key, Some(text), Origin::Store { revision: 1 });
        assert!(applied.is_in_force(), "{:?}", applied.findings);
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

fn decisions(criterion: &mut Criterion) {
    let mut ids = EndpointIds::new();
    let all = rules(200);
    let options = Options { callers: Some(vec!["web".to_owned()]) };
    let services: Vec<Service> = (0..200)
        .map(|n| Service::compile(&name(n), endpoints(n, 50, &mut ids), &all, &options))
        .collect();
    let calls: Vec<WrittenCall> = (0..200).map(call).collect();
    let labels: BTreeMap<String, String> = [("region".to_owned(), "hz".to_owned())].into();
    let caller = Caller { address: "10.1.2.3", application: "web", labels: &labels };
    let mut scratch = Scratch::new();
    let mut dice = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut next = 0;
    criterion.bench_function("1000 conditions, 200 services, 10000 endpoints", |bencher| {
        bencher.iter(|| {
            next = (next + 1) % services.len();
            let request = Request { head: &calls[next], caller, tried: &[], now_ms: 1 << 42 };
            black_box(decide(&services[next], &request, &Idle, &mut dice, &mut scratch)).unwrap()
        });
    });

    let text = "configVersion: v3.0\nconditions:\n  \
                - attachments[user]=u1*,u7 & arguments[1]=40~50 => region=hz\n";
    let mut reading = RuleSet::new(Compat::Documented);
    let key = format!("{}::.condition-router", name(0));
    reading.apply(&key, Some(text), Origin::Store { revision: 1 });
    let service = Service::compile(&name(0), endpoints(0, 50, &mut ids), &reading, &options);
    criterion.bench_function("attachment and argument", |bencher| {
        bencher.iter(|| {
            let request = Request { head: &calls[0], caller, tried: &[], now_ms: 1 << 42 };
            black_box(decide(&service, &request, &Idle, &mut dice, &mut scratch)).unwrap()
        });
    });

    let split = "configVersion: v3.1\nconditions:\n  - from: {match: 'method=say*'}\n    \
                 to: [{match: region=hz, weight: 10}, {match: region=bj, weight: 90}]\n";
    let mut splitting = RuleSet::new(Compat::Documented);
    splitting.apply(&key, Some(split), Origin::Store { revision: 1 });
    let service = Service::compile(&name(0), endpoints(0, 50, &mut ids), &splitting, &options);
    criterion.bench_function("split by weight", |bencher| {
        bencher.iter(|| {
            let request = Request { head: &calls[0], caller, tried: &[], now_ms: 1 << 42 };
            black_box(decide(&service, &request, &Idle, &mut dice, &mut scratch)).unwrap()
        });
    });

    let large = Service::compile(&name(0), endpoints(0, 1000, &mut ids), &all, &options);
    criterion.bench_function("recompile a service with 1000 endpoints", |bencher| {
        bencher.iter(|| black_box(large.recompile(&all)));
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
