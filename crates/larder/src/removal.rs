//! What `clean` and `prune` share: a preview, or the whole flow at once.

use std::path::PathBuf;

use larder_core::check::Approval;
use larder_core::{Meter, Outcome};
use larder_engine::cycle::{self, Acted, Options};
use larder_engine::download::{self, Wanted};
use larder_engine::{Config, Request, World, status, trash};

use crate::args::RemoveArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::render_outcome::{self, Around};
use crate::wire_download::DownloadDoc;
use crate::wire_outcome::OutcomeDoc;
use crate::wire_plan::PlanDoc;
use crate::{bridge, commands, history_keep, render_download, render_plan};

/// Runs a request, or with `-n` shows what it would do.
pub(crate) fn run(
    context: &Context<'_>,
    request: &Request,
    args: &RemoveArgs,
) -> Result<Exit, CliError> {
    context.may_act_at_once(args)?;
    let world = bridge::world(context)?;
    let config = bridge::config(context);
    if args.dry_run {
        let planned = {
            let _progress = context.progress("Looking", None);
            cycle::preview(&world, &config, request, &context.meter)?
        };
        let plan = planned.plan;
        context.printer.show(
            || PlanDoc::from(&plan),
            || render_plan::preview(&plan, &context.screen()) + render_plan::nothing(&plan),
        );
        return Ok(Exit::Done);
    }
    let acted = act(context, (&world, &config), request, args)?;
    let more = offline(&acted) + &render_plan::kept(&acted.planned.plan, &context.screen());
    Ok(finish(context, (&world, &config), &acted.outcome, &more))
}

fn act(
    context: &Context<'_>,
    (world, config): (&World, &Config),
    request: &Request,
    args: &RemoveArgs,
) -> Result<Acted, CliError> {
    context.state_folder()?;
    let options = options(context, args, Approval::NotAsked);
    let _progress = context.progress("Removing", None);
    Ok(cycle::act(world, config, request, &options, &context.meter)?)
}

/// Runs a request and then fetches what the projects below `roots` need. That these can be read
/// is made sure of before anything is removed; with `--json` both answers are one document.
pub(crate) fn run_and_rewarm(
    context: &Context<'_>,
    request: &Request,
    args: &RemoveArgs,
    roots: Vec<PathBuf>,
) -> Result<Exit, CliError> {
    context.may_act_at_once(args)?;
    let world = bridge::world(context)?;
    let config = bridge::config(context);
    download::check(&world, &config, &roots, &context.meter)?;
    if args.dry_run {
        return run(context, request, args);
    }
    let acted = act(context, (&world, &config), request, args)?;
    let cleaned = render_outcome::exit(&acted.outcome);
    trash::expire(&world, &config, &Meter::default());
    let mut doc = OutcomeDoc::from(&acted.outcome);
    if context.printer.is_json() {
        history_keep::cleaned(context, &acted.outcome);
    } else {
        finish(context, (&world, &config), &acted.outcome, "");
    }
    // The cache is another one now.
    let world = bridge::world(context)?;
    let wanted = Wanted { roots, jobs: None };
    let fetched = match cleaned {
        Exit::Interrupted => None,
        _ => Some(commands::download(context, &world, &wanted)),
    };
    let (report, failed) = match fetched {
        Some(Ok(report)) => (Some(report), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    if let Some(report) = &report {
        doc = doc.with_rewarm(DownloadDoc::from(report));
    }
    let text = report.as_ref().map(|report| render_download::download(report, &context.screen()));
    context.printer.show(|| doc, || text.unwrap_or_default());
    match (failed, report) {
        (Some(error), _) => Err(error),
        (None, Some(report)) if cleaned == Exit::Done => Ok(render_download::exit(&report)),
        _ => Ok(cleaned),
    }
}

/// How to apply, by the flags and the settings.
pub(crate) fn options(context: &Context<'_>, args: &RemoveArgs, approval: Approval) -> Options {
    Options { trash: context.uses_trash(args), force: args.force, wait: args.wait(), approval }
}

/// Prunes, and what to say of it.
pub(crate) fn told(
    context: &Context<'_>,
    request: &Request,
    args: &RemoveArgs,
) -> Result<(Outcome, String), CliError> {
    let world = bridge::world(context)?;
    let config = bridge::config(context);
    let acted = act(context, (&world, &config), request, args)?;
    let text = text(context, (&world, &config), &acted.outcome) + &offline(&acted);
    history_keep::cleaned(context, &acted.outcome);
    Ok((acted.outcome, text))
}

/// Shows what was done, and empties what has been in the trash for its time.
pub(crate) fn finish(
    context: &Context<'_>,
    (world, config): (&World, &Config),
    outcome: &Outcome,
    more: &str,
) -> Exit {
    let text = text(context, (world, config), outcome) + more;
    context.printer.show(|| OutcomeDoc::from(outcome), || text);
    history_keep::cleaned(context, outcome);
    render_outcome::exit(outcome)
}

/// What was done, once what has been in the trash for its time is gone.
fn text(context: &Context<'_>, (world, config): (&World, &Config), outcome: &Outcome) -> String {
    trash::expire(world, config, &Meter::default());
    let disks = status::disks(world);
    let until = outcome.trash_id.as_ref().map(|_| larder_fs::now().plus(config.trash_keep));
    let around = Around { disks: &disks, undo_until: until };
    render_outcome::outcome(outcome, around, &context.screen())
}

/// Whether the given projects still have what they had.
fn offline(acted: &Acted) -> String {
    match acted.untouched {
        None | Some((_, 0)) => String::new(),
        Some((whole, all)) if whole == all => {
            format!("What {all} projects need is all still there: checked {all} of {all}.\n")
        }
        Some((whole, all)) => format!(
            "Of {all} projects {whole} still have all they had; something else removed the rest.\n"
        ),
    }
}
