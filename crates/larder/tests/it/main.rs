//! The binary from outside: what it prints and how it ends. Home and settings folders are
//! temporary, and no variable of whoever runs this reaches it.
#![allow(clippy::pedantic, reason = "a test is read for what it holds")]

#[cfg(unix)]
mod alert_kit;
mod config;
#[cfg(target_os = "linux")]
mod daemon_kit;
#[cfg(unix)]
mod export;
#[cfg(unix)]
mod export_metrics;
#[cfg(unix)]
mod export_queries;
mod files;
mod flow;
#[cfg(unix)]
mod flow_alerts;
#[cfg(unix)]
mod flow_alerts_kill;
#[cfg(unix)]
mod flow_alerts_receivers;
#[cfg(unix)]
mod flow_alerts_rules;
#[cfg(unix)]
mod flow_attack;
mod flow_clean;
mod flow_download;
mod flow_download_sums;
#[cfg(unix)]
mod flow_expire;
#[cfg(unix)]
mod flow_go_scripts;
#[cfg(unix)]
mod flow_go_sumdb;
mod flow_heal;
#[cfg(unix)]
mod flow_health;
mod flow_json;
mod flow_kill;
mod flow_live;
#[cfg(target_os = "linux")]
mod flow_log;
#[cfg(unix)]
mod flow_net;
mod flow_places;
mod flow_plan;
mod flow_prune;
#[cfg(unix)]
mod flow_redis;
mod flow_redis_audit;
#[cfg(target_os = "linux")]
mod flow_respond;
#[cfg(target_os = "linux")]
mod flow_secret;
#[cfg(target_os = "linux")]
mod flow_serve;
#[cfg(target_os = "linux")]
mod flow_serve_api;
#[cfg(target_os = "linux")]
mod flow_serve_prometheus;
#[cfg(target_os = "linux")]
mod flow_serve_redis;
#[cfg(target_os = "linux")]
mod flow_serve_web;
#[cfg(unix)]
mod flow_slowlog;
#[cfg(target_os = "linux")]
mod flow_systemd;
#[cfg(unix)]
mod flow_throttle;
mod flow_trash;
mod flow_trend;
mod flow_unusual;
mod flow_verify;
#[cfg(unix)]
mod flow_verify_mod;
#[cfg(target_os = "linux")]
mod flow_watch;
#[cfg(target_os = "linux")]
mod flow_watch_life;
#[cfg(target_os = "linux")]
mod flow_watch_production;
mod help;
#[cfg(unix)]
mod pipelines;
mod runbooks;
mod usage;

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

/// A home of its own.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file below it, with its folders.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// larder with this home and nothing else.
    pub(crate) fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::cargo_bin("larder").unwrap();
        command
            .env_clear()
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.ran(self.command(args).output().unwrap())
    }

    /// What a command says as JSON, held against its schema.
    #[track_caller]
    pub(crate) fn document(&self, schema: &str, code: i32, args: &[&str]) -> serde_json::Value {
        let ran = self.run(&[args, &["--json"]].concat());
        let document = ran.ends(code).json();
        flow::valid(schema, &document);
        document
    }

    pub(crate) fn ran(&self, output: Output) -> Ran {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(self.path().to_str().unwrap(), "[HOME]")
        };
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// How a run ended; the home folder reads `[HOME]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}
