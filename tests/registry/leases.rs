//! Leases of the embedded store and of a real etcd hold and end alike.

use std::time::Duration;

use etcd_client::{
    GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions, WatchOptions,
};

use crate::stage::*;

against_each!(leases_hold_keys, leases_end);

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
