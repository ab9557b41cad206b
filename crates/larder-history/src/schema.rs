//! The tables, and how a file of an earlier version becomes one of this.
//!
//! [`MIGRATIONS`] is append-only: a step that has been released is never changed. `user_version` is
//! how many have been taken.

use rusqlite::{Connection, TransactionBehavior};

/// Each step, in order.
///
/// Times are milliseconds since 1970, sizes bytes, durations microseconds, ratios millionths, the
/// score hundredths. `sample` holds rows of every fineness: of what was thinned out the last row
/// stays, `n` says of how many, and `…_low` and `…_high` their range; `cache.raw_from` and
/// `cache.fine_from` say from where on rows are as they came, and of five minutes.
/// `disk` is the number of a name, that of where the disk is mounted, as are those in `points`.
/// `fallen` is what drops took since the beginning, and `…_base` what a counter had when its server
/// started anew.
pub(crate) const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE cache (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last_at INTEGER,
    raw_from INTEGER NOT NULL DEFAULT 0,
    fine_from INTEGER NOT NULL DEFAULT 0,
    hits INTEGER, hits_base INTEGER,
    misses INTEGER, misses_base INTEGER,
    evicted INTEGER, evicted_base INTEGER
) STRICT;
CREATE TABLE level (
    cache INTEGER NOT NULL REFERENCES cache (id),
    what INTEGER NOT NULL,
    at INTEGER NOT NULL,
    value REAL NOT NULL,
    fallen REAL NOT NULL,
    expected REAL NOT NULL,
    moves BLOB NOT NULL,
    PRIMARY KEY (cache, what)
) STRICT, WITHOUT ROWID;
CREATE TABLE sample (
    cache INTEGER NOT NULL REFERENCES cache (id),
    at INTEGER NOT NULL,
    allocated INTEGER, fallen INTEGER, resident INTEGER, resident_fallen INTEGER,
    n INTEGER, failed INTEGER, allocated_low INTEGER, allocated_high INTEGER,
    logical INTEGER, files INTEGER, reclaimable INTEGER, budget INTEGER,
    disk_free INTEGER, disk_size INTEGER, last_used INTEGER, oldest_use INTEGER, took INTEGER,
    score INTEGER, score_low INTEGER,
    keys INTEGER, persistent_keys INTEGER, used_memory INTEGER, max_memory INTEGER,
    hits INTEGER, hits_base INTEGER, misses INTEGER, misses_base INTEGER,
    evicted INTEGER, evicted_base INTEGER, hit_rate INTEGER,
    connections INTEGER, max_connections INTEGER, fragmentation INTEGER,
    latency INTEGER, latency_high INTEGER,
    points BLOB, error TEXT,
    PRIMARY KEY (cache, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE name (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    cache TEXT,
    plan_id TEXT,
    trace_id TEXT NOT NULL,
    message TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX event_at ON event (at);
CREATE INDEX event_of_cache ON event (cache, at);
CREATE TABLE state (
    key TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE forecast (
    id INTEGER PRIMARY KEY,
    made_at INTEGER NOT NULL,
    cache TEXT NOT NULL,
    for_time INTEGER NOT NULL,
    level REAL NOT NULL,
    predicted REAL NOT NULL,
    low REAL, high REAL,
    actual REAL
) STRICT;
CREATE INDEX forecast_open ON forecast (for_time) WHERE actual IS NULL;
CREATE INDEX forecast_of_cache ON forecast (cache, made_at);
",
    "
ALTER TABLE sample ADD COLUMN disk INTEGER;
",
];

/// The version that this larder writes.
pub(crate) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The version of a file.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Takes the steps that are missing, each whole or not at all. Another process may be doing the
/// same: what it has done is seen once the lock is held.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    while version(connection)? < known() {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let taken = version(&step)?;
        if let Some(text) = usize::try_from(taken).ok().and_then(|next| MIGRATIONS.get(next)) {
            step.execute_batch(text)?;
            step.pragma_update(None, "user_version", taken + 1)?;
        }
        step.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_becomes_the_newest() {
        for from in 0..=MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for (step, version) in MIGRATIONS[..from].iter().zip(1_i64..) {
                connection.execute_batch(step).unwrap();
                connection.pragma_update(None, "user_version", version).unwrap();
            }
            migrate(&mut connection).unwrap();
            assert_eq!(version(&connection).unwrap(), known());
            connection.execute("INSERT INTO cache (name) VALUES ('build')", []).unwrap();
            // A second time is nothing.
            migrate(&mut connection).unwrap();
        }
    }

    #[test]
    fn a_released_step_is_never_changed() {
        // A new step is added to MIGRATIONS and its length here; an old one never changes.
        let lengths: Vec<usize> = MIGRATIONS.iter().map(|step| step.len()).collect();
        assert_eq!(lengths, [2383, 45]);
    }
}
