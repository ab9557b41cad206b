//! `larder heal`.

use std::io;

use larder_engine::heal::{Healed, Healer};

use crate::args::{HealArgs, RemoveArgs};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::wire_heal::HealDoc;
use crate::wire_plan::file_text;
use crate::{bridge, heal_run, render_heal, verified_file};

pub(crate) fn run(context: &Context<'_>, args: &HealArgs) -> Result<Exit, CliError> {
    let state = context.state_folder()?;
    let config = bridge::config(context);
    // Whatever is wrong with the flags is told before anything runs.
    let world = bridge::world(context)?;
    let folder = std::env::current_dir().unwrap_or_default();
    let discover = || bridge::world(context).unwrap_or_else(|_| bridge::world_of_environment());
    let engine = Healer {
        discover: &discover,
        config: &config,
        folder,
        arguments: &context.request,
        wait: RemoveArgs::WAIT,
        meter: &context.meter,
    };
    drop(world);
    let mut command = || {
        let mut command = heal_run::command(&args.command)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        for (name, dir) in
            [("GOCACHE", &context.global.gocache), ("GOMODCACHE", &context.global.gomodcache)]
        {
            if let Some(dir) = dir {
                command.env(name, std::path::absolute(dir)?);
            }
        }
        heal_run::run(&mut command, &context.meter)
    };
    let mut say = |line: &str| context.printer.note(&format!("larder: {line}"));
    let healed = match engine.heal(&mut command, &mut say) {
        Ok(healed) => healed,
        Err(error) => return Ok(not_run(context, args, &error)),
    };
    let whole = healed.verified.iter().filter(|one| one.found.checked > 0);
    let whole: Vec<_> = whole.filter(|_| healed.clues.versions.is_empty()).cloned().collect();
    // Only a memory for the status; the report is what counts.
    let _ = verified_file::remember(state, &whole);
    report(context, args, &healed)?;
    Ok(Exit::Command(healed.last().code))
}

/// The report, where nothing of the command's own output is disturbed by it.
fn report(context: &Context<'_>, args: &HealArgs, healed: &Healed) -> Result<(), CliError> {
    let document = HealDoc::new(&args.command, healed);
    if let Some(path) = &args.report {
        super::write(path, file_text(&document).as_bytes())?;
    }
    if context.printer.is_json() {
        context.printer.note_always(file_text(&document).trim_end());
    } else {
        let text = render_heal::report(healed, &context.screen());
        if !text.is_empty() {
            context.printer.note(text.trim_end());
        }
    }
    Ok(())
}

/// A command that could not be run ends as a shell would end it.
fn not_run(context: &Context<'_>, args: &HealArgs, error: &io::Error) -> Exit {
    let program = args.command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    let missing = error.kind() == io::ErrorKind::NotFound;
    let exit = Exit::Command(if missing { 127 } else { 126 });
    context.printer.error(&CliError::new(exit, format!("cannot run {program}: {error}")));
    exit
}
