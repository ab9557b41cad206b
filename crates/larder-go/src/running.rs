//! Which go commands run right now, and which caches they use.
//!
//! An entry that a running build has looked up may be opened later, so such builds are seen
//! before anything goes. A process whose environment cannot be read is taken to use our caches.

use std::path::PathBuf;

use larder_core::Time;

/// A running process that uses the Go caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoProcess {
    /// Process id.
    pub pid: u32,
    /// What runs, as in `go build ./...`, cut to a line.
    pub command: String,
    /// When it began.
    pub started: Time,
    /// The build cache that it uses; `None` where that cannot be told, which counts as ours.
    pub gocache: Option<PathBuf>,
    /// The module cache that it uses; `None` as above.
    pub gomodcache: Option<PathBuf>,
    /// The program's own file, where it can be told.
    pub program: Option<PathBuf>,
}
