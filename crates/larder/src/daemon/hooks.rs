//! `larder watch --once --trigger NAME` where a daemon runs: a file that it finds at its next tick.
//!
//! Promises: a name is short and plain, since it stands in events, logs, file names and addresses,
//! and it is none of the words that larder's own triggers have there.

use std::path::{Path, PathBuf};

use larder_engine::trigger::Trigger;

use crate::exit::{CliError, Exit};
use crate::printer::Printer;

/// What a trigger's name looks like, as a regular expression; [`check`] checks it.
pub(crate) const NAME: &str = "^[A-Za-z0-9_]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?$";
/// So long is a name at most.
const LONGEST: usize = 64;
/// What somebody asks for who gives no name.
const UNNAMED: &str = "once";

fn folder(state: &Path) -> PathBuf {
    state.join("hooks")
}

/// Leaves a wish for the daemon that runs.
pub(crate) fn leave(
    state: &Path,
    trigger: Option<&str>,
    printer: &Printer,
) -> Result<Exit, CliError> {
    if let Some(name) = trigger {
        asked(name)?;
    }
    let name = trigger.unwrap_or(UNNAMED);
    let folder = folder(state);
    std::fs::create_dir_all(&folder)
        .map_err(|error| CliError::io("make the folder", &folder, &error))?;
    // Asked twice before it looks is asked once.
    let path = folder.join(name);
    larder_fs::write_atomic(&path, b"").map_err(|error| CliError::io("write", &path, &error))?;
    printer.note("A larder watch runs already and will do it.");
    Ok(Exit::Done)
}

/// A name as it was typed.
pub(crate) fn asked(name: &str) -> Result<(), CliError> {
    check(name).map_err(|why| {
        CliError::usage(format!("--trigger: {why}")).hint("larder watch --once --trigger deploy")
    })
}

/// Why a trigger cannot have this name.
pub(crate) fn check(name: &str) -> Result<(), String> {
    if name.len() > LONGEST {
        return Err(format!(
            "a name has at most {LONGEST} characters, and this one {}",
            name.len()
        ));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let ends = name.starts_with(['.', '-']) || name.ends_with('.');
    if name.is_empty() || ends || !name.bytes().all(fits) {
        return Err(format!(
            "{name:?} cannot be a name here: letters, digits, -, . and _ can, no . or - at its \
             beginning and no . at its end"
        ));
    }
    let large = Trigger::LowDisk { free: 0, below: 0 };
    let own =
        [Trigger::Schedule, Trigger::OverBudget { bytes: 0, budget: 0 }, large, Trigger::Once];
    match own.iter().find(|own| own.name().eq_ignore_ascii_case(name)) {
        Some(own) => Err(format!("{:?} is what larder calls a reason of its own", own.name())),
        None => Ok(()),
    }
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
        // Somebody is just writing it.
        .filter(|file| !file.file_name().as_encoded_bytes().starts_with(b"."))
        .filter(|file| larder_fs::forget_file(&file.path()).is_ok())
        .filter_map(|file| file.file_name().into_string().ok())
        .filter(|name| name == UNNAMED || check(name).is_ok())
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
        for name in ["deploy", "build-done", "not a name", "schedule", "once", ".deploy.1.tmp"] {
            std::fs::write(folder(state.path()).join(name), "").unwrap();
        }
        assert_eq!(taken(state.path()), ["build-done", "deploy", "once"]);
        assert!(taken(state.path()).is_empty());
        // What is just being written is left to who writes it.
        assert!(folder(state.path()).join(".deploy.1.tmp").exists());
    }

    #[test]
    fn a_name_is_short_and_plain_and_none_of_larders_own() {
        let long = "x".repeat(64);
        for good in ["deploy", "v1.2.3", "a", "_", "build-done_2", &long] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let longer = "x".repeat(65);
        let bad = ["", ".", "..", ".a", "a.", "-a", "a b", "a/b", "a\\b", "a\nb", "é", &longer];
        for bad in
            bad.into_iter().chain(["schedule", "Schedule", "over-budget", "low-disk", "once"])
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
