//! What commands leave in the history, and what trends and events make of it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use larder_core::event::{CLEANED, FREED_BYTES};
use larder_core::{Event, Sample};
use larder_history::{Entry, EventFilter, Limits, Reader, Store};
use larder_testkit::{GoSandbox, fake_gocache};
use serde_json::Value;

use crate::Home;
use crate::flow::{self, document, larder, valid};

fn history_of(sandbox: &GoSandbox) -> PathBuf {
    let folder = larder_testkit::snapshot(&sandbox.root())
        .into_keys()
        .find(|path| path.ends_with("history.db"));
    sandbox.root().join(folder.expect("there is a history"))
}

#[test]
fn status_leaves_a_sample_and_clean_an_event() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 200);
    let status = document(&sandbox, "status/1", 0, &["status"]);
    let path = history_of(&sandbox);
    let reader = Reader::new(&path);
    let latest = reader.latest().unwrap();
    let build = latest.iter().find(|sample| sample.cache == "build").unwrap();
    let row = &status["caches"].as_array().unwrap()[0];
    assert_eq!(build.allocated_bytes, row["allocated_bytes"].as_u64());
    assert_eq!(build.reclaimable_bytes, row["reclaimable_bytes"].as_u64());
    assert!(build.disk_free_bytes > Some(0));
    // The next one comes too soon, and one of another folder is not of this history.
    larder(&sandbox, &["status"]).ends(0);
    let other = sandbox.root().join("other");
    larder(&sandbox, &["status", "--gocache", other.to_str().unwrap()]).ends(0);
    assert_eq!(reader.latest().unwrap(), latest);

    let outcome = document(&sandbox, "outcome/1", 0, &["clean", "build"]);
    let events = document(&sandbox, "events/1", 0, &["events"]);
    let event = &events["events"].as_array().unwrap()[0];
    assert_eq!((&event["kind"], &event["cache"]), (&"cleaned".into(), &"build".into()));
    assert_eq!(event["plan_id"], outcome["plan_id"]);
    assert_eq!(event["data"]["freed_bytes"], outcome["freed_bytes"].as_u64().unwrap().to_string());
    let screen = larder(&sandbox, &["events"]);
    assert!(screen.out.contains("cleaned") && screen.out.contains("build"), "{}", screen.out);
    // A preview cleans nothing, and a clean of nothing is no event.
    larder(&sandbox, &["clean", "build", "-n"]).ends(0);
    larder(&sandbox, &["prune"]).ends(0);
    assert_eq!(reader.last_event_id().unwrap(), 1);
    assert!(
        larder(&sandbox, &["events", "--kind", "alert-raised"]).ends(0).out.contains("Nothing")
    );
}

#[test]
fn a_history_that_cannot_be_kept_harms_nothing_and_is_said_with_v() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 50);
    larder(&sandbox, &["status"]).ends(0);
    let path = history_of(&sandbox);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    std::fs::create_dir(&path).unwrap();
    assert_eq!(larder(&sandbox, &["status"]).ends(0).err, "");
    let said = larder(&sandbox, &["status", "-v"]);
    assert!(said.ends(0).err.contains("nothing was kept in the history"), "{}", said.err);
    larder(&sandbox, &["clean", "build"]).ends(0);
    larder(&sandbox, &["trend"]).ends(4);
}

#[test]
fn a_history_that_is_off_is_not_made() {
    let home = Home::new();
    let run = |args: &[&str]| {
        let output = home.command(args).env("LARDER_HISTORY_KIND", "off").output().unwrap();
        home.ran(output)
    };
    run(&["status"]).ends(0);
    assert!(!home.path().join("state/larder/history.db").exists());
    assert!(run(&["trend"]).ends(2).err.contains("history.kind is off"));
    assert!(run(&["events"]).ends(2).err.contains("history.kind is off"));
}

#[test]
fn a_damaged_history_is_set_aside_and_said_loudly() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 50);
    larder(&sandbox, &["status"]).ends(0);
    let path = history_of(&sandbox);
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    std::fs::write(&path, "this is a letter, not a database".repeat(500)).unwrap();
    let said = larder(&sandbox, &["clean", "build"]);
    assert!(said.ends(0).err.contains("the history was damaged and is now"), "{}", said.err);
    assert!(!larder(&sandbox, &["status"]).ends(0).err.contains("damaged"));
}

/// A home with a week of hourly samples: `build` grows by 1.2 GB a day and is cleaned twice, once
/// unseen, and `redis:s` stays as it is.
fn a_week(home: &Home) -> PathBuf {
    let path = home.path().join("state/larder/history.db");
    let (mut store, _) = Store::open(&path, Limits::default()).unwrap();
    let now = larder_fs::now();
    let mut entries = Vec::new();
    let mut level = 20_000_000_000_u64;
    for hour in 0..=168_u64 {
        let at = now.minus(Duration::from_secs((168 - hour) * 3600));
        level += 50_000_000;
        if hour == 50 || hour == 110 {
            let gone = level / 2;
            level -= gone;
            if hour == 50 {
                entries.push(Entry::Event(cleaned(
                    "build",
                    at.minus(Duration::from_mins(5)),
                    gone,
                )));
            }
        }
        let took = Duration::from_millis(5);
        let redis = larder_core::RedisSample {
            keys: 5,
            used_memory_bytes: 900_000_000,
            resident_bytes: 1_000_000_000,
            max_memory_bytes: Some(2_000_000_000),
            ..larder_core::RedisSample::default()
        };
        entries.push(Entry::Sample(Box::new(Sample {
            allocated_bytes: Some(level),
            disk_free_bytes: Some(500_000_000_000),
            ..Sample::empty("build", at, took)
        })));
        entries.push(Entry::Sample(Box::new(Sample {
            allocated_bytes: Some(900_000_000 + hour * 7919 % 100 * 1000),
            redis: Some(redis),
            ..Sample::empty("redis:s", at, took)
        })));
    }
    store.write(&entries).unwrap();
    path
}

fn cleaned(cache: &str, at: larder_core::Time, bytes: u64) -> Event {
    Event {
        at,
        kind: CLEANED.to_owned(),
        cache: Some(cache.to_owned()),
        plan_id: Some("0a1b".to_owned()),
        trace_id: "0a1b".to_owned(),
        message: "removed: 3 files".to_owned(),
        data: vec![(FREED_BYTES.to_owned(), bytes.to_string())],
    }
}

#[test]
fn a_week_of_history_tells_growth_and_when_the_budget_is_full() {
    let home = Home::new();
    a_week(&home);
    home.write(
        "config/larder/config.toml",
        "[build]\nmax-size = \"60GB\"\n[trend]\nthreshold = \"2GB\"\n",
    );
    let ran = home.run(&["trend", "--json"]);
    let document = ran.ends(0).json();
    valid("trend/1", &document);
    let rows = document["rows"].as_array().unwrap();
    let names: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row["cache"].as_str().unwrap(), row["measure"].as_str().unwrap()))
        .collect();
    let expected =
        [("build", "allocated_bytes"), ("redis:s", "used_memory"), ("redis:s", "used_memory_rss")];
    assert_eq!(names, expected);
    let build = &rows[0];
    let per_day = build["per_day"].as_f64().unwrap();
    assert!((per_day / 1.2e9 - 1.0).abs() < 0.02, "{build:#}");
    assert_eq!(build["verdict"], "growing");
    assert!(build["low"].as_f64() <= build["per_second"].as_f64());
    assert!(build["full_at"].is_string() && build["full_earliest"].is_string(), "{build:#}");
    assert!(build["cleaned_bytes"].as_u64().unwrap() > 18_000_000_000);
    assert_eq!(
        (&rows[1]["verdict"], &rows[1]["budget_bytes"]),
        (&"steady".into(), &2_000_000_000_u64.into())
    );
    assert!(rows[1]["full_at"].is_null());

    let screen = home.run(&["trend"]);
    assert!(screen.ends(0).out.contains("+1.2 GB"), "{}", screen.out);
    assert!(screen.out.contains("cleanups and drops took"), "{}", screen.out);
    home.run(&["trend", "--check"]).ends(0);
    let fast = home.command(&["trend", "--check"]).env("LARDER_TREND_THRESHOLD", "1GB").output();
    let fast = home.ran(fast.unwrap());
    assert!(fast.ends(1).err.contains("build grows by more than trend.threshold"), "{}", fast.err);
    let full = home.command(&["trend", "--check"]).env("LARDER_BUILD_MAX_SIZE", "1GB").output();
    assert!(home.ran(full.unwrap()).ends(1).err.contains("build is over its budget"));

    // Of one alone, of one without a history, and of one that there is not.
    let alone = home.run(&["trend", "build", "vcs", "--since", "2d", "--json"]).ends(0).json();
    let rows = alone["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows[0]["span_seconds"].as_f64().unwrap() < 49.0 * 3600.0);
    assert_eq!(rows[1]["verdict"], "not-enough-history");
    assert!(home.run(&["trend", "biuld"]).ends(2).err.contains("did you mean build?"));
}

#[test]
fn forecasts_are_kept_and_later_tell_how_right_they_were() {
    let home = Home::new();
    let path = a_week(&home);
    home.run(&["trend"]).ends(0);
    home.run(&["trend"]).ends(0);
    let reader = Reader::new(&path);
    let now = larder_fs::now();
    let made = reader.forecasts("build", now.minus(Duration::from_mins(5))).unwrap();
    assert_eq!(made.len(), 1, "one in six hours is enough: {made:?}");
    // As if one had been made two days ago.
    let (mut store, _) = Store::open(&path, Limits::default()).unwrap();
    let day = Duration::from_hours(24);
    let earlier = larder_core::Forecast {
        made_at: now.minus(day * 2),
        for_time: now.minus(day),
        actual: None,
        ..made[0].clone()
    };
    store.write(&[Entry::Forecast(earlier)]).unwrap();
    let document = home.run(&["trend", "build", "--json"]).ends(0).json();
    assert_eq!(document["rows"][0]["forecasts"]["checked"], 1, "{document:#}");
}

#[test]
fn two_samples_need_no_history_and_ctrl_c_measures_at_once() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 50);
    let trend = document(&sandbox, "trend/1", 0, &["trend", "build", "--sample", "1s"]);
    let row = &trend["rows"].as_array().unwrap()[0];
    assert_eq!((&row["verdict"], &row["samples"]), (&"unsure".into(), &2.into()));
    assert!(row["low"].is_null() && row["per_second"].as_f64() == Some(0.0), "{row:#}");

    #[cfg(unix)]
    {
        let mut command = flow::command(&sandbox, &["trend", "build", "--sample", "1h", "--json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(700));
        let pid = child.id().to_string();
        std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["rows"][0]["samples"], 2, "{document:#}");
    }
}

#[cfg(unix)]
#[test]
fn a_redis_has_two_rows_of_two_samples() {
    let server = larder_testkit::RedisServer::start();
    let home = Home::new();
    home.write(
        "config/larder/config.toml",
        &format!("[redis.s]\nurl = \"{}/0\"\nbudget = \"100MB\"\n", server.url()),
    );
    let document = home.run(&["trend", "redis:s", "--sample", "1s", "--json"]).ends(0).json();
    valid("trend/1", &document);
    let rows = document["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["measure"], "used_memory");
    assert!(rows[0]["bytes"].as_u64().unwrap() > 100_000);
    assert_eq!(rows[0]["budget_bytes"], 100_000_000);
    assert_eq!(rows[1]["measure"], "used_memory_rss");
    // A status leaves a sample of it, and a clean an event.
    let mut client = server.client();
    for n in 0..500 {
        client.ask(&["SET", &format!("temp:{n}"), "value"]);
    }
    home.run(&["status"]).ends(0);
    let reader = Reader::new(&home.path().join("state/larder/history.db"));
    let sample = reader.latest().unwrap().into_iter().find(|one| one.cache == "redis:s").unwrap();
    assert_eq!(sample.redis.unwrap().keys, 500);
    home.run(&["clean", "redis:s", "--match", "temp:*", "--yes"]).ends(0);
    let events = reader.events(&EventFilter::default()).unwrap();
    assert_eq!(events[0].event.message, "removed: 500 keys");
    assert!(events[0].event.cleanup().is_some());
}

#[cfg(unix)]
#[test]
fn events_are_followed_an_object_a_line() {
    let home = Home::new();
    let path = a_week(&home);
    let mut command = std::process::Command::new(&*flow::LARDER);
    command
        .args(["events", "--follow", "--since", "8d", "--cache", "build", "--json"])
        .env_clear()
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path().join("state"))
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["kind"], "cleaned");
    let (mut store, _) = Store::open(&path, Limits::default()).unwrap();
    for (cache, bytes) in [("mod", 7), ("build", 8)] {
        store.write(&[Entry::Event(cleaned(cache, larder_fs::now(), bytes))]).unwrap();
    }
    let begun = Instant::now();
    let followed = next();
    assert_eq!(followed["data"]["freed_bytes"], "8", "{followed:#}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_prometheus_that_is_not_there_is_told_so() {
    let home = Home::new();
    home.write(
        "config/larder/config.toml",
        &format!(
            "[history]\nkind = \"prometheus\"\nurl = \"http://127.0.0.1:{}\"\n",
            larder_testkit::free_port()
        ),
    );
    let ran = home.run(&["trend"]);
    assert!(ran.ends(6).err.contains("hint: "), "{}", ran.err);
    // Events stay in larder's own file.
    home.run(&["events"]).ends(0);
}
