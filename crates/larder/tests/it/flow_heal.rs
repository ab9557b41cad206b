//! Healing builds of the real go command: only a cache that is to blame is touched, and only
//! where that helps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, diff, has_go, snapshot};
use serde_json::Value;

use crate::flow::{caches, command, untouched, valid};
use crate::flow_verify::{archive, built, rewrite, spoil};

const BUILD: [&str; 5] = ["go", "build", "-o", "hi", "./cmd/hi"];

/// Heals a command in a folder; what was reported.
#[track_caller]
fn heal(sandbox: &GoSandbox, dir: &Path, code: i32, words: &[&str]) -> (Value, Output) {
    let report = sandbox.root().join("report.json");
    let mut args = vec!["heal", "--report", report.to_str().unwrap(), "--"];
    args.extend(words);
    let output = command(sandbox, &args).current_dir(dir).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:#?}");
    let document = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    valid("heal/1", &document);
    (document, output)
}

/// So that the program is linked anew.
fn touch(project: &Path, word: &str) {
    let path = project.join("cmd/hi/main.go");
    let text = format!(
        "package main\nimport (\"fmt\"; \"example.test/p\")\nfunc main() {{ fmt.Println(p.Up({word:?})) }}\n"
    );
    fs::write(path, text).unwrap();
}

#[test]
fn a_command_that_passes_is_left_alone() {
    let sandbox = GoSandbox::new();
    let (report, output) =
        heal(&sandbox, &sandbox.root(), 0, &["sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(report["verdict"], "passed");
    for (code, words) in [
        (7, &["sh", "-c", "exit 7"][..]),
        (137, &["sh", "-c", "kill -9 $$"]),
        (143, &["sh", "-c", "kill $$"]),
    ] {
        heal(&sandbox, &sandbox.root(), code, words);
    }
    let missing = command(&sandbox, &["heal", "--", "no-such-command"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(127));
    let nothing = command(&sandbox, &["heal"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn a_mistake_of_ones_own_touches_nothing() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    let project = built(&sandbox);
    fs::write(project.join("cmd/hi/more.go"), "package main\nvar x int = \"no number\"\n").unwrap();
    let before = caches(&sandbox);
    let (report, output) = heal(&sandbox, &project, 1, &["go", "build", "./cmd/hi"]);
    let runs = report["runs"].as_array().unwrap().len();
    assert_eq!((&report["verdict"], runs), (&"not-a-cache".into(), 1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was touched"));
    // Go itself adds to its cache and writes entries again, and takes nothing away.
    let now = caches(&sandbox);
    assert!(before.0.keys().all(|path| now.0.contains_key(path)), "something is missing");
    heal(&sandbox, &project, 2, &["sh", "-c", "exit 2"]);
    untouched(&sandbox, &now);
}

#[test]
fn a_changed_archive_that_breaks_the_link_is_mended() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    let project = built(&sandbox);
    let spoilt = archive(&sandbox, &project, "fmt");
    let good = fs::read(&spoilt).unwrap();
    spoil(&spoilt);
    touch(&project, "again");
    sandbox.go_fails(&BUILD[1..], &project);
    let (report, output) = heal(&sandbox, &project, 0, &BUILD);
    assert_eq!(report["verdict"], "mended", "{report:#}");
    assert_eq!(report["bad"].as_array().unwrap().len(), 1);
    assert_eq!(fs::read(&spoilt).unwrap(), good, "made again as it was");
    assert!(output.stdout.is_empty(), "{output:?}");
    let hi = sandbox.command(project.join("hi")).output().unwrap();
    assert_eq!(hi.stdout, b"AGAIN\n");
    let steps: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["run", "verify", "mend", "run again"]);
}

#[test]
fn a_repair_that_does_not_help_is_put_back_byte_for_byte() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    let project = built(&sandbox);
    let spoilt = archive(&sandbox, &project, "fmt");
    spoil(&spoilt);
    // A cut-off output is a miss to go, which makes it again only where it is needed.
    let cut = archive(&sandbox, &project, "example.test/p");
    let begin = fs::read(&cut).unwrap()[..100].to_vec();
    rewrite(&cut, &begin);
    let before = caches(&sandbox);
    let (report, _) = heal(&sandbox, &project, 3, &["sh", "-c", "echo no; exit 3"]);
    assert_eq!(report["verdict"], "did-not-help", "{report:#}");
    assert_eq!(report["runs"].as_array().unwrap().len(), 2);
    assert_eq!(report["bad"].as_array().unwrap().len(), 2);
    untouched(&sandbox, &before);

    // The build itself fails for another reason, and fills the gap meanwhile.
    fs::write(project.join("cmd/hi/more.go"), "package main\nvar x int = \"no\"\n").unwrap();
    let spoilt_bytes = fs::read(&spoilt).unwrap();
    let (report, _) = heal(&sandbox, &project, 1, &["go", "build", "./cmd/hi"]);
    assert_eq!(report["verdict"], "did-not-help", "{report:#}");
    assert!(fs::read(&spoilt).unwrap() == spoilt_bytes, "the bad archive is not back");
    let now = snapshot(&sandbox.gocache());
    assert!(before.0.keys().all(|path| now.contains_key(path)), "something is missing");
}

#[test]
fn without_an_approval_production_only_tells() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    let project = built(&sandbox);
    spoil(&archive(&sandbox, &project, "fmt"));
    let before = caches(&sandbox);
    let args = ["heal", "--profile", "production", "--json", "--", "false"];
    let output = command(&sandbox, &args).current_dir(&project).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let report: Value = serde_json::from_str(&stderr[stderr.find('{').unwrap()..]).unwrap();
    valid("heal/1", &report);
    assert_eq!(report["verdict"], "not-mended");
    untouched(&sandbox, &before);
}

/// A project that needs a module, and where that module's parts are.
fn with_module(sandbox: &mut GoSandbox) -> (PathBuf, PathBuf, PathBuf) {
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    let module = ModuleMaker::new("example.test/Dep", "v1.2.0");
    proxy.publish(&module.file("dep.go", "package dep\n\nconst Word = \"dep\"\n"));
    sandbox.proxy(&proxy.url());
    let project = sandbox.warm().project(
        "q",
        "-- go.mod --\nmodule example.test/q\ngo 1.24\nrequire example.test/Dep v1.2.0\n-- main.go --\npackage main\nimport dep \"example.test/Dep\"\nfunc main() { println(dep.Word) }\n",
    );
    sandbox.go(&["mod", "tidy"], &project);
    sandbox.go(&["build", "-o", "q", "."], &project);
    let modules = sandbox.gomodcache();
    let folder = modules.join("example.test/!dep@v1.2.0");
    let zip = modules.join("cache/download/example.test/!dep/@v/v1.2.0.zip");
    assert!(folder.is_dir() && zip.is_file());
    (project, folder, zip)
}

fn force(path: &Path, text: &[u8]) {
    for at in [path.parent().unwrap(), path] {
        let mode = fs::metadata(at).unwrap().permissions().mode();
        fs::set_permissions(at, fs::Permissions::from_mode(mode | 0o200)).unwrap();
    }
    fs::write(path, text).unwrap();
    for (at, mode) in [(path.parent().unwrap(), 0o555), (path, 0o444)] {
        fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn a_changed_file_of_a_module_is_mended_and_only_that_version_looked_at() {
    if !has_go() {
        return;
    }
    let mut sandbox = GoSandbox::new();
    let (project, folder, _) = with_module(&mut sandbox);
    let good = fs::read(folder.join("dep.go")).unwrap();
    force(&folder.join("dep.go"), b"package dep\n\nconst Word = = \"no\"\n");
    sandbox.go(&["clean", "-cache"], &project);
    sandbox.warm();
    let (report, _) = heal(&sandbox, &project, 0, &["go", "build", "-o", "q", "."]);
    assert_eq!(report["verdict"], "mended", "{report:#}");
    assert_eq!(fs::read(folder.join("dep.go")).unwrap(), good);
    let verified = report["verified"].as_array().unwrap();
    assert_eq!((verified.len(), &verified[0]["cache"]), (1, &"mod".into()), "{report:#}");
    assert_eq!(report["bad"][0]["check"], "folder");
    sandbox.go(&["mod", "verify"], &project);
}

#[test]
fn a_cut_off_zip_is_fetched_again_and_without_a_proxy_put_back() {
    if !has_go() {
        return;
    }
    let mut sandbox = GoSandbox::new();
    let (project, folder, zip) = with_module(&mut sandbox);
    let (whole, short) = (fs::read(&zip).unwrap(), fs::read(&zip).unwrap()[..60].to_vec());
    force(&zip, &short);
    sandbox.go(&["clean", "-cache"], &project);
    sandbox.warm();
    // Only the zip is left, as after a clean-up of extracted folders.
    let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o755));
    fs::remove_dir_all(&folder).unwrap();
    let online = sandbox.get("GOPROXY").unwrap().to_owned();
    sandbox.proxy("off");
    let before = caches(&sandbox);
    let (report, _) = heal(&sandbox, &project, 1, &["go", "mod", "download", "example.test/Dep"]);
    assert_eq!(report["verdict"], "did-not-help", "{report:#}");
    let same = diff(&before.1, &caches(&sandbox).1);
    assert!(!same.contains("zip"), "{same}");
    assert_eq!(fs::read(&zip).unwrap(), short);
    sandbox.set("GOPROXY", online);
    let (report, _) = heal(&sandbox, &project, 0, &["go", "build", "-o", "q", "."]);
    assert_eq!(report["verdict"], "mended", "{report:#}");
    assert_eq!(fs::read(&zip).unwrap(), whole);
}

/// Runs heal in a process group of its own, and sends a signal when this file is there: to the
/// whole group as a terminal does, or to larder alone. The report, and how larder ended.
fn signalled(
    sandbox: &GoSandbox,
    dir: &Path,
    (signal, to_all): (&str, bool),
    script: &str,
) -> (Value, Output) {
    use std::os::unix::process::CommandExt as _;
    let (report, sign) = (sandbox.root().join("report.json"), sandbox.root().join("sign"));
    let _ = fs::remove_file(&sign);
    let script = script.replace("SIGN", sign.to_str().unwrap());
    let args = ["heal", "--report", report.to_str().unwrap(), "--", "sh", "-c", &script];
    let mut larder = command(sandbox, &args);
    larder.current_dir(dir).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = larder.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(120);
    while !sign.exists() {
        assert!(Instant::now() < end, "the command did not come so far");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = if to_all { format!("-{}", child.id()) } else { child.id().to_string() };
    let sent = sandbox.command("kill").args(["-s", signal, "--", &pid]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let document = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    valid("heal/1", &document);
    (document, output)
}

#[test]
fn whoever_stops_it_finds_everything_as_it_was() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    let project = built(&sandbox);
    spoil(&archive(&sandbox, &project, "fmt"));
    let before = caches(&sandbox);
    // In the first run, nothing is looked at.
    let (report, output) = signalled(&sandbox, &project, ("INT", true), "touch SIGN; sleep 100");
    assert_eq!(report["verdict"], "interrupted", "{report:#}");
    // The command ends by the terminal's signal, or by the one that larder sends on.
    assert!(matches!(output.status.code(), Some(130 | 143)), "{:?}", output.status);
    assert_eq!(report["verified"].as_array().unwrap().len(), 0, "{report:#}");
    untouched(&sandbox, &before);
    // In the second one, when what is bad was removed already.
    let script = "test -e again && { touch SIGN; sleep 100; }; touch again; exit 3";
    for (how, codes) in [(("INT", true), [130, 143]), (("TERM", false), [143, 143])] {
        let _ = fs::remove_file(project.join("again"));
        let (report, output) = signalled(&sandbox, &project, how, script);
        assert_eq!(report["verdict"], "interrupted", "{report:#}");
        let code = output.status.code().unwrap();
        assert!(codes.contains(&code), "{how:?}: {output:?}");
        assert_eq!(report["bad"][0]["fixed"], false, "{report:#}");
        untouched(&sandbox, &before);
    }
    // While it waits for a lock that somebody holds.
    let mut sandbox = GoSandbox::new();
    let (project, folder, zip) = with_module(&mut sandbox);
    force(&folder.join("dep.go"), b"package dep\n\nconst Word = = \"no\"\n");
    let lock = fs::File::open(zip.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let before = caches(&sandbox);
    let script = "go vet example.test/Dep@v1.2.0; (sleep 2; touch SIGN) & exit 3";
    let (report, output) = signalled(&sandbox, &project, ("INT", false), script);
    assert_eq!((&report["verdict"], output.status.code()), (&"interrupted".into(), Some(3)));
    assert_eq!(report["bad"][0]["check"], "folder", "it came to the lock: {report:#}");
    assert_eq!(diff(&before.1, &caches(&sandbox).1), "", "{report:#}");
}
