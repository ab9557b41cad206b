//! Integration tests.

mod common;
mod locate;
mod modgraph;
mod needs;
mod running;

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
