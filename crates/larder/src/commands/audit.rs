//! `larder audit`.

use larder_core::Severity;
use larder_redis::{AuditOptions, Deployment, audit};

use crate::args::AuditArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_removal::limits;
use crate::wire_audit::AuditDoc;
use crate::{redis_readings, redis_target, render_audit};

pub(crate) fn run(context: &Context<'_>, args: &AuditArgs) -> Result<Exit, CliError> {
    if !redis_target::is_redis(&args.cache) {
        return Err(CliError::usage(format!("{} is not a Redis", args.cache))
            .hint("larder audit redis:NAME; larder status looks at Go's caches"));
    }
    larder_redis::give_way();
    let target = redis_target::find(context, &args.cache)?;
    let failed = |error| redis_target::failed(&error);
    let report = {
        let _progress = context.progress("Looking at keys", None);
        let deployment = Deployment::discover(&target.endpoint).map_err(failed)?;
        let pace = crate::args_keys::PaceArgs::default();
        let stopped = || context.meter.stopped();
        let options = AuditOptions {
            name: &target.cache,
            limits: limits(&target.settings, &pace),
            units: context.settings().units,
        };
        audit(&deployment, options, &stopped).map_err(failed)?
    };
    redis_readings::add_own(context.settings().state.as_deref(), &target.endpoint, report.caused);
    context.printer.show(
        || AuditDoc::new(&target.cache, &report, args.top),
        || render_audit::audit(&target.cache, &report, args.top, &context.screen()),
    );
    let unwell = report.findings.iter().any(|finding| finding.severity >= Severity::Warning);
    Ok(match (report.missing.is_empty(), unwell) {
        (false, _) => Exit::Partly,
        (true, true) => Exit::Unwell,
        (true, false) => Exit::Done,
    })
}
