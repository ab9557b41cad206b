//! `larder status`.

use crate::context::Context;
use crate::exit::{CliError, Exit};

pub(crate) fn run(context: &Context<'_>) -> Result<Exit, CliError> {
    let _roots = (context.gocache()?, context.gomodcache()?);
    Err(CliError::refused("this command is not wired to the engine"))
}
