//! Units for systemd: the daemon, and a round that a timer starts; for the system's manager and for
//! a user's own.
//!
//! They are made for this machine: they may write above its caches and in larder's state folder,
//! and nowhere else. A cache that a unit could write alone would be a mount point of its own to
//! larder, and the trash beside it out of reach.

use std::path::{Path, PathBuf};

use super::{ExportedFile, filled};

/// What the units depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Where larder is, absolute.
    pub program: String,
    /// Whose caches they are.
    pub user: String,
    /// That user's home folder.
    pub home: Option<PathBuf>,
    /// GOCACHE.
    pub gocache: PathBuf,
    /// GOMODCACHE.
    pub gomodcache: PathBuf,
    /// larder's state folder.
    pub state: Option<PathBuf>,
}

/// Which manager a unit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    System,
    User,
}

const SERVE: &str = include_str!("../../export/systemd/serve.service");
const ONCE: &str = include_str!("../../export/systemd/once.service");
const TIMER: &str = include_str!("../../export/systemd/once.timer");
const COMMON: &str = include_str!("../../export/systemd/common.conf");

/// What only the system's manager can take away.
const OF_SYSTEM: &str = "\
AmbientCapabilities=
CapabilityBoundingSet=
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectProc=invisible";

/// A user's manager needs it to make anything read-only at all.
const OF_USER: &str = "PrivateUsers=yes";

/// Every file.
pub fn files(machine: &Machine) -> Vec<ExportedFile> {
    let unit = |name, template, manager| unit(name, template, machine, manager);
    vec![
        unit("system/larder.service", SERVE, Manager::System),
        unit("system/larder-once.service", ONCE, Manager::System),
        filled("system/larder-once.timer", TIMER, &[]),
        unit("user/larder.service", SERVE, Manager::User),
        unit("user/larder-once.service", ONCE, Manager::User),
        filled("user/larder-once.timer", TIMER, &[]),
    ]
}

fn unit(name: &'static str, template: &str, machine: &Machine, manager: Manager) -> ExportedFile {
    let starts = if template == SERVE { "larder.service" } else { "larder-once.timer" };
    let state = machine.state.as_deref().map(|state| state.display().to_string());
    let make = state.map_or_else(String::new, |state| format!("#   mkdir -p '{state}'\n"));
    let system = manager == Manager::System;
    let (install, after, target) = if system {
        (
            format!(
                "{make}#   sudo cp system/larder* /etc/systemd/system/\n\
                 #   sudo systemctl daemon-reload\n#   sudo systemctl enable --now {starts}"
            ),
            "Wants=network-online.target\nAfter=network-online.target\n",
            "multi-user.target",
        )
    } else {
        (
            format!(
                "{make}#   cp user/larder* ~/.config/systemd/user/\n\
                 #   systemctl --user daemon-reload\n#   systemctl --user enable --now {starts}"
            ),
            "",
            "default.target",
        )
    };
    let user = if system { format!("User={}\n", escaped(&machine.user)) } else { String::new() };
    let common = filled(
        name,
        COMMON,
        &[
            ("@USER@\n", &user),
            ("@GOCACHE@", &word(&format!("GOCACHE={}", machine.gocache.display()))),
            ("@GOMODCACHE@", &word(&format!("GOMODCACHE={}", machine.gomodcache.display()))),
            ("@WRITABLE@", &writable(machine)),
            ("@PRIVILEGES@", if system { OF_SYSTEM } else { OF_USER }),
        ],
    );
    let gaps = [
        ("@INSTALL@", &install[..]),
        ("@AFTER@\n", after),
        ("@TARGET@", target),
        ("@PROGRAM@", &word(&machine.program)),
        ("@COMMON@", common.text.trim_end()),
    ];
    filled(name, template, &gaps)
}

/// The lines of what may be written. A cache that is not there yet is no mistake; the state folder
/// has to be there.
fn writable(machine: &Machine) -> String {
    let above = |cache: &Path| (true, above(cache, machine.home.as_deref()).to_owned());
    let mut places = vec![above(&machine.gocache), above(&machine.gomodcache)];
    places.extend(machine.state.clone().map(|state| (false, state)));
    places.dedup();
    let line = |(absent, path): &(bool, PathBuf)| {
        let sign = if *absent { "-" } else { "" };
        format!("ReadWritePaths={}", word(&format!("{sign}{}", path.display())))
    };
    places.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The folder above a cache, unless that is the home folder, or one that the home folder is in:
/// then the cache alone, without a trash beside it.
fn above<'a>(cache: &'a Path, home: Option<&Path>) -> &'a Path {
    let fit = |folder: &&Path| {
        folder.components().count() > 2 && !home.is_some_and(|home| home.starts_with(folder))
    };
    cache.parent().filter(fit).unwrap_or(cache)
}

/// One word of a unit: `%` means itself, and what holds a space is quoted.
fn word(text: &str) -> String {
    let text = escaped(text);
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\');
    if text.chars().all(plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_is_above_a_cache_and_never_home_or_the_root() {
        let home = Some(Path::new("/home/ann"));
        let above = |cache: &'static str| above(Path::new(cache), home).to_str().unwrap();
        assert_eq!(above("/home/ann/.cache/go-build"), "/home/ann/.cache");
        assert_eq!(above("/home/ann/go/pkg/mod"), "/home/ann/go/pkg");
        assert_eq!(above("/home/ann/gocache"), "/home/ann/gocache");
        assert_eq!(above("/home/gocache"), "/home/gocache");
        assert_eq!(above("/cache"), "/cache");
        assert_eq!(above("/srv/ci/gocache"), "/srv/ci");
    }

    #[test]
    fn words_of_a_unit() {
        assert_eq!(word("/usr/bin/larder"), "/usr/bin/larder");
        assert_eq!(word("/a 100%/\"b\""), "\"/a 100%%/\\\"b\\\"\"");
    }
}
