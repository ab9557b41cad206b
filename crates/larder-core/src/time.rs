//! Points in time and ages. No clock: `now` is always handed in.

use std::fmt;
use std::time::Duration;

/// Nanoseconds since 1970-01-01 UTC; before that, negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// From nanoseconds since the epoch.
    pub fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From seconds since the epoch; what does not fit stops at the end of the range.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub fn unix_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn unix(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// How long ago `earlier` was; nothing where a clock jumped and it lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// `age` before this, stopping at the end of the range.
    #[must_use]
    pub fn minus(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// `later` after this, stopping at the end of the range.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration; write it as 90s, 15m, 36h or 30d")]
pub struct BadDuration(String);

/// Reads `90s`, `15m`, `36h`, `30d`, `2w`, and such parts in a row as in `1h30m`; a bare `0` too.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.to_owned());
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        let after = &rest[digits..];
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let seconds = match &after[..letters] {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return Err(bad()),
        };
        total = number.checked_mul(seconds).and_then(|n| n.checked_add(total)).ok_or_else(bad)?;
        rest = after[letters..].trim_start();
    }
    Ok(Duration::from_secs(total))
}

/// An age as a person says it: `2 min`, `3 d`, `2 y`.
#[derive(Clone, Copy, Debug)]
pub struct Age(pub Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{} min", seconds / 60),
            3600..172_800 => format!("{} h", seconds / 3600),
            172_800..63_072_000 => format!("{} d", seconds / 86_400),
            _ => format!("{} y", seconds / 31_536_000),
        };
        f.pad(&text)
    }
}

/// A duration as it would be typed: `24h`, `90s`, `30d`; the largest unit that divides it.
#[derive(Clone, Copy, Debug)]
pub struct Typed(pub Duration);

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            s if s >= 172_800 && s % 86_400 == 0 => format!("{}d", s / 86_400),
            s if s >= 3600 && s % 3600 == 0 => format!("{}h", s / 3600),
            s if s >= 60 && s % 60 == 0 => format!("{}m", s / 60),
            s => format!("{s}s"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_back() {
        for (text, seconds) in [("90s", 90), ("36h", 129_600), ("30d", 2_592_000), ("1h30m", 5400)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["90s", "36h", "30d", "24h", "15m"] {
            assert_eq!(Typed(parse_duration(text).unwrap()).to_string(), text);
        }
        for bad in ["", "5", "h", "-5h", "5 fortnights", "99999999999999999d", "1.5h"] {
            assert!(parse_duration(bad).is_err(), "{bad:?} was read as a duration");
        }
    }

    #[test]
    fn a_clock_that_jumped_makes_no_negative_age() {
        let now = Time::from_unix(1000);
        assert_eq!(now.since(Time::from_unix(2000)), Duration::ZERO);
        assert_eq!(now.minus(Duration::MAX).unix_nanos(), i64::MIN + 999_999_999_999 + 2);
        assert_eq!(Time::from_unix(i64::MAX).plus(Duration::MAX), Time::from_unix(i64::MAX));
    }
}
