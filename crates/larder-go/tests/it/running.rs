//! A real go command is seen while it runs, with the caches that it uses.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use larder_go::running::{GoProcess, running};
use larder_testkit::{GoSandbox, has_go};

/// A go command that stays busy until its standard input is closed: it runs a test that waits
/// for it.
fn start(sandbox: &GoSandbox) -> Child {
    let project = sandbox.project(
        "busy",
        "-- go.mod --\nmodule busy\n\ngo 1.21\n-- main.go --\npackage main\n\nimport (\n\t\"io\"\n\t\"os\"\n)\n\nfunc main() { io.Copy(io.Discard, os.Stdin) }\n",
    );
    sandbox
        .command("go")
        .args(["run", "."])
        .current_dir(project)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start go")
}

fn wait_for(pid: u32) -> GoProcess {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(process) = running().into_iter().find(|process| process.pid == pid) {
            return process;
        }
        assert!(Instant::now() < deadline, "the go command was never seen");
        std::thread::yield_now();
    }
}

#[test]
fn a_busy_go_command_is_seen_with_its_caches() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let mut child = start(&sandbox);
    let process = wait_for(child.id());
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    assert_eq!(process.command, "go run .");
    assert_eq!(process.gocache.as_deref(), Some(&*sandbox.gocache()));
    assert_eq!(process.gomodcache.as_deref(), Some(&*sandbox.gomodcache()));
    assert!(process.may_use_gocache(&sandbox.gocache()));
    assert!(!process.may_use_gocache(&sandbox.root()));
    let age = Duration::from_nanos(u64::try_from(now - process.started.unix_nanos()).unwrap_or(0));
    assert!(age < Duration::from_mins(2), "started {age:?} ago");
    drop(child.stdin.take());
    child.wait().expect("go ends");
    assert!(running().iter().all(|process| process.pid != child.id()), "it is gone");
}
