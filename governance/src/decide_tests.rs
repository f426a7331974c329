//! Tests of decisions without rules: group, version, weight, health, balancing.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use codec::Reason;

use crate::explain::WrittenCall;
use crate::rules::RuleSet;
use crate::{
    Caller, Decision, Dice, Endpoint, EndpointId, EndpointIds, Loads, Options, Request, Scratch,
    Service, decide,
};

/// A simple generator: good enough to see a distribution.
struct Xorshift(u64);

impl Dice for Xorshift {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Default)]
struct Known {
    unavailable: HashSet<EndpointId>,
    costs: BTreeMap<EndpointId, f64>,
}

impl Loads for Known {
    fn is_available(&self, id: EndpointId) -> bool {
        !self.unavailable.contains(&id)
    }

    fn cost(&self, id: EndpointId) -> f64 {
        self.costs.get(&id).copied().unwrap_or(1.0)
    }

    fn active(&self, id: EndpointId) -> u32 {
        self.costs.get(&id).map_or(0, |cost| *cost as u32)
    }
}

fn service(urls: &[&str]) -> Service {
    let mut ids = EndpointIds::new();
    let endpoints = urls.iter().map(|url| Endpoint::from_url(url, &mut ids).unwrap()).collect();
    Service::compile("lab.Echo", endpoints, &RuleSet::default(), &Options::default())
}

fn call(group: &str, version: &str) -> WrittenCall {
    WrittenCall {
        service: "lab.Echo".into(),
        method: "echo".into(),
        group: group.into(),
        version: version.into(),
        ..WrittenCall::default()
    }
}

fn ask(
    service: &Service,
    call: &WrittenCall,
    tried: &[EndpointId],
    loads: &Known,
    dice: &mut Xorshift,
    now_ms: u64,
) -> Result<Decision, codec::Fault> {
    let labels = BTreeMap::new();
    let caller = Caller { address: "10.0.0.9", application: "web", labels: &labels };
    let request = Request { head: call, caller, tried, now_ms };
    match decide(service, &request, loads, dice, &mut Scratch::new())? {
        crate::Resolution::Send(decision) => Ok(decision),
        answer => panic!("{answer:?}"),
    }
}

/// How often each endpoint is chosen in 20,000 calls.
fn shares(service: &Service, call: &WrittenCall, loads: &Known, now_ms: u64) -> Vec<u32> {
    let mut dice = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut counts = vec![0; service.endpoints().len()];
    for _ in 0..20_000 {
        counts[ask(service, call, &[], loads, &mut dice, now_ms).unwrap().endpoint] += 1;
    }
    counts
}

fn assert_near(found: u32, expected: u32) {
    assert!(found.abs_diff(expected) < 400, "{found} is not near {expected}");
}

#[test]
fn random_follows_the_weights_exactly_and_gives_weight_zero_nothing() {
    let service = service(&[
        "dubbo://a:1/lab.Echo?weight=1",
        "dubbo://b:1/lab.Echo?weight=9",
        "dubbo://c:1/lab.Echo?weight=0",
        "dubbo://d:1/lab.Echo?weight=50&disabled=true",
    ]);
    let counts = shares(&service, &call("", ""), &Known::default(), 0);
    assert_near(counts[0], 2_000);
    assert_near(counts[1], 18_000);
    assert_eq!(counts[2..], [0, 0]);
}

#[test]
fn one_to_one_is_one_to_one() {
    let service = service(&["dubbo://a:1/lab.Echo?weight=1", "dubbo://b:1/lab.Echo?weight=1"]);
    let counts = shares(&service, &call("", ""), &Known::default(), 0);
    assert_near(counts[0], 10_000);
}

#[test]
fn a_warming_endpoint_gets_its_share() {
    let service = service(&["dubbo://a:1/lab.Echo", "dubbo://b:1/lab.Echo?timestamp=1000000"]);
    let counts = shares(&service, &call("", ""), &Known::default(), 1_150_000);
    assert_near(counts[0], 16_000);
}

#[test]
fn only_endpoints_of_the_group_and_version_answer() {
    let service = service(&[
        "dubbo://a:1/lab.Echo?group=g&version=1",
        "dubbo://b:1/lab.Echo?version=1",
        "dubbo://c:1/lab.Echo?group=g&version=2",
    ]);
    let who = |group: &str, version: &str| {
        let known = Known::default();
        let mut found: Vec<usize> = (1..200)
            .filter_map(|seed| {
                let mut dice = Xorshift(0x9e37_79b9_7f4a_7c15 ^ (seed << 40));
                ask(&service, &call(group, version), &[], &known, &mut dice, 0).ok()
            })
            .map(|decision| decision.endpoint)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    assert_eq!(who("g", "1"), [0]);
    assert_eq!(who("", "1"), [1]);
    assert_eq!(who("*", "1"), [0, 1]);
    assert_eq!(who("g", "*"), [0, 2]);
    assert_eq!(who("g", "1, 2"), [0, 2]);
    let fault = ask(&service, &call("g", "3"), &[], &Known::default(), &mut Xorshift(1), 0);
    let fault = fault.unwrap_err();
    assert_eq!(fault.reason, Reason::NoEndpoint);
    assert_eq!(
        fault.detail,
        "no endpoint provides lab.Echo in group g, version 3; it is provided in no group, \
         version 1 (1), group g, version 1 (1), group g, version 2 (1)"
    );
}

#[test]
fn unavailable_and_tried_endpoints_are_the_last_resort() {
    let service = service(&["dubbo://a:1/lab.Echo", "dubbo://b:1/lab.Echo"]);
    let ids: Vec<EndpointId> = service.endpoints().iter().map(|e| e.id).collect();
    let mut known = Known::default();
    known.unavailable.insert(ids[0]);
    assert_eq!(shares(&service, &call("", ""), &known, 0), [0, 20_000]);
    let mut dice = Xorshift(7);
    let after_b = ask(&service, &call("", ""), &ids[1..], &known, &mut dice, 0).unwrap();
    assert_eq!((after_b.endpoint, after_b.repeats), (0, false), "unavailable, but not tried");
    let again = ask(&service, &call("", ""), &ids, &known, &mut dice, 0).unwrap();
    assert!(again.repeats);
}

#[test]
fn with_only_weightless_endpoints_there_is_a_fault_that_says_so() {
    let service = service(&["dubbo://a:1/lab.Echo?weight=0", "dubbo://b:1/lab.Echo?weight=0"]);
    let fault =
        ask(&service, &call("", ""), &[], &Known::default(), &mut Xorshift(1), 0).unwrap_err();
    assert_eq!(fault.detail, "every endpoint left for lab.Echo has weight 0");
}

#[test]
fn p2c_prefers_the_cheaper_of_two() {
    let service = service(&[
        "dubbo://a:1/lab.Echo?loadbalance=p2c",
        "dubbo://b:1/lab.Echo?loadbalance=p2c",
        "dubbo://c:1/lab.Echo?loadbalance=p2c",
    ]);
    let mut known = Known::default();
    known.costs.insert(service.endpoints()[1].id, 10.0);
    let counts = shares(&service, &call("", ""), &known, 0);
    assert_eq!(counts[1], 0, "the dearest of three loses every pair");
    assert_near(counts[0], 10_000);
}

#[test]
fn the_callers_timeout_goes_before_the_providers() {
    let service = service(&["dubbo://a:1/lab.Echo?timeout=3000&echo.retries=0"]);
    let mut dice = Xorshift(1);
    let mut call = call("", "");
    let decision = ask(&service, &call, &[], &Known::default(), &mut dice, 0).unwrap();
    assert_eq!(decision.timeout, Some(Duration::from_millis(3000)));
    assert_eq!(decision.retries, 0);
    call.timeout = Some(Duration::from_millis(7));
    let decision = ask(&service, &call, &[], &Known::default(), &mut dice, 0).unwrap();
    assert_eq!(decision.timeout, Some(Duration::from_millis(7)));
}
