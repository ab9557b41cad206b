//! `larder plan`.

use larder_engine::{Profile, cycle};

use super::{clean, prune};
use crate::args::{PlanArgs, PlanCommand};
use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::render_plan::{self, quoted};
use crate::wire_plan::{PlanDoc, file_text};

pub(crate) fn run(context: &Context<'_>, args: &PlanArgs) -> Result<Exit, CliError> {
    let mut request = match &args.command {
        PlanCommand::Clean { caches } => clean::request(context, caches)?,
        PlanCommand::Prune { caches, policy } => prune::request(context, caches, policy)?,
    };
    // What is planned was asked for; where it was written to was not.
    let from = request.arguments.iter().position(|word| word == "clean" || word == "prune");
    request.arguments.drain(..from.unwrap_or(0));
    let file = &args.output;
    if file.exists() && !args.force {
        let what = format!("{} exists", file.display());
        return Err(CliError::usage(what).hint("name another file, or overwrite it with --force"));
    }
    let world = bridge::world(context)?;
    let planned = {
        let _progress = context.progress("Planning", None);
        cycle::preview(&world, &bridge::config(context), &request, &context.meter)?
    };
    let doc = PlanDoc::from(&planned.plan);
    super::write(file, file_text(&doc).as_bytes())?;
    let name = quoted(&file.display().to_string());
    context.printer.show(|| doc, || render_plan::preview(&planned.plan, &context.screen()));
    let next = match context.settings().profile {
        Profile::Production => format!("larder approve {name}, then larder apply {name}"),
        Profile::Dev => format!("larder apply {name}"),
    };
    context.printer.note(&format!("Plan {} is in {name}. Next: {next}", planned.plan.id));
    Ok(Exit::Done)
}
