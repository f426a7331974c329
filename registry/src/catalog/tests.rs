#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering;

use super::*;
use crate::snapshot::KnownService;
use crate::store::range::{Change, Entry};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn settings() -> Settings {
    let store = vec!["http://127.0.0.1:2379".to_owned()];
    Settings { store, empty_hold: Duration::from_secs(60), ..Settings::default() }
}

fn catalog(remembered: Snapshot) -> Catalog {
    Catalog::new(&settings(), remembered, Arc::new(Counters::default()), at(0))
}

fn entry(port: u16) -> Entry {
    let url = format!("dubbo://10.0.0.1:{port}/lab.A?interface=lab.A");
    let key = key::registration_key("/dubbo", &url).unwrap();
    Entry { key: key.into_bytes(), value: Vec::new(), revision: 1 }
}

fn providers() -> Range {
    Range::prefix("/dubbo/lab.A/providers/".to_owned())
}

fn listed(range: Range, entries: Vec<Entry>) -> Update {
    Update::Listed { range, entries, revision: 2 }
}

/// A catalog that knows one instance of `lab.A`, live at second 1.
fn live_catalog() -> Catalog {
    let mut catalog = catalog(Snapshot::default());
    catalog.subscribe("lab.A", at(0));
    catalog.apply(Update::Connected { endpoint: "e".to_owned(), revision: 2 }, at(1));
    catalog.apply(listed(providers(), vec![entry(1)]), at(1));
    catalog.apply(listed(Range::key("/dubbo/mapping/lab.A".to_owned()), Vec::new()), at(1));
    catalog
}

fn service(catalog: &mut Catalog) -> Arc<Service> {
    if let Some(view) = catalog.take_view() {
        return Arc::clone(&view.services["lab.A"]);
    }
    Arc::clone(&catalog.view.services["lab.A"])
}

fn last_good(since: u64, why: LastGoodReason) -> ServiceState {
    ServiceState::LastGood { since: at(since), why }
}

fn lost() -> Update {
    Update::Lost { endpoint: "e".to_owned(), error: "gone".to_owned() }
}

#[test]
fn a_service_is_live_once_every_range_is_listed() {
    let mut catalog = catalog(Snapshot::default());
    catalog.subscribe("lab.A", at(0));
    assert_eq!(service(&mut catalog).state, ServiceState::Pending);
    catalog.apply(listed(providers(), vec![entry(1)]), at(1));
    assert_eq!(service(&mut catalog).state, ServiceState::Pending);
    catalog.apply(listed(Range::key("/dubbo/mapping/lab.A".to_owned()), Vec::new()), at(1));
    let service = service(&mut catalog);
    assert_eq!((service.state, service.instances.len()), (ServiceState::Live, 1));
}

#[test]
fn a_lost_store_changes_the_state_and_not_the_instances() {
    let mut catalog = live_catalog();
    let before = service(&mut catalog);
    catalog.apply(lost(), at(5));
    catalog.apply(lost(), at(9));
    let after = service(&mut catalog);
    assert_eq!(after.state, last_good(5, LastGoodReason::StoreLost));
    assert!(Arc::ptr_eq(&before.instances, &after.instances));
    catalog.apply(Update::Connected { endpoint: "e".to_owned(), revision: 2 }, at(10));
    assert_eq!(service(&mut catalog).state, last_good(5, LastGoodReason::StoreLost));
    catalog.apply(Update::Resumed { range: providers() }, at(10));
    catalog.apply(Update::Resumed { range: Range::key("/dubbo/mapping/lab.A".to_owned()) }, at(10));
    assert_eq!(service(&mut catalog).state, ServiceState::Live);
}

#[test]
fn emptiness_is_held_back_and_does_not_age_while_the_store_is_away() {
    let mut catalog = live_catalog();
    let gone = Change::Delete(entry(1).key);
    let empty = Update::Changed { range: providers(), changes: vec![gone], revision: 3 };
    catalog.apply(empty, at(10));
    assert_eq!(service(&mut catalog).state, last_good(10, LastGoodReason::EmptyPush));
    assert_eq!(catalog.expire(at(20)), Some(at(70)));
    catalog.apply(lost(), at(30));
    catalog.expire(at(100));
    let held = service(&mut catalog);
    assert_eq!((held.state, held.instances.len()), (last_good(30, LastGoodReason::StoreLost), 1));
    catalog.apply(listed(Range::key("/dubbo/mapping/lab.A".to_owned()), Vec::new()), at(101));
    catalog.apply(listed(providers(), Vec::new()), at(101));
    let empty = service(&mut catalog);
    assert_eq!((empty.state, empty.instances.len()), (ServiceState::Live, 0));
    assert_eq!(catalog.expire(at(102)), None);
    assert_eq!(catalog.counters.empty_pushes.load(Ordering::Relaxed), 1);
}

#[test]
fn what_the_disk_remembers_shows_when_it_is_asked_for() {
    let mut remembered = Snapshot::default();
    let known = |seen| KnownService { seen, instances: vec!["dubbo://h:1/lab.A".to_owned()] };
    remembered.services.insert("lab.A".to_owned(), known(7));
    remembered.services.insert("lab.Unused".to_owned(), known(7));
    remembered.services.insert("lab.Old".to_owned(), known(0));
    let mut catalog = catalog(remembered);
    assert!(catalog.take_view().unwrap().services.is_empty());
    catalog.subscribe("lab.A", at(8));
    let from_disk = service(&mut catalog);
    assert_eq!(from_disk.state, last_good(7, LastGoodReason::Disk));
    // What nobody asks for is kept for a week.
    let week = 7 * 24 * 3600;
    let kept = catalog.snapshot(at(week + 5)).services;
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["lab.A", "lab.Unused"]);
    assert_eq!(kept["lab.A"].seen, 7);
}

#[test]
fn without_a_store_a_service_is_live_and_empty() {
    let counters = Arc::new(Counters::default());
    let mut catalog = Catalog::new(&Settings::default(), Snapshot::default(), counters, at(0));
    catalog.subscribe("lab.A", at(0));
    assert_eq!(service(&mut catalog).state, ServiceState::Live);
    assert_eq!(catalog.take_wanted(), Some(Wanted::new()));
}
