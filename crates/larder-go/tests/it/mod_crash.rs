//! A removal that is killed at any of its steps, and the run that finishes its work.

#![cfg(target_os = "linux")]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::process::{Command, Output};

use larder_go::mod_remove::NotRemoved;

use crate::mod_child::arm;
use crate::mod_support::{World, item_of, scan_of};

const BETA: &str = "example.com/beta@v0.3.0";

/// Every call between taking the lock and the end is a step; before each of them the process dies
/// once.
#[test]
fn killed_at_every_step_the_cache_stays_usable_and_a_second_run_finishes() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("not tested: there is no strace");
        return;
    }
    let world = World::new();
    let mut kills = 0;
    let steps = steps(&world);
    world.heals();
    for (call, when) in steps {
        let inject = format!("inject={call}:signal=SIGKILL:when={when}");
        let output = strace(&world, &["-e", &format!("trace={call}"), "-e", &inject]);
        kills += u32::from(!output.status.success());
        check(&world);
    }
    assert!(kills >= 10, "it was killed only {kills} times");
}

fn strace(world: &World, args: &[&str]) -> Output {
    let mut command = world.sandbox.command("strace");
    command.args(["-f", "-qq", "-o"]).arg(world.sandbox.root().join("trace")).args(args);
    command.arg(std::env::current_exe().unwrap());
    arm(&mut command, BETA, &world.root()).output().unwrap()
}

/// The calls of one undisturbed run that change something or take a lock, from the version's lock
/// on: which call, and when it comes, as strace counts, by thread.
fn steps(world: &World) -> BTreeSet<(String, usize)> {
    let calls = "openat,unlinkat,fchmod,fchmodat,mkdirat,renameat2,flock,ftruncate";
    let output = strace(world, &["-e", &format!("trace={calls}")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trace = fs::read_to_string(world.sandbox.root().join("trace")).unwrap();
    let mut steps = BTreeSet::new();
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    let mut locked = false;
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        let count = counts.entry((thread, call)).or_default();
        *count += 1;
        locked |= rest.contains("v0.3.0.lock");
        if locked && (call != "openat" || rest.contains("O_CREAT")) {
            steps.insert((call.to_owned(), *count));
        }
    }
    steps
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
