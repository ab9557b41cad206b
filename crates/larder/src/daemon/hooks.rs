//! `larder watch --once --trigger NAME` where a daemon runs: a file that it finds at its next tick.

use std::path::{Path, PathBuf};

use crate::exit::{CliError, Exit};
use crate::printer::Printer;
use crate::settings_named::check_name;

fn folder(state: &Path) -> PathBuf {
    state.join("hooks")
}

/// Leaves a wish for the daemon that runs.
pub(crate) fn leave(
    state: &Path,
    trigger: Option<&str>,
    printer: &Printer,
) -> Result<Exit, CliError> {
    let name = trigger.unwrap_or("once");
    check(name)?;
    let folder = folder(state);
    std::fs::create_dir_all(&folder)
        .map_err(|error| CliError::io("make the folder", &folder, &error))?;
    // Asked twice before it looks is asked once.
    let path = folder.join(name);
    larder_fs::write_atomic(&path, b"").map_err(|error| CliError::io("write", &path, &error))?;
    printer.note("A larder watch runs already and will do it.");
    Ok(Exit::Done)
}

/// A trigger's name stands in events and file names.
pub(crate) fn check(name: &str) -> Result<(), CliError> {
    check_name(name).map_err(|why| CliError::usage(format!("--trigger: {why}")))
}

/// Forgets what was left for a daemon that is no more: a single run goes through the cycle anyhow.
pub(crate) fn accept(state: &Path) {
    taken(state);
}

/// The names that were left, each once, and no longer there.
pub(crate) fn taken(state: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(folder(state)) else { return Vec::new() };
    let mut names: Vec<String> = files
        .flatten()
        .filter(|file| larder_fs::forget_file(&file.path()).is_ok())
        .filter_map(|file| file.file_name().into_string().ok())
        .filter(|name| check_name(name).is_ok())
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_taken_once() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder(state.path())).unwrap();
        for name in ["deploy", "build-done", "not a name"] {
            std::fs::write(folder(state.path()).join(name), "").unwrap();
        }
        assert_eq!(taken(state.path()), ["build-done", "deploy"]);
        assert!(taken(state.path()).is_empty());
    }
}
