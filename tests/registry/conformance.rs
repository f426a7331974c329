//! The embedded store and a real etcd give the same answers: every test here
//! runs against each.

use std::time::Duration;

use etcd_client::{
    Client, CompactionOptions, Compare, CompareOp, DeleteOptions, EventType, GetOptions,
    LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp,
    WatchFilterType, WatchOptions, WatchResponse, WatchStream,
};
use harness::etcd::etcdctl;

use crate::stage::*;

against_each!(
    keys_have_versions_and_revisions,
    ranges_are_limited_sorted_and_filtered,
    old_and_future_revisions_are_refused,
    puts_keep_value_or_lease,
    transactions_do_all_or_nothing,
    watches_tell_history_and_the_present,
    watches_share_a_stream,
    compaction_ends_watches,
    one_big_revision_comes_in_pieces,
    leases_hold_keys,
    leases_end,
    everything_survives_a_restart,
    etcdctl_is_at_home,
);

/// What a refusal says.
fn refusal<T: std::fmt::Debug>(result: Result<T, etcd_client::Error>) -> String {
    match result {
        Err(etcd_client::Error::GRpcStatus(status)) => {
            format!("{:?}: {}", status.code(), status.message())
        }
        other => panic!("wanted a refusal, got {other:?}"),
    }
}

async fn keys(client: &mut Client, key: &str, options: GetOptions) -> Vec<String> {
    let answer = client.get(key, Some(options)).await.unwrap();
    answer.kvs().iter().map(|kv| kv.key_str().unwrap().to_owned()).collect()
}

async fn keys_have_versions_and_revisions(store: Store) {
    let mut client = client(&store.url()).await;
    let start = client.get("a", None).await.unwrap().header().unwrap().revision();
    assert_eq!(start, 1);
    client.put("a", "1", None).await.unwrap();
    let previous = PutOptions::new().with_prev_key();
    let answer = client.put("a", "2", Some(previous)).await.unwrap();
    assert_eq!(answer.header().unwrap().revision(), 3);
    let before = answer.prev_key().unwrap();
    assert_eq!((before.value(), before.version(), before.mod_revision()), (&b"1"[..], 1, 2));
    let answer = client.get("a", None).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.value(), kv.version()), (&b"2"[..], 2));
    assert_eq!((kv.create_revision(), kv.mod_revision(), kv.lease()), (2, 3, 0));
    let old = client.get("a", Some(GetOptions::new().with_revision(2))).await.unwrap();
    assert_eq!((old.kvs()[0].value(), old.header().unwrap().revision()), (&b"1"[..], 3));

    let gone = client.delete("a", Some(DeleteOptions::new().with_prev_key())).await.unwrap();
    assert_eq!((gone.deleted(), gone.prev_kvs()[0].value()), (1, &b"2"[..]));
    assert_eq!(gone.header().unwrap().revision(), 4);
    let nothing = client.delete("a", None).await.unwrap();
    assert_eq!((nothing.deleted(), nothing.header().unwrap().revision()), (0, 4));
    client.put("a", "3", None).await.unwrap();
    let kv = client.get("a", None).await.unwrap().kvs()[0].clone();
    assert_eq!((kv.version(), kv.create_revision()), (1, 5));
    assert_eq!(
        refusal(client.put("", "x", None).await),
        "InvalidArgument: etcdserver: key is not provided"
    );
    assert_eq!(
        refusal(client.delete("", None).await),
        "InvalidArgument: etcdserver: key is not provided"
    );
    assert_eq!(
        refusal(client.get("", None).await),
        "InvalidArgument: etcdserver: key is not provided"
    );
}

async fn ranges_are_limited_sorted_and_filtered(store: Store) {
    let mut client = client(&store.url()).await;
    // Values descend while keys ascend; b is written twice.
    for (key, value) in
        [("k/a", "4"), ("k/b", "x"), ("k/c", "2"), ("k/d", "1"), ("k/b", "3"), ("l", "0")]
    {
        client.put(key, value, None).await.unwrap();
    }
    let all = || GetOptions::new().with_prefix();
    assert_eq!(keys(&mut client, "k/", all()).await, ["k/a", "k/b", "k/c", "k/d"]);
    assert_eq!(keys(&mut client, "k/b", GetOptions::new().with_range("k/d")).await, ["k/b", "k/c"]);
    assert_eq!(
        keys(&mut client, "k/c", GetOptions::new().with_from_key()).await,
        ["k/c", "k/d", "l"]
    );
    assert_eq!(keys(&mut client, "k/d", GetOptions::new().with_range("k/a")).await, [""; 0]);
    for (target, order, wanted) in [
        (SortTarget::Key, SortOrder::Descend, ["k/d", "k/c", "k/b", "k/a"]),
        (SortTarget::Value, SortOrder::Ascend, ["k/d", "k/c", "k/b", "k/a"]),
        (SortTarget::Mod, SortOrder::Ascend, ["k/a", "k/c", "k/d", "k/b"]),
        (SortTarget::Create, SortOrder::Descend, ["k/d", "k/c", "k/b", "k/a"]),
        (SortTarget::Mod, SortOrder::None, ["k/a", "k/c", "k/d", "k/b"]),
    ] {
        assert_eq!(keys(&mut client, "k/", all().with_sort(target, order)).await, wanted);
    }
    let limited = client.get("k/", Some(all().with_limit(3))).await.unwrap();
    assert_eq!((limited.kvs().len(), limited.more(), limited.count()), (3, true, 4));
    let limited = client.get("k/", Some(all().with_limit(4))).await.unwrap();
    assert_eq!((limited.kvs().len(), limited.more()), (4, false));
    let newest = all().with_sort(SortTarget::Mod, SortOrder::Descend).with_limit(1);
    assert_eq!(keys(&mut client, "k/", newest).await, ["k/b"]);
    let counted = client.get("k/", Some(all().with_count_only())).await.unwrap();
    assert_eq!((counted.kvs().len(), counted.count(), counted.more()), (0, 4, false));
    let bare = client.get("k/", Some(all().with_keys_only())).await.unwrap();
    assert!(bare.kvs().iter().all(|kv| kv.value().is_empty()));
    assert_eq!(keys(&mut client, "k/", all().with_min_mod_revision(5)).await, ["k/b", "k/d"]);
    assert_eq!(keys(&mut client, "k/", all().with_max_create_revision(3)).await, ["k/a", "k/b"]);
}

async fn old_and_future_revisions_are_refused(store: Store) {
    let mut client = client(&store.url()).await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    client.put("b", "1", None).await.unwrap();
    client.delete("b", None).await.unwrap();
    let at = |revision| Some(GetOptions::new().with_revision(revision));
    let future = "OutOfRange: etcdserver: mvcc: required revision is a future revision";
    let compacted = "OutOfRange: etcdserver: mvcc: required revision has been compacted";
    assert_eq!(refusal(client.get("a", at(7)).await), future);
    assert_eq!(refusal(client.compact(7, None).await), future);
    let physical = CompactionOptions::new().with_physical();
    client.compact(3, Some(physical)).await.unwrap();
    assert_eq!(refusal(client.compact(3, None).await), compacted);
    assert_eq!(refusal(client.get("a", at(2)).await), compacted);
    assert_eq!(client.get("a", at(3)).await.unwrap().kvs()[0].value(), b"2");
    assert_eq!(client.get("b", at(5)).await.unwrap().kvs().len(), 1);
    assert_eq!(client.get("a", None).await.unwrap().kvs()[0].value(), b"3");
}

async fn puts_keep_value_or_lease(store: Store) {
    let mut client = client(&store.url()).await;
    let lease = client.lease_grant(60, None).await.unwrap().id();
    let not_found = "InvalidArgument: etcdserver: key not found";
    let keep_value = || PutOptions::new().with_ignore_value();
    assert_eq!(refusal(client.put("a", "", Some(keep_value())).await), not_found);
    client.put("a", "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let refused = client.put("a", "2", Some(keep_value())).await;
    assert_eq!(refusal(refused), "InvalidArgument: etcdserver: value is provided");
    client.put("a", "2", Some(PutOptions::new().with_ignore_lease())).await.unwrap();
    let kv = client.get("a", None).await.unwrap().kvs()[0].clone();
    assert_eq!((kv.value(), kv.lease()), (&b"2"[..], lease));
    client.put("a", "", Some(keep_value())).await.unwrap();
    let kv = client.get("a", None).await.unwrap().kvs()[0].clone();
    assert_eq!((kv.value(), kv.lease()), (&b"2"[..], 0));
    let refused = client.put("a", "3", Some(PutOptions::new().with_lease(lease + 1))).await;
    assert_eq!(refusal(refused), "NotFound: etcdserver: requested lease not found");
}

async fn transactions_do_all_or_nothing(store: Store) {
    let mut client = client(&store.url()).await;
    let lease = client.lease_grant(60, None).await.unwrap().id();
    client.put("a", "1", None).await.unwrap();
    client.put("a", "2", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let mut holds = async |compare: Compare| {
        let yes = client.txn(Txn::new().when([compare])).await.unwrap();
        yes.succeeded()
    };
    for (compare, wanted) in [
        (Compare::value("a", CompareOp::Equal, "2"), true),
        (Compare::value("a", CompareOp::Greater, "2"), false),
        (Compare::version("a", CompareOp::Equal, 2), true),
        (Compare::version("none", CompareOp::Equal, 0), true),
        (Compare::version("none", CompareOp::NotEqual, 0), false),
        (Compare::value("none", CompareOp::NotEqual, "x"), false),
        (Compare::create_revision("a", CompareOp::Less, 3), true),
        (Compare::mod_revision("a", CompareOp::Greater, 2), true),
        (Compare::lease("a", CompareOp::Equal, lease), true),
        (Compare::version("a", CompareOp::Greater, 0).with_prefix(), true),
        (Compare::version("a", CompareOp::Greater, 2).with_prefix(), false),
    ] {
        assert_eq!(holds(compare.clone()).await, wanted, "{compare:?}");
    }
    // What it compares is what was there before the whole transaction.
    let nested = Txn::new()
        .when([Compare::version("b", CompareOp::Equal, 0)])
        .and_then([TxnOp::put("c", "nested", None)]);
    let answer = client
        .txn(
            Txn::new()
                .and_then([
                    TxnOp::put("b", "1", None),
                    TxnOp::get("b", None),
                    TxnOp::delete("a", None),
                    TxnOp::get("a", None),
                    TxnOp::txn(nested),
                ])
                .or_else([TxnOp::put("b", "no", None)]),
        )
        .await
        .unwrap();
    assert!(answer.succeeded());
    assert_eq!(answer.header().unwrap().revision(), 4);
    let answers = format!("{:?}", answer.op_responses());
    assert!(answers.contains("nested") || answers.contains("Txn"), "{answers}");
    let kvs = client.get("a", Some(GetOptions::new().with_from_key())).await.unwrap();
    let found: Vec<_> =
        kvs.kvs().iter().map(|kv| (kv.key_str().unwrap(), kv.mod_revision())).collect();
    assert_eq!(found, [("b", 4), ("c", 4)]);

    let twice = Txn::new().and_then([TxnOp::put("x", "1", None), TxnOp::put("x", "2", None)]);
    let duplicate = "InvalidArgument: etcdserver: duplicate key given in txn request";
    assert_eq!(refusal(client.txn(twice).await), duplicate);
    let all = Some(DeleteOptions::new().with_prefix());
    let both = Txn::new().and_then([TxnOp::delete("x", all), TxnOp::put("xx", "2", None)]);
    assert_eq!(refusal(client.txn(both).await), duplicate);
    let many = Txn::new()
        .and_then((0..129).map(|key| TxnOp::put(format!("y{key}"), "", None)).collect::<Vec<_>>());
    assert_eq!(
        refusal(client.txn(many).await),
        "InvalidArgument: etcdserver: too many operations in txn request"
    );
    let bad_lease = PutOptions::new().with_lease(12345);
    let half =
        Txn::new().and_then([TxnOp::put("x", "1", None), TxnOp::put("z", "2", Some(bad_lease))]);
    assert_eq!(refusal(client.txn(half).await), "NotFound: etcdserver: requested lease not found");
    let answer = client.get("x", None).await.unwrap();
    assert_eq!((answer.count(), answer.header().unwrap().revision()), (0, 4));
    let reading = client.txn(Txn::new().and_then([TxnOp::get("b", None)])).await.unwrap();
    assert_eq!(reading.header().unwrap().revision(), 4);
}

async fn next(stream: &mut WatchStream) -> WatchResponse {
    tokio::time::timeout(PATIENCE, stream.message())
        .await
        .expect("an event in time")
        .unwrap()
        .unwrap()
}

/// The events of the next response: type, key, value, value before.
fn events(response: &WatchResponse) -> Vec<(EventType, String, String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let event = |event: &etcd_client::Event| {
        let kv = event.kv().unwrap();
        let before = event.prev_kv().map(|kv| text(kv.value()));
        (event.event_type(), text(kv.key()), text(kv.value()), before)
    };
    response.events().iter().map(event).collect()
}

async fn watches_tell_history_and_the_present(store: Store) {
    use EventType::{Delete, Put};
    let mut client = client(&store.url()).await;
    let own = |text: &str| text.to_owned();
    client.put("k/a", "1", None).await.unwrap();
    client.put("l", "1", None).await.unwrap();
    client.put("k/a", "2", None).await.unwrap();
    let options = WatchOptions::new().with_prefix().with_start_revision(2).with_prev_key();
    let mut stream = client.watch("k/", Some(options)).await.unwrap();
    let created = next(&mut stream).await;
    assert!(created.created() && !created.canceled());
    let history = next(&mut stream).await;
    assert_eq!(
        events(&history),
        [(Put, own("k/a"), own("1"), None), (Put, own("k/a"), own("2"), Some(own("1")))]
    );
    client.delete("k/a", None).await.unwrap();
    let present = next(&mut stream).await;
    assert_eq!(events(&present), [(Delete, own("k/a"), own(""), Some(own("2")))]);
    assert_eq!(present.events()[0].kv().unwrap().mod_revision(), 5);
    let txn = Txn::new().and_then([
        TxnOp::put("k/x", "1", None),
        TxnOp::put("l", "1", None),
        TxnOp::put("k/y", "2", None),
    ]);
    client.txn(txn).await.unwrap();
    let both = next(&mut stream).await;
    assert_eq!(both.events().len(), 2, "one transaction, one response");
    assert!(both.events().iter().all(|event| event.kv().unwrap().mod_revision() == 6));
    client.put("l", "2", None).await.unwrap();
    stream.request_progress().await.unwrap();
    let progress = next(&mut stream).await;
    assert!(progress.events().is_empty() && !progress.canceled());
    assert_eq!(progress.header().unwrap().revision(), 7);
}

async fn watches_share_a_stream(store: Store) {
    let mut client = client(&store.url()).await;
    let no_delete = WatchOptions::new().with_filters([WatchFilterType::NoDelete]);
    let mut stream = client.watch("a", Some(no_delete)).await.unwrap();
    let first = next(&mut stream).await.watch_id();
    let no_put = WatchOptions::new().with_filters([WatchFilterType::NoPut]).with_watch_id(77);
    stream.watch("a", Some(no_put)).await.unwrap();
    assert_eq!(next(&mut stream).await.watch_id(), 77);
    stream.watch("z", Some(WatchOptions::new().with_watch_id(77))).await.unwrap();
    let refused = next(&mut stream).await;
    assert!(refused.created() && refused.canceled() && refused.watch_id() == -1);
    assert!(refused.cancel_reason().contains("duplicate watch ID"), "{}", refused.cancel_reason());

    client.put("a", "1", None).await.unwrap();
    let put = next(&mut stream).await;
    assert_eq!((put.watch_id(), put.events().len()), (first, 1));
    client.delete("a", None).await.unwrap();
    let delete = next(&mut stream).await;
    assert_eq!((delete.watch_id(), delete.events().len()), (77, 1));
    stream.cancel(first).await.unwrap();
    let canceled = next(&mut stream).await;
    assert!(
        canceled.canceled() && canceled.watch_id() == first && canceled.compact_revision() == 0
    );
    client.put("a", "2", None).await.unwrap();
    client.delete("a", None).await.unwrap();
    assert_eq!(next(&mut stream).await.watch_id(), 77);
    // A start in the future waits for it.
    let later = WatchOptions::new().with_start_revision(7);
    stream.watch("f", Some(later)).await.unwrap();
    assert!(next(&mut stream).await.created());
    client.put("f", "6", None).await.unwrap();
    client.put("f", "7", None).await.unwrap();
    let future = next(&mut stream).await;
    assert_eq!(future.events()[0].kv().unwrap().value(), b"7");
}

async fn compaction_ends_watches(store: Store) {
    let mut client = client(&store.url()).await;
    for value in ["1", "2", "3", "4"] {
        client.put("a", value, None).await.unwrap();
    }
    client.compact(4, Some(CompactionOptions::new().with_physical())).await.unwrap();
    let old = WatchOptions::new().with_start_revision(3);
    let mut stream = client.watch("a", Some(old)).await.unwrap();
    assert!(next(&mut stream).await.created());
    let canceled = next(&mut stream).await;
    assert_eq!((canceled.canceled(), canceled.compact_revision()), (true, 4));
    // At the compacted revision itself is early enough.
    stream.watch("a", Some(WatchOptions::new().with_start_revision(4))).await.unwrap();
    assert!(next(&mut stream).await.created());
    assert_eq!(next(&mut stream).await.events().len(), 2);
}

async fn one_big_revision_comes_in_pieces(store: Store) {
    let mut client = client(&store.url()).await;
    let value = "v".repeat(12_000);
    let puts = || {
        (0..100)
            .map(|key| TxnOp::put(format!("k/{key:03}"), value.as_str(), None))
            .collect::<Vec<_>>()
    };
    client.txn(Txn::new().and_then(puts())).await.unwrap();
    let options = WatchOptions::new().with_prefix().with_fragment().with_prev_key();
    let mut stream = client.watch("k/", Some(options)).await.unwrap();
    assert!(next(&mut stream).await.created());
    client.txn(Txn::new().and_then(puts())).await.unwrap();
    let (mut seen, mut pieces) = (Vec::new(), 0);
    loop {
        let response = next(&mut stream).await;
        pieces += 1;
        seen.extend(events(&response).into_iter().map(|event| event.1));
        if !response.0.fragment {
            break;
        }
    }
    assert!(pieces > 1);
    assert_eq!(seen, (0..100).map(|key| format!("k/{key:03}")).collect::<Vec<_>>());
}

async fn leases_hold_keys(store: Store) {
    let mut client = client(&store.url()).await;
    let lease = client.lease_grant(60, Some(LeaseGrantOptions::new().with_id(42))).await.unwrap();
    assert_eq!((lease.id(), lease.ttl()), (42, 60));
    let again = client.lease_grant(60, Some(LeaseGrantOptions::new().with_id(42))).await;
    assert_eq!(refusal(again), "FailedPrecondition: etcdserver: lease already exists");
    let too_long = client.lease_grant(9_000_000_001, None).await;
    assert_eq!(refusal(too_long), "OutOfRange: etcdserver: too large lease TTL");
    let other = client.lease_grant(50, None).await.unwrap().id();
    for key in ["a", "b", "c"] {
        client.put(key, "1", Some(PutOptions::new().with_lease(42))).await.unwrap();
    }
    client.put("b", "2", Some(PutOptions::new().with_lease(other))).await.unwrap();
    client.put("c", "2", None).await.unwrap();
    let with_keys = || Some(LeaseTimeToLiveOptions::new().with_keys());
    let left = client.lease_time_to_live(42, with_keys()).await.unwrap();
    assert_eq!((left.granted_ttl(), left.keys().to_vec()), (60, vec![b"a".to_vec()]));
    assert!((55..=60).contains(&left.ttl()), "{}", left.ttl());
    assert_eq!(client.lease_time_to_live(43, with_keys()).await.unwrap().ttl(), -1);
    let mut all: Vec<i64> =
        client.leases().await.unwrap().leases().iter().map(|lease| lease.id()).collect();
    all.sort_unstable();
    let mut wanted = vec![42, other];
    wanted.sort_unstable();
    assert_eq!(all, wanted);

    let before = client.get("a", None).await.unwrap().header().unwrap().revision();
    client.put("d", "1", Some(PutOptions::new().with_lease(42))).await.unwrap();
    client.lease_revoke(42).await.unwrap();
    let rest = client.get("a", Some(GetOptions::new().with_from_key())).await.unwrap();
    let names: Vec<_> = rest.kvs().iter().map(|kv| kv.key_str().unwrap()).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(rest.header().unwrap().revision(), before + 2, "one revision for all keys");
    let again = client.lease_revoke(42).await;
    assert_eq!(refusal(again), "NotFound: etcdserver: requested lease not found");
}

async fn leases_end(store: Store) {
    let mut client = client(&store.url()).await;
    let short = client.lease_grant(1, None).await.unwrap();
    let kept = client.lease_grant(2, None).await.unwrap();
    assert_eq!((short.ttl(), kept.ttl()), (1, 2));
    client.put("short", "", Some(PutOptions::new().with_lease(short.id()))).await.unwrap();
    client.put("kept", "", Some(PutOptions::new().with_lease(kept.id()))).await.unwrap();
    let mut stream = client.watch("\0", Some(WatchOptions::new().with_from_key())).await.unwrap();
    assert!(next(&mut stream).await.created());
    let (mut keeper, mut answers) = client.lease_keep_alive(kept.id()).await.unwrap();
    let alive = tokio::time::Instant::now();
    let mut gone = None;
    while alive.elapsed() < Duration::from_millis(3500) {
        keeper.keep_alive().await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 2);
        if let Ok(response) =
            tokio::time::timeout(Duration::from_millis(300), stream.message()).await
        {
            let response = response.unwrap().unwrap();
            assert_eq!(events(&response)[0].1, "short");
            gone = Some(alive.elapsed());
        }
    }
    let gone = gone.expect("the short lease ended");
    assert!(gone > Duration::from_millis(500), "{gone:?}");
    assert_eq!(client.get("kept", None).await.unwrap().count(), 1);
    let (mut keeper, mut answers) = client.lease_keep_alive(kept.id()).await.unwrap();
    client.lease_revoke(kept.id()).await.unwrap();
    keeper.keep_alive().await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 0);
}

async fn everything_survives_a_restart(mut store: Store) {
    let mut first = client(&store.url()).await;
    first.put("a", "1", None).await.unwrap();
    first.put("a", "2", None).await.unwrap();
    first.put("b", "1", None).await.unwrap();
    first.delete("b", None).await.unwrap();
    let lease = first.lease_grant(2, None).await.unwrap().id();
    first.put("leased", "", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    first.compact(3, None).await.unwrap();
    let before = first.get("a", None).await.unwrap();
    store.restart().await;

    let mut second = client(&store.url()).await;
    let after = second.get("a", None).await.unwrap();
    let header = |answer: &etcd_client::GetResponse| {
        let header = answer.header().unwrap();
        (header.cluster_id(), header.member_id(), header.revision())
    };
    assert_eq!(header(&before), header(&after));
    assert_eq!(format!("{:?}", before.kvs()), format!("{:?}", after.kvs()));
    let compacted = second.get("a", Some(GetOptions::new().with_revision(2))).await;
    assert_eq!(
        refusal(compacted),
        "OutOfRange: etcdserver: mvcc: required revision has been compacted"
    );
    let options = WatchOptions::new().with_from_key().with_start_revision(4);
    let mut stream = second.watch("a", Some(options)).await.unwrap();
    assert!(next(&mut stream).await.created());
    let names: Vec<_> = events(&next(&mut stream).await).into_iter().map(|event| event.1).collect();
    assert_eq!(names, ["b", "b", "leased"]);
    // The lease goes on, and ends.
    let ended = next(&mut stream).await;
    assert_eq!(events(&ended)[0].0, EventType::Delete);
    assert_eq!(ended.events()[0].kv().unwrap().mod_revision(), 7);
}

async fn etcdctl_is_at_home(store: Store) {
    let url = store.url();
    let ctl = |arguments: &[&str]| etcdctl(&url, arguments).unwrap();
    assert_eq!(ctl(&["put", "/k/a", "1"]), "OK\n");
    assert_eq!(ctl(&["put", "/k/b", "2"]), "OK\n");
    assert_eq!(ctl(&["get", "--prefix", "/k/"]), "/k/a\n1\n/k/b\n2\n");
    assert_eq!(
        ctl(&["get", "--prefix", "--keys-only", "--order=DESCEND", "/k/"]),
        "/k/b\n\n/k/a\n\n"
    );
    assert_eq!(ctl(&["del", "--prefix", "/k/"]), "2\n");
    assert_eq!(ctl(&["compaction", "3"]), "compacted revision 3\n");
    let lease = ctl(&["lease", "grant", "100"]);
    let id = lease.split_whitespace().nth(1).unwrap().to_owned();
    ctl(&["put", "--lease", &id, "/leased", "1"]);
    assert!(ctl(&["lease", "timetolive", "--keys", &id]).contains("/leased"));
    assert!(ctl(&["lease", "revoke", &id]).contains("revoked"));
    assert!(ctl(&["member", "list"]).contains("started"));
    assert!(ctl(&["endpoint", "status"]).contains("3.4.23"));
    let mut watch = harness::etcd::etcdctl_command(&url)
        .args(["watch", "--prefix", "--rev", "1000000", "/k/"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert!(watch.try_wait().unwrap().is_none());
    watch.kill().unwrap();
    watch.wait().unwrap();
}
