//! What projects need, and how soon the shortest commands answer.

use anyhow::Result;

use super::Bench;
use super::measure::{Contestant, in_turns};
use super::report::{Goal, Row};

/// A dry run over many projects against a plain scan of the same module cache.
pub(super) fn keep_used(bench: &Bench) -> Result<Vec<Row>> {
    let (projects, requirements) = (bench.size(50), bench.size(300));
    let source = bench.dir.join("projects");
    bench.remove_all(&source)?;
    let gomodcache = bench.tree(
        "gomodcache",
        "used",
        &[
            bench.size(600).to_string(),
            "80".to_owned(),
            "2".to_owned(),
            source.display().to_string(),
            projects.to_string(),
            requirements.to_string(),
        ],
    )?;
    let none = bench.none();
    let projects_dir = source.display().to_string();
    let prune = ["prune", "mod", "--keep-used", &projects_dir, "--protect", "0s", "--dry-run"];
    let runs = in_turns(
        bench.rounds(),
        &mut [
            Contestant::new("larder", |_| bench.larder(&prune, &none, &gomodcache)),
            Contestant::new("larder du mod", |_| bench.larder(&["du", "mod"], &none, &gomodcache)),
        ],
    )?;
    let what = format!("prune mod --keep-used, {projects} projects × {requirements}");
    Ok(vec![Row::pair(&what, &runs[0], &runs[1], Goal::AtMostTimes(1.5))])
}

/// The version, and the status of small caches.
pub(super) fn start(bench: &Bench) -> Result<Vec<Row>> {
    let gocache = bench.tree("gocache", "small-build", &["400".to_owned()])?;
    let sizes = ["5", "20", "1"].map(str::to_owned);
    let gomodcache = bench.tree("gomodcache", "small-mod", &sizes)?;
    let rounds = if bench.quick { 5 } else { 50 };
    let runs = in_turns(
        rounds,
        &mut [
            Contestant::new("larder", |_| bench.larder(&["--version"], &gocache, &gomodcache)),
            Contestant::new("larder", |_| bench.larder(&[], &gocache, &gomodcache)),
            Contestant::new("true", |_| bench.sandbox.command("true")),
        ],
    )?;
    Ok(vec![
        Row::pair("larder --version", &runs[0], &runs[2], Goal::Wall(0.005)),
        Row::pair("larder, small caches", &runs[1], &runs[2], Goal::Wall(0.02)),
    ])
}
