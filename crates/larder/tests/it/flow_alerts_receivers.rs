//! Receivers that hang, fail, ask for patience, lie or point elsewhere: nobody else is held up, and
//! what became of each message is on record.

use std::time::{Duration, Instant};

use larder_testkit::GoSandbox;
use serde_json::Value;

use crate::alert_kit::*;

fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

fn receiver(name: &str, kind: &str, inbox: &Inbox) -> String {
    format!("[notify.{name}]\nkind = \"{kind}\"\nurl = \"{}\"\ntimeout = \"30s\"\n", inbox.url())
}

#[test]
fn five_bad_receivers_hold_up_neither_the_good_one_nor_the_measuring() {
    let redis = Loaded::start();
    let well = Inbox::new();
    let elsewhere = Inbox::new();
    let hangs = Inbox::says(|_| String::new());
    let fails = Inbox::says(|_| http("500 Internal Server Error", "", ""));
    let busy = Inbox::says(|number| match number {
        0 => http("429 Too Many Requests", "Retry-After: 3\r\n", ""),
        _ => http("200 OK", "", ""),
    });
    let lies =
        Inbox::says(|_| http("200 OK", "", r#"{"errcode":310000,"errmsg":"sign not match"}"#));
    let target = format!("Location: {}\r\n", elsewhere.url());
    let moved = Inbox::says(move |_| http("302 Found", &target, ""));
    let sandbox = GoSandbox::new();
    let receivers = [
        receiver("well", "webhook", &well),
        receiver("hangs", "webhook", &hangs),
        receiver("fails", "webhook", &fails),
        receiver("busy", "webhook", &busy),
        receiver("lies", "dingtalk", &lies),
        receiver("moved", "webhook", &moved),
    ];
    settings(
        &sandbox,
        &format!(
            "[schedule]\nsample = \"1s\"\n[alert]\nfor = \"1s\"\n[redis.a]\nurl = \"{}\"\n\
             respond.analyse = false\n{}",
            redis.server.url(),
            receivers.concat()
        ),
    );
    let daemon = Daemon::watch(&sandbox);
    until("it watches", || said(&sandbox).contains(" watches"));
    redis.sick(true);
    until("it is raised", || well.of("raised").len() == 1);
    let raised = well.got()[0].at;
    redis.sick(false);
    let begun = Instant::now();
    until("it is over", || well.of("cleared").len() == 1);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    until("who asked for patience took both", || {
        busy.got().len() == 3 || busy.of("cleared").len() == 1
    });
    let waited = busy.got()[1].at - busy.got()[0].at;
    assert!(waited >= Duration::from_millis(2900), "it asked for 3 s and got {waited:?}");
    assert!(busy.got()[0].at - raised < Duration::from_millis(900), "all are told at once");
    until("a server that fails is tried again", || fails.got().len() >= 2);
    assert_eq!(hangs.got().len(), 1);
    assert!(elsewhere.got().is_empty(), "a redirect was followed");
    let failed = |name: &str| {
        let mine = move |event: &Value| event["data"]["receiver"] == name;
        events_of(&sandbox, "notification-failed").into_iter().find(mine)
    };
    let lied = wait_for("the lie is on record", || failed("lies"));
    assert!(lied["message"].as_str().unwrap().contains("310000"), "{lied}");
    let moved = wait_for("the redirect is on record", || failed("moved"));
    assert!(moved["message"].as_str().unwrap().contains("redirects (302)"), "{moved}");
    let told = |name: &str| {
        let sent = events_of(&sandbox, "notified");
        sent.iter().filter(|event| event["data"]["receiver"] == name).count()
    };
    until("both are on record", || told("well") == 2);
    assert_eq!((told("hangs"), told("fails"), told("lies"), told("moved")), (0, 0, 0, 0));
    let begun = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    // Of what was given up at the end nothing is lost: it is sent after the next start.
    let unsent = events_of(&sandbox, "notification-unsent");
    assert!(unsent.iter().any(|event| event["data"]["receiver"] == "hangs"), "{unsent:#?}");
}
