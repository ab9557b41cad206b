//! `larder status`.

use larder_engine::status::status;

use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::wire_status::StatusDoc;
use crate::{render_status, verified_file};

pub(crate) fn run(context: &Context<'_>) -> Result<Exit, CliError> {
    let world = bridge::world(context)?;
    let config = bridge::config(context);
    let mut report = {
        let _progress = context.progress("Measuring", None);
        status(&world, &config, &context.meter)?
    };
    verified_file::recall(context.settings().state.as_deref(), &world, &mut report);
    context
        .printer
        .show(|| StatusDoc::from(&report), || render_status::status(&report, &context.screen()));
    Ok(Exit::Done)
}
