//! Module proxies and the checksum database: what is missing in the module cache is fetched, and
//! proven before it is put in place.
//!
//! Promises: nothing that a proxy or a checksum server says is believed before it is proven; what
//! the go command would refuse is refused; nothing half-made becomes visible to a go command.
//!
//! Leaves out: version-control fetches (`direct`), which are handed to the go command.

mod auth;
mod checksums;
pub mod direct;
pub mod download;
pub mod expect;
pub mod fetch;
pub mod goproxy;
mod gosumdb;
mod hosts;
mod http_proxy;
mod names;
pub mod netrc;
pub mod note;
mod once;
mod pace;
pub mod patterns;
mod rev_info;
pub mod settings;
mod staged;
pub mod sumdb;
mod sumdb_error;
mod sumdb_store;
pub mod tile;
pub mod tlog;
mod transfer;
mod web;
mod web_error;

pub use direct::GoCommand;
pub use download::{Downloaded, download};
pub use expect::{ProjectSums, Proof};
pub use fetch::{Expect, Fetched, Fetcher, Source, Unproven, VersionError};
pub use goproxy::{FetchError, Proxies, SettingsError};
pub use settings::NetSettings;
pub use sumdb::{Reach, SumDb, SumDbError};
pub use web::NetOptions;
