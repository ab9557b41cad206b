//! `larder trend`.

use crate::args::TrendArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::wire_trend::TrendDoc;
use crate::{render_trend, trend_rows, trend_sample};

pub(crate) fn run(context: &Context<'_>, args: &TrendArgs) -> Result<Exit, CliError> {
    let (rows, whole) = match args.sample {
        Some(apart) => trend_sample::rows(context, &args.caches, apart)?,
        None => {
            let since = args.since.unwrap_or(TrendArgs::SINCE);
            (trend_rows::of_history(context, &args.caches, since)?, true)
        }
    };
    context.printer.show(
        || TrendDoc::new(&rows, larder_fs::now()),
        || render_trend::trend(&rows, args.sample.is_some(), &context.screen()),
    );
    let exit = trend_rows::exit(context, &rows, args.check);
    Ok(if whole { exit } else { Exit::Interrupted })
}
