//! `larder config show`, `check` and `path`.

use std::path::PathBuf;

use crate::args::GlobalArgs;
use crate::context::{Context, input};
use crate::exit::{CliError, Exit};
use crate::printer::Printer;
use crate::render_config;
use crate::settings::{FileSeen, Settled, resolve};
use crate::settings_keys::{Key, all, nearest};
use crate::settings_places::Places;
use crate::wire::{CheckDoc, ConfigDoc};

pub(crate) fn show(context: &Context<'_>, keys: &[String]) -> Result<Exit, CliError> {
    for wanted in keys {
        let known = all().any(|key| matches(key, None, wanted));
        if !known && !context.resolved.settled.iter().any(|s| matches_settled(s, wanted)) {
            return Err(unknown(wanted));
        }
    }
    let all = &context.resolved.settled;
    let shown: Vec<&Settled> = all
        .iter()
        .filter(|settled| keys.is_empty() || keys.iter().any(|k| matches_settled(settled, k)))
        .collect();
    context.printer.show(
        || ConfigDoc::new(&context.resolved, shown.iter().copied()),
        || render_config::settings(shown.iter().copied(), &context.screen()),
    );
    Ok(Exit::Done)
}

pub(crate) fn check(global: &GlobalArgs, printer: &Printer) -> Result<Exit, CliError> {
    let resolved = resolve(&input(global));
    let wrong = resolved.as_ref().err().map_or(&[][..], |wrong| wrong);
    if printer.is_json() {
        printer.document(&CheckDoc::from(wrong));
        return Ok(if wrong.is_empty() { Exit::Done } else { Exit::Usage });
    }
    let resolved = resolved?;
    resolved.warnings.iter().for_each(|warning| printer.warning(warning));
    let read: Vec<String> = resolved
        .files
        .iter()
        .filter(|file| file.found)
        .map(|file| file.path.display().to_string())
        .collect();
    let files = if read.is_empty() { "no settings file".to_owned() } else { read.join(", ") };
    printer.answer(&format!("Nothing is wrong: {files}\n"));
    Ok(Exit::Done)
}

/// Works with broken files too: it is how one finds them.
pub(crate) fn path(global: &GlobalArgs, printer: &Printer) -> Exit {
    let input = input(global);
    let files = input.places.files(input.config.as_deref()).into_iter();
    let files: Vec<FileSeen> =
        files.map(|(role, path)| FileSeen { role, found: path.is_file(), path }).collect();
    let screen = printer.screen(larder_core::size::Units::default(), larder_fs::now());
    printer.show(|| ConfigDoc::files(&files), || render_config::files(&files, &screen));
    Exit::Done
}

/// The file that `init` and `config set` write: the one that was named, else the user's. A link
/// is followed, so that it stays one.
pub(crate) fn own_file(global: &GlobalArgs, places: &Places) -> Result<PathBuf, CliError> {
    let named = global.config.clone().or_else(|| places.variable.clone());
    let path = named.or_else(|| places.user.clone()).ok_or_else(|| {
        CliError::usage("there is no home folder to keep settings in").hint("name a file: --config")
    })?;
    if global.config.is_none() && !path.is_absolute() {
        let what = format!("$LARDER_CONFIG: {} is relative; name the file in full", path.display());
        return Err(CliError::usage(what));
    }
    Ok(std::fs::canonicalize(&path).unwrap_or(path))
}

pub(crate) fn unknown(wanted: &str) -> CliError {
    let paths: Vec<String> = all().map(Key::path).collect();
    let guess = nearest(wanted, paths.iter().map(String::as_str))
        .map_or_else(String::new, |guess| format!("; did you mean {guess}?"));
    CliError::usage(format!("unknown setting {wanted}{guess}"))
        .hint("larder config show lists every setting that there is")
}

fn matches_settled(settled: &Settled, wanted: &str) -> bool {
    matches(settled.key, settled.instance.as_deref(), wanted)
}

fn matches(key: &Key, instance: Option<&str>, wanted: &str) -> bool {
    key.path_of(instance) == wanted
        || (!key.table.is_empty() && key.table == wanted)
        || instance.is_some_and(|instance| format!("{}.{instance}", key.table) == wanted)
}
