//! `larder serve` as Prometheus and a person see it: readiness, metrics in both formats, what they
//! say of their age, what runs, and what a reload takes away. Holds what the other tests of `serve`
//! share.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_core::{Event, RedisSample, Sample, event};
use larder_history::{Entry, Limits, Store};
use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, RedisServer};

use crate::daemon_kit::{Daemon, ask, command, get, post, settings, state, until};

/// Series by name and labels, as they are written.
pub(crate) type Series = BTreeMap<String, f64>;

/// A machine whose caches the real go command filled: a program that is built and needs a module.
pub(crate) fn machine() -> (GoSandbox, PathBuf) {
    let mut sandbox = GoSandbox::new();
    sandbox.warm();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    proxy.publish(&ModuleMaker::new("example.test/dep", "v1.0.0").package("", &[]));
    sandbox.proxy(&proxy.url());
    let project = sandbox.project(
        "app",
        "-- go.mod --\nmodule example.test/app\n\ngo 1.21\n\nrequire example.test/dep v1.0.0\n\
         -- main.go --\npackage main\n\nimport (\n\t\"os\"\n\n\tdep \"example.test/dep\"\n)\n\n\
         func main() {\n\tprintln(dep.Use())\n\tos.Stdin.Read(make([]byte, 1))\n}\n",
    );
    sandbox.go(&["mod", "tidy"], &project);
    sandbox.go(&["build", "-o", "app", "."], &project);
    (sandbox, project)
}

/// The metrics of a server.
pub(crate) fn scrape(address: &str) -> String {
    let answer = get(address, "/metrics");
    assert_eq!(answer.status, 200, "{answer:#?}");
    answer.body
}

pub(crate) fn series(text: &str) -> Series {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The metrics once something is so.
#[track_caller]
pub(crate) fn scraped_when(
    address: &str,
    what: &str,
    mut so: impl FnMut(&Series) -> bool,
) -> String {
    until(what, || Some(scrape(address)).filter(|text| so(&series(text))))
}

/// The folder of the Python programs that `scripts/test` installs.
pub(crate) fn python() -> Option<PathBuf> {
    let dir = std::env::var_os("LARDER_PYTHON").filter(|dir| !dir.is_empty());
    if dir.is_none() {
        eprintln!("NOT TESTED: LARDER_PYTHON is not set: scripts/test sets it");
    }
    dir.map(PathBuf::from)
}

/// Runs a judge, which must have nothing to say against it.
#[track_caller]
pub(crate) fn judged(command: &mut Command, input: &str) -> String {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("scripts/test installs it");
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// A week of hourly samples in the history: each of `growing` grows by a byte rate a second.
pub(crate) fn a_week(state: &Path, growing: &[(&str, u64)]) {
    let (mut store, _) = Store::open(&state.join("history.db"), Limits::default()).unwrap();
    let now = larder_fs::now();
    let mut entries = Vec::new();
    for (cache, per_second) in growing {
        for hour in 0..168_u64 {
            let at = now.minus(Duration::from_secs((168 - hour) * 3600));
            let level = 50_000_000 + hour * 3600 * per_second;
            let redis = cache.starts_with("redis:").then(|| RedisSample {
                used_memory_bytes: level,
                resident_bytes: level,
                ..RedisSample::default()
            });
            entries.push(Entry::Sample(Box::new(Sample {
                allocated_bytes: Some(level),
                redis,
                ..Sample::empty(*cache, at, Duration::from_millis(3))
            })));
        }
    }
    store.write(&entries).unwrap();
}

/// An event that took a cache down, as a cleanup leaves it.
pub(crate) fn cleaned(cache: &str, ago: Duration, bytes: u64) -> Entry {
    Entry::Event(Event {
        at: larder_fs::now().minus(ago),
        kind: event::CLEANED.to_owned(),
        cache: Some(cache.to_owned()),
        plan_id: None,
        trace_id: "0a".to_owned(),
        message: "freed".to_owned(),
        data: vec![(event::FREED_BYTES.to_owned(), bytes.to_string())],
    })
}

/// A listener that takes connections and says nothing.
fn hanging() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn it_lives_at_once_and_is_ready_after_the_first_sample() {
    let (sandbox, _) = machine();
    let hangs = hanging();
    let port = hangs.local_addr().unwrap().port();
    // The first round waits a second for a server that does not answer, which is time to look.
    settings(&sandbox, &format!("[redis.slow]\nurl = \"redis://127.0.0.1:{port}\"\n"));
    let daemon = Daemon::spawn(&sandbox, command(&sandbox, &["serve", "--listen", "127.0.0.1:0"]));
    let address = daemon.address();
    let before = get(&address, "/readyz");
    assert_eq!((before.status, get(&address, "/healthz").status), (503, 200), "{before:#?}");
    assert!(before.body.contains("nothing was measured yet"), "{before:#?}");
    assert_eq!(get(&address, "/api/v1/status").status, 503);
    let early = series(&scrape(&address));
    assert!(early.keys().all(|name| !name.starts_with("larder_cache_")), "{early:#?}");
    until("it is ready", || (get(&address, "/readyz").status == 200).then_some(()));
    let values = series(&scrape(&address));
    assert!(values["larder_cache_files{cache=\"build\"}"] > 100.0, "{values:#?}");
    assert!(values["larder_cache_files{cache=\"mod\"}"] > 3.0, "{values:#?}");
    // A rate sees the first failure only of what began at zero.
    assert_eq!(values.get("larder_cleanup_failures_total{cache=\"build\"}"), Some(&0.0));
    until("the status is there", || (get(&address, "/api/v1/status").status == 200).then_some(()));
    let page = get(&address, "/");
    assert!(page.body.contains("build") && page.status == 200, "{page:#?}");
    // It started itself again to say how memory is given back, and is who it was.
    let proc = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", daemon.pid()));
    assert_eq!(proc("comm").unwrap(), "larder\n");
    assert!(
        !cfg!(target_env = "gnu")
            || proc("environ").unwrap().contains("MALLOC_TRIM_THRESHOLD_=65536")
    );
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
}

/// Gauges that are counted as things happen, or are times themselves.
const LIVE: [&str; 11] = [
    "larder_build_info",
    "larder_alert_firing",
    "larder_notification_queue_length",
    "larder_plans_waiting",
    "larder_history_bytes",
    "larder_throttles_active",
    "larder_exposition_left_out_series",
    "larder_cache_sample_duration_seconds",
    "larder_cleanup_last_duration_seconds",
    "larder_cache_last_sample_timestamp_seconds",
    "larder_cleanup_last_timestamp_seconds",
];

/// What says when a metric was measured: its help names it.
fn measured_by(help: &str) -> Option<&str> {
    help.strip_suffix(" says when.")?.rsplit_once("; ").map(|(_, name)| name)
}

/// Each sampled series has one beside it that tells when that was, and it was not long ago.
fn every_value_has_its_time(text: &str) {
    let values = series(text);
    let now = larder_fs::now().unix() as f64;
    let label = |name: &str| {
        let from = name.find("cache=\"")?;
        Some(name[from..].split('"').nth(1).unwrap().to_owned())
    };
    let mut timed = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (family, help) = line.split_once(' ').unwrap();
        let Some(by) = measured_by(help) else {
            let own = family.ends_with("_total")
                || family.ends_with("_timestamp_seconds")
                || family.starts_with("larder_verification_")
                || LIVE.contains(&family);
            assert!(own, "nothing says when {family} was measured: {help}");
            continue;
        };
        timed.insert(by.to_owned());
        let of = |name: &&String| name.split('{').next() == Some(family);
        for name in values.keys().filter(of) {
            let per_cache = by.starts_with("larder_cache_");
            let when = match label(name).filter(|_| per_cache) {
                Some(cache) => format!("{by}{{cache=\"{cache}\"}}"),
                None => by.to_owned(),
            };
            let at = values.get(&when).unwrap_or_else(|| panic!("{name}: there is no {when}"));
            assert!((now - at).abs() < 120.0, "{name} was measured {} s ago", now - at);
        }
    }
    assert!(timed.len() >= 4, "{timed:?}");
}

#[test]
fn judges_find_nothing_in_either_format_and_each_value_has_its_time() {
    let (sandbox, project) = machine();
    let redis = RedisServer::with(&["--maxmemory", "64mb"]);
    a_week(&state(&sandbox), &[("build", 900), ("redis:s", 700)]);
    settings(
        &sandbox,
        &format!("[build]\nmax-size = \"2GB\"\n[redis.s]\nurl = \"{}\"\n", redis.url()),
    );
    let roots = project.to_str().unwrap();
    crate::flow::larder(&sandbox, &["verify", "mod", "--roots", roots]).ends(0);
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let text = scraped_when(&address, "all is measured", |values| {
        [
            "larder_cache_reclaimable_bytes{cache=\"build\"}",
            "larder_cache_growth_bytes_per_second{cache=\"build\"}",
            "larder_verification_checked{cache=\"mod\"}",
            "redis_up{cache=\"redis:s\"}",
        ]
        .iter()
        .all(|name| values.contains_key(*name))
    });
    let said = judged(Command::new("promtool").args(["check", "metrics"]), &text);
    assert_eq!(said, "");
    every_value_has_its_time(&text);
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let open = ask(&address, "GET", "/metrics", &[accept], "");
    assert!(open.head.contains("application/openmetrics-text"), "{}", open.head);
    let names = |text: &str| -> BTreeSet<String> { series(text).into_keys().collect() };
    let missing: Vec<String> = names(&text).difference(&names(&open.body)).cloned().collect();
    assert!(missing.is_empty(), "not in OpenMetrics: {missing:?}");
    if let Some(python) = python() {
        let program = "import sys\n\
            from prometheus_client.openmetrics.parser import text_string_to_metric_families as f\n\
            print(len(list(f(sys.stdin.read()))))\n";
        let count = judged(Command::new(python.join("python")).args(["-c", program]), &open.body);
        assert!(count.trim().parse::<u32>().unwrap() > 80, "{count}");
    }
    // The same answer, byte for byte in its names, to each of many at once.
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert!(names(&scrape(&address)).is_superset(&names(&text))));
        }
    });
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_scrape_never_starts_a_scan() {
    let (sandbox, _) = machine();
    settings(&sandbox, "[schedule]\nsample = \"1h\"\nscan = \"1h\"\n");
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let name = "larder_cache_reclaimable_bytes{cache=\"build\"}";
    let before = |text: &str| -> Series {
        let kept = |name: &String| name.starts_with("larder_cache_") || name.contains("last_");
        series(text).into_iter().filter(|(name, _)| kept(name)).collect()
    };
    // The first sample was before the first scan, whose answer belongs to the next one.
    until("the scan is over", || {
        let values = series(&scrape(&address));
        values.contains_key("larder_last_scan_timestamp_seconds").then_some(())
    });
    let first = before(&scrape(&address));
    for n in 0..300 {
        sandbox.write(format!("gocache/00/{n:064x}-d"), "more");
    }
    for path in ["/metrics", "/", "/api/v1/status", "/api/v1/health", "/api/v1/trend", "/readyz"] {
        for _ in 0..10 {
            assert!(get(&address, path).status < 500, "{path}");
        }
    }
    let last = before(&scrape(&address));
    assert_eq!(first, last, "{name}");
    assert_eq!(last["larder_cache_samples_total{cache=\"build\"}"], 1.0);
    assert_eq!(daemon.stop().code, Some(0));
}

/// A go command that goes on until its input ends.
struct GoRun(Child);

impl GoRun {
    fn start(sandbox: &GoSandbox, project: &Path) -> Self {
        let mut go = sandbox.command("go");
        go.args(["run", "."]).current_dir(project);
        let mut child = go.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 1];
        child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
        Self(child)
    }
}

impl Drop for GoRun {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn dev_active_tasks_counts_go_commands_and_own_jobs() {
    let (sandbox, project) = machine();
    settings(&sandbox, "");
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let tasks = |values: &Series| {
        let of =
            |task: &str| values.get(&format!("larder_active_tasks{{task=\"{task}\"}}")).copied();
        let (go, own) = (of("go")?, of("larder")?);
        assert_eq!(values["dev_active_tasks"], go + own, "{values:#?}");
        Some((go, own))
    };
    scraped_when(&address, "no own job runs", |values| tasks(values).is_some_and(|t| t.1 == 0.0));
    let build = GoRun::start(&sandbox, &project);
    scraped_when(&address, "the go command is seen", |v| tasks(v).is_some_and(|t| t.0 >= 1.0));
    // A prune waits for the build, and is a job for as long.
    assert_eq!(post(&address, "/api/v1/runs/deploy").status, 202);
    scraped_when(&address, "the job is seen", |v| {
        tasks(v).is_some_and(|(go, own)| go >= 1.0 && own >= 1.0)
    });
    drop(build);
    scraped_when(&address, "the job is over", |values| tasks(values).is_some_and(|t| t.1 == 0.0));
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn what_a_reload_takes_away_is_gone_from_the_metrics() {
    let sandbox = GoSandbox::new();
    let (stays, goes) = (RedisServer::start(), RedisServer::start());
    a_week(&state(&sandbox), &[("redis:stays", 500), ("redis:goes", 800)]);
    let stay = format!("[redis.stays]\nurl = \"{}\"\n", stays.url());
    settings(&sandbox, &format!("{stay}[redis.goes]\nurl = \"{}\"\n", goes.url()));
    let daemon = Daemon::serve(&sandbox);
    let address = daemon.address();
    let wanted = ["redis_up", "larder_cache_up", "larder_cache_samples_total"];
    let growth = "larder_cache_growth_bytes_per_second";
    let text = scraped_when(&address, "both are there", |values| {
        ["stays", "goes"].iter().all(|name| {
            wanted
                .iter()
                .chain([&growth])
                .all(|metric| values.contains_key(&format!("{metric}{{cache=\"redis:{name}\"}}")))
        })
    });
    assert!(text.contains("redis_memory_used_bytes{cache=\"redis:goes\"}"), "{text}");
    settings(&sandbox, &stay);
    daemon.signal("HUP");
    daemon.event("reloaded");
    let text = scraped_when(&address, "the other is gone", |values| {
        values.keys().all(|name| !name.contains("redis:goes"))
    });
    // Nor does the history bring it back.
    daemon.event("reloaded");
    for metric in wanted {
        assert!(text.contains(&format!("{metric}{{cache=\"redis:stays\"}}")), "{metric}: {text}");
    }
    let document = get(&address, "/api/v1/status").json();
    let caches: Vec<&str> =
        document["caches"].as_array().unwrap().iter().filter_map(|c| c["cache"].as_str()).collect();
    assert!(!caches.contains(&"redis:goes") && caches.contains(&"redis:stays"), "{caches:?}");
    assert_eq!(daemon.stop().code, Some(0));
}
