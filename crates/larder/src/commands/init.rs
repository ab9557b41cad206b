//! `larder init`.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::args::{GlobalArgs, InitArgs};
use crate::exit::{CliError, Exit};
use crate::printer::Printer;
use crate::settings_places::Places;
use crate::settings_template::{find_roots, text};
use crate::wire::WrittenDoc;

pub(crate) fn run(
    global: &GlobalArgs,
    printer: &Printer,
    args: &InitArgs,
) -> Result<Exit, CliError> {
    let places = Places::from_env();
    let path = super::config::own_file(global, &places)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        super::make_folder(folder)?;
    }
    if !args.force {
        reserve(&path)?;
    }
    let roots = places.home.as_deref().map(find_roots).unwrap_or_default();
    super::write(&path, text(&roots).as_bytes())?;
    let said = match &roots[..] {
        [] => "No projects were found; name their folders: larder config set roots DIR…".to_owned(),
        found => format!("Projects below {}: what they need is kept", found.join(", ")),
    };
    printer.show(
        || WrittenDoc::from(&[path.clone()][..]),
        || format!("Wrote {}\n{said}\n", path.display()),
    );
    Ok(Exit::Done)
}

/// Takes the name, or says that it is taken.
fn reserve(path: &PathBuf) -> Result<(), CliError> {
    match File::create_new(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(CliError::refused(format!("{} exists", path.display()))
                .hint("--force overwrites it; larder config set changes one setting"))
        }
        Err(error) => Err(CliError::io("write", path, &error)),
    }
}
