//! Queues, fates, order, stopping.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::{Occasion, Severity, Time};
use larder_notify::{Dispatcher, Fate, Kind, Options, Receiver, StartError, test_notice};

use crate::server::{Server, answer};
use crate::support::{Running, notice, quick, receiver, wait_for};

/// A webhook that answers nothing before its gate is open.
fn gated() -> (Server, Arc<AtomicBool>) {
    let gate = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&gate);
    let server = Server::start(move |_, _, stream| {
        wait_for("the gate", || open.load(Ordering::SeqCst));
        answer(stream, "200 OK", "", "ok");
    });
    (server, gate)
}

fn ids(server: &Server) -> Vec<String> {
    let id = |request: crate::server::Request| request.json()["id"].as_str().unwrap().to_owned();
    server.requests().into_iter().map(id).collect()
}

#[test]
fn one_that_hangs_holds_up_nobody() {
    let (slow, gate) = gated();
    let quick_one = Server::says("200 OK", "");
    let receivers = vec![
        receiver("slow", Kind::Webhook, &slow.url()),
        receiver("quick", Kind::Webhook, &quick_one.url()),
    ];
    let running = Running::start(receivers, &quick());
    let started = Instant::now();
    for n in 0..20 {
        let cache = format!("redis:{n}");
        running.dispatcher.send(&notice(&n.to_string(), &cache, Occasion::Raised));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "sending took {:?}", started.elapsed());
    let deliveries = running.some(20);
    assert!(deliveries.iter().all(|d| d.receiver == "quick" && d.fate == Fate::Sent));
    assert_eq!(ids(&quick_one).len(), 20);
    gate.store(true, Ordering::SeqCst);
    assert!(running.some(20).iter().all(|d| d.receiver == "slow" && d.fate == Fate::Sent));
    let order: Vec<String> = (0..20).map(|n: u32| n.to_string()).collect();
    assert_eq!(ids(&slow), order, "in order");
}

#[test]
fn only_the_newest_occasion_of_an_alert_is_told() {
    let (server, gate) = gated();
    let running = Running::start(vec![receiver("a", Kind::Webhook, &server.url())], &quick());
    running.dispatcher.send(&notice("0", "redis:x", Occasion::Raised));
    wait_for("the first to be on its way", || server.requests().len() == 1);
    running.dispatcher.send(&notice("1", "redis:a", Occasion::Raised));
    running.dispatcher.send(&notice("2", "redis:b", Occasion::Raised));
    running.dispatcher.send(&notice("3", "redis:a", Occasion::Reminder));
    running.dispatcher.send(&notice("4", "redis:a", Occasion::Cleared));
    let replaced = running.some(2);
    assert!(replaced.iter().all(|d| d.fate == Fate::Replaced && d.attempts == 0));
    assert_eq!(replaced[1].notice, "3");
    gate.store(true, Ordering::SeqCst);
    running.some(3);
    assert_eq!(ids(&server), ["0", "2", "4"]);
    let counts = &running.dispatcher.counts()[0];
    assert_eq!((counts.sent, counts.replaced, counts.queued), (3, 2, 0));
}

#[test]
fn a_newer_occasion_overtakes_a_retry() {
    let server = Server::start(|number, _, stream| {
        thread::sleep(Duration::from_millis(if number == 0 { 200 } else { 0 }));
        let status = if number == 0 { "500 Oops" } else { "200 OK" };
        answer(stream, status, "", "");
    });
    let running = Running::start(vec![receiver("a", Kind::Webhook, &server.url())], &quick());
    running.dispatcher.send(&notice("1", "redis:a", Occasion::Raised));
    wait_for("the first to be on its way", || server.requests().len() == 1);
    running.dispatcher.send(&notice("2", "redis:a", Occasion::Cleared));
    let first = running.next();
    assert_eq!((&first.notice[..], first.fate, first.attempts), ("1", Fate::Replaced, 1));
    let second = running.next();
    assert_eq!((&second.notice[..], second.fate), ("2", Fate::Sent));
    assert_eq!(ids(&server), ["1", "2"]);
}

#[test]
fn what_was_delivered_is_not_sent_again() {
    let server = Server::says("200 OK", "");
    let receivers = vec![
        receiver("a", Kind::Webhook, &server.url()),
        receiver("b", Kind::Webhook, &server.url()),
    ];
    let known = [("a".to_owned(), "1".to_owned())];
    let running = Running::after(receivers, &quick(), &known);
    let one = notice("1", "redis:a", Occasion::Raised);
    running.dispatcher.send(&one);
    assert_eq!(running.next().receiver, "b");
    running.dispatcher.send(&one);
    running.dispatcher.send(&notice("2", "redis:a", Occasion::Reminder));
    assert!(running.some(2).iter().all(|d| d.notice == "2"));
    let (left, rest) = running.stop(Duration::from_secs(5));
    assert_eq!((left, rest.len()), (0, 0));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn what_is_mild_is_for_those_who_want_it() {
    let server = Server::says("200 OK", "");
    let mut strict = receiver("strict", Kind::Webhook, &server.url());
    strict.at_least = Severity::Critical;
    let running = Running::start(vec![strict], &quick());
    running.dispatcher.send(&notice("1", "redis:a", Occasion::Raised));
    let mut bad = notice("2", "redis:b", Occasion::Raised);
    bad.alerts[0].severity = Severity::Critical;
    bad.alerts.push(crate::support::alert("redis:c"));
    running.dispatcher.send(&bad);
    running.next();
    let body = server.requests()[0].json();
    assert_eq!(body["id"], "2");
    assert_eq!(body["alerts"].as_array().unwrap().len(), 1, "redis:c is no more than a warning");
    assert!(running.dispatcher.send_to("strict", &test_notice("h", Time::from_unix(0))));
    assert_eq!(running.next().occasion, Occasion::Test);
    assert!(!running.dispatcher.send_to("nobody", &test_notice("h", Time::from_unix(0))));
}

#[test]
fn a_stop_sends_what_it_can() {
    let server = Server::start(|_, _, stream| {
        thread::sleep(Duration::from_millis(5));
        answer(stream, "200 OK", "", "");
    });
    let running = Running::start(vec![receiver("a", Kind::Webhook, &server.url())], &quick());
    for n in 0..30 {
        running.dispatcher.send(&notice(&n.to_string(), &format!("redis:{n}"), Occasion::Raised));
    }
    let (left, told) = running.stop(Duration::from_secs(20));
    assert_eq!((left, told.len()), (0, 30));
    assert!(told.iter().all(|d| d.fate == Fate::Sent));
}

#[test]
fn a_stop_ends_at_its_deadline_and_says_what_was_left() {
    let (hangs, gate) = gated();
    let refuses = Server::says("500 Oops", "");
    let receivers = vec![
        receiver("hangs", Kind::Webhook, &hangs.url()),
        receiver("refuses", Kind::Webhook, &refuses.url()),
    ];
    let mut options = quick();
    // Pauses that nobody waits for when it is time to stop.
    options.patience.first = Duration::from_hours(1);
    options.patience.longest = Duration::from_hours(1);
    let running = Running::start(receivers, &options);
    for n in 0..3 {
        running.dispatcher.send(&notice(&n.to_string(), &format!("redis:{n}"), Occasion::Raised));
    }
    wait_for("both to be asked", || {
        let asked = |server: &Server| !server.requests().is_empty();
        asked(&hangs) && asked(&refuses) && running.dispatcher.counts()[1].retried == 1
    });
    let started = Instant::now();
    let (left, told) = running.stop(Duration::from_millis(500));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // Those of `refuses` were tried once more and told then; those of `hangs` at the deadline.
    assert_eq!(left, 3);
    assert_eq!(told.len(), 6);
    assert!(told.iter().all(|d| matches!(d.fate, Fate::Unsent(_))), "{told:?}");
    let tried = told.iter().find(|d| d.receiver == "refuses" && d.attempts == 2).unwrap();
    let Fate::Unsent(Some(why)) = &tried.fate else { panic!("{tried:?}") };
    assert!(why.contains("500"), "{why}");
    gate.store(true, Ordering::SeqCst);
}

#[test]
fn bad_settings_are_all_said_at_once() {
    let receivers = vec![
        Receiver::new("a", Kind::Slack),
        Receiver::new("b", Kind::Mail),
        receiver("c", Kind::Log, "/tmp/x"),
        receiver("c", Kind::Log, "/tmp/y"),
    ];
    let started = Dispatcher::start(receivers, &Options::default(), &[], |_| {});
    let Err(StartError::Settings(bad)) = started else { panic!("it started") };
    let text: Vec<String> = bad.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 5, "{text:?}");
    assert_eq!(text[0], "notify.a: slack takes url or url-file");
    assert!(text[4].starts_with("notify.c: there are two"), "{text:?}");
}

#[test]
fn a_group_that_is_refused_is_told_one_by_one() {
    // Two notices at a time, since the rate does not suffice; one of them is poison.
    let server = Server::start(|_, request, stream| {
        let bad = request.body.contains("poison");
        answer(stream, if bad { "400 Bad" } else { "200 OK" }, "", "");
    });
    let mut one = receiver("a", Kind::Discord, &server.url());
    one.rate = Some(larder_notify::Rate::PerMinute(std::num::NonZeroU32::new(4).unwrap()));
    let clock = crate::support::FastClock::new(1000);
    let running = Running::start(vec![one], &Options { clock, ..quick() });
    for cache in ["redis:0", "redis:1", "poison", "redis:2"] {
        running.dispatcher.send(&notice(cache, cache, Occasion::Raised));
    }
    let told = Mutex::new(running.some(4));
    let failed: Vec<String> = told
        .lock()
        .unwrap()
        .iter()
        .filter(|d| matches!(d.fate, Fate::Failed(_)))
        .map(|d| d.notice.clone())
        .collect();
    assert_eq!(failed, ["poison"]);
}
