//! Lines of values out of the file.
//!
//! A chart gets every row of its time, thinned with the range of what is left out. A trend needs no
//! range but only levels at some two hundred times, whatever lies between: these are looked up
//! one by one, so that a year costs no more than a day.

use larder_core::point::thin;
use larder_core::slope::MOST_POINTS;
use larder_core::{Point, Time, Trend, trend};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::metric::Metric;
use crate::read::Reader;
use crate::row::{millis, time};
use crate::series::{Range, Series, SeriesError, Source};

impl Series for Reader {
    fn sources(&self, range: Range) -> Result<Vec<Source>, SeriesError> {
        let names = self.ask(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT name FROM cache c WHERE EXISTS (SELECT 1 FROM sample s \
                 WHERE s.cache = c.id AND s.at BETWEEN ?1 AND ?2) ORDER BY name",
            )?;
            let bounds = [millis(range.since), millis(range.until)];
            select
                .query_map(bounds, |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<String>>>()
        });
        Ok(names?.unwrap_or_default().into_iter().map(Source::here).collect())
    }

    fn series(
        &self,
        source: &Source,
        metric: Metric,
        range: Range,
    ) -> Result<Vec<Point>, SeriesError> {
        if source.host.is_some() {
            return Ok(Vec::new());
        }
        let points = self.ask(|connection| {
            let (value, low, high) = metric.sql();
            let mut select = connection.prepare_cached(&format!(
                "SELECT at, CAST({value} AS REAL), CAST({low} AS REAL), CAST({high} AS REAL) \
                 FROM sample WHERE cache = (SELECT id FROM cache WHERE name = ?1) \
                 AND at BETWEEN ?2 AND ?3 AND {value} IS NOT NULL ORDER BY at"
            ))?;
            let bounds = params![source.cache, millis(range.since), millis(range.until)];
            let rows = select.query_map(bounds, |row| {
                let (at, value) = (time(row.get(0)?), row.get(1)?);
                Ok(Point { at, value, low: row.get(2)?, high: row.get(3)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<Point>>>()
        });
        Ok(thin(&points?.unwrap_or_default(), range.most))
    }

    fn disk(&self, source: &Source, range: Range) -> Result<Option<String>, SeriesError> {
        if source.host.is_some() {
            return Ok(None);
        }
        let found = self.ask(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT name FROM name WHERE id = (SELECT disk FROM (SELECT at, disk FROM sample \
                 WHERE cache = (SELECT id FROM cache WHERE name = ?1) AND at BETWEEN ?2 AND ?3 \
                 ORDER BY at DESC LIMIT ?4) WHERE disk IS NOT NULL ORDER BY at DESC LIMIT 1)",
            )?;
            let bounds = params![source.cache, millis(range.since), millis(range.until), RECENT];
            select.query_row(bounds, |row| row.get(0)).optional()
        });
        Ok(found?.flatten())
    }

    fn trend(&self, source: &Source, metric: Metric, range: Range) -> Result<Trend, SeriesError> {
        let (level, grown) = match metric {
            Metric::Resident => (Metric::Resident, Metric::ResidentGrown),
            _ => (Metric::Allocated, Metric::Grown),
        };
        if source.host.is_some() {
            return Ok(trend::of_stitched(&[], 0.0, 0.0));
        }
        let found = self.ask(|connection| {
            let most = range.most.min(MOST_POINTS);
            // Two hundred look-ups in one transaction: each by itself would lock the file.
            let whole = connection.unchecked_transaction()?;
            levels(&whole, &source.cache, (level, grown), Range { most, ..range })
        });
        let rows = found?.unwrap_or_default();
        let points: Vec<Point> = rows.iter().map(|row| Point::new(row.at, row.grown)).collect();
        let fallen = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => (last.grown - last.now) - (first.grown - first.now),
            _ => 0.0,
        };
        let level = rows.last().map_or(0.0, |row| row.now);
        Ok(trend::of_stitched(&points, level, fallen.max(0.0)))
    }

    fn last(
        &self,
        source: &Source,
        metric: Metric,
        range: Range,
    ) -> Result<Option<Point>, SeriesError> {
        if source.host.is_some() {
            return Ok(None);
        }
        let point = self.ask(|connection| {
            let value = metric.sql().0;
            let mut select = connection.prepare_cached(&format!(
                "SELECT at, value FROM (SELECT at, CAST({value} AS REAL) AS value FROM sample \
                 WHERE cache = (SELECT id FROM cache WHERE name = ?1) AND at BETWEEN ?2 AND ?3 \
                 ORDER BY at DESC LIMIT ?4) WHERE value IS NOT NULL ORDER BY at DESC LIMIT 1"
            ))?;
            let bounds = params![source.cache, millis(range.since), millis(range.until), RECENT];
            select
                .query_row(bounds, |row| Ok(Point::new(time(row.get(0)?), row.get(1)?)))
                .optional()
        });
        Ok(point?.flatten())
    }
}

/// Rows, from the newest on, in which a last value is looked for. What none of them has, as the
/// limit of a Redis without one, would be looked for in all that there are.
const RECENT: i64 = 500;

/// A level, and the same with what fell added back.
#[derive(Clone, Copy)]
struct Level {
    at: Time,
    now: f64,
    grown: f64,
}

/// At most so many levels of a range: of each of as many equal parts of it the last one.
fn levels(
    connection: &Connection,
    cache: &str,
    (level, grown): (Metric, Metric),
    range: Range,
) -> rusqlite::Result<Vec<Level>> {
    let id: Option<i64> = connection
        .prepare_cached("SELECT id FROM cache WHERE name = ?1")?
        .query_row([cache], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(Vec::new()) };
    let (level, grown) = (level.sql().0, grown.sql().0);
    let mut ends = connection.prepare_cached(&format!(
        "SELECT (SELECT at FROM sample WHERE cache = ?1 AND at BETWEEN ?2 AND ?3 \
         AND {level} IS NOT NULL ORDER BY at LIMIT 1), \
         (SELECT at FROM sample WHERE cache = ?1 AND at BETWEEN ?2 AND ?3 \
         AND {level} IS NOT NULL ORDER BY at DESC LIMIT 1)"
    ))?;
    let ends: (Option<i64>, Option<i64>) = ends
        .query_row([id, millis(range.since), millis(range.until)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let (Some(first), Some(last)) = ends else { return Ok(Vec::new()) };
    let mut last_of = connection.prepare_cached(&format!(
        "SELECT at, CAST({level} AS REAL), CAST({grown} AS REAL) FROM sample \
         WHERE cache = ?1 AND at > ?2 AND at <= ?3 AND {level} IS NOT NULL \
         ORDER BY at DESC LIMIT 1"
    ))?;
    let parts = i64::try_from(range.most).unwrap_or(i64::MAX).max(1);
    let part = last.saturating_sub(first) / parts + 1;
    let mut found: Vec<Level> = Vec::with_capacity(range.most);
    for index in (0..parts).rev() {
        let until = last.saturating_sub(index * part);
        let of_part = last_of.query_row([id, until - part, until], |row| {
            Ok(Level { at: time(row.get(0)?), now: row.get(1)?, grown: row.get(2)? })
        });
        found.extend(of_part.optional()?);
    }
    Ok(found)
}
