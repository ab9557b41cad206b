//! `larder export`.

use std::path::PathBuf;

use crate::args::{ExportArgs, ExportCommand};
use crate::exit::{CliError, Exit};
use crate::printer::Printer;
use crate::wire::{WrittenDoc, schemas};
use crate::wire_plan::file_text;

pub(crate) fn run(printer: &Printer, args: &ExportArgs) -> Result<Exit, CliError> {
    let ExportCommand::Schema { dir } = &args.command;
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
