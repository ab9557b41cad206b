//! The server as its clients see it: real sockets, and the programs that will read from it.

mod api;
mod basic;
mod events;
mod hostile;
mod limits;
mod metrics;
mod openapi;
mod python;
mod redis_exporter;
mod support;
mod tls;
