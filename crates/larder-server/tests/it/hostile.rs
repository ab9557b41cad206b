//! Clients that send what is no HTTP, or try to make one request look like two.

use std::io::Write as _;
use std::time::Instant;

use crate::support::{LIMIT, Raw, get, options, start};

#[test]
fn what_is_no_http_is_refused_and_the_connection_ends() {
    let server = start(options());
    let address = server.address();
    let cases = [
        "\0\0\0\0\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nbad name : x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\na: b\r\n folded\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        "POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\
         content-length: 4\r\n\r\nabcd",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for text in cases {
        let mut raw = Raw::to(address);
        raw.send(text);
        if let Some(reply) = raw.reply() {
            assert_eq!(reply.status, 400, "{text:?}: {reply:?}");
        }
        raw.closed_after(Instant::now());
    }
    // The same for hosts that are missing, or two.
    for hosts in ["", "host: localhost\r\nhost: evil.example\r\n", "host: evil.example\r\n"] {
        let mut raw = Raw::to(address);
        raw.send(&format!("GET /metrics HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n"));
        let reply = raw.reply().unwrap();
        assert!([400, 421].contains(&reply.status), "{hosts:?}: {reply:?}");
    }
    let mut raw = Raw::to(address);
    raw.send("GET http://evil.example/metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(raw.reply().unwrap().status, 421);
    let mut old = Raw::to(address);
    old.send("GET /metrics HTTP/1.0\r\n\r\n");
    assert_eq!(old.reply().unwrap().status, 200);
    assert_eq!(get(address, "/metrics").status, 200);
}

#[test]
fn heads_have_a_limit() {
    let server = start(options());
    let address = server.address();
    let cases = [
        format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nhost: localhost\r\na: {}\r\n\r\n", "x".repeat(17_000)),
        format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "a: b\r\n".repeat(200)),
        "x".repeat(1 << 20),
    ];
    for text in cases {
        let mut raw = Raw::to(address);
        raw.send(&text);
        if let Some(reply) = raw.reply() {
            assert!([400, 414, 431].contains(&reply.status), "{reply:?}");
        }
        raw.closed_after(Instant::now());
    }
    let mut raw = Raw::to(address);
    let large = "x".repeat(15_000);
    raw.send(&format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\na: {large}\r\n\r\n"));
    assert_eq!(raw.reply().unwrap().status, 200);
}

#[test]
fn one_request_is_never_two() {
    let server = start(options());
    // By its length the body holds a second request; by its chunks it is empty. Whoever stands in
    // front may see it either way, so that nothing may follow on this connection.
    let mut raw = Raw::to(server.address());
    raw.send(
        "POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: 50\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n\
         GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    );
    let statuses: Vec<u16> = std::iter::from_fn(|| raw.reply()).map(|reply| reply.status).collect();
    assert!(!statuses.contains(&200), "{statuses:?}");
    for coding in ["xchunked", "chunked, identity", "gzip"] {
        let mut raw = Raw::to(server.address());
        raw.send(&format!(
            "POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: {coding}\r\n\
             content-type: application/json\r\n\r\n0\r\n\r\n\
             GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        ));
        let statuses: Vec<u16> =
            std::iter::from_fn(|| raw.reply()).map(|reply| reply.status).collect();
        assert!(!statuses.contains(&200), "{coding}: {statuses:?}");
    }
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let server = start(options());
    let mut raw = Raw::to(server.address());
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    raw.send(&(one("/healthz") + &one("/nothing") + &one("/readyz")));
    let statuses = [(); 3].map(|()| raw.reply().unwrap().status);
    assert_eq!(statuses, [200, 404, 200]);
}

#[test]
fn noise_from_many_clients_breaks_nothing() {
    let server = start(options());
    let address = server.address();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let good = b"POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\
                 content-type: application/json\r\n\r\n{}";
    for _ in 0..300 {
        let mut bytes = good.to_vec();
        for _ in 0..=(noise() % 6) {
            let at = usize::try_from(noise() % bytes.len() as u64).unwrap();
            match noise() % 3 {
                0 => bytes[at] = noise().to_le_bytes()[0],
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let mut raw = Raw::to(address);
        let _ = raw.0.write_all(&bytes);
        let _ = raw.0.shutdown(std::net::Shutdown::Write);
        if let Some(reply) = raw.reply() {
            assert!((400..500).contains(&reply.status), "{reply:?} to {}", bytes.escape_ascii());
        }
    }
    assert_eq!(get(address, "/metrics").status, 200);
    assert!(server.stop(LIMIT));
}
