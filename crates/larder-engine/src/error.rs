//! Why the engine could not do what was asked. Nothing of the items that could be done is lost:
//! errors of single items are inside the outcome.

use std::io;
use std::path::PathBuf;

use larder_core::{Refusal, RootKind};
use larder_fs::lock::LockError;
use larder_fs::trash::TrashError;
use larder_go::needs::NeedsError;

use crate::net::NetError;
use crate::request::BadRequest;

/// One failure of the flow as a whole.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The request makes no sense.
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// What the given projects need could not be worked out at all.
    #[error(transparent)]
    Needs(#[from] NeedsError),
    /// There is no cache to act on; the sentence says why and what next.
    #[error("{0}")]
    NoCache(String),
    /// The folder is not a cache, so nothing in it is touched.
    #[error("{kind}: {why}")]
    NotACache {
        /// Which root.
        kind: RootKind,
        /// Its path.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The plan may not be applied.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another larder holds the cache.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The trash cannot take it.
    #[error("cannot use the trash for {}", path.display())]
    Trash {
        /// The cache.
        path: PathBuf,
        /// Why.
        #[source]
        source: TrashError,
    },
    /// A cache could not be read as a whole.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A go.sum cannot be read or understood, so nothing can be held against it.
    #[error(transparent)]
    GoSum(#[from] larder_go::go_sum::ReadError),
    /// The network cannot be used with these settings.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The checksum database was asked for and is switched off.
    #[error("GOSUMDB is off, so there is no checksum database to ask")]
    NoSumDb,
    /// Ctrl-C before anything was removed.
    #[error("interrupted; nothing was removed")]
    Interrupted,
}

/// An error with its causes in one line; a cause that the line says already is not said twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
