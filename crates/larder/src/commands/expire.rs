//! `larder expire`.

use larder_core::KeyChange;

use super::clean;
use crate::args::ExpireArgs;
use crate::args_expire::ExpiryArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_removal::Manner;
use crate::{key_plan, key_removal};

pub(crate) fn run(context: &Context<'_>, args: &ExpireArgs) -> Result<Exit, CliError> {
    clean::only_redis(&args.caches)?;
    let manner = Manner::from(args);
    if args.pace.resume {
        if args.keys.any() || args.expiry.any() {
            let what = "--resume goes on with the keys and the time to live that were meant then";
            return Err(CliError::usage(what).hint("leave out --match, --ttl and the like"));
        }
        return key_removal::resume(context, &args.caches, true, &manner);
    }
    let selection = args.keys.selection("expire")?;
    let change = change(context, &args.expiry)?;
    let wishes = key_plan::wishes(context, &args.caches, &selection, change)?;
    key_removal::change(context, wishes, &manner)
}

/// What is to be done; every run spreads the times to live in its own way.
pub(super) fn change(context: &Context<'_>, args: &ExpiryArgs) -> Result<KeyChange, CliError> {
    let nanos = context.now.unix_nanos().unsigned_abs();
    let seed = u32::try_from((nanos ^ nanos >> 32) & u64::from(u32::MAX)).unwrap_or(0);
    Ok(KeyChange::Expire(args.expiry(seed)?))
}
