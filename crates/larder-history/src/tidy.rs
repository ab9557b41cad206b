//! Keeping the file small, a piece at a time.
//!
//! Rows that have become old are merged, first to five minutes and then to an hour; what is too old
//! goes; and where the file is still larger than it may be, the oldest goes first. Forecasts whose
//! time has come are held against what came.
//!
//! Nothing goes because a clock jumped: see [`believe`].

use std::time::Duration;

use larder_core::Time;
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::columns::{self, Row};
use crate::db::failed;
use crate::error::HistoryError;
use crate::row::millis;
use crate::store::Store;
use crate::tidy_merge::merge;

/// What one piece of tidying did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Rows that others took in.
    pub merged: u64,
    /// Rows and events that were too old.
    pub expired: u64,
    /// Rows and events that went since the file was too large.
    pub for_room: u64,
    /// Whether there is more to do.
    pub more: bool,
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Under this key the state holds when the file was last tidied.
const TIDIED: &str = "history.tidied";
/// Pages that are given back to the disk in one piece: 1 MB.
const PAGES: u32 = 256;

/// The time to tidy by. A clock that is more than a week ahead of the last time may be wrong, and
/// what is removed by a wrong clock does not come back: so it is believed an hour further each time.
/// The daemon tidies every minute, so a machine that slept for two months catches up in a day.
pub(crate) fn believe(now: i64, last: Option<i64>) -> i64 {
    match last {
        Some(last) if now.saturating_sub(last) > 7 * DAY => last + HOUR,
        _ => now,
    }
}

/// A step from one fineness to the next.
struct Step {
    /// Milliseconds of which one row stays.
    width: i64,
    /// The column that says how far it has come.
    from: &'static str,
    /// Rows before this time are merged.
    until: i64,
}

impl Store {
    /// Does a piece of tidying of about `rows` rows. `now` is the time to tidy by.
    pub fn tidy(&mut self, now: Time, rows: usize) -> Result<Tidied, HistoryError> {
        let path = self.path.clone();
        self.tidy_piece(millis(now), rows).map_err(|source| failed(&path, source))
    }

    fn tidy_piece(&mut self, now: i64, rows: usize) -> rusqlite::Result<Tidied> {
        let span = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let limits = self.limits;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = believe(now, last_tidied(&transaction)?);
        let mut tidied = Tidied::default();
        let mut left = rows;
        for cache in caches(&transaction)? {
            for (width, from, after) in [
                (5 * MINUTE, "raw_from", limits.raw_for),
                (HOUR, "fine_from", limits.five_minutes_for),
            ] {
                let until = now.saturating_sub(span(after)).div_euclid(width) * width;
                let seen = thin(&transaction, cache, &Step { width, from, until }, left)?;
                tidied.merged += seen.merged;
                tidied.more |= seen.more;
                left = left.saturating_sub(seen.rows);
            }
        }
        tidied.expired = expire(&transaction, now.saturating_sub(span(limits.keep_for)), rows)?;
        tidied.more |= tidied.expired >= rows as u64;
        if used_bytes(&transaction)? > limits.max_bytes {
            tidied.for_room = make_room(&transaction, rows)?;
            tidied.more |= tidied.for_room > 0;
        }
        settle(&transaction, now)?;
        transaction
            .prepare_cached("INSERT OR REPLACE INTO state (key, at, value) VALUES (?1, ?2, '')")?
            .execute(params![TIDIED, now])?;
        transaction.commit()?;
        // Free pages beyond what the next days need go back to the disk.
        let free: u32 = self.connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        if free > 4 * PAGES {
            self.connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        }
        Ok(tidied)
    }
}

fn last_tidied(transaction: &Transaction<'_>) -> rusqlite::Result<Option<i64>> {
    let mut select = transaction.prepare_cached("SELECT at FROM state WHERE key = ?1")?;
    select.query_row([TIDIED], |row| row.get(0)).optional()
}

fn caches(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<i64>> {
    let mut select = transaction.prepare_cached("SELECT id FROM cache")?;
    select.query_map([], |row| row.get(0))?.collect()
}

/// What thinning one cache did.
#[derive(Default)]
struct Thinned {
    rows: usize,
    merged: u64,
    more: bool,
}

fn thin(
    transaction: &Transaction<'_>,
    cache: i64,
    step: &Step,
    rows: usize,
) -> rusqlite::Result<Thinned> {
    let from: i64 = transaction
        .prepare_cached(&format!("SELECT {} FROM cache WHERE id = ?1", step.from))?
        .query_row([cache], |row| row.get(0))?;
    if from >= step.until {
        return Ok(Thinned::default());
    }
    if rows == 0 {
        return Ok(Thinned { more: true, ..Thinned::default() });
    }
    let mut old: Vec<(i64, Row)> = transaction
        .prepare_cached(&format!(
            "{} WHERE cache = ?1 AND at >= ?2 AND at < ?3 ORDER BY at LIMIT ?4",
            columns::select()
        ))?
        .query_map(
            params![cache, from, step.until, i64::try_from(rows).unwrap_or(i64::MAX)],
            |row| Ok((row.get(1)?, Row::read(row, 2)?)),
        )?
        .collect::<Result<_, _>>()?;
    let part = |at: i64| at.div_euclid(step.width);
    let mut done = Thinned { rows: old.len(), merged: 0, more: old.len() == rows };
    let mut next = step.until;
    if done.more
        && let Some(last) = old.last().map(|(at, _)| part(*at))
    {
        // The last part may go on; but one that fills the piece alone is taken as it is.
        let whole = old.iter().take_while(|(at, _)| part(*at) != last).count();
        if whole > 0 {
            old.truncate(whole);
            next = last * step.width;
        } else {
            next = old.last().map_or(next, |(at, _)| at + 1);
        }
    }
    for same in old.chunk_by(|one, other| part(one.0) == part(other.0)) {
        if same.len() > 1 {
            replace(transaction, cache, same)?;
            done.merged += same.len() as u64 - 1;
        }
    }
    transaction
        .prepare_cached(&format!("UPDATE cache SET {} = ?2 WHERE id = ?1", step.from))?
        .execute([cache, next])?;
    Ok(done)
}

fn replace(transaction: &Transaction<'_>, cache: i64, same: &[(i64, Row)]) -> rusqlite::Result<()> {
    let (Some((first, _)), Some((last, _)), Some((at, row))) =
        (same.first(), same.last(), merge(same))
    else {
        return Ok(());
    };
    transaction
        .prepare_cached("DELETE FROM sample WHERE cache = ?1 AND at BETWEEN ?2 AND ?3")?
        .execute(params![cache, first, last])?;
    let mut values = vec![cache.into(), at.into()];
    values.extend(row.values());
    transaction.prepare_cached(&columns::insert())?.execute(rusqlite::params_from_iter(values))?;
    Ok(())
}

/// Removes about `rows` of what is older than `before`.
fn expire(transaction: &Transaction<'_>, before: i64, rows: usize) -> rusqlite::Result<u64> {
    let mut gone = 0;
    for cache in caches(transaction)? {
        gone += remove_samples(transaction, cache, before, rows)?;
    }
    let most = i64::try_from(rows).unwrap_or(i64::MAX);
    for old in [
        "DELETE FROM event WHERE id IN \
         (SELECT id FROM event WHERE at < ?1 ORDER BY at LIMIT ?2)",
        // Those made first are due first, near enough; so the oldest few are looked at.
        "DELETE FROM forecast WHERE for_time < ?1 AND id IN \
         (SELECT id FROM forecast ORDER BY id LIMIT ?2)",
    ] {
        gone += transaction.prepare_cached(old)?.execute(params![before, most])? as u64;
    }
    Ok(gone)
}

/// Removes at most `rows` samples of a cache that are older than `before`, the oldest first.
fn remove_samples(
    transaction: &Transaction<'_>,
    cache: i64,
    before: i64,
    rows: usize,
) -> rusqlite::Result<u64> {
    let mut nth = transaction.prepare_cached(
        "SELECT at FROM sample WHERE cache = ?1 AND at < ?2 ORDER BY at LIMIT 1 OFFSET ?3",
    )?;
    let offset = i64::try_from(rows).unwrap_or(i64::MAX);
    let until: Option<i64> =
        nth.query_row(params![cache, before, offset], |row| row.get(0)).optional()?;
    let mut delete =
        transaction.prepare_cached("DELETE FROM sample WHERE cache = ?1 AND at < ?2")?;
    Ok(delete.execute([cache, until.unwrap_or(before)])? as u64)
}

/// Bytes in use, pages that are free left out.
fn used_bytes(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let pragma = |name: &str| -> rusqlite::Result<i64> {
        transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    };
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok(u64::try_from(pages * pragma("page_size")?).unwrap_or(0))
}

/// Removes about `rows` of the oldest: samples, which are the coarsest, and where there are none
/// but those of the last hour, events.
fn make_room(transaction: &Transaction<'_>, rows: usize) -> rusqlite::Result<u64> {
    let all = caches(transaction)?;
    let mut ends = transaction.prepare_cached(
        "SELECT (SELECT min(at) FROM sample WHERE cache = ?1), \
         (SELECT max(at) FROM sample WHERE cache = ?1)",
    )?;
    let (mut oldest, mut newest) = (i64::MAX, i64::MIN);
    for cache in &all {
        let of: (Option<i64>, Option<i64>) =
            ends.query_row([cache], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let (Some(first), Some(last)) = of {
            (oldest, newest) = (oldest.min(first), newest.max(last));
        }
    }
    let spare = newest.saturating_sub(HOUR);
    let mut gone = 0;
    if oldest < spare {
        // A fiftieth of the time at once, of all caches alike.
        let before = (oldest + (spare - oldest) / 50 + 1).min(spare);
        for cache in &all {
            gone += remove_samples(transaction, *cache, before, rows)?;
        }
    }
    if gone == 0 {
        let most = i64::try_from(rows).unwrap_or(i64::MAX);
        let oldest = "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?1)";
        gone += transaction.prepare_cached(oldest)?.execute([most])? as u64;
    }
    Ok(gone)
}

/// Holds forecasts whose time has come against what came, with what fell since added back; one for
/// whose time nothing was measured is forgotten.
fn settle(transaction: &Transaction<'_>, now: i64) -> rusqlite::Result<()> {
    let mut due = transaction.prepare_cached(
        "SELECT f.id, f.made_at, f.for_time, c.id FROM forecast f \
         LEFT JOIN cache c ON c.name = f.cache \
         WHERE f.actual IS NULL AND f.for_time <= ?1 LIMIT 100",
    )?;
    let due: Vec<(i64, i64, i64, Option<i64>)> = due
        .query_map([now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    let mut at_time = transaction.prepare_cached(
        "SELECT at, allocated, coalesce(fallen, 0) FROM sample \
         WHERE cache = ?1 AND at <= ?2 AND allocated IS NOT NULL ORDER BY at DESC LIMIT 1",
    )?;
    let mut level = |cache: i64, at: i64| -> rusqlite::Result<Option<(i64, i64, i64)>> {
        at_time.query_row([cache, at], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
    };
    for (id, made, for_time, cache) in due {
        let close = ((for_time - made) / 10).max(HOUR);
        let then = cache.map(|cache| level(cache, for_time)).transpose()?.flatten();
        let first = cache.map(|cache| level(cache, made)).transpose()?.flatten();
        match (then, first) {
            (Some((at, allocated, fallen)), Some((_, _, before))) if for_time - at <= close => {
                let actual = allocated.saturating_add(fallen.saturating_sub(before));
                transaction
                    .prepare_cached("UPDATE forecast SET actual = ?2 WHERE id = ?1")?
                    .execute(params![id, actual as f64])?;
            }
            _ => {
                transaction.prepare_cached("DELETE FROM forecast WHERE id = ?1")?.execute([id])?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_far_ahead_is_believed_an_hour_at_a_time() {
        assert_eq!(believe(1000, None), 1000);
        assert_eq!(believe(3 * DAY, Some(0)), 3 * DAY);
        assert_eq!(believe(400 * DAY, Some(0)), HOUR);
        assert_eq!(believe(-DAY, Some(0)), -DAY);
    }
}
