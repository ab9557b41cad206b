//! `larder apply`.

use larder_core::check::Approval;
use larder_engine::{Profile, cycle};

use crate::args::ApplyArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_removal::Manner;
use crate::wire_plan::{BadPlan, PlanDoc};
use crate::{bridge, key_removal, removal, render_plan, waiting};

pub(crate) fn run(context: &Context<'_>, args: &ApplyArgs) -> Result<Exit, CliError> {
    let path = waiting::file(context.settings().state.as_deref(), &args.file)?;
    let file = super::read_plan(&path)?;
    let plan = file.plan(&bridge::classify).map_err(|bad| bad.in_file(&path))?;
    if !plan.keys.is_empty() && !plan.items.is_empty() {
        let what = "it names caches of Go's and keys of a Redis, which larder never plans together";
        return Err(BadPlan(what.to_owned()).in_file(&path));
    }
    if !plan.keys.is_empty() {
        let manner = Manner::new(&args.pace, &args.remove);
        return key_removal::apply(context, &file, plan, &manner);
    }
    let approval = match file.approval(context.settings().profile == Profile::Production) {
        // A plan is read before it is approved.
        Approval::Missing if args.remove.dry_run => Approval::Given,
        approval => approval,
    };
    let world = bridge::world(context)?;
    let config = bridge::config(context);
    let options = removal::options(context, &args.remove, approval);
    if args.remove.dry_run {
        let plan = cycle::checked(&world, &config, plan, &options)?;
        context.printer.show(
            || PlanDoc::from(plan.plan()),
            || {
                render_plan::preview(plan.plan(), &context.screen())
                    + render_plan::nothing(plan.plan())
            },
        );
        return Ok(Exit::Done);
    }
    context.state_folder()?;
    let outcome = {
        let _progress = context.progress("Removing", None);
        cycle::apply_plan(&world, &config, plan, &options, &context.meter)?
    };
    Ok(removal::finish(context, (&world, &config), &outcome, ""))
}
