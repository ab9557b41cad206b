//! A real Prometheus that scrapes a real `larder serve`, on a machine on which everything that the
//! dashboards show is the case: every query has data, every rule loads and works.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use larder_core::Forecast;
use larder_history::{Entry, Limits, Store};
use larder_testkit::{GoSandbox, RedisServer, free_port};

use crate::Home;
use crate::daemon_kit::{Daemon, settings, state, until};
use crate::export_metrics::Prometheus;
use crate::export_queries::exported;
use crate::flow::{age, ending, larder};
use crate::flow_serve::{a_week, cleaned, machine, scraped_when};

/// Look-ups that mostly find nothing, for as long as it lives: what makes a Redis sick.
struct Misses {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Misses {
    fn of(server: &RedisServer) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (own, mut client) = (Arc::clone(&stop), server.client());
        let thread = std::thread::spawn(move || {
            let look = vec![vec!["GET", "nothing"]; 99];
            while !own.load(Ordering::Relaxed) {
                client.ask_all(&look);
                client.ask(&["GET", "something"]);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Misses {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The past: growth, a cleanup, a forecast that came true by half.
fn past(state: &Path) {
    a_week(state, &[("build", 900), ("mod", 300), ("redis:sessions", 700)]);
    let now = larder_fs::now();
    let hour = Duration::from_hours(1);
    let forecast = |cache: &str| {
        Entry::Forecast(Forecast {
            made_at: now.minus(hour * 30),
            cache: cache.to_owned(),
            for_time: now.minus(hour * 6),
            level: 500_000_000.0,
            predicted: 600_000_000.0,
            interval: None,
            actual: None,
        })
    };
    let (mut store, _) = Store::open(&state.join("history.db"), Limits::default()).unwrap();
    let events = [cleaned("build", hour * 40, 1_000_000)];
    let forecasts = ["build", "redis:sessions"].map(forecast);
    store.write(&events.into_iter().chain(forecasts).collect::<Vec<_>>()).unwrap();
}

/// A machine whose build cache is over its budget, with a sick Redis, its replica, and one that is
/// not there.
fn everything(sandbox: &GoSandbox, sessions: &RedisServer, replica: &RedisServer) {
    past(&state(sandbox));
    for entry in ending(&sandbox.gocache(), "-a").iter().step_by(2) {
        age(entry, Duration::from_secs(9 * 24 * 3600));
    }
    for file in ending(&sandbox.gocache(), "-d").iter().step_by(2) {
        age(file, Duration::from_secs(9 * 24 * 3600));
    }
    let text = format!(
        "[build]\nmax-size = \"1MB\"\n[mod]\nmax-size = \"20GB\"\n\
         [redis.sessions]\nurl = \"{}\"\nbudget = \"2GB\"\n[redis.copy]\nurl = \"{}\"\n\
         [redis.gone]\nurl = \"redis://127.0.0.1:{}\"\nconnect-timeout = \"1s\"\n\
         [alert]\nfor = \"1s\"\n[notify.team]\nkind = \"log\"\nfile = \"{}\"\n\
         [schedule]\nsample = \"1s\"\nscan = \"3s\"\n",
        sessions.url(),
        replica.url(),
        free_port(),
        sandbox.root().join("alerts.log").display(),
    );
    settings(sandbox, &text);
}

fn servers() -> (RedisServer, RedisServer) {
    let sessions = RedisServer::with(&["--maxmemory", "64mb"]);
    let port = sessions.port().to_string();
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &port]);
    let mut client = sessions.client();
    client.ask(&["SET", "something", "value", "EX", "5000"]);
    client.ask(&["SET", "persistent", "value"]);
    client.ask(&["ACL", "SETUSER", "batch", "on", ">hunter2", "~*", "&*", "+@all"]);
    (sessions, replica)
}

#[test]
fn every_query_of_every_dashboard_has_data_and_every_rule_works() {
    let (sandbox, project) = machine();
    let (sessions, replica) = servers();
    everything(&sandbox, &sessions, &replica);
    larder(&sandbox, &["verify", "build", "mod", "--roots", project.to_str().unwrap()]).ends(0);
    let misses = Misses::of(&sessions);
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let home = Home::new();
    let queries = exported(&home);
    let prometheus = Prometheus::start(&home.path().join("rules"), &address);
    let limit = ["throttle", "redis:sessions", "--user", "batch", "--for", "10m", "--yes"];
    larder(&sandbox, &limit).ends(0);
    daemon.event("cleaned");
    let raised = daemon.event("alert-raised");
    daemon.event("notified");
    let text = scraped_when(&address, "all has come about", |values| {
        let over = |name: &str, than: f64| values.get(name).is_some_and(|value| *value > than);
        over("larder_cleanups_total{cache=\"build\"}", 0.0)
            && over("larder_cleanup_freed_bytes_total{cache=\"build\"}", 1e6)
            && over("larder_throttles_active{cache=\"redis:sessions\"}", 0.0)
            && over("larder_notifications_sent_total{receiver=\"team\"}", 0.0)
            && values.keys().any(|name| name.starts_with("larder_alert_firing{"))
    });
    assert!(text.contains("redis_master_link_up{cache=\"redis:copy\""), "{text}");
    // Nothing is left out: each has data in a run as short as this.
    let empty = queries.empty(&prometheus);
    assert!(empty.is_empty(), "{empty:#?}\n{raised:#}\n{text}");
    rules_work(&prometheus, queries.rules.len());
    drop(misses);
    assert_eq!(daemon.stop().code, Some(0));
}

/// All were loaded, none fails, and those that have to do with this machine say something.
fn rules_work(prometheus: &Prometheus, count: usize) {
    let rules = until("each rule was evaluated", || {
        let rules = prometheus.rules();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert_eq!(rules.len(), count);
    for rule in &rules {
        assert_eq!((&rule["health"], &rule["lastError"]), (&"ok".into(), &().into()), "{rule:#}");
    }
    let recorded = rules.iter().filter(|rule| rule["type"] == "recording");
    for name in recorded.map(|rule| rule["name"].as_str().unwrap()) {
        until(name, || (!prometheus.query(name).unwrap().is_empty()).then_some(()));
    }
    // Those that hold at once fire; those that wait are pending.
    for (alert, phase) in [
        ("RedisThrottled", "firing"),
        ("CacheNotMeasured", "pending"),
        ("RedisCacheUnhealthy", "pending"),
    ] {
        let query = format!("ALERTS{{alertname=\"{alert}\"}}");
        let rows = until(alert, || {
            Some(prometheus.query(&query).unwrap()).filter(|rows| !rows.is_empty())
        });
        let phases: Vec<&str> =
            rows.iter().filter_map(|row| row["metric"]["alertstate"].as_str()).collect();
        assert!(phases.contains(&phase), "{alert}: {phases:?}");
    }
    let down = prometheus.query("ALERTS{alertname=\"LarderDown\"}").unwrap();
    assert!(down.is_empty(), "{down:?}");
}
