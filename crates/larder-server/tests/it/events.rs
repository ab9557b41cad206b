//! Events as a stream.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use larder_server::{Events, Limits, Routes, Running, ServeOptions, Server, StreamEvent};
use serde_json::json;

use crate::support::{Made, Raw, ask, exposed, get, options, until};

fn start(limits: Limits, events: &Events) -> Running {
    let routes =
        Routes { source: Made::new(exposed()), endpoints: Vec::new(), events: events.clone() };
    Server::start(ServeOptions { limits, ..options() }, routes).unwrap()
}

fn publish(events: &Events, id: u64) {
    events.publish(&StreamEvent { id, data: json!({"kind": "cleaned", "id": id}) });
}

/// A listener, after its first comment.
fn listen(server: &Running, last: Option<&str>) -> BufReader<TcpStream> {
    let mut raw = Raw::to(server.address());
    let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
    raw.send(&format!("GET /api/v1/events/stream HTTP/1.1\r\nhost: localhost\r\n{last}\r\n"));
    let mut reader = BufReader::new(raw.0);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert_eq!(next(&mut reader), ": events as they happen");
    reader
}

/// The next line that says something: the stream comes in chunks, each with its size before it.
fn next(reader: &mut impl std::io::BufRead) -> String {
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended");
        let line = line.trim_end();
        if line.contains(": ") {
            return line.to_owned();
        }
    }
}

#[test]
fn listeners_get_each_event_once_also_those_that_come_back() {
    let events = Events::new(100, 0);
    let server = start(Limits::default(), &events);
    publish(&events, 1);
    let mut reader = listen(&server, None);
    publish(&events, 2);
    assert_eq!(next(&mut reader), "id: 2");
    assert_eq!(next(&mut reader), r#"data: {"id":2,"kind":"cleaned"}"#);
    drop(reader);
    publish(&events, 3);
    let mut reader = listen(&server, Some("2"));
    publish(&events, 4);
    assert_eq!(next(&mut reader), "id: 3");
    next(&mut reader);
    assert_eq!(next(&mut reader), "id: 4");
}

#[test]
fn who_comes_back_too_late_is_told_so() {
    let events = Events::new(2, 0);
    let server = start(Limits::default(), &events);
    (1..=5).for_each(|id| publish(&events, id));
    let mut reader = listen(&server, Some("1"));
    assert_eq!(next(&mut reader), ": events before these are no longer kept here");
    assert_eq!(next(&mut reader), "id: 4");
    let wrong = [("last-event-id", "yesterday")];
    assert_eq!(ask(server.address(), "GET /api/v1/events/stream", &wrong, "").status, 400);
    assert_eq!(ask(server.address(), "HEAD /api/v1/events/stream", &[], "").status, 200);
}

#[test]
fn a_reader_that_is_too_slow_is_let_go_and_holds_nobody_up() {
    let events = Events::new(4, 0);
    let server = start(Limits::default(), &events);
    let slow = listen(&server, None);
    let mut fast = listen(&server, None);
    let large = "x".repeat(1 << 20);
    for id in 1..=60 {
        events.publish(&StreamEvent { id, data: json!(large) });
        assert_eq!(next(&mut fast), format!("id: {id}"));
        next(&mut fast);
    }
    let mut slow = slow;
    let mut text = Vec::new();
    slow.read_to_end(&mut text).unwrap();
    assert!(text.len() < 50 << 20, "{}", text.len());
    let end = String::from_utf8_lossy(&text[text.len() - 100..]).into_owned();
    assert!(end.contains(": too slow: ") && end.contains("come back"), "{end}");
}

#[test]
fn listeners_have_a_limit_and_streams_end_with_the_server() {
    let events = Events::new(4, 0);
    let server = start(Limits { streams: 2, ..Limits::default() }, &events);
    let first = listen(&server, None);
    let mut second = listen(&server, None);
    assert_eq!(get(server.address(), "/api/v1/events/stream").status, 503);
    drop(first);
    // The place is free when the server has seen that nobody reads.
    until("there is a place again", || {
        let reply = ask(server.address(), "HEAD /api/v1/events/stream", &[], "");
        reply.status == 200
    });
    assert!(server.stop(Duration::from_secs(10)));
    assert_eq!(next(&mut second), ": the server stops");
    let mut rest = String::new();
    second.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
}
