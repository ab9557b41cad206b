//! `larder du` of Redis caches.

use larder_redis::{Deployment, Estimate, KeysBy, KeysDu, KeysRow, du};

use crate::args::{ByArg, DuArgs};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_removal::limits;
use crate::wire_status::DuDoc;
use crate::{key_plan, redis_readings, redis_target, render_du_keys};

/// Where the memory of a Redis is.
#[derive(Clone, Debug)]
pub(crate) struct KeysUsed {
    pub cache: String,
    pub du: KeysDu,
}

impl KeysUsed {
    /// The rows of all of them, the largest first.
    pub(crate) fn rows(looked: &[Self]) -> Vec<(&str, &KeysRow)> {
        let mut rows: Vec<(&str, &KeysRow)> = Vec::new();
        for one in looked {
            rows.extend(one.du.rows.iter().map(|row| (one.cache.as_str(), row)));
        }
        rows.sort_by(|a, b| b.1.bytes.value.total_cmp(&a.1.bytes.value));
        rows
    }

    /// Bytes and keys of all of them.
    pub(crate) fn total(looked: &[Self]) -> (Estimate, Estimate) {
        let bytes = Estimate::sum(looked.iter().map(|one| one.du.bytes));
        let keys: u64 = looked.iter().map(|one| one.du.keys).sum();
        (bytes, Estimate::exact(keys as f64))
    }
}

/// `larder du redis:NAME…`.
pub(crate) fn run(context: &Context<'_>, args: &DuArgs) -> Result<Exit, CliError> {
    let by = match args.by {
        None => KeysBy::Prefix,
        Some(ByArg::Keys(by)) => by,
        Some(ByArg::Go(by)) => {
            let names: Vec<&str> = KeysBy::ALL.into_iter().map(KeysBy::name).collect();
            let what = format!("a Redis cannot be told apart by {}", by.name());
            return Err(CliError::usage(what).hint(format!("but by {}", names.join(", "))));
        }
    };
    larder_redis::give_way();
    let mut looked = Vec::new();
    for target in key_plan::targets(context, &args.caches)? {
        let failed = |error| redis_target::failed(&error);
        let du = {
            let _progress = context.progress("Looking at keys", None);
            let deployment = Deployment::discover(&target.endpoint).map_err(failed)?;
            let stopped = || context.meter.stopped();
            let limits = limits(&target.settings, &crate::args_keys::PaceArgs::default());
            du(&deployment, by, limits, &stopped).map_err(failed)?
        };
        let state = context.settings().state.as_deref();
        redis_readings::add_own(state, &target.endpoint, du.caused);
        looked.push(KeysUsed { cache: target.cache, du });
    }
    context.printer.show(
        || DuDoc::of_keys(&looked, args.top),
        || render_du_keys::du(&looked, args.top, &context.screen()),
    );
    let whole = looked.iter().all(|one| one.du.missing.is_empty());
    Ok(if whole { Exit::Done } else { Exit::Partly })
}
