//! What a proxy can do wrong, one thing a test; and what mends itself.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::Meter;
use larder_modules::{FetchError, NetOptions, NetSettings, Proxies};

use larder_testkit::server::{self, Request, Server, Stream, not_found, ok, redirect, reply};

const MODULE: &str = "example.com/Big/a";
const VERSION: &str = "v1.2.0";

pub fn options() -> NetOptions {
    NetOptions {
        jobs: 4,
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(400),
        small: Duration::from_secs(2),
        tries: 3,
        back_off: Duration::from_millis(5),
    }
}

pub fn proxies(goproxy: &str) -> Proxies {
    let settings = NetSettings {
        goproxy: goproxy.to_owned(),
        goauth: "off".to_owned(),
        ..NetSettings::default()
    };
    Proxies::new(&settings, options()).unwrap()
}

fn serving(
    handler: impl Fn(&Request, &mut Stream<'_>) -> bool + Send + Sync + 'static,
) -> (Server, Proxies) {
    let server = Server::start(handler);
    let proxies = proxies(&server.url());
    (server, proxies)
}

fn info(proxies: &Proxies, version: &str) -> Result<Vec<u8>, FetchError> {
    proxies.info(MODULE, version, &Meter::default())
}

fn go_mod(proxies: &Proxies) -> Result<Vec<u8>, FetchError> {
    proxies.go_mod(MODULE, VERSION, &Meter::default())
}

fn zip(proxies: &Proxies) -> (Result<u64, FetchError>, Vec<u8>) {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(b"something from before").unwrap();
    let result = proxies.zip(MODULE, VERSION, &mut file, &Meter::default());
    std::io::Seek::rewind(&mut file).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    (result, bytes)
}

/// Something that begins as a zip does.
fn content(size: usize) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend((4..size).map(|n| (n * 7 % 251) as u8));
    bytes
}

fn says(error: &FetchError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
}

#[test]
fn what_is_served_is_fetched() {
    let body = content(300_000);
    let sent = body.clone();
    let (server, proxies) = serving(move |request, stream| match request.path.as_str() {
        "/example.com/!big/a/@v/list" => ok(
            stream,
            b"v1.10.0\nv1.2.0 2020-01-01T00:00:00Z\nx\nv1.0.1-0.20200101000000-abcdefabcdef\n",
        ),
        "/example.com/!big/a/@v/v1.2.0.info" => ok(stream, b"{\"Version\":\"v1.2.0\"}"),
        "/example.com/!big/a/@v/v1.2.0.mod" => ok(stream, b"module example.com/Big/a\n"),
        "/example.com/!big/a/@v/v1.2.0.zip" => ok(stream, &sent),
        _ => not_found(stream),
    });
    assert_eq!(proxies.list(MODULE).unwrap(), ["v1.2.0", "v1.10.0"]);
    assert_eq!(info(&proxies, VERSION).unwrap(), b"{\"Version\":\"v1.2.0\"}");
    assert_eq!(go_mod(&proxies).unwrap(), b"module example.com/Big/a\n");
    let (size, bytes) = zip(&proxies);
    assert_eq!((size.unwrap(), bytes), (300_000, body));
    assert_eq!(server.connections(), 1, "the connection is kept");
    assert!(server.requests()[0].raw.contains("%21big"), "escaped as Go does");
    let error = info(&proxies, "v9.9.9").unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }));
    says(&error, &["example.com/Big/a@v9.9.9", &server.url(), "404", "no such thing"]);
}

#[test]
fn a_web_page_is_no_answer() {
    let (_server, proxies) = serving(|_, stream| {
        reply(stream, "200 OK", "Content-Type: text/html\r\n", b"\n<!DOCTYPE html><title>Login")
    });
    for error in [
        proxies.list(MODULE).unwrap_err(),
        info(&proxies, VERSION).unwrap_err(),
        go_mod(&proxies).unwrap_err(),
        zip(&proxies).0.unwrap_err(),
    ] {
        assert!(matches!(error, FetchError::Refused { .. }), "{error}");
        says(&error, &[MODULE, "http://127.0.0.1", "web page"]);
    }
}

#[test]
fn an_info_of_another_version_is_refused() {
    for (body, why) in [
        ("{\"Version\":\"v1.3.0\"}", "v1.3.0"),
        ("{\"Version\":3}", "no version"),
        ("[]", "not a JSON object"),
        ("v1.2.0", "not JSON"),
        ("", "not JSON"),
    ] {
        let (_server, proxies) = serving(move |_, stream| ok(stream, body.as_bytes()));
        let error = info(&proxies, VERSION).unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{error}");
        says(&error, &[why]);
    }
    let (_server, proxies) = serving(|_, stream| ok(stream, b"{\"version\":\"v1.2.0\"}"));
    info(&proxies, VERSION).unwrap();
}

#[test]
fn an_endless_answer_ends_at_its_limit() {
    let (_server, proxies) = serving(|request, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let block =
            if request.path.ends_with(".info") { vec![b' '; 65536] } else { content(65536) };
        while stream.write_all(&block).is_ok() {}
        false
    });
    let error = info(&proxies, VERSION).unwrap_err();
    assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    says(&error, &["larger than 1048576 bytes"]);
}

#[test]
fn a_zip_that_says_it_is_too_large_is_not_begun() {
    let (_server, proxies) = serving(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 524288001\r\n\r\nPK");
        false
    });
    let (result, bytes) = zip(&proxies);
    says(&result.unwrap_err(), &["larger than 524288000 bytes"]);
    assert!(bytes.is_empty());
}

#[test]
fn redirects_are_followed_ten_times_at_most() {
    let (server, proxies) = serving(|request, stream| match request.path.as_str() {
        "/there/7" => ok(stream, b"module m\n"),
        path if path.starts_with("/there/") => {
            let n: u32 = path[7..].parse().unwrap();
            redirect(stream, &format!("{}", n + 1))
        }
        path if path.contains("loop") => redirect(stream, "/loop"),
        path if path.ends_with(".mod") => redirect(stream, "/there/1"),
        _ => redirect(stream, "/loop"),
    });
    assert_eq!(go_mod(&proxies).unwrap(), b"module m\n");
    server.forget();
    let error = info(&proxies, VERSION).unwrap_err();
    assert!(matches!(error, FetchError::Refused { .. }));
    says(&error, &["10 redirects", "example.com/Big/a@v1.2.0"]);
    assert_eq!(server.requests().len(), 11);
}

#[test]
fn an_odd_redirect_is_refused() {
    for to in ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[bad"] {
        let (_server, proxies) = serving(move |_, stream| redirect(stream, to));
        let error = go_mod(&proxies).unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    }
}

#[test]
fn an_error_of_the_server_is_asked_again() {
    let tries = AtomicU32::new(0);
    let (server, proxies) = serving(move |_, stream| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => reply(stream, "503 Busy", "Retry-After: 0\r\n", b"later"),
        1 => reply(stream, "500 Oops", "", b""),
        _ => ok(stream, b"module m\n"),
    });
    assert_eq!(go_mod(&proxies).unwrap(), b"module m\n");
    assert_eq!(server.requests().len(), 3);
    let (server, proxies) = serving(|_, stream| reply(stream, "502 Bad Gateway", "", b""));
    let error = go_mod(&proxies).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }));
    says(&error, &["502"]);
    assert_eq!(server.requests().len(), 3);
    let (server, proxies) = serving(|_, stream| reply(stream, "403 Forbidden", "", b""));
    assert!(matches!(go_mod(&proxies), Err(FetchError::Unreachable { .. })));
    assert_eq!(server.requests().len(), 1, "a refusal stays one");
}

#[test]
fn a_cut_connection_is_taken_up_again() {
    let tries = AtomicU32::new(0);
    let (server, proxies) = serving(move |_, stream| {
        if tries.fetch_add(1, Ordering::SeqCst) < 2 {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nmod");
            return false;
        }
        ok(stream, b"module m\n")
    });
    assert_eq!(go_mod(&proxies).unwrap(), b"module m\n");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_truncated_answer_is_no_answer() {
    let (server, proxies) = serving(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nmodule m\n");
        false
    });
    let error = go_mod(&proxies).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    assert_eq!(server.requests().len(), 3);
    assert!(matches!(zip(&proxies).0, Err(FetchError::Unreachable { .. })));
}

/// Serves a zip in pieces: each connection is cut after 100,000 bytes.
fn in_pieces(ranges: bool, etags: &'static [&'static str]) -> (Server, Proxies, Vec<u8>) {
    let body = content(350_000);
    let sent = body.clone();
    let tries = AtomicU32::new(0);
    let (server, proxies) = serving(move |request, stream| {
        let number = tries.fetch_add(1, Ordering::SeqCst) as usize;
        let etag = etags[number.min(etags.len() - 1)];
        let from = request.header("range").filter(|_| ranges).and_then(|range| {
            let fresh = request.header("if-range").is_none_or(|wanted| wanted == etag);
            let from = range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()?;
            fresh.then_some(from)
        });
        let start = from.unwrap_or(0);
        let head = match from {
            Some(from) => format!(
                "HTTP/1.1 206 Partial\r\nContent-Range: bytes {from}-{}/{}\r\nContent-Length: {}\r\nETag: {etag}\r\n\r\n",
                sent.len() - 1,
                sent.len(),
                sent.len() - from
            ),
            None => {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: {etag}\r\n\r\n", sent.len())
            }
        };
        // A server without ranges lets the third try through.
        let end = if ranges || number < 2 { start + 100_000 } else { sent.len() };
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&sent[start..end.min(sent.len())]);
        false
    });
    (server, proxies, body)
}

#[test]
fn a_zip_goes_on_where_it_broke_off() {
    let (server, _, body) = in_pieces(true, &["\"one\""]);
    let settings =
        NetSettings { goproxy: server.url(), goauth: "off".into(), ..NetSettings::default() };
    let patient = Proxies::new(&settings, NetOptions { tries: 9, ..options() }).unwrap();
    let (size, bytes) = zip(&patient);
    assert_eq!(size.unwrap(), 350_000);
    assert!(bytes == body, "the pieces fit");
    let ranges: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    let expected = [None, Some("bytes=100000-"), Some("bytes=200000-"), Some("bytes=300000-")];
    assert_eq!(ranges, expected.map(|range| range.map(str::to_owned)));
}

#[test]
fn a_zip_begins_again_where_ranges_are_not_known() {
    let (server, proxies, body) = in_pieces(false, &["\"one\""]);
    let (size, bytes) = zip(&proxies);
    assert_eq!(size.unwrap(), 350_000);
    assert!(bytes == body);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_zip_begins_again_where_it_has_changed() {
    // The second answer is of another file, so it comes whole; the pieces are not mixed.
    let (server, _, body) = in_pieces(true, &["\"one\"", "\"two\""]);
    let settings =
        NetSettings { goproxy: server.url(), goauth: "off".into(), ..NetSettings::default() };
    let patient = Proxies::new(&settings, NetOptions { tries: 9, ..options() }).unwrap();
    let (size, bytes) = zip(&patient);
    assert_eq!(size.unwrap(), 350_000);
    assert!(bytes == body);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn a_silent_server_ends_in_an_error() {
    let (_server, proxies) = serving(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nPK");
        thread::sleep(Duration::from_secs(20));
        false
    });
    let start = Instant::now();
    assert!(matches!(zip(&proxies).0, Err(FetchError::Unreachable { .. })));
    assert!(matches!(go_mod(&proxies), Err(FetchError::Unreachable { .. })));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_dripping_server_ends_in_an_error() {
    let (_server, proxies) = serving(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\nPK");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
        false
    });
    let start = Instant::now();
    says(&zip(&proxies).0.unwrap_err(), &["all but stopped"]);
    says(&go_mod(&proxies).unwrap_err(), &["all but stopped"]);
    // What is small has to come within a time as a whole, however steady it is.
    let (_server, proxies) = serving(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
        while stream.write_all(&[b'x'; 1000]).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
        false
    });
    says(&go_mod(&proxies).unwrap_err(), &["took too long"]);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_slow_but_steady_transfer_is_waited_for() {
    let (_server, proxies) = serving(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        for piece in content(100_000).chunks(5000) {
            thread::sleep(Duration::from_millis(60));
            let _ = stream.write_all(piece);
        }
        true
    });
    assert_eq!(zip(&proxies).0.unwrap(), 100_000, "longer than the time to stall");
}

#[test]
fn a_meter_stops_a_transfer() {
    let meter = std::sync::Arc::new(Meter::default());
    let stopper = std::sync::Arc::clone(&meter);
    let (_server, proxies) = serving(move |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\nPK");
        stopper.stop();
        while stream.write_all(&[0; 4096]).is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
        false
    });
    let mut file = tempfile::tempfile().unwrap();
    let error = proxies.zip(MODULE, VERSION, &mut file, &meter).unwrap_err();
    assert!(matches!(error, FetchError::Stopped { .. }), "{error}");
}

#[test]
fn no_more_connections_than_asked_for() {
    let (server, proxies) = serving(|_, stream| {
        thread::sleep(Duration::from_millis(30));
        ok(stream, b"module m\n")
    });
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| go_mod(&proxies).unwrap());
        }
    });
    let most = server.most_at_once();
    assert!((2..=4).contains(&most), "{most}");
    assert!(server.connections() <= 4, "{}", server.connections());
}

#[test]
fn nobody_there_says_so() {
    let port = server::Server::start(|_, _| false).port;
    thread::sleep(Duration::from_millis(100)); // the listener is gone by then
    let error = proxies(&format!("http://127.0.0.1:{port}")).list(MODULE).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
}

#[test]
fn who_wishes_to_stop_does_not_wait_for_a_dripping_server() {
    let dripping = |_: &Request, stream: &mut Stream<'_>| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
        let _ = stream.write_all(head);
        while stream.write_all(b"x").and_then(|()| stream.flush()).is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
        false
    };
    let server = Server::start(dripping);
    let settings = NetSettings { goproxy: server.url(), ..NetSettings::default() };
    let minute = Duration::from_mins(1);
    let patient = NetOptions { stall: minute, small: minute, ..options() };
    let proxies = Proxies::new(&settings, patient).unwrap();
    let meter = Meter::default();
    let started = Instant::now();
    thread::scope(|scope| {
        let asked = scope.spawn(|| proxies.go_mod(MODULE, VERSION, &meter));
        while server.requests().is_empty() && started.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(5));
        }
        meter.stop();
        assert!(matches!(asked.join().unwrap(), Err(FetchError::Stopped { .. })));
    });
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
