//! The file without a thread: what is handed over is written when the call returns.
//!
//! Everything of one call is one transaction. What a cache's levels and counters were is kept in the
//! file, so that two processes that write in turns go on where the other stopped.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use larder_core::stitch::{Move, Stitcher};
use larder_core::{Event, Forecast, Sample, Time};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::columns::{self, Row};
use crate::db::{self, SetAside, failed};
use crate::error::HistoryError;
use crate::limits::Limits;
use crate::row::{self, millis};

/// Something to be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A measurement.
    Sample(Box<Sample>),
    /// Something that happened.
    Event(Event),
    /// A small text under a name, in place of the one before.
    State {
        /// Its name, as in `alert.build`.
        key: String,
        /// What is kept.
        text: String,
    },
    /// What was foretold.
    Forecast(Forecast),
}

/// The history file, to be written to.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    identity: Option<(u64, u64)>,
    /// Numbers of caches, and of the names of parts of a score and of disks, as the file has them.
    caches: HashMap<String, i64>,
    names: Vec<(String, u16)>,
}

/// Which level a row of `level` is about.
const ALLOCATED: i64 = 0;
const RESIDENT: i64 = 1;

impl Store {
    /// Opens or makes the file. A damaged one is set aside, a new one begun, and both are told.
    pub fn open(path: &Path, limits: Limits) -> Result<(Self, Option<SetAside>), HistoryError> {
        let (connection, aside) = db::open(path)?;
        let names = read_names(&connection).map_err(|source| failed(path, source))?;
        let store = Self {
            connection,
            path: path.to_owned(),
            limits,
            identity: db::identity(path),
            caches: HashMap::new(),
            names,
        };
        Ok((store, aside))
    }

    /// Keeps all of these, or none of them.
    pub fn write(&mut self, entries: &[Entry]) -> Result<(), HistoryError> {
        if entries.is_empty() {
            return Ok(());
        }
        let written = self.write_all(entries);
        if written.is_err() {
            // Numbers that were given may have been taken back.
            self.caches.clear();
            self.names = read_names(&self.connection).unwrap_or_default();
        }
        written.map_err(|source| failed(&self.path, source))
    }

    /// Sets the file at this path aside where it is damaged, for who met the damage while reading
    /// or writing; `why` is what was met. The next one to open it begins a new one.
    pub fn set_aside(path: &Path, why: &HistoryError) -> Result<Option<SetAside>, HistoryError> {
        db::set_aside(path, &why.why())
    }

    /// Whether the path leads to another file by now: somebody set this one aside.
    pub(crate) fn was_replaced(&self) -> bool {
        db::identity(&self.path) != self.identity
    }

    /// Puts what is written where a power failure does not reach it.
    pub(crate) fn checkpoint(&self) -> Result<(), HistoryError> {
        let done = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        done.map_err(|source| failed(&self.path, source))
    }

    fn write_all(&mut self, entries: &[Entry]) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut writing =
            Writing { to: &transaction, caches: &mut self.caches, names: &mut self.names };
        for entry in entries {
            match entry {
                Entry::Sample(sample) => writing.sample(sample)?,
                Entry::Event(event) => writing.event(event)?,
                Entry::State { key, text } => writing.state(key, text)?,
                Entry::Forecast(forecast) => writing.forecast(forecast)?,
            }
        }
        transaction.commit()
    }
}

/// The names of parts of a score and of disks, each with its number.
pub(crate) fn read_names(connection: &Connection) -> rusqlite::Result<Vec<(String, u16)>> {
    let mut statement = connection.prepare_cached("SELECT name, id FROM name")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// A transaction that is being filled.
struct Writing<'a> {
    to: &'a Transaction<'a>,
    caches: &'a mut HashMap<String, i64>,
    names: &'a mut Vec<(String, u16)>,
}

impl Writing<'_> {
    fn sample(&mut self, sample: &Sample) -> rusqlite::Result<()> {
        let cache = self.cache(&sample.cache)?;
        for name in sample.points.iter().map(|(name, _)| name).chain(&sample.disk) {
            self.name(name)?;
        }
        let mut row = row::of_sample(sample, self.names);
        row.fallen = self.level(cache, ALLOCATED, sample.at, row.allocated)?;
        row.resident_fallen = self.level(cache, RESIDENT, sample.at, row.resident)?;
        let at = millis(sample.at);
        self.counters(cache, at, &mut row)?;
        let mut values = vec![cache.into(), at.into()];
        values.extend(row.values());
        let mut insert = self.to.prepare_cached(&columns::insert())?;
        insert.execute(rusqlite::params_from_iter(values))?;
        Ok(())
    }

    /// The number of a cache, which is given where it has none.
    fn cache(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.caches.get(name) {
            return Ok(*id);
        }
        self.to
            .prepare_cached("INSERT OR IGNORE INTO cache (name) VALUES (?1)")?
            .execute([name])?;
        let id = self
            .to
            .prepare_cached("SELECT id FROM cache WHERE name = ?1")?
            .query_row([name], |row| row.get(0))?;
        self.caches.insert(name.to_owned(), id);
        Ok(id)
    }

    fn name(&mut self, name: &str) -> rusqlite::Result<()> {
        if self.names.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        self.to.prepare_cached("INSERT OR IGNORE INTO name (name) VALUES (?1)")?.execute([name])?;
        let mut known = self.to.prepare_cached("SELECT name, id FROM name")?;
        *self.names =
            known.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Takes a level into account; what has fallen until then, where anything has.
    fn level(
        &mut self,
        cache: i64,
        what: i64,
        at: Time,
        value: Option<i64>,
    ) -> rusqlite::Result<Option<i64>> {
        let Some(value) = value else { return Ok(None) };
        let mut stitcher = self.stitcher(cache, what)?.unwrap_or_default();
        let fallen = stitcher.sample(at, value as f64);
        self.keep_stitcher(cache, what, &stitcher)?;
        Ok(row::parts(fallen, 1.0).filter(|fallen| *fallen != 0))
    }

    fn stitcher(&self, cache: i64, what: i64) -> rusqlite::Result<Option<Stitcher>> {
        let mut select = self.to.prepare_cached(
            "SELECT at, value, fallen, expected, moves FROM level WHERE cache = ?1 AND what = ?2",
        )?;
        let read = select.query_row([cache, what], |row| {
            let moves: Vec<u8> = row.get(4)?;
            Ok(Stitcher {
                last: Some((row::time(row.get(0)?), row.get(1)?)),
                fallen: row.get(2)?,
                expected: row.get(3)?,
                moves: moves.chunks_exact(8).map(read_move).collect(),
            })
        });
        read.optional()
    }

    fn keep_stitcher(&self, cache: i64, what: i64, kept: &Stitcher) -> rusqlite::Result<()> {
        let Some((at, value)) = kept.last else { return Ok(()) };
        let moves: Vec<u8> = kept.moves.iter().flat_map(write_move).collect();
        self.to
            .prepare_cached("INSERT OR REPLACE INTO level VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![cache, what, millis(at), value, kept.fallen, kept.expected, moves])?;
        Ok(())
    }

    /// What the counters of a server had before it started anew, and what arrived last.
    fn counters(&self, cache: i64, at: i64, row: &mut Row) -> rusqlite::Result<()> {
        let mut select = self.to.prepare_cached(
            "SELECT hits, hits_base, misses, misses_base, evicted, evicted_base \
             FROM cache WHERE id = ?1",
        )?;
        let before: [Option<i64>; 6] = select.query_row([cache], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?])
        })?;
        let base = |now: Option<i64>, last: Option<i64>, base: Option<i64>| match (now, last) {
            (Some(now), Some(last)) if now < last => Some(base.unwrap_or(0).saturating_add(last)),
            _ => base,
        };
        row.hits_base = base(row.hits, before[0], before[1]);
        row.misses_base = base(row.misses, before[2], before[3]);
        row.evicted_base = base(row.evicted, before[4], before[5]);
        let mut update = self.to.prepare_cached(
            "UPDATE cache SET last_at = ?2, raw_from = min(raw_from, ?2), \
             fine_from = min(fine_from, ?2), \
             hits = coalesce(?3, hits), hits_base = ?4, misses = coalesce(?5, misses), \
             misses_base = ?6, evicted = coalesce(?7, evicted), evicted_base = ?8 WHERE id = ?1",
        )?;
        update.execute(params![
            cache,
            at,
            row.hits,
            row.hits_base,
            row.misses,
            row.misses_base,
            row.evicted,
            row.evicted_base,
        ])?;
        Ok(())
    }

    fn event(&mut self, event: &Event) -> rusqlite::Result<()> {
        let data = serde_json::to_string(&event.data).unwrap_or_else(|_| "[]".to_owned());
        self.to
            .prepare_cached(
                "INSERT INTO event (at, kind, cache, plan_id, trace_id, message, data) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                millis(event.at),
                event.kind,
                event.cache,
                event.plan_id,
                event.trace_id,
                event.message,
                data,
            ])?;
        let (Some(cleanup), Some(name)) = (event.cleanup(), &event.cache) else { return Ok(()) };
        let cache = self.cache(name)?;
        let Some(mut stitcher) = self.stitcher(cache, ALLOCATED)? else { return Ok(()) };
        let mut before = self.to.prepare_cached(
            "SELECT coalesce(fallen, 0) FROM sample \
             WHERE cache = ?1 AND at <= ?2 AND allocated IS NOT NULL ORDER BY at DESC LIMIT 1",
        )?;
        let before: Option<f64> = before
            .query_row(params![cache, millis(cleanup.from)], |row| row.get::<_, i64>(0))
            .optional()?
            .map(|fallen| fallen as f64);
        stitcher.cleaned(&cleanup, before.unwrap_or(0.0));
        self.keep_stitcher(cache, ALLOCATED, &stitcher)
    }

    fn state(&self, key: &str, text: &str) -> rusqlite::Result<()> {
        self.to
            .prepare_cached("INSERT OR REPLACE INTO state (key, at, value) VALUES (?1, ?2, ?3)")?
            .execute(params![key, millis(larder_fs::now()), text])?;
        Ok(())
    }

    fn forecast(&self, made: &Forecast) -> rusqlite::Result<()> {
        self.to
            .prepare_cached(
                "INSERT INTO forecast \
                 (made_at, cache, for_time, level, predicted, low, high, actual) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                millis(made.made_at),
                made.cache,
                millis(made.for_time),
                made.level,
                made.predicted,
                made.interval.map(|(low, _)| low),
                made.interval.map(|(_, high)| high),
                made.actual,
            ])?;
        Ok(())
    }
}

/// A move in eight bytes; to seven digits, which is enough to tell what is usual.
#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
fn write_move(one: &Move) -> [u8; 8] {
    let (seconds, moved) = ((one.seconds as f32).to_le_bytes(), (one.moved as f32).to_le_bytes());
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&seconds);
    bytes[4..].copy_from_slice(&moved);
    bytes
}

fn read_move(bytes: &[u8]) -> Move {
    let float =
        |at: usize| f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Move { seconds: float(0).into(), moved: float(4).into() }
}
