//! What larder-go says and does, held against the real go command and real caches.
#![allow(clippy::pedantic, reason = "a test is read for what it holds")]

mod common;
mod fuzz_corpus;
mod gomod_go;
mod locate;
mod modgraph;
mod needs;
mod running;
mod sizes;

#[cfg(unix)]
mod build_crash;
#[cfg(unix)]
mod build_owner;
#[cfg(unix)]
mod build_remove;
#[cfg(unix)]
mod build_scan;
#[cfg(unix)]
mod build_support;
#[cfg(unix)]
mod build_verify;
#[cfg(unix)]
mod mod_child;
#[cfg(unix)]
mod mod_clean;
#[cfg(unix)]
mod mod_crash;
#[cfg(unix)]
mod mod_layout;
#[cfg(unix)]
mod mod_remove;
#[cfg(unix)]
mod mod_scan;
#[cfg(unix)]
mod mod_support;
#[cfg(unix)]
mod mod_verify;
#[cfg(unix)]
mod module_zip;
