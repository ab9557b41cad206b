//! Redis as a cache: what is in it, what it costs, and how it is cleaned without being felt.
//!
//! Promises: no password leaves [`Endpoint`]; keys are bytes; a command that is not allowed is
//! named with the grant that is missing and the rest goes on; nothing here blocks a server with
//! one command that looks at all of its keys.
//!
//! Leaves out: settings, screens and files other than what it is handed.

pub mod audit;
mod audit_findings;
pub mod audit_settings;
pub mod change;
mod change_node;
mod clean_remove;
mod cluster_nodes;
pub mod deployment;
pub mod endpoint;
pub mod error;
pub mod estimate;
mod expire_keys;
pub mod glob;
mod guarded;
pub mod info;
pub mod link;
pub mod measure;
pub mod pace;
pub mod prefixes;
pub mod preview;
pub mod probe;
pub mod reservoir;
pub mod restore;
pub mod scan;
pub mod select;
pub mod slot;
pub mod slowlog;
pub mod undo;
pub mod undo_file;

pub use audit::{Audit, BigKey, audit};
pub use change::{
    ChangeOptions, Changed, Kept, NodeChanged, Stopped, Undo, UndoFailed, Work, change,
};
pub use deployment::{Deployment, Missing, Node, Shape};
pub use endpoint::{Endpoint, EndpointError, Secret, Timeouts, Tls};
pub use error::RedisError;
pub use estimate::Estimate;
pub use glob::Glob;
pub use info::{Info, Keyspace, Role};
pub use link::{Courtesies, Link};
pub use measure::{ServerState, Vitals, measure};
pub use pace::{Advice, Felt, Limits, Pace};
pub use preview::{Caution, Example, Preview, PreviewOptions, preview};
pub use probe::Probe;
pub use restore::{KeysRestored, RestoreError, restore_keys};
pub use scan::Scan;
pub use select::{Caused, Facts, Selection};
pub use undo::UndoStore;
pub use undo_file::{Record, Records, TtlRecord, UndoHeader, UndoReader};
