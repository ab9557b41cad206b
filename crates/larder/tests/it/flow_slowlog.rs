//! The slow log of several servers, and followed while they come and go.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use larder_testkit::{RedisCluster, RedisServer};
use serde_json::Value;

use crate::Home;
use crate::flow::{LARDER, valid};

fn home(url: &str) -> Home {
    let home = Home::new();
    home.write("config/larder/config.toml", &format!("[redis.s]\nurl = \"{url}/0\"\n"));
    home
}

fn slow(server: &RedisServer) {
    server.client().ask(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
}

#[test]
fn every_server_of_a_cluster_is_asked_and_one_that_does_not_tell_is_named() {
    let cluster = RedisCluster::start();
    for (name, node) in ["one", "two", "three"].iter().zip(&cluster.nodes) {
        slow(node);
        node.client().ask(&["KEYS", &format!("{name}:*")]);
    }
    let home = home(&cluster.nodes[0].url());
    let ran = home.run(&["slowlog", "redis:s", "--json"]);
    let document = ran.ends(0).json();
    valid("slowlog/1", &document);
    let patterns = document["patterns"].as_array().unwrap();
    for name in ["one", "two", "three"] {
        let pattern = format!("KEYS {name}:*");
        assert!(patterns.iter().any(|p| p["pattern"] == pattern.as_str()), "{document:#}");
    }
    cluster.nodes[2].client().ask(&["ACL", "SETUSER", "default", "-slowlog"]);
    let ran = home.run(&["slowlog", "redis:s", "--json"]);
    let document = ran.ends(4).json();
    assert!(document["missing"][0].as_str().unwrap().ends_with("+slowlog|get"), "{document:#}");
}

#[test]
fn what_is_followed_goes_on_after_a_restart() {
    let mut server = RedisServer::start();
    slow(&server);
    let home = home(&server.url());
    let mut child = std::process::Command::new(&*LARDER)
        .args(["slowlog", "redis:s", "--follow", "--json"])
        .env_clear()
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("XDG_STATE_HOME", home.path().join("state"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
    let heard = |pattern: &str| -> Value {
        loop {
            let line = lines.recv_timeout(Duration::from_secs(20)).expect(pattern);
            let entry: Value = serde_json::from_str(&line).unwrap();
            if entry["pattern"] == pattern {
                return entry;
            }
        }
    };
    // A client that stays is known by its user even though it goes before the next look.
    let mut client = server.client();
    client.ask(&["CLIENT", "SETNAME", "nightly"]);
    client.ask(&["KEYS", "first:*"]);
    let first = heard("KEYS first:*");
    assert_eq!((&first["name"], &first["user"]), (&"nightly".into(), &"default".into()));
    assert!(first["client_id"].is_u64() && first["seconds"].is_f64(), "{first}");
    client.ask(&["KEYS", "second:*"]);
    drop(client);
    assert_eq!(heard("KEYS second:*")["user"], "default");

    server.restart();
    slow(&server);
    server.client().ask(&["KEYS", "third:*"]);
    heard("KEYS third:*");
    let kill = ["-INT".to_owned(), child.id().to_string()];
    assert!(std::process::Command::new("kill").args(kill).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(0) && said.contains("it is asked again"), "{said}");
}
