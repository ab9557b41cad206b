//! What a server is like now and was in between, and what is said where not all may be asked.

use std::time::{Duration, Instant};

use larder_core::Time;
use larder_redis::select::Caused;
use larder_redis::{
    Deployment, Link, Measured, Readings, Secret, ServerState, measure, measure_since, scrape,
    scrape_all,
};
use larder_testkit::{RedisClient, RedisCluster, RedisProgram, RedisServer};

use crate::endpoint;

/// Look-ups, so many that find a key and so many that do not.
fn look(client: &mut RedisClient, hits: u32, misses: u32) {
    client.ask(&["SET", "there", "value"]);
    let key = |name: &str| vec!["GET".to_owned(), name.to_owned()];
    let hit = (0..hits).map(|_| key("there"));
    let all: Vec<_> = hit.chain((0..misses).map(|n| key(&format!("gone:{n}")))).collect();
    client.ask_all(&all);
}

fn now(server: &RedisServer, before: &Readings, seconds: i64) -> Measured {
    measure_since(&endpoint(server), before, Time::from_unix(seconds)).unwrap()
}

#[test]
fn a_rate_is_of_the_time_since_the_last_reading() {
    let server = RedisServer::start();
    let mut client = server.client();
    look(&mut client, 900, 100);
    let first = now(&server, &Readings::default(), 1000);
    assert_eq!((first.vitals.hit_rate(), first.vitals.hit_window()), (Some(0.9), None));

    look(&mut client, 100, 300);
    let second = now(&server, &first.readings, 1001);
    assert_eq!(second.vitals.hit_rate(), Some(0.25));
    assert_eq!(second.vitals.hit_window(), Some(Duration::from_secs(1)));
    // Our own measuring is not in it.
    assert_eq!((second.vitals.hits, second.vitals.misses), (Some(1000), Some(400)));

    // Too little since: it says so, and the next window begins where this one did.
    look(&mut client, 10, 0);
    let third = now(&server, &second.readings, 1002);
    assert_eq!((third.vitals.hit_rate(), third.vitals.hit_window()), (Some(1010.0 / 1410.0), None));
    look(&mut client, 90, 0);
    let fourth = now(&server, &third.readings, 1003);
    assert_eq!(fourth.vitals.hit_rate(), Some(1.0));
    assert_eq!(fourth.vitals.hit_window(), Some(Duration::from_secs(2)));

    // What a command of ours looked up is taken out.
    let mut readings = fourth.readings;
    readings.add_own(Caused { hits: 500, misses: 0 }, Time::from_unix(1003));
    look(&mut client, 500 + 150, 50);
    let fifth = now(&server, &readings, 1004);
    assert_eq!(fifth.vitals.hit_rate(), Some(0.75));
    assert_eq!(fifth.readings.own_before, Caused { hits: 500, misses: 0 });
}

#[test]
fn counters_that_began_anew_are_no_baseline() {
    let mut server = RedisServer::start();
    look(&mut server.client(), 1000, 1000);
    let first = now(&server, &Readings::default(), 1000);
    server.client().ask(&["CONFIG", "RESETSTAT"]);
    look(&mut server.client(), 300, 100);
    let reset = now(&server, &first.readings, 1010);
    assert_eq!((reset.vitals.hit_rate(), reset.vitals.hit_window()), (Some(0.75), None));
    assert_eq!(reset.vitals.window, None);

    server.restart();
    look(&mut server.client(), 2000, 2000);
    let restarted = now(&server, &reset.readings, 1020);
    assert_eq!((restarted.vitals.hit_rate(), restarted.vitals.hit_window()), (Some(0.5), None));
    look(&mut server.client(), 200, 0);
    let after = now(&server, &restarted.readings, 1021);
    assert_eq!(after.vitals.hit_rate(), Some(1.0));
}

#[test]
fn evictions_refusals_and_blocked_clients_are_of_the_window() {
    let server = RedisServer::with(&["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut client = server.client();
    let first = now(&server, &Readings::default(), 1000);
    assert_eq!((first.vitals.evicted, first.vitals.rejected), (Some(0), Some(0)));
    let value = "x".repeat(1000);
    let fill: Vec<_> =
        (0..6000).map(|n| vec!["SET".to_owned(), format!("k:{n}"), value.clone()]).collect();
    client.ask_all(&fill);
    client.ask(&["CONFIG", "SET", "maxclients", "4"]);
    let crowd: Vec<_> = (0..8).map(|_| server.client()).collect();
    let until = Instant::now() + Duration::from_secs(20);
    while client.ask(&["INFO", "stats"]).text().contains("rejected_connections:0\r") {
        assert!(Instant::now() < until, "nobody was refused");
    }
    drop(crowd);
    client.ask(&["CONFIG", "SET", "maxclients", "100"]);
    let second = now(&server, &first.readings, 1002);
    let window = second.vitals.window.unwrap();
    assert!(window.evicted > 1000, "{window:?}");
    assert!((window.evicted_per_second() * 2.0 - window.evicted as f64).abs() < 1e-6);
    assert!(window.rejected > 0, "{window:?}");
    assert_eq!(second.vitals.max_memory, Some(3 << 20));
    assert_eq!(second.vitals.max_connections, Some(100));
    assert_eq!(second.vitals.blocked_clients, Some(0));
    assert_eq!(second.vitals.persistence.last_save_ok, Some(true));
    assert_eq!(second.vitals.persistence.last_append_ok, None);
    assert!(second.vitals.persistence.changes_since_save.unwrap() > 5000);
}

#[test]
fn without_info_the_rest_goes_on_and_each_grant_is_named() {
    let server = RedisServer::with(&["--maxmemory", "100mb"]);
    look(&mut server.client(), 10, 10);
    let mut guest = endpoint(&server);
    guest.user = Some("guest".to_owned());
    guest.password = Some(Secret::new("hunter2"));
    let rights = |rights: &[&str]| {
        let user = ["ACL", "SETUSER", "guest", "reset", "on", ">hunter2", "~*"];
        server.client().ask(&[&user[..], rights].concat());
        measure(&guest).unwrap()
    };
    let all = rights(&["+@all", "-info"]);
    assert_eq!((all.keys, all.persistent_keys, all.hits), (Some(1), None, None));
    assert_eq!(all.max_memory, Some(100 << 20));
    assert!(all.used_memory.unwrap() > 500_000 && all.fragmentation.is_some());
    assert!(all.max_connections.is_some() && all.latency.samples > 0);
    assert_eq!((all.hit_rate(), all.connections), (None, None));
    let grants = |vitals: &larder_redis::Vitals| -> Vec<String> {
        let grant = |why: &str| why.rsplit("it takes: ").next().unwrap_or_default().to_owned();
        vitals.missing.iter().map(|missing| grant(&missing.why)).collect()
    };
    assert_eq!(grants(&all), ["+info"]);
    let least = rights(&["+ping"]);
    assert_eq!((least.keys, least.used_memory, least.max_memory), (None, None, None));
    assert_eq!(grants(&least), ["+info", "+dbsize", "+memory|stats", "+config|get"]);
    assert!(least.score(None).value.is_some() && least.score(None).partial);
    let nothing = rights(&["+get"]);
    assert!(grants(&nothing).contains(&"+ping".to_owned()), "{:?}", nothing.missing);
    assert_eq!(nothing.score(None).value, None);

    let replica = RedisServer::start();
    replica.client().ask(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]);
    replica.client().ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let mut place = endpoint(&replica);
    place.password = Some(Secret::new("hunter2"));
    let mut client = replica.client();
    client.ask(&["AUTH", "hunter2"]);
    client.ask(&["ACL", "SETUSER", "default", "-info"]);
    let until = Instant::now() + Duration::from_secs(20);
    while measure(&place).unwrap().state != ServerState::ReadOnly {
        assert!(Instant::now() < until, "the replica never came into step");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn masters_and_replicas_tell_how_they_stand_to_each_other() {
    let mut master = RedisServer::start();
    let replica = RedisServer::start();
    assert_eq!(measure(&endpoint(&master)).unwrap().replication.link_up, None);
    replica.client().ask(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (of, vitals) =
            (measure(&endpoint(&replica)).unwrap(), measure(&endpoint(&master)).unwrap());
        if of.state == ServerState::ReadOnly && vitals.replication.link_up == Some(true) {
            assert_eq!(of.replication.link_up, Some(true));
            assert!(of.replication.lag.unwrap() < Duration::from_secs(10));
            assert_eq!(vitals.replication.replicas, Some(1));
            break;
        }
        assert!(Instant::now() < until, "never in step: {of:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    master.kill();
    while measure(&endpoint(&replica)).unwrap().state != ServerState::Lagging {
        assert!(Instant::now() < until, "the replica never noticed");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(measure(&endpoint(&replica)).unwrap().replication.link_up, Some(false));
}

#[test]
fn everything_is_told_in_one_go() {
    let server = RedisServer::with(&["--slowlog-log-slower-than", "0"]);
    look(&mut server.client(), 50, 5);
    let trips = |server: &RedisServer| {
        let info = server.client().ask(&["INFO", "stats"]).text();
        let line = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let mut link = Link::open(&endpoint(&server), "metrics").unwrap();
    let before = trips(&server);
    let all = scrape(&mut link).unwrap();
    // The one that counts them counts as one; two things are asked apart before 6.2.
    let most = if RedisProgram::here().knows((6, 2)) { 2 } else { 4 };
    assert!(trips(&server) - before - 1 <= most, "more than {most} round trips");
    assert!(all.info.get("cmdstat_get").unwrap().starts_with("calls=55,"));
    let told = all.info.get("latency_percentiles_usec_get").is_some();
    assert_eq!(told, RedisProgram::here().knows((7, 0)));
    assert_eq!(all.info.keyspace(0).keys, 1);
    assert!(all.slowlog_length.unwrap() > 50);
    assert!(all.slowlog_last_id.unwrap() >= all.slowlog_length.unwrap() - 1);
    assert_eq!(all.missing, []);

    server.client().ask(&["ACL", "SETUSER", "default", "-slowlog"]);
    let less = scrape(&mut link).unwrap();
    assert_eq!((less.slowlog_length, less.slowlog_last_id), (None, None));
    assert_eq!(less.missing.len(), 1);
    assert!(less.missing[0].why.contains("+slowlog"), "{:?}", less.missing);
    server.client().ask(&["ACL", "SETUSER", "default", "+slowlog", "-info"]);
    let less = scrape(&mut link).unwrap();
    assert!(less.info.get("uptime_in_seconds").is_none() && less.slowlog_length.is_some());
}

#[test]
fn a_cluster_is_measured_as_one_and_told_node_by_node() {
    let cluster = RedisCluster::start();
    let first = now(&cluster.nodes[0], &Readings::default(), 1000);
    assert_eq!((first.vitals.masters, first.readings.nodes.len()), (3, 3));
    for (node, key) in cluster.nodes.iter().zip(["bar", "hello", "foo"]) {
        let mut client = node.client();
        let gets = |key: &str, count: usize| vec![vec!["GET".to_owned(), key.to_owned()]; count];
        // CLUSTER KEYSLOT: 5061, 866 and 12182; what a node does not hold, it does not count.
        client.ask_all(&gets(key, 100));
        client.ask(&["SET", key, "value"]);
        client.ask_all(&gets(key, 300));
    }
    let second = now(&cluster.nodes[1], &first.readings, 1001);
    let window = second.vitals.window.unwrap();
    assert!(window.hits >= 300 && window.hits == 3 * window.misses, "{window:?}");
    let found = Deployment::discover(&endpoint(&cluster.nodes[0])).unwrap();
    let all = scrape_all(&found);
    assert_eq!(all.len(), 3);
    for (address, scraped) in all {
        assert_eq!(scraped.unwrap().address, address);
    }
}
