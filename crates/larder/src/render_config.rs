//! The screens of `larder config`.

use std::path::Path;

use crate::printer::{DIM, Screen};
use crate::settings::{FileSeen, Settled, Source};
use crate::settings_value::Value;
use crate::table::{Align, Cell, Column, Table};
use crate::text::{plain, tilde};

/// Every setting, its value, and where that comes from.
pub fn settings<'a>(settled: impl IntoIterator<Item = &'a Settled>, screen: &Screen) -> String {
    let mut table = Table::new(vec![
        Column::new("SETTING", Align::Left),
        Column::flexible("VALUE", Align::Left, 20),
        Column::flexible("SOURCE", Align::Left, 20),
    ]);
    let home = screen.home.as_deref();
    for setting in settled {
        let source = match &setting.source {
            Source::Default => Cell::styled("default", DIM),
            Source::File(path, place) => format!("{}:{}", tilde(path, home), place.line).into(),
            other => plain(&other.to_string()).into_owned().into(),
        };
        table.row(vec![
            setting.key.path_of(setting.instance.as_deref()).into(),
            value(&setting.value, home).into(),
            source,
        ]);
    }
    table.render(screen.width, DIM)
}

fn value(value: &Value, home: Option<&Path>) -> String {
    match value {
        Value::Folder(folder) => tilde(folder, home),
        Value::Folders(folders) if folders.is_empty() => "none".to_owned(),
        Value::Folders(folders) => {
            folders.iter().map(|folder| tilde(folder, home)).collect::<Vec<_>>().join(", ")
        }
        other => other.text(),
    }
}

/// The files, the first counting most.
pub fn files(files: &[FileSeen], screen: &Screen) -> String {
    let mut table = Table::new(vec![
        Column::new("", Align::Left),
        Column::new("", Align::Left),
        Column::new("", Align::Left),
    ]);
    for file in files {
        let found = if file.found { "read" } else { "not there" };
        table.row(vec![
            tilde(&file.path, screen.home.as_deref()).into(),
            file.role.name().into(),
            found.into(),
        ]);
    }
    table.render(screen.width.max(400), DIM)
}
