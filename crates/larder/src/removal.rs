//! What `clean` and `prune` share: a preview, or the whole flow at once.

use larder_core::check::Approval;
use larder_core::{Meter, Outcome};
use larder_engine::cycle::{self, Acted, Options};
use larder_engine::{Config, Request, World, status, trash};

use crate::args::RemoveArgs;
use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::render_outcome::{self, Around};
use crate::render_plan;
use crate::wire_outcome::OutcomeDoc;
use crate::wire_plan::PlanDoc;

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
            || render_plan::preview(&plan, &context.screen()) + render_plan::NOTHING_WAS_REMOVED,
        );
        return Ok(Exit::Done);
    }
    context.state_folder()?;
    let options = options(context, args, Approval::NotAsked);
    let acted = {
        let _progress = context.progress("Removing", None);
        cycle::act(&world, &config, request, &options, &context.meter)?
    };
    let more = offline(&acted) + &render_plan::kept(&acted.planned.plan, &context.screen());
    Ok(finish(context, (&world, &config), &acted.outcome, &more))
}

/// How to apply, by the flags and the settings.
pub(crate) fn options(context: &Context<'_>, args: &RemoveArgs, approval: Approval) -> Options {
    Options { trash: context.uses_trash(args), force: args.force, wait: args.wait(), approval }
}

/// Shows what was done, and empties what has been in the trash for its time.
pub(crate) fn finish(
    context: &Context<'_>,
    (world, config): (&World, &Config),
    outcome: &Outcome,
    more: &str,
) -> Exit {
    trash::expire(world, config, &Meter::default());
    let disks = status::disks(world);
    let until = outcome.trash_id.as_ref().map(|_| larder_fs::now().plus(config.trash_keep));
    let around = Around { disks: &disks, undo_until: until };
    context.printer.show(
        || OutcomeDoc::from(outcome),
        || render_outcome::outcome(outcome, around, &context.screen()) + more,
    );
    render_outcome::exit(outcome)
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
