//! Why something could not be kept or read.

use std::path::PathBuf;

/// What went wrong with the history file.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The folder or the file cannot be made, opened or renamed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A newer larder made it.
    #[error("{} is of version {found}, and this larder knows {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite's answer.
    #[error("{}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: rusqlite::Error,
    },
    /// The writer is gone: the process ends.
    #[error("the history is closed")]
    Closed,
    /// Something handed over is not kept yet; what it waits for is in the message.
    #[error("not kept yet: {0}")]
    Waiting(String),
}

/// What an error of SQLite calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The file is damaged, or none of SQLite's.
    Corrupt,
    /// Anything that may pass: a full disk, a lock, a right that is missing.
    Passing,
}

/// What this error calls for.
pub(crate) fn trouble(error: &rusqlite::Error) -> Trouble {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => Trouble::Corrupt,
        _ => Trouble::Passing,
    }
}
