//! go.mod files of every shape, read by us and by `go mod edit -json`: the same answer.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use larder_go::gomod::{self, Replacement};
use larder_testkit::GoSandbox;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// Module paths and versions that fit each other, and some that do not.
fn pair() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        8 => Just(("example.com/a", "v1.2.3")),
        4 => Just(("example.com/a/v2", "v2.0.0-rc.1")),
        4 => Just(("gopkg.in/yaml.v3", "v3.0.1")),
        4 => Just(("github.com/X/Y", "v0.0.0-20191109021931-daa7c04131f5")),
        4 => Just(("example.com/old", "v4.5.6+incompatible")),
        1 => Just(("example.com/a", "v2.0.0")),
        1 => Just(("example.com/a", "master")),
        1 => Just(("example.com/a/v2", "v1.0.0")),
    ]
    .prop_map(|(path, version)| (path.to_owned(), version.to_owned()))
}

/// A word as it may be written: plain, or quoted in one of two ways.
fn written(word: String) -> impl Strategy<Value = String> {
    (0..4u8).prop_map(move |how| match how {
        0 => format!("\"{word}\""),
        1 => format!("`{word}`"),
        _ => word.clone(),
    })
}

fn version_pair() -> impl Strategy<Value = String> {
    pair().prop_flat_map(|(path, version)| {
        (written(path), Just(version)).prop_map(|(path, version)| format!("{path} {version}"))
    })
}

/// What may follow one word, in a line or in a block.
fn entry(verb: &'static str) -> BoxedStrategy<String> {
    match verb {
        "require" => (version_pair(), 0..3u8)
            .prop_map(|(pair, comment)| match comment {
                0 => format!("{pair} // indirect"),
                1 => format!("{pair} // why; indirect"),
                _ => pair,
            })
            .boxed(),
        "exclude" => version_pair().boxed(),
        "replace" => (version_pair(), 0..4u8, version_pair())
            .prop_map(|(old, how, new)| {
                let path = old.split(' ').next().unwrap_or_default().to_owned();
                match how {
                    0 => format!("{old} => {new}"),
                    1 => format!("{path} => {new}"),
                    2 => format!("{path} => ../here"),
                    _ => format!("{old} => ./there/x"),
                }
            })
            .boxed(),
        "retract" => prop_oneof![
            Just("v1.0.0".to_owned()),
            Just("[v1.0.0, v1.1.0]".to_owned()),
            Just("[v1.0.0,v1.1.0] // broken".to_owned()),
            Just("[v1.0.0".to_owned()),
        ]
        .boxed(),
        _ => prop_oneof![Just("example.com/a/cmd/x"), Just("\"example.com/b/y\"")]
            .prop_map(str::to_owned)
            .boxed(),
    }
}

fn directive() -> BoxedStrategy<String> {
    let verbs = prop_oneof![
        4 => Just("require"), 1 => Just("exclude"), 2 => Just("replace"), 1 => Just("retract"),
        1 => Just("tool")
    ];
    let entries = verbs.prop_flat_map(|verb| {
        (Just(verb), proptest::collection::vec(entry(verb), 1..4), any::<bool>())
    });
    let lines = entries.prop_map(|(verb, entries, block)| {
        if block {
            format!("{verb} (\n\t{}\n)\n", entries.join("\n\t"))
        } else {
            entries.iter().map(|entry| format!("{verb} {entry}\n")).collect()
        }
    });
    prop_oneof![
        8 => lines,
        1 => prop_oneof![
            Just("go 1.21\n"), Just("go 1.22.0\n"), Just("go 1.9rc1\n"), Just("go v1\n"),
            Just("toolchain go1.22.3\n"), Just("toolchain default\n"), Just("godebug x=y\n"),
            Just("// a comment\n\n"), Just("require (\n)\n"), Just("nonsense x\n"),
            Just("require example.com/a\n"), Just("ignore ./static\n"), Just("}\n"),
        ].prop_map(str::to_owned),
    ]
    .boxed()
}

fn file() -> impl Strategy<Value = String> {
    let module = prop_oneof![
        8 => Just("module example.com/m\n\n"), 2 => Just("module \"example.com/m/v2\" // x\n"),
        1 => Just("module (\n\texample.com/m\n)\n")
    ];
    (module, proptest::collection::vec(directive(), 0..6))
        .prop_map(|(module, lines)| format!("{module}{}", lines.concat()))
}

/// What go says of a file: its JSON, or nothing where it refuses it.
fn by_go(sandbox: &GoSandbox, dir: &Path) -> Option<Value> {
    let output = sandbox.try_go(&["mod", "edit", "-json"], dir);
    let whole = output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap());
    whole.map(|all: Value| {
        let list =
            |name: &str| all.get(name).filter(|v| !v.is_null()).cloned().unwrap_or(json!([]));
        let version = |v: &Value| v.get("Version").cloned().unwrap_or(json!(""));
        json!({
            "module": all["Module"]["Path"],
            "go": all.get("Go").cloned().unwrap_or(json!("")),
            "toolchain": all.get("Toolchain").cloned().unwrap_or(json!("")),
            "require": list("Require").as_array().unwrap().iter().map(|r| json!([
                r["Path"], r["Version"], r.get("Indirect").cloned().unwrap_or(json!(false))
            ])).collect::<Vec<_>>(),
            "exclude": list("Exclude").as_array().unwrap().iter()
                .map(|e| json!([e["Path"], e["Version"]])).collect::<Vec<_>>(),
            "replace": list("Replace").as_array().unwrap().iter().map(|r| json!([
                r["Old"]["Path"], version(&r["Old"]), r["New"]["Path"], version(&r["New"])
            ])).collect::<Vec<_>>(),
            "retract": list("Retract").as_array().unwrap().iter()
                .map(|r| json!([r["Low"], r["High"]])).collect::<Vec<_>>(),
            "tool": list("Tool").as_array().unwrap().iter()
                .map(|t| t["Path"].clone()).collect::<Vec<_>>(),
        })
    })
}

/// The same of ours. A version that is none yet would be looked up: go mod edit refuses it.
fn by_us(path: &Path, text: &str) -> Option<Value> {
    let parsed = gomod::parse_main(path, text).ok().filter(|file| file.unresolved.is_empty())?;
    Some(json!({
        "module": parsed.module,
        "go": parsed.go.as_deref().unwrap_or(""),
        "toolchain": parsed.toolchain.as_deref().unwrap_or(""),
        "require": parsed.require.iter()
            .map(|r| json!([r.module.path, r.module.version, r.indirect])).collect::<Vec<_>>(),
        "exclude": parsed.exclude.iter()
            .map(|e| json!([e.path, e.version])).collect::<Vec<_>>(),
        "replace": parsed.replace.iter().map(|r| {
            let (path, version) = match &r.by {
                Replacement::Folder(folder) => (folder.to_string(), String::new()),
                Replacement::Module(pair) => (pair.path.to_string(), pair.version.to_string()),
            };
            json!([r.path, r.version.as_deref().unwrap_or(""), path, version])
        }).collect::<Vec<_>>(),
        "retract": parsed.retract.iter().map(|r| json!([r.low, r.high])).collect::<Vec<_>>(),
        "tool": parsed.tool,
    }))
}

/// `go mod edit` drops what stands there twice, and of two replacements of the same the first.
fn without_doubles(mut file: Value) -> Value {
    for name in ["exclude", "tool", "replace"] {
        let list = file[name].as_array_mut().unwrap();
        let key = |item: &Value| match name {
            "replace" => json!([item[0], item[1]]),
            _ => item.clone(),
        };
        let mut seen = Vec::new();
        list.reverse();
        list.retain(|item| {
            let new = !seen.contains(&key(item));
            seen.push(key(item));
            new
        });
        list.sort_by_key(Value::to_string);
    }
    file
}

#[test]
fn what_go_mod_edit_says_is_what_we_read() {
    let sandbox = GoSandbox::new();
    let dir = sandbox.project("m", "-- go.mod --\nmodule m\n");
    let path = dir.join("go.mod");
    let (taken, refused) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 160, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    )
    .run(&file(), |text| {
        fs::write(&path, &text).unwrap();
        let go = by_go(&sandbox, &dir).map(without_doubles);
        let us = by_us(&path, &text).map(without_doubles);
        if go.is_some() {
            taken.set(taken.get() + 1)
        } else {
            refused.set(refused.get() + 1)
        }
        prop_assert_eq!(us, go, "{}", text);
        Ok(())
    })
    .unwrap();
    let (taken, refused) = (taken.get(), refused.get());
    assert!(taken > 20 && refused > 20, "{taken} taken, {refused} refused");
}
