//! Proxies and checksum databases: real ones of the go command, and servers that lie.
#![allow(clippy::pedantic, reason = "a test is read for what it holds")]
#![allow(unreachable_pub, reason = "nothing of a test binary is reachable")]

mod fuzz_corpus;
mod garbage;
mod http_proxy;
mod lies;
mod lists;
mod sumdb;
mod sumdb_go;
mod vectors;
