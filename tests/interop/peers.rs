//! The peers themselves, without the mesh.

use harness::java::Line;
use serde_json::json;

use crate::fixture::{consumer, provider, unique, url};

#[test]
fn each_line_can_call_each_other() {
    for (from, to) in [
        (Line::Dubbo33, Line::Dubbo27),
        (Line::Dubbo27, Line::Dubbo32),
        (Line::Dubbo32, Line::Dubbo33),
    ] {
        let (mut consumer, mut provider) = (consumer(from), provider(to));
        let name = unique("direct");
        let port = provider.export(&name, json!({})).expect("exported");
        let reference = unique("direct");
        consumer.refer(&reference, json!({"url": url(port)})).expect("made");
        let seen = consumer.call(&reference, json!({})).expect("called");
        assert_eq!(seen.result, Ok(format!("\"{name}\"")), "{from:?} to {to:?}");
    }
}
