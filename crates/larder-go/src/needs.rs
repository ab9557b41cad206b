//! What projects need of the module cache, worked out from their own files.

use std::path::{Path, PathBuf};

use larder_core::Meter;
use larder_fs::Dir;

use crate::locate::GoEnv;
use crate::module_path::ModuleVersion;

/// A main module or a workspace, and what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// The folder of its go.mod or go.work.
    pub dir: PathBuf,
    /// The folder as a person would write it; a workspace's with `go.work` at its end.
    pub display: String,
    /// The `go` line, without the word.
    pub go: Option<String>,
    /// The `toolchain` line, as `go1.22.3`.
    pub toolchain: Option<String>,
    /// Whether it builds from its vendor folder, and so needs nothing of the module cache.
    pub vendored: bool,
    /// Why its need could not be worked out whole, one sentence each, without full stops.
    pub missing: Vec<String>,
    /// Module paths of which every version stays, because the need is not known; sorted.
    pub whole_modules: Vec<String>,
    /// What it needs, sorted.
    pub needed: Vec<ModuleVersion>,
}
