//! What we say of a Redis against what `redis_exporter` says of the same one.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use larder_server::{Format, RedisFacts, redis_metrics};
use larder_testkit::{RedisServer, free_port};

use crate::support::{Program, request, until};

/// Series by name and sorted labels.
type Series = BTreeMap<String, f64>;

fn series(text: &str) -> Series {
    let lines = text.lines().filter(|line| line.starts_with("redis_"));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
            let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
            labels.sort_unstable();
            (format!("{name}{{{}}}", labels.join(",")), value.parse().unwrap())
        })
        .collect()
}

fn filled() -> RedisServer {
    let server = RedisServer::with(&["--maxmemory", "64mb", "--slowlog-log-slower-than", "0"]);
    let mut client = server.client();
    for index in 0..500 {
        client.ask(&["SET", &format!("key:{index}"), "value", "EX", "5000"]);
        client.ask(&["SET", &format!("stays:{index}"), "value"]);
    }
    client.ask(&["SELECT", "3"]);
    client.ask(&["SET", "in-three", "value"]);
    client.ask(&["SELECT", "0"]);
    for index in 0..40 {
        client.ask(&["GET", &format!("key:{}", index * 20)]);
    }
    client.ask(&["SET", "gone", "x", "PX", "1"]);
    until("a key expires", || client.ask(&["GET", "gone"]) == larder_testkit::Answer::Nil);
    // From here on nothing goes into the slow log.
    client.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
    server
}

fn facts(server: &RedisServer) -> RedisFacts {
    let mut client = server.client();
    let info = client.ask(&["INFO", "everything"]).text();
    let fields = info.lines().filter_map(|line| line.trim_end().split_once(':'));
    let length = client.ask(&["SLOWLOG", "LEN"]).number();
    let larder_testkit::Answer::List(newest) = client.ask(&["SLOWLOG", "GET", "1"]) else {
        panic!("no list of slow commands")
    };
    let larder_testkit::Answer::List(entry) = &newest[0] else { panic!("no slow command") };
    let took = Duration::from_micros(u64::try_from(entry[2].number()).unwrap());
    RedisFacts {
        slowlog_last_took: Some(took),
        info: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        databases: Some(16),
        slowlog_length: u64::try_from(length).ok(),
        slowlog_last_id: u64::try_from(entry[0].number()).ok(),
    }
}

fn exporter(server: &RedisServer) -> Series {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let _exporter = Program::start(Command::new("prometheus-redis-exporter").args([
        "-redis.addr",
        &server.url(),
        "-web.listen-address",
        &listen,
    ]));
    let mut answer = String::new();
    until("the exporter answers", || {
        use std::io::{Read as _, Write as _};
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else {
            return false;
        };
        let text = request("GET /metrics", &[], "").replace("HTTP/1.1", "HTTP/1.0");
        answer.clear();
        stream.write_all(text.as_bytes()).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains("\nredis_up 1\n")
    });
    series(answer.split_once("\r\n\r\n").unwrap().1)
}

/// How far two values of a series may be apart, as a share of the larger one: what moves while two
/// programs look one after the other still has the same size and unit.
fn tolerance(name: &str) -> f64 {
    let moving = [
        ("redis_uptime_in_seconds", 0.95),
        ("redis_connected_clients", 0.7),
        ("redis_memory_used_bytes", 0.5),
        ("redis_memory_used_peak_bytes", 0.5),
        ("redis_memory_used_rss_bytes", 0.5),
        ("redis_memory_used_overhead_bytes", 0.5),
        ("redis_memory_used_dataset_bytes", 0.5),
        ("redis_mem_fragmentation_", 0.6),
        ("redis_mem_clients_normal", 1.0),
        ("redis_allocator_", 0.9),
        ("redis_cpu_", 1.0),
        ("redis_expired_stale_percentage", 1.0),
        ("redis_commands_processed_total", 0.2),
        ("redis_connections_received_total", 0.8),
        ("redis_net_input_bytes_total", 0.3),
        ("redis_net_output_bytes_total", 0.7),
        ("redis_db_avg_ttl_seconds", 0.05),
        // What looking itself takes, and how fast the machine is at it.
        ("redis_commands_total{cmd=\"info\"", 1.0),
        ("redis_commands_total{cmd=\"client|setname\"", 0.8),
        ("redis_commands_total{cmd=\"config|get\"", 0.8),
        ("redis_commands_total{cmd=\"slowlog|", 1.0),
        ("redis_commands_total{cmd=\"latency|", 1.0),
        ("redis_commands_duration_seconds_total{cmd=\"client|", 1.0),
        ("redis_commands_duration_seconds_total{cmd=\"config|", 1.0),
        ("redis_commands_duration_seconds_total{cmd=\"slowlog|", 1.0),
        ("redis_commands_duration_seconds_total{cmd=\"latency|", 1.0),
        ("redis_commands_duration_seconds_total{cmd=\"info\"", 1.0),
    ];
    moving.iter().find(|(start, _)| name.starts_with(start)).map_or(0.0, |(_, share)| *share)
}

#[test]
fn a_series_that_both_have_has_the_same_value() {
    let server = filled();
    let theirs = exporter(&server);
    let ours = series(&redis_metrics(Some(&facts(&server)), Format::Text));
    let mut exact = 0;
    for (name, our) in &ours {
        let Some(their) = theirs.get(name) else { continue };
        let apart = (our - their).abs() / our.abs().max(their.abs()).max(f64::MIN_POSITIVE);
        let allowed = tolerance(name);
        assert!(apart <= allowed.max(1e-9), "{name}: ours {our}, theirs {their}");
        exact += usize::from(allowed == 0.0);
    }
    // 34 series of databases, 6 of commands, and the single ones.
    assert!(exact >= 100, "only {exact} stable series are in both");
    let name = |series: &String| series.split('{').next().unwrap_or_default().to_owned();
    let known: Vec<String> = theirs.keys().map(name).collect();
    let unknown: Vec<String> = ours.keys().map(name).filter(|name| !known.contains(name)).collect();
    // One that older dashboards ask for, and one that newer versions of it have.
    assert_eq!(unknown, ["redis_memory_fragmentation_ratio", "redis_total_system_memory_bytes"]);
    let instance = ours.keys().find(|name| name.starts_with("redis_instance_info")).unwrap();
    assert!(theirs.contains_key(instance), "{instance}");
}
