//! The log: lines for people, or JSON lines with the names of the Elastic Common Schema.
//!
//! Where journald reads standard error (`JOURNAL_STREAM` names it, systemd.exec(5)), text goes to
//! its own socket with the fields of each event, or else as lines that begin with their priority as
//! sd-daemon(3) has it. A log file is opened for each line, so that one that was moved away by
//! rotation is made again.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use larder_core::{Event, Severity};
use serde_json::{Map, Value, json};

use crate::wire::WireTime;

/// The version of the schema that the names are of.
const ECS: &str = "8.11";

/// Where lines go and how they look.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub json: bool,
    pub file: Option<PathBuf>,
    pub host: String,
    /// Whether standard error is journald's.
    pub journal: bool,
}

impl Log {
    /// Whether standard error is journald's. The variable that systemd sets is inherited by whoever
    /// is started with another standard error, so it has to be the very stream that it names.
    pub(crate) fn to_journal() -> bool {
        std::env::var("JOURNAL_STREAM").is_ok_and(|named| is_stderr(&named))
    }

    /// Writes an event. A log that cannot be written to stops nothing.
    pub(crate) fn event(&self, event: &Event, severity: Severity) {
        if self.journal && !self.json && self.file.is_none() && to_socket(event, severity) {
            return;
        }
        let line = if self.json { self.ecs(event, severity) } else { self.text(event, severity) };
        let _ = match &self.file {
            Some(path) => OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes())),
            None => std::io::stderr().lock().write_all(line.as_bytes()),
        };
    }

    fn text(&self, event: &Event, severity: Severity) -> String {
        let cache = event.cache.as_ref().map_or_else(String::new, |cache| format!("{cache}: "));
        let message = one_line(&event.message);
        if self.journal && self.file.is_none() {
            return format!("<{}>{cache}{message}\n", priority(severity));
        }
        let at = WireTime(larder_core::Time::from_unix(event.at.unix())).text();
        format!("{at} {:<8} {cache}{message}\n", severity.name())
    }

    fn ecs(&self, event: &Event, severity: Severity) -> String {
        let level = match severity {
            Severity::Info => "info",
            Severity::Warning => "warn",
            Severity::Critical => "error",
        };
        let labels: Map<String, Value> =
            event.data.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let line = json!({
            "@timestamp": WireTime(event.at).text(),
            "ecs.version": ECS,
            "log.level": level,
            "message": event.message,
            "event.action": event.kind,
            "event.dataset": "larder",
            "event.outcome": outcome(&event.kind),
            "trace.id": event.trace_id,
            "service.name": "larder",
            "service.version": env!("CARGO_PKG_VERSION"),
            "host.name": self.host,
            "larder.cache": event.cache,
            "larder.plan_id": event.plan_id,
            "labels": labels,
        });
        let mut text = without_null(line).to_string();
        text.push('\n');
        text
    }
}

/// As syslog(3) has them.
fn priority(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 6,
        Severity::Warning => 4,
        Severity::Critical => 2,
    }
}

/// Whether `DEVICE:INODE` is standard error.
#[cfg(unix)]
fn is_stderr(named: &str) -> bool {
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    named == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(not(unix))]
fn is_stderr(_: &str) -> bool {
    false
}

/// Where journald takes entries with their fields.
#[cfg(target_os = "linux")]
const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends an event with its fields to journald; whether it took it.
#[cfg(target_os = "linux")]
fn to_socket(event: &Event, severity: Severity) -> bool {
    let entry = entry(event, severity);
    let sent = std::os::unix::net::UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(&entry, SOCKET)
    });
    sent.is_ok()
}

#[cfg(not(target_os = "linux"))]
fn to_socket(_: &Event, _: Severity) -> bool {
    false
}

/// An entry in journald's own format: a field a line.
#[cfg(target_os = "linux")]
fn entry(event: &Event, severity: Severity) -> Vec<u8> {
    let cache = event.cache.as_ref().map_or_else(String::new, |cache| format!("{cache}: "));
    let mut fields = vec![
        ("MESSAGE", format!("{cache}{}", event.message)),
        ("PRIORITY", priority(severity).to_string()),
        ("SYSLOG_IDENTIFIER", "larder".to_owned()),
        ("LARDER_EVENT", event.kind.clone()),
        ("TRACE_ID", event.trace_id.clone()),
    ];
    fields.extend(event.cache.clone().map(|cache| ("LARDER_CACHE", cache)));
    fields.extend(event.plan_id.clone().map(|plan| ("LARDER_PLAN_ID", plan)));
    let filled = fields.into_iter().filter(|(_, value)| !value.is_empty());
    filled.flat_map(|(name, value)| format!("{name}={}\n", one_line(&value)).into_bytes()).collect()
}

/// ECS knows three: what failed says so in its name.
fn outcome(kind: &str) -> &'static str {
    if kind.contains("failed") { "failure" } else { "success" }
}

fn without_null(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
        }
        other => other,
    }
}

/// Nothing from outside makes a second line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use larder_core::Time;

    use super::*;

    fn event() -> Event {
        Event {
            at: Time::from_unix(1_790_000_000),
            kind: "cleaned".into(),
            cache: Some("build".into()),
            plan_id: None,
            trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
            message: "freed 1.1 GB\nand a forged line".into(),
            data: vec![("freed_bytes".into(), "1100000000".into())],
        }
    }

    fn log(json: bool, journal: bool) -> Log {
        Log { json, file: None, host: "h".into(), journal }
    }

    #[test]
    fn a_line_is_one_line_for_people_journald_and_elasticsearch() {
        let text = log(false, false).text(&event(), Severity::Warning);
        assert_eq!(text, "2026-09-21T14:13:20Z warning  build: freed 1.1 GB and a forged line\n");
        let journal = log(false, true).text(&event(), Severity::Critical);
        assert_eq!(journal, "<2>build: freed 1.1 GB and a forged line\n");
        let ecs = log(true, false).ecs(&event(), Severity::Info);
        assert_eq!(ecs.matches('\n').count(), 1);
        let fields: Value = serde_json::from_str(&ecs).unwrap();
        assert_eq!(fields["event.action"], "cleaned");
        assert_eq!(fields["trace.id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(fields["labels"]["freed_bytes"], "1100000000");
        assert_eq!(fields["log.level"], "info");
        assert!(fields.get("larder.plan_id").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn journald_gets_the_fields_and_nothing_forged() {
        let text = String::from_utf8(entry(&event(), Severity::Warning)).unwrap();
        assert_eq!(
            text,
            "MESSAGE=build: freed 1.1 GB and a forged line\nPRIORITY=4\n\
             SYSLOG_IDENTIFIER=larder\nLARDER_EVENT=cleaned\n\
             TRACE_ID=0af7651916cd43dd8448eb211c80319c\nLARDER_CACHE=build\n"
        );
    }

    #[test]
    fn a_log_that_was_moved_away_is_made_again() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("larder.log");
        let log = Log { file: Some(file.clone()), ..log(true, false) };
        log.event(&event(), Severity::Info);
        std::fs::rename(&file, temp.path().join("larder.log.1")).unwrap();
        log.event(&event(), Severity::Info);
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    }
}
