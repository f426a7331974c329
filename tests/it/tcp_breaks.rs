//! Plain TCP that breaks in mid-stream, or stands still: what it held is given back.

use std::time::{Duration, Instant};

use crate::counters::*;
use crate::raw::*;
use crate::wire::*;

/// Many times what the system and the proxy keep for a peer that does not read.
const ENDLESS: usize = 256 << 20;
/// What the proxy keeps for it at most: one read.
const KEPT: i64 = 64 << 10;

#[track_caller]
fn wait_for_nothing_open(proxy: &proxy::server::Proxy) {
    for gauge in [IN_FLIGHT, CALLERS, UPSTREAMS] {
        wait_for(proxy, gauge, 0);
    }
}

/// Writes until nobody takes it any more.
fn write_forever(mut to: Wire) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let chunk = [7; 16 << 10];
        (0..ENDLESS).step_by(chunk.len()).take_while(|_| to.try_send(&chunk).is_ok()).count()
    })
}

/// Each of the ways in which a stream ends early, in both directions, while its
/// reader is slow and the proxy holds bytes for it.
#[test]
fn a_stream_that_breaks_in_the_middle_leaves_nothing_behind() {
    const WAYS: [fn(Wire, Wire); 4] = [
        |_writer, reader| reader.reset(),
        |_writer, reader| reader.hang_up(),
        |writer, reader| {
            writer.reset();
            reader.reset();
        },
        |writer, reader| {
            writer.hang_up();
            reader.reset();
        },
    ];
    let database = Provider::new();
    let (proxy, first) = start(plain(&[database.address()]));
    drop((first, database.accept()));
    wait_for(&proxy, CALLERS, 0);
    let address = proxy.address("tcp").unwrap();
    let mut open = Vec::new();
    for (place, end) in WAYS.into_iter().cycle().take(4 * WAYS.len()).enumerate() {
        let client = Wire::connect(address);
        let server = database.accept();
        let (writer, mut reader) = if place < 8 { (client, server) } else { (server, client) };
        let writing = write_forever(writer.clone());
        reader.take(100_000);
        open.push((end, writer, reader, writing));
    }
    let total = |what: fn(&str) -> String| -> i64 {
        ["downstream", "upstream"].iter().map(|side| value(&proxy, &what(side))).sum()
    };
    let kept = || total(received) - total(sent);
    // Slow is not broken: all are there, and little is kept for each.
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        for (.., reader, _) in &mut open {
            reader.take(1000);
        }
        assert!(kept() <= KEPT * open.len() as i64, "{} bytes are kept", kept());
    }
    assert_eq!(value(&proxy, IN_FLIGHT), open.len() as i64);
    let mut writing = Vec::new();
    for (end, writer, reader, thread) in open {
        end(writer, reader);
        writing.push(thread);
    }
    wait_for_nothing_open(&proxy);
    for thread in writing {
        assert!(thread.join().unwrap() < ENDLESS / (16 << 10), "a writer was never stopped");
    }
}

#[test]
fn a_connection_that_is_idle_for_too_long_is_broken_off() {
    let database = Provider::new();
    let mut config = plain(&[database.address()]);
    config.timeouts.idle = Some(Duration::from_millis(400));
    let (proxy, mut client) = start(config);
    let mut server = database.accept();
    // Bytes in one direction are enough to keep it.
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(40));
        server.send(b"notice");
        assert_eq!(client.take(6), b"notice");
    }
    // An end is no reason to be let go sooner or later.
    client.finish();
    assert!(server.is_closed());
    let silent = Instant::now();
    assert!(client.is_reset());
    wait_until("the server's connection to be reset", || {
        server.try_send(b"anybody there?").err().map(|_| ()).ok_or("it takes bytes".to_owned())
    });
    assert!(silent.elapsed() >= Duration::from_millis(300), "{:?}", silent.elapsed());
    wait_for_ended(&proxy, "tcp", DATABASE, "timeout", 1);
    assert_eq!(value(&proxy, &faults("timeout")), 1);
    wait_for_nothing_open(&proxy);
}

#[test]
fn one_who_takes_nothing_for_too_long_is_broken_off() {
    let database = Provider::new();
    let mut config = plain(&[database.address()]);
    config.timeouts.idle = Some(Duration::from_millis(200));
    let (proxy, client) = start(config);
    let _server = database.accept();
    let writing = write_forever(client);
    wait_for_ended(&proxy, "tcp", DATABASE, "timeout", 1);
    wait_for_nothing_open(&proxy);
    assert!(writing.join().unwrap() < ENDLESS / (16 << 10), "the writer was never stopped");
}
