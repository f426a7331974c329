//! Rules that change under load, through the store: no call fails, and none is
//! decided by parts of two versions.
//!
//! Four providers are all there is of two colours and two shapes. Each version of
//! the rules names a colour in one place and a shape in another; whoever sees half
//! of a change calls a provider that no version names.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proxy::config::Config;

use crate::counters::{IN_FLIGHT, value, wait_until};
use crate::store::Store;
use crate::wire::*;

/// How often the rules change.
const CHANGES: usize = 240;
/// Connections that call all the time, and how many calls each has on its way at once.
const CALLERS: usize = 6;
const AT_ONCE: u64 = 4;

/// A colour, a shape, and how the provider answers.
type Kind = (&'static str, &'static str, fn(&Frame) -> Frame);

/// How long a change may take to show. The store writes it to disk first, which waits
/// for whatever else the disk has to do.
const PATIENCE: Duration = Duration::from_secs(30);

const PROVIDERS: [Kind; 4] = [
    ("red", "round", |call| call.answer(&string("red round"))),
    ("red", "square", |call| call.answer(&string("red square"))),
    ("blue", "round", |call| call.answer(&string("blue round"))),
    ("blue", "square", |call| call.answer(&string("blue square"))),
];

/// What the two versions of the rules name.
const VERSIONS: [(&str, &str); 2] = [("red", "round"), ("blue", "square")];

/// One document, or several that are written in one transaction.
type Documents = Vec<(&'static str, String)>;

const OF_THE_SERVICE: &str = "/dubbo/config/dubbo/lab.EchoService::.condition-router";
const OF_THE_CALLER: &str = "/dubbo/config/dubbo/web.condition-router";

fn document(conditions: &[String]) -> String {
    // Without force: half a change must show as a wrong answer, not as a failed call.
    format!("configVersion: v3.0\nforce: false\nenabled: true\nconditions: {conditions:?}\n")
}

/// Both in one document.
fn one_document(color: &str, shape: &str) -> Documents {
    let conditions = [format!("=> color={color}"), format!("=> shape={shape}")];
    vec![(OF_THE_SERVICE, document(&conditions))]
}

/// Each in a document of its own, in different places of the chain.
fn two_documents(color: &str, shape: &str) -> Documents {
    vec![
        (OF_THE_SERVICE, document(&[format!("=> color={color}")])),
        (OF_THE_CALLER, document(&[format!("=> shape={shape}")])),
    ]
}

/// Calls all the time, and checks every answer; says which version was seen last.
fn call_until(stopping: &AtomicBool, caller: &mut Wire, seen: &AtomicU8) -> u64 {
    let names = VERSIONS.map(|(color, shape)| format!("{color} {shape}"));
    let mut id = 0;
    while !stopping.load(Ordering::Relaxed) {
        let burst: Vec<u8> = (id..id + AT_ONCE).flat_map(|id| Request::new(id).bytes()).collect();
        caller.send(&burst);
        let mut newest = (0, 0);
        for _ in 0..AT_ONCE {
            let answer = caller.expect();
            let text = answer.text();
            assert_eq!(answer.status, 20, "{text}");
            let version = names.iter().position(|name| text.ends_with(name.as_str()));
            let Some(version) = version else {
                panic!("no version of the rules leads to {text:?}")
            };
            newest = newest.max((answer.id, version));
        }
        seen.store(newest.1 as u8, Ordering::Relaxed);
        id += AT_ONCE;
    }
    id
}

fn change_under_load(documents: fn(&str, &str) -> Documents) {
    let store = Store::start();
    let providers = PROVIDERS.map(|(.., answer)| Provider::new().answer_forever(answer));
    let mut services = outbound(&providers).services;
    for (endpoint, (color, shape, _)) in services[0].endpoints.iter_mut().zip(PROVIDERS) {
        endpoint.labels.insert("color".to_owned(), color.to_owned());
        endpoint.labels.insert("shape".to_owned(), shape.to_owned());
    }
    let push = |version: usize| {
        let (color, shape) = VERSIONS[version];
        let documents = documents(color, shape);
        let values: Vec<(&str, &str)> =
            documents.iter().map(|(key, text)| (*key, text.as_str())).collect();
        store.put_all(&values);
    };
    push(0);
    let (proxy, mut first) = start(Config { services, workers: 2, ..store.config() });
    let mut id = 0;
    wait_until("the first rules to be in force", || {
        id += 1;
        // One call by chance is no proof: a proxy that has no rules yet has four providers.
        for _ in 0..20 {
            first.send(&Request::new(id).bytes());
            let text = first.expect().text();
            if !text.ends_with("red round") {
                return Err(text);
            }
        }
        Ok(())
    });

    let stopping = AtomicBool::new(false);
    let seen: [AtomicU8; CALLERS] = Default::default();
    let mut delays = Vec::with_capacity(CHANGES);
    let calls: u64 = thread::scope(|scope| {
        let callers: Vec<_> = seen
            .iter()
            .map(|seen| {
                let mut caller = Wire::connect(proxy.address("out").unwrap());
                let stopping = &stopping;
                scope.spawn(move || call_until(stopping, &mut caller, seen))
            })
            .collect();
        for change in 1..=CHANGES {
            let version = change % 2;
            let pushed = Instant::now();
            push(version);
            let is_seen = || {
                seen.iter().all(|seen| usize::from(seen.load(Ordering::Relaxed)) == version)
                    || callers.iter().any(|caller| caller.is_finished())
            };
            while !is_seen() && pushed.elapsed() < PATIENCE {
                thread::sleep(Duration::from_micros(200));
            }
            delays.push(pushed.elapsed());
            if callers.iter().any(|caller| caller.is_finished()) {
                break;
            }
        }
        stopping.store(true, Ordering::Relaxed);
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    delays.sort_unstable();
    println!(
        "{CHANGES} changes under {calls} calls; from the push to its effect on all {CALLERS} connections: \
         median {:?}, 99th percentile {:?}, longest {:?}",
        delays[delays.len() / 2],
        delays[delays.len() * 99 / 100],
        delays[delays.len() - 1]
    );
    assert!(delays[delays.len() - 1] < PATIENCE, "a change had no effect");
    assert!(calls > CHANGES as u64 * CALLERS as u64, "no load: {calls} calls");
    assert_eq!(value(&proxy, IN_FLIGHT), 0);
}

#[test]
fn a_document_that_changes_under_load_is_seen_as_a_whole() {
    change_under_load(one_document);
}

#[test]
fn documents_of_one_transaction_are_seen_together() {
    change_under_load(two_documents);
}
