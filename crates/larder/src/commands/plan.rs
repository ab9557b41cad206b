//! `larder plan`.

use larder_core::{KeySelection, Plan};
use larder_engine::{Profile, cycle};

use super::{clean, prune};
use crate::args::{PlanArgs, PlanCommand};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::render_plan::{self, quoted};
use crate::wire_plan::{PlanDoc, file_text};
use crate::{bridge, key_removal, redis_target, render_keys};

pub(crate) fn run(context: &Context<'_>, args: &PlanArgs) -> Result<Exit, CliError> {
    if let PlanCommand::Clean { caches, keys, count } = &args.command
        && caches.iter().any(|name| redis_target::is_redis(name))
    {
        return of_keys(context, args, caches, &keys.selection("plan … clean")?, *count);
    }
    let mut request = match &args.command {
        PlanCommand::Clean { keys, .. } if keys.any() => {
            let what = "--match and its like are about keys, and no Redis is named";
            return Err(CliError::usage(what));
        }
        PlanCommand::Clean { caches, .. } => clean::request(context, caches)?,
        PlanCommand::Prune { caches, policy } => prune::request(context, caches, policy)?,
    };
    request.arguments = asked(&request.arguments);
    may_write(args)?;
    let world = bridge::world(context)?;
    let planned = {
        let _progress = context.progress("Planning", None);
        cycle::preview(&world, &bridge::config(context), &request, &context.meter)?
    };
    let text = || render_plan::preview(&planned.plan, &context.screen());
    written(context, args, &planned.plan, context.settings().profile, text)
}

/// A plan to remove keys of Redis caches.
fn of_keys(
    context: &Context<'_>,
    args: &PlanArgs,
    names: &[String],
    selection: &KeySelection,
    count: bool,
) -> Result<Exit, CliError> {
    clean::only_redis(names)?;
    may_write(args)?;
    let targets = key_removal::targets(context, names)?;
    let look = key_removal::look_how(context, count);
    let (prepared, mut failed) = key_removal::prepare(context, targets, selection, look)?;
    // A plan is of all that was asked for, or it would be approved for less than was meant.
    if let Some((_, error)) = failed.pop() {
        return Err(error);
    }
    let strict = prepared.iter().any(|one| one.target.profile == Profile::Production);
    let profile = if strict { Profile::Production } else { Profile::Dev };
    let plan = key_removal::plan(&prepared, &asked(&context.request));
    written(context, args, &plan, profile, || render_keys::preview(&prepared, &context.screen()))
}

/// What is planned was asked for; where it was written to was not.
fn asked(request: &[String]) -> Vec<String> {
    let from = request.iter().position(|word| word == "clean" || word == "prune");
    request[from.unwrap_or(0)..].to_vec()
}

fn may_write(args: &PlanArgs) -> Result<(), CliError> {
    if args.output.exists() && !args.force {
        let what = format!("{} exists", args.output.display());
        return Err(CliError::usage(what).hint("name another file, or overwrite it with --force"));
    }
    Ok(())
}

fn written(
    context: &Context<'_>,
    args: &PlanArgs,
    plan: &Plan,
    profile: Profile,
    text: impl FnOnce() -> String,
) -> Result<Exit, CliError> {
    let doc = PlanDoc::from(plan);
    super::write(&args.output, file_text(&doc).as_bytes())?;
    let name = quoted(&args.output.display().to_string());
    context.printer.show(|| doc, text);
    let next = match profile {
        Profile::Production => format!("larder approve {name}, then larder apply {name}"),
        Profile::Dev => format!("larder apply {name}"),
    };
    context.printer.note(&format!("Plan {} is in {name}. Next: {next}", plan.id));
    Ok(Exit::Done)
}
