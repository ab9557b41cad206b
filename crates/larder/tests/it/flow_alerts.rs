//! The whole alert path: a real Redis gets sick and well again under a real daemon, and a real
//! Alertmanager, a webhook and a log file hear of it, once each time.

use larder_testkit::{Alertmanager, GoSandbox};
use serde_json::Value;

use crate::alert_kit::*;
use crate::flow::{document, larder};

/// Measures each second, and tells after two; `more` is added.
fn watched(redis: &Loaded, more: &str) -> String {
    format!(
        "[schedule]\nsample = \"1s\"\n\n[alert]\nfor = \"2s\"\n{more}\n\
         [redis.sessions]\nurl = \"{}/0\"\ntimeout = \"2s\"\n",
        redis.server.url()
    )
}

fn webhook(inbox: &Inbox) -> String {
    format!("[notify.hook]\nkind = \"webhook\"\nurl = \"{}\"\n", inbox.url())
}

#[test]
fn a_redis_gets_sick_and_well_again_and_everybody_hears_of_it_once() {
    let redis = Loaded::start();
    let (inbox, relayed) = (Inbox::new(), Inbox::new());
    let manager = Alertmanager::start(&relayed.url());
    let sandbox = GoSandbox::new();
    let log = sandbox.root().join("alerts.json");
    let receivers = format!(
        "{}[notify.manager]\nkind = \"alertmanager\"\nurl = \"{}\"\n\
         [notify.file]\nkind = \"log\"\nfile = \"{}\"\n",
        webhook(&inbox),
        manager.url(),
        log.display()
    );
    settings(&sandbox, &format!("{}{receivers}", watched(&redis, "")));
    let daemon = Daemon::watch(&sandbox);
    until("it was well", || {
        let health = document(&sandbox, "health/1", 0, &["health", "redis:sessions"]);
        health["targets"][0]["level"] == "healthy" && !events_of(&sandbox, "started").is_empty()
    });
    redis.sick(true);
    let raised = wait_for("it is raised", || inbox.of("raised").pop());
    let alert = &raised["alerts"][0];
    assert_eq!(
        (&alert["name"], &alert["cache"]),
        (&"RedisCacheUnhealthy".into(), &"redis:sessions".into())
    );
    let (score, before) =
        (alert["score"].as_f64().unwrap(), alert["score_before"].as_f64().unwrap());
    assert!(score < 80.0 && before >= 90.0, "{alert:#}");
    let hits = &alert["reasons"][0];
    assert_eq!(hits["id"], "hit_rate");
    assert!(hits["lost"].as_f64().unwrap() > 20.0, "{hits}");
    assert!(hits["text"].as_str().unwrap().contains("found their key"), "{hits}");
    assert_eq!(alert["command"], "larder audit redis:sessions");
    assert_eq!(alert["runbook"], "docs/runbooks/RedisCacheUnhealthy.md");

    let fires = || serde_json::from_str::<Value>(&manager.get("/api/v2/alerts")).unwrap();
    let told = wait_for("the Alertmanager has it", || fires().get(0).cloned());
    assert_eq!(told["labels"]["alertname"], "RedisCacheUnhealthy");
    assert_eq!(told["labels"]["cache"], "redis:sessions");
    assert!(told["labels"].get("score").is_none());
    assert_eq!(told["annotations"]["command"], "larder audit redis:sessions");
    let queried = manager.amtool(&["alert", "query", "cache=redis:sessions"]);
    assert!(queried.contains("RedisCacheUnhealthy"), "{queried}");
    wait_for("the log file has it", || lines(&log).first().cloned());
    let shown = wait_for("it is shown", || alerts(&sandbox).pop());
    assert_eq!(
        (&shown["state"], &shown["name"]),
        (&"firing".into(), &"RedisCacheUnhealthy".into())
    );
    assert_eq!(larder(&sandbox, &["alerts", "--check"]).code, Some(1));

    redis.sick(false);
    let over = wait_for("it is over", || inbox.of("cleared").pop());
    assert!(over["alerts"][0]["ended"].is_string());
    until("the Alertmanager knows that it is over", || fires().as_array().unwrap().is_empty());
    until("it fires no more", || larder(&sandbox, &["alerts", "--check"]).code == Some(0));
    assert_eq!(daemon.stop(), Some(0));
    let ends = |occasion: &str| inbox.of(occasion).len();
    assert_eq!((ends("raised"), ends("cleared")), (1, 1), "{:?}", inbox.occasions());
    let logged: Vec<String> = lines(&log)
        .iter()
        .map(|line| line["event"]["action"].as_str().unwrap().to_owned())
        .filter(|action| action != "changed")
        .collect();
    assert_eq!(logged, ["raised", "cleared"]);
    let relays = |status: &str| relayed.got().iter().any(|got| got.body["status"] == status);
    until("the Alertmanager has told both", || relays("firing") && relays("resolved"));
}
