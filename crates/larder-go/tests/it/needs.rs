//! What projects need, proven by taking everything else away and building offline.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use larder_go::module_path::{ModuleVersion, escape, escape_version, unescape, unescape_version};
use larder_go::needs::{Needs, NeedsError};
use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, TestProxy};

use crate::common::{needs_of, try_needs};

/// Every version that lies in the cache with its zip.
fn cached(modcache: &Path) -> Vec<ModuleVersion> {
    let download = modcache.join("cache/download");
    let mut found = Vec::new();
    let mut folders = vec![download.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "zip") {
                let module = folder.parent().unwrap().strip_prefix(&download).unwrap();
                let version = path.file_stem().unwrap().to_str().unwrap();
                found.push(ModuleVersion::new(
                    unescape(module.to_str().unwrap()).unwrap(),
                    unescape_version(version).unwrap(),
                ));
            }
        }
    }
    found
}

/// Removes what nobody needs, as a prune would: the folder, the zip and its hash.
fn take_away(modcache: &Path, needs: &Needs) -> usize {
    let mut gone = 0;
    for module in cached(modcache) {
        if needs.who_needs(&module.path, &module.version).is_some() {
            continue;
        }
        let (path, version) =
            (escape(&module.path).unwrap(), escape_version(&module.version).unwrap());
        let files = modcache.join("cache/download").join(&path).join("@v");
        fs::remove_file(files.join(format!("{version}.zip"))).unwrap();
        fs::remove_file(files.join(format!("{version}.ziphash"))).unwrap();
        let _ = fs::remove_dir_all(modcache.join(format!("{path}@{version}")));
        gone += 1;
    }
    gone
}

/// Builds, vets, tests, lists and verifies without a network.
fn assert_works_offline(sandbox: &mut GoSandbox, dir: &Path, gowork: &str) {
    let proxy = sandbox.get("GOPROXY").map(std::ffi::OsStr::to_owned).unwrap();
    let flags = sandbox.get("GOFLAGS").map(std::ffi::OsStr::to_owned).unwrap();
    sandbox.set("GOPROXY", "off").set("GOFLAGS", "-modcacherw").set("GOWORK", gowork);
    for args in [
        &["build", "./..."][..],
        &["vet", "./..."],
        &["test", "./..."],
        &["list", "-m", "all"],
        &["mod", "verify"],
    ] {
        sandbox.go(args, dir);
    }
    sandbox.set("GOPROXY", proxy).set("GOFLAGS", flags).unset("GOWORK");
}

/// A sandbox with a proxy of made-up modules: `base` has five versions, the others use it.
fn world() -> (GoSandbox, FileProxy) {
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    for minor in 0..5 {
        let version = format!("v1.{minor}.0");
        proxy.publish(&ModuleMaker::new("example.com/Base", &*version).go("1.16").package("", &[]));
        let old = ModuleMaker::new("example.com/old", &*version)
            .go("1.13")
            .require("example.com/Base", &version)
            .package("", &["example.com/Base"]);
        proxy.publish(&old);
        let new = ModuleMaker::new("example.com/new", &*version)
            .go("1.21")
            .require("example.com/old", "v1.1.0")
            .require_indirect("example.com/Base", "v1.2.0")
            .package("", &["example.com/old"])
            .package("cmd/tool", &[]);
        proxy.publish(&new);
    }
    sandbox.proxy(&proxy.url()).set("GOFLAGS", "-modcacherw -mod=mod");
    sandbox.warm_for_vet();
    (sandbox, proxy)
}

fn user(module: &str, go: &str, lines: &str, imports: &[&str]) -> String {
    let mut text =
        format!("-- go.mod --\nmodule {module}\n\ngo {go}\n\n{lines}\n-- a.go --\npackage a\n\n");
    for (number, import) in imports.iter().enumerate() {
        let _ = writeln!(text, "import i{number} \"{import}\"");
    }
    text.push_str("\nvar Sum = 0");
    for number in 0..imports.len() {
        let _ = write!(text, " + i{number}.Use()");
    }
    text.push_str("\n-- a_test.go --\npackage a\n\nimport (\n\t\"testing\"\n\n\tbase \"example.com/Base\"\n)\n\nfunc TestBase(t *testing.T) { _ = base.Use() }\n");
    text
}

#[test]
fn what_is_left_builds_offline() {
    let (mut sandbox, _proxy) = world();
    let cases = [
        (
            "old-main",
            user("example.com/a", "1.15", "require example.com/old v1.3.0", &["example.com/old"]),
        ),
        (
            "new-main",
            user("example.com/b", "1.21", "require example.com/new v1.4.0", &["example.com/new"]),
        ),
        (
            "replaced",
            user(
                "example.com/c",
                "1.21",
                "require example.com/new v1.2.0\nreplace example.com/Base => example.com/Base v1.4.0",
                &["example.com/new"],
            ),
        ),
        (
            "excluded",
            user(
                "example.com/d",
                "1.16",
                "require example.com/old v1.1.0\nexclude example.com/Base v1.1.0\nrequire example.com/Base v1.0.0",
                &["example.com/old"],
            ),
        ),
        (
            "tools",
            user(
                "example.com/e",
                "1.24",
                "require example.com/new v1.0.0\ntool example.com/new/cmd/tool",
                &["example.com/old"],
            ),
        ),
        (
            "local",
            user(
                "example.com/f",
                "1.21",
                "require example.com/near v0.0.0\nreplace example.com/near => ../_near",
                &["example.com/near"],
            ),
        ),
    ];
    sandbox.project("_near", "-- go.mod --\nmodule example.com/near\n\ngo 1.17\n\nrequire example.com/old v1.2.0\n\nrequire example.com/Base v1.2.0\n-- n.go --\npackage near\n\nimport old \"example.com/old\"\n\nfunc Use() int { return old.Use() }\n");
    let mut dirs: Vec<PathBuf> = Vec::new();
    for (name, text) in &cases {
        let dir = sandbox.project(name, text);
        sandbox.go(&["mod", "tidy"], &dir);
        sandbox.go(&["build", "./..."], &dir);
        dirs.push(dir);
    }
    for minor in 0..5 {
        let all = ["Base", "old", "new"].map(|name| format!("example.com/{name}@v1.{minor}.0"));
        sandbox.go(&["mod", "download", &all[0], &all[1], &all[2]], &dirs[0]);
    }
    let src = sandbox.root().join("src");
    let needs = needs_of(&sandbox, &[&src]);
    assert_eq!(needs.projects.len(), cases.len());
    assert_eq!(needs.incomplete().count(), 0);
    let gone = take_away(&sandbox.gomodcache(), &needs);
    assert!(gone >= 4, "only {gone} versions were not needed");
    for dir in &dirs {
        assert_works_offline(&mut sandbox, dir, "");
    }
    // The proof is one only if what is needed is really missed.
    let used = sandbox.gomodcache().join("cache/download/example.com/old/@v/v1.3.0.zip");
    fs::remove_file(used).unwrap();
    fs::remove_dir_all(sandbox.gomodcache().join("example.com/old@v1.3.0")).unwrap();
    sandbox.set("GOPROXY", "off");
    sandbox.go_fails(&["build", "./..."], &dirs[0]);
}

#[test]
fn a_workspace_and_each_member_alone_build_offline() {
    let (mut sandbox, _proxy) = world();
    let low = sandbox.project(
        "ws/low",
        &user("example.com/low", "1.21", "require example.com/old v1.0.0", &["example.com/old"]),
    );
    let high = sandbox.project(
        "ws/high",
        &user("example.com/high", "1.21", "require example.com/old v1.4.0", &["example.com/old"]),
    );
    for dir in [&low, &high] {
        sandbox.go(&["mod", "tidy"], dir);
        sandbox.go(&["build", "./..."], dir);
    }
    sandbox.write("src/ws/go.work", "go 1.21\n\nuse ./low\nuse ./high\n");
    sandbox.set("GOFLAGS", "-modcacherw");
    sandbox.go(&["build", "./low/...", "./high/..."], low.parent().unwrap());
    sandbox.go(&["mod", "download", "example.com/new@v1.0.0", "example.com/old@v1.3.0"], &low);
    let needs = needs_of(&sandbox, &[low.parent().unwrap()]);
    let names: Vec<_> =
        needs.projects.iter().map(|p| p.display.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["go.work", "high", "low"]);
    assert!(needs.who_needs("example.com/old", "v1.0.0").unwrap().ends_with("/low"));
    assert!(needs.who_needs("example.com/old", "v1.4.0").unwrap().ends_with("and 1 more project"));
    assert_eq!(needs.who_needs("example.com/old", "v1.3.0"), None);
    assert!(take_away(&sandbox.gomodcache(), &needs) >= 2);
    assert_works_offline(&mut sandbox, &low, "off");
    assert_works_offline(&mut sandbox, &high, "");
    // A member that is asked for alone still belongs to the workspace above it.
    let alone = needs_of(&sandbox, &[&low]);
    assert_eq!(alone.projects.len(), 2);
}

#[test]
fn gos_own_test_modules_build_offline() {
    let proxy = TestProxy::get().expect("the go command with its test modules");
    let mut sandbox = GoSandbox::new();
    sandbox.proxy(&proxy.url()).set("GOFLAGS", "-modcacherw -mod=mod");
    sandbox.warm_for_vet();
    let project = sandbox.project(
        "quote",
        "-- go.mod --\nmodule example.com/q\n\ngo 1.16\n\nrequire rsc.io/quote v1.5.2\n-- q.go --\npackage q\n\nimport \"rsc.io/quote\"\n\nvar Q = quote.Hello()\n",
    );
    sandbox.go(&["mod", "tidy"], &project);
    sandbox.go(&["build", "./..."], &project);
    sandbox.go(&["mod", "download", "rsc.io/quote@v1.5.1", "rsc.io/sampler@v1.99.99"], &project);
    let needs = needs_of(&sandbox, &[&project]);
    assert_eq!(
        needs.who_needs("rsc.io/quote", "v1.5.2").as_deref(),
        Some(&*needs.projects[0].display)
    );
    assert_eq!(take_away(&sandbox.gomodcache(), &needs), 2);
    assert_works_offline(&mut sandbox, &project, "");
}

#[test]
fn a_vendored_project_needs_nothing() {
    let (mut sandbox, _proxy) = world();
    let dir = sandbox.project(
        "v",
        &user("example.com/v", "1.21", "require example.com/old v1.3.0", &["example.com/old"]),
    );
    sandbox.go(&["mod", "tidy"], &dir);
    sandbox.go(&["mod", "vendor"], &dir);
    assert!(
        !needs_of(&sandbox, &[&dir]).projects[0].needed.is_empty(),
        "-mod=mod looks past vendor"
    );
    sandbox.set("GOFLAGS", "");
    let needs = needs_of(&sandbox, &[&dir]);
    assert!(needs.projects[0].vendored && needs.projects[0].needed.is_empty());
}

#[test]
fn a_missing_go_mod_keeps_the_whole_set() {
    let (mut sandbox, _proxy) = world();
    let old = sandbox.project(
        "old",
        &user("example.com/a", "1.15", "require example.com/old v1.3.0", &["example.com/old"]),
    );
    let new = sandbox.project(
        "new",
        &user("example.com/b", "1.21", "require example.com/new v1.4.0", &["example.com/new"]),
    );
    for dir in [&old, &new] {
        sandbox.go(&["mod", "tidy"], dir);
    }
    fs::remove_file(sandbox.gomodcache().join("cache/download/example.com/old/@v/v1.3.0.mod"))
        .unwrap();
    let needs = needs_of(&sandbox, &[&old]);
    assert_eq!(
        needs.projects[0].missing,
        ["the go.mod of example.com/old@v1.3.0 is not in the module cache"]
    );
    assert_eq!(needs.projects[0].whole_modules, ["example.com/Base", "example.com/old"]);
    assert!(needs.who_needs("example.com/Base", "v1.0.0").is_some(), "by go.sum alone");
    assert_eq!(needs.who_needs("example.com/new", "v1.0.0"), None);
    // From go 1.17 on, what is written is enough to build with; what was met stays too.
    let deep = sandbox.gomodcache().join("cache/download/example.com/Base/@v/v1.1.0.mod");
    let deep = PathBuf::from(deep.to_str().unwrap().replace("/Base/", "/!base/"));
    fs::remove_file(&deep).unwrap();
    let needs = needs_of(&sandbox, &[&new]);
    assert_eq!(needs.incomplete().count(), 1);
    assert!(needs.projects[0].whole_modules.is_empty());
    assert!(needs.who_needs("example.com/Base", "v1.2.0").is_some());
    assert!(needs.who_needs("example.com/Base", "v1.1.0").is_some(), "it may be selected");
    assert_eq!(needs.who_needs("example.com/Base", "v1.0.0"), None);
    sandbox.go(&["vet", "./..."], &new);
    sandbox.go(&["mod", "download", "example.com/new@v1.0.0"], &old);
    let _ = fs::remove_file(&deep);
    assert!(take_away(&sandbox.gomodcache(), &needs) > 0);
    sandbox.set("GOPROXY", "off").set("GOFLAGS", "-mod=readonly");
    sandbox.go(&["vet", "./..."], &new);
}

#[test]
fn a_branch_for_a_version_keeps_every_version() {
    let sandbox = GoSandbox::new();
    let dir =
        sandbox.project("b", "-- go.mod --\nmodule m\n\ngo 1.21\n\nrequire example.com/x main\n");
    let needs = needs_of(&sandbox, &[&dir]);
    assert_eq!(
        needs.projects[0].missing,
        ["example.com/x asks for \"main\", which is no version yet"]
    );
    assert!(needs.who_needs("example.com/x", "v1.2.3").is_some());
}

#[test]
fn what_cannot_be_read_stops_everything() {
    let sandbox = GoSandbox::new();
    let error = try_needs(&sandbox, &[&sandbox.root().join("nowhere")]).unwrap_err();
    assert!(matches!(error, NeedsError::Missing(_)), "{error}");
    let file = sandbox.write("file", "");
    assert!(matches!(try_needs(&sandbox, &[&file]).unwrap_err(), NeedsError::NotAFolder(_)));
    let dir = sandbox.project("bad", "-- go.mod --\nmodule m\n\nrequire (\n\texample.com/x\n)\n");
    let said = try_needs(&sandbox, &[&dir]).unwrap_err().to_string();
    assert_eq!(
        said,
        format!("{}:4:2: require takes a module path and a version", dir.join("go.mod").display())
    );
    fs::write(dir.join("go.mod"), "module m\n").unwrap();
    fs::write(dir.join("go.work"), "use (\n").unwrap();
    let said = try_needs(&sandbox, &[&dir]).unwrap_err().to_string();
    assert!(said.contains("go.work:1:1: "), "{said}");
}

#[test]
fn only_projects_of_people_are_found() {
    let mut sandbox = GoSandbox::new();
    let module = "-- go.mod --\nmodule m\n";
    for name in ["a", "a/nested", "a/vendor/x", "a/testdata/x", "a/.x", "a/_x", "b/node_modules/x"]
    {
        sandbox.project(name, module);
    }
    let modcache = sandbox.root().join("src/cache");
    fs::create_dir_all(modcache.join("example.com/x@v1.0.0")).unwrap();
    fs::write(modcache.join("example.com/x@v1.0.0/go.mod"), "not a go.mod at all").unwrap();
    sandbox.set("GOMODCACHE", modcache);
    #[cfg(unix)]
    std::os::unix::fs::symlink("../a", sandbox.root().join("src/b/link")).unwrap();
    let src = sandbox.root().join("src");
    let needs = needs_of(&sandbox, &[&src, &src.join("a")]);
    let dirs: Vec<_> = needs.projects.iter().map(|p| p.dir.clone()).collect();
    assert_eq!(dirs, [src.join("a"), src.join("a/nested")]);
    // A folder inside a module stands for it.
    fs::create_dir_all(src.join("a/pkg/deep")).unwrap();
    assert_eq!(needs_of(&sandbox, &[&src.join("a/pkg/deep")]).projects[0].dir, src.join("a"));
}

#[test]
fn toolchains_of_projects_and_settings_are_needed() {
    let mut sandbox = GoSandbox::new();
    let far = "-- go.mod --\nmodule m\n\ngo 1.98\n\ntoolchain go1.98.2\n";
    sandbox.project("one", far);
    sandbox.project("two", far);
    sandbox.project("three", "-- go.mod --\nmodule m\n\ngo 1.20\n");
    sandbox.set("GOTOOLCHAIN", "go1.21.4+auto");
    let needs = needs_of(&sandbox, &[&sandbox.root().join("src")]);
    let who =
        |name: &str| needs.who_needs("golang.org/toolchain", &format!("v0.0.1-{name}.linux-amd64"));
    assert!(
        who("go1.98.2").unwrap().ends_with("/src/one and 1 more project"),
        "{:?}",
        who("go1.98.2")
    );
    assert_eq!(who("go1.21.4").as_deref(), Some("GOTOOLCHAIN=go1.21.4+auto in the environment"));
    assert_eq!(who("go1.98.0"), None);
    assert_eq!(needs.toolchains.len(), 2);
}
