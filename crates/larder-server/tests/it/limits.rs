//! Clients that are slow, or many.

use std::io::Read as _;
use std::time::{Duration, Instant};

use larder_server::{Limits, Running, ServeOptions};
use serde_json::json;

use crate::support::{Made, Raw, endpoint, exposed, get, options, start, start_with, until};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn limited(limits: Limits) -> Running {
    start(ServeOptions { limits, ..options() })
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let header_time = Duration::from_millis(400);
    let server = limited(Limits { header_time, ..Limits::default() });
    // A busy machine is given time; what is usual without this limit is 5 s.
    let in_time = |took: Duration| took >= header_time && took < Duration::from_secs(4);
    let start = Instant::now();
    let took = Raw::to(server.address()).closed_after(start);
    assert!(in_time(took), "{took:?}");
    // A letter now and then does not help.
    let start = Instant::now();
    let mut raw = Raw::to(server.address());
    let mut writer = raw.0.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        use std::io::Write as _;
        for letter in HEALTH.bytes() {
            if writer.write_all(&[letter]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let took = raw.closed_after(start);
    assert!(in_time(took), "{took:?}");
    drip.join().unwrap();
}

#[test]
fn an_idle_connection_ends_later_than_a_slow_one_and_then_too() {
    let server = limited(Limits {
        header_time: Duration::from_millis(300),
        idle_time: Duration::from_millis(1200),
        ..Limits::default()
    });
    let mut raw = Raw::to(server.address());
    raw.send(HEALTH);
    assert_eq!(raw.reply().unwrap().status, 200);
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(600));
    raw.send(HEALTH);
    assert_eq!(raw.reply().unwrap().status, 200);
    let took = raw.closed_after(start);
    assert!(took >= Duration::from_millis(1800) && took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a_body_that_does_not_come_is_a_408() {
    let server = limited(Limits { body_time: Duration::from_millis(300), ..Limits::default() });
    let mut raw = Raw::to(server.address());
    raw.send(
        "POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: 20\r\n\r\n{",
    );
    let reply = raw.reply().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
    raw.closed_after(Instant::now());
}

#[test]
fn too_many_connections_are_told_so() {
    let server = limited(Limits { connections: 4, ..Limits::default() });
    let address = server.address();
    let mut held: Vec<Raw> = (0..4).map(|_| Raw::to(address)).collect();
    for raw in &mut held {
        raw.send(HEALTH);
        assert_eq!(raw.reply().unwrap().status, 200);
    }
    let mut beyond = Raw::to(address);
    beyond.send(HEALTH);
    let reply = beyond.reply().unwrap();
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.detail(), "too many connections");
    beyond.closed_after(Instant::now());
    drop(held.pop());
    until("there is a place again", || get(address, "/healthz").status == 200);
    // The others were not disturbed.
    for raw in &mut held {
        raw.send(HEALTH);
        assert_eq!(raw.reply().unwrap().status, 200);
    }
}

#[test]
fn a_connection_has_so_many_requests() {
    let server = limited(Limits { requests_per_connection: 3, ..Limits::default() });
    let mut raw = Raw::to(server.address());
    raw.send(&HEALTH.repeat(5));
    let ends: Vec<_> = std::iter::from_fn(|| raw.reply())
        .map(|reply| reply.header("connection").map(str::to_owned))
        .collect();
    assert_eq!(ends, [None, None, Some("close".to_owned())]);
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_gives_its_place_back() {
    let large = endpoint("/api/v1/large", || json!("x".repeat(30 << 20)));
    let limits =
        Limits { connections: 1, write_time: Duration::from_millis(300), ..Limits::default() };
    let server =
        start_with(ServeOptions { limits, ..options() }, Made::new(exposed()), vec![large]);
    let mut raw = Raw::to(server.address());
    raw.send("GET /api/v1/large HTTP/1.1\r\nhost: localhost\r\n\r\n");
    until("there is a place again", || get(server.address(), "/healthz").status == 200);
    let mut taken = Vec::new();
    let _ = raw.0.read_to_end(&mut taken);
    assert!(taken.len() < 30 << 20, "{}", taken.len());
}
