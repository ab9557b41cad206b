//! The value of a setting: read from text, shown to a person, written to a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::size::parse_size;
use larder_core::time::{Typed, parse_duration};

use crate::settings_keys::Kind;
use crate::settings_redis::{Rule, short_duration};

/// A value that fits its [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// No limit.
    Off,
    /// Bytes.
    Size(u64),
    /// A duration.
    Duration(Duration),
    /// True or false.
    Bool(bool),
    /// From 1.
    Count(u32),
    /// One of the kind's words.
    Word(&'static str),
    /// An absolute folder.
    Folder(PathBuf),
    /// Absolute folders.
    Folders(Vec<PathBuf>),
    /// The absolute path of a file.
    File(PathBuf),
    /// Any text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// What goes from a Redis.
    Rules(Vec<Rule>),
}

/// Reads `text` as a value of `kind`; of a list the text is its single item.
pub fn read_text(kind: Kind, text: &str, home: Option<&Path>) -> Result<Value, String> {
    let expected = || format!("expected {}, found {text:?}", kind.expects());
    match kind {
        Kind::Size
        | Kind::Limit
        | Kind::Count
        | Kind::Cron
        | Kind::Hours
        | Kind::File
        | Kind::Text
            if text == "off" =>
        {
            Ok(Value::Off)
        }
        Kind::Size => parse_size(text).map(Value::Size).map_err(|_| expected()),
        Kind::Duration | Kind::Limit => {
            parse_duration(text).map(Value::Duration).map_err(|_| expected())
        }
        Kind::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(expected()),
        },
        Kind::Count => match text.parse() {
            Ok(count) if count > 0 => Ok(Value::Count(count)),
            _ => Err(expected()),
        },
        Kind::Word(words) => {
            let word = words.iter().find(|word| **word == text);
            word.map(|word| Value::Word(word)).ok_or_else(expected)
        }
        Kind::File => read_folder(Path::new(text), home).map(Value::File).map_err(|_| expected()),
        Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Texts => Ok(Value::Texts(vec![text.to_owned()])),
        Kind::Cron => match larder_engine::schedule::parse(text) {
            Ok(_) => Ok(Value::Text(text.to_owned())),
            Err(why) => Err(format!("{}: {why}", expected())),
        },
        Kind::Hours => match text.parse::<larder_engine::schedule::Window>() {
            Ok(_) => Ok(Value::Text(text.to_owned())),
            Err(_) => Err(expected()),
        },
        Kind::Address => match text.parse::<std::net::SocketAddr>() {
            Ok(_) => Ok(Value::Text(text.to_owned())),
            Err(_) => Err(expected()),
        },
        Kind::Latency => {
            short_duration(text).map(|_| Value::Text(text.to_owned())).map_err(|_| expected())
        }
        Kind::RedisUrl => larder_redis::Endpoint::parse(text)
            .map(|_| Value::Text(text.to_owned()))
            .map_err(|error| error.to_string()),
        Kind::Rules => Err(format!("expected {}", kind.expects())),
        Kind::Folder => read_folder(Path::new(text), home).map(Value::Folder),
        Kind::Folders => {
            read_folder(Path::new(text), home).map(|folder| Value::Folders(vec![folder]))
        }
    }
}

/// An absolute folder, with `~` as the home folder.
pub fn read_folder(path: &Path, home: Option<&Path>) -> Result<PathBuf, String> {
    let shown = path.display();
    if let Ok(below) = path.strip_prefix("~") {
        let home = home.ok_or_else(|| format!("{shown}: the home folder is not known"))?;
        return Ok(if below.as_os_str().is_empty() { home.to_owned() } else { home.join(below) });
    }
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let why = if shown.to_string().starts_with('~') {
        "only your own home folder can be written as ~"
    } else {
        "it is relative, so it would mean another folder wherever larder runs"
    };
    Err(format!("expected an absolute folder, found {:?}: {why}", shown.to_string()))
}

impl Value {
    /// As it would be typed; sizes in the largest unit that loses nothing.
    pub fn text(&self) -> String {
        match self {
            Self::Off => "off".to_owned(),
            Self::Size(bytes) => exact_size(*bytes),
            Self::Duration(duration) => Typed(*duration).to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Count(count) => count.to_string(),
            Self::Word(word) => (*word).to_owned(),
            Self::Folder(path) | Self::File(path) => path.display().to_string(),
            Self::Text(text) => text.clone(),
            Self::Texts(texts) => texts.join(", "),
            Self::Rules(rules) => {
                let all: Vec<String> = rules.iter().map(Rule::text).collect();
                all.join(", ")
            }
            Self::Folders(folders) => {
                let all: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
                all.join(", ")
            }
        }
    }

    /// As JSON: bytes and seconds as integers, off as null.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Off => serde_json::Value::Null,
            Self::Size(bytes) => (*bytes).into(),
            Self::Duration(duration) => duration.as_secs().into(),
            Self::Bool(value) => (*value).into(),
            Self::Count(count) => (*count).into(),
            Self::Word(word) => (*word).into(),
            Self::Folder(path) | Self::File(path) => path.display().to_string().into(),
            Self::Text(text) => text.as_str().into(),
            Self::Texts(texts) => texts.clone().into(),
            Self::Rules(rules) => rules.iter().map(Rule::text).collect::<Vec<_>>().into(),
            Self::Folders(folders) => {
                folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().into()
            }
        }
    }
}

/// `10GB`, `10GiB`, or plain bytes where neither fits.
fn exact_size(bytes: u64) -> String {
    let units = [
        ("TB", 1000_u64.pow(4)),
        ("TiB", 1 << 40),
        ("GB", 1000_u64.pow(3)),
        ("GiB", 1 << 30),
        ("MB", 1000_u64.pow(2)),
        ("MiB", 1 << 20),
        ("kB", 1000),
        ("KiB", 1 << 10),
    ];
    let fits = units.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed_again() {
        for (kind, text) in [
            (Kind::Size, "10GB"),
            (Kind::Size, "10GiB"),
            (Kind::Size, "1234567B"),
            (Kind::Size, "off"),
            (Kind::Limit, "30d"),
            (Kind::Limit, "off"),
            (Kind::Duration, "36h"),
            (Kind::Count, "3"),
            (Kind::Bool, "true"),
            (Kind::Word(&["dev", "production"]), "production"),
        ] {
            assert_eq!(read_text(kind, text, None).unwrap().text(), text);
        }
    }

    #[test]
    fn folders_are_absolute_or_below_the_home_folder() {
        let home = std::env::temp_dir();
        assert_eq!(read_folder(Path::new("~/src"), Some(&home)), Ok(home.join("src")));
        assert_eq!(read_folder(Path::new("~"), Some(&home)), Ok(home.clone()));
        assert_eq!(read_folder(&home, None), Ok(home.clone()));
        for bad in ["src", "./src", "~gopher/src", ""] {
            assert!(read_folder(Path::new(bad), Some(&home)).is_err(), "{bad:?} was accepted");
        }
        assert!(read_folder(Path::new("~/src"), None).is_err());
    }

    #[test]
    fn a_protection_cannot_be_off() {
        assert!(read_text(Kind::Duration, "off", None).is_err());
    }
}
