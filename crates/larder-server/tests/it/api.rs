//! Requests against the table of the API.

use std::sync::{Arc, Mutex};

use larder_server::{ApiResponse, Endpoint, Limits, Method, ServeOptions};
use serde_json::json;

use crate::support::{Made, ask, endpoint, endpoints, exposed, get, options, start, start_with};

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn parts_of_the_path_and_the_query_arrive() {
    let server = start(options());
    let reply = get(server.address(), "/api/v1/caches/redis%3Aa%20b?by=age&top=7&deep=true");
    let said = json!({"cache": "redis:a b", "by": "age", "top": 7, "deep": true});
    assert_eq!(reply.json()["said"], said);
    let reply = get(server.address(), "/api/v1/caches/build");
    let said = json!({"cache": "build", "by": null, "top": null, "deep": false});
    assert_eq!(reply.json()["said"], said);
}

#[test]
fn what_the_table_does_not_say_is_refused() {
    let server = start(options());
    let cases = [
        ("?by=size", "the parameter by is \"size\"; it must be one of age, kind"),
        ("?top=-1", "the parameter top is \"-1\"; it must be a whole number up to 1000"),
        ("?top=1001", "the parameter top is \"1001\"; it must be a whole number up to 1000"),
        ("?deep=1", "the parameter deep is \"1\"; it must be true or false"),
        ("?top=1&top=2", "the parameter top stands twice"),
        ("?other=1", "no parameter is called \"other\"; there are: by, top, deep"),
    ];
    for (query, why) in cases {
        let reply = get(server.address(), &format!("/api/v1/caches/build{query}"));
        assert_eq!((reply.status, &reply.detail()[..]), (400, why), "{query}");
    }
    assert_eq!(get(server.address(), "/api/v1/caches/%ff").status, 400);
    let body = ask(server.address(), "GET /api/v1/caches/build", &[JSON], "{}");
    assert_eq!((body.status, &body.detail()[..]), (400, "this takes no body"));
}

#[test]
fn bodies_are_json_and_say_so() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let own = said.clone();
    let server = start(ServeOptions {
        say: Arc::new(move |line| own.lock().unwrap().push(line.to_owned())),
        ..options()
    });
    let post = |headers: &[(&str, &str)], body: &str| {
        ask(server.address(), "POST /api/v1/orders", headers, body)
    };
    let good = post(&[JSON], r#"{"cache": "build"}"#);
    assert_eq!((good.status, &good.json()["said"]["cache"]), (202, &json!("build")));
    let with_charset = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(post(&with_charset, r#"{"cache": "build"}"#).status, 202);
    let form = post(&[("content-type", "text/plain")], r#"{"cache": "build"}"#);
    assert_eq!(form.status, 415);
    assert!(form.detail().contains("Content-Type: application/json"));
    assert_eq!(post(&[], r#"{"cache": "build"}"#).status, 415);
    let broken = post(&[JSON], "{\"cache\": ");
    assert_eq!(broken.status, 400);
    assert!(broken.detail().starts_with("the body is not JSON: "), "{}", broken.detail());
    assert_eq!(post(&[JSON], "").status, 400);
    // What a handler says for everybody is shown; what it says for the log is not.
    let refused = post(&[JSON], "{}");
    assert_eq!((refused.status, &refused.detail()[..]), (422, "this is no order"));
    assert_eq!(*said.lock().unwrap(), ["post /api/v1/orders failed: the secret reason"]);
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(post(&[JSON], &deep).status, 400);
}

#[test]
fn bodies_have_a_limit() {
    let server = start(options());
    let most = Limits::default().body_bytes;
    let sized = |bytes: usize| format!(r#"{{"cache": "{}"}}"#, "x".repeat(bytes - 13));
    let post = |body: &str| ask(server.address(), "POST /api/v1/orders", &[JSON], body);
    assert_eq!(sized(most).len(), most);
    assert_eq!(post(&sized(most)).status, 202);
    let large = post(&sized(most + 1));
    assert_eq!((large.status, large.header("connection")), (413, Some("close")));
    assert_eq!(large.detail(), "the body is larger than 65536 bytes");
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", most + 1, sized(most + 1));
    let mut raw = crate::support::Raw::to(server.address());
    raw.send(&format!(
        "POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{chunk}"
    ));
    assert_eq!(raw.reply().unwrap().status, 413);
}

#[test]
fn a_handler_that_panics_is_a_500_and_the_next_one_answers() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let own = said.clone();
    let mut table = endpoints();
    table.push(Endpoint::new(Method::Get, "/api/v1/broken", json!({}), |request| {
        ApiResponse::ok(json!(request.part("none").chars().next().expect("a letter").to_string()))
    }));
    let options = ServeOptions {
        say: Arc::new(move |line| own.lock().unwrap().push(line.to_owned())),
        ..options()
    };
    let server = start_with(options, Made::new(exposed()), table);
    for _ in 0..20 {
        let reply = get(server.address(), "/api/v1/broken");
        assert_eq!(reply.status, 500);
        assert!(!reply.detail().contains("letter"), "{}", reply.detail());
    }
    assert_eq!(get(server.address(), "/api/v1/caches/build").status, 200);
    assert!(said.lock().unwrap()[0].contains("get /api/v1/broken failed"));
}

#[test]
fn a_document_that_takes_too_long_does_not_hold_up_a_scrape() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let stuck = endpoint("/api/v1/stuck", move || {
        let _ = held.lock().unwrap().recv();
        json!("late")
    });
    let limits =
        Limits { request_time: std::time::Duration::from_millis(300), ..Limits::default() };
    let server =
        start_with(ServeOptions { limits, ..options() }, Made::new(exposed()), vec![stuck]);
    let address = server.address();
    let late = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..60).map(|_| scope.spawn(|| get(address, "/api/v1/stuck"))).collect();
        assert_eq!(get(address, "/metrics").status, 200);
        asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
    });
    let count = |status| late.iter().filter(|reply| reply.status == status).count();
    // 8 at work and 32 that wait run out of time; the others are too many.
    assert!(count(504) >= 8 && count(503) >= 8, "{} {}", count(504), count(503));
    assert_eq!(count(504) + count(503), 60);
    let busy = late.iter().find(|reply| reply.status == 503).unwrap();
    assert_eq!(busy.header("retry-after"), Some("1"));
    drop(release);
}
