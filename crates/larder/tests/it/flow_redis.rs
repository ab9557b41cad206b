//! A Redis from outside: seen, previewed, cleaned, planned, interrupted, resumed, brought back.

use std::process::Stdio;
use std::time::{Duration, Instant};

use larder_testkit::{RedisServer, free_port};
use serde_json::Value;

use crate::flow::valid;
use crate::{Home, Ran};

/// A home whose settings name this server twice, once as production.
fn home(server: &RedisServer) -> Home {
    let home = Home::new();
    let url = server.url();
    home.write(
        "config/larder/config.toml",
        &format!(
            "[redis.sessions]\nurl = \"{url}/0\"\nbudget = \"100MB\"\n\n\
             [redis.prod]\nurl = \"{url}/0\"\nprofile = \"production\"\n\n\
             [redis.gone]\nurl = \"redis://127.0.0.1:{}/0\"\n",
            free_port()
        ),
    );
    home
}

fn fill(server: &RedisServer, temp: u32, keep: u32) {
    let mut client = server.client();
    let key = |name: String| vec!["SET".to_owned(), name, "value".to_owned()];
    let temp = (0..temp).map(|n| key(format!("temp:{n}")));
    let all: Vec<_> = temp.chain((0..keep).map(|n| key(format!("keep:{n}")))).collect();
    client.ask_all(&all);
}

fn keys(server: &RedisServer) -> i64 {
    server.client().ask(&["DBSIZE"]).number()
}

#[test]
fn every_configured_redis_has_its_row_also_one_that_is_gone() {
    let server = RedisServer::start();
    fill(&server, 200, 100);
    server.client().ask(&["EXPIRE", "keep:0", "1000"]);
    let before = server.client().ask(&["INFO", "stats"]).text();
    let home = home(&server);
    let status = home.document("status/1", 0, &["status"]);
    let row = |name: &str| -> &Value {
        let caches = status["caches"].as_array().unwrap();
        caches.iter().find(|cache| cache["cache"] == name).unwrap()
    };
    let sessions = row("redis:sessions");
    assert_eq!((&sessions["keys"], &sessions["persistent_keys"]), (&300.into(), &299.into()));
    assert_eq!(sessions["budget_bytes"], 100_000_000);
    assert_eq!(sessions["level"], "healthy");
    assert_eq!(sessions["partial"], true, "nobody has read a key yet: {sessions:#}");
    assert_eq!(row("redis:gone")["state"], "unreachable");
    assert!(row("redis:gone")["score"].is_null());
    let after = server.client().ask(&["INFO", "stats"]).text();
    for counter in ["keyspace_hits:", "keyspace_misses:"] {
        let of =
            |text: &str| text.lines().find(|line| line.starts_with(counter)).map(str::to_owned);
        assert_eq!(of(&before), of(&after), "status moved the hit rate");
    }
    let screen = home.run(&["status"]);
    assert!(screen.ends(0).out.contains("redis:sessions"), "{}", screen.out);
    assert!(screen.out.contains("redis:gone: 127.0.0.1:"), "{}", screen.out);
}

#[test]
fn the_hit_rate_is_since_the_last_status_and_holds_nothing_of_ours() {
    let server = RedisServer::start();
    fill(&server, 400, 0);
    let home = home(&server);
    let look = |from: u32, to: u32| {
        let get = |n: u32| vec!["GET".to_owned(), format!("temp:{n}")];
        server.client().ask_all(&(from..to).map(get).collect::<Vec<_>>());
    };
    let row = |home: &Home| -> Value {
        let status = home.document("status/1", 0, &["status"]);
        let caches = status["caches"].as_array().unwrap();
        caches.iter().find(|cache| cache["cache"] == "redis:sessions").unwrap().clone()
    };
    // An audit before the first status: hundreds of look-ups, each a hit, none of them a client's.
    let audit = home.document("audit/1", 1, &["audit", "redis:sessions"]);
    assert!(audit["own_hits"].as_u64().unwrap() >= 800, "{audit:#}");
    look(200, 600);
    let first = row(&home);
    assert_eq!(
        (&first["hit_ratio"], &first["hit_ratio_window_seconds"]),
        (&0.5.into(), &Value::Null)
    );
    look(300, 700);
    let clean = ["clean", "redis:sessions", "--match", "temp:*", "--backup", "--yes"];
    let cleaned = home.document("outcome/1", 0, &clean);
    assert_eq!(cleaned["redis"][0]["own_hits"], 1200, "{cleaned:#}");
    let second = row(&home);
    assert_eq!(second["hit_ratio"], 0.25, "{second:#}");
    assert!(second["hit_ratio_window_seconds"].as_f64().unwrap() > 0.0, "{second:#}");
    let screen = home.run(&["status"]);
    assert!(screen.ends(0).out.contains("SINCE"), "{}", screen.out);
    // Statistics that were reset are no baseline.
    server.client().ask(&["CONFIG", "RESETSTAT"]);
    look(0, 400);
    let reset = row(&home);
    assert_eq!(
        (&reset["hit_ratio"], &reset["hit_ratio_window_seconds"]),
        (&0.0.into(), &Value::Null)
    );
}

#[test]
fn status_goes_on_where_not_all_may_be_asked() {
    let server = RedisServer::start();
    fill(&server, 30, 0);
    let home = home(&server);
    server.client().ask(&["ACL", "SETUSER", "default", "-info", "-memory"]);
    let status = home.document("status/1", 0, &["status"]);
    let caches = status["caches"].as_array().unwrap();
    let row = caches.iter().find(|cache| cache["cache"] == "redis:sessions").unwrap();
    assert_eq!((&row["state"], &row["keys"]), (&"ok".into(), &30.into()));
    assert!(row["hit_ratio"].is_null() && row["used_memory_bytes"].is_null(), "{row:#}");
    let missing = row["missing"].to_string();
    assert!(missing.contains("+info") && missing.contains("+memory|stats"), "{missing}");
    let screen = home.run(&["status"]);
    assert!(screen.ends(0).out.contains("+memory|stats"), "{}", screen.out);
    assert!(screen.out.contains("in part"), "{}", screen.out);
}

#[test]
fn in_dev_it_asks_and_in_production_only_a_plan_removes() {
    let server = RedisServer::start();
    fill(&server, 500, 100);
    let home = home(&server);
    let clean = ["clean", "redis:sessions", "--match", "temp:*"];
    home.run(&clean).ends(3);
    let plan = home.document("plan/1", 0, &[&clean[..], &["-n"]].concat());
    assert_eq!(plan["items"][0]["keys"], 500);
    assert_eq!(plan["items"][0]["pattern"], "temp:*");
    let prod = ["clean", "redis:prod", "--match", "temp:*", "--yes"];
    assert!(home.run(&prod).ends(3).err.contains("approved plan"));
    assert_eq!(keys(&server), 600, "something went unasked");

    let make = ["plan", "-o", "plan.json", "clean", "redis:prod", "--match", "temp:*"];
    home.run(&make).ends(0);
    home.run(&["apply", "plan.json"]).ends(3);
    // Whoever approves it is told what it takes.
    let asked = home.run(&["approve", "plan.json"]);
    assert!(asked.ends(3).err.contains("500 keys of redis:prod"), "{asked:?}");
    assert!(asked.err.contains("--match 'temp:*'"), "{asked:?}");
    home.run(&["approve", "plan.json", "--yes"]).ends(0);
    let approved = home.read("plan.json");
    home.write("plan.json", &approved.replace("temp:*", "keep:*"));
    assert!(home.run(&["apply", "plan.json"]).ends(3).err.contains("changed after"));
    assert_eq!(keys(&server), 600);
    home.write("plan.json", &approved);
    let done = home.document("outcome/1", 0, &["apply", "plan.json"]);
    assert_eq!(done["removed"]["keys"], 500);
    assert_eq!(keys(&server), 100);

    // In production what went is kept without being asked for.
    let id = done["trash_id"].as_str().unwrap();
    let trash = home.document("trash/1", 0, &["trash"]);
    assert_eq!(
        (&trash["entries"][0]["id"], &trash["entries"][0]["keys"]),
        (&id.into(), &500.into())
    );
    let back = home.document("restored/1", 0, &["trash", "restore", id]);
    assert_eq!((&back["restored"], &back["complete"]), (&500.into(), &true.into()));
    assert_eq!(keys(&server), 600);
    assert_eq!(home.document("trash/1", 0, &["trash"])["entries"], Value::Array(Vec::new()));

    // Every key in production is a slip of the hand until it is said twice.
    home.run(&["plan", "-o", "all.json", "clean", "redis:prod", "--match", "*"]).ends(0);
    home.run(&["approve", "all.json", "--yes"]).ends(0);
    assert!(home.run(&["apply", "all.json"]).ends(3).err.contains("every key"));
    assert_eq!(keys(&server), 600);
}

#[test]
fn an_interrupt_keeps_the_place_and_what_went_comes_back() {
    let server = RedisServer::start();
    fill(&server, 30_000, 50);
    let home = home(&server);
    let clean = ["clean", "redis:sessions", "--match", "temp:*", "--yes", "--backup", "--json"];
    let mut command = std::process::Command::new(&*crate::flow::LARDER);
    let child = command
        .args([&clean[..], &["--max-rate", "10000"]].concat())
        .env_clear()
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("XDG_STATE_HOME", home.path().join("state"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while keys(&server) > 28_000 {
        assert!(Instant::now() < until, "it does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = ["-INT".to_owned(), child.id().to_string()];
    assert!(std::process::Command::new("kill").args(kill).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let first: Value = serde_json::from_slice(&output.stdout).unwrap();
    valid("outcome/1", &first);
    let removed = first["removed"]["keys"].as_i64().unwrap();
    let left = keys(&server);
    assert_eq!(left, 30_050 - removed);
    assert!(left > 50, "it was too late to interrupt");

    let resume = ["clean", "redis:sessions", "--resume", "--yes", "--backup"];
    let second = home.document("outcome/1", 0, &resume);
    assert_eq!(second["removed"]["keys"].as_i64().unwrap() + removed, 30_000);
    assert_eq!(second["redis"][0]["restarts"], 0);
    assert_eq!(keys(&server), 50);
    home.run(&resume).ends(2);
    for outcome in [&first, &second] {
        let id = outcome["trash_id"].as_str().unwrap();
        home.run(&["trash", "restore", id]).ends(0);
    }
    assert_eq!(keys(&server), 30_050);
}

#[test]
fn bad_input_is_an_error_that_tells_no_password() {
    let server = RedisServer::with(&["--requirepass", "hunter2"]);
    let home = home(&server);
    let told = |ran: &Ran| assert!(!format!("{ran:?}").contains("hunter"), "{ran:?}");
    for (args, code) in [
        (&["clean", "redis:sessions"][..], 2),
        (&["clean", "redis:sessions", "--match", ""], 2),
        (&["clean", "redis:session", "--match", "x"], 2),
        (&["clean", "redis:sessions", "build", "--match", "x"], 2),
        (&["clean", "build", "--match", "x"], 2),
        (&["clean", "redis:sessions", "--match", "x", "--type", "sting"], 2),
        (&["clean", "redis://:hunter3@127.0.0.1", "--match", "x"], 2),
        (&["clean", "redis:gone", "--match", "x", "-n"], 6),
        (&["clean", "redis:sessions", "--match", "x", "-n"], 6),
        (&["clean", "redis:sessions", "--resume"], 2),
        (&["prune", "redis:sessions"], 2),
        (&["prune", "redis:sessions", "--max-size", "1GB"], 2),
        (&["prune", "redis:sessions", "build", "--resume"], 2),
        (&["prune", "build", "--max-rate", "5"], 2),
        (&["expire", "redis:sessions"], 2),
        (&["expire", "redis:sessions", "--match", "x"], 2),
        (&["expire", "redis:sessions", "--match", "x", "--ttl", "0s"], 2),
        (&["expire", "redis:sessions", "--match", "x", "--ttl", "1h", "--jitter", "95%"], 2),
        (&["expire", "redis:sessions", "--match", "x", "--ttl", "1h", "--nx", "--gt"], 2),
        (&["expire", "redis:sessions", "--resume", "--ttl", "1h"], 2),
        (&["expire", "redis:sessions", "--resume"], 2),
        (&["expire", "build", "--match", "x", "--ttl", "1h"], 2),
    ] {
        let ran = home.run(args);
        ran.ends(code);
        assert!(ran.err.starts_with("error: "), "{args:?}: {ran:?}");
        told(&ran);
    }
    let prune = home.run(&["prune", "redis:sessions"]);
    assert!(prune.err.contains("no rule of the settings says"), "{prune:?}");
    let url = server.url();
    let with = |password: &str| {
        let args = ["clean", &url, "--match", "x", "-n"];
        let output = home.command(&args).env("REDISCLI_AUTH", password).output().unwrap();
        home.ran(output)
    };
    let wrong = with("hunter3");
    assert!(wrong.ends(6).err.contains("refuses the login"), "{wrong:?}");
    told(&wrong);
    with("hunter2").ends(0);
    let file = home.write("secret", "hunter2\n");
    let ran = home
        .command(&["status", "--json"])
        .env("LARDER_REDIS_SESSIONS_PASSWORD_FILE", file)
        .output()
        .unwrap();
    let ran = home.ran(ran);
    told(&ran);
    assert!(ran.json()["caches"].to_string().contains("\"keys\":0"), "{ran:?}");
}

#[test]
fn slow_commands_are_told_by_pattern_with_their_sender_and_no_secret() {
    let slow = ["--slowlog-log-slower-than", "0", "--slowlog-max-len", "64"];
    let server = RedisServer::with(&slow);
    let home = home(&server);
    let mut client = server.client();
    client.ask(&["ACL", "SETUSER", "batch", "on", ">hunter2", "~*", "+@all"]);
    client.ask(&["AUTH", "batch", "hunter2"]);
    client.ask(&["CLIENT", "SETNAME", "nightly"]);
    client.ask(&["SET", "user:17", "hunter2-value"]);
    (0..5).for_each(|n| drop(client.ask(&["KEYS", &format!("report:{n}:*")])));
    let first = home.document("slowlog/1", 0, &["slowlog", "redis:sessions"]);
    let keys = |document: &Value| -> Value {
        let patterns = document["patterns"].as_array().unwrap();
        patterns.iter().find(|p| p["pattern"] == "KEYS report:{n}:*").unwrap().clone()
    };
    assert_eq!(keys(&first)["count"], 5, "{first:#}");
    let sender = &keys(&first)["senders"][0];
    assert_eq!((&sender["name"], &sender["user"]), (&"nightly".into(), &"batch".into()));
    assert!(keys(&first)["remedy"].as_str().unwrap().starts_with("SCAN"));
    assert!(!first.to_string().contains("hunter"), "{first:#}");

    // What the ring has dropped since is still known; what came and went unseen is counted.
    (0..200).for_each(|n| drop(client.ask(&["GET", &format!("user:{n}")])));
    let second = home.document("slowlog/1", 0, &["slowlog", "redis:sessions"]);
    assert_eq!(keys(&second)["count"], 5, "{second:#}");
    assert!(second["lost"].as_u64().unwrap() > 100, "{second:#}");
    // A reset empties the ring and loses nothing that was not seen.
    client.ask(&["SLOWLOG", "RESET"]);
    client.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
    client.ask(&["SLOWLOG", "RESET"]);
    home.document("slowlog/1", 0, &["slowlog", "redis:sessions"]);
    client.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    client.ask(&["GET", "user:1"]);
    let after = home.document("slowlog/1", 0, &["slowlog", "redis:sessions"]);
    assert!(after["lost"].as_u64().unwrap() < 10, "{after:#}");
    let screen = home.run(&["slowlog", "redis:sessions"]);
    assert!(screen.ends(0).out.contains("from 127.0.0.1, nightly, user batch"), "{}", screen.out);

    assert!(screen.out.contains("larder throttle redis:sessions --user batch --for"), "{screen:?}");

    // Who has gone since is still known by its user; whom nobody ever saw is not guessed.
    drop(client);
    client = server.client();
    client.ask(&["KEYS", "seen:*"]);
    drop(client);
    let until = Instant::now() + Duration::from_secs(10);
    let mut alone = server.client();
    while alone.ask(&["CLIENT", "LIST"]).text().lines().count() > 1 {
        assert!(Instant::now() < until, "the clients do not go");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(alone);
    let gone = home.document("slowlog/1", 0, &["slowlog", "redis:sessions"]);
    assert_eq!(keys(&gone)["senders"][0]["user"], "batch", "{gone:#}");
    let patterns = gone["patterns"].as_array().unwrap();
    let unseen = patterns.iter().find(|p| p["pattern"] == "KEYS seen:*").unwrap();
    assert_eq!(unseen["senders"][0]["user"], Value::Null, "{unseen:#}");
    assert!(gone["blocked_ratio"].as_f64().unwrap() > 0.0, "{gone:#}");

    server.client().ask(&["ACL", "SETUSER", "default", "-slowlog"]);
    let denied = home.run(&["slowlog", "redis:sessions"]);
    assert!(denied.ends(6).err.contains("+slowlog|get"), "{denied:?}");
}
