//! Idle connections: heartbeats in both directions, an idle minute scaled down.

use std::thread;
use std::time::Duration;

use harness::java::Line;
use harness::port;
use harness::spanwire::Proxy;
use serde_json::json;

use crate::fixture::{consumer, endpoint, outbound, provider, services, unique, url};

#[test]
fn idle_connections_live_by_heartbeats() {
    for (from, to) in [(Line::Dubbo33, Line::Dubbo27), (Line::Dubbo27, Line::Dubbo33)] {
        let mut provider = provider(to);
        let mut consumer = consumer(from);
        // Java closes after three silent intervals; so does the proxy. They are long enough
        // for a busy machine to be late.
        let parameters = json!({"parameters": {"heartbeat": "1500"}});
        let name = unique("idle");
        let app = provider.export(&name, parameters).expect("exported");
        let out = port::free();
        let configuration = services(&[endpoint(app)]) + &outbound(out);
        let configuration = configuration.replace("call: 60s", "call: 60s, heartbeat: 1200ms");
        let proxy = Proxy::start(&configuration);
        let reference = unique("idle");
        let options = json!({"url": format!("{}?heartbeat=1500", url(out)), "retries": 0});
        consumer.refer(&reference, options).expect("made");
        consumer.call(&reference, json!({})).expect("called").result.expect("it works");
        let (before_out, before_app) = (port::connections_to(out), port::connections_to(app));
        assert_eq!(before_out.len(), 1, "one connection carries all");
        assert!(!before_app.is_empty());

        // Six intervals without a call.
        thread::sleep(Duration::from_secs(9));
        assert_eq!(port::connections_to(out), before_out, "{from:?}\n{}", proxy.log());
        assert_eq!(port::connections_to(app), before_app, "{to:?}\n{}", proxy.log());
        let seen = consumer.call(&reference, json!({})).expect("called");
        assert_eq!(seen.result, Ok(format!("\"{name}\"")));
        consumer.ask(&json!({"cmd": "destroy", "ref": reference})).expect("gone");
    }
}
