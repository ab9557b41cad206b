//! What larder-fs promises, tried on real trees, as root and as nobody, with crashes and attackers.
//!
//! Everything happens in temporary folders. Some tests run this binary again in a role of its own
//! (see `roles`): as another user, with few files allowed, or to be killed in the middle.
#![allow(clippy::pedantic, reason = "a test is read for what it holds")]
#![cfg(unix)]

#[cfg(target_os = "linux")]
mod crash;
mod index;
mod locks;
mod remove;
mod roles;
mod support;
mod trash;
mod walk;
