//! Every document held against its own published schema, and a plan against its file.

use std::path::Path;
use std::time::Duration;

use larder_core::check::Approval;
use larder_core::plan::PlanRoot;
use larder_core::{
    CacheKind, EntryId, Failed, Kept, Outcome, Plan, PlanItem, Removed, RootKind, Skipped, Target,
};
use larder_engine::download::{Failure, FailureKind, Report};
use larder_go::module_path::ModuleVersion;
use larder_modules::Fetched;
use serde_json::Value;

use super::*;
use crate::render_status::tests::{du_report, status_report};
use crate::settings::{Input, resolve};
use crate::wire_plan::PlanFile;
use crate::wire_trash::TrashLine;

fn id(byte: u8) -> EntryId {
    EntryId([byte; 32])
}

pub(crate) fn plan() -> Plan {
    let root =
        |kind, path: &str| PlanRoot { kind, path: path.into(), identity: (65_025, u64::MAX) };
    let item = |cache, target, size, reason: &str| PlanItem {
        cache,
        name: None,
        target,
        size,
        last_used: Some(Time::from_unix_nanos(1_795_000_000_123_456_789)),
        reason: reason.into(),
    };
    let version = |module: &str, version: &str, bytes| {
        let target = Target::Version {
            module: module.into(),
            version: version.into(),
            paths: vec![
                format!("{module}@{version}").into(),
                format!("cache/download/{module}/@v/{version}.zip").into(),
            ],
        };
        item(CacheKind::Mod, target, Some(Size::new(40, bytes, bytes)), "not needed by any project")
    };
    let entry = |action, output| Target::Entry { action, output };
    let mut clone = item(
        CacheKind::Vcs,
        Target::Path("cache/vcs/0123".into()),
        Some(Size::new(90, 1000, 4096)),
        "not used for 90 d",
    );
    clone.name = Some("https://example.org/repo".into());
    Plan {
        keys: Vec::new(),
        id: "7f3a0001".into(),
        created_at: Time::from_unix(1_795_100_000),
        host: "workbench".into(),
        request: vec!["prune".into(), "--keep-used".into(), "~/my src".into(), "-n".into()],
        roots: vec![root(RootKind::GoCache, "/c/build"), root(RootKind::GoModCache, "/c/mod")],
        protect: Duration::from_hours(24),
        items: vec![
            item(
                CacheKind::Build,
                entry(Some(id(1)), Some(id(2))),
                Some(Size::new(2, 500, 8192)),
                "not used for 9 d",
            ),
            item(
                CacheKind::Build,
                entry(None, Some(id(3))),
                Some(Size::new(1, 5, 4096)),
                "no action names this output",
            ),
            item(CacheKind::Test, Target::TestResults, None, "asked for"),
            item(CacheKind::Toolchain, Target::All, None, "asked for"),
            version("k8s.io/api", "v0.31.0", 2_000_000_000),
            version("k8s.io/api", "v0.31.1", 1_000_000_000),
            version("example.org/x", "v1.0.0", 700_000),
            clone,
        ],
        kept: vec![Kept {
            cache: CacheKind::Mod,
            subject: "example.org/old@v1.0.0".into(),
            reason: "needed by ~/src/legacy".into(),
            size: Size::new(10, 4000, 400_000_000),
        }],
    }
}

/// As the cache's own rules would: enough of them for the plan above.
fn classify(cache: CacheKind, path: &Path) -> Option<Target> {
    let text = path.to_str()?;
    match cache {
        CacheKind::Build => {
            let name = path.file_name()?.to_str()?;
            let id = EntryId::parse(name.get(..64)?.as_bytes())?;
            match &name[64..] {
                "-a" if id.action_path() == path => {
                    Some(Target::Entry { action: Some(id), output: None })
                }
                "-d" if id.output_path() == path => {
                    Some(Target::Entry { action: None, output: Some(id) })
                }
                _ => None,
            }
        }
        CacheKind::Test => (text == "testexpire.txt").then_some(Target::TestResults),
        CacheKind::Toolchain => text.is_empty().then_some(Target::All),
        CacheKind::Mod => {
            let (module, version) = match text.strip_prefix("cache/download/") {
                Some(rest) => rest.strip_suffix(".zip")?.split_once("/@v/")?,
                None => text.split_once('@')?,
            };
            let (module, version) = (module.to_owned(), version.to_owned());
            Some(Target::Version { module, version, paths: vec![path.to_owned()] })
        }
        CacheKind::Vcs => text.starts_with("cache/vcs/").then(|| Target::Path(path.to_owned())),
        _ => None,
    }
}

pub(crate) fn outcome() -> Outcome {
    Outcome {
        plan_id: "7f3a0001".into(),
        before: vec![(CacheKind::Mod, Size::new(1_100_000, 23_000_000_000, 23_800_000_000))],
        after: vec![(CacheKind::Mod, Size::new(400_000, 8_000_000_000, 8_600_000_000))],
        freed: Size::new(700_000, 15_000_000_000, 15_200_000_000),
        removed: Removed { items: 1212, files: 700_000 },
        skipped: vec![Skipped { subject: "a.org/b@v1.0.0".into(), reason: "used since".into() }],
        failed: vec![Failed {
            subject: "a.org/c@v1.0.0".into(),
            error: "permission denied".into(),
        }],
        duration: Duration::from_millis(4100),
        ..Outcome::default()
    }
}

pub(crate) fn download_report() -> Report {
    let module = |path: &str| ModuleVersion::new(path, "v1.0.0");
    Report {
        path: "/c/mod".into(),
        projects: vec![("~/src/api".into(), 4)],
        done: vec![
            (module("a.org/a"), Fetched::Downloaded(700_000)),
            (module("a.org/b"), Fetched::Direct),
            (module("a.org/c"), Fetched::Present),
        ],
        go_mods: vec![module("a.org/d")],
        sums: vec![("/src/api/go.sum".into(), 2)],
        failed: vec![Failure {
            subject: "a.org/e@v1.0.0".into(),
            error: "a.org/e@v1.0.0: checksum mismatch".into(),
            kind: FailureKind::Mismatch,
        }],
        bytes: 701_000,
        took: Duration::from_millis(4100),
        complete: true,
    }
}

fn download() -> DownloadDoc {
    DownloadDoc::from(&download_report())
}

pub(crate) fn trash_lines() -> Vec<TrashLine> {
    vec![TrashLine {
        id: "7f3a".into(),
        cache: "mod,toolchain".into(),
        created_at: Time::from_unix(1_795_100_000),
        size: Size::new(700_000, 15_000_000_000, 15_200_000_000),
        keys: None,
        ttls: false,
        expires_at: Time::from_unix(1_795_704_800),
    }]
}

#[track_caller]
fn holds<D: Document>(document: &D) -> Value {
    let value = serde_json::to_value(document).unwrap();
    assert_eq!(value["schema"], D::SCHEMA);
    let schema = schemas()
        .into_iter()
        .find(|(_, schema)| schema.get("title").and_then(Value::as_str) == Some(D::SCHEMA));
    let schema = schema.unwrap().1;
    let validator = jsonschema::validator_for(schema.as_value()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{}: {errors:?}", D::SCHEMA);
    let mut wrong = value.clone();
    wrong["schema"] = "larder/other/1".into();
    assert!(!validator.is_valid(&wrong), "the schema of {} allows anything", D::SCHEMA);
    value
}

#[test]
fn every_document_is_as_its_schema_says() {
    let status = holds(&StatusDoc::from(&status_report()));
    assert_eq!(status["caches"][0]["allocated_bytes"], 41_200_000_000_u64);
    assert_eq!(status["caches"][0]["last_used"], "2026-11-23T08:58:00Z");
    holds(&DuDoc::from(&du_report()));
    let rewarmed = holds(&OutcomeDoc::from(&outcome()).with_rewarm(download()));
    let outcome = holds(&OutcomeDoc::from(&outcome()));
    assert_eq!(outcome["freed_bytes"], 15_200_000_000_u64);
    assert_eq!(outcome["duration_seconds"], 4.1);
    let plan = holds(&PlanDoc::from(&plan()));
    assert_eq!(plan["items"][4]["path"], Value::Null);
    assert_eq!(plan["items"][4]["paths"][0], "/c/mod/k8s.io/api@v0.31.0");

    assert_eq!(rewarmed["rewarm"]["schema"], "larder/download/1");
    let download = holds(&download());
    assert_eq!(download["fetched"][0]["bytes"], 700_000);
    assert_eq!(download["fetched"][1]["from"], "direct");
    assert_eq!(download["failed"][0]["kind"], "mismatch");
    holds(&TrashDoc::from(&trash_lines()[..]));
    let resolved = resolve(&Input::default()).unwrap();
    holds(&ConfigDoc::new(&resolved, &resolved.settled));
    holds(&WrittenDoc::from(&["/x".into()][..]));
    holds(&CheckDoc::from(&[crate::settings::Wrong::Elsewhere("x".into())][..]));
}

fn file_of(plan: &Plan) -> String {
    crate::wire_plan::file_text(&PlanDoc::from(plan))
}

#[test]
fn a_plan_comes_back_from_its_file_as_it_was() {
    let plan = plan();
    let file = PlanFile::parse(&file_of(&plan)).unwrap();
    let mut back = file.plan(&classify).unwrap();
    // What only the subject tells comes back as a name.
    assert_eq!(back.items[7].name.as_deref(), Some("https://example.org/repo"));
    assert_eq!(back.items.iter_mut().filter(|item| item.name.is_some()).count(), 1);
    assert_eq!(back, plan);
}

#[test]
fn an_edit_cannot_name_what_the_cache_does_not_know() {
    let text = file_of(&plan());
    for (from, to, why) in [
        ("/c/mod/cache/vcs/0123", "/etc/passwd", "is not below /c/mod"),
        ("/c/mod/cache/vcs/0123", "/c/mod/../../etc", "is not below /c/mod"),
        ("/c/mod/cache/vcs/0123", "/c/mod/cache/lock", "is not of the vcs cache"),
        ("/c/mod/k8s.io/api@v0.31.0", "/c/mod/k8s.io/api@v0.30.0", "not of one thing"),
        ("\"cache\": \"vcs\"", "\"cache\": \"git\"", "no cache is named"),
    ] {
        let edited = text.replacen(from, to, 1);
        assert_ne!(edited, text, "{from} is not in the plan");
        let error = PlanFile::parse(&edited).unwrap().plan(&classify).unwrap_err();
        assert!(error.0.contains(why), "{to}: {}", error.0);
    }
    for (text, why) in [("{}", "it is not a plan"), ("[", "it is not JSON")] {
        let error = PlanFile::parse(text).unwrap_err();
        assert!(error.0.starts_with(why), "{}", error.0);
    }
    let later = text.replace("larder/plan/1", "larder/plan/2");
    assert!(PlanFile::parse(&later).unwrap_err().0.contains("larder/plan/2"));
}

#[test]
fn an_approval_holds_until_what_it_approves_changes() {
    let file = PlanFile::parse(&file_of(&plan())).unwrap();
    assert_eq!(file.approval(true), Approval::Missing);
    assert_eq!(file.approval(false), Approval::NotAsked);
    let approved = file.approved(Time::from_unix(1_795_100_100), "gopher");
    let read = |text: &str| PlanFile::parse(text).unwrap();
    assert_eq!(read(&approved).approval(true), Approval::Given);
    assert_eq!(read(&approved).approved_by(), Some(("gopher", Time::from_unix(1_795_100_100))));
    // White space and the order of fields say nothing.
    let value: Value = serde_json::from_str(&approved).unwrap();
    assert_eq!(read(&value.to_string()).approval(true), Approval::Given);
    for (from, to) in [
        ("used for 9 d", "used for 8 d"),
        ("86400", "0"),
        ("\"approval\": {", "\"added\": 1, \"approval\": {"),
    ] {
        let edited = approved.replacen(from, to, 1);
        assert_ne!(edited, approved);
        assert_eq!(read(&edited).approval(false), Approval::Edited, "{from}");
    }
    let again = read(&approved.replacen("86400", "0", 1)).approved(Time::from_unix(1), "gopher");
    assert_eq!(read(&again).approval(true), Approval::Given);
}
