//! Services that a store lists: found when first called, followed from then on.

use std::net::SocketAddr;

use etcd_client::{Client, Txn, TxnOp};
use harness::embedded::Embedded;
use proxy::config::Config;
use tokio::runtime::Runtime;

use crate::counters::{IN_FLIGHT, UPSTREAMS, received, value, wait_for, wait_until};
use crate::wire::*;

/// The embedded store, and a runtime to talk to it from.
pub struct Store {
    runtime: Runtime,
    embedded: Embedded,
}

impl Store {
    pub fn start() -> Store {
        Store { runtime: Runtime::new().unwrap(), embedded: Embedded::start().unwrap() }
    }

    pub fn config(&self) -> Config {
        Config { store: vec![self.embedded.url()], services: Vec::new(), ..outbound(&[]) }
    }

    /// Registers a provider as Java would.
    fn register(&self, provider: SocketAddr) {
        let key = registration(provider);
        self.runtime.block_on(async { self.client().await.put(key, "1", None).await }).unwrap();
    }

    fn unregister(&self, provider: SocketAddr) {
        let key = registration(provider);
        self.runtime.block_on(async { self.client().await.delete(key, None).await }).unwrap();
    }

    /// Writes values at once, in one transaction.
    pub fn put_all(&self, values: &[(&str, &str)]) {
        let puts =
            values.iter().map(|(key, value)| TxnOp::put(*key, *value, None)).collect::<Vec<_>>();
        let put = async { self.client().await.txn(Txn::new().and_then(puts)).await };
        self.runtime.block_on(put).unwrap();
    }

    async fn client(&self) -> Client {
        Client::connect([self.embedded.url()], None).await.unwrap()
    }

    fn stop(&mut self) {
        self.runtime.block_on(self.embedded.stop()).unwrap();
    }
}

fn registration(provider: SocketAddr) -> String {
    let url = format!("dubbo://{provider}/{SERVICE}?interface={SERVICE}&side=provider");
    registry::key::registration_key("/dubbo", &url).unwrap()
}

#[test]
fn waiting_calls_go_out_as_soon_as_the_store_lists_their_service() {
    let mut store = Store::start();
    let provider = Provider::new();
    store.register(provider.address());
    store.stop();
    let (proxy, mut caller) = start(store.config());
    let calls = [
        Request::new(1).bytes(),
        Request { flags: ONE_WAY, ..Request::new(2) }.bytes(),
        Request::new(3).bytes(),
    ];
    caller.send(&calls.concat());
    wait_for(&proxy, &received("downstream"), calls.concat().len() as i64);
    assert_eq!(value(&proxy, UPSTREAMS), 0);
    store.embedded.restart().unwrap();
    let mut upstream = provider.accept();
    for (id, flags) in [(1, TWO_WAY), (2, ONE_WAY), (3, TWO_WAY)] {
        let call = upstream.expect();
        assert_eq!(call.flags, flags);
        if flags == TWO_WAY {
            upstream.send(&call.answer(&string("pong")).bytes());
            assert_eq!(caller.expect().id, id);
        }
    }
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn a_service_that_nobody_registered_is_unknown_and_known_once_somebody_does() {
    let store = Store::start();
    let (_proxy, mut caller) = start(store.config());
    caller.send(&Request::new(1).bytes());
    assert!(caller.expect().text().contains("[unknown_service]: nobody provides"));
    store.register(Provider::new().echo_forever());
    let mut id = 1;
    wait_until("the provider to be called", || {
        id += 1;
        caller.send(&Request::new(id).bytes());
        let text = caller.expect().text();
        if text.contains("pong") { Ok(()) } else { Err(text) }
    });
}

#[test]
fn no_call_fails_while_providers_come_and_go_or_the_store_dies() {
    let mut store = Store::start();
    let providers: Vec<SocketAddr> = (0..3).map(|_| Provider::new().echo_forever()).collect();
    store.register(providers[0]);
    let (proxy, mut caller) = start(store.config());
    let mut id = 0;
    let mut call_for = |wanted: &str, is_so: &dyn Fn() -> bool| {
        let mut after = 0;
        wait_until(wanted, || {
            id += 1;
            caller.send(&Request::new(id).bytes());
            let answer = caller.expect();
            assert_eq!((answer.id, answer.status), (id, 20));
            assert!(answer.text().contains("pong"), "{wanted}: {}", answer.text());
            after += u32::from(is_so());
            if after >= 20 {
                Ok(())
            } else {
                Err(format!("{} connections", value(&proxy, UPSTREAMS)))
            }
        });
    };
    call_for("one provider", &|| value(&proxy, UPSTREAMS) == 1);
    store.register(providers[1]);
    store.register(providers[2]);
    call_for("three providers", &|| value(&proxy, UPSTREAMS) == 3);
    store.unregister(providers[0]);
    store.unregister(providers[2]);
    call_for("one provider again", &|| true);
    store.stop();
    call_for("a dead store", &|| true);
    store.embedded.restart().unwrap();
    store.register(providers[0]);
    call_for("a store that is back", &|| true);
    assert!(proxy.metrics().render().contains("spanwire_calls_in_flight 0"));
}
