//! The decisions held against slow, obvious oracles.
#![allow(clippy::pedantic, reason = "a test is read for what it holds")]

mod build_planner;
mod check;
mod unit_planner;
