//! Putting an application into the store, and keeping it there.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use etcd_client::Client;
use harness::etcd::Etcd;
use registry::presence::{self, Presence};
use registry::{Registration, RegistrationState, Registry, Settings, key};
use tokio::net::TcpListener;

use crate::stage::*;

against_each!(
    a_registration_stands_under_a_lease_until_it_is_dropped,
    a_lost_lease_is_replaced,
    presence_follows_the_port,
    a_dead_process_leaves_by_itself,
);

fn short_lived(url: &str) -> Settings {
    Settings { lease_ttl: Duration::from_secs(3), ..settings(url) }
}

async fn registered(registration: &Registration) -> i64 {
    tokio::time::timeout(PATIENCE, registration.registered()).await.expect("registered in time");
    match *registration.state().borrow() {
        RegistrationState::Registered { lease } => lease,
        other => panic!("{other:?}"),
    }
}

/// Waits until the key of a URL is there or not.
async fn key_is(client: &mut Client, url: &str, there: bool) {
    let key = key::registration_key("/dubbo", url).unwrap();
    let until = Instant::now() + PATIENCE;
    while (client.get(key.as_str(), None).await.unwrap().count() == 1) != there {
        assert!(Instant::now() < until, "waited in vain for {key} to be {there}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_registration_stands_under_a_lease_until_it_is_dropped(store: Store) {
    let mut client = client(&store.url()).await;
    let registry = Registry::start(settings(&store.url())).unwrap();
    let (a, b) = (url("lab.A", 1), url("lab.B", 1));
    let registration = registry.register(&[a.clone(), b.clone()]).unwrap();
    let lease = registered(&registration).await;
    let key = key::registration_key("/dubbo", &a).unwrap();
    let kv = client.get(key, None).await.unwrap().kvs()[0].clone();
    assert_eq!((kv.lease(), kv.value_str().unwrap()), (lease, lease.to_string().as_str()));
    let left = client.lease_time_to_live(lease, None).await.unwrap();
    assert_eq!(left.granted_ttl(), 30);
    registry.subscribe("lab.A");
    instances_where(&registry, "lab.A", &[&a], live).await;
    drop(registration);
    key_is(&mut client, &a, false).await;
    key_is(&mut client, &b, false).await;

    let registration = registry.register(std::slice::from_ref(&a)).unwrap();
    registered(&registration).await;
    registration.end().await;
    let all = client.get(key::registration_key("/dubbo", &a).unwrap(), None).await.unwrap();
    assert_eq!(all.count(), 0, "gone when end returns");
    assert!(registry.register(&["not a url".to_owned()]).is_err());
}

async fn a_lost_lease_is_replaced(store: Store) {
    let mut client = client(&store.url()).await;
    let registry = Registry::start(short_lived(&store.url())).unwrap();
    let a = url("lab.A", 1);
    let registration = registry.register(std::slice::from_ref(&a)).unwrap();
    let lease = registered(&registration).await;
    client.lease_revoke(lease).await.unwrap();
    key_is(&mut client, &a, false).await;
    key_is(&mut client, &a, true).await;
    assert_ne!(registered(&registration).await, lease);
    assert_eq!(registry.counters().lease_losses.load(Relaxed), 1);
}

async fn presence_follows_the_port(store: Store) {
    let mut client = client(&store.url()).await;
    let registry = Registry::start(settings(&store.url())).unwrap();
    let a = url("lab.A", 1);
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = app.local_addr().unwrap();
    let wanted = Presence {
        app: address.to_string(),
        urls: vec![a.clone()],
        interval: Duration::from_millis(50),
        stops: Arc::default(),
    };
    let stops = wanted.stops.clone();
    let presence = presence::start(&registry, wanted).unwrap();
    key_is(&mut client, &a, true).await;
    assert!(*presence.alive().borrow());
    drop(app);
    let dead = Instant::now();
    key_is(&mut client, &a, false).await;
    assert!(dead.elapsed() < Duration::from_secs(3), "{:?}", dead.elapsed());
    assert!(!*presence.alive().borrow());
    let app = TcpListener::bind(address).await.unwrap();
    key_is(&mut client, &a, true).await;
    // It says that it stops: gone while its port still answers, back when it does again.
    stops.notify_one();
    key_is(&mut client, &a, false).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    key_is(&mut client, &a, false).await;
    drop(app);
    let mut alive = presence.alive();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _app = TcpListener::bind(address).await.unwrap();
    key_is(&mut client, &a, true).await;
    assert!(*alive.borrow_and_update());
    presence.end().await;
    key_is(&mut client, &a, false).await;
}

async fn a_dead_process_leaves_by_itself(store: Store) {
    let mut client = client(&store.url()).await;
    let a = url("lab.A", 1);
    let (url, instance) = (store.url(), a.clone());
    // A process that dies says nothing: its runtime just goes away.
    let process = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            let registry = Registry::start(short_lived(&url)).unwrap();
            let registration = registry.register(&[instance]).unwrap();
            registered(&registration).await;
            std::mem::forget(registration);
        });
    });
    tokio::task::spawn_blocking(|| process.join()).await.unwrap().unwrap();
    key_is(&mut client, &a, true).await;
    key_is(&mut client, &a, false).await;
}

#[tokio::test]
async fn a_registration_comes_back_with_the_store() {
    let mut etcd = Etcd::start().await.unwrap();
    let registry = Registry::start(short_lived(&etcd.url())).unwrap();
    let a = url("lab.A", 1);
    let registration = registry.register(std::slice::from_ref(&a)).unwrap();
    let lease = registered(&registration).await;
    etcd.kill().unwrap();
    let mut state = registration.state();
    let waiting = state.wait_for(|state| *state == RegistrationState::Waiting);
    tokio::time::timeout(PATIENCE, waiting).await.expect("the loss is noticed").unwrap();
    etcd.restart().await.unwrap();
    assert_eq!(registered(&registration).await, lease, "the same lease, which etcd kept");
    etcd.kill().unwrap();
    etcd.restart_empty().await.unwrap();
    let mut client = client(&etcd.url()).await;
    key_is(&mut client, &a, true).await;
}
