//! HTTP: metrics, the API with its description, events as a stream.
//!
//! Promises: it starts, answers within bounds on everything that a client can grow, and stops; it
//! knows no cache beyond core's nouns, and what it answers is handed in. The only crate that is
//! asynchronous inside; whoever calls it blocks as usual.
//!
//! Leaves out: HTTP/2, compression, and files from disk.

mod api;
mod connection;
mod endpoint;
mod events;
mod exposed;
mod exposition;
mod guard;
mod kept;
mod metrics;
mod names;
mod openapi;
mod paced;
mod pages;
mod problem;
mod redis_fields;
mod redis_metrics;
mod routes;
mod secret;
mod server;
mod source;
mod state;
mod status_page;
mod stream;
mod target;
mod tls;
mod users;
mod web;
mod web_file;
mod work;

pub use endpoint::{
    API, Answer, ApiRequest, ApiResponse, Endpoint, Handler, Method, Param, ParamKind,
};
pub use events::{Events, StreamEvent};
pub use exposed::{
    Cleanups, Exposed, Firing, Growth, HistoryState, Notifications, RedisExposed, RedisFacts,
    Sampled, Tasks, Verified,
};
pub use exposition::Format;
pub use metrics::{MOST_CACHES, metrics};
pub use names::{FAMILIES, Family, Measured, MetricKind};
pub use openapi::openapi;
pub use redis_metrics::redis_metrics;
pub use secret::{Token, TokenError};
pub use server::{Limits, Routes, Running, Say, ServeError, ServeOptions, Server};
pub use source::Source;
pub use web_file::WebFileError;
