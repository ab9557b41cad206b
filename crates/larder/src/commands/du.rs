//! `larder du`.

use larder_core::CacheKind;
use larder_engine::du;
use larder_engine::report::By;

use super::clean;
use crate::args::{ByArg, DuArgs};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::wire_status::DuDoc;
use crate::{bridge, caches, key_du, redis_target, render_du};

pub(crate) fn run(context: &Context<'_>, args: &DuArgs) -> Result<Exit, CliError> {
    if args.caches.iter().any(|name| redis_target::is_redis(name)) {
        clean::only_redis(&args.caches)?;
        return key_du::run(context, args);
    }
    let by = match args.by {
        None => By::Kind,
        Some(ByArg::Go(by)) => by,
        Some(ByArg::Keys(by)) => {
            let what = format!("Go's caches cannot be told apart by {}", by.name());
            return Err(CliError::usage(what)
                .hint(format!("of a Redis: larder du redis:NAME --by {}", by.name())));
        }
    };
    let chosen = du::settle(&caches::parse(&args.caches)?, by).map_err(misfit)?;
    let world = bridge::world(context)?;
    let report = {
        let _progress = context.progress("Measuring", None);
        du::du(&world, &chosen, by, Some(args.top), &context.meter)?
    };
    context.printer.show(|| DuDoc::from(&report), || render_du::du(&report, &context.screen()));
    Ok(Exit::Done)
}

fn misfit(error: du::DoesNotFit) -> CliError {
    let fits: Vec<&str> = CacheKind::ALL
        .into_iter()
        .filter(|cache| error.by.fits(*cache))
        .map(CacheKind::name)
        .collect();
    CliError::usage(error.to_string()).hint(format!("that is for {}", fits.join(", ")))
}
