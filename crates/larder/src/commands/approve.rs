//! `larder approve`.

use crate::args::ApproveArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};

pub(crate) fn run(context: &Context<'_>, args: &ApproveArgs) -> Result<Exit, CliError> {
    let _plan = super::read_plan(&args.file)?;
    let _screen = context.screen();
    Err(CliError::refused("this command is not wired to the engine"))
}
