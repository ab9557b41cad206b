//! The exported unit under a real systemd, with a real journal: ready, read again, started again
//! after a kill and after a hang, and able to do its work within what the unit allows it.
//!
//! The systemd is one of its own, in namespaces of its own, which only root may make; where that
//! cannot be done the test says so and holds nothing.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use larder_testkit::{GoSandbox, fake_gocache};
use serde_json::Value;

use crate::alert_kit::wait_for;

const SETUP: &str = include_str!("systemd_box.sh");

/// A running systemd, ended with everything in it when this is dropped.
struct Systemd {
    unshare: Child,
    /// Its first process, as it is seen from outside.
    first: String,
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // `--kill-child`: the first process goes with it, and with that one the namespace.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

impl Systemd {
    /// `None` where no systemd can be started here, with the reason on standard error.
    fn start(sandbox: &GoSandbox) -> Option<Self> {
        let dir = sandbox.root().join("box");
        std::fs::create_dir(&dir).unwrap();
        let settings = "[schedule]\nsample = \"1s\"\n[trash]\non = true\n\
                        [build]\nmax-size = \"200kB\"\nprotect = \"0s\"\n";
        std::fs::write(dir.join("config.toml"), settings).unwrap();
        let faster = "[Service]\nWatchdogSec=5\nRestartSec=100ms\n";
        std::fs::write(dir.join("test.conf"), faster).unwrap();
        let said = dir.join("said");
        let mut unshare = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--ipc", "--uts", "--cgroup", "--net"])
            .args(["--kill-child", "sh", "-c", SETUP])
            .env("LARDER", env!("CARGO_BIN_EXE_larder"))
            .env("BOX", &dir)
            .env("CACHE", sandbox.gocache())
            .stdin(Stdio::null())
            .stdout(File::create(&said).unwrap())
            .stderr(File::options().append(true).open(&said).unwrap())
            .spawn()
            .inspect_err(|error| eprintln!("no unshare to be had here: {error}"))
            .ok()?;
        let made = dir.join("made");
        let ended = wait_for("the namespaces are made", || match unshare.try_wait().unwrap() {
            Some(status) => Some(Some(status)),
            None => made.exists().then_some(None),
        });
        if let Some(status) = ended {
            let said = std::fs::read_to_string(said).unwrap();
            eprintln!("no systemd of its own can be started here: {status}: {said}");
            // What can be made here is to work here.
            assert!(!said.contains("larder"), "{said}");
            return None;
        }
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let first = std::fs::read_to_string(children).unwrap().trim().to_owned();
        let systemd = Self { unshare, first };
        wait_for("systemd answers", || {
            systemd.run(&["systemctl", "is-active", "box.target"]).status.success().then_some(())
        });
        Some(systemd)
    }

    /// Runs a command within.
    fn run(&self, words: &[&str]) -> Output {
        let within = ["-m", "-p", "-i", "-u", "-n", "-C", "-t", &self.first];
        Command::new("nsenter").args(within).args(words).output().unwrap()
    }

    #[track_caller]
    fn systemctl(&self, words: &[&str]) -> String {
        let output = self.run(&[&["systemctl"], words].concat());
        let said = String::from_utf8(output.stdout).unwrap();
        let failed = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words:?}: {said} {failed}\n{:#?}", self.journal());
        said.trim().to_owned()
    }

    /// A property of the unit.
    fn property(&self, name: &str) -> String {
        self.systemctl(&["show", "--property", name, "--value", "larder.service"])
    }

    /// What the journal has of the unit, oldest first.
    fn journal(&self) -> Vec<Value> {
        let output = self.run(&["journalctl", "-u", "larder.service", "-o", "json", "--no-pager"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The entries of one kind of event.
    fn events(&self, kind: &str) -> Vec<Value> {
        let mut journal = self.journal();
        journal.retain(|entry| entry["LARDER_EVENT"] == kind);
        journal
    }

    fn restarts(&self, at_least: u32) -> Option<()> {
        let restarts: u32 = self.property("NRestarts").parse().unwrap();
        (restarts >= at_least && self.property("ActiveState") == "active").then_some(())
    }
}

#[test]
fn the_exported_unit_lives_as_its_systemd_wants_it() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 400);
    let Some(systemd) = Systemd::start(&sandbox) else { return };

    // Type=notify: this returns when it is ready.
    systemd.systemctl(&["start", "larder"]);
    assert_eq!(systemd.property("SubState"), "running");
    let started = &systemd.events("started")[0];
    assert_eq!(started["_TRANSPORT"], "journal", "{started:#}");
    assert_eq!(started["TRACE_ID"].as_str().unwrap().len(), 32, "{started:#}");
    assert_eq!(started["PRIORITY"], "6");
    assert!(
        systemd.property("StatusText").contains("caches"),
        "{}",
        systemd.property("StatusText")
    );

    // It may move into the trash beside the cache, and write its history.
    let cleaned = wait_for("it cleans", || systemd.events("cleaned").pop());
    assert!(cleaned["MESSAGE"].as_str().unwrap().contains("moved to the trash"), "{cleaned:#}");
    let trash = Path::new("/proc").join(&systemd.first).join("root/srv/cache/.larder-trash");
    assert!(trash.is_dir());

    systemd.systemctl(&["reload", "larder"]);
    wait_for("the settings are read again", || systemd.events("reloaded").pop());

    systemd.systemctl(&["kill", "--signal", "KILL", "larder"]);
    wait_for("it is started again after a kill", || systemd.restarts(1));
    systemd.systemctl(&["kill", "--signal", "STOP", "larder"]);
    wait_for("it is started again after a hang", || systemd.restarts(2));

    systemd.systemctl(&["stop", "larder"]);
    assert_eq!(systemd.property("Result"), "success");
    assert_eq!(systemd.events("started").len(), 3);
    assert_eq!(systemd.events("stopped").len(), 1, "it alone could say so");

    // One round, for machines without a daemon.
    systemd.systemctl(&["start", "larder-once"]);
}
