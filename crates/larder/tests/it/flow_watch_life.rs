//! The life of a daemon: one a state folder, settings that change and are bad, files that are
//! damaged, disks that are full, clocks that jump, and a kill at any moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use larder_history::{Metric, Range, Reader, Series as _, Source};
use larder_testkit::{GoSandbox, RedisServer, fake_gocache};

use crate::daemon_kit::{Daemon, command, get, history, kind, settings, state, until};
use crate::flow::{age, ending, larder};

const DAY: Duration = Duration::from_secs(86_400);

fn sandbox(files: u64) -> GoSandbox {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), files);
    sandbox
}

fn db(sandbox: &GoSandbox) -> PathBuf {
    state(sandbox).join("history.db")
}

/// When the build cache was measured, seconds.
fn measured(sandbox: &GoSandbox) -> Vec<i64> {
    let range = Range {
        since: larder_core::Time::from_unix(0),
        until: larder_core::Time::from_unix(4_000_000_000),
        most: 10_000,
    };
    let points = Reader::new(&db(sandbox)).series(&Source::here("build"), Metric::Allocated, range);
    points.unwrap().iter().map(|point| point.at.unix()).collect()
}

/// Rounds of measuring from now on.
fn rounds(daemon: &Daemon, more: usize) {
    let until_then = daemon.told().len() + more;
    until("rounds of measuring", || (daemon.told().len() >= until_then).then_some(()));
}

#[test]
fn one_daemon_a_state_folder_and_a_new_one_after_a_kill() {
    let sandbox = sandbox(40);
    settings(&sandbox, "");
    let daemon = Daemon::watch(&sandbox);
    for second in [&["watch"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let turned_away = larder(&sandbox, second);
        let folder = state(&sandbox).display().to_string();
        let folder = folder.replace(sandbox.root().to_str().unwrap(), "[ROOT]");
        let sentence =
            format!("error: another larder watch or serve runs with the state in {folder}");
        assert!(turned_away.ends(5).err.starts_with(&sentence), "{}", turned_away.err);
        assert!(turned_away.err.contains("hint:"), "{}", turned_away.err);
    }
    daemon.kill();
    let next = Daemon::watch(&sandbox);
    // Another folder is another daemon's.
    let mut beside = command(&sandbox, &["watch"]);
    beside.env("XDG_STATE_HOME", sandbox.root().join("other"));
    let beside = Daemon::ready(&sandbox, beside);
    assert_eq!(beside.stop().code, Some(0));
    assert_eq!(next.stop().code, Some(0));
}

const TEN: &str = "profile = \"staging\"\nroots = \"src\"\ncolour = \"red\"\n[build]\nmax-size = \
                   \"lots\"\nmax-age = \"soon\"\n[schedule]\nsample = \"often\"\nprune = \"0 99 * \
                   * *\"\n[watch]\nwindow = \"25:00-26:00\"\nper-day = \"many\"\n[serve]\nlisten \
                   = \"everywhere\"\n";

#[test]
fn settings_are_read_again_and_bad_ones_are_told_whole_while_the_old_stay() {
    let sandbox = sandbox(40);
    settings(&sandbox, "[alert]\nfor = \"1s\"\n");
    let daemon = Daemon::serve(&sandbox);
    // By the change of the file, and by the signal without one.
    settings(&sandbox, "[alert]\nfor = \"1s\"\n[build]\nmax-size = \"50MB\"\n");
    daemon.nth_event("reloaded", 0);
    daemon.signal("HUP");
    daemon.nth_event("reloaded", 1);
    let budget = || get(&daemon.address(), "/metrics").body.contains("50000000");
    until("the new budget is in force", || budget().then_some(()));

    settings(&sandbox, TEN);
    let bad = daemon.event("settings-bad");
    let message = bad["message"].as_str().unwrap();
    for key in [
        "profile", "roots", "colour", "max-size", "max-age", "sample", "prune", "window",
        "per-day", "listen",
    ] {
        assert!(message.contains(key), "{key} is not in {message}");
    }
    let places = (1..=15).filter(|line| message.contains(&format!("config.toml:{line}:"))).count();
    assert_eq!(places, 10, "{message}");
    let raised = daemon.event("alert-raised");
    assert!(raised["message"].as_str().unwrap().starts_with("SettingsBad"), "{raised:#}");
    rounds(&daemon, 2);
    assert!(budget(), "the old settings are no longer in force");
    let alerts = get(&daemon.address(), "/api/v1/alerts").json();
    assert_eq!(alerts["alerts"][0]["name"], "SettingsBad", "{alerts:#}");

    settings(&sandbox, "[alert]\nfor = \"1s\"\n[build]\nmax-size = \"60MB\"\n");
    daemon.nth_event("reloaded", 2);
    let cleared = daemon.event("alert-cleared");
    assert!(cleared["message"].as_str().unwrap().contains("SettingsBad"), "{cleared:#}");
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    // It does not even begin with what is bad.
    settings(&sandbox, TEN);
    let refused = larder(&sandbox, &["watch"]);
    assert_eq!(refused.ends(2).err.matches("config.toml:").count(), 10, "{}", refused.err);
}

#[test]
fn a_damaged_history_is_set_aside_loudly_and_a_new_one_begun() {
    let sandbox = sandbox(40);
    settings(&sandbox, "[alert]\nfor = \"1s\"\n");
    assert_eq!(Daemon::watch(&sandbox).stop().code, Some(0));
    let length = fs::metadata(db(&sandbox)).unwrap().len();
    for part in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{part}", db(&sandbox).display()));
        let _ = fs::write(path, vec![0x5a; usize::try_from(length).unwrap()]);
    }
    let daemon = Daemon::watch(&sandbox);
    let raised = daemon.event("alert-raised");
    let message = raised["message"].as_str().unwrap();
    assert!(message.contains("HistoryDamaged") && message.contains(".corrupt-"), "{message}");
    assert_eq!(daemon.stop().code, Some(0));
    let aside: Vec<_> = fs::read_dir(state(&sandbox))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.contains(".corrupt-") && !name.ends_with("-wal"))
        .filter(|name| !name.ends_with("-shm"))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(history(&sandbox).iter().any(|e| e["kind"] == "alert-raised"));
    assert!(!measured(&sandbox).is_empty());
}

/// A small file system of its own; `None` where this may not be mounted.
struct Small(PathBuf);

impl Small {
    fn mount(place: &Path) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "larder-test"]).arg(place);
        mount.output().is_ok_and(|o| o.status.success()).then(|| Self(place.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_under_the_history_is_told_and_ends_nothing() {
    let sandbox = sandbox(40);
    let Some(small) = Small::mount(&state(&sandbox)) else {
        eprintln!("NOT TESTED: no file system can be mounted here");
        return;
    };
    settings(&sandbox, "[alert]\nfor = \"1s\"\n");
    let daemon = Daemon::serve(&sandbox);
    until("samples are kept", || (!measured(&sandbox).is_empty()).then_some(()));
    let stuffing = small.0.join("stuffing");
    let stuff = || {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&stuffing).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
    };
    stuff();
    let raised = {
        let start = Instant::now();
        loop {
            stuff();
            let found = daemon.events().into_iter().find(|e| kind(e) == "alert-raised");
            if let Some(found) = found {
                break found;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "nobody is told:\n{}", daemon.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    assert!(raised["message"].as_str().unwrap().contains("HistoryDamaged"), "{raised:#}");
    rounds(&daemon, 2);
    assert_eq!(get(&daemon.address(), "/healthz").status, 200);
    let before = measured(&sandbox).len();
    fs::remove_file(&stuffing).unwrap();
    daemon.event("alert-cleared");
    until("samples are kept again", || (measured(&sandbox).len() > before).then_some(()));
    // What was measured meanwhile was kept back, not lost.
    let at = measured(&sandbox);
    let gap = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap <= 30, "{at:?}");
    assert_eq!(daemon.stop().code, Some(0));
    drop(small);
}

#[test]
fn after_a_kill_in_the_middle_of_a_prune_the_history_opens_and_nothing_is_half_removed() {
    let sandbox = GoSandbox::new();
    let fill = || {
        fake_gocache(&sandbox.gocache(), 5000);
        for end in ["-a", "-d"] {
            ending(&sandbox.gocache(), end).iter().for_each(|file| age(file, 10 * DAY));
        }
    };
    settings(&sandbox, "");
    let (mut samples, mut in_the_middle) = (0, 0);
    for gone in [1, 1000, 3000] {
        fill();
        let daemon = Daemon::watch(&sandbox);
        larder(&sandbox, &["watch", "--once", "--trigger", "deploy"]).ends(0);
        daemon.event("environment");
        until("so many are gone", || (files(&sandbox.gocache()) <= 5000 - gone).then_some(()));
        let log = daemon.kill();
        let kept = if db(&sandbox).exists() { measured(&sandbox).len() } else { 0 };
        assert!(kept >= samples, "{kept} of {samples} samples are left\n{log}");
        samples = kept;
        // What was in hand is one entry of each thread's: its output has another name by then, or
        // its action is gone. To go both are a plain miss, and the next prune takes what is left.
        let count = |end| ending(&sandbox.gocache(), end).len();
        let (actions, outputs) = (count("-a"), count("-d"));
        assert!(actions.abs_diff(outputs) <= 8, "{actions} and {outputs}\n{log}");
        in_the_middle += u32::from(0 < outputs && actions < 2500);
    }
    assert!(in_the_middle > 0, "each kill was too early or too late");
    let daemon = Daemon::watch(&sandbox);
    larder(&sandbox, &["watch", "--once", "--trigger", "deploy"]).ends(0);
    daemon.event("cleaned");
    assert_eq!(daemon.stop().code, Some(0));
    assert_eq!(files(&sandbox.gocache()), 0);
    larder(&sandbox, &["verify", "build"]).ends(0);
}

#[test]
fn no_sample_that_is_older_than_half_a_minute_is_lost_by_a_kill() {
    let sandbox = sandbox(40);
    settings(&sandbox, "");
    let daemon = Daemon::serve(&sandbox);
    let first = measured_by(&daemon);
    let begun = Instant::now();
    // A batch goes to the disk before it is so old; then comes the power cut.
    until("a sample is in the file", || (!measured(&sandbox).is_empty()).then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    rounds(&daemon, 3);
    let taken = measured_by(&daemon) - first;
    daemon.kill();
    let kept = measured(&sandbox);
    assert!(!kept.is_empty() && taken >= 3);
    let now = larder_core::Time::from_unix(kept[kept.len() - 1]);
    assert!(larder_fs::now().since(now) < Duration::from_secs(30), "{kept:?}");
}

/// Files in the folders of a build cache, counted fast.
fn files(gocache: &Path) -> usize {
    let folders = fs::read_dir(gocache).unwrap().flatten().map(|entry| entry.path());
    folders.filter_map(|folder| Some(fs::read_dir(folder).ok()?.count())).sum()
}

/// How often the build cache was measured since the start.
fn measured_by(daemon: &Daemon) -> u64 {
    let metrics = get(&daemon.address(), "/metrics").body;
    let line = metrics
        .lines()
        .find(|line| line.contains("samples_total") && line.contains("cache=\"build\""))
        .unwrap_or_else(|| panic!("{metrics}"));
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

/// The library that hands another time to a program, of Debian's package libfaketime.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    found.into_iter().find(|path| path.exists())
}

#[test]
fn a_clock_that_jumps_ahead_and_back_stops_nothing_and_prunes_nothing_twice() {
    let Some(library) = faketime() else {
        eprintln!("NOT TESTED: there is no libfaketime");
        return;
    };
    let sandbox = sandbox(40);
    // At midnight of each day; nothing is old enough to go.
    settings(
        &sandbox,
        "[build]\nmax-age = \"9000d\"\n[schedule]\nsample = \"1s\"\nprune = \"0 0 * * *\"\n",
    );
    let clock = sandbox.write("clock", "+0");
    let mut daemon = command(&sandbox, &["serve", "--listen", "127.0.0.1:0"]);
    daemon.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
    daemon.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let daemon = Daemon::ready(&sandbox, daemon);
    let triggered = || daemon.events().iter().filter(|e| kind(e) == "triggered").count();
    let jump = |by: &str| {
        let new = clock.with_extension("new");
        fs::write(&new, by).unwrap();
        fs::rename(&new, &clock).unwrap();
    };
    rounds(&daemon, 2);
    assert_eq!(triggered(), 0, "{}", daemon.log());
    // A year ahead: the schedule's midnight passed, once and not 365 times.
    jump("+365d");
    daemon.event("triggered");
    rounds(&daemon, 3);
    assert_eq!(triggered(), 1, "{}", daemon.log());
    // And back by two years: it goes on measuring, and runs nothing.
    jump("-365d");
    rounds(&daemon, 4);
    assert_eq!(triggered(), 1, "{}", daemon.log());
    assert_eq!(get(&daemon.address(), "/readyz").status, 200);
    // A day on from there it is midnight again.
    jump("-364d");
    daemon.nth_event("triggered", 1);
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let years: std::collections::BTreeSet<i64> =
        measured(&sandbox).iter().map(|at| at / (365 * 86_400)).collect();
    assert!(years.len() >= 3, "samples of each time are kept: {years:?}");
}

#[test]
fn what_hangs_holds_up_neither_the_start_nor_the_measuring_nor_the_end() {
    // A server that takes connections and says nothing, a Prometheus too.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let sandbox = sandbox(40);
    settings(
        &sandbox,
        &format!(
            "[redis.silent]\nurl = \"redis://127.0.0.1:{port}/0\"\n\
             [history]\nkind = \"prometheus\"\nurl = \"http://127.0.0.1:{port}\"\n\
             timeout = \"10s\"\n"
        ),
    );
    let begun = Instant::now();
    let daemon = Daemon::watch(&sandbox);
    rounds(&daemon, 3);
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.took < Duration::from_secs(20), "{ended:#?}");
    // A Prometheus keeps the samples; events and state are larder's own.
    assert!(measured(&sandbox).is_empty());
    let events = Reader::new(&db(&sandbox)).events(&larder_history::EventFilter::default());
    assert!(events.unwrap().iter().any(|kept| kept.event.kind == "started"));
}

#[test]
fn a_redis_that_comes_late_is_found_and_one_that_leaves_the_settings_is_forgotten() {
    let sandbox = sandbox(40);
    settings(&sandbox, "");
    let daemon = Daemon::serve(&sandbox);
    let server = RedisServer::start();
    settings(&sandbox, &format!("[redis.late]\nurl = \"{}/0\"\n", server.url()));
    daemon.event("reloaded");
    let health = || get(&daemon.address(), "/api/v1/health").json();
    let there = || health()["targets"].to_string().contains("redis:late");
    until("it is measured", || there().then_some(()));
    settings(&sandbox, "");
    daemon.nth_event("reloaded", 1);
    until("it is forgotten", || (!there()).then_some(()));
    assert_eq!(daemon.stop().code, Some(0));
}
