//! `larder clean`.

use larder_engine::{Request, Verb, Wishes};

use crate::args::CleanArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::{caches, removal};

pub(crate) fn run(context: &Context<'_>, args: &CleanArgs) -> Result<Exit, CliError> {
    removal::run(context, &request(context, &args.caches)?, &args.remove)
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
