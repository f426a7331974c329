//! A real gRPC client and server (tonic's), with the proxy in between: etcd's
//! API has calls of every shape.

use std::time::Duration;

use etcd_client::{Client, EventType, PutOptions, WatchOptions};
use harness::embedded::Embedded;
use proxy::config::{Config, Protocol, StaticService};

use super::peers::*;
use crate::counters::{IN_FLIGHT, UPSTREAMS, value, wait_for, wait_until};
use crate::wire::{self, service};

const SERVICES: [&str; 3] = ["etcdserverpb.KV", "etcdserverpb.Watch", "etcdserverpb.Lease"];

fn before(store: &Embedded) -> Config {
    let address = store.url().strip_prefix("http://").unwrap().parse().unwrap();
    let services = SERVICES
        .map(|name| StaticService { protocol: Protocol::Grpc, ..service(name, &[address]) });
    let mut config = Config { services: services.to_vec(), ..http(Protocol::Grpc, &[]) };
    // Its port is there before its file is open.
    config.timeouts.connect = Duration::from_secs(60);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_every_shape_pass() {
    let store = Embedded::start().unwrap();
    let proxy = wire::run(before(&store));
    let url = format!("http://{}", proxy.address("http").unwrap());
    let mut client = Client::connect([url], None).await.unwrap();

    let lease = client.lease_grant(60, None).await.unwrap().id();
    let (mut keeper, mut kept) = client.lease_keep_alive(lease).await.unwrap();
    let mut watch = client.watch("a", Some(WatchOptions::new().with_prefix())).await.unwrap();
    assert!(soon(watch.message()).await.unwrap().unwrap().created());
    for number in 0..50 {
        let (key, text) = (format!("a{number}"), format!("{number}"));
        client.put(&*key, &*text, Some(PutOptions::new().with_lease(lease))).await.unwrap();
        let found = client.get(&*key, None).await.unwrap();
        assert_eq!(found.kvs()[0].value(), text.as_bytes());
        let change = soon(watch.message()).await.unwrap().unwrap();
        let event = &change.events()[0];
        assert_eq!(
            (event.event_type(), event.kv().unwrap().key()),
            (EventType::Put, key.as_bytes())
        );
        keeper.keep_alive().await.unwrap();
        assert_eq!(soon(kept.message()).await.unwrap().unwrap().id(), lease);
    }
    let error = client.lease_revoke(lease + 1).await.unwrap_err();
    assert!(error.to_string().contains("requested lease not found"), "{error}");
    assert_eq!(value(&proxy, IN_FLIGHT), 2, "the watch and the keep-alive");
    assert_eq!(value(&proxy, UPSTREAMS), 1);
    drop((watch, keeper, kept));
    wait_for(&proxy, IN_FLIGHT, 0);
    let counted = |method: &str| format!(r#"method="{method}",outcome="success"}} 50"#);
    for method in ["Put", "Range"] {
        wait_until(method, || {
            let text = proxy.metrics().render();
            if text.contains(&counted(method)) { Ok(()) } else { Err(text) }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_a_status_of_the_mesh_as_any_other() {
    let store = Embedded::start().unwrap();
    let mut config = before(&store);
    config.services.pop();
    let proxy = wire::run(config);
    let url = format!("http://{}", proxy.address("http").unwrap());
    let mut client = Client::connect([url], None).await.unwrap();
    let error = client.lease_grant(60, None).await.unwrap_err().to_string();
    for part in ["Spanwire [unknown_service]: ", "etcdserverpb.Lease"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}
