//! `larder clean`.

use larder_core::{CacheKind, KeyChange};
use larder_engine::{Request, Verb, Wishes};

use crate::args::CleanArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_removal::Manner;
use crate::{caches, key_plan, key_removal, redis_target, removal};

pub(crate) fn run(context: &Context<'_>, args: &CleanArgs) -> Result<Exit, CliError> {
    if args.caches.iter().any(|name| redis_target::is_redis(name)) {
        return of_keys(context, args);
    }
    if args.keys.any() || args.pace.any() {
        let what = "--match and its like are about keys, and no Redis is named";
        return Err(CliError::usage(what).hint("larder clean redis:NAME --match 'temp:*'"));
    }
    let request = request(context, &args.caches)?;
    let Some(dirs) = &args.rewarm else { return removal::run(context, &request, &args.remove) };
    if !request.caches.contains(&CacheKind::Mod) {
        return Err(CliError::usage("--rewarm fills the cache mod, which is not to be cleaned")
            .hint("larder clean mod --rewarm …"));
    }
    let roots = super::download::rewarm_roots(context, dirs)?;
    removal::run_and_rewarm(context, &request, &args.remove, roots)
}

fn of_keys(context: &Context<'_>, args: &CleanArgs) -> Result<Exit, CliError> {
    only_redis(&args.caches)?;
    if args.rewarm.is_some() {
        return Err(CliError::usage("--rewarm fills the module cache, not a Redis"));
    }
    let manner = Manner::new(&args.pace, &args.remove);
    if args.pace.resume {
        if args.keys.any() {
            let what = "--resume goes on with the keys that were meant then";
            return Err(CliError::usage(what).hint("leave out --match and the like"));
        }
        return key_removal::resume(context, &args.caches, false, &manner);
    }
    let selection = args.keys.selection("clean")?;
    let wishes = key_plan::wishes(context, &args.caches, &selection, KeyChange::Remove)?;
    key_removal::change(context, wishes, &manner)
}

/// Go's caches and keys of a Redis go by different rules, so not by one command.
pub(super) fn only_redis(names: &[String]) -> Result<(), CliError> {
    match names.iter().find(|name| !redis_target::is_redis(name)) {
        None => Ok(()),
        Some(other) => Err(CliError::usage(format!("{other} is not a Redis, and the others are"))
            .hint("name it in a command of its own")),
    }
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
