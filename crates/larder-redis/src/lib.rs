//! Redis as a cache: what is in it, what it costs, and how it is cleaned without being felt.
//!
//! Promises: no password leaves [`Endpoint`]; keys are bytes; a command that is not allowed is
//! named with the grant that is missing and the rest goes on; nothing here blocks a server with
//! one command that looks at all of its keys.
//!
//! Leaves out: settings, screens and files other than what it is handed.

pub mod acl;
pub mod audit;
mod audit_close;
mod audit_encoding;
mod audit_findings;
mod audit_hot;
mod audit_settings;
mod background;
pub mod change;
mod change_node;
mod clean_remove;
pub mod clients;
mod cluster_nodes;
pub mod deployment;
pub mod du;
pub mod endpoint;
pub mod error;
pub mod estimate;
mod expire_keys;
pub mod finding;
pub mod glob;
mod guarded;
pub mod info;
pub mod link;
pub mod measure;
mod measure_denied;
pub mod pace;
pub mod prefixes;
pub mod preview;
pub mod probe;
pub mod readings;
pub mod relief;
mod remedy;
pub mod reservoir;
pub mod restore;
pub mod scan;
pub mod scrape;
pub mod select;
pub mod slot;
mod slow_pattern;
pub mod slowlog;
pub mod throttle;
pub mod throttle_client;
mod throttle_error;
pub mod throttle_scripts;
pub mod undo;
pub mod undo_file;
mod walk;

pub use audit::{Audit, AuditOptions, BigKey, HotKey, audit};
pub use background::give_way;
pub use change::{
    ChangeOptions, Changed, Kept, NodeChanged, Stopped, Undo, UndoFailed, Work, change,
};
pub use deployment::{Deployment, Missing, Node, Shape};
pub use du::{KeysBy, KeysDu, KeysRow, du};
pub use endpoint::{Endpoint, EndpointError, Secret, Timeouts, Tls};
pub use error::RedisError;
pub use estimate::Estimate;
pub use finding::Finding;
pub use glob::Glob;
pub use info::{Info, Keyspace, Role};
pub use link::{Courtesies, Link, Waited};
pub use measure::{
    Measured, Persistence, Replication, ServerState, Vitals, measure, measure_since,
};
pub use pace::{Advice, Felt, Limits, Pace};
pub use preview::{Caution, Example, Preview, PreviewOptions, preview};
pub use probe::Probe;
pub use readings::{Reading, Readings, Window};
pub use restore::{KeysRestored, RestoreError, restore_keys};
pub use scan::Scan;
pub use scrape::{Scraped, scrape, scrape_all};
pub use select::{Caused, Facts, Selection};
pub use undo::UndoStore;
pub use undo_file::{Record, Records, TtlRecord, UndoHeader, UndoReader};
