//! Files for other systems: rules and dashboards, units and timers, manifests, log pipelines.
//!
//! Each kind is a module that makes texts from constants and what it is handed; nothing here looks
//! at the machine or writes. An alert stands once, in [`alerts`], for the rules and the dashboards.
//! Left out: contacting the systems that the files are for.

pub mod alerts;
mod alerts_redis;
pub mod cron;
mod dashboard_alerts;
mod dashboard_fleet;
mod dashboard_go;
mod dashboard_redis;
pub mod dashboards;
pub mod kubernetes;
pub mod logging;
mod panels;
pub mod rules;
pub mod systemd;

/// Where the runbooks are, as long as nobody says where they are published: the place that
/// [`larder_core::Alert::runbook`] names too.
pub const RUNBOOKS: &str = "docs/runbooks";

/// The image that the Dockerfile at the root makes.
pub const IMAGE: &str = concat!("larder:", env!("CARGO_PKG_VERSION"));

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its path below the folder that was named, with `/`.
    pub name: &'static str,
    /// What it says.
    pub text: String,
}

/// A file of the templates, with its gaps filled: each `@NAME@` by its value.
fn filled(name: &'static str, template: &str, gaps: &[(&str, &str)]) -> ExportedFile {
    let fill = |text: String, (gap, value): &(&str, &str)| text.replace(gap, value);
    ExportedFile { name, text: gaps.iter().fold(template.to_owned(), fill) }
}
