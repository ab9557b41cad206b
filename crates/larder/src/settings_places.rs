//! Where settings files and state are on each platform.
//!
//! Never the current folder: a settings file decides what is deleted, and a project that was just
//! cloned must have no say in that.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Why a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `--config`.
    Flag,
    /// `$LARDER_CONFIG`.
    Variable,
    /// The user's own.
    User,
    /// The machine's.
    System,
}

impl Role {
    /// The word on screens and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flag => "--config",
            Self::Variable => "LARDER_CONFIG",
            Self::User => "user",
            Self::System => "system",
        }
    }

    /// Whether the file must be there: it was asked for by name.
    pub fn required(self) -> bool {
        matches!(self, Self::Flag | Self::Variable)
    }
}

/// What of the environment settings depend on; tests make their own.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The home folder, for `~`.
    pub home: Option<PathBuf>,
    /// `$LARDER_CONFIG`, when it is set and not empty.
    pub variable: Option<PathBuf>,
    /// The user's settings file, whether or not it is there.
    pub user: Option<PathBuf>,
    /// The machine's.
    pub system: Option<PathBuf>,
    /// The platform's folder for larder's state.
    pub state: Option<PathBuf>,
}

impl Places {
    /// This machine's, for the user who runs this.
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = etcetera::home_dir().ok().filter(|home| home.is_absolute());
        Self {
            variable: set("LARDER_CONFIG").map(PathBuf::from),
            user: config_home(home.as_deref(), set)
                .map(|dir| dir.join("larder").join("config.toml")),
            system: system_file(set),
            state: state_home(home.as_deref(), set).map(|dir| dir.join("larder")),
            home,
        }
    }

    /// The files in the order in which they count.
    pub fn files(&self, flag: Option<&Path>) -> Vec<(Role, PathBuf)> {
        let named = [
            (Role::Flag, flag),
            (Role::Variable, self.variable.as_deref()),
            (Role::User, self.user.as_deref()),
            (Role::System, self.system.as_deref()),
        ];
        let mut files: Vec<(Role, PathBuf)> = Vec::new();
        for (role, path) in named {
            let Some(path) = path else { continue };
            if !files.iter().any(|(_, other)| other == path) {
                files.push((role, path.to_owned()));
            }
        }
        files
    }
}

/// An XDG variable counts only when it is absolute, as its specification asks.
fn xdg(name: &str, set: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    set(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn config_home(home: Option<&Path>, set: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", &set).or_else(|| native_folder(home, &set, ".config", "APPDATA"))
}

fn state_home(home: Option<&Path>, set: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    xdg("XDG_STATE_HOME", &set)
        .or_else(|| native_folder(home, &set, ".local/state", "LOCALAPPDATA"))
}

/// The platform's own folder: `~/UNIX`, `~/Library/Application Support`, or `%WINDOWS%`.
fn native_folder(
    home: Option<&Path>,
    set: impl Fn(&str) -> Option<OsString>,
    unix: &str,
    windows: &str,
) -> Option<PathBuf> {
    if cfg!(windows) {
        xdg(windows, set)
    } else if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library/Application Support"))
    } else {
        home.map(|home| home.join(unix))
    }
}

fn system_file(set: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if cfg!(windows) {
        xdg("ProgramData", set).map(|dir| dir.join("larder").join("config.toml"))
    } else if cfg!(target_os = "macos") {
        Some(PathBuf::from("/Library/Application Support/larder/config.toml"))
    } else {
        Some(PathBuf::from("/etc/larder/config.toml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_named_twice_is_read_once() {
        let places = Places {
            variable: Some("/a.toml".into()),
            user: Some("/b.toml".into()),
            system: Some("/a.toml".into()),
            ..Places::default()
        };
        let files = places.files(Some(Path::new("/b.toml")));
        let expected: Vec<(Role, PathBuf)> =
            vec![(Role::Flag, "/b.toml".into()), (Role::Variable, "/a.toml".into())];
        assert_eq!(files, expected);
    }
}
