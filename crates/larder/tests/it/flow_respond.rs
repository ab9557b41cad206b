//! The answer to a sick Redis: its slow log is read, who blocks it is limited and gets its rights
//! back in time, whatever happens to larder meanwhile; otherwise its keys are analysed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use larder_history::{Metric, Range, Reader, Series as _, Source};
use larder_testkit::{Answer, GoSandbox, RedisClient, RedisProgram, RedisServer};
use serde_json::Value;

use crate::alert_kit::*;
use crate::flow::larder;
use crate::flow_watch::Build;

/// A server with enough keys for KEYS to be slow, and a user who sends it.
fn server() -> RedisServer {
    let server = RedisServer::with(&["--maxmemory", "200mb", "--slowlog-log-slower-than", "1000"]);
    let mut client = server.client();
    client.ask(&["DEBUG", "POPULATE", "60000", "report"]);
    client.ask(&["SLOWLOG", "RESET"]);
    let rules = ["on", ">hunter2", "~*", "&*", "+@all", "-debug", "(%R~ro:* +@read)"];
    let rules = RedisProgram::here().understood(&rules);
    assert_eq!(client.ask(&[&["ACL", "SETUSER", "batch"][..], &rules].concat()).text(), "OK");
    server
}

fn acl(redis: &Loaded) -> Vec<Vec<u8>> {
    redis.client().ask(&["ACL", "LIST"]).list()
}

fn login(redis: &Loaded) -> RedisClient {
    let mut client = redis.client();
    assert_eq!(client.ask(&["AUTH", "batch", "hunter2"]).text(), "OK");
    client
}

fn blocks(client: &mut RedisClient) -> bool {
    !matches!(client.ask(&["KEYS", "report:1*"]), Answer::Line(line) if line.starts_with("-NOPERM"))
}

fn watched(redis: &Loaded, inbox: &Inbox, respond: &str) -> String {
    format!(
        "[schedule]\nsample = \"1s\"\n[alert]\nfor = \"1s\"\n\
         [redis.s]\nurl = \"{}\"\n[redis.s.respond]\n{respond}\n\
         [notify.hook]\nkind = \"webhook\"\nurl = \"{}\"\n",
        redis.server.url(),
        inbox.url()
    )
}

/// Makes it sick while the user blocks it, until an alert is raised.
fn raise(redis: &Loaded, batch: &mut RedisClient, inbox: &Inbox) {
    let before = inbox.of("raised").len();
    redis.sick(true);
    until("it is raised", || {
        blocks(batch);
        inbox.of("raised").len() > before
    });
}

/// A Redis with a user who blocks it, and a daemon that watches it.
struct Case {
    redis: Loaded,
    inbox: Inbox,
    sandbox: GoSandbox,
    batch: RedisClient,
    /// The rules of all users.
    before: Vec<Vec<u8>>,
    daemon: Daemon,
}

impl Case {
    fn watched(respond: &str) -> Self {
        let redis = Loaded::of(server());
        let inbox = Inbox::new();
        let sandbox = GoSandbox::new();
        settings(&sandbox, &watched(&redis, &inbox, respond));
        let before = acl(&redis);
        let batch = login(&redis);
        let daemon = Daemon::watch(&sandbox);
        until("it watches", || said(&sandbox).contains(" watches"));
        Self { redis, inbox, sandbox, batch, before, daemon }
    }

    /// The same, with its user limited.
    fn limited(respond: &str) -> Self {
        let mut case = Self::watched(respond);
        raise(&case.redis, &mut case.batch, &case.inbox);
        until("the user is limited", || !blocks(&mut case.batch));
        case
    }
}

#[test]
fn who_blocks_it_is_limited_told_of_and_gets_its_rights_back_in_time() {
    let respond = "throttle-users = [\"batch\"]\nthrottle-for = \"4s\"\ncool-down = \"1h\"";
    let Case { redis, inbox, sandbox, mut batch, before, daemon } = Case::limited(respond);
    let limited = Instant::now();
    // Limited, not cut off.
    assert_eq!(batch.ask(&["SET", "x", "1"]).text(), "OK");
    let changed = wait_for("the developers are told", || inbox.of("changed").first().cloned());
    let alert = &changed["alerts"][0];
    let done = alert["done"][0].as_str().unwrap();
    assert!(
        done.contains("user batch limited until")
            && done.contains("larder unthrottle redis:s --user batch"),
        "{done}"
    );
    assert!(
        alert["details"][0].as_str().unwrap().contains("KEYS report:1* from 127.0.0.1"),
        "{alert:#}"
    );
    until("it may again", || blocks(&mut batch));
    let held = limited.elapsed();
    assert!(held < Duration::from_millis(5500), "it was limited for {held:?}");
    assert_eq!(acl(&redis), before, "the rules are not as they were");
    let over = |notice: &Value| notice["alerts"][0]["done"].to_string().contains("limited no more");
    until("the developers are told that it is over", || inbox.of("changed").iter().any(over));
    until("it stands with the alert", || {
        alerts(&sandbox).first().is_some_and(|alert| alert["done"].to_string().contains("no more"))
    });

    // Sick again within the cool-down: the decision not to act is an event too.
    redis.sick(false);
    until("it is over", || !inbox.of("cleared").is_empty());
    raise(&redis, &mut batch, &inbox);
    let left = wait_for("it is left alone", || events_of(&sandbox, "not-throttled").pop());
    assert!(left["message"].as_str().unwrap().contains("cools down"), "{left}");
    assert_eq!(left["data"]["user"], "batch");
    assert!(blocks(&mut batch));
    // Every step of one answer has one trace.
    let throttled = events_of(&sandbox, "throttled").pop().unwrap();
    let traced: Vec<String> = events(&sandbox)
        .iter()
        .filter(|event| event["trace_id"] == throttled["trace_id"])
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect();
    assert!(traced.contains(&"respond".to_owned()) && traced.len() >= 2, "{traced:?}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn nobody_is_limited_more_often_in_a_day_than_is_allowed() {
    let respond =
        "throttle-users = [\"batch\"]\nthrottle-for = \"1s\"\ncool-down = \"1s\"\nper-day = 1";
    let Case { redis, inbox, sandbox, mut batch, before, daemon } = Case::limited(respond);
    until("it may again", || blocks(&mut batch));
    redis.sick(false);
    until("it is over", || !inbox.of("cleared").is_empty());
    raise(&redis, &mut batch, &inbox);
    let left = wait_for("it is left alone", || events_of(&sandbox, "not-throttled").pop());
    assert!(left["message"].as_str().unwrap().contains("in a day"), "{left}");
    assert!(blocks(&mut batch));
    assert_eq!(acl(&redis), before);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_sick_redis_waits_for_no_build() {
    if !larder_testkit::has_go() {
        eprintln!("NOT TESTED: there is no go command");
        return;
    }
    let redis = Loaded::of(server());
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let build = Build::start(&sandbox);
    let respond = "throttle-users = [\"batch\"]\nthrottle-for = \"2s\"";
    let over = "[build]\nmax-size = \"100kB\"\n[watch]\nwait-for-builds = \"10m\"\n";
    settings(&sandbox, &(over.to_owned() + &watched(&redis, &inbox, respond)));
    let mut batch = login(&redis);
    let daemon = Daemon::watch(&sandbox);
    until("a prune waits", || !events_of(&sandbox, "waits-for-builds").is_empty());
    redis.sick(true);
    until("the user is limited", || !blocks(&mut batch));
    assert!(events_of(&sandbox, "cleaned").is_empty(), "the build is over");
    assert_eq!(daemon.stop(), Some(0));
    build.end();
}

#[test]
fn killed_while_somebody_is_limited_the_limit_ends_at_its_time_all_the_same() {
    let respond = "throttle-users = [\"batch\"]\nthrottle-for = \"4s\"";
    let Case { redis, inbox: _inbox, sandbox, mut batch, before, daemon } = Case::limited(respond);
    let limited = Instant::now();
    until("it is recorded", || !events_of(&sandbox, "throttled").is_empty());
    daemon.kill();
    // No daemon and no command comes to its help.
    until("it may again", || blocks(&mut batch));
    let held = limited.elapsed();
    assert!(held < Duration::from_secs(8), "it was limited for {held:?}");
    assert_eq!(acl(&redis), before);
    until("that it ended is recorded", || !events_of(&sandbox, "unthrottled").is_empty());
}

#[test]
fn killed_with_its_guard_the_next_daemon_ends_the_limit() {
    let respond = "throttle-users = [\"batch\"]\nthrottle-for = \"5s\"";
    let Case { redis, inbox: _inbox, sandbox, mut batch, before, daemon } = Case::limited(respond);
    until("it is recorded", || !events_of(&sandbox, "throttled").is_empty());
    let guards = children(daemon.id());
    assert_eq!(guards.len(), 1, "{guards:?}");
    guards.iter().for_each(|guard| signal(*guard, "-KILL"));
    daemon.kill();
    assert!(!blocks(&mut batch), "nobody has ended it");
    std::thread::sleep(Duration::from_secs(5));
    assert!(!blocks(&mut batch), "nobody is there to end it");
    let daemon = Daemon::watch(&sandbox);
    let begun = Instant::now();
    until("it may again", || blocks(&mut batch));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(acl(&redis), before);
    assert_eq!(daemon.stop(), Some(0));
}

/// Processes that a process started.
fn children(id: u32) -> Vec<u32> {
    let output =
        std::process::Command::new("pgrep").args(["-P", &id.to_string()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn where_nothing_blocks_it_the_distribution_of_its_keys_is_attached() {
    let case = Case::watched("per-day = 1\ncool-down = \"1s\"");
    let Case { redis, inbox, sandbox, daemon, .. } = case;
    redis.sick(true);
    until("it is raised", || !inbox.of("raised").is_empty());
    let raised = larder_fs::now();
    let changed = wait_for("it is told", || inbox.of("changed").first().cloned());
    let details = changed["alerts"][0]["details"].to_string();
    assert!(details.contains("report:") && details.contains("60000 keys"), "{details}");
    assert_eq!(inbox.occasions()[..2], ["raised", "changed"]);
    let shown = larder(&sandbox, &["alerts"]);
    assert!(shown.out.contains("60000 keys"), "{}", shown.out);
    // Two more rounds with what the analysis itself looked up.
    std::thread::sleep(Duration::from_millis(2500));
    let analysed = events_of(&sandbox, "analysed").pop().unwrap();
    assert!(analysed["data"]["line0"].as_str().unwrap().contains("report:"), "{analysed}");
    assert_eq!(daemon.stop(), Some(0));
    // The server counts what the analysis looked up as hits, and nothing looks well for it.
    let reader = Reader::new(&state(&sandbox).join("history.db"));
    let range = Range { since: raised, until: larder_fs::now(), most: 1000 };
    let rates = reader.series(&Source::here("redis:s"), Metric::HitRate, range).unwrap();
    assert!(rates.len() >= 3 && rates.iter().all(|rate| rate.value < 0.2), "{rates:?}");
}

/// Writes more than fits, for as long as it lives.
struct Writes {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writes {
    fn to(redis: &Loaded) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (own, mut client) = (Arc::clone(&stop), redis.client());
        let value = "x".repeat(1000);
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !own.load(Ordering::Relaxed) {
                let keys: Vec<String> =
                    (number..number + 500).map(|n| format!("session:{n}")).collect();
                let sets: Vec<Vec<&str>> =
                    keys.iter().map(|key| vec!["SET", key, &value]).collect();
                client.ask_all(&sets);
                number += 500;
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn where_keys_have_to_go_it_is_told_which_and_what_makes_room() {
    let full = ["--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"];
    let redis = Loaded::of(RedisServer::with(&full));
    let inbox = Inbox::new();
    let sandbox = GoSandbox::new();
    settings(&sandbox, &watched(&redis, &inbox, "cool-down = \"1s\""));
    let writes = Writes::to(&redis);
    redis.sick(true);
    let daemon = Daemon::watch(&sandbox);
    let event = wait_for("it is found out", || events_of(&sandbox, "evictions").pop());
    let data = &event["data"];
    let number = |name: &str| data[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(number("evicted_keys") > 100 && number("over_seconds") < 600, "{event:#}");
    assert_eq!((number("max_bytes"), &data["policy"]), (8 << 20, &"allkeys-lru".into()));
    assert!(number("used_bytes") > 6 << 20 && number("prefix_bytes") > 3 << 20, "{event:#}");
    assert_eq!(data["prefix"], "session:{n}");
    assert!(event["message"].as_str().unwrap().starts_with("memory is full: "), "{event:#}");
    // It belongs to the answer to this alert.
    let trace = |kind: &str| events_of(&sandbox, kind).first().unwrap()["trace_id"].clone();
    assert_eq!(event["trace_id"], trace("respond"));
    let told = wait_for("everybody is told", || {
        let told = inbox.got().into_iter().map(|got| got.body);
        told.into_iter().find(|body| body["alerts"][0]["details"][0].is_string())
    });
    let details: Vec<&str> = told["alerts"][0]["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d.as_str().unwrap())
        .collect();
    let evicted = details[0];
    assert!(evicted.contains(" keys were evicted in ") && evicted.contains(" by allkeys-lru, "));
    assert!(details[1].starts_with("session:{n} holds most: "), "{details:#?}");
    let port = redis.server.port();
    assert_eq!(
        details[2..5],
        [
            "makes room: larder expire redis:s --match 'session:*' --ttl 24h --jitter 10% \
             --only-persistent",
            "makes room: larder clean redis:s --match 'session:*' -n",
            &format!("makes room: redis-cli -h 127.0.0.1 -p {port} CONFIG SET maxmemory 12mb"),
        ]
    );
    assert_eq!(data["command1"], "larder clean redis:s --match 'session:*' -n");
    // By itself it changed nothing of it, and what it names can be typed.
    drop(writes);
    larder(&sandbox, &["clean", "redis:s", "--match", "session:*", "-n"]).ends(0);
    assert!(redis.client().ask(&["DBSIZE"]).number() > 1000);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn somebody_who_may_not_be_limited_is_left_with_the_reason() {
    let case = Case::watched("throttle-users = [\"other\"]");
    let Case { redis, inbox, sandbox, mut batch, before, daemon } = case;
    raise(&redis, &mut batch, &inbox);
    let left = wait_for("it is left", || events_of(&sandbox, "not-throttled").pop());
    assert!(
        left["message"].as_str().unwrap().contains("batch is not among respond.throttle-users")
    );
    assert_eq!(left["data"]["pattern"], "KEYS report:1*");
    assert_eq!(acl(&redis), before);
    assert_eq!(daemon.stop(), Some(0));
}
