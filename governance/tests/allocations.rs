//! A decision allocates nothing once its scratch memory has grown.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

use codec::Argument;
use governance::explain::WrittenCall;
use governance::{
    Caller, Compat, Dice, Endpoint, EndpointId, EndpointIds, Loads, Options, Origin, Request,
    RuleSet, Scratch, Service, decide,
};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator; counting touches only a
// thread-local number that needs no allocation itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Idle;

impl Loads for Idle {
    fn is_available(&self, id: EndpointId) -> bool {
        id.0 != 0
    }

    fn cost(&self, _: EndpointId) -> f64 {
        1.0
    }

    fn active(&self, _: EndpointId) -> u32 {
        0
    }
}

struct Counter(u32);

impl Dice for Counter {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9);
        f64::from(self.0) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Allocations of 1,000 decisions after the first few.
fn count(rules: &[(&str, &str)], parameters: &str, call: &WrittenCall) -> u64 {
    let mut set = RuleSet::new(Compat::Documented);
    for (key, text) in rules {
        let applied = set.apply(key, Some(text), Origin::Store { revision: 1 });
        assert!(applied.is_in_force(), "{:?}", applied.findings);
    }
    let mut ids = EndpointIds::new();
    let endpoints = (0..100)
        .map(|n| {
            let region = ["hz", "bj"][n % 2];
            let url = format!(
                "dubbo://10.0.0.{n}:20880/lab.Echo?application=shop&region={region}&{parameters}"
            );
            Endpoint::from_url(&url, &mut ids).unwrap()
        })
        .collect();
    let service = Service::compile("lab.Echo", endpoints, &set, &Options::default());
    let labels: BTreeMap<String, String> = [("region".to_owned(), "hz".to_owned())].into();
    let caller = Caller { address: "10.0.0.9", application: "web", labels: &labels };
    let tried: [&[EndpointId]; 2] = [&[], &[EndpointId(2)]];
    let requests =
        tried.map(|tried| Request { head: call, caller, tried, now_ms: 1_700_000_100_000 });
    let mut scratch = Scratch::new();
    let mut dice = Counter(7);
    let mut run = |times: u32| {
        for request in requests.iter().cycle().take(times as usize) {
            decide(&service, request, &Idle, &mut dice, &mut scratch).unwrap();
        }
    };
    run(300);
    let before = ALLOCATIONS.with(Cell::get);
    run(1000);
    ALLOCATIONS.with(Cell::get) - before
}

fn call() -> WrittenCall {
    WrittenCall {
        service: "lab.Echo".into(),
        method: "sayHello".into(),
        // Borrowed by a decision as the real codec's are; a string argument of
        // a written call would be cloned.
        arguments: vec![Argument::Int(42)],
        attachments: [("user".to_owned(), "u7".to_owned())].into(),
        ..WrittenCall::default()
    }
}

const CONDITIONS: &str = "configVersion: v3.0\nconditions:\n  \
    - method=say* & host=10.0.* => region=$region\n  \
    - attachments[user]=u7 & arguments[0]=40~50 => application=shop\n";
const SPLIT: &str = "configVersion: v3.1\nconditions:\n  - from: {match: 'method=say*'}\n    \
    to: [{match: region=hz, weight: 10}, {match: region=bj, weight: 90}]\n";
const TAGS: &str = "configVersion: v3.0\ntags: [{name: gray, addresses: ['10.0.0.1']}]\n";
const CONFIGURATORS: &str = "configVersion: v3.0\nconfigs:\n  - side: consumer\n    \
    parameters: {timeout: 700, sayHello.retries: 0}\n";

#[test]
fn no_rule_allocates() {
    let rules = [
        ("lab.Echo::.condition-router", CONDITIONS),
        ("web.condition-router", SPLIT),
        ("shop.tag-router", TAGS),
        ("lab.Echo::.configurators", CONFIGURATORS),
    ];
    assert_eq!(count(&rules, "", &call()), 0);
}

const RESOURCES: &str = "kind: VirtualService\nmetadata: {name: echo}\n\
    spec: {hosts: [shop], http: [\
      {match: [{uri: {prefix: /lab.}, method: {exact: other}}], route: [{destination: {host: web}}]},\
      {match: [{uri: {regex: '/lab.+/say.*'}, headers: {user: {prefix: u}}}], timeout: 1s,\
       retries: {attempts: 1}, mirror: {host: shop}, mirrorPercentage: {value: 50},\
       fault: {delay: {fixedDelay: 1s, percentage: {value: 50}}}, route: [\
         {destination: {host: shop, subset: hz}, weight: 1},\
         {destination: {host: shop}, weight: 2}]}]}\n\
    ---\nkind: DestinationRule\nmetadata: {name: shop}\n\
    spec: {host: shop, subsets: [{name: hz, labels: {region: hz}}], \
      trafficPolicy: {loadBalancer: {BALANCER}}}\n";

#[test]
fn no_resource_allocates() {
    for balancer in [
        "simple: LEAST_REQUEST",
        "warmup: {duration: 1h}",
        "consistentHash: {httpHeaderName: user}",
    ] {
        let text = RESOURCES.replace("BALANCER", balancer);
        assert_eq!(count(&[("mesh", &text)], "timestamp=1700000000000", &call()), 0, "{balancer}");
    }
}

#[test]
fn no_balancer_allocates() {
    for balance in
        ["random", "p2c", "leastactive", "shortestresponse", "roundrobin", "consistenthash"]
    {
        let parameters = format!("loadbalance={balance}&weight=7");
        assert_eq!(count(&[], &parameters, &call()), 0, "{balance}");
    }
    assert_eq!(count(&[], "timestamp=1700000000000", &call()), 0, "while warming up");
}
