//! One file a command: it parses, calls and renders. This page sends each to its own.

mod alerts;
mod apply;
mod approve;
mod audit;
mod clean;
mod completions;
mod config;
mod config_set;
mod download;
mod du;
mod events;
mod expire;
mod export;
mod heal;
mod health;
mod init;
mod man;
mod plan;
mod plans;
mod prune;
mod slowlog;
mod status;
mod throttle;
mod throttle_others;
mod trash;
mod trend;
mod unthrottle;
mod verify;
mod watch;

use std::path::Path;

use crate::args::{Cli, Command, ConfigCommand};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::printer::Printer;
use crate::wire_plan::PlanFile;

/// Runs the command that was typed; `request` is how it was typed.
pub fn dispatch(cli: Cli, printer: &Printer, request: Vec<String>) -> Result<Exit, CliError> {
    let global = &cli.global;
    let context = || Context::load(global, printer, request);
    match cli.command {
        None | Some(Command::Status) => status::run(&context()?),
        Some(Command::Du(args)) => du::run(&context()?, &args),
        Some(Command::Watch(args)) => watch::watch(global, printer, &args),
        Some(Command::Serve(args)) => watch::serve(global, printer, &args),
        Some(Command::Alerts(args)) => alerts::run(&context()?, &args),
        Some(Command::Plans) => plans::run(&context()?),
        Some(Command::Health(args)) => health::run(&context()?, &args),
        Some(Command::Audit(args)) => audit::run(&context()?, &args),
        Some(Command::Slowlog(args)) => slowlog::run(&context()?, &args),
        Some(Command::Throttle(args)) => throttle::run(&context()?, &args),
        Some(Command::Unthrottle(args)) => unthrottle::run(&context()?, &args),
        Some(Command::Clean(args)) => clean::run(&context()?, &args),
        Some(Command::Expire(args)) => expire::run(&context()?, &args),
        Some(Command::Prune(args)) => prune::run(&context()?, &args),
        Some(Command::Plan(args)) => plan::run(&context()?, &args),
        Some(Command::Approve(args)) => approve::run(&context()?, &args),
        Some(Command::Apply(args)) => apply::run(&context()?, &args),
        Some(Command::Trend(args)) => trend::run(&context()?, &args),
        Some(Command::Events(args)) => events::run(&context()?, &args),
        Some(Command::Verify(args)) => verify::run(&context()?, &args),
        Some(Command::Heal(args)) => heal::run(&context()?, &args),
        Some(Command::Download(args)) => download::run(&context()?, &args),
        Some(Command::Trash(args)) => trash::run(&context()?, &args),
        Some(Command::Init(args)) => init::run(global, printer, &args),
        Some(Command::Config(args)) => match args.command {
            ConfigCommand::Show { keys } => config::show(&context()?, &keys),
            ConfigCommand::Check => config::check(global, printer),
            ConfigCommand::Path => Ok(config::path(global, printer)),
            ConfigCommand::Set { key, values } => config_set::run(global, printer, &key, &values),
        },
        Some(Command::Export(args)) => export::run(printer, &args, context),
        Some(Command::Completions(args)) => Ok(completions::run(printer, &args)),
        Some(Command::Man(args)) => man::run(printer, &args),
    }
}

/// Downloads with progress.
pub(crate) use download::download;

/// Makes a folder that is to be written to.
fn make_folder(dir: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(dir).map_err(|error| CliError::io("make the folder", dir, &error))
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    larder_fs::write_atomic(path, bytes).map_err(|error| CliError::io("write", path, &error))
}

/// Reads a plan's file.
fn read_plan(path: &Path) -> Result<PlanFile, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::io("read", path, &error).with_exit(Exit::Usage))?;
    PlanFile::parse(&text).map_err(|bad| bad.in_file(path))
}
