//! plan → approve → apply, and everything that must not be applied.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use larder_testkit::{GoSandbox, fake_gocache, fake_gomodcache, snapshot};
use serde_json::{Value, json};

use crate::flow::{age, caches, command, document, ending, larder, ran, untouched};

const PRUNE: &[&str] = &["prune", "build", "--max-size", "100kB", "--protect", "0s"];

/// A sandbox with both caches and a plan in `plan.json`.
fn planned(request: &[&str]) -> (GoSandbox, PathBuf) {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 100);
    fake_gomodcache(&sandbox.gomodcache(), 2, 4, 2);
    sandbox.write("gopath/pkg/sumdb/sum.example.test/latest", "anchor");
    larder(&sandbox, &[&["plan", "-o", "plan.json"], request].concat()).ends(0);
    let plan = sandbox.root().join("plan.json");
    (sandbox, plan)
}

/// Changes the plan's file.
fn edit(plan: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(plan).unwrap()).unwrap();
    change(&mut value);
    fs::write(plan, serde_json::to_vec(&value).unwrap()).unwrap();
}

#[test]
fn in_production_nothing_goes_but_by_an_approved_plan_and_it_can_be_undone() {
    let (mut sandbox, plan) = planned(PRUNE);
    sandbox.set("LARDER_PROFILE", "production");
    let before = caches(&sandbox);
    for args in [&["clean", "go", "--yes", "--force"][..], PRUNE, &["apply", "plan.json", "--yes"]]
    {
        assert!(larder(&sandbox, args).ends(3).err.contains("hint:"), "{args:?}");
        untouched(&sandbox, &before);
    }
    larder(&sandbox, &["approve", "plan.json"]).ends(3); // it would ask
    larder(&sandbox, &["approve", "plan.json", "--yes"]).ends(0);
    let approved: Value = serde_json::from_slice(&fs::read(&plan).unwrap()).unwrap();
    crate::flow::valid("plan/1", &approved);
    larder(&sandbox, &["apply", "plan.json", "-n"]).ends(0);
    untouched(&sandbox, &before);
    let done = document(&sandbox, "outcome/1", 0, &["apply", "plan.json"]);
    assert_eq!(done["removed"]["items"], approved["total"]["items"]);
    assert_eq!(done["freed_bytes"], 0);
    let id = done["trash_id"].as_str().expect("the trash is on in production");
    larder(&sandbox, &["trash", "restore", id]).ends(0);
    untouched(&sandbox, &before);
}

#[test]
fn a_plan_that_does_not_hold_is_refused() {
    let (mut sandbox, plan) = planned(PRUNE);
    let good = fs::read(&plan).unwrap();
    let before = caches(&sandbox);
    let refused = |sandbox: &GoSandbox, word: &str| {
        let said = larder(sandbox, &["apply", "plan.json", "--yes", "--force"]);
        said.ends(3);
        assert!(said.err.contains(word) && said.err.contains("hint:"), "{word}: {}", said.err);
        untouched(sandbox, &before);
    };
    edit(&plan, |p| p["host"] = json!("elsewhere"));
    refused(&sandbox, "elsewhere");
    edit(&plan, |p| p["host"] = serde_json::from_slice::<Value>(&good).unwrap()["host"].clone());
    edit(&plan, |p| p["created_at"] = json!("2020-01-01T00:00:00Z"));
    refused(&sandbox, "stale");
    edit(&plan, |p| p["created_at"] = json!("2200-01-01T00:00:00Z"));
    refused(&sandbox, "future");

    fs::write(&plan, &good).unwrap();
    larder(&sandbox, &["approve", "plan.json", "--yes"]).ends(0);
    edit(&plan, |p| p["items"].as_array_mut().unwrap().truncate(1));
    refused(&sandbox, "changed");
    sandbox.set("LARDER_PROFILE", "production");
    refused(&sandbox, "changed");
    edit(&plan, |p| drop(p.as_object_mut().unwrap().remove("approval")));
    refused(&sandbox, "approved");
    sandbox.unset("LARDER_PROFILE");

    fs::write(&plan, &good).unwrap();
    sandbox.set("LARDER_PLAN_MAX_AGE", "1s");
    edit(&plan, |p| {
        let then = SystemTime::now() - Duration::from_secs(60);
        p["created_at"] = json!(humantime(then));
    });
    refused(&sandbox, "stale");
    sandbox.unset("LARDER_PLAN_MAX_AGE");

    fs::write(&plan, &good).unwrap();
    let (here, aside) = (sandbox.gocache(), sandbox.root().join("aside"));
    fs::rename(&here, &aside).unwrap();
    fake_gocache(&here, 100);
    let other = snapshot(&here);
    let said = larder(&sandbox, &["apply", "plan.json"]);
    assert!(said.ends(3).err.contains("another folder"), "{}", said.err);
    crate::flow::same(&other, &snapshot(&here), "another cache");
}

/// RFC 3339 in UTC, by the `date` command.
fn humantime(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut date = std::process::Command::new("date");
    date.args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"]);
    String::from_utf8(date.output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn a_plan_cannot_name_what_no_plan_may_name() {
    let (sandbox, plan) = planned(&["prune", "mod", "--keep-versions", "1", "--protect", "0s"]);
    let modcache = sandbox.gomodcache();
    sandbox.write("gopath/pkg/mod/mine.txt", "mine");
    let module = ending(&modcache, ".mod")[0].clone();
    let name = module.strip_prefix(&modcache).unwrap().to_str().unwrap().to_owned();
    let before = caches(&sandbox);
    let kept = fs::read(&plan).unwrap();
    for path in [
        "../../../x".to_owned(),
        "../../sumdb/sum.example.test/latest".to_owned(),
        "/etc/passwd".to_owned(),
        "mine.txt".to_owned(),
        "cache".to_owned(),
        "cache/lock".to_owned(),
        "cache/download".to_owned(),
        "example.test".to_owned(),
        name.replace(".mod", ".info"),
        name.replace(".mod", ".lock"),
        format!("{}/list", Path::new(&name).parent().unwrap().display()),
        name,
    ] {
        for field in ["path", "paths"] {
            fs::write(&plan, &kept).unwrap();
            let full =
                if path.starts_with('/') { PathBuf::from(&path) } else { modcache.join(&path) };
            edit(&plan, |p| {
                let item = p["items"][0].as_object_mut().unwrap();
                if field == "path" {
                    item.remove("paths");
                    item.insert("path".to_owned(), json!(full));
                } else {
                    let mut paths = item["paths"].clone();
                    paths.as_array_mut().unwrap().push(json!(full));
                    item.insert("paths".to_owned(), paths);
                }
            });
            for args in [
                &["apply", "plan.json"][..],
                &["apply", "plan.json", "-n"],
                &["approve", "plan.json", "--yes"],
            ] {
                let said = larder(&sandbox, args);
                said.ends(2);
                assert!(said.err.contains("items[0]"), "{path}: {}", said.err);
            }
            untouched(&sandbox, &before);
        }
    }
    fs::write(&plan, "{}").unwrap();
    larder(&sandbox, &["apply", "plan.json"]).ends(2);
    fs::write(&plan, &kept[..kept.len() / 2]).unwrap();
    larder(&sandbox, &["apply", "plan.json"]).ends(2);
    larder(&sandbox, &["apply", "none.json"]).ends(2);
    untouched(&sandbox, &before);
}

#[test]
fn an_item_that_changed_since_is_left_with_its_reason() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 60);
    fake_gomodcache(&sandbox.gomodcache(), 4, 4, 2);
    for file in [ending(&sandbox.gocache(), "-a"), ending(&sandbox.gocache(), "-d")].concat() {
        age(&file, Duration::from_secs(20 * 24 * 3600));
    }
    let request = ["prune", "build", "--max-age", "10d"];
    larder(&sandbox, &[&["plan", "-o", "build.json"], &request[..]].concat()).ends(0);
    let request = ["prune", "mod", "--keep-versions", "1", "--protect", "0s"];
    larder(&sandbox, &[&["plan", "-o", "mod.json"], &request[..]].concat()).ends(0);
    let items = |file: &str| -> Vec<Value> {
        let plan: Value =
            serde_json::from_slice(&fs::read(sandbox.root().join(file)).unwrap()).unwrap();
        plan["items"].as_array().unwrap().clone()
    };
    let path = |item: &Value, end: &str| {
        let paths = item["paths"].as_array().unwrap();
        let found = paths.iter().filter_map(Value::as_str).find(|path| path.ends_with(end));
        PathBuf::from(found.unwrap())
    };
    let (build, modules) = (items("build.json"), items("mod.json"));
    assert!(build.len() == 30 && modules.len() == 4, "{} and {}", build.len(), modules.len());

    // Used again; replaced by a link to what is precious; gone.
    let precious = sandbox.write("precious/file", "precious");
    age(&path(&build[0], "-a"), Duration::ZERO);
    fs::remove_file(path(&build[1], "-a")).unwrap();
    symlink(&precious, path(&build[1], "-a")).unwrap();
    fs::remove_file(path(&build[2], "-a")).unwrap();
    fs::create_dir(path(&build[2], "-a")).unwrap();
    let done = document(&sandbox, "outcome/1", 0, &["apply", "build.json"]);
    assert_eq!(done["removed"]["items"], 27, "{done:#}");
    for item in &build[..3] {
        let skipped = done["skipped"].as_array().unwrap();
        let reason = skipped.iter().find(|s| s["subject"] == item["subject"]);
        let reason = reason.unwrap_or_else(|| panic!("{} is not in {done:#}", item["subject"]));
        assert!(!reason["reason"].as_str().unwrap().is_empty());
    }
    assert!(path(&build[0], "-a").exists() && path(&build[0], "-d").exists());

    let extracted = path(&modules[0], "@v1.0.0");
    larder_testkit::copy_tree(&extracted, &sandbox.root().join("moved")).unwrap();
    assert!(
        std::process::Command::new("rm").arg("-rf").arg(&extracted).status().unwrap().success()
    );
    symlink(sandbox.root().join("moved"), &extracted).unwrap();
    let said = ran(&sandbox, command(&sandbox, &["apply", "mod.json", "--json"]).output().unwrap());
    assert!(said.out.contains("skipped"), "{said:?}");
    assert!(sandbox.root().join("moved/go.mod").exists(), "followed a symlink");
    assert!(extracted.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
}
