//! `larder clean`.

use larder_core::CacheKind;
use larder_engine::{Request, Verb, Wishes};

use crate::args::CleanArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::{caches, removal};

pub(crate) fn run(context: &Context<'_>, args: &CleanArgs) -> Result<Exit, CliError> {
    let request = request(context, &args.caches)?;
    let Some(dirs) = &args.rewarm else { return removal::run(context, &request, &args.remove) };
    if !request.caches.contains(&CacheKind::Mod) {
        return Err(CliError::usage("--rewarm fills the cache mod, which is not to be cleaned")
            .hint("larder clean mod --rewarm …"));
    }
    let roots = super::download::rewarm_roots(context, dirs)?;
    removal::run_and_rewarm(context, &request, &args.remove, roots)
}

/// The request to remove all of these caches.
pub(super) fn request(context: &Context<'_>, names: &[String]) -> Result<Request, CliError> {
    Ok(Request {
        verb: Verb::Clean,
        caches: caches::parse(names)?,
        wishes: Wishes::default(),
        arguments: context.request.clone(),
    })
}
