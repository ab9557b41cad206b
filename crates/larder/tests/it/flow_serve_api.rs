//! The HTTP API of a real `larder serve`: what it answers is what its own description says, who may
//! change something, a plan from the trigger to what is gone, events as they happen, and clients
//! that mean no good.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use larder_testkit::{GoSandbox, RedisServer};
use serde_json::{Value, json};

use crate::daemon_kit::{Answer, Daemon, LIMIT, ask, command, get, post, settings, until};
use crate::flow::{age, ending, valid};
use crate::flow_serve::{judged, machine, python, scrape, series};

const TOKEN: &str = "correct-horse-battery";

/// A production machine whose build cache has much to go, so that a plan waits.
fn production() -> (GoSandbox, RedisServer) {
    let (sandbox, _) = machine();
    for end in ["-a", "-d"] {
        for file in ending(&sandbox.gocache(), end) {
            age(&file, Duration::from_secs(40 * 24 * 3600));
        }
    }
    let redis = RedisServer::with(&["--maxmemory", "64mb"]);
    let token = sandbox.write("token", TOKEN);
    let text = format!(
        "profile = \"production\"\n[build]\nmax-age = \"30d\"\n[redis.s]\nurl = \"{}\"\n\
         [serve]\ntoken-file = \"{}\"\n[watch]\non-budget = false\n",
        redis.url(),
        token.display()
    );
    settings(&sandbox, &text);
    (sandbox, redis)
}

fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}")
}

fn post_with_token(address: &str, path: &str) -> Answer {
    ask(address, "POST", path, &[&bearer()], "")
}

/// Goes through the cycle, and answers the id of the plan that waits.
fn plan_that_waits(daemon: &Daemon, address: &str) -> String {
    assert_eq!(post_with_token(address, "/api/v1/runs/deploy").status, 202);
    daemon.event("plan-waits");
    let plans = get(address, "/api/v1/plans").json();
    valid("plans/1", &plans);
    plans["plans"][0]["id"].as_str().unwrap_or_else(|| panic!("{plans:#}")).to_owned()
}

/// What the description says of an answer, to hold one against it.
fn validator(document: &Value, operation: &Value, status: &str) -> jsonschema::Validator {
    let content = &operation["responses"][status]["content"];
    let mut schema = content["application/json"]["schema"].clone();
    schema["components"] = document["components"].clone();
    jsonschema::validator_for(&schema).unwrap()
}

#[track_caller]
fn as_described(document: &Value, operation: &Value, status: u16, answer: &Answer) {
    assert_eq!(answer.status, status, "{operation}: {answer:#?}");
    assert!(answer.head.contains("application/json"), "{answer:#?}");
    let validator = validator(document, operation, &status.to_string());
    let body = answer.json();
    let wrong: Vec<String> =
        validator.iter_errors(&body).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?} in {body:#}");
    // A schema that allows anything would hold nothing.
    assert!(!validator.is_valid(&json!(["no", "document"])), "{operation:#}");
}

#[test]
fn every_endpoint_answers_as_the_served_description_says() {
    let (sandbox, _redis) = production();
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    until("a scan is over", || (get(&address, "/api/v1/du").status == 200).then_some(()));
    until("a trend is there", || (get(&address, "/api/v1/trend").status == 200).then_some(()));
    let id = plan_that_waits(&daemon, &address);
    let document = get(&address, "/api/v1/openapi.json").json();
    if let Some(python) = python() {
        let file = sandbox.write("openapi.json", document.to_string());
        judged(Command::new(python.join("openapi-spec-validator")).arg(file), "");
    }
    let mut read = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let own = path.ends_with("/stream") || path.ends_with("openapi.json");
        let Some(operation) = item.get("get").filter(|_| !own) else { continue };
        let path = path.replace("{id}", &id);
        as_described(&document, operation, 200, &get(&address, &path));
        read += 1;
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let words = parameter["schema"]["enum"].as_array().cloned().unwrap_or_default();
            let some = if name == "cache" { json!("build") } else { json!(1) };
            for value in words.iter().chain(words.is_empty().then_some(&some)) {
                let value = value.to_string().replace('"', "");
                if parameter["in"] == "query" {
                    let answer = get(&address, &format!("{path}?{name}={value}"));
                    as_described(&document, operation, 200, &answer);
                }
            }
            let unknown = get(&address, &format!("{path}?{name}x=1"));
            assert_eq!(unknown.status, 400, "{unknown:#?}");
        }
    }
    assert_eq!(read, 8, "{document:#}");
    let paths = &document["paths"];
    let run = post_with_token(&address, "/api/v1/runs/again");
    as_described(&document, &paths["/api/v1/runs/{trigger}"]["post"], 202, &run);
    let approve = &paths["/api/v1/plans/{id}/approve"]["post"];
    let answer = post_with_token(&address, &format!("/api/v1/plans/{id}/approve"));
    as_described(&document, approve, 202, &answer);
    // The documents are those that the commands print.
    for (path, schema) in [
        ("status", "status/1"),
        ("du", "du/1"),
        ("alerts", "alerts/1"),
        ("health", "health/1"),
        ("trend", "trend/1"),
        ("events", "events/1"),
    ] {
        valid(schema, &get(&address, &format!("/api/v1/{path}")).json());
    }
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_plan_goes_from_its_trigger_to_what_is_gone() {
    let (sandbox, _redis) = production();
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let before = ending(&sandbox.gocache(), "-d").len();
    let id = plan_that_waits(&daemon, &address);
    assert_eq!(ending(&sandbox.gocache(), "-d").len(), before, "nothing goes unapproved");
    until("the metric tells", || {
        (series(&scrape(&address)).get("larder_plans_waiting") == Some(&1.0)).then_some(())
    });
    let approve = format!("/api/v1/plans/{id}/approve");
    let apply = format!("/api/v1/plans/{id}/apply");
    // Nobody without the token, nothing that is not named in full, nothing before it is approved.
    for path in [&approve, &apply, "/api/v1/runs/x"] {
        let refused = post(&address, path);
        assert_eq!(refused.status, 401, "{refused:#?}");
        let wrong =
            ask(&address, "POST", path, &["Authorization: Bearer correct-horse-batterx"], "");
        assert!([401, 403].contains(&wrong.status), "{wrong:#?}");
    }
    for other in [&id[..4], "ffffffff", "..%2f..%2fconfig", "%00"] {
        let answer = post_with_token(&address, &format!("/api/v1/plans/{other}/approve"));
        assert!([400, 404].contains(&answer.status), "{other}: {answer:#?}");
    }
    assert_eq!(post_with_token(&address, &apply).status, 409);
    assert_eq!(post_with_token(&address, &approve).status, 202);
    let applied = daemon.event("plan-applied");
    assert!(
        applied["message"].as_str().unwrap().contains("approved by the HTTP API"),
        "{applied:#}"
    );
    let cleaned = daemon.event("cleaned");
    assert_eq!(cleaned["larder.plan_id"], id, "{cleaned:#}");
    assert!(ending(&sandbox.gocache(), "-d").len() < before / 2);
    until("the plan is gone", || {
        let plans = get(&address, "/api/v1/plans").json();
        plans["plans"].as_array().unwrap().is_empty().then_some(())
    });
    assert_eq!(get(&address, &format!("/api/v1/plans/{id}")).status, 404);
    assert_eq!(post_with_token(&address, &apply).status, 404);
    let text = scrape(&address);
    let counts = series(&text);
    assert_eq!(counts["larder_cleanups_total{cache=\"build\"}"], 1.0, "{text}");
    // The log tells nobody the token.
    let ended = daemon.stop();
    assert!(!ended.log.contains(TOKEN), "{}", ended.log);
}

#[test]
fn changes_are_refused_to_other_sites_and_on_other_than_loopback_without_a_token() {
    let sandbox = GoSandbox::new();
    settings(&sandbox, "");
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let run = "/api/v1/runs/x";
    for (headers, status) in [
        (&["Origin: http://evil.example"][..], 403),
        (&["Origin: null"], 403),
        (&["Sec-Fetch-Site: cross-site"], 403),
        (&["Origin: http://localhost"], 403),
        (&[], 202),
    ] {
        let answer = ask(&address, "POST", run, headers, "");
        assert_eq!(answer.status, status, "{headers:?}: {answer:#?}");
    }
    let reading = ask(&address, "GET", "/api/v1/alerts", &["Sec-Fetch-Site: cross-site"], "");
    assert_eq!(reading.status, 403);
    // A name that somebody else controls may lead here.
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    drop(daemon);

    let open = Daemon::ready(&sandbox, command(&sandbox, &["serve", "--listen", "0.0.0.0:0"]));
    let port = open.address().rsplit(':').next().unwrap().to_owned();
    let address = format!("127.0.0.1:{port}");
    assert_eq!(get(&address, "/metrics").status, 200);
    let refused = post(&address, run);
    assert_eq!(refused.status, 403, "{refused:#?}");
    assert!(refused.body.contains("token"), "{}", refused.body);
}

/// The next event of a stream: its id and its document.
fn next(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> (u64, Value) {
    let mut id = 0;
    loop {
        let line = lines.next().expect("the stream goes on").unwrap();
        if let Some(number) = line.strip_prefix("id: ") {
            id = number.parse().unwrap();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            return (id, serde_json::from_str(data).unwrap());
        }
    }
}

fn listen(address: &str, more: &str) -> std::io::Lines<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET /api/v1/events/stream HTTP/1.1\r\nHost: {address}\r\n{more}\r\n").unwrap();
    BufReader::new(stream).lines()
}

#[test]
fn a_run_is_told_to_whoever_listens_and_what_was_missed_comes_first() {
    let sandbox = GoSandbox::new();
    settings(&sandbox, "");
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let mut lines = listen(&address, "");
    assert!(lines.next().unwrap().unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(post(&address, "/api/v1/runs/deploy").status, 202);
    let (mut seen, mut last) = (Vec::new(), 0);
    while !seen.iter().any(|kind| kind == "nothing-to-clean") {
        let (id, event) = next(&mut lines);
        assert!(id > last, "{id} after {last}");
        last = id;
        seen.push(event["kind"].as_str().unwrap().to_owned());
        if seen.last().unwrap() == "triggered" {
            assert_eq!(event["data"]["trigger"], "deploy", "{event:#}");
            // The same is asked of the history by its id.
            let known = until("the history has it", || {
                let all = get(&address, "/api/v1/events?kind=triggered").json();
                let events = all["events"].as_array().unwrap().clone();
                events.into_iter().find(|one| one["trace_id"] == event["trace_id"])
            });
            assert_eq!(known["message"], event["message"]);
        }
    }
    assert!(seen.contains(&"triggered".to_owned()), "{seen:?}");
    drop(lines);
    // Who comes back gets what came meanwhile.
    assert_eq!(post(&address, "/api/v1/runs/again").status, 202);
    daemon.nth_event("nothing-to-clean", 1);
    let mut lines = listen(&address, &format!("Last-Event-ID: {last}\r\n"));
    let (id, _) = next(&mut lines);
    assert_eq!(id, last + 1);
    // A stream ends with the daemon, which does not wait for it.
    let ended = daemon.stop();
    assert!(ended.code == Some(0) && ended.took < Duration::from_secs(6), "{ended:?}");
}

#[test]
fn what_an_alert_tells_of_keys_is_as_they_are_by_now() {
    let sandbox = GoSandbox::new();
    let redis = RedisServer::with(&["--maxmemory", "64mb"]);
    let mut client = redis.client();
    for n in 0..50 {
        client.ask(&["SET", &format!("old:{n}"), "value"]);
    }
    let text = format!(
        "[redis.s]\nurl = \"{}\"\n[redis.s.respond]\ncool-down = \"0s\"\nper-day = 1000\n\
         [alert]\nfor = \"0s\"\nremind = \"1s\"\n",
        redis.url()
    );
    settings(&sandbox, &text);
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    // Look-ups that find nothing, and what /api/v1/alerts says of the keys.
    let mut details_with = |word: &str| {
        until(word, || {
            client.ask_all(&vec![vec!["GET", "nothing"]; 200]);
            let alerts = get(&address, "/api/v1/alerts").json();
            let details = alerts["alerts"][0]["details"].to_string();
            details.contains(word).then_some(details)
        })
    };
    let first = details_with("old:");
    assert!(!first.contains("new:"), "{first}");
    let mut other = redis.client();
    for n in 0..500 {
        other.ask(&["SET", &format!("new:{n}"), "a longer value than that of the others"]);
    }
    details_with("new:");
    assert_eq!(daemon.stop().code, Some(0));
}

/// Resident memory, bytes.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn slow_huge_and_malformed_clients_do_not_hold_up_scrapes_or_samples() {
    let sandbox = GoSandbox::new();
    let redis = RedisServer::start();
    settings(&sandbox, &format!("[redis.s]\nurl = \"{}\"\n", redis.url()));
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    scrape(&address);
    let before = resident(daemon.pid());
    let samples = |text: &str| series(text)["larder_cache_samples_total{cache=\"redis:s\"}"];
    let first = samples(&scrape(&address));
    // Half a request each, for as long as they are let.
    let slow: Vec<TcpStream> = (0..90)
        .map(|n| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let head = [
                "GET /metr",
                "POST /api/v1/runs/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
            ];
            stream.write_all(head[n % 2].as_bytes()).unwrap();
            stream
        })
        .collect();
    let junk = [
        vec![b'x'; 3 << 20],
        [b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec(), b"a: b\r\n".repeat(50_000)].concat(),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(1 << 20)).into_bytes(),
        [
            b"POST /api/v1/runs/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
                .to_vec(),
            vec![b'z'; 2 << 20],
        ]
        .concat(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(),
        (0..=255).cycle().take(4000).collect(),
    ];
    for _ in 0..3 {
        for bytes in &junk {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            // It may have had enough before the end.
            let _ = stream.write_all(bytes);
        }
        let begun = Instant::now();
        scrape(&address);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    until("it goes on measuring", || (samples(&scrape(&address)) > first + 2.0).then_some(()));
    let grown = resident(daemon.pid()).saturating_sub(before);
    assert!(grown < 40 << 20, "it took {grown} bytes more");
    drop(slow);
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0));
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
}

#[test]
fn schemathesis_finds_nothing_with_the_token_and_without() {
    let Some(python) = python() else { return };
    let (sandbox, _redis) = production();
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    until("a scan is over", || (get(&address, "/api/v1/du").status == 200).then_some(()));
    until("a trend is there", || (get(&address, "/api/v1/trend").status == 200).then_some(()));
    let header = bearer();
    for headers in [&["--header", &header][..], &[]] {
        schemathesis(&python, &sandbox.root(), &address, headers);
    }
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
}

fn schemathesis(python: &Path, dir: &Path, address: &str, headers: &[&str]) {
    judged(
        Command::new(python.join("schemathesis"))
            .current_dir(dir)
            .args(["run", &format!("http://{address}/api/v1/openapi.json")])
            // A stream has no end that could be waited for.
            .args(["--exclude-path", "/api/v1/events/stream"])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "25"])
            .args(headers)
            .args(["--seed", "1", "--no-color"]),
        "",
    );
}
