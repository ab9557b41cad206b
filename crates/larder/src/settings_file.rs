//! One settings file: every value in it with its place, and everything that is wrong with it.
//!
//! Nothing stops at the first mistake: syntax errors, duplicate and unknown keys and values of
//! the wrong kind all come back together, in the order of the file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::settings_keys::{Key, Kind, all, nearest};
use crate::settings_named::{TABLES, check_name, keys_of};
use crate::settings_redis;
use crate::settings_value::{Value, read_folder, read_text};

/// A line and column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// Something wrong in a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Where in it; `None` where it is about the whole file.
    pub place: Option<Place>,
    /// What, in one line without a full stop.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(place) = self.place {
            write!(f, "{}:{}:", place.line, place.column)?;
        }
        write!(f, " {}", self.what)
    }
}

/// A value that a file gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Which setting.
    pub key: &'static Key,
    /// Whose, where several have it: the NAME of `[redis.NAME]` or `[notify.NAME]`.
    pub instance: Option<String>,
    /// Its value.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
}

/// What a file says, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSettings {
    /// The good values.
    pub given: Vec<Given>,
    /// The rest, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads the text of a settings file.
pub fn read(file: &Path, text: &str, home: Option<&Path>) -> FileSettings {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, home, given: Vec::new(), found: Vec::new() };
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        let what = match (error.message().trim(), text.get(at.clone())) {
            ("duplicate key", Some(key)) => format!("{key} is given twice"),
            (what, _) => what.replace('\n', ", "),
        };
        reader.found.push((at, true, what));
    }
    reader.table("", table.get_ref());
    let problems = reader.problems(file);
    FileSettings { given: reader.given, problems }
}

struct Reader<'a> {
    text: &'a str,
    home: Option<&'a Path>,
    given: Vec<Given>,
    /// Where, whether TOML itself refuses it, and what.
    found: Vec<(Range<usize>, bool, String)>,
}

impl Reader<'_> {
    fn table(&mut self, name: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            // What TOML makes up in place of a value that it refuses stands nowhere.
            if value.span().is_empty() && !matches!(value.get_ref(), DeValue::Table(_)) {
                continue;
            }
            let typed = key.get_ref().as_ref();
            match (name, value.get_ref()) {
                ("", DeValue::Table(inner)) if keys_of(typed).is_some() => self.named(typed, inner),
                ("", DeValue::Table(inner)) if is_table(typed) => self.table(typed, inner),
                ("", _) if is_table(typed) => {
                    let what = format!("expected a table: [{typed}], found {}", found(value));
                    self.problem(value.span(), what);
                }
                _ => match all().find(|k| k.table == name && k.name == typed) {
                    Some(known) => self.value(known, None, key.span(), value),
                    None => self.unknown(name, key, value),
                },
            }
        }
    }

    fn value(
        &mut self,
        key: &'static Key,
        instance: Option<&str>,
        at: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let path = key.path_of(instance);
        let home = self.home;
        let read = match (key.kind, value.get_ref()) {
            (Kind::Folders, DeValue::Array(items)) => return self.folders(key, at, items),
            (Kind::Texts, DeValue::Array(items)) => texts(items),
            (Kind::Bool, DeValue::Boolean(value)) => Ok(Value::Bool(*value)),
            // A plain number of bytes or versions reads the same with and without quotes.
            (Kind::Size | Kind::Count, DeValue::Integer(number)) if number.radix() == 10 => {
                read_text(key.kind, &number.as_str().replace('_', ""), home)
            }
            (Kind::Bool | Kind::Folders | Kind::Rules, _) => Err(mismatch(key.kind, value)),
            (kind, DeValue::String(text)) => read_text(kind, text, home),
            (kind, _) => Err(mismatch(kind, value)),
        };
        match read {
            Ok(value) => {
                let place = self.place(at.start);
                let instance = instance.map(str::to_owned);
                self.given.push(Given { key, instance, value, place });
            }
            Err(why) => self.problem(value.span(), format!("{path}: {why}")),
        }
    }

    /// `[redis.NAME]` for each NAME.
    fn named(&mut self, table: &str, names: &DeTable<'_>) {
        for (name, value) in names {
            let typed = name.get_ref().as_ref();
            let DeValue::Table(inner) = value.get_ref() else {
                let what = format!("{table}.{typed} belongs into a table: [{table}.NAME]");
                self.problem(name.span(), what);
                continue;
            };
            match check_name(typed) {
                Ok(()) => self.settings_of((table, typed), "", inner),
                Err(why) => self.problem(name.span(), why),
            }
        }
    }

    /// The settings of one name; of a table within it those whose names begin with `prefix`.
    fn settings_of(&mut self, whose: (&str, &str), prefix: &str, settings: &DeTable<'_>) {
        let (table, name) = whose;
        let keys = keys_of(table).unwrap_or_default();
        for (key, value) in settings {
            let setting = format!("{prefix}{}", key.get_ref());
            let within = format!("{setting}.");
            match (keys.iter().find(|known| known.name == setting), value.get_ref()) {
                (Some(known), DeValue::Array(rules)) if known.kind == Kind::Rules => {
                    self.rules(known, name, key.span(), rules);
                }
                (Some(known), _) => self.value(known, Some(name), key.span(), value),
                (None, DeValue::Table(inner))
                    if keys.iter().any(|known| known.name.starts_with(&within)) =>
                {
                    self.settings_of(whose, &within, inner);
                }
                (None, _) => {
                    let near = nearest(&setting, keys.iter().map(|known| known.name));
                    let guess = near.map_or_else(String::new, |near| {
                        format!("; did you mean {table}.{name}.{near}?")
                    });
                    let what = format!("unknown setting {table}.{name}.{setting}{guess}");
                    self.problem(key.span(), what);
                }
            }
        }
    }

    fn rules(
        &mut self,
        key: &'static Key,
        name: &str,
        at: Range<usize>,
        tables: &[Spanned<DeValue<'_>>],
    ) {
        let mut rules = Vec::new();
        for table in tables {
            match settings_redis::rule(table) {
                Ok(rule) => rules.push(rule),
                Err((at, why)) => self.problem(at, format!("redis.{name}.clean: {why}")),
            }
        }
        let (place, instance) = (self.place(at.start), Some(name.to_owned()));
        self.given.push(Given { key, instance, value: Value::Rules(rules), place });
    }

    fn folders(&mut self, key: &'static Key, at: Range<usize>, items: &[Spanned<DeValue<'_>>]) {
        let mut folders = Vec::new();
        for item in items {
            let read = match item.get_ref() {
                DeValue::String(text) => read_folder(Path::new(text.as_ref()), self.home),
                _ => Err(mismatch(Kind::Folder, item)),
            };
            match read {
                Ok(folder) => folders.push(folder),
                Err(why) => self.problem(item.span(), format!("{}: {why}", key.path())),
            }
        }
        let place = self.place(at.start);
        self.given.push(Given { key, instance: None, value: Value::Folders(folders), place });
    }

    fn unknown(
        &mut self,
        table: &str,
        key: &Spanned<toml::de::DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let typed = key.get_ref().as_ref();
        let is_header = matches!(value.get_ref(), DeValue::Table(_)) && table.is_empty();
        let (what, guess) = if is_header {
            let tables = all().map(|k| k.table).filter(|t| !t.is_empty());
            let tables = tables.chain(TABLES.iter().map(|(table, _)| *table));
            (format!("unknown table [{typed}]"), nearest(typed, tables).map(|t| format!("[{t}]")))
        } else {
            let what = if table.is_empty() { typed.to_owned() } else { format!("{table}.{typed}") };
            (format!("unknown setting {what}"), suggest(table, typed))
        };
        let hint = guess.map_or_else(String::new, |guess| format!("; did you mean {guess}?"));
        self.problem(key.span(), format!("{what}{hint}"));
    }

    fn problem(&mut self, at: Range<usize>, what: String) {
        self.found.push((at, false, what));
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// In the order of the file. Where TOML refuses a line, what its remains were taken for
    /// says nothing, and is left out.
    fn problems(&mut self, file: &Path) -> Vec<Problem> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(at, syntax, _)| (at.start, !syntax));
        let line_of = |at: &Range<usize>| self.place(at.start).line;
        let refused: Vec<usize> =
            found.iter().filter(|(_, syntax, _)| *syntax).map(|(at, ..)| line_of(at)).collect();
        let mut seen = Vec::new();
        found.retain(|(at, syntax, _)| {
            let line = line_of(at);
            let first = !*syntax || !seen.contains(&line);
            seen.push(line);
            first && (*syntax || !refused.contains(&line))
        });
        found
            .into_iter()
            .map(|(at, _, what)| Problem {
                file: file.to_owned(),
                place: Some(self.place(at.start)),
                what,
            })
            .collect()
    }
}

fn texts(items: &[Spanned<DeValue<'_>>]) -> Result<Value, String> {
    let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err(mismatch(Kind::Texts, item)),
    };
    items.iter().map(text).collect::<Result<_, _>>().map(Value::Texts)
}

fn is_table(name: &str) -> bool {
    !name.is_empty() && all().any(|key| key.table == name)
}

/// A near name in the same table, else the same name where it exists in another.
fn suggest(table: &str, typed: &str) -> Option<String> {
    let here = all().filter(|k| k.table == table);
    let names = here.map(|k| k.name);
    let near = nearest(typed, names)
        .and_then(|name| all().find(|k| k.table == table && k.name == name).map(Key::path));
    near.or_else(|| all().find(|k| k.name == typed).map(Key::path))
}

fn mismatch(kind: Kind, value: &Spanned<DeValue<'_>>) -> String {
    format!("expected {}, found {}", kind.expects(), found(value))
}

fn found(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
