//! Whose the bytes are, held against what the go command says of the same outputs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use larder_core::{Meter, OutputRef, Size};
use larder_go::build_kind::OutputKind;
use larder_go::build_names::output_ids;
use larder_go::build_origin::{Origin, OwnerContext};
use larder_go::build_orphans::{Present, orphans, surely_gone};
use larder_go::build_owner::{Owners, attribute};
use larder_go::build_rows::{RowsBy, rows};
use larder_go::build_scan::BuildScan;
use larder_testkit::{GoSandbox, has_go, real_modules};

use crate::build_support::{open, scan};

/// A sandbox in which a project of real modules was built and tested.
struct World {
    sandbox: GoSandbox,
    project: PathBuf,
    goroot: PathBuf,
}

impl World {
    /// `None` where there is no go command or no network to fetch the modules from once.
    fn new() -> Option<Self> {
        if !has_go() {
            return None;
        }
        let real = real_modules().map_err(|why| eprintln!("not tested: {why}")).ok()?;
        let mut sandbox = GoSandbox::new();
        sandbox.proxy(&real.url());
        sandbox.warm();
        let extra = "-- internal/x/x.go --\npackage x\n\nfunc X() {}\n\
                     -- internal/x/x_test.go --\npackage x\n\nimport \"testing\"\n\n\
                     func TestX(t *testing.T) { X() }\n";
        let project = sandbox.project("app", &(real.project() + extra));
        sandbox.go(&["build", "./..."], &project);
        sandbox.go(&["test", "./..."], &project);
        let goroot = PathBuf::from(sandbox.go_text(&["env", "GOROOT"], &project).trim());
        Some(Self { sandbox, project, goroot })
    }

    fn owners(&self) -> (BuildScan, Owners) {
        let root = self.sandbox.gocache();
        let scan = scan(&root);
        let context = OwnerContext {
            gomodcache: Some(self.sandbox.gomodcache()),
            goroots: vec![self.goroot.clone()],
            modules: Vec::new(),
        };
        let owners = attribute(&open(&root), &scan.inventory, &context, &Meter::default());
        assert!(owners.errors.is_empty() && owners.complete);
        (scan, owners)
    }

    /// What the go command says: each compiled package's file, import path and module.
    fn truth(&self, args: &[&str]) -> Vec<(String, String, String)> {
        let format = "{{.Export}}\t{{.ImportPath}}\t\
                      {{if .Standard}}std{{else if .Module}}{{.Module.Path}}@{{.Module.Version}}{{end}}";
        let mut all = vec!["list", "-export", "-deps", "-f", format];
        all.extend(args);
        all.push("./...");
        let text = self.sandbox.go_text(&all, &self.project);
        text.lines()
            .filter_map(|line| {
                let mut parts = line.split('\t');
                let (file, package, owner) = (parts.next()?, parts.next()?, parts.next()?);
                let id = Path::new(file).file_name()?.to_str()?.strip_suffix("-d")?.to_owned();
                let package = package.split(" [").next()?.to_owned();
                Some((id, package, owner.trim_end_matches('@').to_owned()))
            })
            .collect()
    }
}

fn by_id(world: &World, scan: &BuildScan) -> HashMap<String, OutputRef> {
    let root = open(&world.sandbox.gocache());
    let all: Vec<OutputRef> = scan.inventory.outputs().map(|(place, _)| place).collect();
    let ids = output_ids(&root, &scan.inventory, &all, &Meter::default());
    ids.into_iter().map(|(place, id)| (id.to_string(), place)).collect()
}

fn name_of(origin: &Origin) -> String {
    match origin {
        Origin::Std => "std".to_owned(),
        Origin::Module { path, version, .. } => format!("{path}@{version}"),
        Origin::Project { module, .. } => module.as_deref().unwrap_or("?").to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_compiled_package_is_whose_go_says_it_is() {
    let Some(world) = World::new() else { return };
    for args in [&[][..], &["-test"], &["-trimpath"]] {
        // Listing with -export compiles what is missing, so it comes before the scan.
        let truth = world.truth(args);
        let (scan, owners) = world.owners();
        let ids = by_id(&world, &scan);
        assert!(truth.len() > 60, "{} packages", truth.len());
        for (id, package, owner) in truth {
            let place = ids[&id];
            assert_eq!(owners.kind(place), OutputKind::Archive, "{package}");
            let found = owners.owner(place);
            assert_eq!(*found.package, *package, "{found:?}");
            // Under -trimpath a project's package tells no folder and so no module.
            let trimmed = args == ["-trimpath"] && owner == "example.test/real";
            let want = if trimmed { "Trimmed".to_owned() } else { owner };
            // The made main package of a test has the origin of what it tests.
            if !(want.is_empty() && package.strip_suffix(".test").is_some()) {
                assert_eq!(name_of(&found.origin), want, "{package}: {found:?}");
            }
        }
    }
}

#[test]
fn nearly_all_bytes_have_an_owner_and_rows_add_up() {
    let Some(world) = World::new() else { return };
    let (scan, owners) = world.owners();
    let total = scan.inventory.size();
    for by in [
        RowsBy::Kind,
        RowsBy::Age,
        RowsBy::Package,
        RowsBy::Module,
        RowsBy::Version,
        RowsBy::Go,
        RowsBy::Project,
    ] {
        let rows = rows(&scan.inventory, &owners, by, None, larder_fs::now());
        let sum: Size = rows.iter().map(|row| row.size).sum();
        assert_eq!(sum, total, "{by:?}");
        assert!(rows.is_sorted_by(|a, b| a.size.allocated >= b.size.allocated), "{by:?}");
        let dark = rows.iter().filter(|row| row.key.starts_with("not attributed"));
        let dark: Size = dark.map(|row| row.size).sum();
        let share = dark.logical.0 as f64 / total.logical.0 as f64;
        assert!(share < 0.05, "{by:?}: {share} of the bytes have no owner");
    }
}

#[test]
fn module_indexes_have_their_module() {
    let Some(world) = World::new() else { return };
    let (scan, owners) = world.owners();
    let indexes: Vec<OutputRef> = scan
        .inventory
        .outputs()
        .map(|(place, _)| place)
        .filter(|place| owners.kind(*place) == OutputKind::Index)
        .collect();
    let named = |place: &&OutputRef| matches!(owners.owner(**place).origin, Origin::Module { .. });
    assert!(indexes.iter().filter(named).count() >= 5, "of {}", indexes.len());
}

#[test]
fn what_was_built_from_what_is_gone_is_an_orphan() {
    let Some(world) = World::new() else { return };
    let (scan, owners) = world.owners();
    let find = |module: &dyn Fn(&str, &str) -> bool, go: &dyn Fn(&str) -> bool| {
        orphans(&scan.inventory, &owners, &Present { module, go, gone: &surely_gone })
    };
    assert!(find(&|_, _| true, &|_| true).is_empty(), "nothing is gone");
    let found = find(&|path, _| path != "golang.org/x/text", &|_| true);
    assert!(!found.is_empty());
    for (place, phrase) in &found {
        assert!(name_of(&owners.owner(*place).origin).starts_with("golang.org/x/text@"));
        assert_eq!(**phrase, *"golang.org/x/text@v0.21.0 is no longer in the module cache");
    }
    let found = find(&|_, _| true, &|_| false);
    assert!(found.values().all(|phrase| phrase.ends_with("is no longer installed")));
    // The project goes; its neighbour shows that the disk is still there.
    fs::create_dir_all(world.project.with_file_name("neighbour")).unwrap();
    fs::remove_dir_all(&world.project).unwrap();
    let found = find(&|_, _| true, &|_| true);
    assert!(!found.is_empty());
    for (place, phrase) in &found {
        assert!(matches!(owners.owner(*place).origin, Origin::Project { .. }), "{phrase}");
    }
    // As it is found when the folder was gone before.
    let (scan, owners) = world.owners();
    let present = Present { module: &|_, _| true, go: &|_| true, gone: &surely_gone };
    assert_eq!(orphans(&scan.inventory, &owners, &present).len(), found.len());
}

#[test]
fn an_executable_says_what_it_is() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let text = "-- go.mod --\nmodule example.test/tool\n\ngo 1.24\n\ntool example.test/tool\n\
                -- main.go --\npackage main\n\nfunc main() { println(1) }\n";
    let project = sandbox.project("tool", text);
    // `go tool` keeps what it has linked.
    sandbox.go(&["tool", "tool"], &project);
    let root = sandbox.gocache();
    let scan = scan(&root);
    let context = OwnerContext::default();
    let owners = attribute(&open(&root), &scan.inventory, &context, &Meter::default());
    let executable = scan
        .inventory
        .outputs()
        .map(|(place, _)| place)
        .find(|place| owners.kind(*place) == OutputKind::Executable)
        .expect("a linked executable is kept");
    let owner = owners.owner(executable);
    assert_eq!(*owner.package, *"example.test/tool");
    assert!(owner.go.starts_with("go1."), "{owner:?}");
    assert!(owner.platform.contains('/'), "{owner:?}");
}
