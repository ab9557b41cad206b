//! `larder plan`.

use crate::args::{PlanArgs, PlanCommand};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::{caches, policy};

pub(crate) fn run(context: &Context<'_>, args: &PlanArgs) -> Result<Exit, CliError> {
    match &args.command {
        PlanCommand::Clean { caches } => drop(caches::parse(caches)?),
        PlanCommand::Prune { caches, policy } => {
            policy::check(policy, &caches::parse_for_prune(caches)?)?;
            let _roots = policy::roots(context.settings(), policy)?;
        }
    }
    Err(CliError::refused("this command is not wired to the engine"))
}
