//! Many notices to several receivers, one of them dead; and what a full queue says.

use std::time::{Duration, Instant};

use larder_core::Occasion;
use larder_notify::{Fate, Kind, Options};

use crate::server::{Server, answer};
use crate::support::{Running, notice, quick, receiver, wait_for};

/// By counting, not by the clock; the time is printed for who wants to know it.
#[test]
fn a_thousand_notices_and_one_dead_receiver() {
    const NOTICES: usize = 1000;
    const QUEUE: usize = 100;
    let webhook = Server::says("200 OK", "");
    let slack = Server::says("200 OK", "ok");
    let dingtalk = Server::says("200 OK", r#"{"errcode":0}"#);
    let dead = Server::start(|_, _, _| std::thread::sleep(Duration::from_mins(1)));
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("alerts.json");
    let mut receivers = vec![
        receiver("webhook", Kind::Webhook, &webhook.url()),
        receiver("slack", Kind::Slack, &slack.url()),
        receiver("dingtalk", Kind::Dingtalk, &dingtalk.url()),
        receiver("log", Kind::Log, log.to_str().unwrap()),
        receiver("dead", Kind::Webhook, &dead.url()),
    ];
    receivers[4].timeout = Duration::from_mins(5);
    let running = Running::start(receivers, &Options { queue: QUEUE, ..quick() });
    let started = Instant::now();
    for n in 0..NOTICES {
        running.dispatcher.send(&notice(&n.to_string(), &format!("redis:{n}"), Occasion::Raised));
        if n % (QUEUE / 2) == 0 {
            wait_for("the living to take what waits", || {
                running.dispatcher.counts()[..4].iter().all(|counts| counts.queued == 0)
            });
        }
    }
    wait_for("the living to take all", || {
        running.dispatcher.counts()[..4].iter().all(|counts| counts.queued == 0)
    });
    println!("{NOTICES} notices to 4 of 5 receivers: {:?}", started.elapsed());
    let counts = running.dispatcher.counts();
    for living in &counts[..4] {
        let fates = (living.sent, living.failed, living.dropped, living.replaced);
        assert_eq!(fates, (NOTICES as u64, 0, 0, 0), "{living:?}");
    }
    for server in [&webhook, &slack, &dingtalk] {
        assert_eq!(server.requests().len(), NOTICES);
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), NOTICES);
    let dead = &counts[4];
    // One is on its way, the queue is full, the rest were dropped.
    assert_eq!(dead.queued, QUEUE + 1);
    assert_eq!(dead.dropped, (NOTICES - QUEUE - 1) as u64);
    let (left, told) = running.stop(Duration::from_millis(100));
    assert_eq!(left, QUEUE + 1);
    let of = |fate: &Fate| told.iter().filter(|d| d.fate == *fate).count();
    assert_eq!(of(&Fate::Dropped), NOTICES - QUEUE - 1);
    assert_eq!(of(&Fate::Unsent(None)), QUEUE + 1);
    assert_eq!(told.len(), 5 * NOTICES, "one fate each");
}

#[test]
fn who_comes_back_hears_what_was_dropped() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let gate = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&gate);
    let server = Server::start(move |_, _, stream| {
        wait_for("the gate", || open.load(Ordering::SeqCst));
        answer(stream, "200 OK", "", "ok");
    });
    let options = Options { queue: 2, ..quick() };
    let running = Running::start(vec![receiver("a", Kind::Slack, &server.url())], &options);
    running.dispatcher.send(&notice("0", "redis:x", Occasion::Raised));
    wait_for("the first to be on its way", || server.requests().len() == 1);
    for n in 1..6 {
        running.dispatcher.send(&notice(&n.to_string(), &format!("redis:{n}"), Occasion::Raised));
    }
    let dropped: Vec<String> = running.some(3).into_iter().map(|d| d.notice).collect();
    assert_eq!(dropped, ["1", "2", "3"]);
    gate.store(true, Ordering::SeqCst);
    assert!(running.some(3).iter().all(|d| d.fate == Fate::Sent));
    let text = |index: usize| server.requests()[index].json()["text"].as_str().unwrap().to_owned();
    assert!(!text(0).contains("dropped"));
    assert!(text(1).starts_with("3 older notices were dropped: too many waited\n"), "{}", text(1));
    assert!(!text(2).contains("dropped"), "it is told once");
}
