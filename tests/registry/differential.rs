//! The same thousand random requests to a real etcd and to the embedded store:
//! every answer, every refusal and every watch event has to be the same.

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, Error, GetOptions, KeyValue, LeaseGrantOptions,
    PutOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, TxnResponse, WatchOptions,
    WatchStream,
};
use fastrand::Rng;

use crate::stage::*;

/// Requests per seed.
const REQUESTS: usize = 500;

/// Always the same ones, so that a failure is the fault of a change;
/// `SPANWIRE_SEED` tries another.
#[tokio::test]
async fn a_thousand_random_requests_get_the_same_answers() {
    match std::env::var("SPANWIRE_SEED") {
        Ok(seed) => same_answers(seed.parse().expect("SPANWIRE_SEED is a number")).await,
        Err(_) => {
            for seed in [1, 2] {
                same_answers(seed).await;
            }
        }
    }
}

async fn same_answers(seed: u64) {
    let (etcd, embedded) = (Store::etcd().await, Store::embedded().await);
    let mut clients = [client(&etcd.url()).await, client(&embedded.url()).await];
    let mut watches = Vec::new();
    for client in &mut clients {
        let options = WatchOptions::new().with_from_key().with_prev_key();
        let mut stream = client.watch("\0", Some(options)).await.unwrap();
        assert!(stream.message().await.unwrap().unwrap().created());
        watches.push(stream);
    }
    let mut rng = Rng::with_seed(seed);
    let mut revision = 1;
    let mut told = [Vec::new(), Vec::new()];
    for step in 0..REQUESTS {
        let request = Request::random(&mut rng, revision);
        if let Request::Compact(_) = request {
            // What a compaction takes from an event's previous value depends on
            // who is faster.
            for (stream, told) in watches.iter_mut().zip(&mut told) {
                read_up_to(stream, revision, told).await;
            }
        }
        let [etcd, embedded] = &mut clients;
        let (wanted, newest) = request.send(etcd).await;
        let (found, _) = request.send(embedded).await;
        assert_eq!(found, wanted, "seed {seed}, step {step}, {request:?}");
        revision = newest.unwrap_or(revision);
    }
    for (stream, told) in watches.iter_mut().zip(&mut told) {
        read_up_to(stream, revision, told).await;
    }
    for (found, wanted) in told[1].iter().zip(&told[0]) {
        assert_eq!(found, wanted, "seed {seed}");
    }
    assert_eq!(told[1].len(), told[0].len(), "seed {seed}");
    assert!(revision > 50, "the requests did something");
}

/// Notes the events of a stream up to a revision.
async fn read_up_to(stream: &mut WatchStream, revision: i64, told: &mut Vec<(i64, String)>) {
    while told.last().map_or(1, |(seen, _)| *seen) < revision {
        let response = tokio::time::timeout(PATIENCE, stream.message()).await;
        let response = response.expect("an event in time").unwrap().unwrap();
        for event in response.events() {
            let kv = event.kv().unwrap();
            let before = event.prev_kv().map(text).unwrap_or_default();
            told.push((
                kv.mod_revision(),
                format!("{:?} {} before {before}", event.event_type(), text(kv)),
            ));
        }
    }
}

#[derive(Debug)]
enum Request {
    Put(String, String, PutOptions),
    Get(String, GetOptions),
    Delete(String, DeleteOptions),
    Txn(Txn),
    Grant(i64),
    Revoke(i64),
    Compact(i64),
}

impl Request {
    fn random(rng: &mut Rng, revision: i64) -> Request {
        match rng.u8(0..20) {
            0..6 => Request::Put(key(rng), value(rng), put_options(rng)),
            6..11 => Request::Get(key(rng), get_options(rng, revision)),
            11..13 => Request::Delete(key(rng), delete_options(rng)),
            13..17 => Request::Txn(txn(rng, 0)),
            17 => Request::Grant(rng.i64(1..4)),
            18 => Request::Revoke(rng.i64(1..4)),
            _ => Request::Compact(rng.i64((revision - 20).max(0)..revision + 2)),
        }
    }

    /// The answer in words, and the newest revision if it tells.
    async fn send(&self, client: &mut Client) -> (String, Option<i64>) {
        match self {
            Request::Put(key, value, options) => said(
                client.put(key.as_str(), value.as_str(), Some(options.clone())).await,
                |answer| {
                    (
                        answer.header().unwrap().revision(),
                        answer.prev_key().map(text).unwrap_or_default(),
                    )
                },
            ),
            Request::Get(key, options) => {
                said(client.get(key.as_str(), Some(options.clone())).await, |answer| {
                    let found = texts(answer.kvs());
                    let found = format!(
                        "{} of {}, {} {found}",
                        answer.kvs().len(),
                        answer.count(),
                        answer.more()
                    );
                    (answer.header().unwrap().revision(), found)
                })
            }
            Request::Delete(key, options) => {
                said(client.delete(key.as_str(), Some(options.clone())).await, |answer| {
                    let gone = format!("{} {}", answer.deleted(), texts(answer.prev_kvs()));
                    (answer.header().unwrap().revision(), gone)
                })
            }
            Request::Txn(txn) => said(client.txn(txn.clone()).await, |answer| {
                (answer.header().unwrap().revision(), txn_text(answer))
            }),
            Request::Grant(id) => {
                let options = LeaseGrantOptions::new().with_id(*id);
                said(client.lease_grant(1000, Some(options)).await, |answer| {
                    (
                        answer.header().unwrap().revision(),
                        format!("{} {}", answer.id(), answer.ttl()),
                    )
                })
            }
            Request::Revoke(id) => said(client.lease_revoke(*id).await, |answer| {
                (answer.header().unwrap().revision(), String::new())
            }),
            Request::Compact(revision) => said(client.compact(*revision, None).await, |answer| {
                (answer.header().unwrap().revision(), String::new())
            }),
        }
    }
}

fn said<T>(answer: Result<T, Error>, words: impl Fn(&T) -> (i64, String)) -> (String, Option<i64>) {
    match answer {
        Ok(answer) => {
            let (revision, words) = words(&answer);
            (format!("at {revision}: {words}"), Some(revision))
        }
        Err(Error::GRpcStatus(status)) => {
            (format!("{:?}: {}", status.code(), status.message()), None)
        }
        Err(other) => panic!("{other}"),
    }
}

fn text(kv: &KeyValue) -> String {
    let (key, value) = (kv.key_str().unwrap(), kv.value_str().unwrap());
    let (create, revision, version) = (kv.create_revision(), kv.mod_revision(), kv.version());
    format!(
        "{key}={value} (created {create}, changed {revision}, version {version}, lease {})",
        kv.lease()
    )
}

fn texts(kvs: &[KeyValue]) -> String {
    kvs.iter().map(text).collect::<Vec<_>>().join("; ")
}

fn txn_text(answer: &TxnResponse) -> String {
    let responses = answer.op_responses();
    let words = responses.iter().map(|response| match response {
        TxnOpResponse::Put(put) => format!("put {}", put.prev_key().map(text).unwrap_or_default()),
        TxnOpResponse::Get(get) => {
            format!("get {} {} {}", get.count(), get.more(), texts(get.kvs()))
        }
        TxnOpResponse::Delete(delete) => {
            format!("delete {} {}", delete.deleted(), texts(delete.prev_kvs()))
        }
        TxnOpResponse::Txn(txn) => format!("txn ({})", txn_text(txn)),
    });
    format!("{} [{}]", answer.succeeded(), words.collect::<Vec<_>>().join(", "))
}

fn key(rng: &mut Rng) -> String {
    rng.choice(["", "a", "b", "b/1", "b/2", "b/3", "c", "c/1", "d"]).unwrap().to_owned()
}

fn value(rng: &mut Rng) -> String {
    rng.choice(["", "1", "2", "3"]).unwrap().to_owned()
}

fn put_options(rng: &mut Rng) -> PutOptions {
    let mut options = PutOptions::new();
    if rng.bool() {
        options = options.with_prev_key();
    }
    match rng.u8(0..8) {
        0 => options.with_ignore_value(),
        1 => options.with_ignore_lease(),
        2..4 => options.with_lease(rng.i64(1..4)),
        _ => options,
    }
}

fn get_options(rng: &mut Rng, revision: i64) -> GetOptions {
    let mut options = GetOptions::new();
    options = match rng.u8(0..5) {
        0 => options.with_prefix(),
        1 => options.with_from_key(),
        2 => options.with_range(key(rng)),
        _ => options,
    };
    if rng.u8(0..3) == 0 {
        options = options.with_limit(rng.i64(0..4));
    }
    if rng.u8(0..3) == 0 {
        options = options.with_revision(rng.i64((revision - 10).max(0)..revision + 2));
    }
    if rng.u8(0..3) == 0 {
        let targets = [
            SortTarget::Key,
            SortTarget::Create,
            SortTarget::Mod,
            SortTarget::Value,
            SortTarget::Version,
        ];
        let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
        options = options.with_sort(rng.choice(targets).unwrap(), rng.choice(orders).unwrap());
    }
    match rng.u8(0..10) {
        0 => options.with_keys_only(),
        1 => options.with_count_only(),
        2 => options.with_min_mod_revision(rng.i64(0..revision + 1)),
        3 => options.with_max_create_revision(rng.i64(0..revision + 1)),
        _ => options,
    }
}

fn delete_options(rng: &mut Rng) -> DeleteOptions {
    let options = DeleteOptions::new().with_prev_key();
    match rng.u8(0..4) {
        0 => options.with_prefix(),
        1 => options.with_range(key(rng)),
        _ => options,
    }
}

fn txn(rng: &mut Rng, depth: u8) -> Txn {
    let compares: Vec<Compare> = (0..rng.usize(0..3)).map(|_| compare(rng)).collect();
    let mut operations = || (0..rng.usize(0..4)).map(|_| operation(rng, depth)).collect::<Vec<_>>();
    let (yes, no) = (operations(), operations());
    Txn::new().when(compares).and_then(yes).or_else(no)
}

fn compare(rng: &mut Rng) -> Compare {
    let operators = [CompareOp::Equal, CompareOp::Greater, CompareOp::Less, CompareOp::NotEqual];
    let operator = rng.choice(operators).unwrap();
    let number = rng.i64(0..6);
    let compare = match rng.u8(0..5) {
        0 => Compare::version(key(rng), operator, number),
        1 => Compare::create_revision(key(rng), operator, number),
        2 => Compare::mod_revision(key(rng), operator, number * 20),
        3 => Compare::value(key(rng), operator, value(rng)),
        _ => Compare::lease(key(rng), operator, number),
    };
    if rng.u8(0..4) == 0 { compare.with_prefix() } else { compare }
}

fn operation(rng: &mut Rng, depth: u8) -> TxnOp {
    match rng.u8(0..8) {
        // A nested write that is refused ends etcd 3.4 by a panic.
        0..4 if depth > 0 => TxnOp::put(key(rng), value(rng), None),
        0..4 => TxnOp::put(key(rng), value(rng), Some(put_options(rng))),
        4 if depth > 0 => TxnOp::get(key(rng), None),
        4 => TxnOp::get(key(rng), Some(get_options(rng, 0))),
        5..7 => TxnOp::delete(key(rng), Some(delete_options(rng))),
        _ if depth < 2 => TxnOp::txn(txn(rng, depth + 1)),
        _ => TxnOp::get(key(rng), None),
    }
}
