//! Redis as a cache: what is in it, what it costs, and how it is cleaned without being felt.
//!
//! Promises: no password leaves [`Endpoint`]; keys are bytes; a command that is not allowed is
//! named with the grant that is missing and the rest goes on; nothing here blocks a server with
//! one command that looks at all of its keys.
//!
//! Leaves out: settings, screens and files other than what it is handed.

pub mod acl;
pub mod audit;
mod audit_findings;
pub mod audit_settings;
pub mod clean;
mod clean_node;
mod clean_remove;
pub mod clients;
mod cluster_nodes;
pub mod deployment;
pub mod endpoint;
pub mod error;
pub mod estimate;
pub mod glob;
pub mod info;
pub mod link;
pub mod measure;
pub mod pace;
pub mod prefixes;
pub mod preview;
pub mod probe;
pub mod reservoir;
pub mod scan;
pub mod select;
pub mod slot;
mod slow_pattern;
pub mod slowlog;
pub mod throttle;
pub mod throttle_client;
pub mod throttle_scripts;
pub mod undo;
pub mod undo_file;

pub use audit::{Audit, BigKey, audit};
pub use clean::{CleanOptions, Cleaned, Kept, NodeCleaned, Stopped, Undo, UndoFailed, Work, clean};
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
pub use scan::Scan;
pub use select::{Caused, Facts, Selection};
pub use undo::{KeysRestored, RestoreError, UndoStore, restore_keys};
pub use undo_file::{Record, UndoHeader, UndoReader};
