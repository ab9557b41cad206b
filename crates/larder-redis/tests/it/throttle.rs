//! Users, clients and scripts that are limited for a while, on real servers.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use larder_core::{Event, Time};
use larder_redis::acl::Rules;
use larder_redis::throttle::{
    Deny, Lifted, NodeLimit, Teller, ThrottleError, UserLimit, lift, limit, survey,
};
use larder_redis::throttle_client::{self, disconnect, disconnect_again};
use larder_redis::throttle_scripts::{ScriptLook, ScriptWatch};
use larder_redis::{Deployment, Link, RedisError, Secret};
use larder_testkit::{RedisClient, RedisCluster, RedisProgram, RedisServer};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::endpoint;

fn wanted(user: &str, deny: Deny) -> UserLimit {
    UserLimit { user: user.to_owned(), deny, force: false }
}

fn costly() -> Deny {
    Deny::Costly(Vec::new())
}

/// The rules of each user. The order of single commands is not the same each time that a server
/// is asked, so they are in one of their own.
fn acl(server: &RedisServer) -> Vec<String> {
    let sorted = |line: String| {
        let mut words: Vec<&str> = line.split(' ').map(|w| w.trim_end_matches(')')).collect();
        words[2..].sort_unstable();
        words.join(" ")
    };
    raw_acl(server).into_iter().map(sorted).collect()
}

/// The same in the server's words.
fn raw_acl(server: &RedisServer) -> Vec<String> {
    let list = server.client().ask(&["ACL", "LIST"]).list();
    list.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
}

fn user(server: &RedisServer, name: &str, rules: &[&str]) {
    let answer = server.client().ask(&[&["ACL", "SETUSER", name][..], rules].concat()).text();
    assert_eq!(answer, "OK", "{rules:?}");
}

fn login(server: &RedisServer, user: &str) -> RedisClient {
    let mut client = server.client();
    assert_eq!(client.ask(&["AUTH", user, "hunter2"]).text(), "OK");
    client
}

fn heard<T>(work: impl FnOnce(&Teller<'_>) -> T) -> (T, Vec<Event>) {
    let events = RefCell::new(Vec::new());
    let say = |event: Event| events.borrow_mut().push(event);
    let now = || Time::from_unix(1_795_000_000);
    let teller = Teller { cache: "redis:t", trace_id: "7f3a", now: &now, say: &say };
    let made = work(&teller);
    (made, events.into_inner())
}

/// Limits the user of this server; what was done on each of its nodes.
fn limited(server: &RedisServer, wanted: &UserLimit, earlier: &[NodeLimit]) -> Vec<NodeLimit> {
    let deployment = Deployment::discover(&endpoint(server)).unwrap();
    let mut survey = survey(&deployment, wanted, earlier).unwrap();
    let before = acl(server);
    assert_eq!(before, acl(server), "a survey changes nothing");
    let ((), events) = heard(|teller| limit(&mut survey, wanted, teller));
    assert_eq!(survey.failed, []);
    assert!(events.iter().all(|event| event.kind == "limited" && event.trace_id == "7f3a"));
    survey.nodes
}

fn lifted(server: &RedisServer, user: &str, nodes: &[NodeLimit]) -> Vec<Lifted> {
    let lift = |node| heard(|teller| lift(&endpoint(server), user, node, teller)).0.unwrap();
    nodes.iter().map(lift).collect()
}

#[test]
fn a_limit_hits_live_connections_and_is_lifted_to_exactly_what_was() {
    let server = RedisServer::start();
    let all: [&[&str]; 6] = [
        &["on", ">hunter2", "~*", "&*", "+@all"],
        &[
            "on",
            ">hunter2",
            ">second",
            "~temp:*",
            "%R~ro:*",
            "resetchannels",
            "&news:*",
            "+@all",
            "-@admin",
            "+config|get",
        ],
        &["on", ">hunter2", "~a:*", "+@read", "+keys", "-@slow", "+scan", "+keys", "+auth"],
        &["on", ">hunter2", "~*", "+@all", "-debug", "-keys", "skip-sanitize-payload"],
        &["on", ">hunter2", "-@all", "+ping", "(~s:* &c +@set -sadd)", "(%W~w:(x) +@write +keys)"],
        &["off", "nopass", "~*", "resetchannels", "-@all", "+@connection", "+select|0"],
    ];
    for (at, rules) in all.iter().enumerate() {
        let name = format!("u{at}");
        user(&server, &name, &RedisProgram::here().understood(rules));
        // What a description loses is lost once, before anything is compared.
        let before = acl(&server);
        for deny in [costly(), Deny::Named(vec!["@read".into(), "ping".into()]), Deny::Everything] {
            let nodes = limited(&server, &wanted(&name, deny.clone()), &[]);
            let during = acl(&server);
            let others = |lines: &[String]| -> Vec<String> {
                let of = format!("user {name} ");
                lines.iter().filter(|line| !line.starts_with(&of)).cloned().collect()
            };
            assert_eq!(others(&before), others(&during), "somebody else was hit");
            assert!(deny == costly() || before != during, "{rules:?} {deny:?}");
            let how = lifted(&server, &name, &nodes);
            assert_eq!(before, acl(&server), "{rules:?} {deny:?}");
            assert!(how == [Lifted::Restored] || before == during, "{how:?}");
            assert_eq!(lifted(&server, &name, &nodes), [Lifted::Already]);
        }
    }
}

/// Rules as administrators pile them up.
fn any_rules() -> impl Strategy<Value = Vec<String>> {
    let command = prop::sample::select(vec![
        "@all",
        "@read",
        "@write",
        "@dangerous",
        "@admin",
        "@slow",
        "@keyspace",
        "keys",
        "sort",
        "config",
        "config|get",
        "config|set",
        "client",
        "client|list",
        "get",
        "smembers",
        "debug",
        "sunion",
        "eval",
        "select",
    ]);
    let commands = prop::collection::vec((any::<bool>(), command), 0..7).prop_map(|words| {
        let sign = |on| if on { '+' } else { '-' };
        words.into_iter().map(|(on, name)| format!("{}{name}", sign(on))).collect::<Vec<_>>()
    });
    let selector = (commands.clone(), any::<bool>()).prop_map(|(commands, channels)| {
        let channels = if channels { " &news:*" } else { "" };
        format!("(~s:* %R~r:*{channels} {})", commands.join(" ")).replace(" )", ")")
    });
    (commands, prop::collection::vec(selector, 0..3))
        .prop_map(|(commands, selectors)| [commands, selectors].concat())
}

#[test]
fn whatever_the_rules_are_they_come_back_exactly() {
    let server = RedisServer::start();
    let mut runner =
        TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let part = if RedisProgram::here().knows((7, 0)) { "config|get" } else { "config" };
    let deny = prop::sample::select(vec![
        costly(),
        Deny::Everything,
        Deny::Named(vec!["@dangerous".into(), part.into()]),
        Deny::Named(vec!["@read".into(), "select".into(), "config".into()]),
    ]);
    let made = runner.run(&(any_rules(), deny), |(rules, deny)| {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let rules = RedisProgram::here().understood(&rules);
        user(&server, "u", &[&["reset", "on", ">hunter2", "~*"][..], &rules].concat());
        let before = acl(&server);
        let nodes = limited(&server, &wanted("u", deny), &[]);
        lifted(&server, "u", &nodes);
        prop_assert_eq!(before, acl(&server));
        Ok(())
    });
    made.unwrap();
}

#[test]
fn only_what_was_taken_away_is_refused_also_through_a_selector_and_a_script() {
    let server = RedisServer::start();
    // Before 7.0 there is no selector; there the one rule has it all.
    let rules: &[&str] = if RedisProgram::here().knows((7, 0)) {
        &["on", ">hunter2", "~temp:*", "+@all", "-smembers", "(~s:* +@set +@dangerous)"]
    } else {
        &["on", ">hunter2", "~temp:*", "~s:*", "+@all"]
    };
    user(&server, "batch", rules);
    let mut live = login(&server, "batch");
    live.ask(&["SADD", "s:1", "a"]);
    assert_eq!(live.ask(&["KEYS", "s:*"]).list().len(), 1);
    let deny = Deny::Costly(vec!["smembers".to_owned()]);
    let nodes = limited(&server, &wanted("batch", deny), &[]);
    for refused in
        [&["KEYS", "*"][..], &["SMEMBERS", "s:1"], &["FLUSHALL"], &["SUNION", "s:1", "s:2"]]
    {
        assert!(live.ask(refused).text().starts_with("-NOPERM"), "{refused:?}");
    }
    let script = live.ask(&["EVAL", "return redis.call('KEYS', '*')", "0"]).text();
    // In other words since 7.2.
    let refused = ["can't run this command", "no permissions to run"];
    assert!(refused.iter().any(|words| script.contains(words)), "{script}");
    // It is limited, not cut off.
    assert_eq!(live.ask(&["SET", "temp:1", "x"]).text(), "OK");
    assert_eq!(live.ask(&["SCARD", "s:1"]).number(), 1);
    assert!(login(&server, "batch").ask(&["SORT", "temp:l"]).text().starts_with("-NOPERM"));
    assert_eq!(lifted(&server, "batch", &nodes), [Lifted::Restored]);
    assert_eq!(live.ask(&["SMEMBERS", "s:1"]).list().len(), 1);
}

#[test]
fn the_first_saved_rules_win_and_a_change_in_between_stays() {
    let server = RedisServer::start();
    user(&server, "batch", &["on", ">hunter2", "~*", "+@all", "-debug"]);
    let before = acl(&server);
    let first = limited(&server, &wanted("batch", Deny::Named(vec!["keys".into()])), &[]);
    let second = limited(&server, &wanted("batch", Deny::Named(vec!["sort".into()])), &first);
    assert_eq!(second[0].saved, first[0].saved);
    assert_eq!(second[0].denied, ["keys", "sort"]);
    // An administrator turns the password over and forbids one more command.
    user(&server, "batch", &["<hunter2", ">hunter3", "-getset"]);
    assert_eq!(lifted(&server, "batch", &second), [Lifted::Merged]);
    let after = raw_acl(&server);
    let line = after.iter().find(|line| line.starts_with("user batch ")).unwrap();
    // In which order they are told changes with every start of a server.
    let ends = [" +@all -getset -debug", " +@all -debug -getset"];
    assert!(ends.iter().any(|end| line.ends_with(end)), "{line}");
    assert_ne!(before, acl(&server));
    assert_eq!(server.client().ask(&["AUTH", "batch", "hunter3"]).text(), "OK");
    // Nobody who was removed meanwhile comes back.
    let nodes = limited(&server, &wanted("batch", costly()), &[]);
    server.client().ask(&["ACL", "DELUSER", "batch"]);
    assert_eq!(lifted(&server, "batch", &nodes), [Lifted::Gone]);
    assert!(acl(&server).iter().all(|line| !line.starts_with("user batch")));
}

#[test]
fn larder_servers_and_default_are_not_limited_and_a_missing_right_is_named() {
    let server = RedisServer::start();
    let deployment = Deployment::discover(&endpoint(&server)).unwrap();
    let look = |name: &str, force| {
        let wanted = UserLimit { force, ..wanted(name, costly()) };
        survey(&deployment, &wanted, &[]).map(|survey| survey.nodes.len())
    };
    assert_eq!(look("default", false), Err(ThrottleError::Default));
    assert!(matches!(look("default", true), Err(ThrottleError::OurOwn { .. })));
    assert!(matches!(look("nobody", false), Err(ThrottleError::NoUser { .. })));

    user(&server, "repl", &["on", ">hunter2", "+psync", "+replconf", "+ping"]);
    let port = server.port().to_string();
    let replica = RedisServer::with(&[
        "--replicaof",
        "127.0.0.1",
        &port,
        "--masteruser",
        "repl",
        "--masterauth",
        "hunter2",
    ]);
    let until = Instant::now() + Duration::from_secs(20);
    while !replica.client().ask(&["INFO", "replication"]).text().contains("link_status:up") {
        assert!(Instant::now() < until, "the replica never came in step");
        std::thread::sleep(Duration::from_millis(20));
    }
    let error = look("repl", false).unwrap_err();
    assert!(matches!(error, ThrottleError::OfServers { .. }), "{error}");

    user(
        &server,
        "guest",
        &["on", ">hunter2", "+info", "+ping", "+acl|whoami", "+acl|getuser", "+client"],
    );
    user(&server, "batch", &["on", ">hunter2", "~*", "+@all"]);
    let mut place = endpoint(&server);
    place.user = Some("guest".to_owned());
    place.password = Some(Secret::new("hunter2"));
    let deployment = Deployment::alone(&place);
    let wanted = wanted("batch", costly());
    let mut survey = survey(&deployment, &wanted, &[]).unwrap();
    let ((), events) = heard(|teller| limit(&mut survey, &wanted, teller));
    assert_eq!(survey.nodes, [], "what is not limited has not to be lifted");
    assert!(
        survey.failed[0].1.to_string().ends_with("it takes: +acl|setuser"),
        "{:?}",
        survey.failed
    );
    assert_eq!(events[0].kind, "not-limited");
}

#[test]
fn every_master_and_replica_of_a_cluster_is_limited_and_one_that_is_down_is_named() {
    let mut cluster = RedisCluster::start();
    for node in &cluster.nodes {
        user(node, "batch", &["on", ">hunter2", "~*", "+@all"]);
    }
    let before = acl(&cluster.nodes[0]);
    let nodes = limited(&cluster.nodes[0], &wanted("batch", costly()), &[]);
    assert_eq!(nodes.len(), 3);
    for node in &cluster.nodes {
        assert!(login(node, "batch").ask(&["KEYS", "*"]).text().starts_with("-NOPERM"));
    }
    cluster.nodes[2].kill();
    let seed = endpoint(&cluster.nodes[0]);
    let down = cluster.nodes[2].port().to_string();
    for node in &nodes {
        let (lifted, events) = heard(|teller| lift(&seed, "batch", node, teller));
        match lifted {
            Ok(how) => assert_eq!(how, Lifted::Restored),
            Err(error) => {
                assert!(matches!(error, RedisError::Unreachable { .. }));
                assert!(node.address.ends_with(&down), "{error}");
                assert_eq!(events[0].kind, "limit-not-lifted");
            }
        }
    }
    assert_eq!(acl(&cluster.nodes[0]), before);
    assert_eq!(acl(&cluster.nodes[1]), before);
}

#[test]
fn an_older_server_is_not_asked_for_what_it_does_not_know() {
    // Stands for a command of a later version: this server does not know it either.
    let server = RedisServer::start();
    user(&server, "batch", &["on", ">hunter2", "~*", "+@all"]);
    let deny = Deny::Costly(vec!["zfuture".to_owned()]);
    let nodes = limited(&server, &wanted("batch", deny), &[]);
    assert!(!nodes[0].denied.contains(&"zfuture".to_owned()));
    assert!(nodes[0].denied.contains(&"keys".to_owned()));
    // What a person named is not left out in silence.
    let deployment = Deployment::discover(&endpoint(&server)).unwrap();
    let wanted = wanted("batch", Deny::Named(vec!["zfuture".to_owned()]));
    let mut survey = survey(&deployment, &wanted, &nodes).unwrap();
    heard(|teller| limit(&mut survey, &wanted, teller));
    assert!(survey.failed[0].1.to_string().contains("zfuture"), "{:?}", survey.failed);
}

#[test]
fn a_client_is_disconnected_whenever_it_comes_back_and_nobody_else_is() {
    let server = RedisServer::start();
    user(&server, "batch", &["on", ">hunter2", "~*", "+@all"]);
    let connect = |name: &str| {
        let mut client = login(&server, "batch");
        client.ask(&["CLIENT", "SETNAME", name]);
        let id = client.ask(&["CLIENT", "ID"]).number();
        (client, u64::try_from(id).unwrap())
    };
    let (mut neighbour, _) = connect("nightly");
    let (_gone, id) = connect("nightly");
    let (mut other, _) = connect("web");
    let deployment = Deployment::discover(&endpoint(&server)).unwrap();
    let found = throttle_client::find(&deployment, id, None).unwrap();
    throttle_client::check(&found).unwrap();
    let mut link = Link::open(&found.server, "test").unwrap();
    assert_eq!(disconnect(&mut link, &found.client), Ok(true));
    assert_eq!(disconnect(&mut link, &found.client), Ok(false), "it was there twice");
    assert!(throttle_client::find(&deployment, id, None).is_err());
    let (_back, back) = connect("nightly");
    let again = disconnect_again(&mut link, &found.client).unwrap();
    assert_eq!(again.iter().map(|client| client.id).collect::<Vec<_>>(), [back]);
    assert_eq!(disconnect_again(&mut link, &found.client).unwrap(), []);
    // Who was there before, and who is somebody else, stays.
    assert_eq!(neighbour.ask(&["PING"]).text(), "PONG");
    assert_eq!(other.ask(&["PING"]).text(), "PONG");
    let ours = throttle_client::find(
        &deployment,
        {
            let id: i64 = link.ask(redis::cmd("CLIENT").arg("ID")).unwrap();
            u64::try_from(id).unwrap()
        },
        None,
    )
    .unwrap();
    assert!(throttle_client::check(&ours).is_err());
}

#[test]
fn a_script_that_wrote_nothing_is_ended_and_one_that_wrote_is_not() {
    let server = RedisServer::with(&["--busy-reply-threshold", "100"]);
    let mut watch = ScriptWatch::new(Link::open(&endpoint(&server), "test").unwrap());
    assert_eq!(watch.threshold(), Duration::from_millis(100));
    assert_eq!(watch.look(Duration::ZERO), Ok(ScriptLook::Idle));
    let spin = "while true do end";
    let ask = |words: &'static [&'static str]| {
        let mut client = server.client();
        std::thread::spawn(move || client.ask(words).text())
    };
    let mut until = |limit: Duration, wanted: &dyn Fn(&ScriptLook) -> bool| {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let look = watch.look(limit).unwrap();
            if wanted(&look) {
                break look;
            }
            assert!(Instant::now() < end, "{look:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let script = ask(&["EVAL", "while true do end", "0"]);
    until(Duration::from_hours(1), &|look| matches!(look, ScriptLook::Running(_)));
    let ended = until(Duration::from_millis(300), &|look| matches!(look, ScriptLook::Ended(_)));
    assert!(matches!(ended, ScriptLook::Ended(ran) if ran >= Duration::from_millis(300)));
    assert!(script.join().unwrap().contains("killed"));

    if RedisProgram::here().knows((7, 0)) {
        let library = format!(
            "#!lua name=l\nredis.register_function{{function_name='spin', callback=function() {spin} end, flags={{'no-writes'}}}}"
        );
        assert_eq!(server.client().ask(&["FUNCTION", "LOAD", &library]).text(), "l");
        let function = ask(&["FCALL", "spin", "0"]);
        until(Duration::ZERO, &|look| matches!(look, ScriptLook::Ended(_)));
        assert!(function.join().unwrap().contains("killed"));
    }

    let writes = "redis.call('SET', 'k', 'x') while true do end";
    let mut busy = server.client();
    busy.send(&["EVAL", writes, "0"]);
    until(Duration::ZERO, &|look| matches!(look, ScriptLook::Unkillable(_)));
    // A server that is busy says so to whoever comes.
    let error = Deployment::discover(&endpoint(&server)).unwrap_err();
    assert!(matches!(error, RedisError::Busy { .. }), "{error:?}");
}

#[test]
fn hashes_of_passwords_are_in_nothing_that_is_kept() {
    let server = RedisServer::start();
    user(&server, "batch", &["on", ">hunter2", "~*", "+@all"]);
    let mut link = Link::open(&endpoint(&server), "test").unwrap();
    let rules = Rules::ask(&mut link, "batch").unwrap().unwrap();
    assert_eq!(rules.text(), "+@all");
    assert_eq!(Rules::ask(&mut link, "nobody"), Ok(None));
    let nodes = limited(&server, &wanted("batch", costly()), &[]);
    // The SHA-256 of hunter2 begins so.
    assert!(acl(&server).concat().contains("f52fbd32"));
    assert!(!format!("{nodes:?}").contains("f52fbd32"));
}
