//! Limits from outside: on a user, a client, long scripts; held, made longer, ended, given back by
//! the next larder after a crash.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use larder_testkit::{Answer, RedisClient, RedisCluster, RedisProgram, RedisSentinel, RedisServer};
use serde_json::Value;

use crate::flow::{LARDER, valid};
use crate::{Home, Ran};

fn home(server: &RedisServer) -> Home {
    let home = Home::new();
    let text = format!("[redis.s]\nurl = \"{}/0\"\ntimeout = \"2s\"\n", server.url());
    home.write("config/larder/config.toml", &text);
    home
}

/// A server with a user batch, whose password is hunter2.
fn server() -> RedisServer {
    let server = RedisServer::start();
    add_user(&server);
    server
}

fn add_user(server: &RedisServer) {
    let rules = ["on", ">hunter2", "~*", "&*", "+@all", "-debug", "(%R~ro:* +@read)"];
    let rules = RedisProgram::here().understood(&rules);
    let words = [&["ACL", "SETUSER", "batch"][..], &rules].concat();
    assert_eq!(server.client().ask(&words).text(), "OK");
}

fn login(server: &RedisServer) -> RedisClient {
    let mut client = server.client();
    assert_eq!(client.ask(&["AUTH", "batch", "hunter2"]).text(), "OK");
    client
}

fn acl(server: &RedisServer) -> Vec<Vec<u8>> {
    server.client().ask(&["ACL", "LIST"]).list()
}

/// Whether the user of this connection may send KEYS.
fn may(client: &mut RedisClient) -> bool {
    !denied(client, &["KEYS", "x"])
}

fn denied(client: &mut RedisClient, command: &[&str]) -> bool {
    matches!(client.ask(command), Answer::Line(line) if line.starts_with("-NOPERM"))
}

/// larder, running.
fn spawn(home: &Home, args: &[&str]) -> Child {
    std::process::Command::new(&*LARDER)
        .args(args)
        .env_clear()
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("XDG_STATE_HOME", home.path().join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let args = [name.to_owned(), child.id().to_string()];
    assert!(std::process::Command::new("kill").args(args).status().unwrap().success());
}

fn end(home: &Home, child: Child) -> Ran {
    home.ran(child.wait_with_output().unwrap())
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What is written down.
fn records(home: &Home) -> Vec<PathBuf> {
    let files = std::fs::read_dir(home.path().join("state/larder/throttles"));
    let paths = files.into_iter().flatten().flatten().map(|file| file.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect()
}

fn document(ran: &Ran) -> Value {
    let document = ran.json();
    valid("throttle/1", &document);
    document["throttles"][0].clone()
}

const USER: [&str; 6] = ["throttle", "redis:s", "--user", "batch", "--yes", "--json"];

fn user_for(length: &str) -> Vec<&str> {
    [&USER[..], &["--for", length]].concat()
}

#[test]
fn a_user_is_limited_until_ctrl_c_and_nobody_is_without_an_answer() {
    let server = server();
    let home = home(&server);
    let before = acl(&server);
    let mut live = login(&server);
    live.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    live.ask(&["SMEMBERS", "team:17"]);
    let preview = home.run(&["throttle", "redis:s", "--user", "batch", "--for", "10m", "-n"]);
    assert!(preview.ends(0).out.contains("SMEMBERS team:{n}: 1 time"), "{preview:?}");
    assert!(preview.out.contains("Its open connection feels it at once"), "{preview:?}");
    let asked = home.run(&["throttle", "redis:s", "--user", "batch", "--for", "10m"]);
    assert!(asked.ends(3).err.contains("Limit user batch of redis:s (127.0.0.1:"), "{asked:?}");
    let planned = home.run(&[&user_for("10m")[..], &["-n"]].concat());
    assert_eq!(document(planned.ends(0))["state"], "planned");
    assert_eq!(acl(&server), before, "a preview has done something");
    assert!(records(&home).is_empty());

    let child = spawn(&home, &user_for("10m"));
    until("the user is limited", || !may(&mut live));
    // It is limited, not cut off.
    assert_eq!(live.ask(&["SET", "x", "1"]).text(), "OK");
    assert!(denied(&mut live, &["SMEMBERS", "team:17"]));
    until("the new rules are written down", || {
        std::fs::read_to_string(&records(&home)[0]).unwrap().contains("-smembers")
    });
    let record = std::fs::read_to_string(&records(&home)[0]).unwrap();
    assert_eq!(std::fs::metadata(&records(&home)[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!record.contains("hunter2") && !record.contains("f52fbd32"), "{record}");
    let listed = home.run(&["throttle", "redis:s", "--list", "--json"]);
    assert_eq!(document(listed.ends(0))["user"], "batch");
    signal(&child, "-INT");
    let ended = end(&home, child);
    let throttle = document(ended.ends(130));
    assert_eq!(
        (&throttle["state"], &throttle["nodes"][0]["state"]),
        (&"ended".into(), &"restored".into())
    );
    assert!(throttle["denied"].as_array().unwrap().contains(&"smembers".into()));
    assert!(throttle["nodes"][0]["rules_before"].as_str().unwrap().contains("+@all"));
    let patterns = throttle["evidence"]["patterns"].as_str().unwrap();
    assert!(patterns.contains("SMEMBERS team:{n}") && patterns.contains("KEYS x"), "{patterns}");
    assert!(throttle["ended_at"].is_string());
    assert_eq!(acl(&server), before);
    assert!(may(&mut live) && records(&home).is_empty());
    let events = home.run(&["events", "--json"]);
    for kind in ["throttled", "limited", "limit-lifted", "unthrottled"] {
        assert!(events.out.contains(&format!("\"{kind}\"")), "{kind}: {events:?}");
    }
}

#[test]
fn a_limit_ends_by_itself_and_two_of_them_are_one() {
    let server = server();
    let home = home(&server);
    let before = acl(&server);
    let mut live = login(&server);
    let first = spawn(&home, &[&user_for("2s")[..], &["--deny", "keys"]].concat());
    until("the user is limited", || !may(&mut live));
    let second = spawn(&home, &[&user_for("4s")[..], &["--deny", "sort,@dangerous"]].concat());
    until("more is taken away", || denied(&mut live, &["SORT", "x"]));
    assert_eq!(records(&home).len(), 1, "two records of one user");
    let first = document(end(&home, first).ends(0));
    let second = document(end(&home, second).ends(0));
    assert_eq!((&first["extended"], &second["extended"]), (&false.into(), &true.into()));
    assert_eq!(first["id"], second["id"]);
    assert_eq!(second["nodes"][0]["rules_before"], first["nodes"][0]["rules_before"]);
    // Who came second did not make it shorter for the first, and one of the two gave it back.
    let states = [&first["nodes"][0]["state"], &second["nodes"][0]["state"]];
    assert!(states.contains(&&"restored".into()), "{states:?}");
    assert_eq!(acl(&server), before);
    assert!(records(&home).is_empty());
}

#[test]
fn another_larder_ends_it_and_says_what_it_does_not_know() {
    let server = server();
    let home = home(&server);
    let before = acl(&server);
    let mut live = login(&server);
    let unknown = home.run(&["unthrottle", "redis:s", "--user", "batch"]);
    assert!(unknown.ends(2).err.contains("nobody is limited there"), "{unknown:?}");
    home.run(&["unthrottle", "redis:s", "--all"]).ends(0);
    // A terminal that goes gives back.
    let child = spawn(&home, &user_for("10m"));
    until("the user is limited", || !may(&mut live));
    signal(&child, "-HUP");
    assert_eq!(document(end(&home, child).ends(130))["state"], "ended");
    assert_eq!(acl(&server), before);

    let child = spawn(&home, &[&user_for("10m")[..], &["--all-commands"]].concat());
    until("everything is taken away", || denied(&mut live, &["GET", "x"]));
    let ended = home.run(&["unthrottle", "redis:s", "--user", "batch"]);
    assert!(ended.ends(0).out.contains("exactly as before, on 1 server"), "{ended:?}");
    assert_eq!(document(end(&home, child).ends(0))["state"], "ended");
    assert_eq!(acl(&server), before);
}

#[test]
fn after_a_crash_the_next_larder_gives_it_back() {
    let server = server();
    let home = home(&server);
    let before = acl(&server);
    let mut live = login(&server);
    let child = spawn(&home, &user_for("2s"));
    until("the user is limited", || !may(&mut live));
    signal(&child, "-KILL");
    end(&home, child);
    assert_eq!(records(&home).len(), 1);
    // While its time is not over it stays.
    home.run(&["audit", "redis:s"]);
    assert!(!may(&mut live));
    let said = std::cell::RefCell::new(String::new());
    until("it is given back", || {
        *said.borrow_mut() += &home.run(&["status"]).err;
        may(&mut live)
    });
    assert!(said.borrow().contains("user batch was limited for longer than meant"), "{said:?}");
    assert_eq!(acl(&server), before);
    assert!(records(&home).is_empty());
}

#[test]
fn a_server_that_is_down_at_the_end_is_said_kept_and_asked_again() {
    let mut server = server();
    let home = home(&server);
    let mut live = login(&server);
    let child = spawn(&home, &user_for("10m"));
    until("the user is limited", || !may(&mut live));
    server.kill();
    signal(&child, "-INT");
    let ended = end(&home, child);
    let throttle = document(ended.ends(4));
    assert_eq!(throttle["nodes"][0]["state"], "not-restored");
    assert!(ended.err.contains("not given back yet: 127.0.0.1:"), "{ended:?}");
    assert_eq!(records(&home).len(), 1);
    let down = home.run(&["unthrottle", "redis:s", "--all", "-q"]);
    assert!(down.ends(6).out.contains("STILL LIMITED"), "{down:?}");
    server.restart();
    add_user(&server);
    let before = acl(&server);
    let ended = home.run(&["unthrottle", "redis:s", "--all"]);
    assert!(ended.ends(0).out.contains("had its rules back already"), "{ended:?}");
    assert_eq!(acl(&server), before);
    assert!(records(&home).is_empty());
}

#[test]
fn who_must_not_be_limited_is_not_and_mistakes_touch_nothing() {
    let server = server();
    let home = home(&server);
    let before = acl(&server);
    for (args, code, says) in [
        (&["--user", "default", "--for", "1m"][..], 3, "whoever does not log in"),
        (&["--user", "default", "--for", "1m", "--force"], 3, "larder itself"),
        (&["--user", "nobody", "--for", "1m"], 2, "knows no user nobody"),
        (&["--user", "batch"], 2, "--for"),
        (&["--for", "1m"], 2, "--user"),
        (&["--user", "batch", "--for", "0s"], 2, "no time"),
        (&["--user", "batch", "--for", "1m", "--deny", "keys ~*"], 2, "category"),
        (&["--user", "batch", "--for", "1m", "--deny", "nosuch"], 6, "nosuch"),
        (&["--client", "batch", "--for", "1m"], 2, "CLIENT LIST"),
        (&["--client", "999999", "--for", "1m"], 2, "no client 999999"),
    ] {
        let ran = home.run(&[&["throttle", "redis:s", "--yes"][..], args].concat());
        assert!(ran.ends(code).err.contains(says), "{args:?}: {ran:?}");
        assert_eq!(acl(&server), before, "{args:?}");
        assert!(records(&home).is_empty(), "{args:?}");
    }
    // Debug was taken away before. Since 7.2 a server keeps every word of a rule, so that a selector
    // which allows reading only is not known to be without it.
    let selector = if RedisProgram::here().knows((7, 2)) { "clearselectors" } else { "on" };
    assert_eq!(server.client().ask(&["ACL", "SETUSER", "batch", selector]).text(), "OK");
    let ran = home.run(&[&user_for("10m")[..], &["--deny", "debug"]].concat());
    assert_eq!(document(ran.ends(0))["state"], "needless");
    assert!(records(&home).is_empty());
}

#[test]
fn all_of_a_cluster_is_limited_and_a_node_that_is_down_is_named() {
    let mut cluster = RedisCluster::start();
    cluster.nodes.iter().for_each(add_user);
    let home = home(&cluster.nodes[0]);
    let before: Vec<_> = cluster.nodes.iter().map(acl).collect();
    let mut live: Vec<_> = cluster.nodes.iter().map(login).collect();
    let child = spawn(&home, &user_for("10m"));
    until("all are limited", || live.iter_mut().all(|live| !may(live)));
    let lost = cluster.nodes[2].port().to_string();
    cluster.nodes[2].kill();
    signal(&child, "-INT");
    let throttle = document(end(&home, child).ends(4));
    let states: Vec<_> = throttle["nodes"].as_array().unwrap().iter().collect();
    assert_eq!(states.len(), 3);
    for node in states {
        let down = node["address"].as_str().unwrap().ends_with(&lost);
        assert_eq!(node["state"], if down { "not-restored" } else { "restored" });
    }
    assert_eq!(acl(&cluster.nodes[0]), before[0]);
    assert_eq!(acl(&cluster.nodes[1]), before[1]);
}

#[test]
fn a_replica_is_limited_too_and_stays_so_through_a_failover_until_it_is_given_back() {
    let sentinel = RedisSentinel::start();
    sentinel.servers.iter().for_each(add_user);
    let home = Home::new();
    home.write("config/larder/config.toml", &format!("[redis.s]\nurl = \"{}\"\n", sentinel.url()));
    let before: Vec<_> = sentinel.servers.iter().map(acl).collect();
    let mut live: Vec<_> = sentinel.servers.iter().map(login).collect();
    let child = spawn(&home, &user_for("10m"));
    until("both are limited", || live.iter_mut().all(|live| !may(live)));
    sentinel.fail_over();
    // Who has become a replica has closed its connections.
    let mut live: Vec<_> = sentinel.servers.iter().map(login).collect();
    assert!(live.iter_mut().all(|live| !may(live)));
    let ended = home.run(&["unthrottle", "redis:s", "--user", "batch"]);
    assert!(ended.ends(0).out.contains("exactly as before, on 2 servers"), "{ended:?}");
    end(&home, child).ends(0);
    assert_eq!(sentinel.servers.iter().map(acl).collect::<Vec<_>>(), before);
    assert!(live.iter_mut().all(may));
}

#[test]
fn a_client_is_kept_out_for_a_time_and_one_without_a_name_goes_once() {
    let server = server();
    let home = home(&server);
    let named = || {
        let mut client = login(&server);
        client.ask(&["CLIENT", "SETNAME", "nightly"]);
        let id = client.ask(&["CLIENT", "ID"]).number();
        (client, id)
    };
    let (_first, id) = named();
    let is_there =
        |id: i64| server.client().ask(&["CLIENT", "LIST"]).text().contains(&format!("id={id} "));
    let id_text = id.to_string();
    let args = ["throttle", "redis:s", "--client", &id_text, "--for", "10m", "--yes", "--json"];
    let child = spawn(&home, &args);
    until("it is disconnected", || !is_there(id));
    let (_second, again) = named();
    until("it is disconnected again", || !is_there(again));
    let ended = home.run(&["unthrottle", "redis:s", "--client", &id_text]);
    ended.ends(0);
    let throttle = document(end(&home, child).ends(0));
    assert_eq!((&throttle["disconnected"], &throttle["state"]), (&2.into(), &"ended".into()));
    let (_third, third) = named();
    let mut nameless = login(&server);
    let id = nameless.ask(&["CLIENT", "ID"]).number();
    let once =
        home.run(&["throttle", "redis:s", "--client", &id.to_string(), "--for", "10m", "--yes"]);
    assert!(once.ends(0).out.contains("was disconnected 1 time"), "{once:?}");
    assert!(once.err.contains("disconnected once: without a name"), "{once:?}");
    assert!(!is_there(id) && is_there(third));
}

#[test]
fn long_scripts_end_also_where_the_server_is_at_one_already() {
    let server = RedisServer::with(&["--busy-reply-threshold", "200"]);
    add_user(&server);
    let home = home(&server);
    let mut script = login(&server);
    let spinning =
        std::thread::spawn(move || script.ask(&["EVAL", "while true do end", "0"]).text());
    until("the server is busy", || server.client().ask(&["PING"]).text().starts_with("-BUSY"));
    let busy = home.run(&["slowlog", "redis:s"]);
    assert!(busy.ends(6).err.contains("larder throttle redis:NAME --scripts"), "{busy:?}");
    let args = ["throttle", "redis:s", "--scripts", "--longer-than", "300ms", "--for", "2s"];
    let ran = home.run(&[&args[..], &["--yes", "--json"]].concat());
    let throttle = document(ran.ends(0));
    assert_eq!((&throttle["scripts_ended"], &throttle["scripts_left"]), (&1.into(), &0.into()));
    assert!(spinning.join().unwrap().contains("killed"));

    let mut writer = login(&server);
    let writes = "redis.call('SET', 'k', 'x') while true do end";
    writer.send(&["EVAL", writes, "0"]);
    until("the server is busy", || server.client().ask(&["PING"]).text().starts_with("-BUSY"));
    let ran = home.run(&[&args[..], &["--yes", "--json"]].concat());
    assert_eq!(document(ran.ends(4))["scripts_left"], 1);
    assert!(ran.err.contains("has written"), "{ran:?}");
}

#[test]
fn where_a_daemon_runs_it_gives_back() {
    let server = server();
    let home = home(&server);
    let text = home.read("config/larder/config.toml") + "[schedule]\nsample = \"1s\"\n";
    home.write("config/larder/config.toml", &text);
    let before = acl(&server);
    let mut live = login(&server);
    let daemon = spawn(&home, &["watch"]);
    // It opens the history after it took its lock.
    until("the daemon runs", || home.path().join("state/larder/history.db").exists());
    let ran = home.run(&user_for("2s"));
    assert_eq!(document(ran.ends(0))["state"], "in-force", "{ran:?}");
    assert!(!may(&mut live));
    until("the daemon has given back", || may(&mut live));
    until("nothing is written down", || records(&home).is_empty());
    assert_eq!(acl(&server), before);
    signal(&daemon, "-TERM");
    end(&home, daemon);
}
