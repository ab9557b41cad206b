//! Servers that hang, refuse, drip, repeat what they were sent, or send people elsewhere.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::Occasion;
use larder_notify::{Clock as _, Fate, Kind, Options};

use crate::server::{Server, answer};
use crate::support::{FastClock, NOW, Running, deliver, notice, quick, receiver};

fn fails(kind: Kind, server: &Server, timeout: Duration) -> (String, u32) {
    let mut receiver = receiver("team", kind, &server.url());
    receiver.timeout = timeout;
    let delivery = deliver(receiver, &notice("1", "redis:a", Occasion::Raised));
    let Fate::Failed(why) = delivery.fate else { panic!("{delivery:?}") };
    assert!(!why.contains("0123456789"), "a secret in {why}");
    assert!(why.contains("127.0.0.1"), "no host in {why}");
    (why, delivery.attempts)
}

#[test]
fn one_that_hangs_is_given_up_in_time() {
    let server = Server::start(|_, _, _| thread::sleep(Duration::from_secs(20)));
    let started = Instant::now();
    let (why, attempts) = fails(Kind::Slack, &server, Duration::from_millis(100));
    assert!(why.contains("no answer in time"), "{why}");
    assert_eq!(attempts, 5);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn one_that_drips_is_given_up_in_time() {
    let server = Server::start(|_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while stream.write_all(b"o").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let started = Instant::now();
    let (why, attempts) = fails(Kind::Slack, &server, Duration::from_millis(200));
    assert!(why.contains("did not come to its end"), "{why}");
    assert_eq!(attempts, 5);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn of_a_huge_answer_little_is_read() {
    let written = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&written);
    let server = Server::start(move |_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = [b'x'; 65_536];
        while count.load(Ordering::SeqCst) < 1_000_000_000 && stream.write_all(&piece).is_ok() {
            count.fetch_add(65_536, Ordering::SeqCst);
        }
    });
    let (why, _) = fails(Kind::Slack, &server, Duration::from_secs(10));
    assert!(why.contains("did not come to its end"), "{why}");
    // The system's buffers take some.
    let each = written.load(Ordering::SeqCst) / server.requests().len() as u64;
    assert!(each < 20_000_000, "{each} bytes of each answer");
    // Where only the status counts, that is enough.
    let webhook = receiver("team", Kind::Webhook, &server.url());
    assert_eq!(deliver(webhook, &notice("1", "redis:a", Occasion::Raised)).fate, Fate::Sent);
}

#[test]
fn what_passes_is_tried_again() {
    let server = Server::start(|number, _, stream| match number {
        0 => answer(stream, "500 Oops", "", "down"),
        1 => answer(stream, "503 Busy", "", "down"),
        // It breaks off.
        2 => {}
        _ => answer(stream, "200 OK", "", "ok"),
    });
    let delivery = deliver(
        receiver("team", Kind::Slack, &server.url()),
        &notice("1", "redis:a", Occasion::Raised),
    );
    assert_eq!((delivery.fate, delivery.attempts), (Fate::Sent, 4));
    let bodies: Vec<String> = server.requests().into_iter().map(|request| request.body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[test]
fn what_stays_is_not_tried_again() {
    for status in ["400 Bad", "401 No", "403 No", "404 Gone", "410 Gone"] {
        let server = Server::says(status, "invalid_token T0123456789");
        let (why, attempts) = fails(Kind::Slack, &server, Duration::from_secs(5));
        assert!(why.contains(&status[..3]) && why.contains("invalid_token …"), "{why}");
        assert_eq!(attempts, 1, "{status}");
    }
}

#[test]
fn nobody_there_is_tried_again() {
    let port = larder_testkit::free_port();
    let url = format!("http://127.0.0.1:{port}/hook/T0123456789");
    let delivery =
        deliver(receiver("team", Kind::Slack, &url), &notice("1", "redis:a", Occasion::Raised));
    let Fate::Failed(why) = delivery.fate else { panic!("{delivery:?}") };
    assert_eq!(delivery.attempts, 5);
    assert!(why.starts_with(&format!("127.0.0.1:{port}: ")), "{why}");
    assert!(!why.contains("T0123456789"), "{why}");
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::says("200 OK", "ok");
    let location: &'static str = format!("Location: {}\r\n", other.url()).leak();
    for status in ["301 Moved", "302 Found", "307 There", "308 There"] {
        let server = Server::start(move |_, _, stream| answer(stream, status, location, ""));
        let (why, attempts) = fails(Kind::Webhook, &server, Duration::from_secs(5));
        assert!(why.contains("not followed"), "{why}");
        assert_eq!(attempts, 1);
    }
    assert!(other.requests().is_empty());
}

/// How long the second attempt came after the first, as the clock tells it, seconds.
fn pause_after(headers: &'static str, body: &'static str, kind: Kind) -> u64 {
    let clock = FastClock::new(50);
    let times: Arc<[AtomicU64; 2]> = Arc::default();
    let (seen, told) = (Arc::clone(&times), Arc::clone(&clock));
    let server = Server::start(move |number, _, stream| {
        let millis = u64::try_from(told.elapsed().as_millis()).unwrap();
        seen[number.min(1)].store(millis, Ordering::SeqCst);
        let status = if body.is_empty() { "429 Slow" } else { "200 OK" };
        match number {
            0 => answer(stream, status, headers, body),
            _ => answer(stream, "200 OK", "", r#"{"errcode":0}"#),
        }
    });
    let options = Options { clock, ..quick() };
    let running = Running::start(vec![receiver("team", kind, &server.url())], &options);
    running.dispatcher.send(&notice("1", "redis:a", Occasion::Raised));
    let delivery = running.next();
    assert_eq!((delivery.fate, delivery.attempts), (Fate::Sent, 2));
    (times[1].load(Ordering::SeqCst) - times[0].load(Ordering::SeqCst)) / 1000
}

#[test]
fn a_pause_that_is_asked_for_is_kept() {
    let seconds = pause_after("Retry-After: 30\r\n", "", Kind::Discord);
    assert!((30..300).contains(&seconds), "{seconds}");
    // NOW is Tue, 14 Nov 2023 22:13:20 GMT, and the clock runs.
    assert_eq!(NOW, 1_700_000_000);
    let date = "Retry-After: Tue, 14 Nov 2023 22:14:50 GMT\r\n";
    let seconds = pause_after(date, "", Kind::Discord);
    assert!((40..300).contains(&seconds), "{seconds}");
}

#[test]
fn a_robot_that_is_told_to_be_too_fast_waits_a_minute() {
    let body = r#"{"errcode":130101,"errmsg":"send too fast"}"#;
    let seconds = pause_after("", body, Kind::Dingtalk);
    assert!((60..300).contains(&seconds), "{seconds}");
}
