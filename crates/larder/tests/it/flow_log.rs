//! The log of a daemon: JSON lines with the names of ECS, one trace through a run; text; journald.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use larder_testkit::{GoSandbox, fake_gocache};
use serde_json::Value;

use crate::alert_kit::*;
use crate::flow::command;

const RULES: &str =
    "[schedule]\nsample = \"1s\"\n[build]\nmax-size = \"200kB\"\nprotect = \"1h\"\n";

#[test]
fn every_line_has_the_names_of_ecs_and_a_run_has_one_trace() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 400);
    let file = sandbox.root().join("larder.log");
    let log = format!("{RULES}[log]\nformat = \"json\"\nfile = \"{}\"\n", file.display());
    settings(&sandbox, &log);
    let daemon = Daemon::watch(&sandbox);
    let of = |kind: &'static str| move |line: &Value| line["event.action"] == kind;
    let cleaned = wait_for("it cleans", || lines(&file).into_iter().find(of("cleaned")));
    assert_eq!(daemon.stop(), Some(0));
    for line in lines(&file) {
        for name in
            ["@timestamp", "ecs.version", "log.level", "message", "event.action", "host.name"]
        {
            assert!(line[name].is_string(), "{name} of {line}");
        }
        assert!(line.as_object().unwrap().values().all(|value| !value.is_null()), "{line}");
        if !line["event.action"].as_str().unwrap().starts_with("notif") {
            assert_eq!(line["trace.id"].as_str().unwrap().len(), 32, "{line}");
        }
    }
    let trace = cleaned["trace.id"].clone();
    let of_run: Vec<Value> = lines(&file).into_iter().filter(|l| l["trace.id"] == trace).collect();
    let kinds: Vec<&str> = of_run.iter().map(|l| l["event.action"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["triggered", "environment"], "{kinds:?}");
    assert!(kinds.contains(&"cleaned"));
    assert_eq!(cleaned["larder.cache"], "build");
    assert!(cleaned["larder.plan_id"].is_string());
    assert!(cleaned["labels"]["freed_bytes"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    // The history knows the same run by the same trace.
    let kept = events(&sandbox);
    assert!(kept.iter().any(|e| e["kind"] == "cleaned" && e["trace_id"] == trace), "{kept:#?}");
}

#[test]
fn text_has_priorities_for_journald_alone() {
    let sandbox = GoSandbox::new();
    settings(&sandbox, "[schedule]\nsample = \"1s\"\n");
    let said_by = |stream: &dyn Fn(&Path) -> String| {
        let file = sandbox.root().join("said");
        std::fs::write(&file, "").unwrap();
        let mut larder = command(&sandbox, &["watch"]);
        larder.env("JOURNAL_STREAM", stream(&file));
        let before = events_of(&sandbox, "started").len();
        let daemon = Daemon::start(larder, &sandbox);
        until("it watches", || events_of(&sandbox, "started").len() > before);
        assert_eq!(daemon.stop(), Some(0));
        said(&sandbox)
    };
    let own = said_by(&|file| {
        let meta = std::fs::metadata(file).unwrap();
        format!("{}:{}", meta.dev(), meta.ino())
    });
    // Where a journald runs it has taken the line itself.
    let taken = Path::new("/run/systemd/journal/socket").exists() && own.is_empty();
    assert!(taken || own.starts_with("<6>watches\n"), "{own}");
    let others = said_by(&|_| "8:12345".to_owned());
    assert!(others.contains("Z info     watches\n") && !others.contains("<6>"), "{others}");
}
