//! What is far from usual at its hour, learned from larder's own history or from a Prometheus.

use std::fmt::Write as _;
use std::time::Duration;

use larder_core::{Sample, Time};
use larder_history::{Entry, Limits, Store};
use larder_testkit::{GoSandbox, fake_gocache, free_port};

use crate::alert_kit::*;
use crate::export_metrics::Prometheus;

/// Days of the past.
const DAYS: u64 = 10;
/// A cache that was never larger than this, bytes, while it is some hundred kilobytes now.
const SMALL: u64 = 10_000;

/// Every twenty minutes of the last days, with a little jitter.
fn past() -> Vec<(Time, u64)> {
    let now = larder_fs::now();
    let steps = (0..DAYS * 24 * 3).rev();
    steps.map(|step| (now.minus(Duration::from_secs(step * 1200)), SMALL + step % 7)).collect()
}

/// A cache of Go's, and settings that tell of what is unusual and of nothing else.
fn machine(inbox: &Inbox, history: &str) -> GoSandbox {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 400);
    watched(&sandbox, inbox, history);
    sandbox
}

fn watched(sandbox: &GoSandbox, inbox: &Inbox, history: &str) {
    let text = format!(
        "[schedule]\nsample = \"1s\"\n[alert]\nfor = \"1s\"\ngroup-wait = \"0s\"\nraise-below = 1\nclear-above = 1\n\
         unusual = true\n[history]\n{history}\n[notify.hook]\nkind = \"webhook\"\nurl = \"{}\"\n",
        inbox.url()
    );
    settings(sandbox, &text);
}

/// Waits for the alert, which is about the size alone.
fn raised(inbox: &Inbox) {
    let raised = wait_for("it is told", || inbox.of("raised").pop());
    let alert = &raised["alerts"][0];
    assert_eq!((&alert["name"], &alert["cache"]), (&"GoCacheUnhealthy".into(), &"build".into()));
    let reasons = alert["reasons"].as_array().unwrap();
    let unusual: Vec<&str> = reasons
        .iter()
        .filter(|reason| reason["id"] == "unusual")
        .map(|reason| reason["text"].as_str().unwrap())
        .collect();
    assert_eq!(unusual.len(), 1, "{alert:#}");
    assert!(unusual[0].starts_with("its size is far above what is usual at this hour: "));
    assert!(unusual[0].contains(" against 10.0 kB, "), "{unusual:?}");
}

#[test]
fn a_size_that_is_unusual_at_its_hour_is_told_by_the_history_of_larder() {
    let inbox = Inbox::new();
    let sandbox = machine(&inbox, "kind = \"local\"");
    let state = state(&sandbox);
    std::fs::create_dir_all(&state).unwrap();
    let (mut store, _) = Store::open(&state.join("history.db"), Limits::default()).unwrap();
    let sample = |(at, bytes)| {
        let allocated_bytes = Some(bytes);
        let empty = Sample::empty("build", at, Duration::ZERO);
        Entry::Sample(Box::new(Sample { allocated_bytes, ..empty }))
    };
    store.write(&past().into_iter().map(sample).collect::<Vec<_>>()).unwrap();
    drop(store);
    let daemon = Daemon::watch(&sandbox);
    raised(&inbox);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_prometheus_says_what_is_usual_and_while_there_is_none_nothing_is_unusual() {
    let inbox = Inbox::new();
    let nobody = format!("kind = \"prometheus\"\nurl = \"http://127.0.0.1:{}\"", free_port());
    let sandbox = machine(&inbox, &nobody);
    let daemon = Daemon::watch(&sandbox);
    let unknown = wait_for("it is said", || events_of(&sandbox, "usual-unknown").pop());
    let message = unknown["message"].as_str().unwrap();
    assert!(message.starts_with("what is usual cannot be learned: http://127.0.0.1:"), "{message}");
    assert!(message.ends_with("nothing is unusual meanwhile"), "{message}");
    let mut text = "# TYPE larder_cache_allocated_bytes gauge\n".to_owned();
    for (at, bytes) in past() {
        // Another machine's is not this one's.
        for (job, factor) in [("larder", 1), ("other", 1000)] {
            let labels = format!("cache=\"build\",job=\"{job}\"");
            let (bytes, at) = (bytes * factor, at.unix());
            writeln!(text, "larder_cache_allocated_bytes{{{labels}}} {bytes} {at}").unwrap();
        }
    }
    text.push_str("# EOF\n");
    let prometheus = Prometheus::with_past(&text);
    assert!(inbox.got().is_empty(), "{:?}", inbox.occasions());
    let url = prometheus.url();
    let there = format!("kind = \"prometheus\"\nurl = \"{url}\"\nlabels = \"job=larder\"");
    watched(&sandbox, &inbox, &there);
    let learned = wait_for("it is learned", || events_of(&sandbox, "usual-learned").pop());
    assert_eq!(learned["message"], "what is usual was learned of 1 cache");
    raised(&inbox);
    assert_eq!(events_of(&sandbox, "usual-unknown").len(), 1, "it is said once");
    assert_eq!(daemon.stop(), Some(0));
}
