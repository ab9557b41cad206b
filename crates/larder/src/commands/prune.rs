//! `larder prune`.

use larder_engine::{Request, Verb};

use super::clean;
use crate::args::{PolicyArgs, PruneArgs};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_plan::{self, Wish};
use crate::key_removal::{self, Manner};
use crate::{bridge, caches, redis_target, removal};

pub(crate) fn run(context: &Context<'_>, args: &PruneArgs) -> Result<Exit, CliError> {
    if args.caches.iter().any(|name| redis_target::is_redis(name)) {
        let wishes = of_rules(context, &args.caches, &args.policy)?;
        return key_removal::change(context, wishes, &Manner::new(&args.pace, &args.remove));
    }
    if args.pace.any() {
        let what = "care for others is taken on a Redis, and none is named";
        return Err(CliError::usage(what).hint("larder prune redis:NAME"));
    }
    removal::run(context, &request(context, &args.caches, &args.policy)?, &args.remove)
}

/// What the settings' rules want gone from each Redis of these names.
pub(super) fn of_rules(
    context: &Context<'_>,
    names: &[String],
    policy: &PolicyArgs,
) -> Result<Vec<Wish>, CliError> {
    clean::only_redis(names)?;
    if policy.any() {
        let what = "what goes from a Redis is said by the settings' rules, not by flags";
        return Err(CliError::usage(what)
            .hint("[[redis.NAME.clean]] in the settings; or larder clean redis:NAME --match …"));
    }
    key_plan::of_rules(context, names)
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
