//! Watches of the embedded store and of a real etcd tell the same.

use etcd_client::{CompactionOptions, EventType, Txn, TxnOp, WatchFilterType, WatchOptions};

use crate::stage::*;

against_each!(
    watches_tell_history_and_the_present,
    watches_share_a_stream,
    compaction_ends_watches,
    one_big_revision_comes_in_pieces
);

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
