//! `larder du`.

use larder_core::CacheKind;

use crate::args::DuArgs;
use crate::caches;
use crate::context::Context;
use crate::exit::{CliError, Exit};

pub(crate) fn run(context: &Context<'_>, args: &DuArgs) -> Result<Exit, CliError> {
    let _caches = chosen(args)?;
    let _roots = (context.gocache()?, context.gomodcache()?);
    Err(CliError::refused("this command is not wired to the engine"))
}

/// The caches that were named, or all that the key can tell apart.
fn chosen(args: &DuArgs) -> Result<Vec<CacheKind>, CliError> {
    let mut chosen = caches::parse(&args.caches)?;
    if chosen.is_empty() {
        chosen = CacheKind::ALL.to_vec();
        chosen.retain(|cache| args.by.is_none_or(|by| by.0.fits(*cache)));
    }
    let misfit = args.by.and_then(|by| Some((by, chosen.iter().find(|c| !by.0.fits(**c))?)));
    match misfit {
        None => Ok(chosen),
        Some((by, cache)) => {
            let fits = CacheKind::ALL.into_iter().filter(|cache| by.0.fits(*cache));
            let fits: Vec<&str> = fits.map(CacheKind::name).collect();
            let what = format!("{cache} cannot be added up by {}", by.0.name());
            Err(CliError::usage(what).hint(format!("that is for {}", fits.join(", "))))
        }
    }
}
