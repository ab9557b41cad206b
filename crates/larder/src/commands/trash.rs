//! `larder trash`.

use crate::args::TrashArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};

pub(crate) fn run(context: &Context<'_>, args: &TrashArgs) -> Result<Exit, CliError> {
    let _folder = (context.state_folder()?, &args.command);
    Err(CliError::refused("this command is not wired to the engine"))
}
