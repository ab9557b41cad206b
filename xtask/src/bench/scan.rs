//! Full scans of a build cache: warm, cold, and huge.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;

use anyhow::{Context as _, Result};
use larder_core::count::grouped;

use super::measure::{Contestant, in_turns};
use super::report::{Goal, Row};
use super::{Bench, quietly};

/// Files of the tree that is scanned.
const ENTRIES: usize = 200_000;

/// Peers with their arguments: each prints the size of one tree.
const PEERS: &[(&str, &[&str])] =
    &[("du", &["-s"]), ("pdu", &[]), ("diskus", &[]), ("dua", &["aggregate"])];

pub(super) fn warm(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.size(ENTRIES);
    let tree = bench.tree("gocache", "scan", &[entries.to_string()])?;
    let program = std::env::current_exe().context("own path")?;
    let mut all = contestants(bench, &tree, PEERS);
    all.push(Contestant::new("the system's calls alone", |_| {
        let mut command = Command::new(&program);
        command.args(["bench", "walk"]).arg(&tree);
        command
    }));
    let runs = in_turns(bench.rounds(), &mut all)?;
    let what = format!("scan of {} files, warm", grouped(entries as u64));
    let mut rows = vec![Row::alone(&what, &runs[0], Goal::Each(0.85e-6, entries))];
    let goals = [1.9, 1.3, 1.3].map(Goal::Times).into_iter().chain(std::iter::repeat(Goal::None));
    let others = runs[1..].iter().zip(goals);
    rows.extend(others.map(|(other, goal)| Row::pair(&what, &runs[0], other, goal)));
    Ok(rows)
}

/// Lists the folders of a tree and looks at every file in them on all processors, and does nothing
/// with it: what no scan can be faster than.
pub(super) fn walk(tree: &Path) -> Result<()> {
    let folders = fs::read_dir(tree)?.collect::<Result<Vec<_>, _>>()?;
    let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let work = || -> std::io::Result<()> {
        while let Some(folder) = folders.get(next.fetch_add(1, Relaxed)) {
            if !folder.file_type()?.is_dir() {
                continue;
            }
            let mut sum = 0;
            for file in fs::read_dir(folder.path())? {
                sum += file?.metadata()?.len();
            }
            bytes.fetch_add(sum, Relaxed);
        }
        Ok(())
    };
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    println!("{}", bytes.into_inner());
    Ok(())
}

pub(super) fn cold(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.size(ENTRIES);
    let what = format!("scan of {} files, cold", grouped(entries as u64));
    if let Err(error) = drop_caches() {
        return Ok(vec![Row::not_measured(&what, &format!("{error:#}"))]);
    }
    let tree = bench.tree("gocache", "scan", &[entries.to_string()])?;
    let mut contestants: Vec<Contestant> = contestants(bench, &tree, &PEERS[..3])
        .into_iter()
        .map(|contestant| contestant.before(|_| drop_caches()))
        .collect();
    let runs = in_turns(bench.rounds(), &mut contestants)?;
    let others = runs[1..].iter();
    Ok(others.map(|other| Row::pair(&what, &runs[0], other, Goal::Times(1.0))).collect())
}

pub(super) fn million(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.size(1_000_000);
    let tree = bench.tree("gocache", "million", &[entries.to_string()])?;
    let rounds = bench.rounds().min(3);
    let runs = in_turns(rounds, &mut contestants(bench, &tree, &PEERS[..3]))?;
    let what = format!("scan of {} files", grouped(entries as u64));
    let mut rows = vec![Row::alone(&what, &runs[0], Goal::Memory(40e6))];
    rows.extend(runs[1..].iter().map(|other| Row::pair(&what, &runs[0], other, Goal::None)));
    Ok(rows)
}

/// Larder first, then the peers.
fn contestants<'a>(
    bench: &'a Bench,
    tree: &'a Path,
    peers: &[(&'a str, &'a [&'a str])],
) -> Vec<Contestant<'a>> {
    let none = bench.none();
    let mut all =
        vec![Contestant::new("larder", move |_| bench.larder(&["du", "build"], tree, &none))];
    for &(name, arguments) in peers {
        let shown = if arguments.is_empty() {
            name.to_owned()
        } else {
            format!("{name} {}", arguments.join(" "))
        };
        all.push(Contestant::new(&shown, move |_| bench.peer(name, arguments, tree)));
    }
    all
}

/// Makes the next scan read from the disk.
fn drop_caches() -> Result<()> {
    quietly(&mut Command::new("sync"))?;
    fs::write("/proc/sys/vm/drop_caches", "3")
        .context("the page cache cannot be dropped here (it takes root)")
}
