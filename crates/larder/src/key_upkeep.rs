//! Pruning a Redis by the settings' rules with nobody at the keyboard: what a daemon calls.
//!
//! Promises: no question is asked and nothing is printed; in the production profile nothing is
//! removed but by an approved plan; the pace is the settings', an undo is kept where the server is
//! production. Leaves out: when this is done, and who is told.

use larder_core::check::Approval;
use larder_core::{CheckedPlan, Plan};
use larder_engine::{Profile, keys};

use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_removal::{self, Worked};
use crate::wire_outcome::OutcomeDoc;
use crate::wire_plan::{PlanDoc, PlanFile, document};
use crate::{key_plan, redis_target, render_keys};

/// A plan of what the `[[redis.NAME.clean]]` rules want gone from this `redis:NAME`, an item a
/// rule. Nothing is removed. An error where there is no rule.
pub fn prune_plan(context: &Context<'_>, name: &str) -> Result<Plan, CliError> {
    let wishes = key_plan::of_rules(context, &[name.to_owned()])?;
    let (prepared, mut failed) =
        key_plan::prepare(context, wishes, key_plan::look_how(context, false))?;
    match failed.pop() {
        Some((_, error)) => Err(error),
        None => Ok(key_plan::plan(&prepared, &["prune".to_owned(), name.to_owned()])),
    }
}

/// Whether this plan may be applied now: in production only as the file of it was approved. `file`
/// is the plan's, where it has one.
pub fn check(
    context: &Context<'_>,
    plan: Plan,
    file: Option<&PlanFile>,
) -> Result<CheckedPlan, CliError> {
    let mut profile = context.settings().profile;
    for item in &plan.keys {
        if redis_target::find(context, &item.cache)?.profile == Profile::Production {
            profile = Profile::Production;
        }
    }
    let asks = profile == Profile::Production;
    let approval = match (file, asks) {
        (Some(file), _) => file.approval(asks),
        (None, true) => Approval::Missing,
        (None, false) => Approval::NotAsked,
    };
    Ok(keys::checked(&bridge::config(context), profile, approval, plan)?)
}

/// Applies it. The exit is the one that `larder apply` would end in.
pub fn apply(
    context: &Context<'_>,
    checked: CheckedPlan,
    file: Option<&PlanFile>,
) -> Result<(OutcomeDoc, Exit), CliError> {
    let worked = carry_out(context, checked, file)?;
    Ok((worked.document(), render_keys::exit(&worked)))
}

/// Applies it, and tells what was done item by item.
pub(crate) fn carry_out(
    context: &Context<'_>,
    checked: CheckedPlan,
    file: Option<&PlanFile>,
) -> Result<Worked, CliError> {
    let document = match file {
        Some(file) => file.document().clone(),
        None => document(&PlanDoc::from(checked.plan())),
    };
    key_removal::apply_unasked(context, checked, document)
}
