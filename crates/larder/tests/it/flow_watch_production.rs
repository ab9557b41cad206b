//! `larder watch` where nothing goes without somebody's word: plans that wait, are approved, are
//! applied in their hours with the trash on, and can be taken back.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use larder_testkit::{GoSandbox, RedisServer, fake_gocache};
use serde_json::Value;

use crate::daemon_kit::{
    Daemon, command, get, history, kind, logged, post, settings, state, until,
};
use crate::flow::{age, caches, document, ending, larder, same, untouched};

const DAY: Duration = Duration::from_secs(86_400);

/// A production machine whose build cache has entries that are to go.
fn production(more: &str) -> GoSandbox {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 60);
    for end in ["-a", "-d"] {
        ending(&sandbox.gocache(), end).iter().for_each(|file| age(file, 10 * DAY));
    }
    settings(&sandbox, &format!("profile = \"production\"\n{more}"));
    sandbox
}

/// What waits.
fn plans(sandbox: &GoSandbox) -> Vec<Value> {
    document(sandbox, "plans/1", 0, &["plans"])["plans"].as_array().unwrap().clone()
}

fn id(plan: &Value) -> String {
    plan["id"].as_str().unwrap().to_owned()
}

fn file(sandbox: &GoSandbox, id: &str) -> PathBuf {
    state(sandbox).join(format!("plans/{id}.json"))
}

fn words(events: &[Value]) -> Vec<&str> {
    events.iter().map(kind).collect()
}

fn outputs(sandbox: &GoSandbox) -> usize {
    ending(&sandbox.gocache(), "-d").len()
}

#[test]
fn a_plan_waits_is_approved_applied_by_the_next_round_and_taken_back() {
    let sandbox = production("");
    let before = caches(&sandbox);
    let first = logged(&sandbox, 0, &["watch", "--once"]);
    untouched(&sandbox, &before);
    let plan = id(&plans(&sandbox)[0]);
    let waits = first.iter().find(|e| kind(e) == "plan-waits").expect("a plan waits");
    assert_eq!(waits["larder.plan_id"], *plan);
    assert_eq!(waits["labels"]["path"], file(&sandbox, &plan).display().to_string());
    // The next round neither replaces nor doubles what somebody was told of.
    let again = logged(&sandbox, 0, &["watch", "--once"]);
    assert!(words(&again).contains(&"plan-still-waits"), "{again:#?}");
    assert_eq!(plans(&sandbox).len(), 1);
    assert_eq!(id(&plans(&sandbox)[0]), plan);
    untouched(&sandbox, &before);

    let approved = larder(&sandbox, &["approve", &plan, "--yes"]);
    assert!(approved.ends(0).err.contains(&format!("larder apply {plan}")), "{approved:?}");
    let applied = logged(&sandbox, 0, &["watch", "--once"]);
    assert!(words(&applied).contains(&"plan-applied"), "{applied:#?}");
    assert_eq!(outputs(&sandbox), 0);
    let still = plans(&sandbox);
    assert!(still.iter().all(|one| id(one) != plan), "{still:#?}");
    let cleaned = applied.iter().find(|e| kind(e) == "cleaned").expect("it was cleaned");
    assert_eq!(cleaned["larder.plan_id"], *plan);
    let trash = cleaned["labels"]["trash_id"].as_str().expect("the trash is on").to_owned();
    larder(&sandbox, &["trash", "restore", &trash]).ends(0);
    untouched(&sandbox, &before);
    let kinds: Vec<String> =
        history(&sandbox).iter().map(|e| e["kind"].as_str().unwrap().to_owned()).collect();
    let place = |word: &str| kinds.iter().position(|kind| kind == word).expect(word);
    assert!(place("plan-waits") < place("plan-applied"), "{kinds:?}");
    assert!(place("plan-applied") < place("cleaned"), "{kinds:?}");
}

#[test]
fn a_running_daemon_applies_what_was_approved_in_its_hours_only() {
    // Hours that are not now, in UTC, which is the sandbox's time zone.
    let hour = larder_core_hour();
    let (from, to) = ((hour + 6) % 24, (hour + 8) % 24);
    let closed = format!("[watch]\nwindow = \"{from:02}:00-{to:02}:00\"\n");
    let sandbox = production(&closed);
    let daemon = Daemon::serve(&sandbox);
    larder(&sandbox, &["watch", "--once", "--trigger", "deploy"]).ends(0);
    let waits = daemon.event("plan-waits");
    let plan = waits["larder.plan_id"].as_str().unwrap().to_owned();
    let listed = get(&daemon.address(), "/api/v1/plans").json();
    assert_eq!(listed["plans"][0]["id"], *plan, "{listed:#}");
    let approved = larder(&sandbox, &["approve", &plan, "--yes"]);
    let next = format!("The larder watch that runs applies it at {from:02}:00-{to:02}:00.");
    assert!(approved.ends(0).err.contains(&next), "{approved:?}");
    let rounds = daemon.told().len() + 3;
    until("three more rounds", || (daemon.told().len() >= rounds).then_some(()));
    assert_eq!(outputs(&sandbox), 30, "it was applied out of its hours");

    settings(&sandbox, "profile = \"production\"\n");
    daemon.event("plan-applied");
    let cleaned = daemon.event("cleaned");
    assert_eq!(outputs(&sandbox), 0);
    until("the plan is done with", || (!file(&sandbox, &plan).exists()).then_some(()));
    let id = cleaned["labels"]["trash_id"].as_str().unwrap();
    larder(&sandbox, &["trash", "restore", id]).ends(0);
    assert_eq!(outputs(&sandbox), 30);

    // The same over HTTP.
    post(&daemon.address(), "/api/v1/runs/again");
    let waits = daemon.nth_event("plan-waits", 1);
    let plan = waits["larder.plan_id"].as_str().unwrap();
    let asked = post(&daemon.address(), &format!("/api/v1/plans/{plan}/approve"));
    assert_eq!(asked.status, 202, "{asked:#?}");
    daemon.nth_event("cleaned", 1);
    assert_eq!(outputs(&sandbox), 0);
    let applied = daemon.nth_event("plan-applied", 1);
    assert!(applied["message"].as_str().unwrap().contains("the HTTP API"), "{applied:#}");
    assert_eq!(daemon.stop().code, Some(0));
}

fn larder_core_hour() -> i64 {
    larder_fs::now().unix() / 3600 % 24
}

#[test]
fn a_plan_that_was_changed_or_is_stale_is_not_applied() {
    let sandbox = production("[plan]\nmax-age = \"24h\"\n");
    logged(&sandbox, 0, &["watch", "--once"]);
    let plan = id(&plans(&sandbox)[0]);
    larder(&sandbox, &["approve", &plan, "--yes"]).ends(0);
    let path = file(&sandbox, &plan);
    let approved = fs::read_to_string(&path).unwrap();
    let edited = approved.replacen("prune", "clean", 1);
    assert_ne!(edited, approved);
    fs::write(&path, edited).unwrap();
    assert_eq!(plans(&sandbox)[0]["state"], "edited", "{:#?}", plans(&sandbox));
    let round = logged(&sandbox, 0, &["watch", "--once"]);
    assert!(!words(&round).contains(&"plan-applied"), "{round:#?}");
    assert_eq!(outputs(&sandbox), 30);
    assert!(larder(&sandbox, &["apply", &plan]).ends(3).err.contains("changed after"));

    // As it was approved, but a week late: refused, said, and no longer there.
    fs::write(&path, &approved).unwrap();
    settings(&sandbox, "profile = \"production\"\n[plan]\nmax-age = \"1s\"\n");
    std::thread::sleep(Duration::from_secs(2));
    let late = logged(&sandbox, 4, &["watch", "--once"]);
    let failed = late.iter().find(|e| kind(e) == "clean-failed").expect("it is said");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("stale"), "{message}");
    assert_eq!(outputs(&sandbox), 30);
    assert!(!path.exists(), "a stale plan would be refused at each round");
}

#[test]
fn a_plan_whose_file_cannot_be_removed_is_applied_once() {
    let sandbox = production("");
    let daemon = Daemon::watch(&sandbox);
    larder(&sandbox, &["watch", "--once", "--trigger", "deploy"]).ends(0);
    let waits = daemon.event("plan-waits");
    let plan = waits["larder.plan_id"].as_str().unwrap().to_owned();
    let held = Immutable::new(file(&sandbox, &plan), || {
        larder(&sandbox, &["approve", &plan, "--yes"]).ends(0);
    });
    let Some(held) = held else {
        eprintln!("NOT TESTED: chattr does not work here");
        return;
    };
    daemon.event("cleaned");
    let stays = daemon.event("plan-stays");
    assert!(stays["message"].as_str().unwrap().contains(&plan), "{stays:#}");
    let rounds = daemon.told().len() + 4;
    until("four more rounds", || (daemon.told().len() >= rounds).then_some(()));
    let applied = daemon.events().iter().filter(|e| kind(e) == "plan-applied").count();
    assert_eq!(applied, 1, "{}", daemon.log());
    drop(held);
    assert_eq!(daemon.stop().code, Some(0));
}

/// A file that nobody may remove, root neither.
struct Immutable(PathBuf);

impl Immutable {
    fn new(path: PathBuf, before: impl FnOnce()) -> Option<Self> {
        // Whether it can be done at all is seen at another file.
        let probe = path.with_extension("probe");
        fs::write(&probe, "").unwrap();
        let works = change("+i", &probe) && change("-i", &probe);
        fs::remove_file(&probe).unwrap();
        if !works {
            return None;
        }
        // Approved while it may be replaced, and held before the daemon comes to it.
        let folder = path.parent().unwrap().to_owned();
        before();
        assert!(change("+a", &folder), "the folder cannot be held");
        Some(Self(folder))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        change("-a", &self.0);
    }
}

fn change(how: &str, path: &std::path::Path) -> bool {
    let mut chattr = std::process::Command::new("chattr");
    chattr.arg(how).arg(path).output().is_ok_and(|output| output.status.success())
}

#[test]
fn keys_that_rules_want_gone_wait_for_approval_go_with_a_backup_and_come_back_equal() {
    let server = RedisServer::start();
    let mut client = server.client();
    for n in 0..300 {
        client.ask(&["SET", &format!("temp:{n}"), "value"]);
        client.ask(&["HSET", &format!("keep:{n}"), "field", "value"]);
    }
    client.ask(&["EXPIRE", "temp:7", "100000"]);
    let before = client.keyspace();
    let sandbox = GoSandbox::new();
    let rules = format!(
        "[redis.sessions]\nurl = \"{}/0\"\nprofile = \"production\"\n\
         [[redis.sessions.clean]]\nmatch = \"temp:*\"\n",
        server.url()
    );
    settings(&sandbox, &rules);
    let first = logged(&sandbox, 0, &["watch", "--once"]);
    let environment = first.iter().filter(|e| kind(e) == "environment");
    let said: Vec<&str> = environment.map(|e| e["message"].as_str().unwrap()).collect();
    assert!(said.contains(&"redis:sessions is production"), "{said:?}");
    assert!(client.holds(&before), "not everything is as it was");
    logged(&sandbox, 0, &["watch", "--once"]);
    assert_eq!(plans(&sandbox).len(), 1, "{:#?}", plans(&sandbox));
    let plan = id(&plans(&sandbox)[0]);
    larder(&sandbox, &["approve", &plan, "--yes"]).ends(0);
    let daemon = Daemon::watch(&sandbox);
    let cleaned = daemon.event("cleaned");
    assert_eq!(cleaned["larder.cache"], "redis:sessions", "{cleaned:#}");
    assert_eq!(cleaned["labels"]["keys"], "300", "{cleaned:#}");
    let applied = daemon.event("plan-applied");
    assert_eq!(applied["trace.id"], cleaned["trace.id"]);
    assert_eq!(client.ask(&["DBSIZE"]).number(), 300);
    assert_eq!(daemon.stop().code, Some(0));
    let trash = cleaned["labels"]["trash_id"].as_str().expect("a backup").to_owned();
    let back = document(&sandbox, "restored/1", 0, &["trash", "restore", &trash]);
    assert_eq!(back["restored"], 300, "{back:#}");
    assert!(client.holds(&before), "not everything is as it was");
}

/// Everything in the trash, put back. What a kill cut in two comes back by its one id.
fn restore_all(sandbox: &GoSandbox) -> usize {
    let listed = document(sandbox, "trash/1", 0, &["trash"]);
    let entries = listed["entries"].as_array().unwrap();
    let ids: std::collections::BTreeSet<String> = entries.iter().map(id).collect();
    for id in &ids {
        larder(sandbox, &["trash", "restore", id]).ends(0);
    }
    ids.len()
}

#[test]
fn a_plan_that_a_kill_cut_short_is_finished_by_the_next_daemon_and_all_of_it_comes_back() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 3000);
    for end in ["-a", "-d"] {
        ending(&sandbox.gocache(), end).iter().for_each(|file| age(file, 10 * DAY));
    }
    settings(&sandbox, "profile = \"production\"\n");
    let before = caches(&sandbox);
    logged(&sandbox, 0, &["watch", "--once"]);
    let plan = id(&plans(&sandbox)[0]);
    larder(&sandbox, &["approve", &plan, "--yes"]).ends(0);
    let daemon = Daemon::spawn(&sandbox, command(&sandbox, &["watch"]));
    let count = || {
        let folders = fs::read_dir(sandbox.gocache()).unwrap().flatten().map(|e| e.path());
        folders.filter_map(|dir| Some(fs::read_dir(dir).ok()?.count())).sum::<usize>()
    };
    until("some are moved", || (count() <= 2900).then_some(()));
    daemon.kill();
    assert!(count() > 0, "it was too late to kill it");
    assert!(file(&sandbox, &plan).exists());

    let daemon = Daemon::watch(&sandbox);
    let cleaned = daemon.event("cleaned");
    let left: Vec<_> = larder_testkit::snapshot(&sandbox.gocache())
        .into_keys()
        .filter(|path| path.components().count() == 2)
        .collect();
    assert!(left.is_empty(), "{left:#?}\n{cleaned:#}");
    until("the plan is done with", || (!file(&sandbox, &plan).exists()).then_some(()));
    assert_eq!(daemon.stop().code, Some(0));
    assert!(restore_all(&sandbox) >= 1);
    let mut now = caches(&sandbox);
    let mut then = before;
    for tree in [&mut now.0, &mut then.0] {
        // A kill keeps the times of folders from being put right, and these alone.
        tree.retain(|_, entry| entry.kind != larder_testkit::EntryKind::Folder);
    }
    same(&then.0, &now.0, "after a kill");
}

#[test]
fn keys_that_a_kill_left_go_with_the_next_daemon_and_all_of_them_come_back() {
    let server = RedisServer::start();
    let mut client = server.client();
    let set = |n: u32| vec!["SET".to_owned(), format!("temp:{n}"), format!("value {n}")];
    client.ask_all(&(0..20_000).map(set).collect::<Vec<_>>());
    client.ask(&["SET", "keep", "me"]);
    let before = client.keyspace();
    let sandbox = GoSandbox::new();
    let rules = format!(
        "[redis.sessions]\nurl = \"{}/0\"\nprofile = \"production\"\nmax-rate = 20000\n\
         [[redis.sessions.clean]]\nmatch = \"temp:*\"\n",
        server.url()
    );
    settings(&sandbox, &rules);
    logged(&sandbox, 0, &["watch", "--once"]);
    let plan = id(&plans(&sandbox)[0]);
    larder(&sandbox, &["approve", &plan, "--yes"]).ends(0);
    let daemon = Daemon::spawn(&sandbox, command(&sandbox, &["watch"]));
    let mut size = || client.ask(&["DBSIZE"]).number();
    until("some are gone", || (size() < 19_000).then_some(()));
    daemon.kill();
    assert!(size() > 1, "it was too late to kill it");
    let daemon = Daemon::watch(&sandbox);
    daemon.event("cleaned");
    assert_eq!(size(), 1);
    assert_eq!(daemon.stop().code, Some(0));
    assert!(restore_all(&sandbox) >= 1);
    assert!(client.holds(&before), "not everything is as it was");
}
