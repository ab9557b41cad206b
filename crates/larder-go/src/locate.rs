//! Where the Go caches are, found as the go command finds them, without running it.
//!
//! Each setting comes from the first of: a flag of ours, the environment, the file that
//! `go env -w` writes, `$GOROOT/go.env`, and the platform's default (`cmd/go/internal/cfg/cfg.go`,
//! `cmd/go/internal/cache/default.go`, `os/file.go`, `go/build/build.go`). The environment is
//! handed in, so every platform's rules are tested on any. Whether what is found really is a
//! cache is for the layout modules to prove.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::goroot::{find_goroot, read_go_version};
pub use crate::root_state::{RootState, open_root};

/// The platform whose rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    /// Linux, the BSDs and other Unix systems.
    Unix,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl Os {
    /// The one that this program was built for.
    pub const CURRENT: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::MacOs
    } else {
        Self::Unix
    };

    pub(crate) fn list_separator(self) -> char {
        if self == Self::Windows { ';' } else { ':' }
    }

    fn home_variable(self) -> &'static str {
        if self == Self::Windows { "USERPROFILE" } else { "HOME" }
    }

    pub(crate) fn go_name(self) -> &'static str {
        if self == Self::Windows { "go.exe" } else { "go" }
    }

    /// Whether a path of this platform begins at a root (`filepath.IsAbs`).
    fn is_absolute(self, path: &str) -> bool {
        if self != Self::Windows {
            return path.starts_with('/');
        }
        let bytes = path.as_bytes();
        let separator = |at: usize| matches!(bytes.get(at), Some(b'/' | b'\\'));
        let drive = bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
        drive && separator(2) || separator(0) && separator(1) && bytes.len() > 2
    }
}

/// What the search looks at: a map of variables, and the platform they belong to.
#[derive(Clone, Debug)]
pub struct Environment {
    os: Os,
    vars: BTreeMap<String, OsString>,
    folder: Option<PathBuf>,
}

impl Environment {
    /// This process's own environment and current folder.
    pub fn current() -> Self {
        let vars = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v)));
        Self { folder: std::env::current_dir().ok(), ..Self::new(Os::CURRENT, vars) }
    }

    /// Variables of some platform, handed in; of a variable given twice, the last counts.
    pub fn new<K, V>(os: Os, vars: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<OsString>,
    {
        let key = |k: String| if os == Os::Windows { k.to_ascii_uppercase() } else { k };
        let vars = vars.into_iter().map(|(k, v)| (key(k.into()), v.into())).collect();
        Self { os, vars, folder: None }
    }

    /// The same with the folder that relative names of files start from.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The platform.
    pub fn os(&self) -> Os {
        self.os
    }

    /// A variable's value; an empty one counts as absent, as it does for the go command.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The person's home folder, from the variable alone (`os.UserHomeDir`).
    pub fn home(&self) -> Option<&Path> {
        self.var(self.os.home_variable()).map(Path::new)
    }

    /// Puts a relative path after the current folder.
    pub(crate) fn settle(&self, path: &Path) -> PathBuf {
        match &self.folder {
            Some(folder) if path.is_relative() => folder.join(path),
            _ => path.to_path_buf(),
        }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--gocache` or `--gomodcache`.
    Flag,
    /// A variable of the environment.
    Environment,
    /// The file that `go env -w` writes.
    EnvFile(PathBuf),
    /// `$GOROOT/go.env`.
    GoEnvFile(PathBuf),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::EnvFile(path) | Self::GoEnvFile(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What a folder's setting says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// An absolute path.
    Path(PathBuf),
    /// The word `off`.
    Off,
    /// A path that is not absolute, which the go command refuses.
    Relative(String),
    /// Nothing names it; why not, in one sentence without a full stop.
    Unset(String),
}

/// A folder's setting and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: SettingValue,
    /// Its source.
    pub source: Source,
}

impl Setting {
    /// The path, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.value {
            SettingValue::Path(path) => Some(path),
            _ => None,
        }
    }
}

/// A plain setting and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The value; empty where nothing sets it.
    pub value: String,
    /// Its source.
    pub source: Source,
}

/// Folders named on the command line, which override everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--gocache`.
    pub gocache: Option<PathBuf>,
    /// `--gomodcache`.
    pub gomodcache: Option<PathBuf>,
}

/// The go command's settings, as far as they matter to its caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoEnv {
    /// The build cache.
    pub gocache: Setting,
    /// The module cache.
    pub gomodcache: Setting,
    /// The GOPATH list; the first entry holds `pkg/mod` and `pkg/sumdb`.
    pub gopath: Vec<PathBuf>,
    /// The `go env -w` file, whether or not it exists; `None` under `GOENV=off`.
    pub goenv: Option<PathBuf>,
    /// The Go installation that commands without a path would use.
    pub goroot: Option<PathBuf>,
    /// That installation's version, without the word `go`.
    pub local_go_version: Option<String>,
    /// Flags for every go command.
    pub goflags: Text,
    /// Which toolchain to use; without Go installed and unset, empty.
    pub gotoolchain: Text,
    /// Where modules come from; without Go installed and unset, empty.
    pub goproxy: Text,
    /// The workspace file, `off`, or empty for the enclosing one.
    pub gowork: Text,
    /// The home folder, for showing paths shortly.
    pub home: Option<PathBuf>,
}

impl GoEnv {
    /// Reads what the go command would read. Files that are missing or unreadable count as empty,
    /// as they do for it.
    pub fn find(env: &Environment, flags: &Flags) -> Self {
        let files = SettingsFiles::read(env);
        let gopath = find_gopath(env, &files);
        Self {
            gocache: find_gocache(env, &files, flags),
            gomodcache: find_gomodcache(env, &files, flags, &gopath),
            goflags: files.text(env, "GOFLAGS"),
            gotoolchain: files.text(env, "GOTOOLCHAIN"),
            goproxy: files.text(env, "GOPROXY"),
            gowork: files.text(env, "GOWORK"),
            local_go_version: files.goroot.as_deref().and_then(read_go_version),
            goroot: files.goroot,
            goenv: files.goenv,
            gopath: gopath.unwrap_or_default(),
            home: env.home().map(Path::to_path_buf),
        }
    }

    /// `~/src/api` for what lies below the home folder, else the path itself.
    pub fn display(&self, path: &Path) -> String {
        let below = self.home.as_deref().and_then(|home| path.strip_prefix(home).ok());
        match below {
            Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
            Some(rest) => Path::new("~").join(rest).display().to_string(),
            None => path.display().to_string(),
        }
    }
}

/// Plain settings by their names, each from the first place that sets it (`cfg.Getenv`).
pub fn settings<const N: usize>(env: &Environment, names: [&str; N]) -> [Text; N] {
    let files = SettingsFiles::read(env);
    names.map(|name| files.text(env, name))
}

/// The two files of settings, and the Go installation that one of them belongs to.
struct SettingsFiles {
    goenv: Option<PathBuf>,
    user: BTreeMap<String, String>,
    goroot: Option<PathBuf>,
    root_file: PathBuf,
    root: BTreeMap<String, String>,
}

impl SettingsFiles {
    /// The order matters: the user's file may name GOROOT, whose file is read next
    /// (`cfg.initEnvCache`).
    fn read(env: &Environment) -> Self {
        let goenv = find_goenv(env);
        let user = goenv.as_deref().map(read_settings).unwrap_or_default();
        let goroot = find_goroot(env, user.get("GOROOT").map(String::as_str));
        let root_file = goroot.as_deref().map(|root| root.join("go.env")).unwrap_or_default();
        let root = if goroot.is_some() { read_settings(&root_file) } else { BTreeMap::new() };
        Self { goenv, user, goroot, root_file, root }
    }

    /// A set, non-empty value. A name that stands in the user's file with an empty value hides
    /// the one in `$GOROOT/go.env`.
    fn get(&self, env: &Environment, name: &str) -> Option<(OsString, Source)> {
        if let Some(value) = env.var(name) {
            return Some((value.to_owned(), Source::Environment));
        }
        let (value, source) = match (self.user.get(name), &self.goenv) {
            (Some(value), Some(file)) => (value, Source::EnvFile(file.clone())),
            _ => (self.root.get(name)?, Source::GoEnvFile(self.root_file.clone())),
        };
        (!value.is_empty()).then(|| (value.into(), source))
    }

    fn text(&self, env: &Environment, name: &str) -> Text {
        match self.get(env, name) {
            Some((value, source)) => Text { value: value.to_string_lossy().into_owned(), source },
            None => Text { value: String::new(), source: Source::Default },
        }
    }
}

/// `cfg.EnvFile`.
fn find_goenv(env: &Environment) -> Option<PathBuf> {
    match env.var("GOENV") {
        Some(off) if off == "off" => None,
        Some(file) => Some(env.settle(Path::new(file))),
        None => user_config_dir(env).map(|dir| dir.join("go").join("env")),
    }
}

/// `cfg.readEnvFile`: lines `NAME=value` whose first letter is a capital; all else is passed over,
/// and nothing is trimmed.
fn read_settings(file: &Path) -> BTreeMap<String, String> {
    let Ok(bytes) = std::fs::read(file) else { return BTreeMap::new() };
    let text = String::from_utf8_lossy(&bytes);
    text.split('\n')
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// `os.UserConfigDir`.
fn user_config_dir(env: &Environment) -> Option<PathBuf> {
    match env.os {
        Os::Windows => env.var("APPDATA").map(PathBuf::from),
        Os::MacOs => env.home().map(|home| home.join("Library/Application Support")),
        Os::Unix => match env.var("XDG_CONFIG_HOME") {
            Some(dir) => absolute(env, dir).then(|| PathBuf::from(dir)),
            None => env.home().map(|home| home.join(".config")),
        },
    }
}

/// `os.UserCacheDir`; the error is the sentence that says what to set.
fn user_cache_dir(env: &Environment) -> Result<PathBuf, &'static str> {
    match env.os {
        Os::Windows => {
            env.var("LOCALAPPDATA").map(PathBuf::from).ok_or("%LocalAppData% is not set")
        }
        Os::MacOs => env.home().map(|home| home.join("Library/Caches")).ok_or("$HOME is not set"),
        Os::Unix => match env.var("XDG_CACHE_HOME") {
            Some(dir) if absolute(env, dir) => Ok(dir.into()),
            Some(_) => Err("$XDG_CACHE_HOME is not an absolute path"),
            None => env
                .home()
                .map(|home| home.join(".cache"))
                .ok_or("neither $XDG_CACHE_HOME nor $HOME is set"),
        },
    }
}

fn absolute(env: &Environment, path: &OsStr) -> bool {
    env.os.is_absolute(&path.to_string_lossy())
}

/// `cache.DefaultDir`.
fn find_gocache(env: &Environment, files: &SettingsFiles, flags: &Flags) -> Setting {
    if let Some(path) = &flags.gocache {
        return Setting { value: SettingValue::Path(env.settle(path)), source: Source::Flag };
    }
    if let Some((value, source)) = files.get(env, "GOCACHE") {
        return Setting { value: folder_value(env, value), source };
    }
    let value = match user_cache_dir(env) {
        Ok(dir) => folder_value(env, dir.join("go-build").into()),
        Err(why) => SettingValue::Unset(format!("GOCACHE is not set and {why}")),
    };
    Setting { value, source: Source::Default }
}

/// `cfg.GOMODCACHE`; `modload.Init` refuses a relative one. The word `off` means nothing here.
fn find_gomodcache(
    env: &Environment,
    files: &SettingsFiles,
    flags: &Flags,
    gopath: &Result<Vec<PathBuf>, String>,
) -> Setting {
    if let Some(path) = &flags.gomodcache {
        return Setting { value: SettingValue::Path(env.settle(path)), source: Source::Flag };
    }
    if let Some((value, source)) = files.get(env, "GOMODCACHE") {
        let value = if absolute(env, &value) {
            SettingValue::Path(value.into())
        } else {
            SettingValue::Relative(value.to_string_lossy().into_owned())
        };
        return Setting { value, source };
    }
    let value = match gopath.as_deref() {
        Ok([first, ..]) if absolute(env, first.as_os_str()) => {
            SettingValue::Path(first.join("pkg").join("mod"))
        }
        Ok([first, ..]) => SettingValue::Relative(first.display().to_string()),
        Ok([]) => {
            SettingValue::Unset("GOMODCACHE is not set and GOPATH begins with nothing".into())
        }
        Err(why) => SettingValue::Unset(format!("GOMODCACHE is not set and {why}")),
    };
    // The default of the one hangs on the other, so its source is GOPATH's.
    let source = files.get(env, "GOPATH").map_or(Source::Default, |(_, source)| source);
    Setting { value, source }
}

fn folder_value(env: &Environment, value: OsString) -> SettingValue {
    if value == "off" {
        SettingValue::Off
    } else if absolute(env, &value) {
        SettingValue::Path(value.into())
    } else {
        SettingValue::Relative(value.to_string_lossy().into_owned())
    }
}

/// The GOPATH list. Its default is `go` in the home folder, unless Go itself is installed there
/// (`build.defaultGOPATH`).
fn find_gopath(env: &Environment, files: &SettingsFiles) -> Result<Vec<PathBuf>, String> {
    if let Some((value, _)) = files.get(env, "GOPATH") {
        let text = value.to_string_lossy();
        let mut list = text.split(env.os.list_separator()).map(PathBuf::from).peekable();
        // An empty first entry leaves the module cache without a place (`cfg.gopathDir`).
        if list.peek().is_none_or(|first| first.as_os_str().is_empty()) {
            return Ok(Vec::new());
        }
        return Ok(list.filter(|path| !path.as_os_str().is_empty()).collect());
    }
    let variable = env.os.home_variable();
    let Some(home) = env.home() else {
        return Err(format!("neither GOPATH nor {variable} is set"));
    };
    let default = home.join("go");
    if files.goroot.as_deref().is_some_and(|root| clean(root) == clean(&default)) {
        return Err(format!("{} is Go's own folder and cannot be GOPATH too", default.display()));
    }
    Ok(vec![default])
}

/// Takes `.`, `..` and doubled separators out of a path without looking at the disk
/// (`filepath.Clean`).
pub(crate) fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match cleaned.components().next_back() {
                Some(Component::Normal(_)) => {
                    cleaned.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                _ => cleaned.push(".."),
            },
            part => cleaned.push(part),
        }
    }
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}
