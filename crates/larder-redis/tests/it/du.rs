//! Where the memory is: right figures, and no trace of having looked.

use std::time::Duration;

use larder_redis::{Deployment, KeysBy, KeysDu, Limits, du};
use larder_testkit::{RedisClient, RedisProgram, RedisServer};

use crate::endpoint;

fn look(server: &RedisServer, by: KeysBy) -> KeysDu {
    let found = Deployment::discover(&endpoint(server)).unwrap();
    du(&found, by, Limits::default(), &|| false).unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Three prefixes of strings and one of hashes, of very different sizes.
fn fill(client: &mut RedisClient, each: u32) {
    let long = "x".repeat(200);
    let mut commands = Vec::new();
    for n in 0..each {
        commands.push(words(&format!("SET temp:{n} {}", &long[..=((n as usize * 7) % 200)])));
        commands.push(words(&format!("SET user:{n}:cart {long} EX 90000")));
        commands.push(words(&format!("HSET job:{n} a 1 b 2 c {n}")));
    }
    for n in 0..each / 100 {
        commands.push(words(&format!("SET rare:{n} {}", long.repeat(20))));
    }
    client.ask_all(&commands);
}

fn stat(client: &mut RedisClient, name: &str) -> u64 {
    let info = client.ask(&["INFO", "stats"]).text();
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

/// What the server says of every single key.
fn truth(client: &mut RedisClient, prefix: &str) -> (u64, f64) {
    let keys = client.ask(&["KEYS", &format!("{prefix}*")]).list();
    let asks: Vec<Vec<Vec<u8>>> =
        keys.iter().map(|key| vec![b"MEMORY".to_vec(), b"USAGE".to_vec(), key.clone()]).collect();
    let sum: i64 = client.ask_all(&asks).into_iter().map(|answer| answer.number()).sum();
    (keys.len() as u64, sum as f64)
}

#[test]
fn few_keys_are_counted_and_many_lie_where_they_are_said_to_lie() {
    let server = RedisServer::start();
    let mut client = server.client();
    for (each, exact) in [(1500, true), (45_000, false)] {
        client.ask(&["FLUSHALL"]);
        fill(&mut client, each);
        let report = look(&server, KeysBy::Prefix);
        assert_eq!(report.keys, u64::from(each * 3 + each / 100));
        for (prefix, shape) in [
            ("temp:", "temp:{n}"),
            ("user:", "user:{n}:cart"),
            ("job:", "job:{n}"),
            ("rare:", "rare:{n}"),
        ] {
            let (keys, bytes) = truth(&mut client, prefix);
            let row = report.rows.iter().find(|row| row.key == shape.as_bytes()).unwrap();
            assert!(row.keys.is_exact() && (row.keys.value - keys as f64).abs() < 0.5, "{row:?}");
            // The sample's own error is two thirds of that, nineteen times of twenty.
            let slack = (row.bytes.high - row.bytes.low) / 4.0 + 0.5;
            assert!(
                row.bytes.low - slack <= bytes && bytes <= row.bytes.high + slack,
                "{prefix} takes {bytes}: {row:?}"
            );
            assert!(!exact || row.bytes.is_exact(), "{row:?}");
        }
        assert!(exact || report.sampled < 110_000, "{} were asked", report.sampled);
        let (_, all) = truth(&mut client, "");
        assert!((report.bytes.value / all - 1.0).abs() < 0.01, "{all}: {:?}", report.bytes);
    }
    let packed = if RedisProgram::here().knows((7, 0)) { "listpack" } else { "ziplist" };
    let mut encodings = vec!["embstr", "int", packed, "raw"];
    encodings.sort_unstable();
    for (by, names) in [
        (KeysBy::Type, vec!["hash", "string"]),
        (KeysBy::Ttl, vec!["1 d to 7 d", "no TTL"]),
        (KeysBy::Encoding, encodings),
    ] {
        let report = look(&server, by);
        let mut found: Vec<String> =
            report.rows.iter().map(|row| String::from_utf8(row.key.clone()).unwrap()).collect();
        found.sort_unstable();
        found.retain(|name| name != "int");
        let names: Vec<&str> = names.into_iter().filter(|name| *name != "int").collect();
        assert_eq!(found, names, "{by:?}");
        let keys: f64 = report.rows.iter().map(|row| row.keys.value).sum();
        assert!((keys / 135_450.0 - 1.0).abs() < 0.01, "{by:?}: {keys}");
        assert!(report.rows.iter().all(|row| row.bytes.low < row.bytes.high), "{by:?}");
    }
    let strings = look(&server, KeysBy::Type);
    let row = strings.rows.iter().find(|row| row.key == b"string").unwrap();
    let slack = (row.keys.high - row.keys.low) / 4.0;
    assert!((row.keys.low - slack..=row.keys.high + slack).contains(&90_450.0), "{row:?}");
}

#[test]
fn looking_leaves_no_trace_and_what_it_leaves_is_told() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client, 800);
    // Idle for two hours, and so it stays.
    let larder_testkit::Answer::Bytes(dump) = client.ask(&["DUMP", "temp:1"]) else { panic!() };
    client.ask(&[b"RESTORE".as_slice(), b"idle:1", b"0", &dump, b"IDLETIME", b"7200"]);
    for by in KeysBy::ALL {
        client.ask(&["CONFIG", "RESETSTAT"]);
        let report = look(&server, by);
        let (hits, misses) =
            (stat(&mut client, "keyspace_hits:"), stat(&mut client, "keyspace_misses:"));
        assert_eq!((hits, misses), (report.caused.hits, report.caused.misses), "{by:?}");
        let told_by_name = matches!(by, KeysBy::Prefix | KeysBy::Slot);
        assert_eq!(hits == 0, told_by_name, "{by:?} counted as {hits} hits");
        let stats = client.ask(&["INFO", "commandstats"]).text();
        let used: Vec<&str> = stats
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next())
            .collect();
        // Before 7.0 those are counted together that share their first word.
        let apart = RedisProgram::here().knows((7, 0));
        let same = |name: &str, used: &str| {
            name == used || (!apart && name.split('|').next() == Some(used))
        };
        let allowed = [
            "scan",
            "memory|usage",
            "info",
            "ping",
            "client|setname",
            "client|setinfo",
            "client|no-touch",
            "client|no-evict",
            "dbsize",
            "config|resetstat",
            "type",
            "pttl",
            "object|encoding",
            "hello",
            "client",
            "select",
        ];
        let known = |used: &&str| allowed.iter().any(|name| same(name, used));
        assert!(used.iter().all(known), "{by:?} used {used:?}");
        let idle = client.ask(&["OBJECT", "IDLETIME", "idle:1"]).number();
        assert!(idle >= 7200, "{by:?} moved an idle time to {idle}");
    }
}

#[test]
fn memory_is_bounded_and_others_are_let_have_their_turn() {
    let server = RedisServer::start();
    let mut client = server.client();
    client.ask(&["DEBUG", "POPULATE", "200000", "key", "10"]);
    // Names that no placeholder knows.
    let letters =
        |n: u32| -> String { n.to_string().bytes().map(|b| char::from(b - b'0' + b'a')).collect() };
    let names: Vec<Vec<String>> = (0..20_000)
        .map(|n| vec!["SET".to_owned(), format!("name:{}", letters(n)), "x".into()])
        .collect();
    client.ask_all(&names);
    let begun = std::time::Instant::now();
    let report = look(&server, KeysBy::Prefix);
    assert!(begun.elapsed() < Duration::from_mins(2));
    assert!(report.rows.len() < 50, "{}", report.rows.len());
    let keys: f64 = report.rows.iter().map(|row| row.keys.value).sum();
    assert!((keys - 220_000.0).abs() < 0.5, "{keys}");
    assert!(report.sampled <= 2 * 100_000, "{}", report.sampled);
}
