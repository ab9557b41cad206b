//! Scores from outside: of a real Redis exactly by its formula, of Go's caches with what their history
//! tells; growth that is told and growth that is only written down.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::Sample;
use larder_history::{Entry, Limits, Store};
use larder_testkit::{GoSandbox, RedisServer, fake_gocache};
use serde_json::Value;

use crate::alert_kit::*;
use crate::flow::{document, larder};

fn target(health: &Value, cache: &str) -> Value {
    let mut all = health["targets"].as_array().unwrap().iter();
    all.find(|target| target["cache"] == cache).unwrap().clone()
}

fn part(target: &Value, name: &str) -> Value {
    let mut parts = target["dimensions"].as_array().unwrap().iter();
    parts.find(|part| part["name"] == name).unwrap().clone()
}

#[test]
fn a_redis_has_the_score_of_the_formula_and_what_is_unknown_is_said() {
    let server = RedisServer::with(&["--maxmemory", "50mb"]);
    let sandbox = GoSandbox::new();
    settings(&sandbox, &format!("[redis.s]\nurl = \"{}\"\n", server.url()));
    let health = || target(&document(&sandbox, "health/1", 0, &["health", "redis:s"]), "redis:s");
    // Nobody looked anything up yet: its weight is shared out among the known ones.
    let fresh = health();
    let hits = part(&fresh, "hit_rate");
    assert_eq!((&hits["value"], &hits["points"]), (&Value::Null, &Value::Null));
    assert!(hits["detail"].as_str().unwrap().contains("too few to tell"), "{hits}");
    assert_eq!(fresh["partial"], true);
    assert!(fresh["score"].as_f64().unwrap() > 90.0);

    let mut client = server.client();
    client.ask(&["SET", "k", "v"]);
    let gets = |key: &'static str, times: usize| vec![vec!["GET", key]; times];
    client.ask_all(&gets("k", 600));
    client.ask_all(&gets("none", 400));
    let half = health();
    assert!(half.get("partial").is_none_or(|partial| *partial == false), "{half:#}");
    let value = |name: &str| part(&half, name)["value"].as_f64().unwrap();
    assert!((value("hit_rate") - 0.6).abs() < 0.01, "{half:#}");
    let formula = 100.0
        * (0.5 * value("hit_rate")
            + 0.2 * (1.0 - value("memory")).max(0.0)
            + 0.3 * (1.0 - (value("latency") * 1000.0 / 100.0).min(1.0)));
    let score = half["score"].as_f64().unwrap();
    assert!((score - formula).abs() < 0.011, "{score} is not {formula}");
    let points = half["dimensions"].as_array().unwrap().iter();
    let sum: f64 = points.map(|part| part["points"].as_f64().unwrap()).sum();
    assert!((score - sum).abs() < 0.011, "{score} is not the sum {sum}");
    assert_eq!(half["level"], "warning");
    assert!(part(&half, "hit_rate")["lost"].as_f64().unwrap() > 19.0);
    assert_eq!(half["actions"][0], "larder audit redis:s");
    client.ask_all(&gets("none", 3000));
    assert_eq!(health()["level"], "critical");
    assert_eq!(larder(&sandbox, &["health", "redis:s", "--fail-below", "70"]).code, Some(1));
}

/// A week of hourly samples of a cache that grows by so much an hour.
fn a_week(sandbox: &GoSandbox, caches: &[(&str, u64)]) -> PathBuf {
    let path = state(sandbox).join("history.db");
    std::fs::create_dir_all(state(sandbox)).unwrap();
    let (mut store, _) = Store::open(&path, Limits::default()).unwrap();
    let now = larder_fs::now();
    for hour in 0..168_u64 {
        let at = now.minus(Duration::from_secs((168 - hour) * 3600));
        let sample = |(cache, growth): &(&str, u64)| {
            Entry::Sample(Box::new(Sample {
                allocated_bytes: Some(1_000_000_000 + hour * growth),
                disk_free_bytes: Some(500_000_000_000),
                ..Sample::empty(*cache, at, Duration::ZERO)
            }))
        };
        store.write(&caches.iter().map(sample).collect::<Vec<_>>()).unwrap();
    }
    path
}

#[test]
fn a_cache_of_gos_says_what_its_history_tells_and_what_is_not_known() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 100);
    let build = || target(&document(&sandbox, "health/1", 0, &["health", "build"]), "build");
    let young = build();
    assert_eq!(part(&young, "growth")["value"], Value::Null);
    assert_eq!(part(&young, "growth")["detail"], "not enough history");
    assert_eq!(part(&young, "integrity")["detail"], "it was never verified");
    assert_eq!(young["partial"], true);
    a_week(&sandbox, &[("build", 50_000_000)]);
    let growth = part(&build(), "growth");
    assert!(growth["detail"].as_str().unwrap().starts_with("full in "), "{growth}");
    larder(&sandbox, &["verify", "build"]);
    assert!(part(&build(), "integrity")["detail"].as_str().unwrap().starts_with("nothing was bad"));
}

#[test]
fn growth_above_the_threshold_is_told_and_below_it_is_only_written_down() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 100);
    larder_testkit::fake_gomodcache(&sandbox.gomodcache(), 2, 2, 1);
    a_week(&sandbox, &[("build", 100_000_000), ("mod", 1_000_000)]);
    let inbox = Inbox::new();
    settings(
        &sandbox,
        &format!(
            "[schedule]\nsample = \"1s\"\n[alert]\nfor = \"1s\"\ngroup-wait = \"0s\"\ngrowth = \"1GB\"\n\
             raise-below = 1\nclear-above = 2\n\
             [notify.hook]\nkind = \"webhook\"\nurl = \"{}\"\n",
            inbox.url()
        ),
    );
    let daemon = Daemon::watch(&sandbox);
    let raised = wait_for("it is raised", || inbox.of("raised").pop());
    let alert = &raised["alerts"][0];
    assert_eq!(alert["cache"], "build");
    let fast = alert["reasons"].as_array().unwrap().iter().find(|r| r["id"] == "growth-fast");
    let text = fast.unwrap()["text"].as_str().unwrap();
    assert!(text.starts_with("it grows by 2.4 GB a day, which is more than 1.0 GB"), "{text}");
    assert!(alert["trend"].as_str().unwrap().starts_with("+2.4 GB a day, full in "), "{alert:#}");
    let archived = wait_for("it is written down", || {
        events_of(&sandbox, "growth").into_iter().find(|event| event["cache"] == "mod")
    });
    assert!(archived["message"].as_str().unwrap().starts_with("+24.0 MB a day"), "{archived}");
    assert!(alerts(&sandbox).iter().all(|alert| alert["cache"] != "mod"));
    assert_eq!(daemon.stop(), Some(0));
}
