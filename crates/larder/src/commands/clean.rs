//! `larder clean`.

use crate::args::CleanArgs;
use crate::caches;
use crate::context::Context;
use crate::exit::{CliError, Exit};

pub(crate) fn run(context: &Context<'_>, args: &CleanArgs) -> Result<Exit, CliError> {
    let _caches = caches::parse(&args.caches)?;
    context.may_act_at_once(&args.remove)?;
    Err(CliError::refused("this command is not wired to the engine"))
}
