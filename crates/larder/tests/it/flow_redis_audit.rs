//! An audit from outside: every remedy that it prints is run as it stands, and nothing is left.

use std::collections::BTreeSet;
use std::path::Path;

use larder_testkit::{Answer, RedisClient, RedisServer};
use serde_json::Value;

use crate::flow::{LARDER, valid};
use crate::{Home, Ran};

fn many(client: &mut RedisClient, count: u32, make: impl Fn(u32) -> String) {
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    client.ask_all(&(0..count).map(|n| words(make(n))).collect::<Vec<_>>());
}

/// Writes a key again as one that nobody touched for so many seconds.
fn age(client: &mut RedisClient, key: &str, seconds: &str) {
    let Answer::Bytes(dump) = client.ask(&["DUMP", key]) else { panic!("no dump of {key}") };
    let words: [&[u8]; 7] =
        [b"RESTORE", key.as_bytes(), b"0", &dump, b"REPLACE", b"IDLETIME", seconds.as_bytes()];
    assert_eq!(client.ask(&words).text(), "OK");
}

/// Trouble of every kind that a default server of today can have.
fn trouble() -> RedisServer {
    let server = RedisServer::with(&[
        "--protected-mode",
        "no",
        "--slowlog-log-slower-than",
        "-1",
        // The default of all but Valkey 8.
        "--lazyfree-lazy-expire",
        "no",
    ]);
    let mut client = server.client();
    many(&mut client, 1500, |n| format!("SET temp:{n} value"));
    many(&mut client, 1500, |n| format!("SET user:{n}:cart value EX {}", 10_000 + n * 7));
    many(&mut client, 1500, |n| format!("SET storm:{n} value"));
    many(&mut client, 1500, |n| format!("EXPIREAT storm:{n} 4000000000"));
    client.ask(&["SETRANGE", "it's big", "20000000", "x"]);
    many(&mut client, 12, |n| format!("SETRANGE page:{n} 900000 x"));
    many(&mut client, 12, |n| format!("EXPIRE page:{n} {}", 20_000 + n * 11));
    for (key, seconds) in [("old:dump", "900000"), ("dusty:dump", "80000")] {
        client.ask(&["SETRANGE", key, "9000000", "x"]);
        age(&mut client, key, seconds);
    }
    for key in 0..40 {
        many(&mut client, 560, |n| format!("HSET profile:{key} field:{n} value"));
        client.ask(&["EXPIRE", &format!("profile:{key}"), &(30_000 + key * 17).to_string()]);
    }
    server
}

/// Runs a line in a shell, with larder and redis-cli on its path.
fn shell(home: &Home, line: &str, password: Option<&Path>) -> Ran {
    let larder = LARDER.parent().unwrap().display();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", line])
        .env_clear()
        .current_dir(home.path())
        .env("PATH", format!("{larder}:/usr/local/bin:/usr/bin:/bin"))
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("XDG_STATE_HOME", home.path().join("state"));
    if let Some(file) = password {
        command.env("LARDER_REDIS_SESSIONS_PASSWORD_FILE", file);
        command.env("REDISCLI_AUTH", std::fs::read_to_string(file).unwrap());
    }
    home.ran(command.output().unwrap())
}

fn audit(home: &Home, password: Option<&Path>) -> (Option<i32>, Value) {
    let ran = shell(home, "larder audit redis:sessions --json", password);
    assert!(ran.err.is_empty(), "{ran:?}");
    let document = ran.json();
    valid("audit/1", &document);
    (ran.code, document)
}

fn findings(document: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let all = document["findings"].as_array().unwrap();
    all.iter().map(|finding| (text(finding, "id"), text(finding, "remedy"))).collect()
}

#[test]
fn every_remedy_of_an_audit_can_be_typed_and_nothing_is_left() {
    let server = trouble();
    let home = Home::new();
    let settings = format!("[redis.sessions]\nurl = \"{}/0\"\n", server.url());
    home.write("config/larder/config.toml", &settings);
    let (code, first) = audit(&home, None);
    assert_eq!(code, Some(1));
    let found: BTreeSet<String> = findings(&first).into_iter().map(|(id, _)| id).collect();
    let planted = [
        "big-key",
        "coarse-strings",
        "expiry-storm",
        "idle-memory",
        "just-over-packed",
        "keys-without-ttl",
        "latency-monitor-off",
        "lazyfree-off",
        "never-read",
        "no-client-limits",
        "no-memory-limit",
        "open-to-anybody",
        "slowlog-off",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), planted, "{first:#}");
    let big = first["findings"].as_array().unwrap().iter().find(|f| f["id"] == "big-key").unwrap();
    assert!(big["stall_seconds"].as_f64().unwrap() > 0.001, "{big:#}");

    // As it is printed, a remedy only shows what would go, or asks.
    for (id, remedy) in findings(&first) {
        if remedy.starts_with("larder clean") {
            let shown = shell(&home, &remedy, None);
            assert!(shown.ends(0).out.contains("match"), "{id}: {shown:?}");
            shell(&home, &remedy.replace(" -n", " --yes"), None).ends(0);
        } else if remedy.starts_with("larder expire") {
            shell(&home, &remedy, None).ends(3);
            shell(&home, &format!("{remedy} --yes"), None).ends(0);
        } else {
            let ran = shell(&home, &remedy, None);
            assert!(ran.ends(0).out.trim().ends_with("OK"), "{id}: {ran:?}");
        }
    }
    // What is loaded is written anew.
    assert_eq!(server.client().ask(&["DEBUG", "RELOAD"]).text(), "OK");
    let (code, second) = audit(&home, None);
    let [(id, remedy)] = &findings(&second)[..] else { panic!("more is left: {second:#}") };
    assert_eq!((code, id.as_str()), (Some(0), "default-user-without-password"));
    assert!(!remedy.contains(&home.path().display().to_string()), "{remedy}");
    assert!(shell(&home, remedy, None).ends(0).out.trim().ends_with("OK"));
    let file = home.path().join("redis.password");
    let (code, last) = audit(&home, Some(&file));
    assert_eq!((code, findings(&last)), (Some(0), Vec::new()));
    shell(&home, "larder audit redis:sessions", None).ends(6);
    let screen = shell(&home, "larder audit redis:sessions", Some(&file));
    assert!(screen.ends(0).out.contains("Nothing needs attention."), "{}", screen.out);
}
