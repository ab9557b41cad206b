//! `larder prune`.

use larder_engine::{Request, Verb};

use crate::args::{PolicyArgs, PruneArgs};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::{bridge, caches, removal};

pub(crate) fn run(context: &Context<'_>, args: &PruneArgs) -> Result<Exit, CliError> {
    removal::run(context, &request(context, &args.caches, &args.policy)?, &args.remove)
}

/// The request to remove what a policy no longer wants.
pub(super) fn request(
    context: &Context<'_>,
    names: &[String],
    policy: &PolicyArgs,
) -> Result<Request, CliError> {
    Ok(Request {
        verb: Verb::Prune,
        caches: if names.is_empty() { Vec::new() } else { caches::parse_for_prune(names)? },
        wishes: bridge::wishes(policy)?,
        arguments: context.request.clone(),
    })
}
