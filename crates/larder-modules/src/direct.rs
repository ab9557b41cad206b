//! `direct`: modules that come from version control, which the go command fetches.
//!
//! It runs in an empty module of its own, against the same caches and with the same environment,
//! so GOVCS, GOPRIVATE and credentials hold as always.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use larder_go::module_path::ModuleVersion;

/// The go command, and the cache that it shall fill.
#[derive(Clone, Debug)]
pub struct GoCommand {
    /// The program.
    pub program: PathBuf,
    /// GOMODCACHE.
    pub gomodcache: OsString,
    /// A folder to run in; a go.mod that requires nothing is put there.
    pub folder: PathBuf,
}

impl GoCommand {
    /// Has the go command fetch a version whole, or only its `.mod` and `.info`.
    pub fn fetch(&self, module: &ModuleVersion, whole: bool) -> Result<(), String> {
        self.prepare().map_err(|error| format!("{}: {error}", self.folder.display()))?;
        let name = module.to_string();
        let arguments: &[&str] =
            if whole { &["mod", "download", &name] } else { &["list", "-m", &name] };
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.folder)
            .env("GOMODCACHE", &self.gomodcache)
            .env("GOWORK", "off")
            .env("GO111MODULE", "on")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{} cannot be run: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        Err(format!("go {}: {last}", arguments.join(" ")))
    }

    fn prepare(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let go_mod = self.folder.join("go.mod");
        if go_mod.is_file() {
            return Ok(());
        }
        larder_fs::write_atomic(&go_mod, b"module larder.invalid/direct\n")
    }
}
