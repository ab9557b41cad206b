//! The arguments of `larder verify` and `larder heal`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::args_clean::RemoveArgs;

/// `larder verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// build, mod; both when none is named
    #[arg(value_name = "CACHE")]
    pub caches: Vec<String>,
    /// Hold the module cache against the go.sum files of the projects below these folders
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub roots: Vec<PathBuf>,
    /// Hold the module cache against the checksum database
    #[arg(long)]
    pub sumdb: bool,
    /// Remove what is bad, and only that; modules are fetched again
    #[arg(long)]
    pub fix: bool,
    /// How.
    #[command(flatten)]
    pub remove: RemoveArgs,
}

/// `larder heal`.
#[derive(Debug, Args)]
pub struct HealArgs {
    /// Write the report to this file, as JSON; the command keeps stdout to itself
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    pub command: Vec<OsString>,
}
