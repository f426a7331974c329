//! The embedded store and a real etcd give the same answers: every test here
//! runs against each.

use etcd_client::{
    Client, CompactionOptions, Compare, CompareOp, DeleteOptions, EventType, GetOptions,
    PutOptions, SortOrder, SortTarget, Txn, TxnOp, WatchOptions,
};
use harness::etcd::etcdctl;

use crate::stage::*;

against_each!(
    keys_have_versions_and_revisions,
    ranges_are_limited_sorted_and_filtered,
    old_and_future_revisions_are_refused,
    puts_keep_value_or_lease,
    transactions_do_all_or_nothing,
    everything_survives_a_restart,
    etcdctl_is_at_home,
);

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
