//! A log file: one JSON line in the Elastic Common Schema for each alert of a notice.
//!
//! Promises: lines of several writers do not mix, and one that another writer left unfinished does
//! not spoil the next. The file is opened for each message, so that one that was renamed away is
//! followed by a new one. It is readable for its owner and group alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder_core::{Alert, Notice, Occasion, Severity};
use serde_json::{Value, json};

use crate::document::{NoticeDoc, time};
use crate::target::{Base, Letter, Target};
use crate::text::{Content, subject};
use crate::trouble::Trouble;

/// The version of the schema that the names of the fields are from.
const ECS: &str = "8.11.0";

pub(crate) struct Log {
    base: Base,
}

impl Log {
    pub(crate) fn new(base: Base) -> Self {
        Self { base }
    }

    fn lines(&self, notice: &Notice) -> String {
        let style = self.base.style();
        let document = NoticeDoc::new(notice, style.language, style.links);
        let mut lines = String::new();
        for (alert, detail) in notice.alerts.iter().zip(&document.alerts) {
            let alone = Notice { alerts: vec![alert.clone()], ..notice.clone() };
            let content = Content { notices: std::slice::from_ref(&alone), missed: 0 };
            let mut line = line(notice, alert);
            line["message"] = json!(subject(content, style));
            line["larder"] = json!({ "alert": detail });
            lines += &line.to_string();
            lines.push('\n');
        }
        lines
    }
}

fn line(notice: &Notice, alert: &Alert) -> Value {
    let (level, severity) = match alert.severity {
        Severity::Info => ("info", 1),
        Severity::Warning => ("warn", 2),
        Severity::Critical => ("error", 3),
    };
    let kind = if notice.occasion == Occasion::Test { "event" } else { "alert" };
    let mut line = json!({
        "@timestamp": time(notice.at),
        "ecs": { "version": ECS },
        "log": { "level": level, "logger": "larder.alerts" },
        "event": {
            "kind": kind,
            "module": "larder",
            "dataset": "larder.alerts",
            "action": notice.occasion.name(),
            "id": notice.id,
            "severity": severity,
            "start": time(alert.since),
        },
        "host": { "name": notice.host },
        "service": { "name": "larder", "type": "larder" },
        "rule": { "name": alert.name },
        "labels": { "cache": alert.cache, "severity": alert.severity.name() },
    });
    if let Some(ended) = alert.ended {
        line["event"]["end"] = json!(time(ended));
    }
    line
}

/// The file that a url of the log names: a path from the root, or a `file:` URL.
pub(crate) fn path_of(text: &str) -> Result<PathBuf, String> {
    let path = if text.starts_with("file:") {
        let url = url::Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        url.to_file_path().map_err(|()| "names no file of this machine".to_owned())?
    } else {
        PathBuf::from(text)
    };
    if path.is_absolute() { Ok(path) } else { Err("is no path from the root".to_owned()) }
}

impl Target for Log {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let address = self.base.address()?.ok_or_else(|| Trouble::never("there is no url"))?;
        let path = path_of(address.reveal()).map_err(Trouble::never)?;
        let lines: String =
            letter.content.notices.iter().map(|notice| self.lines(notice)).collect();
        append(&path, &lines, letter.timeout).map_err(|error| {
            let why = format!("{}: {error}", path.display());
            match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => {
                    Trouble::never(why)
                }
                _ => Trouble::later(why),
            }
        })
    }
}

fn append(path: &Path, lines: &str, within: Duration) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let mut file = options.open(path)?;
    let mut text = String::new();
    // A terminal or a pipe has neither an end to look at nor a lock.
    if file.metadata()?.is_file() {
        lock(&file, within)?;
        if is_unfinished(&mut file)? {
            text.push('\n');
        }
    }
    text.push_str(lines);
    // In one piece, for writers that take no lock.
    file.write_all(text.as_bytes())
}

/// Takes the lock; where the file system has none, goes on without.
fn lock(file: &File, within: Duration) -> io::Result<()> {
    let until = Instant::now() + within;
    loop {
        match file.try_lock() {
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "somebody holds its lock"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn is_unfinished(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
