//! The arguments of `larder download`.

use std::path::PathBuf;

use clap::Args;

/// `larder download`.
#[derive(Clone, Debug, Args)]
pub struct DownloadArgs {
    /// Folders with projects; the current one when none is named
    #[arg(value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Versions at a time, at most as many as the go command takes [default: one a core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
}
