//! What the end-to-end tests share: larder run in a sandbox of its own, beside the real go
//! command.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use larder_testkit::{GoSandbox, Snapshot, diff, snapshot};
use serde_json::Value;

use crate::Ran;

/// The binary under test.
pub(crate) static LARDER: LazyLock<PathBuf> =
    LazyLock::new(|| assert_cmd::cargo::cargo_bin("larder"));

/// larder in a sandbox, not yet run.
pub(crate) fn command(sandbox: &GoSandbox, args: &[&str]) -> Command {
    let mut command = sandbox.larder(&*LARDER);
    command.args(args);
    command
}

/// Runs larder in a sandbox; the sandbox's root reads `[ROOT]` in what it said.
pub(crate) fn larder(sandbox: &GoSandbox, args: &[&str]) -> Ran {
    ran(sandbox, command(sandbox, args).output().unwrap())
}

/// What a finished larder said.
pub(crate) fn ran(sandbox: &GoSandbox, output: Output) -> Ran {
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().replace(sandbox.root().to_str().unwrap(), "[ROOT]")
    };
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs larder with `--json`, which must end in `code` and print a document of this schema.
#[track_caller]
pub(crate) fn document(sandbox: &GoSandbox, schema: &str, code: i32, args: &[&str]) -> Value {
    let output = command(sandbox, &[args, &["--json"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:#?}");
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {output:#?}"));
    valid(schema, &document);
    document
}

/// Holds a document against its published schema.
#[track_caller]
pub(crate) fn valid(schema: &str, document: &Value) {
    let file = format!("{}.schema.json", schema.replace('/', "-"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas").join(file);
    let rules: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&rules).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?} in {document:#}");
    assert_eq!(document["schema"], format!("larder/{schema}"));
}

/// Everything in the sandbox's caches and beside the module cache, to compare.
pub(crate) fn caches(sandbox: &GoSandbox) -> (Snapshot, Snapshot) {
    let mut modules = snapshot(&sandbox.gopath().join("pkg"));
    // The trash lies beside the module cache, in a folder that is larder's to change.
    modules.retain(|path, _| path.iter().next().is_some_and(|top| top != ".larder-trash"));
    (snapshot(&sandbox.gocache()), modules)
}

/// Asserts that the caches are what they were.
#[track_caller]
pub(crate) fn untouched(sandbox: &GoSandbox, before: &(Snapshot, Snapshot)) {
    let now = caches(sandbox);
    assert_eq!(diff(&before.0, &now.0) + &diff(&before.1, &now.1), "", "something was touched");
}

/// Whether two trees hold the same, their times and modes too.
#[track_caller]
pub(crate) fn same(before: &Snapshot, after: &Snapshot, what: &str) {
    let differs = diff(before, after);
    let lines: Vec<&str> = differs.lines().take(20).collect();
    assert!(lines.is_empty(), "{what}: {lines:#?}");
}

/// Makes a file look as if it was last changed so long ago.
pub(crate) fn age(path: &Path, age: Duration) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

/// All paths below `root` whose name ends so.
pub(crate) fn ending(root: &Path, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = snapshot(root)
        .into_keys()
        .filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(|n| n.ends_with(end)))
        .map(|path| root.join(path))
        .collect();
    found.sort();
    found
}
