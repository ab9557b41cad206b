//! The two time stamps of a build cache: `trim.txt` (when Go last trimmed it) and
//! `testexpire.txt` (test results from before it do not count), and what they tell of a cache
//! that Go has stopped trimming.
//!
//! Promises: a stamp is only ever moved forward, under the lock that the go command takes.
//! Leaves out: writing `trim.txt`, which only Go may.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use larder_core::{Meter, Time};
use larder_fs::{Dir, FileLock, LockError};

/// Go trims at most once in this time (`cmd/go/internal/cache/cache.go`, `trimInterval`).
pub const TRIM_INTERVAL: Duration = Duration::from_hours(24);

/// Go removes what was not used for this long: `trimLimit` and one `mtimeInterval`, since a use
/// may be an hour younger than its mtime.
pub const TRIM_AGE: Duration = Duration::from_hours(5 * 24 + 1);

/// A stamp further in the future than this does not count for Go (`mtimeInterval`).
const FUTURE_SLACK: Duration = Duration::from_hours(1);

const TRIM: &str = "trim.txt";
const TEST_EXPIRE: &str = "testexpire.txt";

/// What `trim.txt` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimState {
    /// There is none: Go has not trimmed this cache yet.
    Never,
    /// Go last began to trim at this time.
    Trimmed(Time),
    /// It lies in the future; Go trims all the same once it is more than an hour off.
    Future(Time),
    /// It is no number, or cannot be read; Go trims all the same.
    Unreadable,
}

/// Reads `trim.txt`: unix seconds in decimal digits.
pub fn trim_state(root: &Dir, now: Time) -> TrimState {
    match root.read(OsStr::new(TRIM), 64) {
        Ok(text) => match parse_stamp(&text).map(Time::from_unix) {
            Some(time) if time > now.plus(FUTURE_SLACK) => TrimState::Future(time),
            Some(time) => TrimState::Trimmed(time),
            None => TrimState::Unreadable,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => TrimState::Never,
        Err(_) => TrimState::Unreadable,
    }
}

/// The time from which test results count, where one is set: `testexpire.txt`, unix nanoseconds.
pub fn test_expiry(root: &Dir) -> Option<Time> {
    let text = root.read(OsStr::new(TEST_EXPIRE), 64).ok()?;
    parse_stamp(&text).map(Time::from_unix_nanos)
}

/// A cache that holds what Go would have removed, although its `trim.txt` says that Go trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untrimmed {
    /// How long the oldest entry has gone unused.
    pub oldest: Duration,
    /// When `trim.txt` says that the cache was trimmed; `None` where it was never.
    pub stamped: Option<Time>,
    /// Whether a use of this cache now would make Go trim it.
    pub due: bool,
}

/// Whether Go keeps entries that it would have removed, had it trimmed when `trim.txt` says.
///
/// A trim at the stamp removes what was unused for [`TRIM_AGE`] then, so an older entry means
/// that the stamp came from elsewhere: a cache restored in CI brings its `trim.txt` along, and
/// where that happens each day Go never trims.
pub fn untrimmed(state: TrimState, oldest_use: Option<Time>, now: Time) -> Option<Untrimmed> {
    let oldest = now.since(oldest_use?);
    let (stamped, old_for_trim) = match state {
        TrimState::Trimmed(at) => (Some(at), oldest_use? < at.minus(TRIM_AGE)),
        TrimState::Never | TrimState::Future(_) | TrimState::Unreadable => {
            (None, oldest > TRIM_AGE)
        }
    };
    let due = stamped.is_none_or(|at| now.since(at) >= TRIM_INTERVAL);
    old_for_trim.then_some(Untrimmed { oldest, stamped, due })
}

/// Why test results could not be expired.
#[derive(Debug, thiserror::Error)]
pub enum ExpireError {
    /// The lock of `testexpire.txt` was not free in time.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It could not be read or written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes Go ignore all test results from before `now`, as `go clean -testcache` does
/// (`cmd/go/internal/clean/clean.go`): under the file's lock, and only ever later than what is
/// there. Returns whether the stamp was moved.
pub fn expire_tests(
    root: &Dir,
    now: Time,
    wait: Duration,
    meter: &Meter,
) -> Result<bool, ExpireError> {
    let path = root.path().join(TEST_EXPIRE);
    let io = |source| ExpireError::Io { path: path.clone(), source };
    let file = root.open_lock(OsStr::new(TEST_EXPIRE)).map_err(io)?;
    let mut lock = FileLock::exclusive(file, &path, wait, meter)?;
    advance(lock.file(), now).map_err(io)
}

fn advance(file: &mut File, now: Time) -> io::Result<bool> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    io::Read::by_ref(file).take(64).read_to_end(&mut text)?;
    // What is no number counts as 0, as in Go.
    if parse_stamp(&text).is_some_and(|before| now.unix_nanos() <= before) {
        return Ok(false);
    }
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{}\n", now.unix_nanos()).as_bytes())?;
    Ok(true)
}

fn parse_stamp(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn old_entries_under_a_fresh_stamp_are_told() {
        let now = Time::from_unix(1_800_000_000);
        let old = Some(now.minus(40 * DAY));
        let fresh = TrimState::Trimmed(now.minus(Duration::from_hours(1)));
        let found = untrimmed(fresh, old, now).unwrap();
        assert_eq!(found.oldest, 40 * DAY);
        assert!(!found.due, "Go does not trim a cache that was stamped an hour ago");
        assert!(untrimmed(TrimState::Never, old, now).unwrap().due);
    }

    #[test]
    fn what_go_itself_keeps_is_no_finding() {
        let now = Time::from_unix(1_800_000_000);
        let trimmed = |days: u32| TrimState::Trimmed(now.minus(days * DAY));
        // Trimmed 10 days ago and not used since: nothing is older than it was then.
        assert_eq!(untrimmed(trimmed(10), Some(now.minus(14 * DAY)), now), None);
        assert!(untrimmed(trimmed(10), Some(now.minus(16 * DAY)), now).is_some());
        assert_eq!(untrimmed(TrimState::Never, Some(now.minus(5 * DAY)), now), None);
        assert_eq!(untrimmed(TrimState::Never, None, now), None);
    }
}
