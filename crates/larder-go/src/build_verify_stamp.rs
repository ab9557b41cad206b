//! The two stamps at the root of a build cache: `trim.txt` (`cmd/go/internal/cache/cache.go`,
//! `Trim`) and `testexpire.txt` (`cmd/go/internal/test/test.go`).
//!
//! Promises: a stamp that is missing is no fault, and one that is just being written neither.

use std::ffi::OsStr;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use larder_core::{Bad, CacheKind, Check, Time, Unverifiable};
use larder_fs::{Dir, clock};

/// The stamps' names.
pub(crate) const NAMES: [&str; 2] = ["trim.txt", "testexpire.txt"];

/// Clocks may be off by this much; go's own rule for `trim.txt` (`mtimeInterval`).
const SLACK: Duration = Duration::from_hours(1);

/// What the stamps are.
#[derive(Default)]
pub(crate) struct Stamps {
    pub(crate) checked: u64,
    pub(crate) bad: Vec<Bad>,
    pub(crate) unread: Vec<Unverifiable>,
}

/// Looks at both, again after `settle` where one is bad: go rewrites them in place.
pub(crate) fn examine(root: &Dir, settle: Duration) -> Stamps {
    let mut stamps = Stamps::default();
    for name in NAMES {
        let end = Instant::now() + settle;
        let said = loop {
            let said = read(root, name, clock::now());
            let changed = root.look(OsStr::new(name)).ok().flatten().map(|meta| meta.modified);
            let recent = changed.is_some_and(|at| clock::now().since(at) < settle);
            if !matches!(said, Ok(Some(Err(_)))) || !recent || Instant::now() >= end {
                break said;
            }
            thread::sleep(settle / 10);
        };
        match said {
            Ok(None) => {}
            Ok(Some(Ok(()))) => stamps.checked += 1,
            Ok(Some(Err(found))) => {
                stamps.checked += 1;
                stamps.bad.push(bad(root, name, found));
            }
            Err(error) => {
                stamps.checked += 1;
                stamps.unread.push(Unverifiable {
                    cache: CacheKind::Build,
                    subject: name.to_owned(),
                    reason: format!("it cannot be read: {error}"),
                });
            }
        }
    }
    stamps
}

/// `Ok(None)` where there is none; inside, what is wrong with it.
fn read(root: &Dir, name: &str, now: Time) -> io::Result<Option<Result<(), String>>> {
    let text = match root.read(OsStr::new(name), 65) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(judge(name, &text, now)))
}

fn judge(name: &str, text: &[u8], now: Time) -> Result<(), String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<i64>().ok());
    let Some(number) = number else {
        return Err(match text {
            [] => "nothing".to_owned(),
            _ => format!("{:?}, which is no number", String::from_utf8_lossy(text)),
        });
    };
    let time =
        if name == NAMES[0] { Time::from_unix(number) } else { Time::from_unix_nanos(number) };
    match number {
        ..0 => Err(format!("{number}, a time before there was Go")),
        _ if time > now.plus(SLACK) => {
            Err(format!("a time {} in the future", far(time.since(now))))
        }
        _ => Ok(()),
    }
}

fn far(ahead: Duration) -> String {
    match ahead.as_secs() / 3600 {
        hours @ ..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}

fn bad(root: &Dir, name: &str, found: String) -> Bad {
    let (unit, means) = if name == NAMES[0] {
        ("seconds", "go does not know when it last trimmed this cache")
    } else {
        ("nanoseconds", "go takes no test result from before that time, or all of them")
    };
    Bad {
        cache: CacheKind::Build,
        subject: name.to_owned(),
        check: Check::Stamp,
        expected: format!("a past time in unix {unit}"),
        found,
        details: vec![means.to_owned()],
        path: root.path().join(name),
        used_by: Vec::new(),
        removes: vec![name.into()],
        fixed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_is_well_and_what_makes_no_sense_is_told() {
        let now = Time::from_unix(1_800_000_000);
        let trim = |text: &str| judge("trim.txt", text.as_bytes(), now);
        let tests = |text: &str| judge("testexpire.txt", text.as_bytes(), now);
        assert_eq!(trim("1799999999"), Ok(()));
        assert_eq!(trim("1800003000"), Ok(()), "clocks differ");
        assert_eq!(tests("1799999999000000001\n"), Ok(()));
        assert!(trim("").is_err() && trim("soon").is_err() && trim("-5").is_err());
        assert_eq!(trim("1801000000").unwrap_err(), "a time 11 days in the future");
        assert_eq!(tests("1800010000000000000\n").unwrap_err(), "a time 2 hours in the future");
        assert!(trim("99999999999999999999999").is_err());
    }
}
