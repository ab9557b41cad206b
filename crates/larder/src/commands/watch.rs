//! `larder watch` and `larder serve`.

use crate::args::{GlobalArgs, ServeArgs, WatchArgs};
use crate::daemon::{self, Mode};
use crate::exit::{CliError, Exit};
use crate::printer::Printer;

pub(crate) fn watch(
    global: &GlobalArgs,
    printer: &Printer,
    args: &WatchArgs,
) -> Result<Exit, CliError> {
    let mode = if args.once { Mode::Once { trigger: args.trigger.clone() } } else { Mode::Watch };
    daemon::run(global, printer, &mode)
}

pub(crate) fn serve(
    global: &GlobalArgs,
    printer: &Printer,
    args: &ServeArgs,
) -> Result<Exit, CliError> {
    daemon::run(global, printer, &Mode::Serve { listen: args.listen })
}
