//! Settings, resolved: one typed value for each, and where it comes from.
//!
//! Flags count most, then `LARDER_…` variables, then the files in the order of
//! [`Places::files`], then the defaults of [`all`]. Everything that is wrong anywhere is
//! reported together and nothing runs with half of the settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::size::Units;
use larder_core::{Allocated, Policy};
use larder_engine::Profile;

use crate::exit::{CliError, Exit};
use crate::settings_daemon::{self, DaemonSettings};
use crate::settings_file::{self, Place, Problem};
use crate::settings_history::{HistoryKind, HistorySettings};
use crate::settings_keys::{Fallback, Key, Kind, all, nearest};
use crate::settings_named;
use crate::settings_notify::{self, NotifySettings};
use crate::settings_places::{Places, Role};
use crate::settings_redis::{self, RedisSettings};
use crate::settings_value::{Value, read_text};

/// Every setting as the engine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What kind of machine this is.
    pub profile: Profile,
    /// How sizes are shown.
    pub units: Units,
    /// Where the projects are whose needs are kept.
    pub roots: Vec<PathBuf>,
    /// larder's own folder; `None` where there is no home folder and nobody names one.
    pub state: Option<PathBuf>,
    /// `[build]`
    pub build: Policy,
    /// `[fuzz]`
    pub fuzz: Policy,
    /// `[mod]`
    pub modules: Policy,
    /// `[toolchain]`
    pub toolchain: Policy,
    /// `[vcs]`
    pub vcs: Policy,
    /// `trash.on`
    pub trash: bool,
    /// `trash.keep`
    pub trash_keep: Duration,
    /// `plan.max-age`
    pub plan_max_age: Duration,
    /// `[history]`
    pub history: HistorySettings,
    /// `trend.threshold`, bytes a day
    pub trend_threshold: Option<u64>,
    /// `[redis.NAME]`, by name
    pub redis: Vec<RedisSettings>,
    /// `[notify.NAME]`, by name
    pub notify: Vec<NotifySettings>,
    /// What runs by itself
    pub daemon: DaemonSettings,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This flag.
    Flag(&'static str),
    /// This variable.
    Variable(String),
    /// This file, there.
    File(PathBuf, Place),
    /// The default.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(name) => write!(f, "${name}"),
            Self::File(path, place) => write!(f, "{}:{}", path.display(), place.line),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting with its value and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub key: &'static Key,
    /// Whose, where several have it: the NAME of `[redis.NAME]` or `[notify.NAME]`.
    pub instance: Option<String>,
    /// Its value.
    pub value: Value,
    /// Where that comes from.
    pub source: Source,
}

/// A settings file that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSeen {
    /// Why it was looked for.
    pub role: Role,
    /// Where.
    pub path: PathBuf,
    /// Whether it was there.
    pub found: bool,
}

/// All settings, typed and with their sources.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What the engine sees.
    pub settings: Settings,
    /// One for each of [`all`], in their order, then those of the named tables.
    pub settled: Vec<Settled>,
    /// The files, the first counting most.
    pub files: Vec<FileSeen>,
    /// Variables that look like a setting's and are none.
    pub warnings: Vec<String>,
}

impl Settled {
    /// Whose it is, where it stands in this named table.
    pub fn instance_of(&self, table: &str) -> Option<&str> {
        self.instance.as_deref().filter(|_| self.key.table == table)
    }
}

/// Where settings come from; tests make their own.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Flags that are settings: the key's path, the flag, its text.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Files and folders.
    pub places: Places,
}

/// Everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// In a file.
    InFile(Problem),
    /// In a flag or a variable.
    Elsewhere(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InFile(problem) => problem.fmt(f),
            Self::Elsewhere(what) => f.write_str(what),
        }
    }
}

impl From<Vec<Wrong>> for CliError {
    fn from(wrong: Vec<Wrong>) -> Self {
        let what = match wrong.len() {
            1 => "a problem in the settings".to_owned(),
            n => format!("{n} problems in the settings"),
        };
        Self::new(Exit::Usage, what)
            .details(wrong.iter().map(ToString::to_string))
            .hint("larder config show lists every setting that there is")
    }
}

/// Settles every setting, or tells everything that is wrong.
pub fn resolve(input: &Input) -> Result<Resolved, Vec<Wrong>> {
    let mut layers = Layers { wrong: Vec::new(), given: Vec::new(), files: Vec::new() };
    let home = input.places.home.as_deref();
    layers.flags(input, home);
    layers.variables(&input.variables, home);
    for (role, path) in input.places.files(input.config.as_deref()) {
        layers.file(role, path, home);
    }
    let mut settled: Vec<Settled> = Vec::with_capacity(all().count());
    for key in all() {
        let given =
            layers.given.iter().find(|given| given.key == key && given.instance.is_none()).cloned();
        let value = given.unwrap_or_else(|| Settled {
            key,
            instance: None,
            value: default(key, &settled, &input.places),
            source: Source::Default,
        });
        settled.push(value);
    }
    settled.extend(settings_named::settle(&layers.given));
    let mut wrong = layers.wrong;
    let (daemon, unfit) = settings_daemon::typed(&Values(&settled));
    let redis = settings_redis::caches(&settled);
    let notify = settings_notify::receivers(&settled);
    let lacking = [redis.as_ref().err(), notify.as_ref().err()].into_iter().flatten().flatten();
    // What a table lacks may be the very value that was refused, which has been said.
    let already = |what: &String| {
        let table = what.split(['[', ']']).nth(1).unwrap_or_default();
        wrong.iter().any(|said| said.to_string().contains(&format!("{table}.")))
    };
    let lacking: Vec<String> = lacking.filter(|what| !already(what)).cloned().collect();
    wrong.extend(unfit.into_iter().map(|what| placed(what, &settled)));
    wrong.extend(lacking.into_iter().map(Wrong::Elsewhere));
    let (Ok(redis), Ok(notify), true) = (redis, notify, wrong.is_empty()) else {
        return Err(wrong);
    };
    let settings = Values(&settled).settings(redis, notify, daemon);
    let mut warnings = stray(&input.variables);
    warnings.extend(idle(&settings));
    Ok(Resolved { settings, settled, files: layers.files, warnings })
}

/// What is switched on and can do nothing, because of another setting.
fn idle(settings: &Settings) -> Option<String> {
    let off = settings.history.kind == HistoryKind::Off;
    (settings.daemon.alert.unusual && off).then(|| {
        "alert.unusual learns from the history, and history.kind is off: nothing is unusual"
            .to_owned()
    })
}

/// Puts the place of the setting that it begins with before what is wrong.
fn placed(what: String, settled: &[Settled]) -> Wrong {
    let path = what.split([':', ' ']).next().unwrap_or_default();
    let setting = settled.iter().find(|s| s.key.path_of(s.instance.as_deref()) == path);
    match setting.map(|setting| &setting.source) {
        Some(Source::File(file, place)) => {
            Wrong::InFile(Problem { file: file.clone(), place: Some(*place), what })
        }
        _ => Wrong::Elsewhere(what),
    }
}

/// What has been given, what counts most first.
struct Layers {
    wrong: Vec<Wrong>,
    given: Vec<Settled>,
    files: Vec<FileSeen>,
}

impl Layers {
    fn flags(&mut self, input: &Input, home: Option<&Path>) {
        for (path, flag, text) in &input.flags {
            let Some(key) = Key::find(path) else { continue };
            match read_text(key.kind, text, home) {
                Ok(value) => {
                    self.given.push(Settled {
                        key,
                        instance: None,
                        value,
                        source: Source::Flag(flag),
                    });
                }
                Err(why) => self.wrong.push(Wrong::Elsewhere(format!("{flag}: {why}"))),
            }
        }
    }

    fn variables(&mut self, variables: &[(OsString, OsString)], home: Option<&Path>) {
        for key in all() {
            let name = key.variable();
            let found =
                variables.iter().find(|(n, v)| n.as_os_str() == name.as_str() && !v.is_empty());
            let Some((_, text)) = found else { continue };
            match read_variable(key.kind, text, home) {
                Ok(value) => {
                    let source = Source::Variable(name);
                    self.given.push(Settled { key, instance: None, value, source });
                }
                Err(why) => self.wrong.push(Wrong::Elsewhere(format!("${name}: {why}"))),
            }
        }
        for (name, text) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some((key, instance)) = settings_named::of_variable(name) else { continue };
            match read_variable(key.kind, text, home) {
                Ok(value) => {
                    let source = Source::Variable(name.to_owned());
                    self.given.push(Settled { key, instance: Some(instance), value, source });
                }
                Err(why) => self.wrong.push(Wrong::Elsewhere(format!("${name}: {why}"))),
            }
        }
    }

    fn file(&mut self, role: Role, path: PathBuf, home: Option<&Path>) {
        if role == Role::Variable && !path.is_absolute() {
            let what =
                format!("$LARDER_CONFIG: {} is relative; name the file in full", path.display());
            return self.wrong.push(Wrong::Elsewhere(what));
        }
        let whole = |what: String| Wrong::InFile(Problem { file: path.clone(), place: None, what });
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !role.required() => {
                return self.files.push(FileSeen { role, path, found: false });
            }
            Err(error) => return self.wrong.push(whole(format!("cannot be read: {error}"))),
        };
        let read = settings_file::read(&path, &text, home);
        self.wrong.extend(read.problems.into_iter().map(Wrong::InFile));
        self.given.extend(read.given.into_iter().map(|given| Settled {
            key: given.key,
            instance: given.instance,
            value: given.value,
            source: Source::File(path.clone(), given.place),
        }));
        self.files.push(FileSeen { role, path, found: true });
    }
}

/// A list of folders is written as `PATH` is.
fn read_variable(kind: Kind, text: &OsString, home: Option<&Path>) -> Result<Value, String> {
    if kind == Kind::Folders {
        let folders = std::env::split_paths(text)
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| crate::settings_value::read_folder(&path, home));
        return folders.collect::<Result<_, _>>().map(Value::Folders);
    }
    let text = text.to_str().ok_or_else(|| "it is not UTF-8".to_owned())?;
    read_text(kind, text, home)
}

/// Variables that no setting has, yet one nearly does: likely slips.
fn stray(variables: &[(OsString, OsString)]) -> Vec<String> {
    let known: Vec<String> = all().map(Key::variable).chain(["LARDER_CONFIG".to_owned()]).collect();
    let names = variables.iter().filter_map(|(name, _)| name.to_str());
    names
        .filter(|name| name.starts_with("LARDER_") && !known.iter().any(|k| k == name))
        .filter(|name| settings_named::of_variable(name).is_none())
        .filter_map(|name| {
            let near = nearest_variable(name, &known)?;
            Some(format!("${name} is not a setting; did you mean {near}?"))
        })
        .collect()
}

fn nearest_variable<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let plain = |name: &str| name.trim_start_matches("LARDER_").to_ascii_lowercase();
    let typed = plain(name);
    let plains: Vec<String> = known.iter().map(|k| plain(k).replace('_', "-")).collect();
    let near = nearest(&typed, plains.iter().map(String::as_str))?;
    let index = plains.iter().position(|p| p == near)?;
    Some(&known[index])
}

/// A default that depends on others reads those before it in the table.
fn default(key: &Key, settled: &[Settled], places: &Places) -> Value {
    let values = Values(settled);
    match key.default {
        Fallback::Off => Value::Off,
        Fallback::Empty if key.kind == Kind::Texts => Value::Texts(Vec::new()),
        Fallback::Empty => Value::Folders(Vec::new()),
        Fallback::WithRoots => Value::Bool(!values.folders("roots").is_empty()),
        Fallback::InProduction => Value::Bool(values.word("profile") == "production"),
        Fallback::StateFolder => places.state.clone().map_or(Value::Off, Value::Folder),
        // Every text in the table can be read: a test of this file holds it.
        Fallback::Text(text) => read_text(key.kind, text, None).unwrap_or(Value::Off),
    }
}

/// Typed look-ups; a value of another kind reads as none, which a test of this file excludes.
pub(crate) struct Values<'a>(&'a [Settled]);

impl Values<'_> {
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        let key = Key::find(path)?;
        self.0.iter().find(|settled| settled.key == key).map(|settled| &settled.value)
    }

    pub(crate) fn size(&self, path: &str) -> Option<Allocated> {
        match self.get(path) {
            Some(Value::Size(bytes)) => Some(Allocated(*bytes)),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, path: &str) -> Option<Duration> {
        match self.get(path) {
            Some(Value::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    pub(crate) fn count(&self, path: &str) -> Option<u32> {
        match self.get(path) {
            Some(Value::Count(count)) => Some(*count),
            _ => None,
        }
    }

    pub(crate) fn on(&self, path: &str) -> bool {
        matches!(self.get(path), Some(Value::Bool(true)))
    }

    pub(crate) fn word(&self, path: &str) -> &'static str {
        match self.get(path) {
            Some(Value::Word(word)) => word,
            _ => "",
        }
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        match self.get(path) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, path: &str) -> Vec<String> {
        match self.get(path) {
            Some(Value::Texts(texts)) => texts.clone(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn file(&self, path: &str) -> Option<PathBuf> {
        match self.get(path) {
            Some(Value::File(path)) => Some(path.clone()),
            _ => None,
        }
    }

    fn folders(&self, path: &str) -> Vec<PathBuf> {
        match self.get(path) {
            Some(Value::Folders(folders)) => folders.clone(),
            _ => Vec::new(),
        }
    }

    fn cache(&self, table: &str) -> Policy {
        let at = |name: &str| format!("{table}.{name}");
        Policy {
            max_size: self.size(&at("max-size")),
            max_age: self.duration(&at("max-age")),
            keep_used: self.on(&at("keep-used")),
            keep_versions: self.count(&at("keep-versions")),
            orphans: self.on(&at("orphans")),
            protect: self.duration(&at("protect")).unwrap_or(Policy::PROTECT),
        }
    }

    fn settings(
        &self,
        redis: Vec<RedisSettings>,
        notify: Vec<NotifySettings>,
        daemon: DaemonSettings,
    ) -> Settings {
        Settings {
            profile: match self.word("profile") {
                "production" => Profile::Production,
                _ => Profile::Dev,
            },
            units: match self.word("units") {
                "binary" => Units::Binary,
                _ => Units::Decimal,
            },
            roots: self.folders("roots"),
            state: match self.get("state") {
                Some(Value::Folder(folder)) => Some(folder.clone()),
                _ => None,
            },
            build: self.cache("build"),
            fuzz: self.cache("fuzz"),
            modules: self.cache("mod"),
            toolchain: self.cache("toolchain"),
            vcs: self.cache("vcs"),
            trash: self.on("trash.on"),
            trash_keep: self.duration("trash.keep").unwrap_or(Duration::from_hours(7 * 24)),
            plan_max_age: self.duration("plan.max-age").unwrap_or(Duration::from_hours(24)),
            history: HistorySettings::of(self),
            trend_threshold: self.size("trend.threshold").map(|size| size.0),
            redis,
            notify,
            daemon,
        }
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
