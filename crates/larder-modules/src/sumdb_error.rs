//! Why the checksum database vouches for nothing: two kinds are lies, and say so with the tree
//! heads that show it.

use std::io;
use std::path::PathBuf;

use crate::goproxy::FetchError;
use crate::note::NoteError;

/// Why there are no lines to believe.
#[derive(Debug, thiserror::Error)]
pub enum SumDbError {
    /// GOSUMDB cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Offline, and what is in the cache does not reach.
    #[error("{what}: the cached part of the checksum database does not reach it")]
    Unknown {
        /// `module@version`.
        what: String,
    },
    /// The module path or version is none.
    #[error("{what}: not a valid module path and version")]
    Invalid {
        /// `module@version`.
        what: String,
    },
    /// The database was not reached, or does not know it.
    #[error("checksum database: {0}")]
    Fetch(FetchError),
    /// A record or tree head that cannot be read, or proves nothing.
    #[error("checksum database {name}: {what}: {why}")]
    Untrusted {
        /// The database.
        name: String,
        /// What was looked at.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A tree head whose signature is not the database's: somebody in between made it up.
    #[error(transparent)]
    Forged(Box<ForgedHead>),
    /// Two signed tree heads that cannot both be true: the database shows different people
    /// different trees.
    #[error(
        "SECURITY ERROR: checksum database {name} has signed two trees that contradict each \
         other\n\nolder tree head:\n{older}newer tree head:\n{newer}the newer tree begins \
         with:\n{proof}"
    )]
    Forked {
        /// The database.
        name: String,
        /// The tree head of fewer records.
        older: String,
        /// The tree head of more records.
        newer: String,
        /// The hash that the newer tree has in the older one's place, and its proof.
        proof: String,
    },
    /// The last tree head could not be read or kept.
    #[error("cannot keep the tree head of the checksum database: {}", path.display())]
    Head {
        /// Its file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The module cache could not be opened.
    #[error("cannot open the module cache")]
    Cache(#[source] io::Error),
}

/// A tree head that the database did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "SECURITY ERROR: the tree head of {what} is not signed by checksum database {name}: {why}\
     \n\nlast known tree head:\n{known}forged tree head:\n{forged}"
)]
pub struct ForgedHead {
    /// The database.
    pub name: String,
    /// What it came with: a module version or a file.
    pub what: String,
    /// What the signature check says.
    pub why: NoteError,
    /// The last tree head that holds, its lines indented; empty where there is none.
    pub known: String,
    /// The one that does not.
    pub forged: String,
}

impl SumDbError {
    /// Whether somebody lied, which nothing may be downloaded after.
    pub fn is_security(&self) -> bool {
        matches!(self, Self::Forged(_) | Self::Forked { .. })
    }
}
