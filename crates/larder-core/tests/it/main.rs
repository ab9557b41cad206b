//! The decisions held against slow, obvious oracles.

mod build_planner;
mod check;
mod unit_planner;
