//! Calls that a configurator wants more for than one attempt at one endpoint: what
//! goes over the wire for each, and what the caller gets.

mod several;

use std::time::{Duration, Instant};

use proxy::config::Config;
use proxy::server::Proxy;
use tempfile::TempDir;

use crate::counters::{CALLERS, IN_FLIGHT, faults, value, wait_for, wait_until};
use crate::peers::{Refusing, assert_status};
use crate::wire::*;

const RESENDS: &str = "spanwire_resends_total";
/// A response body of type null.
const EMPTY: [u8; 1] = [0x92];

/// How many calls came to an outcome.
pub fn outcome(outcome: &str) -> String {
    format!(
        "spanwire_calls_total{{protocol=\"dubbo\",listener=\"out\",service=\"{SERVICE}\",\
         method=\"echo\",outcome=\"{outcome}\"}}"
    )
}

/// A configuration whose calls are made on these terms.
fn on_terms(mut config: Config, parameters: &str) -> (TempDir, Proxy, Wire) {
    let folder = tempfile::tempdir().unwrap();
    let rule = format!(
        "configVersion: v3.0\nscope: service\nkey: {SERVICE}\nenabled: true\nconfigs:\n  \
         - {{side: consumer, parameters: {{{parameters}}}}}\n"
    );
    std::fs::write(folder.path().join(format!("{SERVICE}::.configurators.yaml")), rule).unwrap();
    config.rules = vec![folder.path().to_owned()];
    let (proxy, caller) = start(config);
    (folder, proxy, caller)
}

/// Some providers, in the order of their addresses, and calls to them on these terms.
fn providers<const N: usize>(parameters: &str) -> ([Provider; N], TempDir, Proxy, Wire) {
    let mut providers = [(); N].map(|()| Provider::new());
    providers.sort_by_key(|provider| provider.address().to_string());
    let config = outbound(&providers.each_ref().map(Provider::address));
    let (folder, proxy, caller) = on_terms(config, parameters);
    (providers, folder, proxy, caller)
}

/// A provider's own refusal, which Java repeats elsewhere.
pub fn refusal(call: &Frame) -> Frame {
    Frame { flags: RESPONSE, status: 80, id: call.id, body: string("out of order") }
}

/// An exception of the provider's own code.
pub fn exception(call: &Frame) -> Frame {
    let body = [&[0x90, b'C'][..], &string("lab.Refused"), &[0x90, 0x60]].concat();
    Frame { flags: RESPONSE, status: 20, id: call.id, body }
}

/// The provider that a call arrived at, its connection, and the call.
pub fn arrival<const N: usize>(providers: &[Provider; N]) -> (usize, Wire, Frame) {
    let deadline = Instant::now() + SOON;
    loop {
        for (index, provider) in providers.iter().enumerate() {
            if let Some(mut wire) = provider.try_next() {
                let call = wire.expect();
                return (index, wire, call);
            }
        }
        assert!(Instant::now() < deadline, "no call arrived anywhere");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn call(caller: &mut Wire, id: u64) {
    caller.send(&Request::new(id).bytes());
}

#[test]
fn a_forced_mock_answers_and_no_provider_is_asked() {
    let ([provider], _folder, proxy, mut caller) =
        providers("mock: 'force:return \"in your place\"'");
    call(&mut caller, 7);
    let answer = caller.expect();
    assert_eq!((answer.status, answer.id), (20, 7));
    assert_eq!(answer.body, [&[0x91][..], &string("in your place")].concat());
    // Nobody waits for the answer to a one-way call.
    caller.send(&Request { flags: ONE_WAY, ..Request::new(8) }.bytes());
    wait_for(&proxy, &outcome("degraded"), 2);
    assert!(caller.is_quiet(Duration::from_millis(20)));
    assert!(provider.is_left_alone(Duration::from_millis(20)));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn a_mock_of_one_method_is_no_other_methods() {
    let ([provider], _folder, _proxy, mut caller) = providers("echo.mock: 'force:return null'");
    provider.echo_forever();
    call(&mut caller, 1);
    assert_eq!(caller.expect().body, EMPTY);
    caller.send(&Request { method: "other", ..Request::new(2) }.bytes());
    assert!(caller.expect().text().contains("pong"));
}

#[test]
fn a_forced_mock_can_raise_an_exception() {
    let ([_provider], _folder, _proxy, mut caller) = providers("mock: 'force:throw lab.Refused'");
    call(&mut caller, 1);
    let answer = caller.expect();
    assert_eq!((answer.status, answer.body[0]), (20, 0x90));
    assert!(answer.text().contains("lab.Refused"), "{}", answer.text());
    assert!(answer.text().contains("mocked exception for service degradation."));
}

#[test]
fn a_mock_answers_for_a_service_that_nobody_provides() {
    let (_folder, proxy, mut caller) = on_terms(outbound(&[]), "mock: 'fail:return 5'");
    call(&mut caller, 1);
    assert_eq!(caller.expect().body, [0x91, 0x95]);
    assert_eq!(value(&proxy, &outcome("degraded")), 1);
    assert_eq!(value(&proxy, &faults("no_endpoint")), 1);
}

#[test]
fn a_fail_mock_replaces_failures_and_no_business_exceptions() {
    let ([provider], _folder, proxy, mut caller) = providers("mock: 'fail:return true'");
    call(&mut caller, 1);
    let mut upstream = provider.accept();
    let came = upstream.expect();
    upstream.send(&refusal(&came).bytes());
    assert_eq!(caller.expect().body, [0x91, b'T']);
    call(&mut caller, 2);
    let came = upstream.expect();
    upstream.send(&exception(&came).bytes());
    assert_eq!(caller.expect().body, exception(&came).body);
    call(&mut caller, 3);
    let came = upstream.expect();
    upstream.send(&came.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
    // The connection breaks.
    call(&mut caller, 4);
    upstream.expect();
    drop((upstream, provider));
    assert_eq!(caller.expect().body, [0x91, b'T']);
    // And now there is none to be had.
    call(&mut caller, 5);
    assert_eq!(caller.expect().body, [0x91, b'T']);
    assert_eq!(value(&proxy, &outcome("degraded")), 3);
    assert_eq!(value(&proxy, &faults("connection_lost")), 1);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn failsafe_makes_nothing_of_a_failure() {
    let ([provider], _folder, proxy, mut caller) = providers("cluster: failsafe");
    call(&mut caller, 1);
    let mut upstream = provider.accept();
    let came = upstream.expect();
    upstream.send(&refusal(&came).bytes());
    assert_eq!(caller.expect().body, EMPTY);
    caller.send(&Request { attachments: vec![("timeout", "40")], ..Request::new(2) }.bytes());
    upstream.expect();
    assert_eq!(caller.expect().body, EMPTY);
    assert_eq!(value(&proxy, &faults("timeout")), 1);
    assert_eq!(value(&proxy, &outcome("degraded")), 2);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn failsafe_makes_nothing_of_a_provider_that_is_not_there() {
    let refusing = Refusing::new();
    let (_folder, proxy, mut caller) =
        on_terms(outbound(&[refusing.address()]), "cluster: failsafe");
    call(&mut caller, 1);
    assert_eq!(caller.expect().body, EMPTY);
    assert_eq!(value(&proxy, &faults("unreachable")), 1);
}

#[test]
fn failback_answers_at_once_and_repeats_the_call_later() {
    let (both, _folder, proxy, mut caller) = providers::<2>("cluster: failback");
    call(&mut caller, 1);
    let (_, mut upstream, came) = arrival(&both);
    let failed = Instant::now();
    upstream.send(&refusal(&came).bytes());
    assert_eq!(caller.expect().body, EMPTY);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    assert_eq!(value(&proxy, &outcome("degraded")), 1);
    // Nobody has to wait for it.
    caller.hang_up();
    let mut other = None;
    let again = loop {
        assert!(failed.elapsed() < Duration::from_secs(30), "it was not repeated");
        if !upstream.is_quiet(Duration::from_millis(10)) {
            break upstream.expect();
        }
        if let Some(wire) = both.iter().find_map(Provider::try_next) {
            break other.insert(wire).expect();
        }
    };
    assert!(failed.elapsed() >= Duration::from_secs(5), "{:?}", failed.elapsed());
    assert_eq!(Frame { id: 0, ..again.clone() }, Frame { id: 0, ..came });
    other.as_mut().unwrap_or(&mut upstream).send(&again.answer(&string("pong")).bytes());
    wait_for(&proxy, r#"spanwire_failbacks_total{result="answered"}"#, 1);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn failover_repeats_a_failed_call_where_a_rule_says_so() {
    let (both, _folder, proxy, mut caller) = providers::<2>("retries: 1");
    call(&mut caller, 5);
    let (first, mut upstream, came) = arrival(&both);
    upstream.send(&refusal(&came).bytes());
    let mut other = both[1 - first].accept();
    let again = other.expect();
    assert_eq!(Frame { id: 0, ..again.clone() }, Frame { id: 0, ..came });
    other.send(&again.answer(&string("pong")).bytes());
    let answer = caller.expect();
    assert_eq!(answer.id, 5);
    assert!(answer.text().contains("pong"));
    assert_eq!((value(&proxy, RESENDS), value(&proxy, IN_FLIGHT)), (1, 0));
    assert_eq!(value(&proxy, &outcome("success")), 1);
    // Both fail: the last failure is the caller's.
    call(&mut caller, 6);
    wait_until("two attempts", || {
        for wire in [&mut upstream, &mut other] {
            if !wire.is_quiet(Duration::from_millis(1)) {
                let came = wire.expect();
                wire.send(&refusal(&came).bytes());
            }
        }
        let resent = value(&proxy, RESENDS);
        if resent == 2 && value(&proxy, IN_FLIGHT) == 0 { Ok(()) } else { Err(resent.to_string()) }
    });
    let answer = caller.expect();
    assert_eq!((answer.id, answer.status), (6, 80));
}

#[test]
fn a_lone_provider_is_asked_again_and_a_lost_connection_made_again() {
    let ([provider], _folder, _proxy, mut caller) = providers("echo.retries: 2");
    call(&mut caller, 1);
    let mut upstream = provider.accept();
    upstream.expect();
    drop(upstream);
    let mut upstream = provider.accept();
    let came = upstream.expect();
    upstream.send(&refusal(&came).bytes());
    let came = upstream.expect();
    upstream.send(&came.answer(&string("pong")).bytes());
    assert!(caller.expect().text().contains("pong"));
}

#[test]
fn no_call_that_was_sent_is_repeated_without_a_rule() {
    let (both, _folder, proxy, mut caller) = providers::<2>("timeout: 60000");
    call(&mut caller, 1);
    let (first, mut upstream, came) = arrival(&both);
    upstream.send(&refusal(&came).bytes());
    assert_eq!(caller.expect().status, 80);
    assert!(both[1 - first].is_left_alone(Duration::from_millis(20)));
    assert_eq!(value(&proxy, RESENDS), 0);
}

#[test]
fn business_exceptions_are_never_repeated() {
    let (both, _folder, proxy, mut caller) = providers::<2>("retries: 3");
    call(&mut caller, 1);
    let (first, mut upstream, came) = arrival(&both);
    upstream.send(&exception(&came).bytes());
    assert_eq!(caller.expect().body, exception(&came).body);
    assert!(both[1 - first].is_left_alone(Duration::from_millis(20)));
    assert_eq!(value(&proxy, RESENDS), 0);
}

#[test]
fn the_first_available_takes_every_call() {
    let ([first, second], _folder, _proxy, mut caller) = providers("cluster: available");
    let mut upstream = None;
    for id in 0..20 {
        call(&mut caller, id);
        let upstream = upstream.get_or_insert_with(|| first.accept());
        let came = upstream.expect();
        upstream.send(&came.answer(&string("pong")).bytes());
        caller.expect();
    }
    assert!(second.is_left_alone(Duration::from_millis(10)));
}

#[test]
fn sticky_calls_stay_where_they_are_while_they_can() {
    let (both, _folder, _proxy, mut caller) = providers::<2>("sticky: true");
    call(&mut caller, 0);
    let (first, mut upstream, mut came) = arrival(&both);
    for id in 1..30 {
        upstream.send(&came.answer(&string("pong")).bytes());
        caller.expect();
        call(&mut caller, id);
        came = upstream.expect();
    }
    // Only what takes no more calls is left.
    let read_only = Frame { flags: READ_ONLY, id: 1, body: b"\x01R".to_vec(), ..Frame::default() };
    upstream.send(&read_only.bytes());
    upstream.send(&came.answer(&string("pong")).bytes());
    caller.expect();
    call(&mut caller, 30);
    both[1 - first].accept().expect();
}

#[test]
fn calls_with_the_same_argument_go_to_the_same_endpoint() {
    let providers = [(); 3].map(|()| {
        Provider::new().answer_forever(|call| {
            let address = std::thread::current().name().unwrap_or_default().to_owned();
            call.answer(&string(&address))
        })
    });
    let (_folder, _proxy, mut caller) =
        on_terms(outbound(&providers), "loadbalance: consistenthash, hash.arguments: '0'");
    let mut seen = std::collections::BTreeMap::new();
    for id in 0..300 {
        let argument = format!("user-{}", id % 30);
        caller.send(&Request { argument: &argument, ..Request::new(id) }.bytes());
        let text = caller.expect().text();
        let before = seen.entry(argument).or_insert_with(|| text.clone());
        assert_eq!(*before, text);
    }
    let used: std::collections::BTreeSet<_> = seen.values().collect();
    assert_eq!(used.len(), 3, "{seen:?}");
}

#[test]
fn calls_over_the_limit_wait_for_others_to_end() {
    let ([provider], _folder, proxy, mut caller) = providers("actives: 2");
    for id in 0..3 {
        call(&mut caller, id);
    }
    let mut upstream = provider.accept();
    let (one, two) = (upstream.expect(), upstream.expect());
    assert!(upstream.is_quiet(Duration::from_millis(30)));
    assert_eq!(value(&proxy, IN_FLIGHT), 3);
    upstream.send(&one.answer(&string("pong")).bytes());
    assert_eq!(caller.expect().id, 0);
    let three = upstream.expect();
    for came in [two, three] {
        upstream.send(&came.answer(&string("pong")).bytes());
        caller.expect();
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    // One that waits in vain is told why, in time.
    for _ in 0..2 {
        call(&mut caller, 5);
        upstream.expect();
    }
    caller.send(&Request { attachments: vec![("timeout", "50")], ..Request::new(6) }.bytes());
    let says = ["2 calls of the method are in flight", "was not sent", "`actives`"];
    assert_status(&caller.expect(), 6, 100, "overloaded", &says);
    // And one whose caller leaves is forgotten.
    call(&mut caller, 7);
    wait_for(&proxy, IN_FLIGHT, 3);
    caller.hang_up();
    wait_for(&proxy, IN_FLIGHT, 2);
}

#[test]
fn nothing_is_left_when_the_caller_goes_away() {
    for parameters in ["retries: 3", "cluster: forking", "cluster: broadcast", "cluster: failsafe"]
    {
        let (both, _folder, proxy, mut caller) = providers::<2>(parameters);
        caller.send(&Request { attachments: vec![("timeout", "3000")], ..Request::new(1) }.bytes());
        let (_, mut wire, came) = arrival(&both);
        caller.reset();
        wait_for(&proxy, CALLERS, 0);
        wire.send(&refusal(&came).bytes());
        wait_for(&proxy, IN_FLIGHT, 0);
        assert_eq!(value(&proxy, &outcome("cancelled")), 1, "{parameters}");
        assert_eq!(value(&proxy, RESENDS), 0, "{parameters}");
    }
}
