//! Alerts and kill -9: whatever the moment, nobody is told twice and nobody is left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_testkit::GoSandbox;

use crate::alert_kit::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn watched(redis: &Loaded, receivers: &str) -> String {
    format!(
        "[schedule]\nsample = \"1s\"\n[alert]\nfor = \"1s\"\n\
         [redis.a]\nurl = \"{}\"\nrespond.analyse = false\n{receivers}",
        redis.server.url()
    )
}

fn hook(name: &str, inbox: &Inbox) -> String {
    format!("[notify.{name}]\nkind = \"webhook\"\nurl = \"{}\"\ntimeout = \"2s\"\n", inbox.url())
}

/// Rounds that the daemon went through since it was started.
fn rounds(sandbox: &GoSandbox) -> usize {
    said(sandbox).matches(" watches").count()
}

#[track_caller]
fn goes_on(sandbox: &GoSandbox) -> Daemon {
    let before = rounds(sandbox);
    let daemon = Daemon::watch(sandbox);
    until("it watches again", || rounds(sandbox) > before);
    // Three rounds: an alert that was forgotten would be raised anew by now.
    std::thread::sleep(Duration::from_millis(3500));
    daemon
}

#[test]
fn killed_right_after_the_notice_it_tells_nobody_again() {
    let redis = Loaded::start();
    redis.sick(true);
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    settings(&sandbox, &watched(&redis, &hook("a", &inbox)));
    let daemon = Daemon::watch(&sandbox);
    // Looked at as often as can be: within some milliseconds of the notice.
    wait_for("it is raised", || inbox.got().first().cloned());
    daemon.kill();
    let daemon = goes_on(&sandbox);
    assert_eq!(inbox.occasions().iter().filter(|one| *one == "raised").count(), 1);
    redis.sick(false);
    until("it is over", || inbox.of("cleared").len() == 1);
    assert_eq!(daemon.stop(), Some(0));
    let (raised, cleared) = (&inbox.of("raised")[0], &inbox.of("cleared")[0]);
    assert_eq!(raised["alerts"][0]["since"], cleared["alerts"][0]["since"]);
}

#[test]
fn killed_while_it_waits_for_others_it_is_told_after_the_start_and_once() {
    let redis = Loaded::start();
    redis.sick(true);
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    let waits = |wait: &str| {
        let alert = format!("[alert]\ncritical-below = 1\ngroup-wait = \"{wait}\"\n");
        settings(&sandbox, &watched(&redis, &hook("a", &inbox)).replace("[alert]\n", &alert));
    };
    waits("1h");
    let daemon = Daemon::watch(&sandbox);
    let fires = || alerts(&sandbox).iter().any(|alert| alert["state"] == "firing");
    until("it fires", fires);
    let since = alerts(&sandbox)[0]["since"].clone();
    daemon.kill();
    let daemon = goes_on(&sandbox);
    assert!(inbox.got().is_empty(), "{:?}", inbox.occasions());
    daemon.kill();
    waits("3s");
    let daemon = Daemon::watch(&sandbox);
    until("it is told", || !inbox.got().is_empty());
    daemon.kill();
    let daemon = goes_on(&sandbox);
    assert_eq!(inbox.of("raised").len(), 1, "{:?}", inbox.occasions());
    // It went on with its wait and did not begin anew.
    assert_eq!(inbox.of("raised")[0]["alerts"][0]["since"], since);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn killed_before_a_receiver_could_be_reached_it_tells_it_after_the_start() {
    let redis = Loaded::start();
    redis.sick(true);
    let up = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&up);
    let down = Inbox::says(move |_| match open.load(Ordering::SeqCst) {
        true => OK.to_owned(),
        false => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
    });
    let well = Inbox::new();
    let sandbox = GoSandbox::new();
    settings(&sandbox, &watched(&redis, &(hook("down", &down) + &hook("well", &well))));
    let daemon = Daemon::watch(&sandbox);
    until("one took it and one did not", || well.got().len() == 1 && !down.got().is_empty());
    daemon.kill();
    up.store(true, Ordering::SeqCst);
    let refused = down.got().len();
    let daemon = goes_on(&sandbox);
    until("the other one took it as well", || down.got().len() > refused);
    assert_eq!(down.got().len(), refused + 1);
    // To whom the answer was just coming in when it was killed, it is a reminder.
    let again = down.occasions().pop().unwrap();
    assert!(again == "raised" || again == "reminder", "{again}");
    assert_eq!(well.of("raised").len(), 1, "{:?}", well.occasions());
    assert!(well.got().len() <= 2, "{:?}", well.occasions());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn of_a_message_that_was_going_out_there_is_a_reminder_and_not_a_second_one() {
    let redis = Loaded::start();
    redis.sick(true);
    // It takes the message and hangs before it says so; later it answers.
    let inbox = Inbox::says(|number| if number == 0 { String::new() } else { OK.to_owned() });
    let sandbox = GoSandbox::new();
    let patient = hook("a", &inbox).replace("2s", "20s");
    settings(&sandbox, &watched(&redis, &patient));
    let daemon = Daemon::watch(&sandbox);
    until("it is on its way", || inbox.got().len() == 1);
    daemon.kill();
    let daemon = goes_on(&sandbox);
    until("it is told again", || inbox.got().len() > 1);
    assert_eq!(inbox.occasions(), ["raised", "reminder"]);
    assert_eq!(events_of(&sandbox, "notification-unknown").len(), 1);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn stopped_while_a_receiver_is_down_it_tells_it_after_the_start() {
    let redis = Loaded::start();
    redis.sick(true);
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    let nobody = format!(
        "[notify.a]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{}/\"\n",
        larder_testkit::free_port()
    );
    settings(&sandbox, &watched(&redis, &nobody));
    let daemon = Daemon::watch(&sandbox);
    until("it is raised", || !events_of(&sandbox, "alert-raised").is_empty());
    assert_eq!(daemon.stop(), Some(0));
    settings(&sandbox, &watched(&redis, &hook("a", &inbox)));
    let daemon = goes_on(&sandbox);
    until("it is told", || !inbox.got().is_empty());
    assert_eq!(inbox.occasions(), ["raised"]);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn new_settings_lose_no_notice_and_are_in_force_as_a_whole_or_not() {
    let redis = Loaded::start();
    redis.sick(true);
    let hangs = Inbox::says(|_| String::new());
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    settings(&sandbox, &watched(&redis, &hook("a", &hangs)));
    let daemon = Daemon::watch(&sandbox);
    until("it hangs", || hangs.got().len() == 1);
    // What cannot work leaves all as it was.
    let bad = watched(&redis, &format!("{}template-file = \"/none\"\n", hook("a", &inbox)));
    settings(&sandbox, &bad.replace("1s\"\n[alert]", "2s\"\n[alert]"));
    let refused = wait_for("it is refused", || events_of(&sandbox, "settings-bad").pop());
    assert!(refused["message"].as_str().unwrap().contains("/none"), "{refused}");
    settings(&sandbox, &watched(&redis, &hook("a", &inbox)));
    until("it is read again", || !events_of(&sandbox, "reloaded").is_empty());
    let about_redis = |notice: &serde_json::Value| notice["alerts"][0]["cache"] == "redis:a";
    until("the new address gets what the old one did not take", || {
        inbox.of("raised").iter().any(about_redis)
    });
    assert_eq!(daemon.stop(), Some(0));
}
