//! Redis as a cache: what is in it, what it costs, and how it is cleaned without being felt.
//!
//! Promises: no password leaves [`Endpoint`]; keys are bytes; a command that is not allowed is
//! named with the grant that is missing and the rest goes on; nothing here blocks a server with
//! one command that looks at all of its keys.
//!
//! Leaves out: settings, screens and files other than what it is handed.

mod cluster_nodes;
pub mod deployment;
pub mod endpoint;
pub mod error;
pub mod info;
pub mod link;
pub mod pace;
pub mod probe;
pub mod scan;
pub mod slot;

pub use deployment::{Deployment, Missing, Node, Shape};
pub use endpoint::{Endpoint, EndpointError, Secret, Timeouts, Tls};
pub use error::RedisError;
pub use info::{Info, Keyspace, Role};
pub use link::{Courtesies, Link};
pub use pace::{Advice, Felt, Limits, Pace};
pub use probe::Probe;
pub use scan::Scan;
