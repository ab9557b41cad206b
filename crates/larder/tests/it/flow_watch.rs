//! `larder watch` where it acts by itself: what makes it prune, what holds it back, what it says.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, fake_gocache, has_go};
use serde_json::Value;

use crate::daemon_kit::{
    Daemon, command, events_of, get, history, kind, logged, post, settings, state, until,
};
use crate::flow::{age, document, ending, larder};

/// The largest pair that [`fake_gocache`] makes: an action's block and an output of 16 KB.
const LARGEST: u64 = 4096 + 20_480;
const DAY: Duration = Duration::from_secs(86_400);

/// A build cache of so many files, all used at the same moment three days ago: after five the default
/// `max-age` takes what no budget asks for.
fn equally_old(files: u64) -> GoSandbox {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), files);
    for end in ["-a", "-d"] {
        ending(&sandbox.gocache(), end).iter().for_each(|file| age(file, 3 * DAY));
    }
    sandbox
}

/// What the build cache takes, bytes.
fn size(sandbox: &GoSandbox) -> u64 {
    let status = document(sandbox, "status/1", 0, &["status"]);
    let caches = status["caches"].as_array().unwrap();
    let build = caches.iter().find(|cache| cache["cache"] == "build").unwrap();
    build["allocated_bytes"].as_u64().unwrap()
}

/// Files of the build cache that are entries.
fn entries(sandbox: &GoSandbox) -> usize {
    ["-a", "-d"].iter().map(|end| ending(&sandbox.gocache(), end).len()).sum()
}

fn of<'e>(events: &'e [Value], word: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["kind"] == word || kind(event) == word).collect()
}

/// The words of one run's events, in order.
fn run(events: &[Value], trace: &Value) -> Vec<String> {
    let own = events.iter().filter(|event| event["trace_id"] == *trace);
    own.map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

/// The build's over-budget prune alone is 300 KB; a receiver writes notices into a file.
fn over_budget(sandbox: &GoSandbox, more: &str) -> u64 {
    let cap = size(sandbox) - 300_000;
    let file = sandbox.root().join("notices");
    settings(
        sandbox,
        &format!(
            "[build]\nmax-size = \"{cap}\"\n[notify.book]\nkind = \"log\"\nfile = \"{}\"\n{more}",
            file.display()
        ),
    );
    cap
}

#[test]
fn it_starts_is_ready_answers_and_stops() {
    let sandbox = equally_old(100);
    settings(&sandbox, "");
    let daemon = Daemon::serve(&sandbox);
    assert_eq!(get(&daemon.address(), "/readyz").status, 200);
    let metrics = get(&daemon.address(), "/metrics");
    assert!(metrics.head.to_ascii_lowercase().contains("content-type: text/plain"), "{metrics:?}");
    assert!(metrics.body.contains("larder_"), "{metrics:?}");
    until("the watchdog is told again", || (daemon.told().len() >= 3).then_some(()));
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.took < Duration::from_secs(5), "{ended:#?}");
    let (last, told) = ended.told.split_last().unwrap();
    assert!(last.contains("STOPPING=1"), "{ended:#?}");
    for one in told {
        assert!(one.contains("READY=1") && one.contains("WATCHDOG=1"), "{ended:#?}");
    }
    let events = events_of(&ended.log);
    assert_eq!(kind(events.first().unwrap()), "started");
    assert_eq!(kind(events.last().unwrap()), "stopped");
}

#[test]
fn a_cache_over_its_budget_is_pruned_to_just_under_it_and_each_step_is_an_event_of_one_run() {
    let sandbox = equally_old(400);
    let cap = over_budget(&sandbox, "");
    logged(&sandbox, 0, &["watch", "--once"]);
    let left = size(&sandbox);
    assert!(left <= cap && left + LARGEST > cap, "{left} is left of {cap}");
    let events = history(&sandbox);
    let cleaned = of(&events, "cleaned");
    assert_eq!(cleaned.len(), 1, "{events:#?}");
    let steps = run(&events, &cleaned[0]["trace_id"]);
    assert_eq!(steps, ["triggered", "environment", "cleaned", "notified"], "{events:#?}");
    let environment = of(&events, "environment")[0]["message"].as_str().unwrap();
    assert!(environment.contains("dev"), "{environment}");
    let notices = std::fs::read_to_string(sandbox.root().join("notices")).unwrap();
    assert!(notices.contains("CacheCleaned"), "{notices}");
    // Once more: nothing is over, nothing goes, nobody is told.
    logged(&sandbox, 0, &["watch", "--once"]);
    assert_eq!(size(&sandbox), left);
    let again = std::fs::read_to_string(sandbox.root().join("notices")).unwrap();
    assert_eq!(again, notices);
}

#[test]
fn what_is_protected_stays_over_the_budget_and_a_budget_below_empty_folders_is_said() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 200);
    ["-a", "-d"].iter().for_each(|end| {
        ending(&sandbox.gocache(), end).iter().for_each(|file| age(file, Duration::ZERO));
    });
    settings(&sandbox, "[build]\nmax-size = \"100kB\"\n");
    logged(&sandbox, 0, &["watch", "--once"]);
    assert_eq!(entries(&sandbox), 200, "what was used today is protected");
    let preview = larder(&sandbox, &["prune", "build", "--protect", "0s", "-n"]);
    let said = "the folders of an empty cache take more than the size";
    assert!(preview.ends(0).out.contains(said), "{}", preview.out);
}

#[test]
fn a_running_daemon_prunes_what_passes_its_budget_once_and_not_at_every_tick() {
    let sandbox = equally_old(400);
    let cap = over_budget(&sandbox, "");
    let daemon = Daemon::watch(&sandbox);
    let triggered = daemon.event("triggered");
    assert_eq!(triggered["labels"]["trigger"], "over-budget", "{triggered:#}");
    assert_eq!(triggered["labels"]["budget_bytes"], cap.to_string(), "{triggered:#}");
    let cleaned = daemon.event("cleaned");
    let notified = daemon.event("notified");
    for event in [&cleaned, &notified] {
        assert_eq!(event["trace.id"], triggered["trace.id"], "{event:#}");
    }
    // As many more again: it cools down first.
    let ticks = daemon.told().len() + 3;
    until("three more rounds", || (daemon.told().len() >= ticks).then_some(()));
    assert_eq!(of(&daemon.events(), "triggered").len(), 1, "{}", daemon.log());
    assert_eq!(daemon.stop().code, Some(0));
    assert!(size(&sandbox) <= cap);
}

#[test]
fn little_room_on_the_disk_and_a_missed_run_are_triggers() {
    let sandbox = equally_old(100);
    // More than any disk has.
    settings(&sandbox, "[build]\nmax-age = \"1d\"\n[watch]\nfree-below = \"9000TB\"\n");
    let daemon = Daemon::watch(&sandbox);
    let triggered = daemon.event("triggered");
    assert_eq!(triggered["labels"]["trigger"], "low-disk", "{triggered:#}");
    daemon.event("cleaned");
    assert_eq!(daemon.stop().code, Some(0));
    assert_eq!(entries(&sandbox), 0);
    // The disk is still full, and it cools down over a restart too.
    let daemon = Daemon::watch(&sandbox);
    let ticks = daemon.told().len() + 2;
    until("two more rounds", || (daemon.told().len() >= ticks).then_some(()));
    assert!(of(&events_of(&daemon.stop().log), "triggered").is_empty());

    // A schedule that was never kept has missed nothing; one that larder slept through has.
    let yearly = "[build]\nmax-age = \"1d\"\n[schedule]\nsample = \"1s\"\nprune = \"0 0 1 1 *\"\n";
    settings(&sandbox, yearly);
    let first = Daemon::watch(&sandbox).stop();
    assert!(of(&events_of(&first.log), "triggered").is_empty(), "{}", first.log);
    let asleep = |settings: &str| {
        self::settings(&sandbox, settings);
        fake_gocache(&sandbox.gocache(), 40);
        slept(&sandbox, "last-prune");
        let daemon = Daemon::watch(&sandbox);
        let ticks = daemon.told().len() + 3;
        until("three more rounds", || (daemon.told().len() >= ticks).then_some(()));
        let ended = daemon.stop();
        events_of(&ended.log)
    };
    let made_up = asleep(yearly);
    let triggered = of(&made_up, "triggered");
    assert_eq!(triggered.len(), 1, "made up for once: {made_up:#?}");
    assert_eq!(triggered[0]["labels"]["trigger"], "schedule");
    let skipped = asleep(&format!("{yearly}missed = \"skip\"\n"));
    assert!(of(&skipped, "triggered").is_empty(), "{skipped:#?}");
}

#[test]
fn a_program_that_deployed_asks_by_name_with_a_daemon_and_without() {
    let sandbox = equally_old(40);
    settings(&sandbox, "[build]\nmax-age = \"1d\"\n");
    let long = "x".repeat(65);
    for bad in ["", "not a name", "../up", "a/b", "line\nbreak", "schedule", &long] {
        let refused = larder(&sandbox, &["watch", "--once", "--trigger", bad]);
        assert!(refused.ends(2).err.contains("--trigger"), "{refused:?}");
    }
    larder(&sandbox, &["watch", "--trigger", "deploy"]).ends(2);
    assert_eq!(entries(&sandbox), 40);

    let alone = logged(&sandbox, 0, &["watch", "--once", "--trigger", "deploy"]);
    assert_eq!(of(&alone, "triggered")[0]["labels"]["trigger"], "deploy");
    assert_eq!(entries(&sandbox), 0);

    let daemon = Daemon::serve(&sandbox);
    for (nth, name) in ["deployed-v1.2", "by-http.2"].into_iter().enumerate() {
        fake_gocache(&sandbox.gocache(), 40);
        ending(&sandbox.gocache(), "-a").iter().for_each(|file| age(file, 5 * DAY));
        ending(&sandbox.gocache(), "-d").iter().for_each(|file| age(file, 5 * DAY));
        if nth == 0 {
            let left = larder(&sandbox, &["watch", "--once", "--trigger", name]);
            assert!(left.ends(0).err.contains("runs already"), "{left:?}");
        } else {
            let asked = post(&daemon.address(), &format!("/api/v1/runs/{name}"));
            assert_eq!(asked.status, 202, "{asked:#?}");
            let bad = post(&daemon.address(), "/api/v1/runs/not%20a%20name");
            assert_eq!(bad.status, 400, "{bad:#?}");
            let own = post(&daemon.address(), "/api/v1/runs/low-disk");
            assert_eq!(own.status, 400, "{own:#?}");
        }
        let triggered = daemon.nth_event("triggered", nth);
        assert_eq!(triggered["labels"]["trigger"], name, "{triggered:#}");
        daemon.nth_event("cleaned", nth);
        assert_eq!(entries(&sandbox), 0);
    }
    assert_eq!(daemon.stop().code, Some(0));
    assert_eq!(history(&sandbox).iter().filter(|e| e["kind"] == "triggered").count(), 3);
}

/// A `go run` that stays until its input ends.
pub(crate) struct Build(Child);

impl Build {
    pub(crate) fn start(sandbox: &GoSandbox) -> Self {
        let text = "-- go.mod --\nmodule example.test/wait\n\ngo 1.21\n-- main.go --\npackage \
                    main\n\nimport \"os\"\n\nfunc main() {\n\tprintln(\"up\")\n\t\
                    os.Stdin.Read(make([]byte, 1))\n}\n";
        let dir = sandbox.project("wait", text);
        let mut go = sandbox.command("go");
        go.args(["run", "."]).current_dir(dir).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut build = Self(go.spawn().unwrap());
        let mut said = [0; 2];
        std::io::Read::read_exact(build.0.stderr.as_mut().unwrap(), &mut said).unwrap();
        assert_eq!(&said, b"up");
        build
    }

    pub(crate) fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An entry that no build uses: the output of an action that was last used a month ago.
fn old_entry(sandbox: &GoSandbox) -> std::path::PathBuf {
    fake_gocache(&sandbox.gocache(), 2);
    let both = |end| ending(&sandbox.gocache(), end).into_iter().filter(|p| is_old(p));
    let pair: Vec<_> = both("-a").chain(both("-d")).collect();
    assert_eq!(pair.len(), 2, "{pair:?}");
    pair.iter().for_each(|file| age(file, 30 * DAY));
    pair[1].clone()
}

/// Whether a file was last used more than an hour ago, which no build of a test's has.
fn is_old(path: &Path) -> bool {
    let modified = path.metadata().unwrap().modified().unwrap();
    modified.elapsed().unwrap_or_default() > DAY / 24
}

#[test]
fn nothing_is_pruned_while_a_build_runs_and_it_neither_waits_for_ever_nor_holds_up_the_end() {
    if !has_go() {
        eprintln!("NOT TESTED: there is no go command");
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let old = old_entry(&sandbox);
    let text = "[build]\nmax-age = \"20d\"\n[watch]\nwait-for-builds = ";
    settings(&sandbox, &format!("{text}\"10m\"\n"));
    let build = Build::start(&sandbox);

    // It waits; a stop does not wait with it.
    let daemon = Daemon::watch(&sandbox);
    larder(&sandbox, &["watch", "--once", "--trigger", "deploy"]).ends(0);
    let waits = daemon.event("waits-for-builds");
    assert!(waits["message"].as_str().unwrap().contains("go run"), "{waits:#}");
    let rounds = daemon.told().len() + 2;
    until("it measures all the same", || (daemon.told().len() >= rounds).then_some(()));
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.took < Duration::from_secs(5), "{ended:#?}");
    assert!(old.exists(), "it went beside a build");

    // Its turn comes when the build is over.
    let daemon = Daemon::watch(&sandbox);
    larder(&sandbox, &["watch", "--once", "--trigger", "deploy"]).ends(0);
    daemon.event("waits-for-builds");
    assert!(old.exists(), "it went beside a build");
    build.end();
    daemon.event("cleaned");
    assert!(!old.exists());
    assert_eq!(daemon.stop().code, Some(0));

    // And when it has waited for long enough, without what the build may use.
    let build = Build::start(&sandbox);
    let old = old_entry(&sandbox);
    let fresh = fresh_entries(&sandbox.gocache());
    settings(&sandbox, &format!("{text}\"2s\"\n"));
    let begun = Instant::now();
    let events = logged(&sandbox, 0, &["watch", "--once"]);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{events:#?}");
    assert_eq!(of(&events, "waits-for-builds").len(), 1, "{events:#?}");
    assert!(!old.exists(), "{events:#?}");
    assert_eq!(fresh_entries(&sandbox.gocache()), fresh);
    build.end();
}

#[test]
fn what_a_second_single_run_asked_for_is_done_by_the_first() {
    if !has_go() {
        eprintln!("NOT TESTED: there is no go command");
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    settings(&sandbox, "[build]\nmax-age = \"20d\"\n");
    let build = Build::start(&sandbox);
    let first = Daemon::spawn(&sandbox, command(&sandbox, &["watch", "--once"]));
    first.event("waits-for-builds");
    let second = larder(&sandbox, &["watch", "--once", "--trigger", "deploy"]);
    assert!(second.ends(0).err.contains("will do it"), "{second:?}");
    build.end();
    let ended = first.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let events = events_of(&ended.log);
    let why: Vec<&str> = of(&events, "triggered")
        .iter()
        .map(|event| event["labels"]["trigger"].as_str().unwrap())
        .collect();
    assert_eq!(why, ["once", "deploy"]);
}

#[test]
fn what_the_roots_need_is_fetched_by_schedule() {
    if !has_go() {
        eprintln!("NOT TESTED: there is no go command");
        return;
    }
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    proxy.publish(&ModuleMaker::new("example.test/one", "v1.0.0").package("", &[]));
    sandbox.proxy(&proxy.url());
    let text =
        "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n\nrequire example.test/one v1.0.0\n";
    sandbox.project("m", text);
    let roots = sandbox.root().join("src").display().to_string();
    settings(
        &sandbox,
        &format!("roots = [\"{roots}\"]\n[schedule]\nsample = \"1s\"\ndownload = \"* * * * *\"\n"),
    );
    slept(&sandbox, "last-download");
    let daemon = Daemon::watch(&sandbox);
    let downloaded = daemon.event("downloaded");
    assert_eq!(downloaded["labels"]["fetched"], "1", "{downloaded:#}");
    assert!(sandbox.gomodcache().join("example.test/one@v1.0.0").is_dir());
    assert_eq!(daemon.stop().code, Some(0));
}

/// Makes a schedule's last run lie long ago.
fn slept(sandbox: &GoSandbox, key: &str) {
    let db = state(sandbox).join("history.db");
    let opened = larder_history::Store::open(&db, larder_history::Limits::default());
    let text = larder_core::Time::from_unix(1_600_000_000).unix_nanos().to_string();
    let key = key.to_owned();
    opened.unwrap().0.write(&[larder_history::Entry::State { key, text }]).unwrap();
}

#[test]
fn systemd_hears_that_it_lives_however_seldom_it_measures() {
    let sandbox = equally_old(40);
    settings(&sandbox, "[schedule]\nsample = \"1h\"\n");
    let daemon = Daemon::watch(&sandbox);
    let told = daemon.told().len();
    until("the watchdog is told", || (daemon.told().len() > told).then_some(()));
    let ended = daemon.stop();
    assert!(ended.took < Duration::from_secs(5), "{ended:#?}");
}

/// Entries that were used within the hour.
fn fresh_entries(gocache: &Path) -> usize {
    let all = [ending(gocache, "-a"), ending(gocache, "-d")].concat();
    all.iter().filter(|path| !is_old(path)).count()
}

#[test]
fn a_stop_of_a_single_run_that_waits_is_an_interrupt() {
    if !has_go() {
        eprintln!("NOT TESTED: there is no go command");
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let old = old_entry(&sandbox);
    settings(&sandbox, "[build]\nmax-age = \"20d\"\n");
    let build = Build::start(&sandbox);
    let once = Daemon::spawn(&sandbox, command(&sandbox, &["watch", "--once"]));
    once.event("waits-for-builds");
    let ended = once.stop();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(ended.took < Duration::from_secs(5) && old.exists(), "{ended:#?}");
    build.end();
}
