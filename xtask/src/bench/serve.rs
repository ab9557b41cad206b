//! The daemon: how long a scrape waits, what it takes while nothing happens, and how much less it
//! costs to measure a tree that did not change.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use larder_core::{Meter, RootKind};
use larder_go::sizes::Sizes;
use larder_testkit::{RedisServer, free_port};

use super::bystander::Felt;
use super::report::Row;
use super::{Bench, history};

/// Caches of a scrape.
const CACHES: usize = 50;
/// Scrapes that count.
const SCRAPES: usize = 2000;
/// The 99th percentile of a scrape may take so long, seconds.
const SCRAPE: f64 = 0.01;
/// Files under an idle daemon, and under the index.
const FILES: usize = 100_000;
/// Resident memory of an idle daemon, bytes, and its share of one processor.
const RESIDENT: f64 = 20e6;
const SHARE: f64 = 0.005;
/// How many times cheaper an unchanged tree is than a full scan of it.
const CHEAPER: f64 = 8.0;

/// A daemon that ends with its benchmark.
struct Serving {
    child: Child,
    port: u16,
}

impl Serving {
    /// `larder serve` with these settings, over these caches, ready.
    fn start(bench: &Bench, settings: &str, gocache: &Path, gomodcache: &Path) -> Result<Self> {
        let config = bench.dir.join("serve.toml");
        fs::write(&config, settings).context("write the settings")?;
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut command = bench.larder(&["serve", "--listen", &listen], gocache, gomodcache);
        command.env("LARDER_CONFIG", &config).stdin(Stdio::null());
        command.env("LARDER_STATE", bench.dir.join("state"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let serving = Self { child, port };
        let until = Instant::now() + Duration::from_mins(1);
        while serving.get("/api/v1/du").is_ok_and(|answer| !answer.starts_with("HTTP/1.1 200"))
            || serving.get("/readyz").is_err()
        {
            if Instant::now() > until {
                bail!("larder serve did not get ready");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(serving)
    }

    /// An answer on a connection of its own, head and body.
    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// A figure of `/proc/PID/FILE`.
    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }

    /// Resident memory, bytes.
    fn resident(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib * 1024.0).context("no VmRSS")
    }

    /// Processor time that it used so far, seconds; the kernel counts in hundredths.
    fn used(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<f64> = after.split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
        let both = fields.get(11).zip(fields.get(12)).context("a short stat")?;
        Ok((both.0 + both.1) / 100.0)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Scrapes one after the other, at the usual rhythm of measuring: a Redis under many names, and Go's
/// caches.
pub(super) fn scrape(bench: &Bench) -> Result<Vec<Row>> {
    let gocache = bench.tree("gocache", "scraped", &[bench.size(10_000).to_string()])?;
    let gomodcache =
        bench.tree("gomodcache", "scraped-mod", &["20", "20", "2"].map(str::to_owned))?;
    let server = RedisServer::start();
    let mut settings = String::new();
    // Six of Go's caches are among them.
    for index in 0..CACHES - 6 {
        let url = format!("{}/{}", server.url(), index % 16);
        settings.extend(["[redis.r", &index.to_string(), "]\nurl = \"", &url, "\"\n"]);
    }
    let serving = Serving::start(bench, &settings, &gocache, &gomodcache)?;
    let until = Instant::now() + Duration::from_mins(1);
    let mut answer = serving.get("/metrics")?;
    while answer.matches("\nlarder_cache_up{").count() < CACHES && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
        answer = serving.get("/metrics")?;
    }
    let caches = answer.matches("\nlarder_cache_up{").count();
    let series = answer.lines().filter(|line| !line.starts_with('#')).count();
    let mut waits = Vec::new();
    for _ in 0..bench.size(SCRAPES) {
        let begun = Instant::now();
        serving.get("/metrics")?;
        waits.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    let felt = Felt::of(waits);
    let what = format!("a scrape of {caches} caches, {series} series: median, p99, longest");
    let goal = format!("p99 ≤ {:.0} ms", SCRAPE * 1e3);
    let of = |seconds: f64| format!("{:.2}", seconds * 1e3);
    let told = format!("{}, {}, {} ms", of(felt.p50), of(felt.p99), of(felt.max));
    Ok(vec![Row::told(&what, &told, Some((goal, felt.p99 <= SCRAPE)))])
}

/// A daemon that has a day of samples behind it and little to do: what it takes of memory, and of
/// one processor at the usual rhythm.
pub(super) fn idle(bench: &Bench) -> Result<Vec<Row>> {
    let files = bench.size(FILES);
    let gocache = bench.tree("gocache", "idle", &[files.to_string()])?;
    let sizes = [bench.size(100).to_string(), "40".to_owned(), "2".to_owned()];
    let gomodcache = bench.tree("gomodcache", "idle-mod", &sizes)?;
    let servers = [RedisServer::start(), RedisServer::start()];
    let state = bench.dir.join("state");
    history::day(&state)?;
    let mut settings = String::new();
    for (index, server) in servers.iter().enumerate() {
        settings.extend(["[redis.r", &index.to_string(), "]\nurl = \"", &server.url(), "\"\n"]);
    }
    // As many samples in minutes as in hours otherwise, for what grows with each.
    let fast = format!("{settings}[schedule]\nsample = \"1s\"\nscan = \"20s\"\n");
    let minutes = if bench.quick { 1 } else { 10 };
    let serving = Serving::start(bench, &fast, &gocache, &gomodcache)?;
    std::thread::sleep(Duration::from_mins(minutes));
    let resident = serving.resident()?;
    drop(serving);
    let serving = Serving::start(bench, &settings, &gocache, &gomodcache)?;
    std::thread::sleep(Duration::from_secs(20));
    let (begun, before) = (Instant::now(), serving.used()?);
    // Ten minutes hold a full scan.
    std::thread::sleep(Duration::from_mins(minutes));
    let share = (serving.used()? - before) / begun.elapsed().as_secs_f64();
    let tree = format!("{} files and two Redis", larder_core::count::grouped(files as u64));
    let memory = format!("{:.1} MB", resident / 1e6);
    let processor = format!("{:.2} % of one processor", share * 100.0);
    Ok(vec![
        Row::told(
            &format!("resident, after a day of history and {} more samples, {tree}", minutes * 60),
            &memory,
            Some((format!("≤ {:.0} MB", RESIDENT / 1e6), resident <= RESIDENT)),
        ),
        Row::told(
            &format!("idle over {minutes} minutes at 15 s, {tree}"),
            &processor,
            Some((format!("≤ {:.1} %", SHARE * 100.0), share <= SHARE)),
        ),
    ])
}

/// The sizes of a tree by its index against reading all of it, in turns within one process.
pub(super) fn index(bench: &Bench) -> Result<Vec<Row>> {
    let files = bench.size(FILES);
    let gocache = bench.tree("gocache", "indexed", &[files.to_string()])?;
    // What is younger than ten seconds is read again, whatever the folder says.
    std::thread::sleep(Duration::from_secs(12));
    let dir = larder_fs::Dir::open_root(&gocache).context("open the tree")?;
    let meter = Meter::default();
    let mut sizes = Sizes::new(RootKind::GoCache);
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    let mut found = Vec::new();
    for round in 0..=bench.rounds().max(5) {
        for (anew, times) in [(true, &mut whole), (false, &mut part)] {
            if anew {
                sizes.forget();
            }
            let begun = Instant::now();
            let all = sizes.refresh(&dir, larder_fs::now(), &meter).context("measure")?;
            if round > 0 {
                times.push(begun.elapsed());
            }
            found.push(all.sizes);
        }
    }
    if found.iter().any(|sizes| *sizes != found[0]) {
        bail!("the index and the scan do not agree");
    }
    let (whole, part) = (Felt::of(whole), Felt::of(part));
    let times = whole.p50 / part.p50;
    let what = format!("sizes of {} unchanged files", larder_core::count::grouped(files as u64));
    let ours = format!("{:.2} ms, {times:.0}× cheaper than a full scan", part.p50 * 1e3);
    let met = times >= CHEAPER;
    Ok(vec![Row::told(&what, &ours, Some((format!("≥ {CHEAPER:.0}×"), met)))])
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_tells_its_memory_and_time() {
        let child = Command::new("sleep").arg("30").spawn().unwrap();
        let serving = Serving { child, port: 9 };
        // It has to be loaded first.
        let until = Instant::now() + Duration::from_secs(20);
        while serving.resident().unwrap() < 100_000.0 {
            assert!(Instant::now() < until, "{:?}", serving.resident());
            std::thread::yield_now();
        }
        assert!(serving.used().unwrap() < 1.0);
    }
}
