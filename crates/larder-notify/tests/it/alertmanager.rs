//! Against a real Alertmanager, read back through its API and with amtool.

use larder_core::{Notice, Occasion, Severity, Time};
use larder_notify::{Fate, Kind, Options, SystemClock, test_notice};
use larder_testkit::Alertmanager;
use serde_json::Value;

use crate::server::{Server, answer};
use crate::support::{NOW, Running, deliver, notice, quick, receiver, secret_file, wait_for};

/// Alertmanager compares with the time of day, so everything happens now.
fn fresh(id: &str, occasion: Occasion) -> Notice {
    use larder_notify::Clock as _;
    let now = SystemClock::default().now();
    let mut fresh = notice(id, "redis:a", occasion);
    fresh.at = now;
    for alert in &mut fresh.alerts {
        alert.since = now.minus(std::time::Duration::from_mins(2));
    }
    fresh
}

fn alerts(am: &Alertmanager) -> Vec<Value> {
    serde_json::from_str(&am.get("/api/v2/alerts")).unwrap()
}

fn told(server: &Server, status: &str, severity: &str) -> bool {
    let of = |request: &crate::server::Request| {
        let body = request.json();
        let alerts = body["alerts"].as_array().cloned().unwrap_or_default();
        alerts
            .iter()
            .any(|alert| alert["status"] == status && alert["labels"]["severity"] == severity)
    };
    server.requests().iter().any(of)
}

#[test]
fn an_alert_lives_and_ends_in_alertmanager() {
    let downstream = Server::says("200 OK", "");
    let am = Alertmanager::start(&downstream.url());
    let options = Options { ..quick() };
    let running = Running::start(vec![receiver("am", Kind::Alertmanager, &am.url())], &options);
    let raised = fresh("1", Occasion::Raised);
    running.dispatcher.send(&raised);
    assert_eq!(running.next().fate, Fate::Sent);

    let first = alerts(&am);
    assert_eq!(first.len(), 1, "{first:?}");
    let labels = serde_json::json!({
        "alertname": "RedisCacheUnhealthy", "cache": "redis:a", "host": "web-1",
        "severity": "warning",
    });
    assert_eq!(first[0]["labels"], labels);
    let description = first[0]["annotations"]["description"].as_str().unwrap();
    assert!(description.contains("memory −16.0: 1.6 of 2.0 GB"), "{description}");
    assert_eq!(first[0]["annotations"]["runbook_url"], "docs/runbooks/RedisCacheUnhealthy.md");
    let queried: Vec<Value> =
        serde_json::from_str(&am.amtool(&["alert", "query", "-o", "json"])).unwrap();
    assert_eq!(queried[0]["fingerprint"], first[0]["fingerprint"]);

    // The score changes, the alert stays the one it was.
    let mut worse = raised.clone();
    worse.alerts[0].score = Some(61.0);
    running.dispatcher.resend(&worse);
    let resent = running.next();
    assert!(resent.resent && resent.fate == Fate::Sent, "{resent:?}");
    let second = alerts(&am);
    assert_eq!(second.len(), 1);
    assert_eq!(second[0]["fingerprint"], first[0]["fingerprint"]);
    assert_eq!(second[0]["startsAt"], first[0]["startsAt"]);
    assert_ne!(second[0]["updatedAt"], first[0]["updatedAt"]);
    assert!(second[0]["annotations"]["summary"].as_str().unwrap().contains("health 61"));

    // A new severity ends the alert of the old one.
    let mut critical = fresh("2", Occasion::Changed);
    critical.alerts[0].severity = Severity::Critical;
    critical.alerts[0].since = raised.alerts[0].since;
    running.dispatcher.send(&critical);
    assert_eq!(running.next().fate, Fate::Sent);
    let third = alerts(&am);
    assert_eq!(third.len(), 1, "{third:?}");
    assert_eq!(third[0]["labels"]["severity"], "critical");
    wait_for("the end of the warning", || told(&downstream, "resolved", "warning"));
    assert!(told(&downstream, "firing", "warning") && told(&downstream, "firing", "critical"));
    assert!(!told(&downstream, "resolved", "critical"));

    let mut cleared = critical.clone();
    cleared.id = "3".to_owned();
    cleared.occasion = Occasion::Cleared;
    cleared.alerts[0].ended = Some(fresh("", Occasion::Cleared).at);
    running.dispatcher.send(&cleared);
    assert_eq!(running.next().fate, Fate::Sent);
    assert!(alerts(&am).is_empty(), "{:?}", alerts(&am));
    assert_eq!(am.amtool(&["alert", "query", "-o", "json"]).trim(), "[]");
    wait_for("the end of the alert", || told(&downstream, "resolved", "critical"));
}

#[test]
fn a_test_is_seen_and_ends_by_itself() {
    use larder_notify::Clock as _;
    let am = Alertmanager::start("http://127.0.0.1:9/");
    let now = SystemClock::default().now();
    let delivery =
        deliver(receiver("am", Kind::Alertmanager, &am.url()), &test_notice("web-1", now));
    assert_eq!(delivery.fate, Fate::Sent);
    let alerts = alerts(&am);
    assert_eq!(alerts[0]["labels"]["alertname"], "LarderTest");
    let end: jiff::Timestamp = alerts[0]["endsAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(end.as_second(), now.unix() + 300);
}

#[test]
fn what_alertmanager_refuses_is_given_up_and_a_token_is_sent() {
    let server = Server::start(|_, request, stream| {
        let status = match request.header("authorization") {
            Some("Bearer am-token-1") => "200 OK",
            _ => "401 Unauthorized",
        };
        answer(stream, status, "", "bad token am-token-1");
    });
    let mut receiver = receiver("am", Kind::Alertmanager, &server.url());
    let refused = deliver(receiver.clone(), &notice("1", "redis:a", Occasion::Raised));
    let Fate::Failed(why) = refused.fate else { panic!("{refused:?}") };
    assert!(why.contains("401"), "{why}");
    assert_eq!(refused.attempts, 1);
    receiver.secret_file = Some(secret_file("am-token-1"));
    assert_eq!(deliver(receiver, &notice("1", "redis:a", Occasion::Raised)).fate, Fate::Sent);
}

#[test]
fn an_end_before_the_beginning_is_none() {
    let server = Server::says("200 OK", "");
    let mut cleared = notice("1", "redis:a", Occasion::Cleared);
    // The clock was set back meanwhile.
    cleared.alerts[0].ended = Some(Time::from_unix(NOW - 9999));
    deliver(receiver("am", Kind::Alertmanager, &server.url()), &cleared);
    let body = server.requests()[0].json();
    assert_eq!(body[0]["endsAt"], body[0]["startsAt"]);
}
