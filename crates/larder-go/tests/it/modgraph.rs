//! Build lists of generated module sets, held against `go list -m all`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use larder_go::module_path::ModuleVersion;
use larder_testkit::{FileProxy, GoSandbox, ModuleMaker};

use crate::common::{Rng, needs_of};

const MODULES: usize = 12;
const VERSIONS: [&str; 5] =
    ["v1.0.0", "v1.1.0-rc.1", "v1.1.0", "v1.1.1-0.20240301120000-0123456789ab", "v1.2.0"];
const GO_LINES: [&str; 6] = ["", "1.13", "1.16", "1.17", "1.20", "1.21"];

/// Publishes a set of modules that require each other at random.
fn publish(proxy: &FileProxy, set: usize, rng: &mut Rng) {
    for module in 0..MODULES {
        for version in VERSIONS {
            let go = GO_LINES[rng.below(GO_LINES.len())];
            let mut made = ModuleMaker::new(name(set, module), version);
            made = if go.is_empty() { made.no_go_line() } else { made.go(go) };
            for _ in 0..rng.below(4) {
                made = made.require(&name(set, rng.below(MODULES)), VERSIONS[rng.below(5)]);
            }
            proxy.publish(&made);
        }
    }
}

fn name(set: usize, module: usize) -> String {
    format!("example.com/Set{set}/m{module}")
}

/// A main module of its own, with requirements, replacements and exclusions at random.
fn main_go_mod(set: usize, path: &str, rng: &mut Rng) -> String {
    let go = ["1.15", "1.17", "1.21", "1.22.0"][rng.below(4)];
    let mut text = format!("module {path}\n\ngo {go}\n\nrequire (\n");
    for _ in 0..=rng.below(4) {
        let _ = writeln!(text, "\t{} {}", name(set, rng.below(MODULES)), VERSIONS[rng.below(5)]);
    }
    text.push_str(")\n");
    if rng.chance(40) {
        let (old, new) = (rng.below(MODULES), rng.below(MODULES));
        let version = if rng.chance(50) { VERSIONS[rng.below(5)] } else { "" };
        let _ = writeln!(
            text,
            "replace {} {version} => {} {}",
            name(set, old),
            name(set, new),
            VERSIONS[rng.below(5)]
        );
    }
    if rng.chance(30) {
        let _ = writeln!(text, "replace {} v1.2.0 => ./_local", name(set, rng.below(MODULES)));
    }
    if rng.chance(40) {
        let _ =
            writeln!(text, "exclude {} {}", name(set, rng.below(MODULES)), VERSIONS[rng.below(5)]);
    }
    text
}

/// What `go list -m all` downloads: without main modules, after replacement; or why it fails.
fn go_list(
    sandbox: &GoSandbox,
    dir: &Path,
    flags: &[&str],
) -> Result<BTreeSet<ModuleVersion>, String> {
    let format = "{{if not .Main}}{{if .Replace}}{{.Replace.Path}} {{.Replace.Version}}{{else}}{{.Path}} {{.Version}}{{end}}{{end}}";
    let args: Vec<&str> =
        ["list", "-m", "-f", format].iter().chain(flags).chain(&["all"]).copied().collect();
    let output = sandbox.try_go(&args, dir);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        let (path, version) = line.split_once(' ')?;
        (!version.is_empty()).then(|| ModuleVersion::new(path, version))
    };
    Ok(text.lines().filter_map(pair).collect())
}

fn ours(sandbox: &GoSandbox, dir: &Path) -> BTreeSet<ModuleVersion> {
    let needs = needs_of(sandbox, &[dir]);
    assert_eq!(needs.projects.len(), 1);
    let project = &needs.projects[0];
    let go_mod = fs::read_to_string(dir.join("go.mod")).unwrap();
    assert!(project.missing.is_empty(), "{:?} of {go_mod}", project.missing);
    project.needed.iter().cloned().collect()
}

#[test]
fn build_lists_are_those_of_go_list() {
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    sandbox.proxy(&proxy.url());
    let mut rng = Rng(20_241_101);
    let (mut compared, mut raised, mut refused) = (0, 0, 0);
    for set in 0..16 {
        publish(&proxy, set, &mut rng);
        for main in 0..8 {
            let dir = sandbox.root().join(format!("src/s{set}m{main}"));
            // The underscore keeps it from being a project of its own.
            fs::create_dir_all(dir.join("_local")).unwrap();
            let local = format!("module x\n\ngo 1.16\n\nrequire {} v1.1.0\n", name(set, main));
            fs::write(dir.join("_local/go.mod"), local).unwrap();
            let text = main_go_mod(set, "example.com/main", &mut rng);
            fs::write(dir.join("go.mod"), &text).unwrap();
            // This settles go.mod: each requirement becomes what is selected.
            let Ok(first) = go_list(&sandbox, &dir, &["-mod=mod"]) else {
                refused += 1;
                continue;
            };
            let settled = fs::read_to_string(dir.join("go.mod")).unwrap();
            let theirs =
                go_list(&sandbox, &dir, &[]).unwrap_or_else(|why| panic!("{settled}{why}"));
            assert_eq!(ours(&sandbox, &dir), theirs, "set {set}, main {main}:\n{settled}");
            fs::write(dir.join("go.mod"), &text).unwrap();
            let before = ours(&sandbox, &dir);
            assert!(before.is_superset(&first), "set {set}, main {main}, as written:\n{text}");
            raised += usize::from(before != first);
            compared += 1;
        }
    }
    println!(
        "{compared} compared, {raised} with more than the settled list, {refused} refused by go"
    );
    assert!(compared >= 100, "only {compared} sets were compared, go refused {refused}");
}

#[test]
fn workspaces_are_those_of_go_list() {
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    sandbox.proxy(&proxy.url());
    let mut rng = Rng(7);
    let (mut compared, mut refused) = (0, 0);
    for set in 0..8 {
        publish(&proxy, set, &mut rng);
        for work in 0..6 {
            let dir = sandbox.root().join(format!("src/s{set}w{work}"));
            let mut text = "go 1.22.0\n".to_owned();
            for member in 0..=rng.below(3) {
                let path = format!("example.com/member{member}");
                let mut go_mod =
                    main_go_mod(set, &path, &mut rng).replace("=> ./_local", "=> ../_local");
                if rng.chance(70) {
                    // Most replacements would contradict each other.
                    go_mod = go_mod
                        .lines()
                        .filter(|l| !l.starts_with("replace"))
                        .collect::<Vec<_>>()
                        .join("\n");
                }
                fs::create_dir_all(dir.join(format!("m{member}"))).unwrap();
                fs::write(dir.join(format!("m{member}/go.mod")), go_mod + "\n").unwrap();
                let _ = writeln!(text, "use ./m{member}");
            }
            if rng.chance(40) {
                let _ = writeln!(
                    text,
                    "replace {} => {} v1.1.0",
                    name(set, rng.below(MODULES)),
                    name(set, rng.below(MODULES))
                );
            }
            fs::create_dir_all(dir.join("_local")).unwrap();
            fs::write(
                dir.join("_local/go.mod"),
                format!("module x\nrequire {} v1.1.0\n", name(set, 1)),
            )
            .unwrap();
            fs::write(dir.join("go.work"), &text).unwrap();
            let Ok(theirs) = go_list(&sandbox, &dir, &[]) else {
                refused += 1;
                continue;
            };
            let needs = needs_of(&sandbox, &[&dir]);
            let project = needs.projects.iter().find(|p| p.display.ends_with("go.work")).unwrap();
            assert!(project.missing.is_empty(), "{:?}", project.missing);
            let ours: BTreeSet<_> = project.needed.iter().cloned().collect();
            assert_eq!(ours, theirs, "set {set}, workspace {work}:\n{text}");
            compared += 1;
        }
    }
    println!("{compared} workspaces compared, {refused} refused by go");
    assert!(compared >= 25, "only {compared} workspaces were compared, go refused {refused}");
}
