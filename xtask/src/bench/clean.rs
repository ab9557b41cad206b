//! Removing whole caches: for good against the go command, and into the trash.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::measure::{Contestant, in_turns};
use super::report::{Goal, Row};
use super::{Bench, quietly};

/// Files of the build cache that is removed.
const BUILD_ENTRIES: usize = 80_000;
/// Modules of the module cache that is removed, and files of each.
const MODULES: usize = 500;
const MODULE_FILES: usize = 90;

/// For good, without a question.
const CLEAN: &[&str] = &["--yes", "--no-trash"];

pub(super) fn build(bench: &Bench) -> Result<Vec<Row>> {
    let tree = build_tree(bench)?;
    let ours = copies(bench, &tree, "larder")?;
    let theirs = copies(bench, &tree, "go")?;
    let none = bench.none();
    let mut contestants = [
        Contestant::new("larder", |round| {
            bench.larder(&[&["clean", "build"], CLEAN].concat(), &ours[round], &none)
        }),
        Contestant::new("go clean -cache", |round| {
            let mut command = bench.sandbox.command("go");
            command.args(["clean", "-cache"]).env("GOCACHE", &theirs[round]);
            command
        }),
    ];
    quietly(&mut Command::new("sync"))?;
    let runs = in_turns(bench.rounds(), &mut contestants)?;
    Ok(vec![Row::pair("clean build", &runs[0], &runs[1], Goal::Times(1.7))])
}

/// As a user who is not root: root may ignore that Go's folders are read-only, which is half of
/// the work.
pub(super) fn module(bench: &Bench) -> Result<Vec<Row>> {
    if let Some(folder) = closed_folder(&bench.dir) {
        let why = format!("the user nobody cannot enter {folder}; give another --dir");
        return Ok(vec![Row::not_measured("clean mod", &why)]);
    }
    let tree = module_tree(bench)?;
    let ours = copies(bench, &tree, "larder")?;
    let theirs = copies(bench, &tree, "go")?;
    let none = bench.none();
    let mut contestants = [
        Contestant::new("larder", |round| {
            let arguments = [&["clean", "mod"], CLEAN].concat();
            bench.sandbox.as_nobody(&bench.larder(&arguments, &none, &ours[round]))
        }),
        Contestant::new("go clean -modcache", |round| {
            let mut command = bench.sandbox.command("go");
            command.args(["clean", "-modcache"]).env("GOMODCACHE", &theirs[round]);
            bench.sandbox.as_nobody(&command)
        }),
    ];
    quietly(&mut Command::new("sync"))?;
    let runs = in_turns(bench.rounds(), &mut contestants)?;
    Ok(vec![Row::pair("clean mod, not as root", &runs[0], &runs[1], Goal::Times(1.9))])
}

/// A rename, so the size must not matter. Each round is undone before the next, which also
/// shows that it can be.
pub(super) fn trash(bench: &Bench) -> Result<Vec<Row>> {
    let gocache = build_tree(bench)?;
    let gomodcache = module_tree(bench)?;
    let mut rows = Vec::new();
    for (cache, proof) in [("build", gocache.join("00")), ("mod", gomodcache.join("example.com"))] {
        let undo = |round| {
            if round > 0 {
                restore_latest(bench, &gocache, &gomodcache)?;
            }
            if proof.is_dir() { Ok(()) } else { bail!("{} is not there", proof.display()) }
        };
        let command =
            |_| bench.larder(&["clean", cache, "--trash", "--yes"], &gocache, &gomodcache);
        let mut contestants = [Contestant::new("larder", command).before(undo)];
        let runs = in_turns(bench.rounds(), &mut contestants)?;
        restore_latest(bench, &gocache, &gomodcache)?;
        rows.push(Row::alone(&format!("clean {cache} --trash"), &runs[0], Goal::Wall(0.05)));
    }
    Ok(rows)
}

/// Restores the one thing that lies in the trash.
fn restore_latest(bench: &Bench, gocache: &Path, gomodcache: &Path) -> Result<()> {
    let output = bench.larder(&["trash", "list", "--json"], gocache, gomodcache).output()?;
    let list: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("read larder trash list --json")?;
    let ids: Vec<&str> = list["entries"]
        .as_array()
        .map(|entries| entries.iter().filter_map(|entry| entry["id"].as_str()).collect())
        .unwrap_or_default();
    let [id] = ids[..] else { bail!("{} things are in the trash, not one", ids.len()) };
    quietly(&mut bench.larder(&["trash", "restore", id], gocache, gomodcache))
}

fn build_tree(bench: &Bench) -> Result<PathBuf> {
    bench.tree("gocache", "build", &[bench.size(BUILD_ENTRIES).to_string()])
}

fn module_tree(bench: &Bench) -> Result<PathBuf> {
    let modules = bench.size(MODULES).to_string();
    bench.tree("gomodcache", "mod", &[modules, MODULE_FILES.to_string(), "1".to_owned()])
}

/// A copy for each round; where root will run it as nobody, nobody's own.
fn copies(bench: &Bench, tree: &Path, of: &str) -> Result<Vec<PathBuf>> {
    if bench.sandbox.runs_as_nobody() {
        // Its folder too: both tools remove the root of a cache itself.
        quietly(Command::new("chown").arg("nobody").arg(&bench.dir))?;
        quietly(Command::new("chown").args(["-R", "nobody"]).arg(tree))?;
    }
    let name = tree.file_name().unwrap_or_default().to_string_lossy();
    (0..=bench.rounds())
        .map(|round| {
            let copy = bench.dir.join(format!("{name}-{of}-{round}"));
            bench.remove_all(&copy)?;
            quietly(Command::new("cp").arg("-a").arg(tree).arg(&copy))?;
            Ok(copy)
        })
        .collect()
}

/// The first folder on the way to `dir` that not everybody may enter.
fn closed_folder(dir: &Path) -> Option<String> {
    let closed =
        |folder: &&Path| std::fs::metadata(folder).is_ok_and(|meta| meta.mode() & 0o001 == 0);
    dir.ancestors().find(closed).map(|folder| folder.display().to_string())
}
