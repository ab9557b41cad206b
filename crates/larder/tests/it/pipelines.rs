//! The pipelines that deliver larder and the ones that the guide shows: they parse, pin what they
//! use, and ask for no more rights than they need.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::export::yaml;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Each step of each job.
fn steps(workflow: &Value) -> Vec<&Value> {
    let jobs = workflow["jobs"].as_object().unwrap();
    jobs.values().flat_map(|job| job["steps"].as_array().unwrap()).collect()
}

/// `actions/checkout@v4`: by major version, neither a branch nor nothing.
fn pinned(uses: &str) -> bool {
    let version = uses.split_once('@').and_then(|(_, version)| version.strip_prefix('v'));
    version.is_some_and(|major| !major.is_empty() && major.bytes().all(|b| b.is_ascii_digit()))
}

#[test]
fn workflows_pin_what_they_use_and_begin_with_few_rights() {
    for name in ["ci.yml", "release.yml"] {
        let text = read(&format!(".github/workflows/{name}"));
        let workflow = &yaml(&text)[0];
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{name}");
        for (job, what) in workflow["jobs"].as_object().unwrap() {
            assert!(what["timeout-minutes"].is_u64(), "{name}: {job} may run for ever");
            let needs = what["needs"].as_array().cloned().unwrap_or_default();
            for need in needs.iter().chain(Some(&what["needs"]).filter(|need| need.is_string())) {
                assert!(workflow["jobs"][need.as_str().unwrap()].is_object(), "{name}: {need}");
            }
        }
        for step in steps(workflow) {
            let uses = step["uses"].as_str();
            assert!(uses.is_some() != step["run"].is_string(), "{name}: {step}");
            assert!(uses.is_none_or(pinned), "{name}: {step}");
            if let Some(run) = step["run"].as_str().filter(|run| run.starts_with("scripts/")) {
                assert!(root().join(run).is_file(), "{run}");
            }
        }
    }
}

#[test]
fn production_comes_after_staging_which_comes_after_the_checks() {
    let release = &yaml(&read(".github/workflows/release.yml"))[0];
    let jobs = &release["jobs"];
    let comes_after = |job: &str, other: &str| {
        let mut open = vec![job.to_owned()];
        while let Some(next) = open.pop() {
            if next == other {
                return true;
            }
            let needs = &jobs[&next]["needs"];
            let many = needs.as_array().into_iter().flatten();
            open.extend(many.chain(Some(needs)).filter_map(Value::as_str).map(str::to_owned));
        }
        false
    };
    assert!(comes_after("production", "staging"));
    assert!(comes_after("staging", "check") && comes_after("staging", "build"));
    assert_eq!(jobs["production"]["environment"], "production");
    assert_eq!(jobs["staging"]["environment"], "staging");
    let deploy = read("scripts/deploy");
    for tried in ["larder --version", "larder status --json", "rollout undo"] {
        assert!(deploy.contains(tried), "{tried}");
    }
}

#[test]
fn the_image_has_no_rights_and_names_its_bases_by_version() {
    let text = read("Dockerfile");
    let bases: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(bases.len(), 2);
    for base in bases {
        let image = base.split(' ').next().unwrap();
        assert!(image.contains(':') && !image.ends_with(":latest"), "{image}");
    }
    assert!(text.contains("\nUSER 1000:1000\n"));
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split('"').nth(1).unwrap().rsplit_once('.').unwrap().0;
    assert!(text.contains(&format!("FROM rust:{version}-slim")), "{version}");
}

#[test]
fn what_the_guides_show_as_yaml_is_such() {
    let mut shown = 0;
    for name in ["docs/ci.md", "docs/operations.md"] {
        let text = read(name);
        for block in text.split("```").skip(1).step_by(2) {
            if let Some(block) = block.strip_prefix("yaml\n") {
                let document = &yaml(block)[0];
                assert!(document.is_object(), "{name}: {block}");
                if document["jobs"].is_object() {
                    let steps = steps(document);
                    assert!(steps.iter().filter_map(|s| s["uses"].as_str()).all(pinned));
                }
                shown += 1;
            }
        }
    }
    assert_eq!(shown, 3);
}

#[test]
fn no_pipeline_names_the_host_of_a_registry() {
    // In two parts, so that this file does not name what it looks for.
    let hosts = [
        concat!("ghcr.", "io"),
        concat!("gcr.", "io"),
        concat!("docker.", "io"),
        concat!("quay.", "io"),
        concat!("crates.", "io"),
        concat!("npmjs.", "org"),
    ];
    for name in [
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
        "Dockerfile",
        "docs/ci.md",
        "docs/operations.md",
        "scripts/check-dashboards",
        "scripts/deploy",
    ] {
        let text = read(name);
        let found = hosts.iter().find(|host| text.contains(*host));
        assert_eq!(found, None, "{name}");
    }
}
