//! Cleaning a Redis against what people do without larder, with a bystander who tells what
//! everybody else feels meanwhile.
//!
//! One DEL a key is measured on a few keys and scaled up, which is said in its name.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use larder_testkit::{Answer, RedisServer};

use super::Bench;
use super::bystander::{Bystander, Felt};
use super::measure::{Runs, once};
use super::report::{Goal, Row};

/// Keys that go, and keys that stay.
const VICTIMS: usize = 400_000;
const OTHERS: usize = 600_000;
/// Keys that are removed one DEL at a time.
const SINGLE: usize = 1000;
/// The rounds take half a minute each.
const MOST_ROUNDS: usize = 5;
/// How much the 99th percentile of others may rise, and what none of them may exceed, seconds.
const RISE: f64 = 0.002;
const LONGEST: f64 = 0.02;

const PATTERN: &str = "temp:*";

/// A server, and what is put there before each run.
struct Fixture<'a> {
    bench: &'a Bench,
    server: RedisServer,
    url: String,
    victims: usize,
    /// A hash of a million elements and a string of 300 MB.
    big: bool,
}

/// Somebody who cleans.
struct Cleaner<'a> {
    name: String,
    command: Box<dyn Fn() -> Command + 'a>,
    /// How many keys go; the time is scaled up to all of them.
    goes: usize,
}

/// What the rounds of one said.
struct Told {
    runs: Runs,
    /// What the bystander felt in each.
    felt: Vec<Felt>,
}

/// A million small keys, 40 % of which go.
pub(super) fn clean(bench: &Bench) -> Result<Vec<Row>> {
    let fixture = Fixture::new(bench, bench.size(VICTIMS), false)?;
    let all = fixture.victims;
    let single = SINGLE.min(all);
    let scaled = format!("one DEL a key from a shell ({single} measured, × {})", all / single);
    let mut cleaners = fixture.cleaners();
    cleaners.push(Cleaner {
        name: scaled,
        command: Box::new(|| {
            fixture.shell(&format!(
            "{{ redis-cli -p $PORT --scan --pattern '{PATTERN}' || true; }} | head -n {single} | \
             while read -r key; do redis-cli -p $PORT DEL \"$key\" >/dev/null; done"
        ))
        }),
        goes: single,
    });
    let told = fixture.in_turns(&cleaners)?;
    let what = format!("clean redis, {all} of {} keys", all + bench.size(OTHERS));
    let [idle, larder, scan, keys, pipeline, single] = &told[..] else { bail!("six were run") };
    let pair = |other: &Told, goal| Row::pair(&what, &larder.runs, &other.runs, goal);
    let mut rows = vec![
        pair(single, Goal::Times(10.0)),
        pair(scan, Goal::Times(3.0)),
        pair(keys, Goal::None),
        pair(pipeline, Goal::AtMostTimes(1.3)),
    ];
    rows.extend(felt(&what, larder, &[idle, scan, keys, pipeline]));
    Ok(rows)
}

/// With values among them that a server cannot free between two requests.
pub(super) fn big(bench: &Bench) -> Result<Vec<Row>> {
    let fixture = Fixture::new(bench, bench.size(VICTIMS / 4), true)?;
    let mut cleaners = fixture.cleaners();
    let alone = || fixture.shell("redis-cli -p $PORT UNLINK temp:string");
    cleaners.push(Cleaner::new("UNLINK of the string alone", 1, alone));
    let told = fixture.in_turns(&cleaners)?;
    let what =
        format!("clean redis, {} keys, a hash of 1 M and a string of 300 MB", fixture.victims);
    let [idle, larder, scan, keys, pipeline, alone] = &told[..] else { bail!("six were run") };
    let pair = |other: &Told, goal| Row::pair(&what, &larder.runs, &other.runs, goal);
    let mut rows = vec![pair(scan, Goal::None), pair(keys, Goal::None), pair(pipeline, Goal::None)];
    rows.extend(felt(&what, larder, &[idle, scan, keys, pipeline, alone]));
    Ok(rows)
}

/// What others felt: beside larder, and beside each of these, the first of whom did nothing.
fn felt(what: &str, larder: &Told, others: &[&Told]) -> Vec<Row> {
    let ours = Felt::of_rounds(&larder.felt);
    let what = format!("a GET each ms beside {what}: p50, p99, max");
    others
        .iter()
        .enumerate()
        .map(|(at, other)| {
            let theirs = Felt::of_rounds(&other.felt);
            let idle = at == 0;
            let asked = format!("p99 ≤ {:.0} ms above, max ≤ {:.0} ms", RISE * 1e3, LONGEST * 1e3);
            let met = ours.p99 <= theirs.p99 + RISE && ours.max <= LONGEST;
            let judged = idle.then_some((asked, met));
            Row::felt(&what, &other.runs.name, (ours, theirs), judged)
        })
        .collect()
}

impl<'a> Cleaner<'a> {
    fn new(name: &str, goes: usize, command: impl Fn() -> Command + 'a) -> Self {
        Self { name: name.to_owned(), command: Box::new(command), goes }
    }
}

impl<'a> Fixture<'a> {
    fn new(bench: &'a Bench, victims: usize, big: bool) -> Result<Self> {
        let server = RedisServer::start();
        let url = server.url();
        let fixture = Self { bench, server, url, victims, big };
        // What was written before still goes to the disk, and takes a processor of two.
        super::quietly(&mut Command::new("sync"))?;
        fixture.populate(bench.size(OTHERS), "keep")?;
        Ok(fixture)
    }

    /// Those who are compared, an idle second and larder first.
    fn cleaners(&self) -> Vec<Cleaner<'_>> {
        let all = self.goal();
        let scan = format!(
            "redis-cli -p $PORT --scan --pattern '{PATTERN}' | \
             xargs -L 1000 redis-cli -p $PORT UNLINK"
        );
        let keys = format!("redis-cli -p $PORT KEYS '{PATTERN}' | xargs redis-cli -p $PORT DEL");
        let larder = || {
            let none = self.bench.none();
            let clean = ["clean", &self.url, "--match", PATTERN, "--yes"];
            self.bench.larder(&clean, &none, &none)
        };
        let pipeline = || {
            let program = std::env::current_exe().unwrap_or_else(|_| "xtask".into());
            let mut command = Command::new(program);
            command.args(["bench", "pipeline", &self.url, PATTERN]);
            command
        };
        vec![
            Cleaner::new("nobody", 0, || self.shell("sleep 1")),
            Cleaner::new("larder", all, larder),
            Cleaner::new("redis-cli --scan, xargs -L 1000 UNLINK", all, move || self.shell(&scan)),
            Cleaner::new("redis-cli KEYS, xargs DEL", all, move || self.shell(&keys)),
            Cleaner::new("SCAN and UNLINK in Rust, no preview, no pauses", all, pipeline),
        ]
    }

    /// All keys that match.
    fn goal(&self) -> usize {
        if self.big { self.victims + 2 } else { self.victims }
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PORT", self.server.port().to_string());
        command
    }

    fn populate(&self, count: usize, prefix: &str) -> Result<()> {
        let count = count.to_string();
        match self.server.client().ask(&["DEBUG", "POPULATE", &count, prefix, "64"]) {
            Answer::Line(line) if line == "OK" => Ok(()),
            other => bail!("DEBUG POPULATE: {other:?}"),
        }
    }

    /// Puts the victims back.
    fn fill(&self) -> Result<()> {
        self.populate(self.victims, "temp")?;
        let mut client = self.server.client();
        if self.big {
            let size = if self.bench.quick { 3_000_000 } else { 300_000_000 };
            client.ask(&["SETRANGE", "temp:string", &size.to_string(), "x"]);
            let elements = self.bench.size(1_000_000);
            // In small parts: a large process takes long to start others, and makes theirs look large.
            for first in (0..elements).step_by(1000) {
                let mut command = vec!["HSET".to_owned(), "temp:hash".to_owned()];
                let fields = first..(first + 1000).min(elements);
                command.extend(fields.flat_map(|n| [format!("field:{n}"), format!("v{n}")]));
                client.ask_all(&[command]);
            }
        }
        // Memory that is still given back is the doing of whoever came before.
        let until = Instant::now() + Duration::from_secs(30);
        while !client.ask(&["INFO", "memory"]).text().contains("lazyfree_pending_objects:0\r") {
            if Instant::now() > until {
                bail!("the server does not come to rest");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn left(&self) -> Result<usize> {
        let size = self.server.client().ask(&["DBSIZE"]).number();
        Ok(usize::try_from(size)?.saturating_sub(self.bench.size(OTHERS)))
    }

    /// Runs all of them in turns, each with a bystander; the first round does not count.
    fn in_turns(&self, cleaners: &[Cleaner]) -> Result<Vec<Told>> {
        let name = |cleaner: &Cleaner| Runs { name: cleaner.name.clone(), samples: Vec::new() };
        let mut told: Vec<Told> =
            cleaners.iter().map(|c| Told { runs: name(c), felt: Vec::new() }).collect();
        for round in 0..=self.bench.rounds().min(MOST_ROUNDS) {
            let mut order: Vec<usize> = (0..cleaners.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let cleaner = &cleaners[index];
                self.fill()?;
                let bystander = Bystander::start(self.server.port(), "keep:7")?;
                let sample = once(&mut (cleaner.command)());
                let felt = bystander.stop()?;
                let mut sample = sample.with_context(|| format!("measure {}", cleaner.name))?;
                let gone = self.goal() - self.left()?;
                if gone != cleaner.goes {
                    bail!("{} removed {gone} keys of {}", cleaner.name, cleaner.goes);
                }
                if round == 0 {
                    continue;
                }
                let scale = self.goal() as f64 / cleaner.goes.max(1) as f64;
                if cleaner.goes == SINGLE {
                    sample.wall *= scale;
                    sample.cpu *= scale;
                }
                told[index].runs.samples.push(sample);
                told[index].felt.push(Felt::of(felt));
            }
        }
        Ok(told)
    }
}

/// The shortest way: a page of names, and all of them in one command.
pub(super) fn pipeline(url: &str, pattern: &str) -> Result<()> {
    let mut connection = redis::Client::open(url)?.get_connection()?;
    let mut cursor = 0_u64;
    loop {
        let page = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(1000)
            .to_owned();
        let (next, keys): (u64, Vec<Vec<u8>>) = page.query(&mut connection)?;
        if !keys.is_empty() {
            let _: u64 = redis::cmd("UNLINK").arg(keys).query(&mut connection)?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}
