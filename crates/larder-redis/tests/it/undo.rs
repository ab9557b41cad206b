//! What was removed comes back as it was.

use std::path::Path;

use larder_core::KeyChange;
use larder_redis::undo_file::{UndoHeader, UndoReader};
use larder_redis::{
    ChangeOptions, Deployment, Info, Limits, Link, UndoStore, Work, change, restore_keys,
};
use larder_testkit::{RedisClient, RedisServer};

use crate::{endpoint, matching};

fn header() -> UndoHeader {
    UndoHeader {
        id: "0a1b2c3d".to_owned(),
        cache: "redis:test".to_owned(),
        url: "redis://127.0.0.1/0".to_owned(),
        plan_id: "11111111".to_owned(),
        ttls: false,
        created_at: 1_700_000_000_000_000_000,
        larder: "0.1.0".to_owned(),
    }
}

pub(crate) fn store(server: &RedisServer, path: &Path) -> UndoStore {
    let info = Info::ask(&mut Link::open(&endpoint(server), "test").unwrap()).unwrap();
    UndoStore::create(path, &header(), &info).unwrap()
}

/// One of every type in every encoding that is easily had; payloads whose DUMP is stable.
fn fill(client: &mut RedisClient) {
    let long = "x".repeat(100);
    let numbers: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    let mut big = vec!["RPUSH", "temp:biglist"];
    big.extend(numbers.iter().map(String::as_str));
    let commands: Vec<Vec<&str>> = vec![
        vec!["SET", "temp:int", "42"],
        vec!["SET", "temp:raw", &long],
        vec!["RPUSH", "temp:list", "a", "b"],
        big,
        vec!["SADD", "temp:intset", "1", "2", "3"],
        vec!["HSET", "temp:hash", "f", "v"],
        vec!["ZADD", "temp:zset", "1.5", "one"],
        vec!["XADD", "temp:stream", "1-1", "f", "v"],
        vec!["SET", "temp:ttl", "x", "PX", "100000000"],
        vec!["SET", "temp:gone", "x", "PX", "1500"],
        vec!["SET", "keep", "x"],
    ];
    for command in commands {
        client.ask(&command);
    }
    let odd: Vec<u8> = [b"temp:".as_slice(), &(0..=255).collect::<Vec<u8>>()].concat();
    client.ask(&[b"SET".as_slice(), &odd, &odd]);
}

#[test]
fn every_type_comes_back_with_its_bytes_and_its_time() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client);
    let mut before = client.keyspace();
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let store = store(&server, &path);
    let selection = matching("temp:*");
    let options = ChangeOptions {
        selection: &selection,
        change: KeyChange::Remove,
        limits: Limits::default(),
        scan_replica: false,
        undo: Some(&store),
        resume: &[],
    };
    let cleaned = change(&found, options, &Work::default(), &|_| ());
    assert!(cleaned.complete(), "{cleaned:?}");
    assert_eq!(client.ask(&["KEYS", "*"]).list(), [b"keep"]);
    let (kept, _) = store.finish().unwrap();
    assert_eq!(kept, before.len() as u64 - 1);

    // The short-lived one ends meanwhile; one exists again.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let ends = before[b"temp:gone".as_slice()].1;
    loop {
        let now = client.ask(&["TIME"]).list();
        let seconds: i64 = String::from_utf8_lossy(&now[0]).parse().unwrap();
        if seconds * 1000 > ends + 1000 {
            break;
        }
        assert!(std::time::Instant::now() < until);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    client.ask(&["SET", "temp:int", "other"]);
    let bring = |replace| {
        let mut reader = UndoReader::open(&path).unwrap();
        restore_keys(&found, &mut reader, replace, &|| false).unwrap()
    };
    let first = bring(false);
    assert_eq!(first.conflicts, [b"temp:int"]);
    assert_eq!((first.expired, first.whole, first.failed.len()), (1, true, 0), "{first:?}");
    assert_eq!(client.ask(&["GET", "temp:int"]).text(), "other");
    let second = bring(true);
    assert!(second.complete(), "{second:?}");
    before.remove(b"temp:gone".as_slice());
    assert!(client.holds(&before), "not everything is as it was");
}

#[test]
fn what_changes_while_it_is_kept_is_kept_as_it_was_when_it_went() {
    let server = RedisServer::start();
    let mut client = server.client();
    for n in 0..2000 {
        client.ask(&["SET", &format!("temp:{n}"), "0"]);
    }
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let store = store(&server, &path);
    let selection = matching("temp:*");
    let options = ChangeOptions {
        selection: &selection,
        change: KeyChange::Remove,
        limits: Limits { keys_per_second: Some(4000), ..Limits::default() },
        scan_replica: false,
        undo: Some(&store),
        resume: &[],
    };
    // Somebody counts up meanwhile; what the last answer before the removal said must be kept. On a
    // busy machine he may be at a key each time that it is tried: it then stays, and is told.
    let done = std::sync::atomic::AtomicBool::new(false);
    let (last, changed) = std::thread::scope(|scope| {
        let counter = scope.spawn(|| {
            let mut client = server.client();
            let mut last = vec![0_i64; 2000];
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for (n, last) in last.iter_mut().enumerate() {
                    // Only keys that are there are counted up.
                    let key = format!("temp:{n}");
                    let script = "if redis.call('exists',KEYS[1])==1 then return redis.call('incr',KEYS[1]) else return -1 end";
                    let now = client.ask(&["EVAL", script, "1", &key]).number();
                    if now >= 0 {
                        *last = now;
                    }
                }
            }
            last
        });
        let cleaned = change(&found, options, &Work::default(), &|_| ());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let node = &cleaned.nodes[0];
        let told = node.skipped.iter().all(|(_, why)| why.contains("keeps changing it"));
        assert!(cleaned.complete() && told && node.changed > 1000, "{cleaned:?}");
        assert_eq!(cleaned.changed() + node.skipped_count, 2000);
        (counter.join().unwrap(), cleaned.changed())
    });
    let (kept, _) = store.finish().unwrap();
    let mut reader = UndoReader::open(&path).unwrap();
    // What was kept and then changed does not count, so nothing stands in its own way.
    let restored = restore_keys(&found, &mut reader, false, &|| false).unwrap();
    assert!(restored.complete() && restored.whole, "{restored:?}");
    assert_eq!((kept, restored.restored), (changed, changed));
    for (n, last) in last.into_iter().enumerate() {
        let value: i64 = client.ask(&["GET", &format!("temp:{n}")]).text().parse().unwrap();
        assert_eq!(value, last, "temp:{n}");
    }
}
