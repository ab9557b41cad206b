//! A command, with real processes.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use larder_core::Occasion;
use larder_notify::{Delivery, Fate, Kind, Rate, Receiver};

use crate::support::{deliver, notice, wait_for};

fn run(argv: &[&str], timeout: Duration) -> Delivery {
    let receiver = Receiver {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        timeout,
        rate: Some(Rate::Unlimited),
        ..Receiver::new("hook", Kind::Command)
    };
    deliver(receiver, &notice("1", "redis:a", Occasion::Raised))
}

fn failure(delivery: &Delivery) -> (&str, u32) {
    match &delivery.fate {
        Fate::Failed(why) => (why, delivery.attempts),
        other => panic!("{other:?}"),
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn it_gets_the_document_and_no_shell() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("$(out)");
    let delivery = run(&["tee", out.to_str().unwrap()], LONG);
    assert_eq!(delivery.fate, Fate::Sent);
    let document: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(document["schema"], "larder/notice/1");
    assert_eq!(document["alerts"][0]["cache"], "redis:a");
}

#[test]
fn what_it_says_is_kept_short() {
    let script = "echo the pager is off >&2; yes | head -c 5000000; exit 7";
    let delivery = run(&["sh", "-c", script], LONG);
    let (why, attempts) = failure(&delivery);
    assert!(why.starts_with("sh: exit status 7: "), "{why}");
    assert!(why.contains("the pager is off") || why.contains("y y y"), "{why}");
    assert!(why.len() < 300, "{}", why.len());
    assert_eq!(attempts, 5);
}

#[test]
fn one_that_cannot_work_is_not_tried_again() {
    let delivery = run(&["/nowhere/pager"], LONG);
    let (why, attempts) = failure(&delivery);
    assert!(why.starts_with("/nowhere/pager: ") && attempts == 1, "{why}");
    let delivery = run(&["sh", "-c", "exit 64"], LONG);
    assert_eq!(failure(&delivery).1, 1);
}

#[test]
fn one_that_reads_nothing_may_succeed() {
    assert_eq!(run(&["true"], LONG).fate, Fate::Sent);
}

/// The process ids in a file, a line each; a line that was cut off holds none.
fn ids(file: &Path) -> Vec<u32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn is_alive(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[test]
#[cfg(target_os = "linux")]
fn when_its_time_is_over_its_children_end_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ids");
    let script = format!("sleep 600 & echo $! >> {}; wait", file.display());
    let started = Instant::now();
    let delivery = run(&["sh", "-c", &script], Duration::from_millis(300));
    let (why, attempts) = failure(&delivery);
    assert!(why.contains("killed after 300ms"), "{why}");
    assert_eq!(attempts, 5);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(!ids(&file).is_empty(), "the children were there");
    wait_for("the children to end", || !ids(&file).into_iter().any(is_alive));
}

#[test]
#[cfg(target_os = "linux")]
fn what_it_leaves_running_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ids");
    let script = format!("sleep 600 & echo $! >> {}", file.display());
    let started = Instant::now();
    assert_eq!(run(&["sh", "-c", &script], LONG).fate, Fate::Sent);
    assert!(started.elapsed() < Duration::from_secs(10), "its output is not waited for");
    assert!(!ids(&file).is_empty(), "the children were there");
    wait_for("the children to end", || !ids(&file).into_iter().any(is_alive));
}
