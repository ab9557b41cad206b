//! `larder unthrottle`.

use larder_redis::throttle::{Subject, Throttle};

use super::throttle::finish;
use crate::args_throttle::UnthrottleArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::throttle_hold::{LITTLE_PATIENCE, give_back};
use crate::throttle_store::ThrottleStore;
use crate::throttles::{self, Hands};
use crate::wire_throttle::{ThrottleDoc, ThrottleReport};
use crate::{history_keep, redis_target, render_throttle, throttle_guard};

pub(crate) fn run(context: &Context<'_>, args: &UnthrottleArgs) -> Result<Exit, CliError> {
    if !redis_target::is_redis(&args.cache) {
        return Err(CliError::usage(format!("{} is not a Redis", args.cache))
            .hint("larder unthrottle redis:NAME --all"));
    }
    // Not what is overdue first: that is ended here as well.
    let target = redis_target::locate(context, &args.cache)?;
    let store = ThrottleStore::new(context.state_folder()?);
    let all = throttles::in_force_on(&store, &target);
    let wanted: Vec<Throttle> = all.iter().filter(|one| is_meant(args, one)).cloned().collect();
    if wanted.is_empty() && !args.all {
        return Err(unknown(args, &all));
    }
    let trace_id = larder_engine::keys::new_id();
    let say = |event: larder_core::Event| {
        context.printer.detail(&event.message);
        history_keep::told(context, event);
    };
    let hands = Hands { store: &store, target: &target, trace_id: &trace_id, say: &say };
    let mut reports = Vec::new();
    let (mut ended, mut left) = (0_u64, 0_u64);
    for throttle in wanted {
        let returned = if args.when_over {
            throttle_guard::stand(context, &hands, &throttle)?
        } else {
            give_back(context, &hands, &throttle.id, LITTLE_PATIENCE)?
        };
        let mut report = ThrottleReport::new(throttle, "in-force", "limited");
        finish(&mut report, returned);
        left += report.count("not-restored") as u64;
        ended += (report.nodes.len() - report.count("not-restored")) as u64;
        reports.push(report);
    }
    let screen = context.screen();
    context.printer.show(
        || ThrottleDoc::new(&target.cache, &reports),
        || render_throttle::ended(&target.cache, &reports, &screen),
    );
    Ok(match (left, ended) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Unreachable,
        _ => Exit::Partly,
    })
}

fn is_meant(args: &UnthrottleArgs, throttle: &Throttle) -> bool {
    match &throttle.subject {
        _ if args.all => true,
        Subject::User { user, .. } => args.user.as_ref() == Some(user),
        Subject::Client { node, id } => args.client.as_ref().is_some_and(|client| {
            client.id == *id && client.node.as_ref().is_none_or(|there| there == node)
        }),
        Subject::Scripts { .. } => false,
    }
}

fn unknown(args: &UnthrottleArgs, all: &[Throttle]) -> CliError {
    let who = match (&args.user, &args.client) {
        (Some(user), _) => format!("user {user}"),
        (None, Some(client)) => format!("client {}", client.id),
        (None, None) => "nobody".to_owned(),
    };
    let what = format!("no larder on this machine limits {who} of {}", args.cache);
    let known: Vec<String> = all.iter().map(|one| throttles::who(&one.subject)).collect();
    CliError::usage(what).hint(match known.as_slice() {
        [] => "nobody is limited there from here".to_owned(),
        known => format!("limited are {}", known.join(", ")),
    })
}
