//! go.sum and go.work.sum after a download: byte for byte what `go mod download` leaves.

use std::fs;
use std::path::Path;

use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, Txtar, diff, has_go, snapshot, timeless};

use crate::flow::{command, document, larder};

/// `top` needs `old` needs `leaf`, two versions each; `old` is of a Go that does not prune.
fn world() -> (GoSandbox, FileProxy) {
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    for version in ["v1.0.0", "v1.10.0", "v1.9.0"] {
        let make = |name: &str| ModuleMaker::new(format!("example.test/{name}"), version);
        proxy.publish(&make("Leaf").package("", &[]));
        let old = make("old").go("1.16").package("", &["example.test/Leaf"]);
        proxy.publish(&old.require("example.test/Leaf", version));
        let top = make("top").package("", &["example.test/old"]);
        proxy.publish(&top.require("example.test/old", version));
        proxy.publish(&make("fork").package("", &[]).require("example.test/Leaf", "v1.9.0"));
    }
    sandbox.proxy(&proxy.url());
    (sandbox, proxy)
}

/// Downloads the same projects twice, by go in `at` and by larder from above, and holds the sums
/// and the caches against each other. What larder said.
#[track_caller]
fn both(sandbox: &GoSandbox, name: &str, text: &str, at: &[&str]) -> serde_json::Value {
    let folder = |who: &str| sandbox.root().join(name).join(who);
    for who in ["go", "larder"] {
        fs::create_dir_all(folder(who)).unwrap();
        Txtar::parse(text.as_bytes()).unpack(&folder(who).join("src")).unwrap();
    }
    for dir in at {
        let mut go = sandbox.command("go");
        go.args(["mod", "download"]).current_dir(folder("go").join("src").join(dir));
        let output = go.env("GOMODCACHE", folder("go").join("mod")).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
    let mut ours = command(sandbox, &["download", "src", "--json"]);
    ours.current_dir(folder("larder")).env("GOMODCACHE", folder("larder").join("mod"));
    let output = ours.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
    let sums = |who: &str| {
        let mut files = timeless(snapshot(&folder(who).join("src")));
        files.retain(|path, _| path.extension().is_some_and(|extension| extension == "sum"));
        files
    };
    for path in sums("go").keys().chain(sums("larder").keys()) {
        let text = |who| fs::read_to_string(folder(who).join("src").join(path)).unwrap_or_default();
        assert_eq!(text("go"), text("larder"), "{name}: {}", path.display());
    }
    let cache = |who: &str| {
        let mut files = timeless(snapshot(&folder(who).join("mod")));
        // The folder itself larder makes even where nothing comes into it.
        files.remove(Path::new(""));
        files
    };
    let differs = diff(&cache("go"), &cache("larder"));
    assert_eq!(differs, "", "{name}: the caches");
    serde_json::from_slice(&output.stdout).unwrap()
}

const TOP: &str = "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n\nrequire example.test/top v1.9.0\n\nrequire (\n\texample.test/old v1.9.0 // indirect\n\texample.test/Leaf v1.9.0 // indirect\n)\n";

#[test]
fn a_module_gets_the_lines_of_its_graph() {
    if !has_go() {
        return;
    }
    let (sandbox, _) = world();
    let said = both(&sandbox, "pruned", TOP, &["."]);
    assert_eq!(said["sums"][0]["added"], 3, "{said:#}");
    let sum = fs::read_to_string(sandbox.root().join("pruned/larder/src/go.sum")).unwrap();
    assert!(!sum.contains("v1.9.0 h1:"), "no hash of content without arguments: {sum}");
    let text = TOP.replace("go 1.21", "go 1.16");
    both(&sandbox, "legacy", &text, &["."]);
    // The roots are lower than what is selected, so go raises them first.
    let text = TOP.replace("example.test/old v1.9.0", "example.test/old v1.0.0");
    both(&sandbox, "raised", &text, &["."]);
    let text = format!("{TOP}\nreplace example.test/old => example.test/old v1.10.0\n");
    both(&sandbox, "replaced", &text, &["."]);
    let text = format!("{TOP}\nreplace example.test/Leaf v1.9.0 => example.test/fork v1.0.0\n");
    both(&sandbox, "fork", &text.replace("1.21", "1.17"), &["."]);
    let folder = "\nreplace example.test/old => ./old\n-- old/go.mod --\nmodule example.test/old\n\nrequire example.test/Leaf v1.10.0\n";
    both(&sandbox, "folder", &format!("{TOP}{folder}"), &["."]);
    let text = format!("{TOP}\nexclude example.test/Leaf v1.9.0\n");
    both(&sandbox, "excluded", &text.replace("Leaf v1.9.0 // ", "Leaf v1.10.0 // "), &["."]);
    both(&sandbox, "none", "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n", &["."]);
}

#[test]
fn lines_that_stand_there_stay_and_new_ones_come_in_order() {
    if !has_go() {
        return;
    }
    let (sandbox, _) = world();
    both(&sandbox, "first", TOP, &["."]);
    let whole = fs::read_to_string(sandbox.root().join("first/larder/src/go.sum")).unwrap();
    let hash = "h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";
    let stale = [
        format!("a.test/x v1.0.0 {hash}"),
        format!("example.test/old v1.0.0/go.mod {hash}"),
        format!("example.test/top v1.9.0 {hash}").replace("v1.9.0", "v1.9.0/go.mod"),
        format!("z.test/x v0.0.1 {hash}"),
    ];
    for keep in 0..3 {
        let mut lines: Vec<&str> = vec![&stale[0], &stale[1], &stale[3]];
        lines.extend(whole.lines().nth(keep));
        lines.sort_unstable();
        let text = format!("{TOP}-- go.sum --\n{}\n", lines.join("\n"));
        let said = both(&sandbox, &format!("stale{keep}"), &text, &["."]);
        assert_eq!(said["sums"][0]["added"], 2, "{said:#}");
    }
    // A hash of another kind says nothing; the known one comes beside it.
    let other = stale[2].replace("h1:", "h9:");
    both(&sandbox, "other-kind", &format!("{TOP}-- go.sum --\n{other}\n"), &["."]);
    // Nothing is missing, so nothing is written, not even its time.
    let project = sandbox.project("whole", &format!("{TOP}-- go.sum --\n{whole}"));
    let before = snapshot(&project);
    larder(&sandbox, &["download", "src"]).ends(0);
    assert_eq!(diff(&before, &snapshot(&project)), "");
}

#[test]
fn a_workspace_gets_the_lines_of_everything_that_no_member_has() {
    if !has_go() {
        return;
    }
    let (mut sandbox, _) = world();
    let work = "-- go.work --\ngo 1.21\n\nuse (\n\t./a\n\t./b\n)\n-- a/go.mod --\nmodule example.test/a\n\ngo 1.21\n\nrequire example.test/top v1.0.0\n-- b/go.mod --\nmodule example.test/b\n\ngo 1.16\n\nrequire example.test/Leaf v1.9.0\n\nrequire example.test/fork v1.0.0\n";
    both(&sandbox, "work", work, &["a"]);
    let at = sandbox.root().join("work/larder/src");
    assert!(!at.join("a/go.sum").exists() && !at.join("b/go.sum").exists());
    let all = fs::read_to_string(at.join("go.work.sum")).unwrap();
    assert!(all.contains(" h1:") && all.contains("/go.mod h1:"), "{all}");
    // What a member has is left out, and what the file has stays.
    let (member, own): (Vec<&str>, Vec<&str>) =
        all.lines().partition(|line| line.starts_with("example.test/Leaf"));
    let some = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let text = format!(
        "{work}-- a/go.sum --\n{}-- go.work.sum --\n{}",
        some(&member),
        some(&own[..own.len() / 2])
    );
    both(&sandbox, "work-members", &text, &["."]);
    // Without the workspace each member has its own.
    sandbox.set("GOWORK", "off");
    let folder = sandbox.root().join("alone");
    for who in ["go", "larder"] {
        Txtar::parse(work.as_bytes()).unpack(&folder.join(who)).unwrap();
    }
    for member in ["a", "b"] {
        sandbox.go(&["mod", "download"], folder.join("go").join(member));
    }
    document(&sandbox, "download/1", 0, &["download", "alone/larder"]);
    for member in ["a", "b"] {
        let text = |who| fs::read_to_string(folder.join(who).join(member).join("go.sum")).unwrap();
        assert_eq!(text("go"), text("larder"), "{member}");
    }
    assert!(!folder.join("larder/go.work.sum").exists());
}

#[test]
fn a_vendored_project_is_fetched_for_all_the_same() {
    if !has_go() {
        return;
    }
    let (sandbox, _) = world();
    let vendored = "-- vendor/modules.txt --\n# example.test/top v1.9.0\n## explicit; go 1.21\nexample.test/top\n";
    let said = both(&sandbox, "vendored", &format!("{TOP}{vendored}"), &["."]);
    assert_eq!(said["fetched"].as_array().unwrap().len(), 3, "{said:#}");
}

#[cfg(unix)]
#[test]
fn modcacherw_leaves_folders_that_can_be_written() {
    use std::os::unix::fs::PermissionsExt as _;
    if !has_go() {
        return;
    }
    let (mut sandbox, _) = world();
    for (flags, writable) in [("", 0), ("-v -modcacherw", 0o200), ("-modcacherw=false", 0)] {
        sandbox.set("GOFLAGS", flags);
        let name = format!("rw{}", flags.len());
        // Modes are compared with those that go leaves.
        both(&sandbox, &name, TOP, &["."]);
        let folder = sandbox.root().join(name).join("larder/mod/example.test/top@v1.9.0");
        let mode = fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o200, writable, "{flags}");
    }
}

#[test]
fn modfile_names_another_go_mod_and_its_sum() {
    if !has_go() {
        return;
    }
    let (mut sandbox, _) = world();
    sandbox.set("GOFLAGS", "-modfile=alt.mod");
    let text = TOP.replace("-- go.mod --", "-- go.mod --\nno go.mod at all\n-- alt.mod --");
    let said = both(&sandbox, "modfile", &text, &["."]);
    assert!(said["projects"][0]["project"].as_str().unwrap().ends_with("/alt.mod"), "{said:#}");
    let at = sandbox.root().join("modfile/larder/src");
    assert!(at.join("alt.sum").exists() && !at.join("go.sum").exists());
    // It is kept what either of them needs.
    let own =
        "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n\nrequire example.test/Leaf v1.0.0\n";
    let project = sandbox.project("m", &format!("{own}{}", TOP.replace("go.mod", "alt.mod")));
    sandbox.go(&["mod", "download"], &project);
    sandbox.go(&["mod", "download", "-modfile=go.mod"], &project);
    sandbox.go(&["mod", "download", "example.test/fork@v1.0.0"], &project);
    let args = ["prune", "mod", "--keep-used", "src", "--protect", "0s", "-n"];
    let plan = document(&sandbox, "plan/1", 0, &args);
    let subjects: Vec<&str> = plan["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["subject"].as_str())
        .collect();
    assert_eq!(subjects, ["example.test/fork@v1.0.0"], "{plan:#}");
}

/// What go does where a go.sum contradicts the `.mod` of a version outside the download list.
#[test]
fn a_go_mod_that_only_the_graph_reads_is_held_against_go_sum_too() {
    if !has_go() {
        return;
    }
    let (sandbox, proxy) = world();
    let low = ModuleMaker::new("example.test/low", "v1.0.0").go("1.16");
    proxy.publish(&low.package("", &[]).require("example.test/old", "v1.0.0"));
    // `old` v1.0.0 is read for the graph and not selected.
    let text = "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n\nrequire (\n\texample.test/low v1.0.0\n\texample.test/old v1.9.0\n)\n";
    let project = sandbox.project("m", text);
    sandbox.go(&["mod", "download"], &project);
    let said = document(&sandbox, "download/1", 0, &["download", "src"]);
    assert!(said["go_mods"].as_array().unwrap().is_empty(), "{said:#}");
    let sum = project.join("go.sum");
    let text = fs::read_to_string(&sum).unwrap();
    let line = text.lines().find(|l| l.starts_with("example.test/old v1.0.0/go.mod ")).unwrap();
    let hash = "h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";
    let forged = text.replace(line, &format!("example.test/old v1.0.0/go.mod {hash}"));
    fs::write(&sum, &forged).unwrap();
    let go = sandbox.go_fails(&["mod", "download"], &project);
    assert!(go.contains("checksum mismatch"), "{go}");
    let said = larder(&sandbox, &["download", "src"]);
    assert!(said.ends(1).out.contains("checksum mismatch"), "{said:#?}");
    assert_eq!(fs::read_to_string(&sum).unwrap(), forged);
}

#[test]
fn where_the_graph_is_not_whole_nothing_is_added() {
    if !has_go() {
        return;
    }
    let (sandbox, proxy) = world();
    fs::remove_file(proxy.version_path("example.test/old", "v1.9.0", ".mod")).unwrap();
    let project = sandbox.project("m", TOP);
    sandbox.go_fails(&["mod", "download"], &project);
    assert!(!project.join("go.sum").exists());
    larder(&sandbox, &["download", "src"]).ends(4);
    assert!(!project.join("go.sum").exists());
}

#[cfg(unix)]
#[test]
fn a_project_that_may_not_be_written_is_a_failure_and_the_rest_comes() {
    use std::os::unix::fs::PermissionsExt as _;
    if !has_go() {
        return;
    }
    let (sandbox, _) = world();
    let project = sandbox.project("m", TOP);
    let run = |mode: u32| {
        fs::set_permissions(&project, fs::Permissions::from_mode(mode)).unwrap();
        let ours = command(&sandbox, &["download", "src"]);
        let output = sandbox.as_nobody(&ours).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run(0o555);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("cannot add to") && said.contains("go.sum"), "{said}");
    assert!(sandbox.gomodcache().join("example.test/top@v1.9.0").is_dir());
    let (code, said) = run(0o755);
    assert_eq!(code, Some(0), "{said}");
    assert!(Path::new(&project).join("go.sum").is_file());
}
