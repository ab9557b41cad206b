//! Every planted problem is found, and nothing is made up.

use larder_redis::{Audit, Deployment, Limits, audit};
use larder_testkit::{Answer, RedisClient, RedisServer};

use crate::endpoint;

fn look(server: &RedisServer) -> Audit {
    let found = Deployment::discover(&endpoint(server)).unwrap();
    audit(&found, "redis:test", Limits::default(), &|| false).unwrap()
}

fn ids(audit: &Audit) -> Vec<&'static str> {
    let mut ids: Vec<_> = audit.findings.iter().map(|finding| finding.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn many(client: &mut RedisClient, count: u32, make: impl Fn(u32) -> Vec<String>) {
    client.ask_all(&(0..count).map(make).collect::<Vec<_>>());
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// A server that is set up well.
fn well() -> RedisServer {
    RedisServer::with(&[
        "--maxmemory",
        "1gb",
        "--maxmemory-policy",
        "allkeys-lru",
        "--lazyfree-lazy-user-del",
        "yes",
        "--lazyfree-lazy-expire",
        "yes",
        "--lazyfree-lazy-eviction",
        "yes",
        "--latency-monitor-threshold",
        "100",
        "--timeout",
        "300",
    ])
}

#[test]
fn planted_problems_are_found_with_their_remedies() {
    let server = RedisServer::with(&["--protected-mode", "no", "--slowlog-log-slower-than", "-1"]);
    let mut client = server.client();
    many(&mut client, 4000, |n| words(&format!("SET temp:{n} value")));
    many(&mut client, 4000, |n| words(&format!("SET user:{n}:cart value EX {}", 1000 + n * 7)));
    many(&mut client, 4000, |n| words(&format!("SET storm:{n} value EXAT 4000000000")));
    client.ask(&["SETRANGE", "big:string", "20000000", "x"]);
    client.ask(&["SETRANGE", "old:dump", "9000000", "x"]);
    let Answer::Bytes(dump) = client.ask(&["DUMP", "old:dump"]) else { panic!("no dump") };
    let old = [b"RESTORE".as_slice(), b"old:dump", b"0", &dump, b"REPLACE", b"IDLETIME", b"900000"];
    assert_eq!(client.ask(&old).text(), "OK");
    let audit = look(&server);
    let found = ids(&audit);
    for id in [
        "keys-without-ttl",
        "big-key",
        "idle-memory",
        "expiry-storm",
        "no-memory-limit",
        "slowlog-off",
        "open-to-anybody",
        "lazyfree-off",
    ] {
        assert!(found.contains(&id), "{id} was not found: {:#?}", audit.findings);
    }
    let of = |id: &str| audit.findings.iter().find(|finding| finding.id == id).unwrap();
    assert_eq!(of("keys-without-ttl").subject, "temp:{n}");
    assert!(of("keys-without-ttl").remedy.contains("--match 'temp:*'"));
    assert_eq!(of("big-key").subject, "big:string");
    assert!(of("expiry-storm").subject.contains("4000000000"));
    assert_eq!((audit.keys, audit.sampled), (12_002, 12_002));
    let cart = audit.prefixes.iter().find(|(prefix, _)| prefix == b"user:{n}:cart").unwrap();
    assert_eq!((cart.1.keys, cart.1.persistent_keys()), (4000, 0));
    // What looked is not what used: the idle time of the old one stands.
    assert!(client.ask(&["OBJECT", "IDLETIME", "old:dump"]).number() >= 900_000);
    // A remedy of redis-cli works as it is printed.
    let remedy = &of("slowlog-off").remedy;
    let ran = std::process::Command::new("sh").args(["-c", remedy]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "OK", "{remedy}: {ran:?}");
    assert!(!ids(&look(&server)).contains(&"slowlog-off"));
}

#[test]
fn a_server_that_is_well_has_nothing_made_up() {
    let server = well();
    let mut client = server.client();
    many(&mut client, 3000, |n| words(&format!("SET user:{n} value EX {}", 1000 + n * 13)));
    let audit = look(&server);
    // Only what is true of every server without passwords.
    assert_eq!(ids(&audit), ["default-user-without-password"], "{:#?}", audit.findings);
}

#[test]
fn what_is_counted_as_hits_is_what_is_told() {
    let server = well();
    let mut client = server.client();
    many(&mut client, 500, |n| words(&format!("SET user:{n} value EX {}", 1000 + n)));
    let hits = |client: &mut RedisClient| -> u64 {
        let info = client.ask(&["INFO", "stats"]).text();
        let line = info.lines().find_map(|line| line.strip_prefix("keyspace_hits:"));
        line.unwrap().trim().parse().unwrap()
    };
    let before = hits(&mut client);
    let audit = look(&server);
    assert_eq!(hits(&mut client) - before, audit.caused.hits);
}

#[test]
fn frequencies_are_told_where_the_policy_counts_them() {
    let server = RedisServer::with(&["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lfu"]);
    let mut client = server.client();
    many(&mut client, 300, |n| words(&format!("SET user:{n} value EX {}", 1000 + n)));
    many(&mut client, 5000, |_| words("GET user:7"));
    let audit = look(&server);
    assert_eq!(audit.hot_keys[0].0, b"user:7", "{:?}", audit.hot_keys);
    assert!(audit.hot_keys[0].1 > audit.hot_keys[1].1 + 5, "{:?}", audit.hot_keys);
}
