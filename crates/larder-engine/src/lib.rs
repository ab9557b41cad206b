//! The flow: discover → scan → plan → check → apply → report, one stage a file.
//!
//! [`cycle`] is the page to open first. Nothing here prints; every answer is a value.

pub mod apply;
pub mod config;
pub mod cycle;
pub mod download;
mod download_sums;
pub mod du;
pub mod error;
mod findings;
pub mod heal;
pub mod heal_clues;
mod host;
pub mod keys;
pub mod measure;
pub mod net;
pub mod plan;
mod present;
mod project_sums;
mod refetch;
pub mod report;
pub mod request;
pub mod respond;
pub mod sample;
pub mod scan;
pub mod schedule;
pub mod select;
pub mod status;
pub mod trash;
pub mod trigger;
pub mod verify;
mod verify_mod;
pub mod world;

pub use config::{Config, Profile};
pub use error::EngineError;
pub use request::{Request, Verb, Wishes};
pub use world::World;
