//! The ways to point an application at its sidecar without touching its code.

use std::fs;

use harness::java::{Line, Peer, Role};
use harness::port;
use harness::spanwire::Proxy;
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::{SERVICE, consumer, endpoint, outbound, provider, services, unique, url};

#[test]
fn system_properties_point_at_the_sidecar() {
    let mut provider = provider(Line::Dubbo27);
    let name = unique("pointed");
    let app = provider.export(&name, json!({})).expect("exported");
    let out = port::free();
    let _proxy = Proxy::start(&(services(&[endpoint(app)]) + &outbound(out)));
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("resolve.properties");
    fs::write(&file, format!("{SERVICE}={}\n", url(out))).expect("the folder is ours");
    let file = file.display().to_string();
    let reference = format!("dubbo.reference.{SERVICE}.url");
    for line in [Line::Dubbo33, Line::Dubbo27] {
        for (key, value) in [
            (SERVICE, url(out)),
            (reference.as_str(), url(out)),
            ("dubbo.resolve.file", file.clone()),
        ] {
            // No url and no registry in the program itself.
            let mut consumer = Peer::start(line, Role::Consumer, &[(key, &value)], &[])
                .unwrap_or_else(|error| panic!("{error}"));
            consumer.refer("pointed", json!({"retries": 0})).expect("made");
            let seen = consumer.call("pointed", json!({})).expect("called");
            assert_eq!(seen.result, Ok(format!("\"{name}\"")), "{line:?} {key}");
        }
    }
}

/// Java calls the machine's own address where 127.0.0.1 is written.
#[test]
fn loopback_in_a_url_is_not_loopback() {
    let own = port::own_address();
    assert!(!own.is_loopback(), "this machine has no address but loopback to show the trap with");
    let mut provider = provider(Line::Dubbo33);
    let name = unique("loopback");
    let app = provider.export(&name, json!({})).expect("exported");
    let (narrow, wide) = (port::free(), port::free());
    let _narrow = Proxy::start(&(services(&[endpoint(app)]) + &outbound(narrow)));
    let _wide = Proxy::start(
        &(services(&[endpoint(app)]) + &outbound(wide).replace("127.0.0.1", "0.0.0.0")),
    );
    for line in [Line::Dubbo33, Line::Dubbo27] {
        let mut consumer = consumer(line);
        let mut call = |host: &str, port: u16| {
            let reference = unique("loopback");
            let url = format!("dubbo://{host}:{port}");
            let options = json!({"url": url, "retries": 0, "timeout": 3000});
            if let Err(error) = consumer.refer(&reference, options) {
                return Err(error.to_string());
            }
            consumer.call(&reference, json!({})).expect("called").result
        };
        assert!(
            call("127.0.0.1", narrow).is_err(),
            "{line:?}: no trap any more: tell docs/java.md"
        );
        assert!(
            call("localhost", narrow).is_err(),
            "{line:?}: no trap any more: tell docs/java.md"
        );
        let answer = Ok(format!("\"{name}\""));
        assert_eq!(call("2130706433", narrow), answer, "{line:?}");
        assert_eq!(call("127.0.0.1", wide), answer, "{line:?}");
        assert_eq!(call(&own.to_string(), wide), answer, "{line:?}");
    }
}
