//! What the compiled tables of a large mesh take: 10,000 services with 10
//! endpoints each and 1,000 rules fit into 150 MiB.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use governance::{Compat, Endpoint, EndpointIds, Options, Origin, RuleSet, Service};

/// Counts the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator and counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_large_mesh_fits() {
    let before = IN_USE.load(Ordering::Relaxed);
    let mut rules = RuleSet::new(Compat::Documented);
    let name = |service: usize| format!("com.example.trade.order.api.OrderService{service}");
    for rule in 0..1000 {
        let text = "configVersion: v3.0\nforce: false\nenabled: true\nconditions:\n  \
                    - method=get* => region=$region\n  - application=web => host!=10.9.*\n";
        let key = format!("{}::.condition-router", name(rule * 10));
        let applied = rules.apply(&key, Some(text), Origin::Store { revision: 1 });
        assert!(applied.is_in_force());
    }
    let mut ids = EndpointIds::new();
    let options = Options { callers: Some(vec!["web".to_owned()]) };
    let services: Vec<Service> = (0..10_000)
        .map(|service| {
            let endpoints = (0..10)
                .map(|n| {
                    // A provider URL as Java 3.3 registers it.
                    let url = format!(
                        "dubbo://10.{}.{}.{n}:20880/{}?anyhost=true&application=shop-order-provider\
                         &background=false&deprecated=false&dubbo=2.0.2&dynamic=true&generic=false\
                         &interface={}&methods=create,cancel,find,list,pay,refund&payload=8388608\
                         &prefer.serialization=hessian2,fastjson2&region=hz&release=3.3.5\
                         &service-name-mapping=true&side=provider&timestamp=1700000000000",
                        service / 256,
                        service % 256,
                        name(service),
                        name(service),
                    );
                    Endpoint::from_url(&url, &mut ids).unwrap()
                })
                .collect();
            Service::compile(&name(service), endpoints, &rules, &options)
        })
        .collect();
    let bytes = IN_USE.load(Ordering::Relaxed) - before;
    assert_eq!(services.len(), 10_000);
    println!("{} MiB, {} bytes per endpoint", bytes >> 20, bytes / 100_000);
    assert!(bytes <= 150 << 20, "{} MiB", bytes >> 20);
}
