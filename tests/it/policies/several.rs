//! Calls that go to several endpoints: at once (forking), or one after another
//! (broadcast).

use super::*;

#[test]
fn forks_ask_several_and_the_first_answer_counts() {
    let (all, _folder, proxy, mut caller) = providers::<3>("cluster: forking, forks: 2");
    call(&mut caller, 9);
    let (one, mut first, came) = arrival(&all);
    let (two, mut second, same) = arrival(&all);
    assert_ne!(one, two);
    assert_eq!(same.body, came.body);
    let third = &all[3 - one - two];
    assert!(third.is_left_alone(Duration::from_millis(20)));
    // A failure does not count while another may still answer.
    first.send(&refusal(&came).bytes());
    assert!(caller.is_quiet(Duration::from_millis(20)));
    second.send(&same.answer(&string("pong")).bytes());
    let answer = caller.expect();
    assert!(answer.id == 9 && answer.text().contains("pong"));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
    assert_eq!(value(&proxy, &outcome("success")), 1);
}

#[test]
fn answers_of_forks_that_lost_are_dropped() {
    let (both, _folder, proxy, mut caller) = providers::<2>("cluster: forking, forks: 0");
    let (mut wires, mut id) = (Vec::new(), 0);
    call(&mut caller, id);
    for _ in 0..2 {
        let (_, wire, came) = arrival(&both);
        wires.push((wire, came));
    }
    for round in 0..50 {
        let (winner, loser) = (round % 2, 1 - round % 2);
        for turn in [winner, loser] {
            let (wire, came) = &mut wires[turn];
            wire.send(&came.answer(&string(["zero", "one"][turn])).bytes());
        }
        let answer = caller.expect();
        assert_eq!(answer.id, id);
        id += 1;
        call(&mut caller, id);
        for (wire, came) in &mut wires {
            *came = wire.expect();
        }
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 1);
    assert_eq!(value(&proxy, &outcome("success")), 50);
}

#[test]
fn forks_that_all_fail_fail() {
    let (both, _folder, proxy, mut caller) = providers::<2>("cluster: forking");
    call(&mut caller, 1);
    for _ in 0..2 {
        let (_, mut wire, came) = arrival(&both);
        wire.send(&refusal(&came).bytes());
        std::mem::forget(wire);
    }
    assert_eq!(caller.expect().status, 80);
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn a_broadcast_asks_everybody_one_after_another() {
    let (all, _folder, proxy, mut caller) = providers::<3>("cluster: broadcast");
    call(&mut caller, 3);
    for (turn, provider) in all.iter().enumerate() {
        let mut wire = provider.accept();
        let came = wire.expect();
        for later in &all[turn + 1..] {
            assert!(later.is_left_alone(Duration::from_millis(5)));
        }
        assert!(caller.is_quiet(Duration::from_millis(5)));
        wire.send(&came.answer(&string(["a", "b", "c"][turn])).bytes());
        std::mem::forget(wire);
    }
    let answer = caller.expect();
    assert_eq!((answer.id, answer.body), (3, [&[0x91][..], &string("c")].concat()));
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn one_failure_fails_a_broadcast_that_goes_on_all_the_same() {
    let (both, _folder, _proxy, mut caller) = providers::<2>("cluster: broadcast");
    call(&mut caller, 3);
    let mut wire = both[0].accept();
    let came = wire.expect();
    wire.send(&exception(&came).bytes());
    let mut last = both[1].accept();
    let other = last.expect();
    last.send(&other.answer(&string("b")).bytes());
    assert_eq!(caller.expect().body, exception(&came).body);
}

#[test]
fn a_broadcast_is_given_up_when_too_many_fail() {
    let (both, _folder, _proxy, mut caller) =
        providers::<2>("cluster: broadcast, broadcast.fail.percent: 50");
    call(&mut caller, 3);
    let mut wire = both[0].accept();
    let came = wire.expect();
    wire.send(&refusal(&came).bytes());
    assert_eq!(caller.expect().status, 80);
    assert!(both[1].is_left_alone(Duration::from_millis(20)));
}

#[test]
fn a_one_way_broadcast_goes_to_everybody() {
    let (all, _folder, _proxy, mut caller) = providers::<3>("cluster: broadcast");
    caller.send(&Request { flags: ONE_WAY, ..Request::new(1) }.bytes());
    for provider in &all {
        assert_eq!(provider.accept().expect().flags, ONE_WAY);
    }
}
