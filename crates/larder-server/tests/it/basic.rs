//! Paths, methods, headers, pages, probes, readiness, starting and stopping.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder_server::{Events, Exposed, Limits, Routes, ServeOptions, Server, Token};
use serde_json::json;

use crate::support::{
    Made, Raw, ask, endpoint, endpoints, exposed, get, options, request, start, start_with, until,
};

#[test]
fn every_path_its_methods_and_their_errors() {
    let server = start(options());
    let address = server.address();
    assert_eq!(server.url(), format!("http://{address}"));
    let kinds = [
        ("/", "text/html; charset=utf-8"),
        ("/status.css", "text/css; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/api/v1/openapi.json", "application/json"),
        ("/api/v1/caches/build", "application/json"),
    ];
    for (path, kind) in kinds {
        let reply = get(address, path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)), "{path}");
        let head = ask(address, &format!("HEAD {path}"), &[], "");
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.header("content-type"), Some(kind), "{path}");
        assert_eq!(head.header("content-length"), reply.header("content-length"), "{path}");
        let wrong = ask(address, &format!("PATCH {path}"), &[], "");
        assert_eq!(wrong.status, 405, "{path}");
        assert_eq!(wrong.header("allow"), Some("GET,HEAD"), "{path}");
        wrong.detail();
    }
    let wrong = get(address, "/api/v1/orders");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    for path in ["/nothing", "/api/v1/nothing", "/metrics/", "/api/v1/caches/", "/../etc/passwd"] {
        let reply = get(address, path);
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.detail(), "there is nothing at this path");
    }
    assert_eq!(ask(address, "BREW /metrics", &[], "").status, 405);
    assert_eq!(ask(address, "OPTIONS /metrics", &[], "").status, 405);
}

#[test]
fn every_answer_keeps_a_browser_from_doing_more_than_showing_it() {
    let server = start(options());
    for path in ["/", "/metrics", "/nothing", "/api/v1/caches/build", "/probe"] {
        let reply = get(server.address(), path);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
}

#[test]
fn the_status_page_shows_alerts_and_caches() {
    let server = start(options());
    let page = get(server.address(), "/").text();
    for part in [
        "redis:sessions RedisCacheUnhealthy",
        "larder audit redis:sessions",
        "41.2 GB",
        "<td class=\"warning\">77</td>",
        "the folder cannot be read",
        "2 go commands run",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[test]
fn readiness_follows_its_source() {
    let source = Made::new(Exposed::default());
    let server = start_with(options(), source.clone(), Vec::new());
    assert_eq!(get(server.address(), "/readyz").text(), "ready\n");
    *source.ready.lock().unwrap() = Err("no cache has been sampled yet".to_owned());
    let reply = get(server.address(), "/readyz");
    assert_eq!((reply.status, &reply.detail()[..]), (503, "no cache has been sampled yet"));
    assert_eq!(get(server.address(), "/healthz").status, 200);
}

#[test]
fn a_probe_asks_what_is_on_the_list_in_its_own_time() {
    let source = Made::new(exposed());
    let said = Arc::new(Mutex::new(Vec::new()));
    let own = said.clone();
    let server = start_with(
        ServeOptions {
            limits: Limits { probe_time: Duration::from_millis(300), ..Limits::default() },
            say: Arc::new(move |line| own.lock().unwrap().push(line.to_owned())),
            ..options()
        },
        source.clone(),
        Vec::new(),
    );
    let address = server.address();
    let reply = get(address, "/probe?target=redis%3A%2F%2Fuser%3Asecret%40127.0.0.1%3A6379%2F0");
    assert_eq!(reply.status, 200);
    let text = reply.text();
    assert!(
        text.contains("\nredis_up 1\n") && text.contains("\nredis_db_keys{db=\"db0\"} 1200000\n")
    );
    assert!(!text.contains("cache="), "{text}");
    assert_eq!(*source.asked.lock().unwrap(), ["redis://127.0.0.1:6379"]);
    for target in ["redis%3A%2F%2F10.0.0.1", "127.0.0.1:6380", ""] {
        let reply = get(address, &format!("/probe?target={target}"));
        assert_eq!(reply.status, 403, "{target}");
        assert!(reply.detail().contains("not one that may be asked"));
    }
    assert_eq!(get(address, "/probe").status, 400);
    let start = Instant::now();
    assert_eq!(get(address, "/probe?target=redis:slow").status, 504);
    assert!(start.elapsed() < Duration::from_millis(2800), "{:?}", start.elapsed());
    assert_eq!(source.asked.lock().unwrap().len(), 2);
    assert!(!said.lock().unwrap().concat().contains("secret"));
    // One that fails in time is down, and the log knows why.
    let slow = ServeOptions {
        say: Arc::new(move |line| said.lock().unwrap().push(line.to_owned())),
        ..options()
    };
    let server = start_with(slow, source, Vec::new());
    let text = get(server.address(), "/probe?target=redis:slow").text();
    assert!(text.ends_with("redis_up 0\n"), "{text}");
}

#[test]
fn other_hosts_and_sites_are_refused() {
    let server = start(options());
    let address = server.address();
    let evil = ask(address, "GET /metrics", &[("host", "evil.example")], "");
    assert_eq!(evil.status, 421);
    assert!(evil.detail().contains("host name"));
    let site = [("sec-fetch-site", "cross-site")];
    assert_eq!(ask(address, "GET /api/v1/caches/build", &site, "").status, 403);
    assert_eq!(ask(address, "GET /", &site, "").status, 200);
    let origin = [("origin", "http://evil.example")];
    let post = ask(address, "POST /api/v1/orders", &origin, "{}");
    assert_eq!(post.status, 403);
    assert_eq!(post.detail(), "the request comes from a page of another site");
    let named = start(ServeOptions { hosts: vec!["builder".to_owned()], ..options() });
    let reply = ask(named.address(), "GET /metrics", &[("host", "builder:8000")], "");
    assert_eq!(reply.status, 200);
}

#[test]
fn changes_need_a_token_where_one_is_set_or_others_could_ask() {
    let kind = ("content-type", "application/json");
    let order = r#"{"cache":"build"}"#;
    let post = |address, headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().copied().chain([kind]).collect();
        ask(address, "POST /api/v1/orders", &headers, order)
    };
    let open = start(options());
    assert_eq!(post(open.address(), &[]).status, 202);

    let token = Token::new("0123456789abcdef").ok();
    let guarded = start(ServeOptions { token: token.clone(), ..options() });
    let address = guarded.address();
    let none = post(address, &[]);
    assert_eq!(none.status, 401);
    assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"larder\""));
    assert_eq!(post(address, &[("authorization", "Bearer 0123456789abcdeF")]).status, 401);
    assert_eq!(post(address, &[("authorization", "Bearer 0123456789abcdef")]).status, 202);
    assert_eq!(get(address, "/api/v1/caches/build").status, 200);

    let everywhere = "0.0.0.0:0".parse().unwrap();
    let wide = start(ServeOptions { listen: everywhere, ..options() });
    let local = |server: &larder_server::Running| ([127, 0, 0, 1], server.address().port()).into();
    let refused = post(local(&wide), &[]);
    assert_eq!(refused.status, 403);
    assert!(refused.detail().contains("no token is set"));
    assert_eq!(get(local(&wide), "/metrics").status, 200);
    let wide = start(ServeOptions { listen: everywhere, token, ..options() });
    assert_eq!(post(local(&wide), &[("authorization", "Bearer 0123456789abcdef")]).status, 202);
}

#[test]
fn a_taken_address_and_a_bad_table_are_errors() {
    let server = start(options());
    let taken = ServeOptions { listen: server.address(), ..options() };
    let routes = |endpoints| Routes {
        source: Made::new(Exposed::default()),
        endpoints,
        events: Events::new(8, 0),
    };
    let error = Server::start(taken, routes(Vec::new())).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}: ", server.address())), "{error}");
    let mut twice = endpoints();
    twice.extend(endpoints());
    let error = Server::start(options(), routes(twice)).unwrap_err().to_string();
    assert!(error.contains("stands twice"), "{error}");
}

#[test]
fn stopping_answers_what_is_under_way_and_ends_in_time() {
    let (entered, leave) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let seen = (entered.clone(), leave.clone());
    let slow = endpoint("/api/v1/slow", move || {
        seen.0.store(true, Ordering::SeqCst);
        while !seen.1.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        json!("done")
    });
    let server = start_with(options(), Made::new(exposed()), vec![slow.clone()]);
    let address = server.address();
    let mut idle = Raw::to(address);
    idle.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(idle.reply().unwrap().status, 200);
    let mut raw = Raw::to(address);
    raw.send(&request("GET /api/v1/slow", &[], ""));
    until("the handler runs", || entered.load(Ordering::SeqCst));
    let stopping = std::thread::spawn(move || server.stop(Duration::from_secs(20)));
    until("nobody listens", || TcpStream::connect(address).is_err());
    idle.closed_after(Instant::now());
    leave.store(true, Ordering::SeqCst);
    assert_eq!(raw.reply().unwrap().json(), json!("done"));
    assert!(stopping.join().unwrap());

    // One that does not end is not waited for beyond the deadline.
    entered.store(false, Ordering::SeqCst);
    leave.store(false, Ordering::SeqCst);
    let server = start_with(options(), Made::new(exposed()), vec![slow]);
    let mut raw = Raw::to(server.address());
    raw.send(&request("GET /api/v1/slow", &[], ""));
    until("the handler runs", || entered.load(Ordering::SeqCst));
    let start = Instant::now();
    assert!(!server.stop(Duration::from_millis(300)));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    leave.store(true, Ordering::SeqCst);
}
