//! Beside builds, other larders and impatient people.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use larder_testkit::{GoSandbox, fake_gocache, fake_gomodcache, has_go};

use crate::flow::{caches, command, document, larder, untouched, valid};

/// Waits until something is so; fails after half a minute.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_live_build_refuses_a_clean_and_force_goes_on() {
    if !has_go() {
        eprintln!("NOT TESTED: there is no go command");
        return;
    }
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 40);
    // `go run` stays for as long as its program does, which waits for its input to end.
    sandbox.warm();
    let dir = sandbox.project("wait", "-- go.mod --\nmodule example.test/wait\n\ngo 1.21\n-- main.go --\npackage main\n\nimport \"os\"\n\nfunc main() {\n\tprintln(\"up\")\n\tos.Stdin.Read(make([]byte, 1))\n}\n");
    let mut go = sandbox.command("go");
    go.args(["run", "."]).current_dir(dir).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(go.spawn().unwrap());
    let mut said = [0; 2];
    running.0.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"up");
    let before = caches(&sandbox);
    let refused = larder(&sandbox, &["clean", "build"]);
    assert!(refused.ends(3).err.contains("go run"), "{}", refused.err);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    untouched(&sandbox, &before);
    larder(&sandbox, &["clean", "build", "-n"]).ends(0);
    // Entries that this build may use stay, whatever the protection says.
    let kept = larder(&sandbox, &["prune", "build", "--max-size", "0", "--protect", "0s"]);
    assert!(kept.ends(0).err.is_empty(), "{}", kept.err);
    larder(&sandbox, &["clean", "build", "--force"]).ends(0);
}

#[test]
fn a_second_larder_waits_or_is_turned_away() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 400);
    larder(&sandbox, &["clean", "fuzz"]).ends(0); // makes the lock
    let locks: Vec<_> = fs::read_dir(sandbox.state_home().join("larder/locks"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(locks.len(), 1);
    let lock = fs::File::options().read(true).write(true).open(&locks[0]).unwrap();
    lock.lock().unwrap();
    let before = caches(&sandbox);
    let busy = larder(&sandbox, &["clean", "build", "--wait", "0s"]);
    assert!(busy.ends(5).err.contains("hint:"), "{}", busy.err);
    untouched(&sandbox, &before);
    // Looking does not need the lock.
    larder(&sandbox, &["clean", "build", "-n"]).ends(0);
    larder(&sandbox, &["status"]).ends(0);
    let mut second = command(&sandbox, &["clean", "build", "--wait", "60s", "--json"]);
    let second = second.stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(second.id(), {
        lock.unlock().unwrap();
        second.id()
    });
    let output = second.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(done["freed_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn the_go_commands_lock_of_a_version_is_waited_for() {
    let sandbox = GoSandbox::new();
    let modules = fake_gomodcache(&sandbox.gomodcache(), 2, 3, 2);
    let module = &modules.modules[0];
    let lock = sandbox
        .gomodcache()
        .join(format!("cache/download/{}/@v/{}.lock", module.path, module.version));
    let lock = fs::File::options().read(true).write(true).open(lock).unwrap();
    lock.lock().unwrap();
    let args = ["prune", "mod", "--keep-versions", "1", "--protect", "0s", "--wait", "0s"];
    // On Linux the scan sees who holds it and the plan leaves it out; elsewhere apply waits in vain.
    let code = if cfg!(target_os = "linux") { 0 } else { 4 };
    let done = document(&sandbox, "outcome/1", code, &args);
    assert_eq!(done["removed"]["items"], 1, "{done:#}");
    let preview = larder(&sandbox, &[&args[..], &["-n"]].concat());
    assert!(preview.out.contains("holds its lock"), "{}", preview.out);
    lock.unlock().unwrap();
    let done = document(&sandbox, "outcome/1", 0, &args);
    assert_eq!(done["removed"]["items"], 1, "{done:#}");
}

#[test]
fn an_interrupt_reports_what_was_done() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 20_000);
    let count = |sandbox: &GoSandbox| {
        let shards = fs::read_dir(sandbox.gocache()).unwrap().map(|e| e.unwrap().path());
        shards.filter(|p| p.is_dir()).map(|p| fs::read_dir(p).unwrap().count()).sum::<usize>()
    };
    let mut larder =
        command(&sandbox, &["prune", "build", "--max-size", "0", "--protect", "0s", "--json"]);
    let child = larder.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the first entries are gone", || count(&sandbox) < 20_000);
    let pid = rustix_pid(&child);
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    valid("outcome/1", &done);
    let left = count(&sandbox);
    assert!(left > 0, "it was too late to interrupt");
    assert_eq!(done["removed"]["files"].as_u64().unwrap(), 20_000 - left as u64);
}

fn rustix_pid(child: &Child) -> String {
    child.id().to_string()
}

#[test]
fn builds_do_not_fail_while_a_tiny_cap_is_enforced_all_the_time() {
    if !has_go() {
        eprintln!("NOT TESTED: there is no go command");
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let mut text = String::from("-- go.mod --\nmodule example.test/many\n\ngo 1.21\n");
    for number in 0..12 {
        let next = if number < 11 {
            format!(
                "import n \"example.test/many/p{}\"\n\nfunc Use() string {{ return n.Use() }}\n",
                number + 1
            )
        } else {
            "import \"encoding/json\"\n\nfunc Use() string { b, _ := json.Marshal(1); return string(b) }\n".to_owned()
        };
        text.push_str(&format!("-- p{number}/p.go --\npackage p{number}\n\n{next}"));
    }
    text.push_str("-- main.go --\npackage main\n\nimport p \"example.test/many/p0\"\n\nfunc main() { println(p.Use()) }\n");
    let dir = sandbox.project("many", &text);
    let over = AtomicBool::new(false);
    let prune = || {
        let args = ["prune", "build", "--max-size", "1MB", "--protect", "0s"];
        document(&sandbox, "outcome/1", 0, &args)["removed"]["items"].as_u64().unwrap()
    };
    std::thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            let mut removed = 0;
            while !over.load(Ordering::Relaxed) {
                removed += prune();
            }
            removed
        });
        let mut between = 0;
        for round in 0..4 {
            sandbox
                .write(dir.join("p11/round.go"), format!("package p11\n\nconst Round = {round}\n"));
            let built = sandbox.try_go(&["build", "-o", "many", "."], &dir);
            over.store(round == 3 || !built.status.success(), Ordering::Relaxed);
            assert!(
                built.status.success(),
                "round {round}: {}",
                String::from_utf8_lossy(&built.stderr)
            );
            between += prune();
        }
        over.store(true, Ordering::Relaxed);
        assert!(between + pruning.join().unwrap() > 0, "nothing was pruned");
    });
    sandbox.go(&["vet", "."], &dir);
}
