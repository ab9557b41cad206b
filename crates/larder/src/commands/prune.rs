//! `larder prune`.

use larder_core::Plan;
use larder_engine::{Request, Verb, cycle};

use super::clean;
use crate::args::{PolicyArgs, PruneArgs};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_plan::{self, Wish};
use crate::key_removal::{self, Manner};
use crate::wire_outcome::OutcomeDoc;
use crate::wire_plan::PlanDoc;
use crate::{bridge, caches, redis_target, removal, render_keys, render_outcome, render_plan};

pub(crate) fn run(context: &Context<'_>, args: &PruneArgs) -> Result<Exit, CliError> {
    let (redis, go): (Vec<String>, Vec<String>) =
        args.caches.iter().cloned().partition(|name| redis_target::is_redis(name));
    if !redis.is_empty() && !go.is_empty() {
        return both(context, args, &redis, &go);
    }
    if !redis.is_empty() {
        let wishes = of_rules(context, &args.caches, &args.policy)?;
        return key_removal::change(context, wishes, &Manner::new(&args.pace, &args.remove));
    }
    if args.pace.any() {
        let what = "care for others is taken on a Redis, and none is named";
        return Err(CliError::usage(what).hint("larder prune redis:NAME"));
    }
    removal::run(context, &request(context, &args.caches, &args.policy)?, &args.remove)
}

/// Go's caches and keys of Redis caches in one command: what may be refused or asked about comes
/// before anything goes.
fn both(
    context: &Context<'_>,
    args: &PruneArgs,
    redis: &[String],
    go: &[String],
) -> Result<Exit, CliError> {
    let manner = Manner::new(&args.pace, &args.remove);
    if manner.pace.resume {
        return Err(CliError::usage("--resume goes on with keys alone")
            .hint("larder clean redis:NAME --resume"));
    }
    let request = request(context, go, &args.policy)?;
    let wishes = key_plan::of_rules(context, redis)?;
    context.may_act_at_once(&args.remove)?;
    let looked = {
        let _progress = context.progress("Looking", None);
        key_plan::prepare(context, wishes, key_plan::look_how(context, manner.pace.count))?
    };
    let screen = context.screen();
    if manner.dry_run {
        let (world, config) = (bridge::world(context)?, bridge::config(context));
        let files = cycle::preview(&world, &config, &request, &context.meter)?.plan;
        let text = render_plan::preview(&files, &screen) + "\n";
        let text = text + &render_keys::preview(&looked.0, &screen);
        let keys = key_plan::plan(&looked.0, &context.request).keys;
        let all = Plan { keys, ..files };
        let end = render_plan::nothing(&all);
        context.printer.show(|| PlanDoc::from(&all), || text + end);
        return Ok(if looked.1.is_empty() { Exit::Done } else { Exit::Partly });
    }
    let ready = key_removal::ready(context, looked, &manner)?;
    let (outcome, text) = removal::told(context, &request, &args.remove)?;
    let of_files = render_outcome::exit(&outcome);
    let document = OutcomeDoc::from(&outcome);
    if of_files == Exit::Interrupted {
        context.printer.show(|| document, || text);
        return Ok(of_files);
    }
    match key_removal::work(context, ready) {
        Ok(worked) => {
            context.printer.show(
                || document.with_keys(worked.document()),
                || text + &render_keys::outcome(&worked, &screen),
            );
            let of_keys = render_keys::exit(&worked);
            Ok(if of_keys == Exit::Done { of_files } else { of_keys })
        }
        Err(error) => {
            context.printer.show(|| document, || text);
            Err(error)
        }
    }
}

/// What the settings' rules want gone from each Redis of these names.
pub(super) fn of_rules(
    context: &Context<'_>,
    names: &[String],
    policy: &PolicyArgs,
) -> Result<Vec<Wish>, CliError> {
    clean::only_redis(names)?;
    if policy.any() {
        let what = "what goes from a Redis is said by the settings' rules, not by flags";
        return Err(CliError::usage(what)
            .hint("[[redis.NAME.clean]] in the settings; or larder clean redis:NAME --match …"));
    }
    key_plan::of_rules(context, names)
}

/// The request to remove what a policy no longer wants.
pub(super) fn request(
    context: &Context<'_>,
    names: &[String],
    policy: &PolicyArgs,
) -> Result<Request, CliError> {
    Ok(Request {
        verb: Verb::Prune,
        caches: if names.is_empty() { Vec::new() } else { caches::parse_for_prune(names)? },
        wishes: bridge::wishes(policy)?,
        arguments: context.request.clone(),
    })
}
