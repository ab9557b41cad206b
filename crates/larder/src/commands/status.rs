//! `larder status`.

use std::time::Instant;

use larder_engine::status::status;

use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::wire_status::StatusDoc;
use crate::{history_keep, redis_status, render_redis_status, render_status, verified_file};

pub(crate) fn run(context: &Context<'_>) -> Result<Exit, CliError> {
    let world = bridge::world(context)?;
    let begun = Instant::now();
    let config = bridge::config(context);
    // A server that hangs costs its time-out beside the scan, not after it.
    let asking = redis_status::begin(context);
    let mut report = {
        let _progress = context.progress("Measuring", None);
        status(&world, &config, &context.meter)?
    };
    let redis = asking.rows();
    let took = begun.elapsed();
    verified_file::recall(context.settings().state.as_deref(), &world, &mut report);
    context.printer.show(
        || StatusDoc::from(&report).with_redis(&redis),
        || {
            render_status::status(&report, &context.screen())
                + &render_redis_status::rows(&redis, &context.screen())
        },
    );
    history_keep::status(context, &report, &redis, took);
    Ok(Exit::Done)
}
