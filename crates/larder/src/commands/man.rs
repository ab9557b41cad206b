//! `larder man`.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};

use crate::args::{Cli, ManArgs};
use crate::exit::{CliError, Exit};
use crate::printer::Printer;
use crate::wire::WrittenDoc;

pub(crate) fn run(printer: &Printer, args: &ManArgs) -> Result<Exit, CliError> {
    super::make_folder(&args.dir)?;
    let mut command = Cli::command();
    command.build();
    let mut written = Vec::new();
    pages(&command, "larder", &args.dir, &mut written)?;
    printer.show(
        || WrittenDoc::from(&written[..]),
        || format!("Wrote {} manual pages to {}\n", written.len(), args.dir.display()),
    );
    Ok(Exit::Done)
}

/// `larder.1`, `larder-trash.1`, `larder-trash-restore.1`, …
fn pages(
    command: &Command,
    name: &str,
    dir: &Path,
    written: &mut Vec<PathBuf>,
) -> Result<(), CliError> {
    let path = dir.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name.to_ascii_uppercase())
        .render(&mut page)
        .and_then(|()| larder_fs::write_atomic(&path, &page))
        .map_err(|error| CliError::io("write", &path, &error))?;
    written.push(path);
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        pages(inner, &format!("{name}-{}", inner.get_name()), dir, written)?;
    }
    Ok(())
}
