//! What `larder serve` says of Redis servers, against what `redis_exporter` says of the same ones at
//! the same time: over `/metrics`, and over `/probe?target=`.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use larder_testkit::{GoSandbox, RedisCluster, RedisProgram, RedisServer, free_port};

use crate::daemon_kit::{Daemon, get, settings, until};
use crate::flow_serve::{Series, scrape, scraped_when, series};

/// `redis_exporter` beside one server.
struct Exporter {
    child: Child,
    address: String,
}

impl Exporter {
    fn of(server: &RedisServer) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new("prometheus-redis-exporter")
            .args(["-redis.addr", &server.url(), "-web.listen-address", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-redis-exporter is installed (scripts/test installs it)");
        until("the exporter listens", || TcpStream::connect(&address).ok());
        Self { child, address }
    }

    /// What it says now.
    fn says(&self) -> Series {
        plain(&get(&self.address, "/metrics").body)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The series of Redis servers, their labels sorted and without `cache`, which is larder's own.
fn plain(text: &str) -> Series {
    let own = |name: &String| name.starts_with("redis_") && !name.starts_with("redis_exporter");
    let sorted = |(name, value): (String, f64)| {
        let (metric, labels) = name.split_once('{').unwrap_or((&name, "}"));
        let mut labels: Vec<&str> = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty() && !label.starts_with("cache="))
            .collect();
        labels.sort_unstable();
        (format!("{metric}{{{}}}", labels.join(",")), value)
    };
    series(text).into_iter().filter(|(name, _)| own(name)).map(sorted).collect()
}

/// Those of one cache.
fn of_cache(text: &str, cache: &str) -> Series {
    let label = format!("cache=\"{cache}\"");
    plain(&text.lines().filter(|line| line.contains(&label)).collect::<Vec<_>>().join("\n"))
}

/// What both look at while it moves: it still has the same size and unit.
const MOVING: [(&str, f64); 24] = [
    ("redis_errors_total{err=\"ERR\"", 1.0),
    ("redis_total_error_replies", 1.0),
    ("redis_uptime_in_seconds", 0.95),
    ("redis_start_time_seconds", 1e-6),
    ("redis_connected_clients", 0.9),
    ("redis_connected_slave_lag", 1.0),
    ("redis_connected_slave_offset", 0.9),
    ("redis_mem_clients_", 1.0),
    ("redis_memory_used_", 0.6),
    ("redis_mem_fragmentation_", 0.7),
    ("redis_allocator_", 0.95),
    ("redis_cpu_", 1.0),
    ("redis_commands_processed_total", 0.9),
    ("redis_connections_received_total", 0.95),
    ("redis_net_", 0.98),
    ("redis_master_last_io", 1.0),
    ("redis_master_repl_offset", 0.9),
    ("redis_slave_repl_offset", 0.9),
    ("redis_repl_backlog_history_bytes", 0.9),
    ("redis_expired_stale_percentage", 1.0),
    ("redis_latest_fork_seconds", 1.0),
    ("redis_db_avg_ttl_seconds", 0.05),
    ("redis_commands_", 1.0),
    ("redis_rdb_last_save_timestamp_seconds", 1e-6),
];

/// Series that are in both have the same values; how many of them stood still.
#[track_caller]
fn agree(ours: &Series, theirs: &Series) -> usize {
    let mut exact = 0;
    for (name, our) in ours {
        let Some(their) = theirs.get(name) else { continue };
        let known =
            [("redis_commands_total{cmd=\"set\"", 0.0), ("redis_commands_total{cmd=\"get\"", 0.0)];
        let all = known.iter().chain(&MOVING);
        let may = all.clone().find(|(start, _)| name.starts_with(start)).map_or(0.0, |m| m.1);
        let apart = (our - their).abs() / our.abs().max(their.abs()).max(f64::MIN_POSITIVE);
        assert!(apart <= f64::max(may, 1e-9), "{name}: ours {our}, theirs {their}");
        exact += usize::from(may == 0.0);
    }
    exact
}

fn names(series: &Series) -> Vec<String> {
    let mut names: Vec<String> =
        series.keys().map(|name| name.split('{').next().unwrap_or_default().to_owned()).collect();
    names.dedup();
    names
}

fn filled(options: &[&str]) -> RedisServer {
    let server = RedisServer::with(options);
    let mut client = server.client();
    for n in 0..200 {
        client.ask(&["SET", &format!("key:{n}"), "value", "EX", "5000"]);
        client.ask(&["SET", &format!("stays:{n}"), "value"]);
    }
    for n in 0..100 {
        client.ask(&["GET", &format!("key:{}", n * 4)]);
    }
    client.ask(&["LPUSH", "key:1", "x"]);
    client.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    client.ask(&["DEBUG", "SLEEP", "0.01"]);
    client.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
    server
}

/// Metrics that the dashboards and alerts for `redis_exporter` ask for, beside `redis_instance_info`.
const ASKED_FOR: &str = "redis_up redis_uptime_in_seconds redis_start_time_seconds \
    redis_connected_clients redis_blocked_clients redis_config_maxclients \
    redis_rejected_connections_total redis_memory_used_bytes redis_memory_max_bytes \
    redis_memory_used_rss_bytes redis_memory_used_peak_bytes redis_mem_fragmentation_ratio \
    redis_keyspace_hits_total redis_keyspace_misses_total redis_evicted_keys_total \
    redis_expired_keys_total redis_db_keys redis_db_keys_expiring redis_db_avg_ttl_seconds \
    redis_commands_total redis_commands_duration_seconds_total redis_commands_processed_total \
    redis_connections_received_total redis_net_input_bytes_total redis_net_output_bytes_total \
    redis_slowlog_length redis_slowlog_last_id redis_last_slow_execution_duration_seconds \
    redis_connected_slaves redis_connected_slave_offset_bytes redis_connected_slave_lag_seconds \
    redis_rdb_last_bgsave_status redis_rdb_last_save_timestamp_seconds \
    redis_rdb_changes_since_last_save redis_aof_enabled redis_aof_last_bgrewrite_status \
    redis_aof_last_write_status redis_loading_dump_file redis_latest_fork_seconds \
    redis_cpu_sys_seconds_total redis_cpu_user_seconds_total redis_cluster_enabled \
    redis_pubsub_channels redis_process_id redis_master_repl_offset \
    redis_commands_failed_calls_total redis_commands_rejected_calls_total redis_config_maxmemory";

#[test]
fn shared_names_have_the_same_values_over_metrics_and_over_probe() {
    let master = filled(&["--maxmemory", "64mb"]);
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    until("the replica is in step", || {
        replica
            .client()
            .ask(&["INFO", "replication"])
            .text()
            .contains("link_status:up")
            .then_some(())
    });
    until("the child that filled it has ended", || {
        let persistence = master.client().ask(&["INFO", "persistence"]).text();
        persistence.contains("rdb_bgsave_in_progress:0").then_some(())
    });
    let sandbox = GoSandbox::new();
    let text = format!(
        "[redis.master]\nurl = \"{}\"\n[redis.copy]\nurl = \"{}\"\n",
        master.url(),
        replica.url()
    );
    settings(&sandbox, &text);
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let exporters = [
        (Exporter::of(&master), &master, "redis:master"),
        (Exporter::of(&replica), &replica, "redis:copy"),
    ];
    // What a replica's master takes for in step takes a second to be told.
    let lag = "redis_connected_slave_lag_seconds";
    scraped_when(&address, "the master tells of its replica", |values| {
        values.keys().any(|name| name.starts_with(lag) && name.contains("slave_state=\"online\""))
    });
    for (exporter, server, cache) in &exporters {
        let theirs = exporter.says();
        let ours = of_cache(&scrape(&address), cache);
        let exact = agree(&ours, &theirs);
        assert!(exact >= 55, "only {exact} stable series are in both");
        // By its name and by its URL; a password in it is not looked at.
        let url = server.url();
        let with_password = url.replace("redis://", "redis://someone:hunter2@");
        for target in [cache.to_owned(), url.as_str(), with_password.as_str()] {
            let answer = get(&address, &format!("/probe?target={target}"));
            assert_eq!(answer.status, 200, "{answer:#?}");
            let probed = plain(&answer.body);
            let exact = agree(&probed, &exporter.says());
            assert!(exact >= 55, "only {exact} stable series are in both");
            assert_eq!(names(&probed), names(&ours), "{target}");
        }
    }
    let (ours, copy) = (of_cache(&scrape(&address), "redis:master"), "redis_master_link_up");
    let have = names(&ours);
    // Calls that failed are counted since 6.2.
    let counts = RedisProgram::here().knows((6, 2));
    let missing: Vec<&str> = ASKED_FOR
        .split_whitespace()
        .filter(|name| !have.iter().any(|own| own == name))
        .filter(|name| counts || !name.starts_with("redis_commands_"))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let up = |values: &Series| {
        let found = values.iter().find(|(name, _)| name.starts_with(copy));
        found.map(|(_, value)| *value)
    };
    assert_eq!(up(&of_cache(&scrape(&address), "redis:copy")), Some(1.0));
    // The alert on a lost link has what it needs.
    replica.client().ask(&["CONFIG", "SET", "repl-timeout", "1"]);
    drop(exporters);
    let mut gone = master;
    gone.kill();
    scraped_when(&address, "the link is down and the master too", |values| {
        let down = |name: &str| values.get(name) == Some(&0.0);
        up(values) == Some(0.0) && down("redis_up{cache=\"redis:master\"}")
    });
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_probe_asks_only_what_is_in_the_settings_and_says_when_it_is_down() {
    let server = RedisServer::start();
    let sandbox = GoSandbox::new();
    let nobody = free_port();
    let text = format!(
        "[redis.here]\nurl = \"{}\"\n[redis.gone]\nurl = \"redis://127.0.0.1:{nobody}\"\n",
        server.url()
    );
    settings(&sandbox, &text);
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let probe = |target: &str| get(&address, &format!("/probe?target={target}"));
    assert!(probe("redis:here").body.contains("redis_up 1"));
    let down = probe("redis:gone");
    assert_eq!((down.status, down.body.lines().last()), (200, Some("redis_up 0")), "{down:#?}");
    let other = RedisServer::start();
    for target in [&other.url()[..], "redis://127.0.0.1:22", "http://127.0.0.1:1", "", "build"] {
        assert!([400, 403].contains(&probe(target).status), "{target}");
    }
    assert_eq!(get(&address, "/probe").status, 400);
    assert_eq!(other.client().ask(&["INFO", "stats"]).text().matches("cmdstat").count(), 0);
    let log = daemon.stop().log;
    assert!(log.contains("probe of redis:gone failed"), "{log}");
}

#[test]
fn a_cluster_is_told_node_by_node_and_is_up() {
    let cluster = RedisCluster::start();
    let sandbox = GoSandbox::new();
    settings(&sandbox, &format!("[redis.c]\nurl = \"{}\"\n", cluster.nodes[0].url()));
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let up = |values: &Series| -> BTreeMap<String, f64> {
        let up = values.iter().filter(|(name, _)| name.starts_with("redis_up{cache=\"redis:c\""));
        up.map(|(name, value)| (name.clone(), *value)).collect()
    };
    let text = scraped_when(&address, "three nodes are up", |values| {
        up(values).len() == 3 && up(values).values().all(|value| *value == 1.0)
    });
    for node in &cluster.nodes {
        let label = format!("node=\"127.0.0.1:{}\"", node.port());
        let enabled = format!("redis_cluster_enabled{{cache=\"redis:c\",{label}}} 1");
        assert!(text.lines().any(|line| line == enabled), "{label}: {text}");
        // A probe of the cluster asks the node that is named in the settings.
        let probed = get(&address, &format!("/probe?target={}", cluster.nodes[0].url()));
        assert!(probed.body.contains(&format!("tcp_port=\"{}\"", cluster.nodes[0].port())));
    }
    assert_eq!(daemon.stop().code, Some(0));
}
