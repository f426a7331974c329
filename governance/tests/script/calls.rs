//! One script over several calls: what one leaves to the next, and clocks.

use std::collections::BTreeMap;
use std::time::Duration;

use codec::{Argument, Reason};
use governance::explain::WrittenCall;
use governance::{
    Caller, Compat, Dice, Endpoint, EndpointIds, Idle, Options, Origin, Request, Resolution,
    RuleSet, Scratch, ScriptLimits, ScriptReason, Service, decide,
};

use super::RULE;

/// Falls on the same place for ever.
struct Fixed(f64);

impl Dice for Fixed {
    fn roll(&mut self) -> f64 {
        self.0
    }
}

/// Two endpoints and a call, decided again and again by one thread.
struct Site {
    service: Service,
    call: WrittenCall,
    scratch: Scratch,
}

impl Site {
    fn new(script: &str) -> Site {
        let mut rules =
            RuleSet::new(Compat::Documented).with_scripts(Some(ScriptLimits::default()));
        let text: String = script.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("{RULE}force: true\nscript: |\n{text}");
        let applied = rules.apply("shop.script-router", Some(&text), Origin::Store { revision: 1 });
        assert!(applied.is_in_force(), "{:?}", applied.findings);
        let mut ids = EndpointIds::new();
        let endpoints = ["10.0.0.1", "10.0.0.2"]
            .map(|host| format!("dubbo://{host}:20880/lab.EchoService?application=shop"))
            .map(|url| Endpoint::from_url(&url, &mut ids).unwrap());
        let service =
            Service::compile("lab.EchoService", endpoints.into(), &rules, &Options::default());
        let call = WrittenCall {
            service: "lab.EchoService".into(),
            method: "sayHello".into(),
            attachments: [("user".to_owned(), "u7".to_owned())].into(),
            ..WrittenCall::default()
        };
        Site { service, call, scratch: Scratch::new() }
    }

    /// Whom decisions pick: two of them, one for each half that the dice fall on.
    fn left(&mut self) -> Vec<String> {
        let labels = BTreeMap::new();
        let caller = Caller { address: "10.0.0.9", application: "web", labels: &labels };
        let request = Request { head: &self.call, caller, tried: &[], now_ms: 1 << 42 };
        let mut picked = Vec::new();
        for roll in [0.25, 0.75] {
            let mut dice = Fixed(roll);
            match decide(&self.service, &request, &Idle, &mut dice, &mut self.scratch) {
                Ok(Resolution::Send(decision)) => {
                    picked.push(self.service.endpoints()[decision.endpoint].address.clone());
                }
                Ok(answer) => panic!("{answer:?}"),
                Err(fault) => assert_eq!(fault.reason, Reason::NoEndpoint),
            }
        }
        picked.dedup();
        picked
    }
}

/// Each tries to leave something behind for the next call, or to change what checks it.
#[test]
fn no_call_finds_what_another_one_left() {
    for spoil in [
        "counter = 1",
        "globalThis.counter = 1",
        "this.counter = 1",
        "var counter = 1",
        "Object.prototype.counter = 1",
        "Array.prototype.counter = 1",
        "invokers.__proto__.counter = 1",
        "invokers.get(0).constructor.counter = 1",
        "invokers.get(0).getUrl().__proto__.counter = 1",
        "invocation.counter = 1",
        "context.getAttachments().counter = 1",
        "java.util.ArrayList.counter = 1",
        "''.__proto__.counter = 1",
        "(function () {}).__proto__.counter = 1",
        "Object.setPrototypeOf(globalThis, {counter: 1})",
        "Object.defineProperty(globalThis, 'counter', {value: 1})",
        "Object.preventExtensions(globalThis)",
        "Math.counter = 1",
        "Error.prepareStackTrace = function () { return [] }",
        "invocation.__proto__ = {getAttachment: function () { return 1 }}",
        "invokers.get(0).__proto__.getUrl = function () { return 1 }",
        "Array.prototype.push = function () { return 1 }",
        "Array.prototype[Symbol.iterator] = function () { return 1 }",
        "RegExp.prototype.exec = function () { return null }",
        "Object.freeze(invokers)",
    ] {
        // Run by turns: what it spoils is looked for at each call, and nothing is there.
        let script = format!(
            "(function (invokers, invocation) {{
  if (typeof counter !== 'undefined' || ({{}}).counter || [].counter || ''.counter
      || invocation.counter || Math.counter || invokers.counter
      || invokers.get(0).getUrl().counter || invocation.getAttachment('user') !== 'u7'
      || [3].concat([4])[1] !== 4 || !/a/.test('a')) throw 'spoilt';
  try {{ (function () {{ {spoil} }}()) }} catch (e) {{ }}
  return invokers.subList(0, 1);
}}(invokers, invocation))"
        );
        let mut site = Site::new(&script);
        for call in 0..3 {
            assert_eq!(site.left(), ["10.0.0.1:20880"], "{spoil}, call {call}");
            assert_eq!(site.scratch.take_script_failure(), None, "{spoil}, call {call}");
        }
    }
}

#[test]
fn what_a_call_says_is_not_seen_by_the_next_one() {
    let mut site = Site::new(
        "(function (invokers, invocation) { var all = new java.util.ArrayList();
  if (invocation.getAttachment('user') == 'u7') all.add(invokers.get(0));
  if (invocation.arguments[0] == 'tom') all.add(invokers.get(1));
  return all; }(invokers, invocation))",
    );
    let both = ["10.0.0.1:20880", "10.0.0.2:20880"];
    for _ in 0..3 {
        site.call.attachments.insert("user".to_owned(), "u7".to_owned());
        site.call.arguments = vec![Argument::Text("tom".into())];
        assert_eq!(site.left(), both);
        site.call.attachments.clear();
        assert_eq!(site.left(), both[1..]);
        site.call.arguments.clear();
        assert_eq!(site.left(), [""; 0]);
    }
}

#[test]
fn a_clock_ends_a_script_and_the_next_call_is_not_hurt() {
    let mut site = Site::new(
        "(function (invokers, invocation) {
  while (invocation.getAttachment('user') !== 'u7') {}
  return invokers.subList(0, 1); }(invokers, invocation))",
    );
    // A look at this clock takes a millisecond.
    let looks = std::rc::Rc::new(std::cell::Cell::new(0));
    let clock = looks.clone();
    site.scratch = Scratch::with_clock(move || {
        clock.set(clock.get() + 1);
        Duration::from_millis(clock.get())
    });
    for _ in 0..3 {
        site.call.attachments.clear();
        assert_eq!(site.left().len(), 2, "the rule is left out");
        let failure = site.scratch.take_script_failure().unwrap();
        assert_eq!((failure.reason, &*failure.rule), (ScriptReason::Time, "shop.script-router"));
        assert_eq!(failure.detail, "the script takes longer than 20 ms");
        assert_eq!(site.scratch.take_script_failure(), None, "told once");
        site.call.attachments.insert("user".to_owned(), "u7".to_owned());
        assert_eq!(site.left(), ["10.0.0.1:20880"]);
        assert_eq!(site.scratch.take_script_failure(), None);
    }
    assert!(looks.get() < 300, "{} looks at the clock", looks.get());
}

#[test]
fn ten_thousand_endpoints_fit() {
    let mut rules = RuleSet::new(Compat::Documented).with_scripts(Some(ScriptLimits::default()));
    let script = "(function (invokers) { var all = new java.util.ArrayList();
    for (var i = 0; i < invokers.size(); i++) {
      if (invokers.get(i).getUrl().getParameter('region') == 'hz') all.add(invokers.get(i));
    }
    if (invokers.size() != 10000) throw invokers.size();
    return all.subList(all.size() - 1, all.size()); }(invokers))";
    let text = format!("{RULE}force: true\nscript: |\n  {script}\n");
    rules.apply("shop.script-router", Some(&text), Origin::Store { revision: 1 });
    let mut ids = EndpointIds::new();
    let endpoints = (0..10_000)
        .map(|n| {
            let region = ["hz", "bj"][n % 2];
            let (a, b) = (n / 250, n % 250);
            let parameters = format!("application=shop&region={region}");
            let url = format!("dubbo://10.0.{a}.{b}:20880/lab.EchoService?{parameters}");
            Endpoint::from_url(&url, &mut ids).unwrap()
        })
        .collect();
    let service = Service::compile("lab.EchoService", endpoints, &rules, &Options::default());
    let mut site = Site { service, ..Site::new("invokers") };
    // The last one by address.
    assert_eq!(site.left(), ["10.0.9.98:20880"]);
    assert_eq!(site.scratch.take_script_failure(), None);
}

#[test]
fn a_thread_keeps_only_so_many_scripts() {
    let mut sites: Vec<Site> = (0..100)
        .map(|n| Site::new(&format!("invokers.subList({}, {})", n % 2, n % 2 + 1)))
        .collect();
    let mut scratch = Scratch::new();
    for _ in 0..2 {
        for (n, site) in sites.iter_mut().enumerate() {
            std::mem::swap(&mut site.scratch, &mut scratch);
            assert_eq!(site.left(), [["10.0.0.1:20880", "10.0.0.2:20880"][n % 2]]);
            std::mem::swap(&mut site.scratch, &mut scratch);
        }
    }
    let kept = format!("{scratch:?}");
    assert!(kept.contains("ready: 64"), "{kept}");
}
