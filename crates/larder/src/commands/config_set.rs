//! `larder config set`: one value, with every comment and blank line left where it is.

use std::io::ErrorKind;
use std::path::Path;

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value as Toml};

use crate::args::GlobalArgs;
use crate::exit::{CliError, Exit};
use crate::printer::Printer;
use crate::settings::Wrong;
use crate::settings_file;
use crate::settings_keys::{Key, Kind};
use crate::settings_places::Places;
use crate::settings_value::read_text;
use crate::wire::WrittenDoc;

pub(crate) fn run(
    global: &GlobalArgs,
    printer: &Printer,
    path: &str,
    values: &[String],
) -> Result<Exit, CliError> {
    let (key, instance) = Key::find_any(path).ok_or_else(|| super::config::unknown(path))?;
    let places = Places::from_env();
    let value = value(key, values, places.home.as_deref())?;
    let file = super::config::own_file(global, &places)?;
    let old = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(CliError::io("read", &file, &error).with_exit(Exit::Usage)),
    };
    let wrong = |text: &str| -> Vec<Wrong> {
        let read = settings_file::read(&file, text, places.home.as_deref());
        read.problems.into_iter().map(Wrong::InFile).collect()
    };
    let Ok(mut document) = old.parse::<DocumentMut>() else { return Err(wrong(&old).into()) };
    put(&mut document, (key, instance.as_deref()), value)
        .ok_or_else(|| CliError::from(wrong(&old)).hint("mend the file first"))?;
    let new = document.to_string();
    // What the change does not mend would make every later command fail.
    let left = wrong(&new);
    if !left.is_empty() {
        return Err(left.into());
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        super::make_folder(folder)?;
    }
    super::write(&file, new.as_bytes())?;
    let said = format!("{path} = {} in {}\n", values.join(", "), file.display());
    printer.show(|| WrittenDoc::from(&[file.clone()][..]), || said);
    Ok(Exit::Done)
}

/// The value as it was typed, once it has been read as one.
fn value(key: &Key, values: &[String], home: Option<&Path>) -> Result<Toml, CliError> {
    for text in values {
        read_text(key.kind, text, home)
            .map_err(|why| CliError::usage(format!("{}: {why}", key.path())))?;
    }
    match (key.kind, values) {
        (Kind::Folders | Kind::Texts, values) => Ok(Toml::Array(values.iter().collect::<Array>())),
        (Kind::Bool, [text]) => Ok(Toml::from(text == "true")),
        (Kind::Count, [text]) if text != "off" => {
            Ok(text.parse::<i64>().map_or_else(|_| Toml::from(text), Toml::from))
        }
        (_, [text]) => Ok(Toml::from(text)),
        _ => Err(CliError::usage(format!("{} takes one value", key.path()))),
    }
}

/// Puts a value in its place; `None` where the file has something else there than a table.
fn put(
    document: &mut DocumentMut,
    (key, instance): (&Key, Option<&str>),
    mut value: Toml,
) -> Option<()> {
    let mut table = document.as_table_mut() as &mut dyn TableLike;
    // `respond.throttle-for` stands in a table within its own.
    let (within, last) = match key.name.split_once('.') {
        Some((within, last)) => (Some(within), last),
        None => (None, key.name),
    };
    let own = (!key.table.is_empty()).then_some(key.table);
    for name in [own, instance, within].into_iter().flatten() {
        let item = table.entry(name).or_insert_with(|| {
            let mut table = Table::new();
            // `[redis]` itself holds nothing but the named ones.
            table.set_implicit(own == Some(name) && instance.is_some());
            Item::Table(table)
        });
        table = item.as_table_like_mut()?;
    }
    match table.get_mut(last) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => {
            table.insert(last, Item::Value(value));
        }
    }
    Some(())
}
