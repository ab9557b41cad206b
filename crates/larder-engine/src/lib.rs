//! The flow.

pub mod report;
