//! `larder approve`.

use std::path::Path;

use crate::args::ApproveArgs;
use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::render_plan::{self, quoted};
use crate::{daemon, waiting};

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
    let next = next(context, &path, &args.file.display().to_string());
    context.printer.note(&format!("Approved plan {} as {by}. {next}", plan.id));
    Ok(Exit::Done)
}

/// What happens next: a daemon applies what waits in the state folder by itself.
fn next(context: &Context<'_>, path: &Path, typed: &str) -> String {
    let settings = context.settings();
    let by_daemon = settings
        .state
        .as_deref()
        .is_some_and(|state| waiting::is_in(state, path) && daemon::running(state));
    match (by_daemon, settings.daemon.watch.window) {
        (false, _) => format!("Next: larder apply {}", quoted(typed)),
        (true, None) => "The larder watch that runs applies it.".to_owned(),
        (true, Some(window)) => format!("The larder watch that runs applies it at {window}."),
    }
}
