//! `larder prune`.

use crate::args::PruneArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::{caches, policy};

pub(crate) fn run(context: &Context<'_>, args: &PruneArgs) -> Result<Exit, CliError> {
    let caches = caches::parse_for_prune(&args.caches)?;
    policy::check(&args.policy, &caches)?;
    let _roots = policy::roots(context.settings(), &args.policy)?;
    context.may_act_at_once(&args.remove)?;
    Err(CliError::refused("this command is not wired to the engine"))
}
