//! What goes is what was meant, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use larder_core::{KeyChange, KeySelection, Meter};
use larder_redis::{
    ChangeOptions, Changed, Deployment, Limits, PreviewOptions, Selection, Stopped, Work, change,
    preview,
};
use larder_testkit::{RedisClient, RedisCluster, RedisServer};

use crate::{endpoint, matching};

fn run(deployment: &Deployment, selection: &Selection, work: &Work, resume: &[Stopped]) -> Changed {
    let limits = Limits::default();
    let options = ChangeOptions {
        selection,
        change: KeyChange::Remove,
        limits,
        scan_replica: false,
        undo: None,
        resume,
    };
    change(deployment, options, work, &|_| ())
}

/// Waits until so many keys are gone.
fn wait_for(work: &Work, removed: u64) {
    let until = Instant::now() + Duration::from_secs(20);
    while work.changed.load(std::sync::atomic::Ordering::Relaxed) < removed {
        assert!(Instant::now() < until, "it does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Keys of every type, names of every byte, some with a time to live.
fn fill(client: &mut RedisClient) {
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut add = |words: &[&[u8]]| commands.push(words.iter().map(|word| word.to_vec()).collect());
    for n in 0..3000_u32 {
        let name = format!("{}:{n}", if n % 3 == 0 { "temp" } else { "user" });
        let name = name.as_bytes();
        match n % 6 {
            0 => add(&[b"SET", name, b"value"]),
            1 => add(&[b"RPUSH", name, b"1", b"two"]),
            2 => add(&[b"SADD", name, b"1", b"two"]),
            3 => add(&[b"HSET", name, b"field", b"value"]),
            4 => add(&[b"ZADD", name, b"1", b"one"]),
            _ => add(&[b"XADD", name, b"1-1", b"field", b"value"]),
        }
        if n % 4 == 0 {
            add(&[b"PEXPIRE", name, b"100000000"]);
        }
    }
    for byte in 0..=255_u8 {
        add(&[b"SET", &[b"temp:", [byte].as_slice(), b"\r\n *"].concat(), b"odd"]);
        add(&[b"SET", &[b"keep:", [byte].as_slice()].concat(), b"odd"]);
    }
    client.ask_all(&commands);
}

#[test]
fn exactly_what_matches_goes() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client);
    let before = client.keyspace();
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let selection = matching("temp:*");
    let seen = preview(&found, &selection, PreviewOptions::default(), &|| false).unwrap();
    let cleaned = run(&found, &selection, &Work::default(), &[]);
    let after = client.keyspace();
    let mut left = before.clone();
    left.retain(|key, _| !key.starts_with(b"temp:"));
    assert_eq!(after, left);
    assert!(cleaned.complete() && cleaned.nodes[0].error.is_none(), "{cleaned:?}");
    assert_eq!(cleaned.changed(), (before.len() - left.len()) as u64);
    assert!(seen.keys.is_exact());
    assert!((seen.keys.value - cleaned.changed() as f64).abs() < 0.5);
}

/// Whether a key should go, asked before it does.
type Goes = fn(&mut RedisClient, &[u8]) -> bool;

#[test]
fn filters_take_what_they_say() {
    let server = RedisServer::start();
    let mut client = server.client();
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let all = KeySelection { pattern: b"*".to_vec(), ..KeySelection::default() };
    let cases: [(KeySelection, Goes); 4] = [
        (KeySelection { persistent: true, ..all.clone() }, |client, key| {
            client.ask(&[b"PTTL".as_slice(), key]).number() == -1
        }),
        (KeySelection { kind: Some("hash".to_owned()), ..all.clone() }, |client, key| {
            client.ask(&[b"TYPE".as_slice(), key]).text() == "hash"
        }),
        (KeySelection { larger_than: Some(100), ..all.clone() }, |client, key| {
            client.ask(&[b"MEMORY".as_slice(), b"USAGE", key, b"SAMPLES", b"5"]).number() > 100
        }),
        (KeySelection { exclude: vec![b"temp:[0-9]*".to_vec()], ..all.clone() }, |_, key| {
            !(key.starts_with(b"temp:") && key.get(5).is_some_and(u8::is_ascii_digit))
        }),
    ];
    for (selection, goes) in cases {
        client.ask(&["FLUSHALL"]);
        fill(&mut client);
        let keys: Vec<Vec<u8>> = client.keyspace().into_keys().collect();
        let stays: BTreeSet<Vec<u8>> =
            keys.iter().filter(|key| !goes(&mut client, key)).cloned().collect();
        assert!(!stays.is_empty() && stays.len() < keys.len(), "{selection:?} tells nothing apart");
        let wanted = Selection::from(selection.clone());
        run(&found, &wanted, &Work::default(), &[]);
        let left: BTreeSet<Vec<u8>> = client.keyspace().into_keys().collect();
        assert_eq!(left, stays, "{selection:?}");
    }
}

#[test]
fn an_idle_key_goes_and_one_in_use_stays_and_looking_touches_neither() {
    let server = RedisServer::start();
    let mut client = server.client();
    client.ask(&["SET", "temp:used", "x"]);
    client.ask(&["SET", "temp:old", "x"]);
    let larder_testkit::Answer::Bytes(dump) = client.ask(&["DUMP", "temp:old"]) else { panic!() };
    client.ask(&[b"RESTORE".as_slice(), b"temp:idle", b"0", &dump, b"IDLETIME", b"7200"]);
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let wanted = KeySelection {
        pattern: b"temp:*".to_vec(),
        idle: Some(Duration::from_hours(1)),
        ..KeySelection::default()
    };
    let selection = Selection::from(wanted);
    let seen = preview(&found, &selection, PreviewOptions::default(), &|| false).unwrap();
    assert!((seen.keys.value - 1.0).abs() < 0.01, "{seen:?}");
    assert!(client.ask(&["OBJECT", "IDLETIME", "temp:idle"]).number() >= 7200);
    let cleaned = run(&found, &selection, &Work::default(), &[]);
    assert_eq!(cleaned.changed(), 1);
    assert_eq!(cleaned.nodes[0].caused.hits, 6);
    assert_eq!(client.ask(&["EXISTS", "temp:used", "temp:old", "temp:idle"]).number(), 2);
}

#[test]
fn a_number_that_many_keys_share_is_not_idle_because_it_is_old() {
    let server = RedisServer::start();
    let mut client = server.client();
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    client.ask(&["SET", "old", "100000"]);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        // Written this moment, and yet as idle as the one value of all keys that hold it.
        client.ask(&["DEL", "temp:count"]);
        client.ask(&["SET", "temp:count", "7"]);
        let old = client.ask(&["OBJECT", "IDLETIME", "old"]).number() >= 2;
        let shared = client.ask(&["OBJECT", "REFCOUNT", "temp:count"]).number() > 1;
        if old && (!shared || client.ask(&["OBJECT", "IDLETIME", "temp:count"]).number() >= 2) {
            break;
        }
        assert!(Instant::now() < until, "nothing grows idle");
        std::thread::sleep(Duration::from_millis(50));
    }
    let selection = Selection::from(KeySelection {
        pattern: b"*".to_vec(),
        idle: Some(Duration::from_secs(1)),
        ..KeySelection::default()
    });
    let cleaned = run(&found, &selection, &Work::default(), &[]);
    assert!(cleaned.complete(), "{cleaned:?}");
    assert_eq!(client.ask(&["KEYS", "*"]).list(), [b"temp:count"]);
}

#[test]
fn what_was_stopped_goes_on_where_it_was() {
    let server = RedisServer::start();
    let mut client = server.client();
    client.ask(&["DEBUG", "POPULATE", "60000", "temp", "10"]);
    client.ask(&["SET", "keep", "x"]);
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let meter = Arc::new(Meter::default());
    let work = Work { meter: Arc::clone(&meter), ..Work::default() };
    let limits = Limits { keys_per_second: Some(20_000), ..Limits::default() };
    let selection = matching("temp:*");
    let options = ChangeOptions {
        selection: &selection,
        change: KeyChange::Remove,
        limits,
        scan_replica: false,
        undo: None,
        resume: &[],
    };
    let first = std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| change(&found, options, &work, &|_| ()));
        wait_for(&work, 5000);
        meter.stop();
        cleaner.join().unwrap()
    });
    assert!(first.interrupted && !first.complete());
    let left = client.ask(&["DBSIZE"]).number();
    assert_eq!(left, 60_001 - i64::try_from(first.changed()).unwrap());
    let second = run(&found, &selection, &Work::default(), &first.stopped());
    assert!(second.complete());
    assert_eq!(first.changed() + second.changed(), 60_000);
    assert_eq!(client.ask(&["DBSIZE"]).number(), 1);
    assert_eq!(second.nodes[0].restarts, 0);
}

#[test]
fn a_server_that_was_killed_and_came_back_is_gone_through_again() {
    let mut server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut client = server.client();
    let fill: Vec<Vec<String>> =
        (0..20_000).map(|n| vec!["SET".to_owned(), format!("temp:{n}"), "x".to_owned()]).collect();
    client.ask_all(&fill);
    client.ask(&["SET", "keep", "x"]);
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let selection = matching("temp:*");
    let limits = Limits { keys_per_second: Some(10_000), ..Limits::default() };
    let options = ChangeOptions {
        selection: &selection,
        change: KeyChange::Remove,
        limits,
        scan_replica: false,
        undo: None,
        resume: &[],
    };
    let work = Work::default();
    let cleaned = std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| change(&found, options, &work, &|_| ()));
        wait_for(&work, 3000);
        server.restart();
        cleaner.join().unwrap()
    });
    assert!(cleaned.complete(), "{cleaned:?}");
    assert_eq!(cleaned.nodes[0].restarts, 1);
    assert_eq!(server.client().ask(&["KEYS", "*"]).list(), [b"keep"]);
}

#[test]
fn a_cluster_is_cleaned_on_all_masters_and_the_rest_where_one_is_down() {
    let mut cluster = RedisCluster::start();
    let found = Deployment::discover(&endpoint(&cluster.nodes[0])).unwrap();
    let put = |prefix: &str, count: u32| {
        for n in 0..count {
            let key = format!("{prefix}:{n}");
            let node = found.node_of(key.as_bytes()).unwrap();
            let port = node.address().rsplit_once(':').unwrap().1.parse().unwrap();
            let said = RedisClient::connect(port).ask(&["SET", &key, "x"]).text();
            assert_eq!(said, "OK");
        }
    };
    put("temp", 600);
    put("keep", 90);
    let told = Mutex::new(Vec::new());
    let selection = matching("temp:*");
    let options = ChangeOptions {
        selection: &selection,
        change: KeyChange::Remove,
        limits: Limits::default(),
        scan_replica: false,
        undo: None,
        resume: &[],
    };
    let tell = |stopped: Stopped| told.lock().unwrap().push(stopped.node);
    let cleaned = change(&found, options, &Work::default(), &tell);
    assert_eq!((cleaned.changed(), cleaned.complete()), (600, true), "{cleaned:?}");
    assert_eq!(told.lock().unwrap().len(), 3);
    let left = |node: &RedisServer| node.client().ask(&["DBSIZE"]).number();
    assert_eq!(cluster.nodes.iter().map(left).sum::<i64>(), 90);

    put("temp", 300);
    cluster.nodes[2].kill();
    let until = Instant::now() + Duration::from_secs(30);
    let found = loop {
        let found = Deployment::discover(&endpoint(&cluster.nodes[0])).unwrap();
        if !found.missing.is_empty() {
            break found;
        }
        assert!(Instant::now() < until, "the cluster never noticed");
        std::thread::sleep(Duration::from_millis(50));
    };
    let cleaned = run(&found, &selection, &Work::default(), &[]);
    assert!(!cleaned.complete() && cleaned.missing.len() == 1);
    assert!(cleaned.changed() > 100 && cleaned.changed() < 300, "{}", cleaned.changed());
}

#[test]
fn big_collections_go_in_pieces_where_only_del_is_allowed() {
    let server = RedisServer::start();
    let mut client = server.client();
    let commands: Vec<Vec<String>> = (0..40_000)
        .flat_map(|n| {
            let word = |word: &str| word.to_owned();
            [
                vec![word("HSET"), word("temp:h"), format!("f{n}"), word("0123456789")],
                vec![word("SADD"), word("temp:s"), format!("member{n}")],
                vec![word("ZADD"), word("temp:z"), n.to_string(), format!("member{n}")],
                vec![word("RPUSH"), word("temp:l"), format!("element{n}")],
            ]
        })
        .collect();
    client.ask_all(&commands);
    client.ask(&["SET", "keep", "x"]);
    client.ask(&["ACL", "SETUSER", "default", "-unlink"]);
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    let cleaned = run(&found, &matching("temp:*"), &Work::default(), &[]);
    assert_eq!(cleaned.changed(), 4, "{cleaned:?}");
    assert_eq!(client.ask(&["KEYS", "*"]).list(), [b"keep"]);
    let stats = client.ask(&["INFO", "commandstats"]).text();
    for used in ["hdel", "srem", "zremrangebyrank", "ltrim"] {
        assert!(stats.contains(&format!("cmdstat_{used}:")), "{used} was not used: {stats}");
    }
}
