//! Which server program the tests start: `redis-server` from PATH, or the one that
//! `LARDER_TEST_REDIS_SERVER` names, as `/opt/valkey-8.0/valkey-server`.
//!
//! A Sentinel is the same program with `--sentinel`. What the tests run from a shell, as the
//! remedies of findings, is `redis-cli` from PATH all the same: it speaks with every server.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Options of Redis 7.0, each with one value, and what they were called before.
const NEW_IN_7: [(&str, Option<&str>); 4] = [
    ("--busy-reply-threshold", Some("--lua-time-limit")),
    // Everybody was allowed to.
    ("--enable-debug-command", None),
    ("--loading-process-events-interval-bytes", None),
    ("--maxmemory-clients", None),
];

/// The program, and what it says of itself.
#[derive(Debug)]
pub struct RedisProgram {
    /// Where it is, or its name on PATH.
    pub path: PathBuf,
    /// `Redis` or `Valkey`.
    pub name: &'static str,
    /// Its own version, major and minor.
    pub version: (u32, u32),
}

impl RedisProgram {
    /// The one that the tests use.
    pub fn here() -> &'static Self {
        static HERE: OnceLock<RedisProgram> = OnceLock::new();
        HERE.get_or_init(|| {
            let path = std::env::var_os("LARDER_TEST_REDIS_SERVER")
                .map_or_else(|| PathBuf::from("redis-server"), PathBuf::from);
            Self::of(path)
        })
    }

    /// Whether it knows what this version of Redis brought. A Valkey knows what 7.2 did.
    pub fn knows(&self, version: (u32, u32)) -> bool {
        let redis = if self.name == "Valkey" { (7, 2) } else { self.version };
        redis >= version
    }

    /// What it can have of these rules of an ACL user: channels came with 6.2, as did a part of a
    /// command on top of the whole; selectors, keys that may only be read or written, and a part of
    /// a command that is taken away with 7.0.
    pub fn understood<'a>(&self, rules: &[&'a str]) -> Vec<&'a str> {
        let known = |rule: &&str| {
            let since = match rule.as_bytes() {
                [b'(' | b'%', ..] => (7, 0),
                [b'-', ..] if rule.contains('|') => (7, 0),
                [b'+', ..] if rule.contains('|') => (6, 2),
                [b'&', ..] => (6, 2),
                _ if ["resetchannels", "skip-sanitize-payload"].contains(rule) => (6, 2),
                _ => (6, 0),
            };
            self.knows(since)
        };
        rules.iter().copied().filter(known).collect()
    }

    /// How far off a restored end of a key may be, in milliseconds: before 7.0 no server tells
    /// exactly when a key ends.
    pub fn slack(&self) -> u64 {
        if self.knows((7, 0)) { 0 } else { 20 }
    }

    /// Options of a command line as this program takes them: what it does not know yet is left
    /// away, or goes by its earlier name.
    pub(crate) fn fitting(&self, options: &[String]) -> Vec<String> {
        let mut fitting = Vec::new();
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let new = NEW_IN_7.iter().find(|(name, _)| name == option);
            match new.filter(|_| !self.knows((7, 0))) {
                None => fitting.push(option.clone()),
                Some((_, Some(earlier))) => fitting.push((*earlier).to_owned()),
                Some((_, None)) => drop(options.next()),
            }
        }
        fitting
    }

    fn of(path: PathBuf) -> Self {
        let output = Command::new(&path).arg("--version").output();
        let output = output.unwrap_or_else(|error| {
            panic!("{} does not run (scripts/test installs redis-server): {error}", path.display())
        });
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // "Redis server v=7.0.15 sha=…"; a Valkey 7.2 leaves its name away.
        let (name, rest) = said.split_once("erver v=").expect("a version");
        let name = if name.starts_with("Redis") { "Redis" } else { "Valkey" };
        let mut parts = rest.split(['.', ' ']);
        let mut next = || parts.next().and_then(|part| part.parse().ok()).expect("a number");
        Self { path, name, version: (next(), next()) }
    }
}
