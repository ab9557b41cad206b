//! A removal that is killed at any of its steps, and the run that finishes its work.

#![cfg(target_os = "linux")]

use std::process::Command;

use larder_go::mod_remove::NotRemoved;

use crate::mod_child::arm;
use crate::mod_support::{World, item_of, scan_of};

const BETA: &str = "example.com/beta@v0.3.0";

/// Every call that changes a folder is a step; before each of them the process dies once.
#[test]
fn killed_at_every_step_the_cache_stays_usable_and_a_second_run_finishes() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("not tested: there is no strace");
        return;
    }
    let world = World::new();
    let mut steps = 0;
    for (call, flag) in [("unlinkat", ""), ("openat", "O_EXCL"), ("fchmod", ""), ("flock", "")] {
        for when in 1.. {
            world.heals();
            let mut command = world.sandbox.command("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
            // Of the many files opened only those made new are steps; they come late.
            let when_arg = if flag.is_empty() { when } else { when + 40 };
            command.arg("-e").arg(format!("inject={call}:signal=SIGKILL:when={when_arg}"));
            command.arg(std::env::current_exe().unwrap());
            let status = arm(&mut command, BETA, &world.root()).output().unwrap().status;
            let killed = !status.success();
            check(&world);
            steps += u32::from(killed);
            if !killed || when > 60 {
                break;
            }
        }
    }
    assert!(steps > 10, "only {steps} steps were met");
}

/// After a kill: Go can do its work at once, and so can we.
fn check(world: &World) {
    // What Go takes for whole is whole.
    world.sandbox.go(&["mod", "verify"], &world.project);
    for unit in larder_go::mod_units::units(&scan_of(&world.root()), &[]) {
        if unit.subject == BETA {
            // The first of two units may take along what was left of the other.
            match world.remove(&item_of(&unit)) {
                Ok(_) | Err(NotRemoved::Skipped(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let root = world.root();
    assert!(!root.join(BETA).exists());
    for part in ["zip", "ziphash", "partial"] {
        let path = root.join(format!("cache/download/example.com/beta/@v/v0.3.0.{part}"));
        assert!(!path.exists(), "{}", path.display());
    }
    world.heals();
}
