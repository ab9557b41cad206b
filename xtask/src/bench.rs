//! `xtask bench`: larder against its peers, in the same run, on the same trees.
//!
//! What is promised: all contestants of one benchmark take turns, in an order that changes each
//! round, after a round that does not count; a ratio is the median of the ratios of the rounds;
//! every copy that will be removed is made before the first removal. Nothing outside the bench
//! folder and a temporary home is touched.
//!
//! Left out: installing the peers, which `scripts/bench` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use larder_testkit::{GoSandbox, fake_gocache, fake_gomodcache, fake_projects};

mod bystander;
mod clean;
mod history;
mod machine;
mod measure;
mod prove;
mod redis;
mod report;
mod scan;
mod serve;
mod small;

use report::Row;

/// A benchmark: its name on the command line, what it needs to say, and the run.
struct Benchmark {
    name: &'static str,
    about: &'static str,
    run: fn(&Bench) -> Result<Vec<Row>>,
}

const BENCHMARKS: &[Benchmark] = &[
    Benchmark { name: "scan-warm", about: "full scan, page cache warm", run: scan::warm },
    Benchmark { name: "scan-cold", about: "full scan, page cache dropped", run: scan::cold },
    Benchmark { name: "scan-million", about: "memory of a huge scan", run: scan::million },
    Benchmark { name: "clean-build", about: "against go clean -cache", run: clean::build },
    Benchmark { name: "clean-mod", about: "against go clean -modcache", run: clean::module },
    Benchmark { name: "trash", about: "clean into the trash", run: clean::trash },
    Benchmark { name: "keep-used", about: "what 50 projects need", run: small::keep_used },
    Benchmark { name: "verify-mod", about: "against go mod verify", run: prove::verify_mod },
    Benchmark { name: "verify-build", about: "against hashing alone", run: prove::verify_build },
    Benchmark { name: "download", about: "against go mod download", run: prove::download },
    Benchmark {
        name: "redis-clean",
        about: "against redis-cli and a plain loop",
        run: redis::clean,
    },
    Benchmark { name: "redis-big", about: "the same with huge values", run: redis::big },
    Benchmark { name: "start", about: "the shortest commands", run: small::start },
    Benchmark { name: "scan-index", about: "sizes of what did not change", run: serve::index },
    Benchmark { name: "serve-scrape", about: "how long a scrape waits", run: serve::scrape },
    Benchmark { name: "serve-idle", about: "what a daemon takes", run: serve::idle },
    Benchmark { name: "history-year", about: "a year of twenty caches", run: history::year },
];

/// Everything a benchmark works with.
struct Bench {
    /// Repository root.
    root: PathBuf,
    /// Where the trees lie; emptied at the end.
    dir: PathBuf,
    /// The binary that is measured.
    larder: PathBuf,
    /// Small trees and few rounds, to see that everything works.
    quick: bool,
    /// Rounds that count, where asked for.
    rounds: Option<usize>,
    /// A home and an environment of its own for every command.
    sandbox: GoSandbox,
}

/// Arguments after `xtask bench`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    quick: bool,
    keep: bool,
    renew: bool,
    dir: Option<PathBuf>,
    larder: Option<PathBuf>,
    rounds: Option<usize>,
    names: Vec<String>,
}

/// Runs the named benchmarks, or all; a full run of all writes `docs/performance.md`, and `--renew`
/// puts those that were named in place of what stands there.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if let Some((verb, rest)) = arguments.split_first()
        && verb == "make-tree"
    {
        return make_tree(rest);
    }
    if let [verb, bytes, threads] = arguments
        && verb == "hash"
    {
        prove::hash(bytes.parse().context("bytes")?, threads.parse().context("threads")?);
        return Ok(());
    }
    if let [verb, tree] = arguments
        && verb == "walk"
    {
        return scan::walk(Path::new(tree));
    }
    if let [verb, url, pattern] = arguments
        && verb == "pipeline"
    {
        return redis::pipeline(url, pattern);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for benchmark in BENCHMARKS {
            println!("{:14} {}", benchmark.name, benchmark.about);
        }
        return Ok(());
    }
    let arguments = parse(arguments)?;
    let target = root.join("target");
    let bench = Bench {
        root: root.to_path_buf(),
        dir: arguments.dir.unwrap_or_else(|| target.join("bench")),
        larder: arguments.larder.unwrap_or_else(|| release_binary(root)),
        quick: arguments.quick,
        rounds: arguments.rounds,
        sandbox: GoSandbox::new(),
    };
    if !bench.larder.is_file() {
        bail!("there is no {}; run scripts/bench", bench.larder.display());
    }
    fs::create_dir_all(&bench.dir).with_context(|| format!("make {}", bench.dir.display()))?;
    let chosen = |benchmark: &&Benchmark| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| name == benchmark.name)
    };
    let mut rows = Vec::new();
    for benchmark in BENCHMARKS.iter().filter(chosen) {
        eprintln!("bench: {}: {}", benchmark.name, benchmark.about);
        let made = (benchmark.run)(&bench).with_context(|| benchmark.name.to_owned())?;
        eprint!("{}", report::table(&made));
        rows.extend(made);
        if !arguments.keep {
            bench.remove_all(&bench.dir)?;
            fs::create_dir_all(&bench.dir)?;
        }
    }
    println!("{}", report::table(&rows));
    let page = root.join("docs/performance.md");
    let text = match (arguments.names.is_empty(), arguments.renew) {
        _ if bench.quick => return Ok(()),
        (true, _) => report::document(&rows, &machine::describe(&bench)),
        (false, true) => {
            let old = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
            report::renewed(&old, &rows)?
        }
        (false, false) => return Ok(()),
    };
    fs::write(&page, text).with_context(|| format!("write {}", page.display()))?;
    eprintln!("bench: wrote docs/performance.md");
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Arguments> {
    let mut parsed = Arguments::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().map(PathBuf::from).context("an option lacks its value");
        match argument.as_str() {
            "--quick" => parsed.quick = true,
            "--keep" => parsed.keep = true,
            "--renew" => parsed.renew = true,
            "--dir" => parsed.dir = Some(value()?),
            "--rounds" => parsed.rounds = Some(count(&value()?)?),
            "--larder" => parsed.larder = Some(value()?),
            name if BENCHMARKS.iter().any(|benchmark| benchmark.name == name) => {
                parsed.names.push(name.to_owned());
            }
            other => bail!("no benchmark or option is called {other}; --list names them"),
        }
    }
    Ok(parsed)
}

/// A number of rounds, of which there is at least one.
fn count(text: &Path) -> Result<usize> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    number.with_context(|| format!("{} is no number of rounds", text.display()))
}

/// Where cargo put the release build of larder: beside this program.
fn release_binary(root: &Path) -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("larder")));
    beside.unwrap_or_else(|| root.join("target/release/larder"))
}

/// Makes one tree: in a process of its own, so that the memory this takes does not count as the
/// memory of what is measured (a child starts out with its parent's peak).
fn make_tree(arguments: &[String]) -> Result<()> {
    let number = |text: &String| text.parse::<usize>().context("a number");
    match arguments {
        [kind, dir, entries] if kind == "gocache" => {
            fake_gocache(Path::new(dir), number(entries)? as u64);
        }
        [kind, dir, modules, files, versions, projects @ ..] if kind == "gomodcache" => {
            let cache = fake_gomodcache(
                Path::new(dir),
                number(modules)?,
                number(files)?,
                number(versions)?,
            );
            if let [dir, count, requirements] = projects {
                fake_projects(Path::new(dir), number(count)?, number(requirements)?, &cache);
            }
        }
        [kind, dir, modules] if kind == "proxy" => {
            prove::make_proxy(Path::new(dir), number(modules)?);
        }
        _ => bail!(
            "make-tree proxy DIR N | gocache DIR N | gomodcache DIR MODULES FILES VERSIONS [DIR N M]"
        ),
    }
    Ok(())
}

impl Bench {
    /// Rounds that count.
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 9 })
    }

    /// A size, cut down for a quick run.
    fn size(&self, full: usize) -> usize {
        if self.quick { (full / 50).max(10) } else { full }
    }

    /// A fresh synthetic tree called `name` in the bench folder.
    fn tree(&self, kind: &str, name: &str, arguments: &[String]) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        self.remove_all(&dir)?;
        let mut command = Command::new(std::env::current_exe().context("own path")?);
        command.args(["bench", "make-tree", kind]).arg(&dir).args(arguments);
        quietly(&mut command)?;
        Ok(dir)
    }

    /// `larder ARGS…` in the closed environment, with caches as given.
    fn larder(&self, arguments: &[&str], gocache: &Path, gomodcache: &Path) -> Command {
        let mut command = self.sandbox.larder(&self.larder);
        command.args(arguments);
        command.env("GOCACHE", gocache).env("GOMODCACHE", gomodcache);
        command
    }

    /// A peer by name: from `target/peers`, else from `PATH`.
    fn peer(&self, name: &str, arguments: &[&str], tree: &Path) -> Command {
        let built = self.root.join("target/peers/bin").join(name);
        let program = if built.is_file() { built } else { PathBuf::from(name) };
        let mut command = self.sandbox.command(program);
        command.args(arguments).arg(tree);
        command
    }

    /// Where a cache that is no part of a benchmark is: nowhere.
    fn none(&self) -> PathBuf {
        self.sandbox.root().join("none")
    }

    /// Removes a tree of the bench folder, read-only folders and all.
    fn remove_all(&self, dir: &Path) -> Result<()> {
        if !dir.starts_with(&self.dir) {
            bail!("{} is not in the bench folder", dir.display());
        }
        if dir.exists() {
            quietly(Command::new("chmod").args(["-R", "u+w"]).arg(dir))?;
            fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
        }
        Ok(())
    }
}

/// Runs a helper that must succeed and has nothing to say.
fn quietly(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{} failed: {said}", command.get_program().display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_options_and_known_names() {
        let parse = |words: &[&str]| {
            parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        let parsed = parse(&["--quick", "start", "--dir", "x"]).unwrap();
        assert!(parsed.quick && parsed.names == ["start"]);
        assert_eq!(parsed.dir, Some(PathBuf::from("x")));
        assert!(parse(&["stat"]).unwrap_err().to_string().contains("stat"));
        assert!(parse(&["--dir"]).is_err());
        assert_eq!(parse(&["--rounds", "3"]).unwrap().rounds, Some(3));
        assert!(parse(&["--rounds", "0"]).is_err());
    }
}
