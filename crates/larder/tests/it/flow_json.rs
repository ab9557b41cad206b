//! Every document against its published schema, and the figures of one screen against those of
//! the others.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use larder_testkit::{GoSandbox, fake_gocache, fake_gomodcache, fake_projects};
use serde_json::Value;

use crate::flow::{age, document, ending, larder};

/// Caches with something of every finding that can be made without a go command.
fn messy() -> GoSandbox {
    let mut sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 2000);
    let modules = fake_gomodcache(&sandbox.gomodcache(), 8, 6, 3);
    fake_projects(&sandbox.root().join("src"), 2, 5, &modules);
    for action in ending(&sandbox.gocache(), "-a").iter().step_by(3) {
        fs::remove_file(action).unwrap(); // its output is waste now
    }
    for file in [ending(&sandbox.gocache(), "-d"), ending(&sandbox.gomodcache(), ".info")].concat()
    {
        age(&file, Duration::from_secs(9 * 24 * 3600));
    }
    sandbox.write("gocache/fuzz/example.test/p/FuzzIt/0123456789abcdef", "go test fuzz v1\n");
    sandbox.write(
        "gopath/pkg/mod/golang.org/toolchain@v0.0.1-go1.22.0.linux-amd64/bin/go",
        vec![0; 2_000_000],
    );
    sandbox.write("gopath/pkg/mod/cache/download/example.com/x/@v/v9.0.0.partial", "");
    let text = format!(
        "roots = [{:?}]\n[build]\nmax-size = \"1MB\"\n[mod]\nkeep-used = true\n",
        sandbox.root().join("src")
    );
    let config = sandbox.write("settings.toml", text);
    sandbox.set("LARDER_CONFIG", config);
    sandbox
}

#[test]
fn every_document_keeps_its_schema_and_the_figures_agree() {
    let sandbox = messy();
    for by in ["kind", "age", "package", "go", "project", "module", "version", "repository"] {
        let du = document(&sandbox, "du/1", 0, &["du", "--by", by]);
        let sizes: Vec<u64> = rows(&du, "rows").map(|row| number(row, "allocated_bytes")).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{by}: {sizes:?}");
    }
    let status = document(&sandbox, "status/1", 0, &["status"]);
    // The whole of each cache is the same everywhere.
    let du = document(&sandbox, "du/1", 0, &["du", "--top", "1000"]);
    let all: u64 = rows(&du, "rows").map(|row| number(row, "allocated_bytes")).sum();
    assert_eq!(all, number(&status["total"], "allocated_bytes"));

    let preview = document(&sandbox, "plan/1", 0, &["prune", "-n"]);
    assert_eq!(
        number(&preview["total"], "allocated_bytes"),
        number(&status["total"], "reclaimable_bytes"),
        "what a prune would free is not what status calls reclaimable"
    );
    let mut frees = 0;
    let findings = rows(&status, "caches").flat_map(|cache| rows(cache, "findings"));
    for finding in findings {
        let Some(command) = finding["command"].as_str() else { continue };
        let words: Vec<String> = words(command);
        assert_eq!(words[0], "larder", "{command}");
        let mut args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        args.push("-n");
        let plan = document(&sandbox, "plan/1", 0, &args);
        if let Some(bytes) = finding["frees_bytes"].as_u64() {
            assert_eq!(number(&plan["total"], "allocated_bytes"), bytes, "{command}: {finding}");
            frees += 1;
        }
    }
    assert!(frees >= 3, "only {frees} findings say what they free: {status:#}");

    let done = document(&sandbox, "outcome/1", 0, &["prune", "--trash"]);
    assert_eq!(done["removed"]["items"], preview["total"]["items"]);
    document(&sandbox, "trash/1", 0, &["trash"]);
    let after = document(&sandbox, "status/1", 0, &["status"]);
    assert_eq!(number(&after["total"], "reclaimable_bytes"), 0, "a second prune would free more");
    larder(&sandbox, &["prune"]).ends(0);
}

/// Whatever a cache's last use is, each screen has the same: a module cache in which everything is
/// old but one `.mod` that somebody's version selection has just fetched, with no content beside it.
#[test]
fn the_last_use_of_a_cache_is_the_same_wherever_it_is_told() {
    let sandbox = messy();
    let alone = "gopath/pkg/mod/cache/download/example.test/alone/@v/v1.1.0.mod";
    let alone = sandbox.write(alone, "module example.test/alone\n");
    let used = |path: &Path, ago: Duration| {
        let at = SystemTime::now() - ago;
        let times = fs::FileTimes::new().set_accessed(at).set_modified(at);
        File::open(path).unwrap().set_times(times).unwrap();
    };
    let all = ending(&sandbox.gomodcache(), "");
    all.iter().filter(|path| !path.is_symlink()).for_each(|p| used(p, Duration::from_hours(60)));
    used(&alone, Duration::from_hours(1));

    let status = document(&sandbox, "status/1", 0, &["status"]);
    let last = |cache: &str| {
        let row = rows(&status, "caches").find(|row| row["cache"] == cache).unwrap();
        row["last_used"].as_str().map(str::to_owned)
    };
    let hours = Duration::from_secs(3500)..Duration::from_secs(3700);
    let at: jiff::Timestamp = last("mod").unwrap().parse().unwrap();
    let ago = SystemTime::now().duration_since(SystemTime::from(at)).unwrap();
    assert!(hours.contains(&ago), "{ago:?}");
    for (cache, ways) in [
        ("mod", &["kind", "module", "version"][..]),
        ("toolchain", &["kind", "version"]),
        ("vcs", &["kind", "repository"]),
        ("build", &["kind"]),
        ("fuzz", &["kind", "package"]),
    ] {
        for by in ways {
            let du = document(&sandbox, "du/1", 0, &["du", cache, "--by", by, "--top", "1000"]);
            let told = rows(&du, "rows").filter_map(|row| row["last_used"].as_str()).max();
            assert_eq!(told.map(str::to_owned), last(cache), "{cache} by {by}: {du:#}");
        }
    }
}

fn rows<'a>(document: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    document[field].as_array().unwrap_or_else(|| panic!("{field} in {document:#}")).iter()
}

fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("{field} in {row:#}"))
}

/// What a shell makes of a command without anything special in it.
fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect()
}
