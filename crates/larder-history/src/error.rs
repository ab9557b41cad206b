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

impl HistoryError {
    /// Whether the file is damaged, or none of SQLite's. Anything else may pass: a full disk, a
    /// lock, a right that is missing.
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let Self::Sqlite { source, .. } = self else { return false };
        matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
    }

    /// The cause alone where there is one, else all of it.
    pub(crate) fn why(&self) -> String {
        std::error::Error::source(self).map_or_else(|| self.to_string(), ToString::to_string)
    }
}
