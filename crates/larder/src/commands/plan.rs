//! `larder plan`.

use larder_core::{KeyChange, Plan};
use larder_engine::{Profile, cycle};

use super::{clean, expire, prune};
use crate::args::{PlanArgs, PlanCommand};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_plan::Wish;
use crate::render_plan::{self, quoted};
use crate::wire_plan::{PlanDoc, file_text};
use crate::{bridge, key_plan, redis_target, render_keys};

pub(crate) fn run(context: &Context<'_>, args: &PlanArgs) -> Result<Exit, CliError> {
    if let Some((wishes, count)) = wishes(context, &args.command)? {
        return of_keys(context, args, wishes, count);
    }
    let mut request = match &args.command {
        PlanCommand::Clean { keys, .. } if keys.any() => {
            let what = "--match and its like are about keys, and no Redis is named";
            return Err(CliError::usage(what));
        }
        PlanCommand::Clean { caches, .. } | PlanCommand::Expire { caches, .. } => {
            clean::request(context, caches)?
        }
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

/// What is wished for Redis caches, and whether every key is to be counted; nothing where the plan
/// is about Go's.
fn wishes(
    context: &Context<'_>,
    command: &PlanCommand,
) -> Result<Option<(Vec<Wish>, bool)>, CliError> {
    let redis = |caches: &[String]| caches.iter().any(|name| redis_target::is_redis(name));
    Ok(match command {
        PlanCommand::Clean { caches, keys, count } if redis(caches) => {
            clean::only_redis(caches)?;
            let selection = keys.selection("plan … clean")?;
            let wishes = key_plan::wishes(context, caches, &selection, KeyChange::Remove)?;
            Some((wishes, *count))
        }
        PlanCommand::Expire { caches, expiry, keys, count } => {
            clean::only_redis(caches)?;
            let selection = keys.selection("plan … expire")?;
            let change = expire::change(context, expiry)?;
            Some((key_plan::wishes(context, caches, &selection, change)?, *count))
        }
        PlanCommand::Prune { caches, policy } if redis(caches) => {
            Some((prune::of_rules(context, caches, policy)?, false))
        }
        PlanCommand::Clean { .. } | PlanCommand::Prune { .. } => None,
    })
}

/// A plan to change keys of Redis caches.
fn of_keys(
    context: &Context<'_>,
    args: &PlanArgs,
    wishes: Vec<Wish>,
    count: bool,
) -> Result<Exit, CliError> {
    may_write(args)?;
    let (prepared, mut failed) = {
        let _progress = context.progress("Looking at keys", None);
        key_plan::prepare(context, wishes, key_plan::look_how(context, count))?
    };
    // A plan is of all that was asked for, or it would be approved for less than was meant.
    if let Some((_, error)) = failed.pop() {
        return Err(error);
    }
    let plan = key_plan::plan(&prepared, &asked(&context.request));
    let profile = key_plan::profile(&prepared);
    written(context, args, &plan, profile, || render_keys::preview(&prepared, &context.screen()))
}

/// What is planned was asked for; where it was written to was not.
fn asked(request: &[String]) -> Vec<String> {
    let planned = ["clean", "prune", "expire"];
    let from = request.iter().position(|word| planned.contains(&word.as_str()));
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
