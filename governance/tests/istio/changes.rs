//! Documents that are added, changed and removed.

use governance::{Affected, Applied, Compat, Origin, RuleSet};

const ROUTE: &str = "http: [{route: [{destination: {host: shop}}]}]";

fn virtual_service(name: &str, spec: &str) -> String {
    format!("---\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

fn apply(rules: &mut RuleSet, key: &str, text: Option<&str>) -> Applied {
    rules.apply(key, text, Origin::Store { revision: 1 })
}

fn hosts(names: &[&str]) -> Affected {
    Affected::Hosts(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_change_touches_the_hosts_of_what_changed() {
    let mut rules = RuleSet::new(Compat::Documented);
    let one = virtual_service("a", &format!("hosts: [lab.A, lab.B], {ROUTE}"));
    let two = virtual_service("b", &format!("hosts: [lab.C], {ROUTE}"));
    let both = format!("{one}{two}");
    assert_eq!(apply(&mut rules, "k", Some(&both)).affected, hosts(&["lab.A", "lab.B", "lab.C"]));
    assert_eq!(apply(&mut rules, "k", Some(&both)).affected, Affected::Nothing);
    let changed = format!("{one}{}", two.replace("lab.C", "lab.D"));
    assert_eq!(apply(&mut rules, "k", Some(&changed)).affected, hosts(&["lab.C", "lab.D"]));
    // A bad document changes nothing.
    assert_eq!(
        apply(&mut rules, "k", Some(&one.replace("route", "rout"))).affected,
        Affected::Nothing
    );
    assert_eq!(apply(&mut rules, "k", None).affected, hosts(&["lab.A", "lab.B", "lab.D"]));
    assert_eq!(rules.findings().count(), 0);
}

#[test]
fn a_change_of_a_delegate_touches_those_who_delegate() {
    let mut rules = RuleSet::new(Compat::Documented);
    let delegate = virtual_service("d", ROUTE);
    // Nobody delegates to it yet.
    assert_eq!(apply(&mut rules, "d", Some(&delegate)).affected, Affected::Nothing);
    let root = virtual_service("r", "hosts: [lab.A], http: [{delegate: {name: d}}]");
    assert_eq!(apply(&mut rules, "r", Some(&root)).affected, hosts(&["lab.A"]));
    let changed = delegate.replace("host: shop", "host: cart");
    assert_eq!(apply(&mut rules, "d", Some(&changed)).affected, hosts(&["lab.A"]));
    assert_eq!(apply(&mut rules, "d", None).affected, hosts(&["lab.A"]));
}

#[test]
fn a_resource_may_arrive_elsewhere_before_it_leaves() {
    let mut rules = RuleSet::new(Compat::Documented);
    let one = virtual_service("a", &format!("hosts: [lab.A], {ROUTE}"));
    assert!(apply(&mut rules, "old", Some(&one)).is_in_force());
    let refused = apply(&mut rules, "new", Some(&one));
    assert!(!refused.is_in_force());
    assert_eq!(refused.findings[0].code, "resource-twice");
    let gone = apply(&mut rules, "old", None);
    assert_eq!(gone.accepted, [("new".to_owned(), Vec::new())]);
    assert_eq!(gone.affected, hosts(&["lab.A"]));
    assert_eq!(rules.findings().count(), 0);
    // What waited and was taken back is forgotten.
    apply(&mut rules, "third", Some(&one));
    apply(&mut rules, "third", None);
    assert_eq!(apply(&mut rules, "new", None).accepted, []);
}
