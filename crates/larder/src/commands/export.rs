//! `larder export`.

use std::path::{Path, PathBuf};

use crate::args::{ExportArgs, ExportCommand, ExportTo};
use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::export::{self, ExportedFile, systemd::Machine};
use crate::printer::Printer;
use crate::wire::{WrittenDoc, schemas};
use crate::wire_plan::file_text;

pub(crate) fn run<'a>(
    printer: &Printer,
    args: &ExportArgs,
    context: impl FnOnce() -> Result<Context<'a>, CliError>,
) -> Result<Exit, CliError> {
    match &args.command {
        ExportCommand::Schema { dir } => schema(printer, dir),
        ExportCommand::Cron { to, program } => {
            write(printer, to, &export::cron::files(&program_text(program.as_deref())?))
        }
        ExportCommand::Dashboards { to, runbooks } => {
            write(printer, to, &export::dashboards::files(runbooks))
        }
        ExportCommand::Kubernetes { to, image } => {
            write(printer, to, &export::kubernetes::files(image))
        }
        ExportCommand::Logging { to } => write(printer, to, &export::logging::files()),
        ExportCommand::Openapi { to } => {
            let text = file_text(&crate::api::description());
            write(printer, to, &[ExportedFile { name: "openapi.json", text }])
        }
        ExportCommand::Rules { to, runbooks } => {
            write(printer, to, &export::rules::files(runbooks))
        }
        ExportCommand::Systemd { to, program } => {
            let machine = machine(&context()?, program.as_deref())?;
            write(printer, to, &export::systemd::files(&machine))
        }
    }
}

fn schema(printer: &Printer, dir: &Path) -> Result<Exit, CliError> {
    super::make_folder(dir)?;
    let mut written: Vec<PathBuf> = Vec::new();
    for (name, schema) in schemas() {
        let path = dir.join(name);
        super::write(&path, file_text(&schema).as_bytes())?;
        written.push(path);
    }
    printer.show(
        || WrittenDoc::from(&written[..]),
        || format!("Wrote {} schemas to {}\n", written.len(), dir.display()),
    );
    Ok(Exit::Done)
}

/// Writes all of them, or none where one is there that somebody may have changed.
fn write(printer: &Printer, to: &ExportTo, files: &[ExportedFile]) -> Result<Exit, CliError> {
    let changed: Vec<String> = files
        .iter()
        .map(|file| (to.dir.join(file.name), file))
        .filter(|(path, file)| path.exists() && !holds(path, &file.text))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if !to.force && !changed.is_empty() {
        let what = format!("{} is there and reads otherwise", changed.join(", "));
        return Err(CliError::refused(what).hint("--force overwrites; or name another folder"));
    }
    let mut written = Vec::new();
    for file in files {
        let path = to.dir.join(file.name);
        if let Some(folder) = path.parent() {
            super::make_folder(folder)?;
        }
        super::write(&path, file.text.as_bytes())?;
        written.push(path);
    }
    printer.show(
        || WrittenDoc::from(&written[..]),
        || format!("Wrote {} files to {}\n", written.len(), to.dir.display()),
    );
    Ok(Exit::Done)
}

fn holds(path: &Path, text: &str) -> bool {
    std::fs::read(path).is_ok_and(|have| have == text.as_bytes())
}

/// The program that an exported file runs, absolute: schedulers know no PATH of a person.
fn program_text(named: Option<&Path>) -> Result<String, CliError> {
    let absolute = match named {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    };
    let path = absolute.map_err(|error| {
        CliError::usage(format!("it is not known where larder is: {error}"))
            .hint("name it: --program FILE")
    })?;
    Ok(path.to_string_lossy().into_owned())
}

/// What units for this machine are made of.
fn machine(context: &Context<'_>, program: Option<&Path>) -> Result<Machine, CliError> {
    let world = bridge::world(context)?;
    let by = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    Ok(Machine {
        program: program_text(program)?,
        user: by.unwrap_or_else(|| "larder".to_owned()),
        home: etcetera::home_dir().ok(),
        gocache: world.gocache.path,
        gomodcache: world.gomodcache.path,
        state: context.settings().state.clone(),
    })
}
