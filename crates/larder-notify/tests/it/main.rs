//! The receivers against real counterparts where they can be had (Alertmanager, a file, a
//! process, TLS), else against small servers that check what they are sent.
#![allow(clippy::pedantic, reason = "a test is read for what it holds")]

mod alertmanager;
mod bodies;
mod command;
mod dispatcher;
mod document;
mod log;
mod mail;
mod many;
mod rate;
mod server;
mod smtp;
mod support;
mod tls;
mod trouble;
