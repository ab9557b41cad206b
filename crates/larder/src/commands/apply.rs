//! `larder apply`.

use crate::args::ApplyArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::settings::Profile;

pub(crate) fn run(context: &Context<'_>, args: &ApplyArgs) -> Result<Exit, CliError> {
    let plan = super::read_plan(&args.file)?;
    let _approval = plan.approval(context.settings().profile == Profile::Production);
    Err(CliError::refused("this command is not wired to the engine"))
}
