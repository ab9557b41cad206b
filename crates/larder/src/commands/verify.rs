//! `larder verify`.

use std::path::PathBuf;
use std::time::Instant;

use larder_core::check::Approval;
use larder_core::{CacheKind, Meter, Outcome};
use larder_engine::verify::{self, CACHES, Verified, Wanted};

use crate::args::VerifyArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::wire_verify::VerifyDoc;
use crate::{bridge, caches, removal, render_verify, verified_file};

pub(crate) fn run(context: &Context<'_>, args: &VerifyArgs) -> Result<Exit, CliError> {
    let started = Instant::now();
    let mends = args.fix && !args.remove.dry_run;
    if mends {
        context.may_act_at_once(&args.remove)?;
        context.state_folder()?;
    }
    let wanted = wanted(args)?;
    let world = bridge::world(context)?;
    let config = bridge::config(context);
    let total = context
        .printer
        .shows_progress()
        .then(|| verify::expected_bytes(&world, &wanted, &Meter::default()));
    let mut verified = {
        let _progress = context.progress("Verifying", total);
        verify::verify(&world, &config, &wanted, &context.meter)?
    };
    let mut fix = None;
    if mends && !context.meter.stopped() {
        let options = removal::options(context, &args.remove, Approval::NotAsked);
        let request = &context.request;
        let verified = &mut verified;
        let meter = &context.meter;
        fix = verify::mend(&world, &config, &wanted, verified, &options, request, meter)?;
    }
    if let Some(state) = &context.settings().state
        && let Err(error) = verified_file::remember(state, &verified)
    {
        context.printer.warning(&format!("this verification will not be remembered: {error}"));
    }
    let took = started.elapsed();
    context.printer.show(
        || VerifyDoc::new(&verified, fix.as_ref(), took),
        || render_verify::verify(&verified, fix.as_ref(), took, &context.screen()),
    );
    Ok(exit(&verified, fix.as_ref()))
}

fn wanted(args: &VerifyArgs) -> Result<Wanted, CliError> {
    let caches = if args.caches.is_empty() { Vec::new() } else { named(&args.caches)? };
    let roots = args.roots.iter().map(|dir| bridge::folder("--roots", dir));
    let roots: Vec<PathBuf> = roots.collect::<Result<_, _>>()?;
    Ok(Wanted { caches, roots, sumdb: args.sumdb, ..Wanted::default() })
}

/// The caches that were named; toolchains and clones are verified with `mod`.
fn named(names: &[String]) -> Result<Vec<CacheKind>, CliError> {
    let kinds = caches::parse(names)?;
    let asked_for_all = names.iter().any(|name| name == "go");
    if let Some(other) = kinds.iter().find(|kind| !CACHES.contains(kind))
        && !asked_for_all
    {
        let hint = match other.root() {
            larder_core::RootKind::GoCache => "larder verify build",
            larder_core::RootKind::GoModCache => "larder verify mod looks at all of GOMODCACHE",
        };
        return Err(CliError::usage(format!("{other} is not verified by itself")).hint(hint));
    }
    Ok(CACHES.into_iter().filter(|kind| kinds.contains(kind)).collect())
}

/// How it ends: what is left bad counts, what could not be removed more, and a build cache that
/// could not be read is not all done.
fn exit(verified: &[Verified], fix: Option<&Outcome>) -> Exit {
    let unread =
        |one: &Verified| one.cache == CacheKind::Build && !one.found.unverifiable.is_empty();
    if verified.iter().any(|one| !one.complete) {
        Exit::Interrupted
    } else if fix.is_some_and(|outcome| !outcome.failed.is_empty()) {
        Exit::Partly
    } else if verified.iter().any(|one| one.found.is_bad()) {
        Exit::Unwell
    } else if verified.iter().any(unread) {
        Exit::Partly
    } else {
        Exit::Done
    }
}
