//! Every planted problem is found, and nothing is made up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_core::size::Units;
use larder_redis::{Audit, AuditOptions, Deployment, Endpoint, Finding, Limits, Secret, audit};
use larder_testkit::{Answer, RedisClient, RedisProgram, RedisServer};

use crate::endpoint;

const OPTIONS: AuditOptions<'_> = AuditOptions {
    name: "redis:test",
    limits: Limits { p99_budget: Duration::from_millis(2), keys_per_second: None },
    units: Units::Decimal,
};

fn look(place: &Endpoint) -> Audit {
    audit(&Deployment::discover(place).unwrap(), OPTIONS, &|| false).unwrap()
}

fn ids(audit: &Audit) -> Vec<&'static str> {
    let mut ids: Vec<_> = audit.findings.iter().map(|finding| finding.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[track_caller]
fn of<'a>(audit: &'a Audit, id: &str) -> &'a Finding {
    let found = audit.findings.iter().find(|finding| finding.id == id);
    found.unwrap_or_else(|| panic!("{id} was not found: {:#?}", audit.findings))
}

fn many(client: &mut RedisClient, count: u32, make: impl Fn(u32) -> Vec<String>) {
    client.ask_all(&(0..count).map(make).collect::<Vec<_>>());
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Writes a key again with another idle time or frequency.
fn aged(client: &mut RedisClient, key: &str, how: &str, figure: &str) {
    let Answer::Bytes(dump) = client.ask(&["DUMP", key]) else { panic!("no dump of {key}") };
    let restore = [b"RESTORE", key.as_bytes(), b"0", &dump, b"REPLACE"];
    let restore = [&restore[..], &[how.as_bytes(), figure.as_bytes()]].concat();
    assert_eq!(client.ask(&restore).text(), "OK");
}

/// Runs a remedy of redis-cli as it is printed; it succeeds.
#[track_caller]
fn run(remedy: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = std::process::Command::new("sh");
    let ran = shell.args(["-c", remedy]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.trim().ends_with("OK"), "{remedy}: {ran:?}");
}

/// Options of a server that is set up well; its password is `hunter2`.
const WELL: [&str; 24] = [
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
    "--lazyfree-lazy-server-del",
    "yes",
    "--latency-monitor-threshold",
    "100",
    "--maxmemory-clients",
    "5%",
    "--slowlog-log-slower-than",
    "10000",
    "--slowlog-max-len",
    "128",
    "--protected-mode",
    "yes",
    "--requirepass",
    "hunter2",
];

/// The same of a server before 7.0, where clients are limited one by one.
const WELL_BEFORE: [&str; 5] = ["--client-output-buffer-limit", "normal", "256mb", "64mb", "60"];

fn well_with(more: &[&str]) -> RedisServer {
    let before = if modern() { &[][..] } else { &WELL_BEFORE };
    RedisServer::with(&[&WELL[..], before, more].concat())
}

fn modern() -> bool {
    RedisProgram::here().knows((7, 0))
}

/// Whether the server knows what its allocator holds; a build with the system's does not.
fn has_jemalloc(client: &mut RedisClient) -> bool {
    client.ask(&["INFO", "memory"]).text().contains("mem_allocator:jemalloc")
}

fn well(more: &[&str]) -> (RedisServer, RedisClient, Endpoint) {
    let server = well_with(more);
    let mut client = server.client();
    assert_eq!(client.ask(&["AUTH", "hunter2"]).text(), "OK");
    let mut place = endpoint(&server);
    place.password = Some(Secret::new("hunter2"));
    (server, client, place)
}

#[test]
fn what_keys_say_about_trouble_is_found() {
    let (_server, mut client, place) = well(&[]);
    many(&mut client, 2000, |n| words(&format!("SET temp:{n} value")));
    many(&mut client, 2000, |n| words(&format!("SET user:{n}:cart value EX {}", 1000 + n * 7)));
    many(&mut client, 2000, |n| words(&format!("SET storm:{n} value")));
    many(&mut client, 2000, |n| words(&format!("EXPIREAT storm:{n} 4000000000")));
    client.ask(&["SETRANGE", "big:string", "20000000", "x"]);
    many(&mut client, 12, |n| words(&format!("SETRANGE page:{n} 900000 x")));
    many(&mut client, 12, |n| words(&format!("EXPIRE page:{n} {}", 5000 + n * 11)));
    // Collections of more than a megabyte.
    for n in 0..6 {
        many(&mut client, 1500, |m| {
            vec!["RPUSH".to_owned(), format!("feed:{n}"), format!("{m:01000}")]
        });
        client.ask(&["EXPIRE", &format!("feed:{n}"), &(6000 + n * 13).to_string()]);
    }
    client.ask(&["SETRANGE", "old:dump", "10600000", "x"]);
    aged(&mut client, "old:dump", "IDLETIME", "900000");
    client.ask(&["SETRANGE", "dusty:dump", "10600000", "x"]);
    aged(&mut client, "dusty:dump", "IDLETIME", "80000");
    let audit = look(&place);
    let found = [
        "big-key",
        "coarse-collections",
        "coarse-strings",
        "expiry-storm",
        "idle-memory",
        "keys-without-ttl",
        "never-read",
    ];
    assert_eq!(ids(&audit), found, "{:#?}", audit.findings);
    let temp = of(&audit, "keys-without-ttl");
    assert_eq!((temp.subject.as_str(), temp.keys), ("temp:{n}", Some(2000)));
    assert_eq!(
        temp.remedy,
        "larder expire redis:test --match 'temp:*' --ttl 24h --jitter 10% --only-persistent"
    );
    let big = of(&audit, "big-key");
    assert_eq!(big.subject, "big:string");
    assert!(big.evidence.ends_with(" MB"), "{}", big.evidence);
    assert!(big.stall.unwrap() > Duration::from_millis(1));
    let storm = of(&audit, "expiry-storm");
    assert!(storm.evidence.contains("4000000000"), "{}", storm.evidence);
    assert_eq!((storm.subject.as_str(), storm.keys), ("storm:{n}", Some(2000)));
    assert!(storm.stall.unwrap() >= Duration::from_millis(1));
    assert_eq!(of(&audit, "coarse-strings").subject, "page:{n}");
    assert_eq!(of(&audit, "coarse-strings").keys, Some(12));
    assert_eq!(of(&audit, "coarse-collections").subject, "feed:{n}");
    assert_eq!(of(&audit, "idle-memory").subject, "old:dump");
    assert!(of(&audit, "idle-memory").bytes.unwrap() > 9_000_000);
    assert_eq!(of(&audit, "never-read").subject, "dusty:dump");
    assert_eq!((audit.keys, audit.sampled), (6021, 6021));
    let cart = audit.prefixes.iter().find(|(prefix, _)| prefix == b"user:{n}:cart").unwrap();
    assert_eq!((cart.1.keys, cart.1.persistent_keys()), (2000, 0));
    // What looked is not what used: the idle time of the old one stands.
    assert!(client.ask(&["OBJECT", "IDLETIME", "old:dump"]).number() >= 900_000);
    // What these answer to: the keys are removed or given other times.
    many(&mut client, 2000, |n| words(&format!("EXPIRE temp:{n} {}", 8000 + n * 9)));
    many(&mut client, 2000, |n| words(&format!("EXPIRE storm:{n} {}", 9000 + n * 7)));
    client.ask(&["DEL", "big:string", "old:dump", "dusty:dump"]);
    let names: Vec<String> = (0..12).map(|n| format!("page:{n}")).collect();
    many(&mut client, 12, |n| vec!["DEL".to_owned(), names[n as usize].clone()]);
    many(&mut client, 6, |n| words(&format!("DEL feed:{n}")));
    assert_eq!(ids(&look(&place)), [] as [&str; 0]);
}

#[test]
fn what_settings_say_about_trouble_is_found_and_its_remedy_mends_it() {
    let no_limits = if modern() {
        &["--maxmemory-clients", "0"][..]
    } else {
        &["--client-output-buffer-limit", "normal", "0", "0", "0"]
    };
    let planted = [
        ("no-memory-limit", &["--maxmemory", "0", "--maxmemory-policy", "noeviction"][..]),
        ("cache-without-eviction", &["--maxmemory", "2mb", "--maxmemory-policy", "noeviction"]),
        ("policy-finds-nothing", &["--maxmemory-policy", "volatile-lru"]),
        ("lazyfree-off", &["--lazyfree-lazy-expire", "no", "--lazyfree-lazy-user-del", "no"]),
        ("slowlog-off", &["--slowlog-log-slower-than", "-1"]),
        ("slowlog-blind", &["--slowlog-log-slower-than", "500000"]),
        ("slowlog-short", &["--slowlog-max-len", "10"]),
        ("latency-monitor-off", &["--latency-monitor-threshold", "0"]),
        ("no-client-limits", no_limits),
        ("open-to-anybody", &["--requirepass", "", "--protected-mode", "no"]),
        ("default-user-without-password", &["--requirepass", ""]),
    ];
    for (id, options) in planted {
        let server = well_with(options);
        let open = options.contains(&"--requirepass");
        let mut client = server.client();
        let mut place = endpoint(&server);
        if !open {
            client.ask(&["AUTH", "hunter2"]);
            place.password = Some(Secret::new("hunter2"));
        }
        many(&mut client, 200, |n| words(&format!("SET user:{n} value EX {}", 1000 + n * 13)));
        if id == "policy-finds-nothing" {
            many(&mut client, 200, |n| words(&format!("PERSIST user:{n}")));
        }
        let audit = look(&place);
        assert!(ids(&audit).contains(&id), "{id} was not found: {:#?}", audit.findings);
        let remedy = of(&audit, id).remedy.clone();
        let line = if open { remedy } else { format!("export REDISCLI_AUTH=hunter2; {remedy}") };
        run(&line);
        let left = match id {
            // The default user has none still.
            "open-to-anybody" => vec!["default-user-without-password"],
            "policy-finds-nothing" => vec!["keys-without-ttl"],
            _ => vec![],
        };
        if id == "default-user-without-password" {
            let said = client.ask(&["PING"]).text();
            assert!(said.contains("PONG"), "a client that is there stays: {said}");
            assert!(server.client().ask(&["PING"]).text().contains("NOAUTH"));
            continue;
        }
        assert_eq!(ids(&look(&place)), left, "{id} is not mended");
    }
}

#[test]
fn collections_just_over_the_packed_encoding_are_found() {
    let (_server, mut client, place) = well(&[]);
    let limit = |client: &mut RedisClient, name: &str| -> String {
        let Answer::List(pair) = client.ask(&["CONFIG", "GET", name]) else { panic!() };
        pair[1].text()
    };
    let name = if modern() { "hash-max-listpack-entries" } else { "hash-max-ziplist-entries" };
    let entries: u32 = limit(&mut client, name).parse().unwrap();
    for key in 0..20 {
        many(&mut client, entries + 30, |n| words(&format!("HSET profile:{key} field:{n} value")));
        many(&mut client, 600, |n| words(&format!("SADD ids:{key} {}", n * 1_000)));
        many(&mut client, 160, |n| words(&format!("SADD tags:{key} tag:{n}")));
        many(&mut client, 20, |n| {
            vec!["ZADD".to_owned(), format!("rank:{key}"), n.to_string(), format!("{n:0100}")]
        });
        // Far over, and small: nobody would pack these, and nothing is wrong with those.
        many(&mut client, entries * 4, |n| words(&format!("HSET huge:{key} f{n} v")));
        many(&mut client, 20, |n| words(&format!("HSET small:{key} f{n} v")));
    }
    let keys = ["profile", "ids", "tags", "rank", "huge", "small"];
    for name in keys {
        many(&mut client, 20, |n| words(&format!("EXPIRE {name}:{n} {}", 4000 + n * 17)));
    }
    let audit = look(&place);
    assert_eq!(ids(&audit), ["just-over-packed"], "{:#?}", audit.findings);
    let mut subjects: Vec<&str> = audit.findings.iter().map(|f| f.subject.as_str()).collect();
    subjects.sort_unstable();
    let mut expected = vec!["ids:{n}", "profile:{n}", "rank:{n}"];
    // Words are packed since 7.2.
    expected.extend(RedisProgram::here().knows((7, 2)).then_some("tags:{n}"));
    assert_eq!(subjects, expected);
    let profile = audit.findings.iter().find(|f| f.subject == "profile:{n}").unwrap();
    assert!(profile.evidence.contains(name), "{}", profile.evidence);
    assert_eq!(profile.keys, Some(20));
    // What packing would save is what it does save.
    let bytes = |client: &mut RedisClient| -> i64 {
        let sizes = (0..20).map(|n| client.ask(&["MEMORY", "USAGE", &format!("profile:{n}")]));
        sizes.map(|size| size.number()).sum()
    };
    let before = bytes(&mut client);
    let findings: Vec<String> = audit.findings.iter().map(|f| f.remedy.clone()).collect();
    for remedy in findings {
        run(&format!("export REDISCLI_AUTH=hunter2; {remedy}"));
    }
    // As a restart does: what is loaded is written anew.
    assert_eq!(client.ask(&["DEBUG", "RELOAD"]).text(), "OK");
    let saved = u64::try_from(before - bytes(&mut client)).unwrap();
    let told = profile.bytes.unwrap();
    // Other allocators than jemalloc round otherwise.
    let share = if has_jemalloc(&mut client) { 10 } else { 4 };
    assert!(told.abs_diff(saved) * share < saved, "told {told}, saved {saved}");
    assert_eq!(ids(&look(&place)), [] as [&str; 0]);
}

#[test]
fn a_server_that_is_well_has_nothing_made_up() {
    let (_server, mut client, place) = well(&[]);
    many(&mut client, 3000, |n| words(&format!("SET user:{n} value EX {}", 1000 + n * 13)));
    many(&mut client, 300, |n| words(&format!("HSET cart:{n} item {n} count 2")));
    many(&mut client, 300, |n| words(&format!("EXPIRE cart:{n} {}", 1000 + n * 31)));
    let audit = look(&place);
    assert_eq!(audit.findings, []);
    assert_eq!(audit.hot_keys, [], "all are as new: none stands out");
    assert_eq!(audit.missing, []);
}

#[test]
fn what_is_counted_as_hits_is_what_is_told() {
    let (_server, mut client, place) = well(&[]);
    many(&mut client, 500, |n| words(&format!("SET user:{n} value EX {}", 1000 + n)));
    many(&mut client, 600, |n| words(&format!("HSET profile:1 field:{n} value")));
    let count = |client: &mut RedisClient, name: &str| -> u64 {
        let info = client.ask(&["INFO", "stats"]).text();
        info.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
    };
    let hits = count(&mut client, "keyspace_hits:");
    let misses = count(&mut client, "keyspace_misses:");
    let audit = look(&place);
    assert_eq!(count(&mut client, "keyspace_hits:") - hits, audit.caused.hits);
    assert_eq!(count(&mut client, "keyspace_misses:") - misses, audit.caused.misses);
    // Three of each key looked at, and of those in use one more at each further look.
    assert!(audit.caused.hits < 501 * 6 + 100, "{:?}", audit.caused);
}

#[test]
fn frequencies_are_told_where_the_policy_counts_them() {
    let (_server, mut client, place) = well(&["--maxmemory-policy", "allkeys-lfu"]);
    many(&mut client, 300, |n| words(&format!("SET user:{n} value EX {}", 1000 + n * 9)));
    many(&mut client, 5000, |_| words("GET user:7"));
    client.ask(&["SETRANGE", "dusty:dump", "90000", "x"]);
    aged(&mut client, "dusty:dump", "FREQ", "0");
    let audit = look(&place);
    assert_eq!(audit.hot_keys[0].key, b"user:7", "{:?}", audit.hot_keys);
    assert_eq!(audit.hot_keys.len(), 1, "the others are as they were made: {:?}", audit.hot_keys);
    assert_eq!(ids(&audit), ["never-read"], "{:#?}", audit.findings);
    assert_eq!(of(&audit, "never-read").subject, "dusty:dump");
    assert!(of(&audit, "never-read").evidence.contains("LFU"));
}

#[test]
fn keys_that_are_always_in_use_are_told_without_frequencies() {
    let (server, mut client, place) = well(&[]);
    many(&mut client, 500, |n| words(&format!("SET user:{n} value EX {}", 1000 + n * 9)));
    for n in 0..500 {
        aged(&mut client, &format!("user:{n}"), "IDLETIME", "50");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (theirs, mut busy) = (Arc::clone(&stop), server.client());
    let user = std::thread::spawn(move || {
        busy.ask(&["AUTH", "hunter2"]);
        while !theirs.load(Ordering::Relaxed) {
            busy.ask(&["GET", "user:7"]);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let audit = look(&place);
    stop.store(true, Ordering::Relaxed);
    user.join().unwrap();
    assert_eq!(audit.hot_keys.len(), 1, "{:?}", audit.hot_keys);
    let hot = &audit.hot_keys[0];
    assert_eq!((hot.key.as_slice(), hot.frequency, hot.looks), (&b"user:7"[..], None, 4));
}

#[test]
fn what_may_not_be_asked_is_named_and_the_rest_goes_on() {
    let (_server, mut client, mut place) = well(&[]);
    many(&mut client, 500, |n| words(&format!("SET temp:{n} value")));
    let user = ["ACL", "SETUSER", "guest", "on", ">hunter2", "~*", "+@all"];
    client.ask(&[&user[..], &["-config", "-acl", "-info", "-memory", "-object"]].concat());
    place.user = Some("guest".to_owned());
    let audit = look(&place);
    assert_eq!((audit.keys, ids(&audit)), (500, vec!["keys-without-ttl"]));
    // What is not told is not zero.
    assert_eq!((of(&audit, "keys-without-ttl").bytes, audit.big_keys.len()), (None, 0));
    let mut grants: Vec<&str> =
        audit.missing.iter().map(|m| m.why.rsplit(' ').next().unwrap()).collect();
    grants.sort_unstable();
    let all = ["+acl|list", "+config|get", "+info", "+memory|usage", "+object|encoding"];
    assert_eq!(grants, [&all[..], &["+object|idletime"]].concat());
}

/// Fragmentation takes memory that was filled and then emptied unevenly.
#[test]
fn fragmented_memory_is_found_and_its_remedy_runs() {
    let (_server, mut client, place) = well(&[]);
    let value = "x".repeat(1000);
    many(&mut client, 200_000, |n| {
        let ttl = (1000 + n % 5000).to_string();
        vec!["SET".to_owned(), format!("k:{n}"), value.clone(), "EX".to_owned(), ttl]
    });
    many(&mut client, 200_000, |n| {
        let keep = if n.is_multiple_of(8) { "EXISTS" } else { "UNLINK" };
        vec![keep.to_owned(), format!("k:{n}")]
    });
    let audit = look(&place);
    if !has_jemalloc(&mut client) {
        assert_eq!(audit.findings, [], "what is not known is not found");
        return;
    }
    assert_eq!(ids(&audit), ["fragmented"], "{:#?}", audit.findings);
    let remedy = &of(&audit, "fragmented").remedy;
    run(&format!("export REDISCLI_AUTH=hunter2; {remedy}"));
}
