//! `larder approve`.

use crate::args::ApproveArgs;
use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::render_plan::{self, quoted};
use crate::waiting;

pub(crate) fn run(context: &Context<'_>, args: &ApproveArgs) -> Result<Exit, CliError> {
    let path = waiting::file(context.settings().state.as_deref(), &args.file)?;
    let file = super::read_plan(&path)?;
    let plan = file.plan(&bridge::classify).map_err(|bad| bad.in_file(&path))?;
    if !args.yes {
        context.printer.note(render_plan::preview(&plan, &context.screen()).trim_end());
        if !context.printer.confirm(&format!("Approve plan {}?", plan.id))? {
            return Err(CliError::refused(format!("plan {} was not approved", plan.id)));
        }
    }
    let by = ["SUDO_USER", "USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned());
    super::write(&path, file.approved(larder_fs::now(), &by).as_bytes())?;
    let name = quoted(&args.file.display().to_string());
    context.printer.note(&format!("Approved plan {} as {by}. Next: larder apply {name}", plan.id));
    Ok(Exit::Done)
}
