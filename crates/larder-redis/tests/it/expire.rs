//! A time to live for the keys that were meant, spread, under conditions, and taken back.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use larder_core::{ExpireIf, Expiry, KeyChange, KeySelection};
use larder_redis::{
    ChangeOptions, Changed, Deployment, Endpoint, Limits, Selection, Stopped, Undo, UndoReader,
    Work, change, restore_keys,
};
use larder_testkit::{RedisClient, RedisProgram, RedisServer};

use crate::undo::store;
use crate::{endpoint, matching};

const HOUR: i64 = 3_600_000;

fn hour(only: ExpireIf) -> Expiry {
    Expiry { ttl: Duration::from_hours(1), jitter: 100, only, seed: 5 }
}

fn run(
    found: &Deployment,
    selection: &Selection,
    expiry: Expiry,
    undo: Option<&dyn Undo>,
    resume: &[Stopped],
) -> Changed {
    let options = ChangeOptions {
        selection,
        change: KeyChange::Expire(expiry),
        limits: Limits::default(),
        scan_replica: false,
        undo,
        resume,
    };
    change(found, options, &Work::default(), &|_| ())
}

fn now(client: &mut RedisClient) -> i64 {
    let time = client.ask(&["TIME"]).list();
    let number = |at: usize| String::from_utf8_lossy(&time[at]).parse::<i64>().unwrap();
    number(0) * 1000 + number(1) / 1000
}

/// A third of the keys never expires, a third soon, a third late.
fn fill(client: &mut RedisClient) {
    client.ask(&["FLUSHALL"]);
    let key = |n: u32| match n % 3 {
        0 => vec!["SET".to_owned(), format!("temp:{n}"), "x".to_owned()],
        1 => vec!["SET".to_owned(), format!("temp:{n}"), "x".to_owned(), "EX".into(), "600".into()],
        _ => {
            vec!["SET".to_owned(), format!("temp:{n}"), "x".to_owned(), "EX".into(), "90000".into()]
        }
    };
    client.ask_all(&(0..3000).map(key).collect::<Vec<_>>());
    client.ask(&["SET", "keep", "x"]);
    for byte in 0..=255_u8 {
        client.ask(&[b"SET".as_slice(), &[b"temp:", [byte].as_slice(), b"\r\n*"].concat(), b"x"]);
    }
}

/// Whether the server knows the conditions itself, and tells exactly when a key ends.
fn modern() -> bool {
    RedisProgram::here().knows((7, 0))
}

/// Whether every key ends when it did; before 7.0 some milliseconds are lost.
fn same_ends(now: &BTreeMap<Vec<u8>, i64>, before: &BTreeMap<Vec<u8>, i64>) -> bool {
    let slack = RedisProgram::here().slack();
    let same =
        |(key, end): (_, &i64)| before.get(key).is_some_and(|was| was.abs_diff(*end) <= slack);
    now.len() == before.len() && now.iter().all(same)
}

/// When each key ends; -1 for never.
fn ends(client: &mut RedisClient) -> BTreeMap<Vec<u8>, i64> {
    client.keyspace().into_iter().map(|(key, (_, end))| (key, end)).collect()
}

#[test]
fn every_condition_changes_what_redis_would_change_with_and_without_an_undo() {
    let server = RedisServer::start();
    let mut client = server.client();
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (number, only) in [ExpireIf::Always, ExpireIf::None, ExpireIf::Later, ExpireIf::Earlier]
        .into_iter()
        .enumerate()
    {
        for kept in [false, true] {
            fill(&mut client);
            let before = ends(&mut client);
            let path = dir.path().join(format!("{number}-{kept}"));
            let store = store(&server, &path);
            let undo = kept.then_some(&store as &dyn Undo);
            let begun = now(&mut client);
            let done = run(&found, &matching("temp:*"), hour(only), undo, &[]);
            let ended = now(&mut client);
            assert!(done.complete(), "{done:?}");
            let mut changed = 0;
            for (key, end) in ends(&mut client) {
                let was = before[&key];
                let ttl = i64::try_from(hour(only).ttl_of(&key).as_millis()).unwrap();
                let some = u64::try_from(was).ok();
                let meant =
                    key != b"keep" && only.allows(some, u64::try_from(begun + ttl).unwrap());
                if meant {
                    changed += 1;
                    let given = begun + ttl..=ended + ttl;
                    assert!(given.contains(&end), "{only:?} {key:?}: {was} to {end}");
                } else {
                    assert_eq!(end, was, "{only:?} {key:?}");
                }
            }
            assert_eq!((done.changed(), done.nodes[0].unchanged), (changed, 3256 - changed));
            // Without an undo no key is looked at; with one the look is told.
            let hits = done.caused().hits;
            let looks = kept || (only != ExpireIf::Always && !modern());
            assert_eq!(hits, if looks { 3256 } else { 0 }, "{only:?}");
        }
    }
}

#[test]
fn only_keys_without_one_are_meant_by_persistent() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client);
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let wanted =
        KeySelection { pattern: b"temp:*".to_vec(), persistent: true, ..KeySelection::default() };
    let done = run(&found, &Selection::from(wanted), hour(ExpireIf::Always), None, &[]);
    // Those that are not meant are not said to have been kept by a condition.
    let looks = if modern() { 0 } else { 3256 };
    assert_eq!((done.changed(), done.nodes[0].unchanged, done.caused().hits), (1256, 0, looks));
    let left = ends(&mut client).into_iter().filter(|(_, end)| *end == -1);
    assert_eq!(left.map(|(key, _)| key).collect::<Vec<_>>(), [b"keep"]);
}

#[test]
fn earlier_times_come_back_but_not_over_what_somebody_set_since() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client);
    client.ask(&["SET", "temp:soon", "x", "PX", "5000"]);
    let mut before = ends(&mut client);
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ttls");
    let store = store(&server, &path);
    let done = run(&found, &matching("temp:*"), hour(ExpireIf::Always), Some(&store), &[]);
    assert_eq!((done.changed(), store.finish().unwrap().0), (3257, 3257));

    client.ask(&["PERSIST", "temp:0"]);
    client.ask(&["EXPIRE", "temp:3", "77"]);
    client.ask(&["DEL", "temp:6"]);
    let soon = before.remove(b"temp:soon".as_slice()).unwrap();
    while now(&mut client) <= soon {
        std::thread::sleep(Duration::from_millis(10));
    }
    let bring = |replace| {
        let mut reader = UndoReader::open(&path).unwrap();
        restore_keys(&found, &mut reader, replace, &|| false).unwrap()
    };
    let first = bring(false);
    // What never expired and does not again is as it was, whoever did it.
    assert_eq!(first.conflicts, [b"temp:3"]);
    assert_eq!((first.restored, first.gone, first.expired), (3254, 1, 1), "{first:?}");
    assert!(first.whole && first.failed.is_empty());
    // A key never goes because of a restore, also where its time is over.
    let kept = client.ask(&["PTTL", "temp:soon"]).number();
    assert!(kept > HOUR / 2, "{kept}");
    let second = bring(true);
    assert!(second.complete() && second.restored == 3255, "{second:?}");
    before.remove(b"temp:6".as_slice());
    client.ask(&["DEL", "temp:soon"]);
    assert!(same_ends(&ends(&mut client), &before), "not every key has its earlier end");
}

#[test]
fn what_was_given_once_is_not_given_again_by_the_same_run() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client);
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let first = store(&server, &dir.path().join("first"));
    let done = run(&found, &matching("temp:*"), hour(ExpireIf::Always), Some(&first), &[]);
    let before = ends(&mut client);
    // A key that was set anew meanwhile has none again.
    client.ask(&["SET", "temp:7", "y"]);
    let again: Vec<Stopped> =
        done.stopped().into_iter().map(|one| Stopped { cursor: Some(0), ..one }).collect();
    let second = store(&server, &dir.path().join("second"));
    let more = run(&found, &matching("temp:*"), hour(ExpireIf::Always), Some(&second), &again);
    assert_eq!((done.changed(), more.changed()), (3256, 1));
    let mut after = ends(&mut client);
    assert!(after.remove(b"temp:7".as_slice()).unwrap() > 0);
    assert!(after.iter().all(|(key, end)| before[key] == *end));
}

#[test]
fn what_somebody_changes_meanwhile_is_kept_as_it_was_last() {
    let server = RedisServer::start();
    let mut client = server.client();
    let keys = 1000;
    (0..keys).for_each(|n| drop(client.ask(&["SET", &format!("temp:{n}"), "0"])));
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ttls");
    let store = store(&server, &path);
    let done = std::sync::atomic::AtomicBool::new(false);
    // Somebody sets ends in the far future, each later than the last, unless a key has an hour.
    let script = "local left = redis.call('pttl', KEYS[1]) \
                  if left > 0 and left < 1000000000000 then return 0 end \
                  redis.call('pexpireat', KEYS[1], ARGV[1]) return 1";
    let (last, changed) = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut client = server.client();
            let mut last = vec![-1_i64; keys];
            let mut end = 4_100_000_000_000_i64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for (n, last) in last.iter_mut().enumerate() {
                    end += 1;
                    let (key, at) = (format!("temp:{n}"), end.to_string());
                    if client.ask(&["EVAL", script, "1", &key, &at]).number() == 1 {
                        *last = end;
                    }
                }
            }
            last
        });
        let changed = run(&found, &matching("temp:*"), hour(ExpireIf::Always), Some(&store), &[]);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        // On a busy machine he may be at a key each time that it is tried: it stays, and is told.
        let node = &changed.nodes[0];
        let told = node.skipped.iter().all(|(_, why)| why.contains("keeps changing it"));
        assert!(changed.complete() && told && node.changed > 500, "{changed:?}");
        assert_eq!(node.changed + node.skipped_count, 1000);
        (other.join().unwrap(), node.changed)
    });
    assert_eq!(store.finish().unwrap().0, changed);
    let mut reader = UndoReader::open(&path).unwrap();
    let restored = restore_keys(&found, &mut reader, false, &|| false).unwrap();
    assert!(restored.complete() && restored.restored == changed, "{restored:?}");
    for (n, last) in last.into_iter().enumerate() {
        let slack = RedisProgram::here().slack();
        let end = client.end(&format!("temp:{n}"));
        assert!(end.abs_diff(last) <= slack, "temp:{n} ends {end}, not {last}");
    }
}

#[test]
fn a_server_without_memory_gives_times_to_live_and_takes_them_back() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client);
    let before = ends(&mut client);
    client.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(client.ask(&["SET", "more", "x"]).text().starts_with("-OOM"));
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ttls");
    let store = store(&server, &path);
    let done = run(&found, &matching("temp:*"), hour(ExpireIf::Always), Some(&store), &[]);
    assert_eq!((done.changed(), done.complete()), (3256, true), "{done:?}");
    store.finish().unwrap();
    let mut reader = UndoReader::open(&path).unwrap();
    assert!(restore_keys(&found, &mut reader, false, &|| false).unwrap().complete());
    assert!(same_ends(&ends(&mut client), &before), "not every key has its earlier end");
}

/// Stands before a server and says that it is an older one.
fn older(server: &RedisServer) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let port = server.port();
    std::thread::spawn(move || {
        while let Ok((mut here, _)) = listener.accept() {
            let Ok(mut there) = TcpStream::connect(("127.0.0.1", port)) else { return };
            let (mut from, mut to) = (here.try_clone().unwrap(), there.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = there.read(&mut buffer) {
                    let mark = b"redis_version:";
                    let at = buffer[..read].windows(mark.len()).position(|w| w == mark);
                    if let Some(at) = at {
                        buffer[at + mark.len()] = b'6';
                    }
                    if here.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                let _ = here.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    Endpoint::parse(&place).unwrap()
}

#[test]
fn a_server_that_knows_no_conditions_keeps_them_all_the_same() {
    // Before 7.0 there was no PEXPIRETIME, and PEXPIRE took no further word.
    let options = if modern() { &["--rename-command", "PEXPIRETIME", ""][..] } else { &[] };
    let server = RedisServer::with(options);
    let mut client = server.client();
    let found = Deployment::discover(&older(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let left =
        |client: &mut RedisClient, n: u32| client.ask(&["PTTL", &format!("temp:{n}")]).number();
    // Of a key that never expires, one that ends soon, and one that ends late.
    for (number, only, expected) in [
        (0, ExpireIf::None, [true, false, false]),
        (1, ExpireIf::Later, [false, true, false]),
        (2, ExpireIf::Earlier, [true, false, true]),
    ] {
        for kept in [false, true] {
            fill(&mut client);
            let before: Vec<i64> = (0..3).map(|n| left(&mut client, n)).collect();
            let path = dir.path().join(format!("{number}-{kept}"));
            let store = store(&server, &path);
            let undo = kept.then_some(&store as &dyn Undo);
            let done = run(&found, &matching("temp:*"), hour(only), undo, &[]);
            assert!(done.complete(), "{done:?}");
            let given = (0..3).map(|n| {
                let left = left(&mut client, n);
                (HOUR * 8 / 10..=HOUR * 11 / 10).contains(&left)
            });
            assert_eq!(given.collect::<Vec<_>>(), expected, "{only:?}");
            if !kept {
                continue;
            }
            store.finish().unwrap();
            let mut reader = UndoReader::open(&path).unwrap();
            let restored = restore_keys(&found, &mut reader, false, &|| false).unwrap();
            assert!(restored.complete() && restored.restored == done.changed(), "{restored:?}");
            for (n, before) in (0..3).zip(&before) {
                let after = left(&mut client, n);
                // Time goes on meanwhile.
                assert!((before - 60_000..=before + 50).contains(&after), "{before} to {after}");
            }
        }
    }
    let stats = client.ask(&["INFO", "commandstats"]).text();
    assert!(stats.contains("cmdstat_pexpireat:") && !stats.contains("cmdstat_pexpire:"), "{stats}");
}
