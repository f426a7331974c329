//! Where routes lead: destinations, subsets, weights, delegates.

use super::SUBSETS;
use super::sample::{answer, brief, codes, decide, destination_rule, shares, virtual_service};

#[test]
fn destinations() {
    // The field, the destination, and who is left.
    let rows = [
        ("host", "host: lab.Echo", "1 2 3 4"),
        ("host", "host: shop", "1 2 3"),
        ("host", "host: cart.prod.svc.cluster.local", "4"),
        ("host", "host: web", "no_endpoint"),
        // Endpoints with all labels of the subset, among those of the host.
        ("subset", "host: shop, subset: gray", "2 3"),
        ("subset", "host: shop, subset: stable", "1"),
        ("subset", "host: lab.Echo, subset: gray", "no_endpoint"),
        // No DestinationRule has it.
        ("subset", "host: shop, subset: blue", "no_endpoint"),
        ("port", "host: shop, port: {number: 20881}", "3"),
        ("port", "host: shop, subset: gray, port: {number: 20880}", "2"),
        ("port", "host: shop, port: {number: 1}", "no_endpoint"),
    ];
    for (field, to, expected) in rows {
        let rules = virtual_service(&format!("{{route: [{{destination: {{{to}}}}}]}}"))
            + &destination_rule(SUBSETS);
        assert_eq!(answer(&rules, ""), expected, "{field}: {to}");
    }
    let rules = virtual_service("{route: [{destination: {host: shop, subset: blue}}]}");
    assert_eq!(codes(&rules), [""; 0], "a rule with it may come yet");
    assert_eq!(codes(&format!("{rules}{}", destination_rule(SUBSETS))), ["unknown-subset"]);
}

#[test]
fn weights_are_exact() {
    let to = |parts: &[(&str, Option<u32>)]| {
        let one = |(port_or_host, weight): &(&str, Option<u32>)| {
            let weight = weight.map_or(String::new(), |weight| format!(", weight: {weight}"));
            format!("{{destination: {{{port_or_host}}}{weight}}}")
        };
        let all: Vec<String> = parts.iter().map(one).collect();
        virtual_service(&format!("{{route: [{}]}}", all.join(", ")))
    };
    let (shop, cart) = ("host: shop", "host: cart");
    let of = |shop: u32, cart: u32| {
        let both = [("1 2 3".to_owned(), shop), ("4".to_owned(), cart)];
        both.into_iter().filter(|(_, share)| *share > 0).collect::<Vec<_>>()
    };
    // The only destination gets all calls, whatever its weight.
    assert_eq!(shares(&to(&[(shop, None)]), ""), of(1000, 0));
    assert_eq!(shares(&to(&[(shop, Some(0))]), ""), of(1000, 0));
    // One of several with weight 0 gets none.
    assert_eq!(shares(&to(&[(shop, Some(0)), (cart, Some(1))]), ""), of(0, 1000));
    assert_eq!(shares(&to(&[(shop, None), (cart, Some(100))]), ""), of(0, 1000));
    // Weight over the sum of weights, without one too many on either side.
    assert_eq!(shares(&to(&[(shop, Some(1)), (cart, Some(1))]), ""), of(500, 500));
    assert_eq!(shares(&to(&[(shop, Some(999)), (cart, Some(1))]), ""), of(999, 1));
    assert_eq!(shares(&to(&[(shop, Some(3)), (cart, Some(5))]), ""), of(375, 625));
    let most = u32::MAX;
    assert_eq!(shares(&to(&[(shop, Some(most)), (cart, Some(most))]), ""), of(500, 500));
    // A destination without endpoints keeps its share: those calls fail, as in Istio.
    let empty = to(&[(shop, Some(9)), ("host: web", Some(1))]);
    assert_eq!(shares(&empty, ""), [("1 2 3".to_owned(), 900), ("no_endpoint".to_owned(), 100)]);
    let none = to(&[(shop, Some(0)), (cart, Some(0))]);
    assert_eq!(codes(&none), ["weights-all-zero"]);
}

#[test]
fn a_retry_stays_with_its_destination_and_injects_nothing_again() {
    let rules = virtual_service(
        "{fault: {delay: {fixedDelay: 1s, percentage: {value: 100}}, \
          abort: {httpStatus: 500, percentage: {value: 50}}}, \
          mirror: {host: cart}, \
          route: [{destination: {host: shop}, weight: 1}, {destination: {host: cart}, weight: 1}]}",
    );
    let first = decide(&rules, "", "random: 0.5");
    assert_eq!((brief(&first).as_str(), first.delay_ms), ("4", Some(1000)));
    assert_eq!(first.mirrors, ["10.0.0.4:20880"]);
    let again = decide(&rules, "", "random: 0.1\ntried: ['10.0.0.4:20880']");
    assert_eq!((brief(&again).as_str(), again.delay_ms), ("4", None));
    assert!(again.mirrors.is_empty() && again.repeats);
}

#[test]
fn delegates() {
    let root = |delegate: &str| {
        virtual_service(&format!(
            "{{match: [{{uri: {{prefix: /lab.}}}}], delegate: {{name: {delegate}}}}}, \
             {{route: [{{destination: {{host: shop, port: {{number: 20881}}}}}}]}}"
        ))
    };
    let delegate = |name: &str, http: &str| {
        format!("---\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec: {{http: [{http}]}}\n")
    };
    let own = delegate(
        "d",
        "{match: [{method: {exact: say}}], timeout: 3s, route: [{destination: {host: cart}}]}",
    );
    // Both matches must be met; else the root's next route is asked.
    let rules = format!("{}{own}", root("d"));
    let explained = decide(&rules, "", "");
    assert_eq!((brief(&explained).as_str(), explained.timeout_ms), ("4", 3000));
    assert_eq!(explained.steps[0].rule, "VirtualService/d");
    assert_eq!(answer(&rules, "method: other"), "3");
    assert_eq!(answer(&rules, "http: {path: /x, method: say}"), "3");
    // One that is not there is passed over, as in Istio.
    assert_eq!(answer(&root("nobody"), ""), "3");
    // One with hosts of its own is nobody's delegate.
    let other = own.replace("spec: {", "spec: {hosts: [lab.Other], ");
    assert_eq!(answer(&format!("{}{other}", root("d")), ""), "3");

    let again = delegate("d", "{delegate: {name: e}}");
    let end = delegate("e", "{delegate: {name: d}}");
    assert_eq!(codes(&delegate("d", "{delegate: {name: d}}")), ["cyclic-delegate"]);
    assert_eq!(codes(&format!("{again}{end}")), ["cyclic-delegate", "cyclic-delegate"]);
    assert_eq!(
        codes(&format!(
            "{}{again}{}",
            root("d"),
            delegate("e", "{route: [{destination: {host: cart}}]}")
        )),
        ["nested-delegate"]
    );
    let beside = "{timeout: 1s, delegate: {name: d}}";
    assert_eq!(codes(&virtual_service(beside)), ["beside-delegate"]);
}
