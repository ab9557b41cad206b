//! `larder/config/1`, `larder/config-check/1` and `larder/written/1`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::settings::{FileSeen, Resolved, Settled, Source, Wrong};
use crate::wire::{Document, path_text};

/// Every setting with its value and source.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConfigDoc {
    schema: &'static str,
    /// The settings files, the first counting most.
    files: Vec<WireFile>,
    /// Every setting.
    settings: Vec<WireSetting>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireFile {
    /// Why it is looked for: `--config`, `LARDER_CONFIG`, `user`, `system`.
    role: &'static str,
    path: String,
    /// Whether it is there.
    found: bool,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireSetting {
    /// As in `build.max-size`.
    key: String,
    /// Bytes and seconds as integers; null is off.
    value: serde_json::Value,
    /// Where the value comes from.
    source: WireSource,
    /// The variable that would set it.
    variable: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum WireSource {
    /// A flag.
    Flag { name: String },
    /// A variable.
    Variable { name: String },
    /// A file.
    File { path: String, line: usize, column: usize },
    /// Nobody gave it one.
    Default,
}

impl Document for ConfigDoc {
    const SCHEMA: &'static str = "larder/config/1";
}

impl ConfigDoc {
    /// The document of these settings, all or some of them.
    pub fn new<'a>(resolved: &Resolved, settings: impl IntoIterator<Item = &'a Settled>) -> Self {
        Self {
            schema: Self::SCHEMA,
            files: resolved.files.iter().map(WireFile::from).collect(),
            settings: settings.into_iter().map(WireSetting::from).collect(),
        }
    }
}

impl ConfigDoc {
    /// The files alone.
    pub fn files(files: &[FileSeen]) -> Self {
        let files = files.iter().map(WireFile::from).collect();
        Self { schema: Self::SCHEMA, files, settings: Vec::new() }
    }
}

impl From<&FileSeen> for WireFile {
    fn from(file: &FileSeen) -> Self {
        Self { role: file.role.name(), path: path_text(&file.path), found: file.found }
    }
}

impl From<&Settled> for WireSetting {
    fn from(settled: &Settled) -> Self {
        Self {
            key: settled.key.path_of(settled.instance.as_deref()),
            value: settled.value.json(),
            source: match &settled.source {
                Source::Flag(name) => WireSource::Flag { name: (*name).to_owned() },
                Source::Variable(name) => WireSource::Variable { name: name.clone() },
                Source::File(path, place) => WireSource::File {
                    path: path_text(path),
                    line: place.line,
                    column: place.column,
                },
                Source::Default => WireSource::Default,
            },
            variable: settled.key.variable_of(settled.instance.as_deref()),
        }
    }
}

/// What is wrong with the settings.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CheckDoc {
    schema: &'static str,
    /// Whether nothing is.
    ok: bool,
    /// Everything that is.
    problems: Vec<WireProblem>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireProblem {
    /// Null where it is a flag's or a variable's.
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    /// One line.
    message: String,
}

impl Document for CheckDoc {
    const SCHEMA: &'static str = "larder/config-check/1";
}

impl From<&[Wrong]> for CheckDoc {
    fn from(wrong: &[Wrong]) -> Self {
        let problems = wrong.iter().map(WireProblem::from).collect();
        Self { schema: Self::SCHEMA, ok: wrong.is_empty(), problems }
    }
}

impl From<&Wrong> for WireProblem {
    fn from(wrong: &Wrong) -> Self {
        match wrong {
            Wrong::InFile(problem) => Self {
                file: Some(path_text(&problem.file)),
                line: problem.place.map(|place| place.line),
                column: problem.place.map(|place| place.column),
                message: problem.what.clone(),
            },
            Wrong::Elsewhere(what) => {
                Self { file: None, line: None, column: None, message: what.clone() }
            }
        }
    }
}

/// Files that a command has written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WrittenDoc {
    schema: &'static str,
    /// Their paths.
    files: Vec<String>,
}

impl Document for WrittenDoc {
    const SCHEMA: &'static str = "larder/written/1";
}

impl From<&[PathBuf]> for WrittenDoc {
    fn from(files: &[PathBuf]) -> Self {
        Self { schema: Self::SCHEMA, files: files.iter().map(|path| path_text(path)).collect() }
    }
}
