//! Discovery against both stores, and against a real etcd with everything that
//! can happen to it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use etcd_client::{CompactionOptions, DeleteOptions, Txn, TxnOp};
use harness::etcd::Etcd;
use registry::{LastGoodReason, Origin, Registry, ServiceState, Settings, key};

use crate::stage::*;

against_each!(
    lists_then_follows_and_one_change_touches_one_service,
    a_change_is_seen_within_milliseconds,
    rules_come_from_both_places_and_files_with_one_order,
    one_look_sees_what_a_registry_would,
    applications_add_instances_at_other_addresses,
    a_big_service_is_listed_page_by_page,
);

fn store_lost(state: ServiceState) -> bool {
    matches!(state, ServiceState::LastGood { why: LastGoodReason::StoreLost, .. })
}

fn from_disk(state: ServiceState) -> bool {
    matches!(state, ServiceState::LastGood { why: LastGoodReason::Disk, .. })
}

fn empty_push(state: ServiceState) -> bool {
    matches!(state, ServiceState::LastGood { why: LastGoodReason::EmptyPush, .. })
}

async fn lists_then_follows_and_one_change_touches_one_service(store: Store) {
    let mut client = client(&store.url()).await;
    let (a, b) = (url("lab.A", 1), url("lab.B", 2));
    put(&mut client, &a).await;
    put(&mut client, &b).await;
    client.put("/dubbo/lab.A/providers/%zz", "", None).await.unwrap();
    client.put("/dubbo/lab.Ax/providers/dubbo%3A%2F%2Fh%3A1", "", None).await.unwrap();

    let registry = Registry::start(settings(&store.url())).unwrap();
    registry.subscribe("lab.A");
    registry.subscribe("lab.B");
    registry.subscribe("lab.None");
    instances_where(&registry, "lab.None", &[], live).await;
    instances_where(&registry, "lab.A", &[&a], live).await;
    let before = instances_where(&registry, "lab.B", &[&b], live).await;

    let more = url("lab.A", 3);
    put(&mut client, &more).await;
    let after = instances_where(&registry, "lab.A", &[&a, &more], live).await;
    assert!(Arc::ptr_eq(&before.services["lab.B"], &after.services["lab.B"]));
    assert!(!Arc::ptr_eq(&before.services["lab.A"], &after.services["lab.A"]));
    delete(&mut client, &url("lab.A", 1)).await;
    instances_where(&registry, "lab.A", &[&more], live).await;
    assert_eq!(registry.counters().bad_keys.load(Relaxed), 1);
    assert_eq!(registry.counters().reconnects.load(Relaxed), 0);
}

async fn a_change_is_seen_within_milliseconds(store: Store) {
    let mut client = client(&store.url()).await;
    let registry = Registry::start(settings(&store.url())).unwrap();
    registry.subscribe("lab.A");
    instances_where(&registry, "lab.A", &[], live).await;
    let mut urls = Vec::new();
    let mut took = Vec::new();
    for port in 1..=30 {
        urls.push(url("lab.A", port));
        put(&mut client, urls.last().unwrap()).await;
        let put_done = Instant::now();
        instances_where(&registry, "lab.A", &urls.iter().collect::<Vec<_>>(), live).await;
        took.push(put_done.elapsed());
    }
    took.sort_unstable();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!("put acknowledged to view: median {median:?}, worst {worst:?}");
    // Single digits on an idle machine; the limit leaves room for a busy one.
    assert!(median < Duration::from_millis(50), "median {median:?}");
}

async fn rules_come_from_both_places_and_files_with_one_order(store: Store) {
    let mut client = client(&store.url()).await;
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(Settings {
        rules: vec![folder.path().to_owned()],
        ..settings(&store.url())
    })
    .unwrap();
    let key = "lab.A::.condition-router";
    let rule_is = async |text: Option<&str>| {
        view_where(&registry, &format!("rule {text:?}"), |view| {
            view.rules.get(key).map(|rule| rule.text.as_str()) == text
        })
        .await
    };
    client.put(format!("/dubbo/config/dubbo/{key}"), "dubbo", None).await.unwrap();
    rule_is(Some("dubbo")).await;
    let answer = client.put(format!("/spanwire/rules/{key}"), "own", None).await.unwrap();
    let view = rule_is(Some("own")).await;
    let revision = answer.header().unwrap().revision();
    let origin = Origin::Store { key: format!("/spanwire/rules/{key}"), revision };
    assert_eq!(view.rules[key].origin, origin);
    let file = folder.path().join(format!("{key}.yaml"));
    std::fs::write(&file, "file").unwrap();
    let view = rule_is(Some("file")).await;
    assert_eq!(view.rules[key].origin, Origin::File(file.clone()));
    std::fs::remove_file(&file).unwrap();
    let view = rule_is(Some("own")).await;
    let hidden: Vec<&str> = view.hidden.iter().map(|rule| rule.text.as_str()).collect();
    assert_eq!(hidden, ["dubbo"]);
    let places: Vec<(&str, i64)> =
        view.rule_places.iter().map(|place| (place.prefix.as_str(), place.newest)).collect();
    assert_eq!(places, [("/dubbo/config/dubbo/", revision - 1), ("/spanwire/rules/", revision)]);
    assert!(view.rule_places.iter().all(|place| place.told >= place.newest), "{view:#?}");
    client.delete(format!("/spanwire/rules/{key}"), None).await.unwrap();
    rule_is(Some("dubbo")).await;
    let answer = client.delete(format!("/dubbo/config/dubbo/{key}"), None).await.unwrap();
    let gone = answer.header().unwrap().revision();
    let view = rule_is(None).await;
    let dubbo = &view.rule_places[0];
    assert_eq!((dubbo.told, dubbo.newest), (gone, gone));
}

async fn one_look_sees_what_a_registry_would(store: Store) {
    let mut client = client(&store.url()).await;
    let (a, b) = (url("lab.A", 1), url("lab.A", 2));
    put(&mut client, &a).await;
    let instance = r#"{"serviceName":"shop","host":"10.0.0.1","port":2}"#;
    client.put("/services/shop/10.0.0.1:2", instance, None).await.unwrap();
    client.put("/dubbo/mapping/lab.A", "shop", None).await.unwrap();
    client.put("/dubbo/config/dubbo/shop.tag-router", "dubbo", None).await.unwrap();
    client.put("/spanwire/rules/shop.tag-router", "own", None).await.unwrap();
    put(&mut client, &url("lab.B", 3)).await;

    let view = registry::look(settings(&store.url()), &["lab.A"]).await.unwrap();
    let found: Vec<&str> =
        view.services["lab.A"].instances.iter().map(|instance| &*instance.url).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], a);
    assert_eq!(key::address(found[1]).unwrap(), key::address(&b).unwrap());
    assert_eq!((view.services.len(), view.services["lab.A"].state), (1, ServiceState::Live));
    assert_eq!((view.rules["shop.tag-router"].text.as_str(), view.hidden.len()), ("own", 1));
    assert!(view.store.connected);
    let interfaces = registry::look::interfaces(settings(&store.url())).await.unwrap();
    assert_eq!(interfaces, ["lab.A", "lab.B"]);
}

#[tokio::test]
async fn a_look_at_a_store_that_is_away_says_so() {
    let nobody = format!("http://127.0.0.1:{}", harness::port::free());
    let error = registry::look(settings(&nobody), &["lab.A"]).await.unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with(&format!("the store at {nobody} does not answer: ")), "{told}");
    let error = registry::look(Settings::default(), &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "no store is named");
}

async fn applications_add_instances_at_other_addresses(store: Store) {
    let mut client = client(&store.url()).await;
    let registry = Registry::start(settings(&store.url())).unwrap();
    registry.subscribe("lab.A");
    let known = url("lab.A", 1);
    put(&mut client, &known).await;
    let instance = |port: u16| {
        format!(
            r#"{{"serviceName":"shop","host":"10.0.0.1","port":{port},"enabled":true,"healthy":true,
            "metadata":{{"dubbo.endpoints":"[{{\"port\":{port},\"protocol\":\"dubbo\"}}]",
            "dubbo.metadata.revision":"r1"}}}}"#
        )
    };
    for port in [1, 2] {
        client.put(format!("/services/shop/10.0.0.1:{port}"), instance(port), None).await.unwrap();
    }
    client.put("/services/shop/garbage", "{", None).await.unwrap();
    client.put("/dubbo/mapping/lab.A", "shop,other", None).await.unwrap();
    let plain =
        "dubbo://10.0.0.1:2/lab.A?application=shop&interface=lab.A&side=provider".to_owned();
    instances_where(&registry, "lab.A", &[&known, &plain], live).await;
    let metadata = r#"{"services":{"x":{"name":"lab.A","group":"g","protocol":"dubbo"}}}"#;
    client.put("/dubbo/shop/r1", metadata, None).await.unwrap();
    let grouped = plain.replace("&interface", "&group=g&interface");
    instances_where(&registry, "lab.A", &[&known, &grouped], live).await;
    client.put("/dubbo/mapping/lab.A", "other", None).await.unwrap();
    instances_where(&registry, "lab.A", &[&known], live).await;
    client.put("/dubbo/mapping/lab.A", "other,shop", None).await.unwrap();
    instances_where(&registry, "lab.A", &[&known, &grouped], live).await;
}

async fn a_big_service_is_listed_page_by_page(store: Store) {
    let mut client = client(&store.url()).await;
    // More than two pages of 500 keys.
    let urls: Vec<String> = (1..=1100).map(|port| url("lab.Big", port)).collect();
    for some in urls.chunks(100) {
        let put =
            |url: &String| TxnOp::put(key::registration_key("/dubbo", url).unwrap(), "1", None);
        client.txn(Txn::new().and_then(some.iter().map(put).collect::<Vec<_>>())).await.unwrap();
    }
    let registry = Registry::start(settings(&store.url())).unwrap();
    registry.subscribe("lab.Big");
    let all: Vec<&String> = urls.iter().collect();
    instances_where(&registry, "lab.Big", &all, live).await;
    delete(&mut client, &urls[7]).await;
    let rest: Vec<&String> = urls.iter().filter(|url| **url != urls[7]).collect();
    instances_where(&registry, "lab.Big", &rest, live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_thread_may_subscribe_to_many_services() {
    let store = Store::embedded().await;
    let mut client = client(&store.url()).await;
    let a = url("lab.S150", 1);
    put(&mut client, &a).await;
    let registry = Registry::start(settings(&store.url())).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let registry = registry.clone();
            std::thread::spawn(move || {
                for service in 0..200 {
                    registry.subscribe(&format!("lab.S{service}"));
                }
            })
        })
        .collect();
    view_where(&registry, "200 live services", |view| {
        view.services.len() == 200 && view.services.values().all(|service| live(service.state))
    })
    .await;
    instances_where(&registry, "lab.S150", &[&a], live).await;
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn compacted_history_is_listed_again() {
    let mut etcd = Etcd::start().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    let (a, b, c) = (url("lab.A", 1), url("lab.A", 2), url("lab.A", 3));
    put(&mut writer, &a).await;
    put(&mut writer, &b).await;
    let registry = Registry::start(settings(&etcd.url())).unwrap();
    registry.subscribe("lab.A");
    instances_where(&registry, "lab.A", &[&a, &b], live).await;

    // History passes while the registry is kept away: it knows the other port.
    let home = etcd.move_away().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    delete(&mut writer, &a).await;
    let revision = put(&mut writer, &c).await;
    let physical = CompactionOptions::new().with_physical();
    writer.compact(revision, Some(physical)).await.unwrap();
    etcd.move_back(home).await.unwrap();

    instances_where(&registry, "lab.A", &[&b, &c], live).await;
    assert!(registry.counters().relists.load(Relaxed) >= 1);
}

#[tokio::test]
async fn a_killed_store_is_resumed_from_where_it_was_left() {
    let mut etcd = Etcd::start().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    let (a, b, c) = (url("lab.A", 1), url("lab.A", 2), url("lab.A", 3));
    put(&mut writer, &a).await;
    put(&mut writer, &b).await;
    let registry = Registry::start(settings(&etcd.url())).unwrap();
    registry.subscribe("lab.A");
    let before = instances_where(&registry, "lab.A", &[&a, &b], live).await;

    etcd.kill().unwrap();
    let lost = instances_where(&registry, "lab.A", &[&a, &b], store_lost).await;
    assert!(!lost.store.connected && lost.store.last_error.is_some());
    let instances = |view: &registry::View| Arc::clone(&view.services["lab.A"].instances);
    assert!(Arc::ptr_eq(&instances(&before), &instances(&lost)));
    // Still answers, also for what nobody asked before.
    registry.subscribe("lab.B");
    view_where(&registry, "lab.B pending", |view| {
        view.services.get("lab.B").is_some_and(|service| service.state == ServiceState::Pending)
    })
    .await;

    let home = etcd.move_away().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    delete(&mut writer, &a).await;
    put(&mut writer, &c).await;
    etcd.move_back(home).await.unwrap();
    instances_where(&registry, "lab.A", &[&b, &c], live).await;
    instances_where(&registry, "lab.B", &[], live).await;
    assert_eq!(registry.counters().relists.load(Relaxed), 0, "resumed, not listed again");
    assert!(registry.counters().reconnects.load(Relaxed) >= 1);
}

#[tokio::test]
async fn a_store_that_lost_its_data_is_listed_again() {
    let mut etcd = Etcd::start().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    let (a, b) = (url("lab.A", 1), url("lab.A", 2));
    for _ in 0..5 {
        put(&mut writer, &a).await;
    }
    let registry = Registry::start(settings(&etcd.url())).unwrap();
    registry.subscribe("lab.A");
    instances_where(&registry, "lab.A", &[&a], live).await;
    etcd.kill().unwrap();
    etcd.restart_empty().await.unwrap();
    instances_where(&registry, "lab.A", &[&a], empty_push).await;
    let mut writer = client(&etcd.url()).await;
    put(&mut writer, &b).await;
    instances_where(&registry, "lab.A", &[&b], live).await;
    assert_eq!(registry.counters().empty_pushes.load(Relaxed), 1);
}

#[tokio::test]
async fn a_frozen_store_is_noticed_and_taken_back() {
    let etcd = Etcd::start().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    let (a, b) = (url("lab.A", 1), url("lab.A", 2));
    put(&mut writer, &a).await;
    let registry = Registry::start(settings(&etcd.url())).unwrap();
    registry.subscribe("lab.A");
    instances_where(&registry, "lab.A", &[&a], live).await;
    etcd.freeze().unwrap();
    let frozen = Instant::now();
    instances_where(&registry, "lab.A", &[&a], store_lost).await;
    let noticed = frozen.elapsed();
    println!("frozen store noticed after {noticed:?}");
    assert!(noticed < Duration::from_secs(4), "{noticed:?}");
    etcd.thaw().unwrap();
    put(&mut writer, &b).await;
    instances_where(&registry, "lab.A", &[&a, &b], live).await;
}

#[tokio::test]
async fn an_idle_store_is_not_taken_for_a_frozen_one() {
    let etcd = Etcd::start().await.unwrap();
    let settings = Settings { silence: Duration::from_millis(200), ..settings(&etcd.url()) };
    let registry = Registry::start(settings).unwrap();
    registry.subscribe("lab.A");
    instances_where(&registry, "lab.A", &[], live).await;
    // Ten times the silence that counts as death.
    let end = tokio::time::sleep(Duration::from_secs(2));
    let mut views = registry.view();
    tokio::select! {
        () = end => {}
        view = views.wait_for(|view| !view.store.connected) => panic!("lost: {:?}", view.unwrap().store),
    }
    assert_eq!(registry.counters().reconnects.load(Relaxed), 0);
}

#[tokio::test]
async fn a_restart_during_an_outage_serves_what_the_disk_remembers() {
    let mut etcd = Etcd::start().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    let state = tempfile::tempdir().unwrap();
    let a = url("lab.A", 1);
    put(&mut writer, &a).await;
    writer.put("/spanwire/rules/shop.tag-router", "text", None).await.unwrap();
    let with_state = || Settings { state: Some(state.path().to_owned()), ..settings(&etcd.url()) };
    let registry = Registry::start(with_state()).unwrap();
    registry.subscribe("lab.A");
    instances_where(&registry, "lab.A", &[&a], live).await;
    let file = state.path().join("view.json");
    let until = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&file)
        .is_ok_and(|text| text.contains("lab.A") && text.contains("tag-router"))
    {
        assert!(Instant::now() < until, "nothing written to {}", file.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(registry);
    let settings = with_state();
    etcd.kill().unwrap();

    let registry = Registry::start(settings.clone()).unwrap();
    assert_eq!(registry.view().borrow().rules["shop.tag-router"].text, "text");
    registry.subscribe("lab.A");
    instances_where(&registry, "lab.A", &[&a], from_disk).await;
    etcd.restart().await.unwrap();
    instances_where(&registry, "lab.A", &[&a], live).await;
    drop(registry);

    // A file nobody can read is set aside, not fatal.
    std::fs::write(&file, "{").unwrap();
    let registry = Registry::start(settings).unwrap();
    assert!(registry.view().borrow().rules.is_empty());
    assert!(file.with_extension("json.bad").exists());
}

#[tokio::test]
async fn sudden_emptiness_is_held_back_for_a_while() {
    let etcd = Etcd::start().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    let hold = Duration::from_millis(600);
    let registry = Registry::start(Settings { empty_hold: hold, ..settings(&etcd.url()) }).unwrap();
    registry.subscribe("lab.A");
    let (a, b) = (url("lab.A", 1), url("lab.A", 2));
    let lease = writer.lease_grant(1, None).await.unwrap().id();
    for url in [&a, &b] {
        let key = key::registration_key("/dubbo", url).unwrap();
        let options = etcd_client::PutOptions::new().with_lease(lease);
        writer.put(key, lease.to_string(), Some(options)).await.unwrap();
    }
    instances_where(&registry, "lab.A", &[&a, &b], live).await;
    // The lease ends by itself.
    instances_where(&registry, "lab.A", &[&a, &b], empty_push).await;
    let held = Instant::now();
    instances_where(&registry, "lab.A", &[], live).await;
    assert!(held.elapsed() >= hold - Duration::from_millis(50), "{:?}", held.elapsed());
    put(&mut writer, &a).await;
    instances_where(&registry, "lab.A", &[&a], live).await;
    // Back in time: nothing was ever missing.
    let all = DeleteOptions::new().with_prefix();
    writer.delete("/dubbo/lab.A/providers/", Some(all)).await.unwrap();
    instances_where(&registry, "lab.A", &[&a], empty_push).await;
    put(&mut writer, &b).await;
    instances_where(&registry, "lab.A", &[&b], live).await;
}

#[tokio::test]
async fn the_next_endpoint_is_taken_when_one_is_dead() {
    let etcd = Etcd::start().await.unwrap();
    let mut writer = client(&etcd.url()).await;
    let a = url("lab.A", 1);
    put(&mut writer, &a).await;
    let dead = format!("http://127.0.0.1:{}", harness::etcd::free_port().unwrap());
    let store = vec![dead, etcd.url()];
    let registry = Registry::start(Settings { store, ..settings(&etcd.url()) }).unwrap();
    registry.subscribe("lab.A");
    let view = instances_where(&registry, "lab.A", &[&a], live).await;
    assert_eq!(view.store.endpoint, Some(etcd.url()));
}
