//! Reading the file, beside whoever writes it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use larder_core::{Event, Forecast, Sample, Time};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use crate::columns::{NAMES, Row};
use crate::db::{self, failed};
use crate::error::HistoryError;
use crate::row::{self, millis, time, to_sample};
use crate::store::read_names;
use crate::writer::lock;

/// Connections that are kept for the next question.
const KEPT: usize = 4;

/// Reads the history. Where there is no file there is nothing in it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    idle: Mutex<Vec<Idle>>,
}

/// A connection, and the file that it is of.
type Idle = (Option<(u64, u64)>, Connection);

/// Which events are meant. The default means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// From here on, this included.
    pub since: Option<Time>,
    /// Up to here, this included.
    pub until: Option<Time>,
    /// Only of these kinds; of all where none is named.
    pub kinds: Vec<String>,
    /// Only about this cache.
    pub cache: Option<String>,
    /// Only of this run.
    pub trace_id: Option<String>,
    /// Only those that came after the one of this number.
    pub after_id: Option<i64>,
    /// The newest so many; of those after a number the oldest so many.
    pub limit: Option<usize>,
}

/// An event with its number. Numbers go up in the order of arrival and none is given twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEvent {
    /// Its number.
    pub id: i64,
    /// What happened.
    pub event: Event,
}

impl Reader {
    /// Of the file at this path, whether it is there yet or not.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::new(Vec::new()) }
    }

    /// Asks with a connection of its own; `None` where there is no file.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, HistoryError> {
        let identity = db::identity(&self.path);
        let idle = {
            let mut idle = lock(&self.idle);
            // What was set aside by now is not asked any more.
            idle.retain(|(of, _)| *of == identity);
            idle.pop()
        };
        let connection = match idle {
            Some((_, connection)) => connection,
            None => match db::open_to_read(&self.path)? {
                Some(connection) => connection,
                None => return Ok(None),
            },
        };
        let answer = question(&connection).map_err(|source| failed(&self.path, source))?;
        let mut idle = lock(&self.idle);
        if idle.len() < KEPT {
            idle.push((identity, connection));
        }
        Ok(Some(answer))
    }

    /// The caches that have samples, by name.
    pub fn caches(&self) -> Result<Vec<String>, HistoryError> {
        let names = self.ask(|connection| {
            let mut select = connection
                .prepare_cached("SELECT name FROM cache WHERE last_at IS NOT NULL ORDER BY name")?;
            select.query_map([], |row| row.get(0))?.collect()
        });
        Ok(names?.unwrap_or_default())
    }

    /// Of each cache the sample that arrived last.
    pub fn latest(&self) -> Result<Vec<Sample>, HistoryError> {
        let samples = self.ask(|connection| {
            let names = read_names(connection)?;
            let columns: Vec<String> = NAMES.iter().map(|name| format!("s.{name}")).collect();
            let mut select = connection.prepare_cached(&format!(
                "SELECT c.name, s.at, {} FROM cache c CROSS JOIN sample s \
                 ON s.cache = c.id AND s.at = c.last_at ORDER BY c.name",
                columns.join(", ")
            ))?;
            let rows = select.query_map([], |row| {
                let cache: String = row.get(0)?;
                Ok(to_sample(&cache, row.get(1)?, Row::read(row, 2)?, &names))
            })?;
            rows.collect()
        });
        Ok(samples?.unwrap_or_default())
    }

    /// The events that are meant, in the order of their arrival.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<KeptEvent>, HistoryError> {
        let (sql, values) = event_query(filter);
        let newest_first = filter.after_id.is_none();
        let events = self.ask(|connection| {
            let mut select = connection.prepare_cached(&sql)?;
            let rows = select.query_map(params_from_iter(values), event)?;
            rows.collect::<rusqlite::Result<Vec<KeptEvent>>>()
        });
        let mut events = events?.unwrap_or_default();
        if newest_first {
            events.reverse();
        }
        Ok(events)
    }

    /// The number of the newest event; 0 where there is none.
    pub fn last_event_id(&self) -> Result<i64, HistoryError> {
        let last = self.ask(|connection| {
            connection.query_row("SELECT coalesce(max(id), 0) FROM event", [], |row| row.get(0))
        });
        Ok(last?.unwrap_or(0))
    }

    /// The text under this name.
    pub fn state(&self, key: &str) -> Result<Option<String>, HistoryError> {
        let text = self.ask(|connection| {
            let mut select = connection.prepare_cached("SELECT value FROM state WHERE key = ?1")?;
            select.query_row([key], |row| row.get(0)).optional()
        });
        Ok(text?.flatten())
    }

    /// Every name that begins so, with its text.
    pub fn states(&self, prefix: &str) -> Result<Vec<(String, String)>, HistoryError> {
        let all = self.ask(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT key, value FROM state WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key",
            )?;
            select.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        });
        Ok(all?.unwrap_or_default())
    }

    /// What was foretold for a cache from this time on, the oldest first.
    pub fn forecasts(&self, cache: &str, since: Time) -> Result<Vec<Forecast>, HistoryError> {
        let all = self.ask(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT made_at, for_time, level, predicted, low, high, actual FROM forecast \
                 WHERE cache = ?1 AND made_at >= ?2 ORDER BY made_at, id",
            )?;
            let rows = select.query_map((cache, millis(since)), |row| {
                let (low, high): (Option<f64>, Option<f64>) = (row.get(4)?, row.get(5)?);
                Ok(Forecast {
                    made_at: time(row.get(0)?),
                    cache: cache.to_owned(),
                    for_time: time(row.get(1)?),
                    level: row.get(2)?,
                    predicted: row.get(3)?,
                    interval: low.zip(high),
                    actual: row.get(6)?,
                })
            })?;
            rows.collect()
        });
        Ok(all?.unwrap_or_default())
    }

    /// Bytes that the file and its log take on the disk.
    pub fn bytes(&self) -> u64 {
        let size = |end: &str| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(end);
            std::fs::metadata(name).map_or(0, |meta| meta.len())
        };
        size("") + size("-wal")
    }
}

fn event(row: &rusqlite::Row<'_>) -> rusqlite::Result<KeptEvent> {
    let data: String = row.get(7)?;
    Ok(KeptEvent {
        id: row.get(0)?,
        event: Event {
            at: row::time(row.get(1)?),
            kind: row.get(2)?,
            cache: row.get(3)?,
            plan_id: row.get(4)?,
            trace_id: row.get(5)?,
            message: row.get(6)?,
            data: serde_json::from_str(&data).unwrap_or_default(),
        },
    })
}

fn event_query(filter: &EventFilter) -> (String, Vec<Value>) {
    let mut sql = "SELECT id, at, kind, cache, plan_id, trace_id, message, data FROM event WHERE 1"
        .to_owned();
    let mut values: Vec<Value> = Vec::new();
    let mut add = |condition: &str, value: Value| {
        sql.push_str(condition);
        values.push(value);
    };
    if let Some(since) = filter.since {
        add(" AND at >= ?", millis(since).into());
    }
    if let Some(until) = filter.until {
        add(" AND at <= ?", millis(until).into());
    }
    if let Some(cache) = &filter.cache {
        add(" AND cache = ?", cache.clone().into());
    }
    if let Some(trace) = &filter.trace_id {
        add(" AND trace_id = ?", trace.clone().into());
    }
    if let Some(id) = filter.after_id {
        add(" AND id > ?", id.into());
    }
    if !filter.kinds.is_empty() {
        let marks = vec!["?"; filter.kinds.len()].join(", ");
        sql.extend([" AND kind IN (", &marks, ")"]);
        values.extend(filter.kinds.iter().cloned().map(Value::from));
    }
    sql.push_str(if filter.after_id.is_some() { " ORDER BY id" } else { " ORDER BY id DESC" });
    if let Some(limit) = filter.limit {
        sql.push_str(" LIMIT ?");
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    }
    (sql, values)
}
