//! What the tests share: a registry with short patience, and ways to wait.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, EventType, WatchResponse, WatchStream};
use harness::embedded::Embedded;
use harness::etcd::Etcd;
use registry::{Registry, ServiceState, Settings, View, key};

/// The longest a test waits for anything. Nothing is expected to take that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Settings with pauses fit for tests.
pub(crate) fn settings(url: &str) -> Settings {
    Settings {
        store: vec![url.to_owned()],
        silence: Duration::from_millis(1500),
        request_timeout: Duration::from_millis(1000),
        backoff_min: Duration::from_millis(20),
        backoff_max: Duration::from_millis(200),
        ..Settings::default()
    }
}

/// Waits until the view is as wanted.
pub(crate) async fn view_where(
    registry: &Registry,
    what: &str,
    test: impl Fn(&View) -> bool,
) -> Arc<View> {
    let mut views = registry.view();
    let found = tokio::time::timeout(PATIENCE, views.wait_for(|view| test(view))).await;
    match found {
        Ok(view) => Arc::clone(&view.expect("the registry lives")),
        Err(_) => {
            let last = registry.view().borrow().clone();
            panic!("waited in vain for {what}; last view: {last:#?}")
        }
    }
}

/// Waits until a service has exactly these instances, in the wanted state.
pub(crate) async fn instances_where(
    registry: &Registry,
    service: &str,
    urls: &[&String],
    state: fn(ServiceState) -> bool,
) -> Arc<View> {
    view_where(registry, &format!("{service} at {urls:?}"), |view| {
        view.services.get(service).is_some_and(|service| {
            let mut wanted: Vec<&str> = urls.iter().map(|url| url.as_str()).collect();
            wanted.sort_unstable();
            let found: Vec<&str> =
                service.instances.iter().map(|instance| &*instance.url).collect();
            found == wanted && state(service.state)
        })
    })
    .await
}

pub(crate) fn live(state: ServiceState) -> bool {
    state == ServiceState::Live
}

/// A provider URL at a port.
pub(crate) fn url(service: &str, port: u16) -> String {
    format!("dubbo://10.0.0.1:{port}/{service}?application=shop&interface={service}&side=provider")
}

/// Registers a provider by hand, as Java would, without a lease.
pub(crate) async fn put(client: &mut Client, url: &str) -> i64 {
    let key = key::registration_key("/dubbo", url).unwrap();
    let answer = client.put(key, "1", None).await.unwrap();
    answer.header().unwrap().revision()
}

pub(crate) async fn delete(client: &mut Client, url: &str) {
    client.delete(key::registration_key("/dubbo", url).unwrap(), None).await.unwrap();
}

pub(crate) async fn client(url: &str) -> Client {
    Client::connect([url], None).await.unwrap()
}

/// The store under test.
pub(crate) enum Store {
    Etcd(Etcd),
    Embedded(Embedded),
}

impl Store {
    pub(crate) async fn etcd() -> Store {
        Store::Etcd(Etcd::start().await.unwrap())
    }

    pub(crate) async fn embedded() -> Store {
        Store::Embedded(Embedded::start().unwrap())
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Store::Etcd(etcd) => etcd.url(),
            Store::Embedded(embedded) => embedded.url(),
        }
    }

    pub(crate) async fn restart(&mut self) {
        match self {
            Store::Etcd(etcd) => {
                etcd.kill().unwrap();
                etcd.restart().await.unwrap();
            }
            Store::Embedded(embedded) => {
                embedded.stop().await.unwrap();
                embedded.restart().unwrap();
            }
        }
    }
}

/// Makes of each function one test per store.
macro_rules! against_each {
    ($($name:ident),* $(,)?) => {
        mod against_etcd { $(#[tokio::test] async fn $name() {
            super::$name(crate::stage::Store::etcd().await).await;
        })* }
        mod against_embedded { $(#[tokio::test] async fn $name() {
            super::$name(crate::stage::Store::embedded().await).await;
        })* }
    };
}
pub(crate) use against_each;

/// What a refusal says.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, etcd_client::Error>) -> String {
    match result {
        Err(etcd_client::Error::GRpcStatus(status)) => {
            format!("{:?}: {}", status.code(), status.message())
        }
        other => panic!("wanted a refusal, got {other:?}"),
    }
}

/// The next response of a watch.
pub(crate) async fn next(stream: &mut WatchStream) -> WatchResponse {
    tokio::time::timeout(PATIENCE, stream.message())
        .await
        .expect("an event in time")
        .unwrap()
        .unwrap()
}

/// The events of the next response: type, key, value, value before.
pub(crate) fn events(response: &WatchResponse) -> Vec<(EventType, String, String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let event = |event: &etcd_client::Event| {
        let kv = event.kv().unwrap();
        let before = event.prev_kv().map(|kv| text(kv.value()));
        (event.event_type(), text(kv.key()), text(kv.value()), before)
    };
    response.events().iter().map(event).collect()
}
