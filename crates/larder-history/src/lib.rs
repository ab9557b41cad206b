//! Samples, events and small state kept over time.
//!
//! [`History`] keeps them in one SQLite file: a writer thread takes what it is handed over a bounded
//! queue and commits every few seconds; readers have connections of their own. [`Store`] is the same
//! file without a thread, for a command that adds one line. [`PrometheusHistory`] reads the same
//! lines from a server that has scraped them; both answer to [`Series`].
//!
//! Promises: handing something over never waits for a disk; what could not be kept is counted; a
//! sample that is older than half a minute survives the end of the process; a file that is damaged
//! is set aside and said so, and a new one begun; the file stays within its limit, the oldest and
//! coarsest going first.
//!
//! Left out: what the values mean. Trends, forecasts and what is usual are worked out in
//! `larder-core`; here is only what they are worked out from.
//!
//! # Time
//! A sample is kept under the time that it carries, to the millisecond; a second one of the same
//! cache and time takes the place of the first. Clocks jump: what arrives with an earlier time than
//! the last one is kept where it says it belongs, and [`Reader::latest`] is what arrived last, not
//! what has the latest time. Totals and what has fallen are worked out in the order of arrival.

mod columns;
mod db;
mod error;
mod history;
mod limits;
mod metric;
mod prometheus;
mod prometheus_http;
mod read;
mod read_series;
mod row;
mod schema;
mod series;
mod store;
mod tidy;
mod tidy_merge;
mod writer;

pub use db::SetAside;
pub use error::HistoryError;
pub use history::{History, Opened};
pub use limits::Limits;
pub use metric::Metric;
pub use prometheus::{Credential, PrometheusHistory, PrometheusSettings};
pub use read::{EventFilter, KeptEvent, Reader};
pub use series::{Range, Series, SeriesError, Source};
pub use store::{Entry, Store};
pub use tidy::Tidied;
pub use writer::Stats;
