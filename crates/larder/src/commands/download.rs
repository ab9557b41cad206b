//! `larder download`, and what `clean mod --rewarm` does after the clean.

use std::path::{Path, PathBuf};

use larder_engine::download::{self, DownloadError, Report, Wanted};
use larder_engine::{EngineError, World};

use crate::args::DownloadArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit, chain};
use crate::wire_download::DownloadDoc;
use crate::{bridge, render_download};

pub(crate) fn run(context: &Context<'_>, args: &DownloadArgs) -> Result<Exit, CliError> {
    let here = [PathBuf::from(".")];
    let dirs = if args.dirs.is_empty() { &here[..] } else { &args.dirs };
    let roots = dirs.iter().map(|dir| bridge::folder("download", dir)).collect::<Result<_, _>>()?;
    let jobs = args.jobs.map(|jobs| usize::try_from(jobs).unwrap_or(usize::MAX));
    let report = download(context, &bridge::world(context)?, &Wanted { roots, jobs })?;
    context.printer.show(
        || DownloadDoc::from(&report),
        || render_download::download(&report, &context.screen()),
    );
    Ok(render_download::exit(&report))
}

/// Downloads with progress.
pub(crate) fn download(
    context: &Context<'_>,
    world: &World,
    wanted: &Wanted,
) -> Result<Report, CliError> {
    let config = bridge::config(context);
    let _progress = context.progress("Downloading", None);
    Ok(download::run(world, &config, wanted, &context.meter)?)
}

/// The folders of `--rewarm`, else those of the settings.
pub(crate) fn rewarm_roots(
    context: &Context<'_>,
    dirs: &[PathBuf],
) -> Result<Vec<PathBuf>, CliError> {
    let roots = if dirs.is_empty() { &context.settings().roots } else { dirs };
    if roots.is_empty() {
        return Err(CliError::usage(
            "--rewarm: no folders are given, and the settings have no roots",
        )
        .hint("name them: --rewarm ~/src, or: larder config set roots ~/src"));
    }
    roots.iter().map(|dir: &PathBuf| bridge::folder("--rewarm", Path::new(dir))).collect()
}

impl From<DownloadError> for CliError {
    fn from(error: DownloadError) -> Self {
        let what = chain(&error);
        match error {
            DownloadError::Engine(EngineError::Interrupted) => {
                Self::new(Exit::Interrupted, "interrupted; nothing was downloaded")
            }
            DownloadError::Engine(error) => error.into(),
            DownloadError::Net(_) => Self::usage(what),
            DownloadError::GoSum(_) => {
                Self::usage(what).hint("mend it or leave its folder out; nothing was downloaded")
            }
            DownloadError::Io { .. } => Self::new(Exit::Partly, what),
        }
    }
}
