//! What a script costs: a decision over 10 and over 1,000 endpoints, and scripts that are
//! written to cost time, which a clock ends after 20 ms.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use codec::Argument;
use criterion::{Criterion, criterion_group, criterion_main};
use governance::explain::WrittenCall;
use governance::{
    Caller, Compat, Dice, Endpoint, EndpointIds, Idle, Options, Origin, Request, RuleSet, Scratch,
    ScriptLimits, Service, decide,
};

#[path = "../tests/script/hostile.rs"]
mod hostile;

struct Middle;

impl Dice for Middle {
    fn roll(&mut self) -> f64 {
        0.5
    }
}

fn service(count: usize, script: &str) -> Service {
    let limits = Some(ScriptLimits::default());
    let mut rules = RuleSet::new(Compat::Documented).with_scripts(limits);
    let script: String = script.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("configVersion: v3.0\nforce: true\nscript: |\n{script}");
    let applied = rules.apply("shop.script-router", Some(&text), Origin::Store { revision: 1 });
    assert!(applied.is_in_force(), "{:?}", applied.findings);
    let mut ids = EndpointIds::new();
    let endpoints = (0..count)
        .map(|n| {
            let region = ["hz", "bj"][n % 2];
            let (a, b) = (n / 250, n % 250);
            let url =
                format!("dubbo://10.0.{a}.{b}:20880/lab.Echo?application=shop&region={region}");
            Endpoint::from_url(&url, &mut ids).unwrap()
        })
        .collect();
    Service::compile("lab.Echo", endpoints, &rules, &Options::default())
}

fn scripts(criterion: &mut Criterion) {
    let call = WrittenCall {
        service: "lab.Echo".into(),
        method: "sayHello".into(),
        arguments: vec![Argument::Text("tom".into()), Argument::Int(42)],
        attachments: [("user".to_owned(), "u7".to_owned())].into(),
        ..WrittenCall::default()
    };
    let labels = BTreeMap::new();
    let caller = Caller { address: "10.1.2.3", application: "web", labels: &labels };
    let request = Request { head: &call, caller, tried: &[], now_ms: 1 << 42 };
    let clock = || {
        let start = Instant::now();
        Scratch::with_clock(move || start.elapsed())
    };
    let by_region = "(function route(invokers, invocation, context) {
        var result = new java.util.ArrayList(invokers.size());
        for (var i = 0; i < invokers.size(); i++) {
          var url = invokers.get(i).getUrl();
          if (url.getParameter('region') == 'hz' && invocation.getAttachment('user') == 'u7') {
            result.add(invokers.get(i));
          }
        }
        return result;
      }(invokers, invocation, context));";
    for count in [10, 1000] {
        let service = service(count, by_region);
        let mut scratch = Scratch::new();
        decide(&service, &request, &Idle, &mut Middle, &mut scratch).unwrap();
        assert_eq!(scratch.take_script_failure(), None);
        let mut scratch = clock();
        criterion.bench_function(&format!("a script over {count} endpoints"), |bencher| {
            bencher.iter(|| {
                black_box(decide(&service, &request, &Idle, &mut Middle, &mut scratch)).unwrap()
            });
        });
    }
    let mut group = criterion.benchmark_group("a script that would not end");
    group.sample_size(10).warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_millis(500));
    for (number, script) in hostile::SCRIPTS.iter().enumerate() {
        let service = service(10, script);
        let mut scratch = clock();
        let short: String = script.chars().take(60).collect();
        group.bench_function(format!("{number:02} {}", short.replace('/', "|")), |bencher| {
            bencher.iter(|| {
                black_box(decide(&service, &request, &Idle, &mut Middle, &mut scratch)).ok()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scripts);
criterion_main!(benches);
