//! The file: made for its owner alone, opened, checked, and set aside where it is damaged.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::Meter;
use larder_fs::FileLock;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::HistoryError;
use crate::schema;

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(5);
/// What a connection keeps of the file in memory, KiB.
const CACHE_KIB: i64 = 256;
/// Pages of the write-ahead log before they go into the file: 1 MB, which who opens it first goes
/// through in a millisecond.
const LOG_PAGES: u32 = 250;

/// A damaged file that was renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// What it is called now.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Opens the file to write, makes it where it is missing, brings it to this version, and sets it
/// aside where it is damaged.
pub(crate) fn open(path: &Path) -> Result<(Connection, Option<SetAside>), HistoryError> {
    match try_open(path) {
        Err(error) if error.is_damage() => {
            let aside = set_aside(path, &error.why())?;
            Ok((try_open(path)?, aside))
        }
        other => other.map(|connection| (connection, None)),
    }
}

/// Opens the file to read; `None` where there is none. It is neither made nor changed.
pub(crate) fn open_to_read(path: &Path) -> Result<Option<Connection>, HistoryError> {
    if !path.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = || {
        let connection = Connection::open_with_flags(path, flags)?;
        prepare(&connection)?;
        let version = schema::version(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok((connection, version))
    };
    let (connection, version) = read().map_err(|source| failed(path, source))?;
    match version {
        // Somebody is just making it.
        0 => Ok(None),
        found if found > schema::known() => Err(newer(path, found)),
        found if found < schema::known() => open(path).map(|(connection, _)| Some(connection)),
        _ => Ok(Some(connection)),
    }
}

/// What every connection is told first.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Eight times as much is usual, for each of several connections of a daemon that has to be small.
    // What is read again is in the page cache of the system.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // The last one to leave would write the log into the file and wait for the disk; a command
    // that added a line has no time for that, and the next writer does it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

fn newer(path: &Path, found: i64) -> HistoryError {
    HistoryError::Newer { path: path.to_owned(), found, known: schema::known() }
}

pub(crate) fn failed(path: &Path, source: rusqlite::Error) -> HistoryError {
    HistoryError::Sqlite { path: path.to_owned(), source }
}

fn io_failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HistoryError {
    move |source| HistoryError::Io { doing, path: path.to_owned(), source }
}

fn try_open(path: &Path) -> Result<Connection, HistoryError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io_failed("make the folder", folder))?;
    }
    make_private(path).map_err(io_failed("make", path))?;
    let opened = (|| {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        prepare(&connection)?;
        if schema::version(&connection)? == 0 {
            // Pages that become free can be given back; it has to be said before the first table.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let version = schema::version(&connection)?;
        if version <= schema::known() {
            schema::migrate(&mut connection)?;
            probe(&connection)?;
        }
        Ok((connection, version))
    })();
    match opened {
        Ok((_, version)) if version > schema::known() => Err(newer(path, version)),
        Ok((connection, _)) => Ok(connection),
        Err(source) => Err(failed(path, source)),
    }
}

/// Reads a little of each table: a file that is cut off or overwritten fails here. A look at every
/// page would take seconds on a large file; damage deeper inside is found when it is met.
fn probe(connection: &Connection) -> rusqlite::Result<()> {
    for table in ["cache", "level", "name", "event", "state", "forecast"] {
        let last = format!("SELECT count(*) FROM (SELECT * FROM {table} LIMIT 5)");
        connection.query_row(&last, [], |row| row.get::<_, i64>(0))?;
    }
    // CROSS JOIN keeps the order: without it SQLite reads all samples.
    let newest = "SELECT count(s.allocated) FROM cache c CROSS JOIN sample s \
                  ON s.cache = c.id AND s.at = c.last_at";
    connection.query_row(newest, [], |row| row.get::<_, i64>(0))?;
    Ok(())
}

/// Makes the file where it is missing; either way only its owner may read it.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    drop(file);
    Ok(())
}

/// Renames a damaged file and what belongs to it, so that nothing of it is lost. `None` where it
/// is whole: another process was faster, or what went wrong was no damage.
pub(crate) fn set_aside(path: &Path, why: &str) -> Result<Option<SetAside>, HistoryError> {
    let lock_path = beside(path, ".lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
    let lock = lock.map_err(io_failed("open", &lock_path))?;
    let lock = FileLock::exclusive(lock, &lock_path, BUSY, &Meter::default())
        .map_err(|error| io_failed("lock", &lock_path)(io::Error::other(error.to_string())))?;
    if !path.exists() || is_whole(path) {
        return Ok(None);
    }
    let aside = free_name(path);
    fs::rename(path, &aside).map_err(io_failed("rename", path))?;
    for part in ["-wal", "-shm"] {
        // Either may be missing.
        let _ = fs::rename(beside(path, part), beside(&aside, part));
    }
    drop(lock);
    Ok(Some(SetAside { path: aside, why: why.to_owned() }))
}

/// Looks at every page, which may take a second; done only where damage was met. What cannot be
/// looked at for another reason, as a lock, counts as whole.
fn is_whole(path: &Path) -> bool {
    let checked = try_open(path).and_then(|connection| {
        let said = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        said.map_err(|source| failed(path, source))
    });
    checked.map_or_else(|error| !error.is_damage(), |said: String| said == "ok")
}

/// `history.db.corrupt-TIME`, with the seconds since 1970 as the time.
fn free_name(path: &Path) -> PathBuf {
    let now = larder_fs::now().unix();
    let named = |second: i64| beside(path, &format!(".corrupt-{second}"));
    let mut second = now;
    while named(second).exists() {
        second += 1;
    }
    named(second)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// What tells whether a path still leads to the same file; `None` where the platform does not say.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    {
        // A file that is open cannot be renamed there.
        let _ = path;
        None
    }
}
