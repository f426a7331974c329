//! Calls about a server itself, which name no service of the mesh by their path: health
//! checks and reflection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use etcd_client::Client;
use h2::RecvStream;
use h2::client::SendRequest;
use harness::embedded::Embedded;
use harness::etcd::Etcd;
use http::Request;
use proxy::config::{AccessLog, Config, Direction, Protocol, Registration, StaticService};
use proxy::server::Proxy;

use super::peers::*;
use crate::counters::{CALLERS, faults, value, wait_for, wait_until};
use crate::wire::{self, SERVICE, inbound, service};

const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// `HealthCheckResponse`, framed.
const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";
const NOT_SERVING: &[u8] = b"\0\0\0\0\x02\x08\x02";
const SERVICE_UNKNOWN: &[u8] = b"\0\0\0\0\x02\x08\x03";

/// `HealthCheckRequest`, framed.
fn question(service: &str) -> Vec<u8> {
    let length = service.len() as u8;
    match length {
        0 => vec![0; 5],
        _ => [&[0, 0, 0, 0, length + 2, 0x0a, length], service.as_bytes()].concat(),
    }
}

fn to(host: &str, method: &str) -> Request<()> {
    request(&format!("http://{host}/{method}"))
}

/// The status and body of a health check.
async fn check(caller: &mut SendRequest<Bytes>, host: &str, service: &str) -> (String, Vec<u8>) {
    let request = to(host, &format!("{HEALTH}/Check"));
    let answer = call(caller, request, &question(service)).await.unwrap();
    (answer.grpc().0.to_owned(), answer.body)
}

/// Who takes a call, by the name that servers give themselves.
async fn taker(caller: &mut SendRequest<Bytes>, request: Request<()>) -> String {
    let answer = call(caller, request, &question("")).await.unwrap();
    let name = answer.headers.get("name").map(|name| name.to_str().unwrap().to_owned());
    name.unwrap_or_else(|| panic!("{answer:?}"))
}

async fn watch(caller: &mut SendRequest<Bytes>, host: &str, service: &str) -> RecvStream {
    let (answer, mut stream) = open(caller, to(host, &format!("{HEALTH}/Watch"))).await;
    stream.send_data(question(service).into(), true).unwrap();
    soon(answer).await.unwrap().into_body()
}

async fn next(watch: &mut RecvStream) -> Bytes {
    soon(watch.data()).await.expect("the stream goes on").unwrap()
}

/// Waits for the number of health checks of the proxy that ended so.
fn wait_for_checks(proxy: &Proxy, method: &str, outcome: &str, count: u32) {
    let series = format!(
        r#"spanwire_calls_total{{protocol="grpc",listener="http",service="{HEALTH}",method="{method}",outcome="{outcome}"}} {count}"#
    );
    wait_until(&series, || {
        let text = proxy.metrics().render();
        if text.lines().any(|line| line == series) { Ok(()) } else { Err(text) }
    });
}

fn grpc_service(name: &str, endpoints: &[SocketAddr]) -> StaticService {
    StaticService { protocol: Protocol::Grpc, ..service(name, endpoints) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_about_a_server_are_for_the_service_that_the_host_names() {
    let mut config = http(Protocol::Grpc, &[Server::new().await.named("echo")]);
    config.services.push(grpc_service("shop:9000", &[Server::new().await.named("shop")]));
    config.services.push(grpc_service("rest", &[Server::new().await.named("rest")]));
    config.listeners[0].default_service = Some("rest".to_owned());
    let (proxy, mut caller) = run(config).await;
    let alpha = REFLECTION.replace("v1", "v1alpha");
    let (check, watch) = (format!("{HEALTH}/Check"), format!("{HEALTH}/Watch"));
    for method in [&check, &watch, REFLECTION, &alpha] {
        for (host, name) in [
            (SERVICE, "echo"),
            ("lab.EchoService:20880", "echo"),
            ("shop:9000", "shop"),
            ("SHOP:9000", "shop"),
            ("shop", "rest"),
            ("127.0.0.1:15001", "rest"),
        ] {
            assert_eq!(taker(&mut caller, to(host, method)).await, name, "{host} {method}");
        }
    }
    // The service itself is called by its path, whatever the host.
    assert_eq!(taker(&mut caller, to("shop:9000", "lab.EchoService/Say")).await, "echo");
    wait_for_calls(&proxy, "grpc", &check, "success", 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_that_very_name_is_called_by_it() {
    let mut config = http(Protocol::Grpc, &[Server::new().await.named("echo")]);
    config.services.push(grpc_service(HEALTH, &[Server::new().await.named("health")]));
    let (_proxy, mut caller) = run(config).await;
    let check = format!("{HEALTH}/Check");
    assert_eq!(taker(&mut caller, to("mesh", &check)).await, "health");
    assert_eq!(taker(&mut caller, to(SERVICE, &check)).await, "echo");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_gets_calls_about_a_server_like_all_others() {
    let mut config = inbound(Server::new().await.named("app"));
    config.listeners[0].name = "http".to_owned();
    config.listeners[0].protocols = vec![Protocol::Grpc];
    let (_proxy, mut caller) = run(config).await;
    for method in [&format!("{HEALTH}/Check"), &format!("{HEALTH}/Watch"), REFLECTION] {
        assert_eq!(taker(&mut caller, to("127.0.0.1", method)).await, "app", "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_for_no_service_are_about_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let mut config = http(Protocol::Grpc, &[Server::new().await.named("echo")]);
    config.services.push(grpc_service("empty", &[]));
    config.services.push(service("com.foo.Dubbo", &[wire::Provider::new().address()]));
    config.access_log = Some(AccessLog::File(path.clone()));
    let (proxy, mut caller) = run(config).await;
    let serving = ("0".to_owned(), SERVING.to_vec());
    for host in ["127.0.0.1:15001", "empty", "nobody.example"] {
        assert_eq!(check(&mut caller, host, "").await, serving, "{host}");
    }
    assert_eq!(check(&mut caller, "mesh", SERVICE).await, serving);
    assert_eq!(check(&mut caller, "mesh", "com.foo.Dubbo").await, serving);
    let not_serving = ("0".to_owned(), NOT_SERVING.to_vec());
    assert_eq!(check(&mut caller, "mesh", "empty").await, not_serving);
    assert_eq!(check(&mut caller, "mesh", "lab.None").await, ("5".to_owned(), Vec::new()));

    let request = to("mesh", &format!("{HEALTH}/Check"));
    let broken = call(&mut caller, request, b"\0\0\0\0\x02\x0a\x09").await.unwrap();
    assert_eq!(broken.grpc().0, "13", "{broken:?}");
    let mut compressed = to("mesh", &format!("{HEALTH}/Check"));
    compressed.headers_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    let compressed = call(&mut caller, compressed, b"\x01\0\0\0\0").await.unwrap();
    assert_eq!(compressed.grpc().0, "12", "{compressed:?}");
    for (method, why) in [
        (REFLECTION.to_owned(), "this call is for none that is known"),
        (
            format!("{HEALTH}/Heal"),
            "answers Check, Watch and List of grpc.health.v1.Health, not Heal",
        ),
    ] {
        let answer = call(&mut caller, to("mesh", &method), b"").await.unwrap();
        assert_eq!(answer.grpc().0, "12", "{answer:?}");
        for part in ["[unknown_service]", why, "name the service as the host"] {
            assert!(answer.grpc().1.contains(part), "{part} in {answer:?}");
        }
    }
    assert_eq!(value(&proxy, &faults("unknown_service")), 2);
    for (outcome, count) in
        [("success", 6), ("business_exception", 1), ("unreadable", 1), ("provider_error", 1)]
    {
        wait_for_checks(&proxy, "Check", outcome, count);
    }
    drop(caller);
    wait_for(&proxy, CALLERS, 0);
    proxy.drain().unwrap();
    let log = std::fs::read_to_string(&path).unwrap();
    let line = log.lines().next().unwrap();
    for part in [
        r#""protocol":"grpc","service":"grpc.health.v1.Health","method":"Check""#,
        r#""method":"Check","outcome":"success""#,
        r#""bytes_in":5,"bytes_out":7"#,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(log.lines().count(), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_tells_of_the_proxy_and_of_every_service_that_it_knows() {
    let known = |others: u32| async move {
        let mut config = http(Protocol::Grpc, &[Server::new().await.named("echo")]);
        config.services.extend((0..others).map(|one| grpc_service(&format!("empty-{one}"), &[])));
        let (_proxy, mut caller) = run(config).await;
        let request = to("mesh", &format!("{HEALTH}/List"));
        call(&mut caller, request, &question("")).await.unwrap()
    };
    let list = known(1).await;
    assert_eq!(list.grpc().0, "0", "{list:?}");
    let entry = |service: &str, status| {
        let name = [&[0x0a, service.len() as u8], service.as_bytes()].concat();
        let name = if service.is_empty() { Vec::new() } else { name };
        [&[0x0a, name.len() as u8 + 4], &*name, &[0x12, 2, 0x08, status]].concat()
    };
    let entries = [entry("", 1), entry("empty-0", 2), entry(SERVICE, 1)].concat();
    assert_eq!(list.body, [&[0, 0, 0, 0, entries.len() as u8], &*entries].concat());

    assert_eq!(known(99).await.grpc().0, "0");
    let many = known(100).await;
    assert_eq!(many.grpc().0, "8", "{many:?}");
    assert!(many.grpc().1.contains("100 services at most, and 101 are known"), "{many:?}");
}

/// Registers a provider of [`SERVICE`] that speaks Triple.
async fn register(store: &Embedded, provider: SocketAddr) {
    let url = format!("tri://{provider}/{SERVICE}?interface={SERVICE}&side=provider");
    let key = registry::key::registration_key("/dubbo", &url).unwrap();
    let mut client = Client::connect([store.url()], None).await.unwrap();
    client.put(key, "1", None).await.unwrap();
}

/// A proxy that finds its services in a store, which has answered.
async fn before(store: &Embedded) -> (Proxy, SendRequest<Bytes>) {
    let store = vec![store.url()];
    let config = Config { services: Vec::new(), store, ..http(Protocol::Grpc, &[]) };
    let (proxy, mut caller) = run(config).await;
    let nobody = call(&mut caller, to("mesh", "lab.Nobody/Say"), b"").await.unwrap();
    assert_eq!(nobody.grpc().0, "12", "{nobody:?}");
    (proxy, caller)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_may_name_a_service_that_only_the_store_knows() {
    let mut store = Embedded::start().unwrap();
    register(&store, Server::new().await.named("echo")).await;
    let (proxy, mut caller) = before(&store).await;
    for method in [REFLECTION.to_owned(), format!("{HEALTH}/Check")] {
        assert_eq!(taker(&mut caller, to("lab.EchoService:20880", &method)).await, "echo");
    }
    let serving = ("0".to_owned(), SERVING.to_vec());
    assert_eq!(check(&mut caller, "nobody.example", "").await, serving);
    // While the store is gone the proxy goes by what it knows.
    store.stop().await.unwrap();
    wait_for(&proxy, "spanwire_store_connected", 0);
    let mut patient = to("other.example", &format!("{HEALTH}/Check"));
    patient.headers_mut().insert("grpc-timeout", "9M".parse().unwrap());
    let told = soon(call(&mut caller, patient, &question(""))).await.unwrap();
    assert_eq!(told.body, SERVING, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_every_change_until_the_end() {
    let store = Embedded::start().unwrap();
    let (proxy, mut caller) = before(&store).await;
    let mut whole = watch(&mut caller, "mesh", "").await;
    let mut one = watch(&mut caller, "mesh", SERVICE).await;
    let mut left = watch(&mut caller, "mesh", SERVICE).await;
    assert_eq!(next(&mut whole).await, SERVING);
    assert_eq!(next(&mut one).await, SERVICE_UNKNOWN);
    assert_eq!(next(&mut left).await, SERVICE_UNKNOWN);
    drop(left);
    wait_for_checks(&proxy, "Watch", "cancelled", 1);
    // Somebody calls it, so that it is known, and then somebody provides it.
    assert_eq!(call(&mut caller, say(), b"").await.unwrap().grpc().0, "12");
    assert_eq!(next(&mut one).await, NOT_SERVING);
    register(&store, Server::new().await.named("echo")).await;
    assert_eq!(next(&mut one).await, SERVING);
    let drained = tokio::task::spawn_blocking(move || proxy.drain());
    for watch in [&mut whole, &mut one] {
        assert_eq!(next(watch).await, NOT_SERVING);
        assert!(soon(watch.data()).await.is_none());
        let trailers = soon(watch.trailers()).await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "14");
    }
    soon(drained).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_leaves_is_not_serving() {
    let store = Etcd::start().await.unwrap();
    let url = format!("tri://127.0.0.1:1/{SERVICE}?side=provider");
    let register = Registration { advertise: "127.0.0.1:1".to_owned(), urls: vec![url.clone()] };
    let app = Server::new().await.named("app");
    let direction = Direction::Inbound { app: app.to_string(), register: Some(register) };
    let mut config = Config { store: vec![store.url()], ..http(Protocol::Grpc, &[app]) };
    config.listeners.push(wire::listener("in", direction));
    let (proxy, mut caller) = run(config).await;
    let mut client = Client::connect([store.url()], None).await.unwrap();
    let key = registry::key::registration_key("/dubbo", &url).unwrap();
    let registered = async {
        while client.get(key.clone(), None).await.unwrap().kvs().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(registered).await;
    let mut whole = watch(&mut caller, "mesh", "").await;
    assert_eq!(next(&mut whole).await, SERVING);
    // It takes its time to take the registration back, and the proxy serves meanwhile.
    store.freeze().unwrap();
    let drained = tokio::task::spawn_blocking(move || proxy.drain());
    assert_eq!(next(&mut whole).await, NOT_SERVING);
    let not_serving = ("0".to_owned(), NOT_SERVING.to_vec());
    assert_eq!(check(&mut caller, "mesh", "").await, not_serving);
    assert_eq!(check(&mut caller, "mesh", SERVICE).await, not_serving);
    drop((caller, whole));
    soon(drained).await.unwrap().unwrap();
}
