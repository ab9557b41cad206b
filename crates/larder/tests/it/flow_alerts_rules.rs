//! When somebody is told and when not: silences, reminders, groups, inhibition, the level that
//! clears; a Redis that hangs, a cache over its budget, a cache that is not there for a while.

use std::time::Duration;

use larder_testkit::{GoSandbox, fake_gocache};

use crate::alert_kit::*;
use crate::flow::larder;

fn redis(name: &str, redis: &Loaded) -> String {
    format!(
        "[redis.{name}]\nurl = \"{}\"\ntimeout = \"1s\"\nrespond.analyse = false\n",
        redis.server.url()
    )
}

fn hook(inbox: &Inbox) -> String {
    format!("[notify.hook]\nkind = \"webhook\"\nurl = \"{}\"\n", inbox.url())
}

fn alert(more: &str) -> String {
    format!("[schedule]\nsample = \"1s\"\n[alert]\nfor = \"1s\"\n{more}\n")
}

fn firing(sandbox: &GoSandbox) -> usize {
    alerts(sandbox).iter().filter(|alert| alert["state"] == "firing").count()
}

/// Look-ups that found nothing.
fn missed(server: &Loaded) -> u64 {
    let stats = server.client().ask(&["INFO", "stats"]).text();
    let line = stats.lines().find_map(|line| line.strip_prefix("keyspace_misses:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_silence_holds_until_it_is_ended_and_what_fires_on_is_told_again_and_again() {
    let server = Loaded::start();
    server.sick(true);
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    let all = alert("remind = \"2s\"") + &redis("a", &server) + &hook(&inbox);
    settings(&sandbox, &all);
    let silence = ["alerts", "silence", "redis:a", "--for", "1h", "--reason", "it moves"];
    larder(&sandbox, &silence).ends(0);
    let daemon = Daemon::watch(&sandbox);
    until("it fires", || firing(&sandbox) == 1);
    assert!(larder(&sandbox, &["alerts"]).out.contains("silenced"));
    std::thread::sleep(Duration::from_millis(2500));
    assert!(inbox.got().is_empty(), "{:?}", inbox.occasions());
    larder(&sandbox, &["alerts", "unsilence", "redis:a"]).ends(0);
    until("it is reminded of", || inbox.of("reminder").len() == 2);
    assert_eq!(inbox.occasions(), ["raised", "reminder", "reminder"]);
    let times: Vec<_> = inbox.got().iter().map(|got| got.at).collect();
    assert!(times[2] - times[1] >= Duration::from_millis(1500), "{times:?}");
    server.sick(false);
    until("it is over", || inbox.of("cleared").len() == 1);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_happens_at_once_is_one_message_and_what_explains_another_keeps_it_quiet() {
    let servers = [Loaded::start(), Loaded::start(), Loaded::start()];
    servers.iter().for_each(|server| server.sick(true));
    // Enough of it that all are found sick at the first look.
    until("all have missed a lot", || servers.iter().all(|server| missed(server) > 2000));
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    let all: String = ["a", "b", "c"].iter().zip(&servers).map(|(n, s)| redis(n, s)).collect();
    let inhibit = "inhibit = [\"redis:a > redis:b\"]";
    settings(&sandbox, &(alert(inhibit) + &all + &hook(&inbox)));
    let daemon = Daemon::watch(&sandbox);
    until("all fire", || firing(&sandbox) == 3);
    // The board is kept before anybody is told.
    until("it is told", || !inbox.got().is_empty());
    let raised = inbox.of("raised");
    let caches = |notice: &serde_json::Value| -> Vec<String> {
        let alerts = notice["alerts"].as_array().unwrap().iter();
        alerts.map(|alert| alert["cache"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(raised.iter().map(caches).collect::<Vec<_>>(), [["redis:a", "redis:c"]]);
    // What explained it is over, and it still fires by itself.
    servers[0].sick(false);
    until("the other one is told", || inbox.of("raised").len() == 2);
    assert_eq!(caches(&inbox.of("raised")[1]), ["redis:b"]);
    until("the first one is over", || !inbox.of("cleared").is_empty());
    assert_eq!(caches(&inbox.of("cleared")[0]), ["redis:a"]);
    assert_eq!(daemon.stop(), Some(0));
}

/// The caches of each notice of an occasion.
fn caches_of(inbox: &Inbox, occasion: &str) -> Vec<Vec<String>> {
    let caches = |notice: serde_json::Value| {
        let alerts = notice["alerts"].as_array().unwrap().iter();
        alerts.map(|alert| alert["cache"].as_str().unwrap().to_owned()).collect()
    };
    inbox.of(occasion).into_iter().map(caches).collect()
}

#[test]
fn what_is_raised_in_the_same_moments_is_one_message_and_whoever_looks_into_it_does_not_wait() {
    let servers = [Loaded::start(), Loaded::start(), Loaded::start()];
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    let all: String = ["a", "b", "c"].iter().zip(&servers).map(|(n, s)| redis(n, s)).collect();
    // It waits until the settings say that it waited for long enough.
    let waits = |wait: &str| {
        let wait = alert(&format!("critical-below = 1\ngroup-wait = \"{wait}\""));
        settings(&sandbox, &(wait + &all + &hook(&inbox)));
    };
    waits("1h");
    let daemon = Daemon::watch(&sandbox);
    until("it watches", || said(&sandbox).contains(" watches"));
    servers[0].sick(true);
    servers[2].sick(true);
    until("two fire", || firing(&sandbox) == 2);
    until("it is looked into", || events_of(&sandbox, "respond").len() == 2);
    // One is well again before anybody was told of it.
    servers[2].sick(false);
    servers[1].sick(true);
    until("the third one fires", || alerts(&sandbox).iter().any(|one| one["cache"] == "redis:b"));
    until("one is over", || alerts(&sandbox).iter().all(|one| one["cache"] != "redis:c"));
    assert!(inbox.got().is_empty(), "{:?}", inbox.occasions());
    waits("2s");
    until("it is told", || !inbox.got().is_empty());
    assert_eq!(caches_of(&inbox, "raised"), [["redis:a", "redis:b"]]);
    servers[0].sick(false);
    until("it is over", || caches_of(&inbox, "cleared") == [["redis:a"]]);
    assert_eq!(inbox.occasions(), ["raised", "cleared"]);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_disk_with_less_free_than_is_wished_is_told_of_by_its_mount_point() {
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 40);
    // More than any disk has.
    let below = |free: &str| alert("") + &format!("[watch]\nfree-below = {free}\n") + &hook(&inbox);
    settings(&sandbox, &below("\"9000TB\""));
    let status = larder(&sandbox, &["status", "--json"]).ends(0).out.clone();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let mount = status["disks"][0]["mount"].as_str().unwrap().to_owned();
    let daemon = Daemon::watch(&sandbox);
    let about = |notice: &serde_json::Value| notice["alerts"][0]["name"] == "DiskFillsUp";
    let raised =
        wait_for("it is raised", || inbox.of("raised").into_iter().find(|notice| about(notice)));
    let told = &raised["alerts"][0];
    assert_eq!(told["cache"], format!("disk:{mount}"));
    assert_eq!(
        (&told["severity"], &told["command"]),
        (&"critical".into(), &"larder prune -n".into())
    );
    let reason = told["reasons"][0]["text"].as_str().unwrap();
    assert!(reason.starts_with(&format!("{mount} has ")), "{reason}");
    assert!(reason.contains(" free, less than 9.0 PB, and build"), "{reason}");
    assert!(larder(&sandbox, &["alerts"]).out.contains(&format!("disk:{mount}")));
    settings(&sandbox, &below("\"off\""));
    until("it is over", || inbox.of("cleared").iter().any(about));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_is_critical_waits_for_nobody_nor_does_a_single_run() {
    let server = Loaded::start();
    server.sick(true);
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    let rest = redis("a", &server) + &hook(&inbox);
    settings(&sandbox, &(alert("group-wait = \"1h\"") + &rest));
    let daemon = Daemon::watch(&sandbox);
    until("it is told", || inbox.of("raised").len() == 1);
    assert_eq!(inbox.of("raised")[0]["alerts"][0]["severity"], "critical");
    assert_eq!(daemon.stop(), Some(0));
    let sandbox = GoSandbox::new();
    let warns = "critical-below = 1\ngroup-wait = \"1h\"";
    settings(&sandbox, &(alert(warns) + &rest));
    until("a single run tells it", || {
        larder(&sandbox, &["watch", "--once"]).ends(0);
        inbox.of("raised").len() == 2
    });
    assert_eq!(inbox.of("raised")[1]["alerts"][0]["severity"], "warning");
}

#[test]
fn between_the_two_levels_it_neither_begins_nor_ends() {
    let server = Loaded::start();
    server.sick(true);
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    let rest = redis("a", &server) + &hook(&inbox);
    let high = "clear-above = 100\nrunbooks = \"https://example.test/runbooks/\"";
    settings(&sandbox, &(alert(high) + &rest));
    let daemon = Daemon::watch(&sandbox);
    until("it is raised", || inbox.of("raised").len() == 1);
    let runbook = inbox.of("raised")[0]["alerts"][0]["runbook"].clone();
    assert_eq!(runbook, "https://example.test/runbooks/RedisCacheUnhealthy.md");
    server.sick(false);
    let well = || {
        let score = alerts(&sandbox).first().and_then(|alert| alert["score"].as_f64());
        score.is_some_and(|score| score > 95.0)
    };
    until("it is well", well);
    std::thread::sleep(Duration::from_millis(3000));
    assert_eq!(inbox.occasions(), ["raised"]);
    settings(&sandbox, &(alert("clear-above = 85") + &rest));
    until("it is over by the new level", || inbox.of("cleared").len() == 1);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_redis_that_hangs_is_an_alert_and_holds_up_no_other() {
    let (stuck, other) = (Loaded::start(), Loaded::start());
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    settings(&sandbox, &(alert("") + &redis("a", &stuck) + &redis("b", &other) + &hook(&inbox)));
    let daemon = Daemon::watch(&sandbox);
    until("it watches", || said(&sandbox).contains(" watches"));
    signal(stuck.server.pid(), "-STOP");
    let raised = wait_for("it is raised", || inbox.of("raised").pop());
    assert_eq!(raised["alerts"][0]["cache"], "redis:a");
    assert_eq!(raised["alerts"][0]["reasons"][0]["id"], "not-measured");
    assert_eq!(raised["alerts"][0]["score"], serde_json::Value::Null);
    // It cannot be asked, so nothing is tried on it.
    assert!(events_of(&sandbox, "respond").is_empty());
    other.sick(true);
    let about = |name: &str| inbox.of("raised").iter().any(|n| n["alerts"][0]["cache"] == name);
    until("the other one is judged all the same", || about("redis:b"));
    signal(stuck.server.pid(), "-CONT");
    until("it is over", || {
        inbox.of("cleared").iter().any(|n| n["alerts"][0]["cache"] == "redis:a")
    });
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn in_production_the_alert_of_a_cache_over_its_budget_names_the_plan_that_waits() {
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 400);
    let rules = "[build]\nmax-size = \"300kB\"\nprotect = \"1h\"\n";
    let production = format!("profile = \"production\"\n{}{rules}{}", alert(""), hook(&inbox));
    settings(&sandbox, &production);
    let daemon = Daemon::watch(&sandbox);
    let waits = wait_for("a plan waits", || inbox.of("report").pop());
    let command = waits["alerts"][0]["command"].as_str().unwrap().to_owned();
    assert!(command.starts_with("larder approve "), "{waits:#}");
    let named = wait_for("the alert names it", || {
        let all = alerts(&sandbox);
        all.into_iter().find(|alert| alert["state"] == "firing" && alert["command"] == *command)
    });
    assert_eq!((&named["name"], &named["cache"]), (&"GoCacheUnhealthy".into(), &"build".into()));
    assert_eq!(named["frees_bytes"], waits["alerts"][0]["frees_bytes"]);
    assert!(named["frees_bytes"].as_u64().unwrap() > 300_000, "{named:#}");
    assert_eq!(named["runbook"], "docs/runbooks/GoCacheUnhealthy.md");
    let budget = named["reasons"].as_array().unwrap().iter().find(|r| r["id"] == "budget").unwrap();
    assert!(budget["text"].as_str().unwrap().contains(" of 300.0 kB"), "{budget}");
    let id = command.rsplit(' ').next().unwrap();
    larder(&sandbox, &["approve", id, "--yes"]).ends(0);
    until("it is cleaned", || !events_of(&sandbox, "cleaned").is_empty());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_cache_that_is_not_there_for_a_while_is_still_what_it_was() {
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 400);
    let rules = "[build]\nmax-size = \"300kB\"\n[watch]\non-budget = false\n";
    settings(&sandbox, &format!("{}{rules}{}", alert(""), hook(&inbox)));
    let daemon = Daemon::watch(&sandbox);
    until("it is raised", || inbox.of("raised").len() == 1);
    let away = sandbox.root().join("away");
    std::fs::rename(sandbox.gocache(), &away).unwrap();
    std::thread::sleep(Duration::from_millis(3000));
    assert_eq!((inbox.occasions(), firing(&sandbox)), (vec!["raised".to_owned()], 1));
    std::fs::rename(&away, sandbox.gocache()).unwrap();
    std::thread::sleep(Duration::from_millis(2000));
    assert_eq!((inbox.occasions(), firing(&sandbox)), (vec!["raised".to_owned()], 1));
    assert_eq!(daemon.stop(), Some(0));
}
