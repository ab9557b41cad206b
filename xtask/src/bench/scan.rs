//! Full scans of a build cache: warm, cold, and huge.

use std::fs;
use std::path::Path;
use std::process::Command;

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
    let runs = in_turns(bench.rounds(), &mut contestants(bench, &tree, PEERS))?;
    let what = format!("scan of {} files, warm", grouped(entries as u64));
    let mut rows = vec![Row::alone(&what, &runs[0], Goal::Each(0.85e-6, entries))];
    for (other, goal) in runs[1..].iter().zip([1.9, 1.3, 1.3].map(Goal::Times)) {
        rows.push(Row::pair(&what, &runs[0], other, goal));
    }
    if let Some(dua) = runs.get(4) {
        rows.push(Row::pair(&what, &runs[0], dua, Goal::None));
    }
    Ok(rows)
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
