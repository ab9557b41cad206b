//! When something is due: cron in local time with jitter, runs that were missed, hours of the day
//! in which larder may act. No clock: the time is handed in, and so is the time zone.

use std::str::FromStr;
use std::time::Duration;

use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use larder_core::Time;

/// A schedule with five fields, in local time.
#[derive(Clone, Debug)]
pub struct Cron {
    text: String,
    cron: croner::Cron,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Reads `0 3 * * *`, also `@daily` and the like. The error is one sentence.
pub fn parse(text: &str) -> Result<Cron, String> {
    let parsed = CronParser::builder()
        .seconds(croner::parser::Seconds::Disallowed)
        .year(croner::parser::Year::Disallowed)
        .build()
        .parse(text);
    match parsed {
        Ok(cron) => Ok(Cron { text: text.to_owned(), cron }),
        Err(error) => Err(error.to_string().trim_end_matches('.').to_lowercase()),
    }
}

impl Cron {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time after `after`, without jitter; `None` where there is none, as of 30 February.
    pub fn next(&self, after: Time, zone: &TimeZone) -> Option<Time> {
        let stamp = Timestamp::from_nanosecond(i128::from(after.unix_nanos())).ok()?;
        let next = self.cron.find_next_occurrence(&stamp.to_zoned(zone.clone()), false).ok()?;
        Some(Time::from_unix(next.timestamp().as_second()))
    }

    /// How much later than its time a run may begin, so that many machines do not act in the same
    /// second: a tenth of the time to the run after it, and five minutes at the most.
    pub fn jitter(&self, due: Time, seed: u64, zone: &TimeZone) -> Duration {
        const MOST: Duration = Duration::from_mins(5);
        let Some(after) = self.next(due, zone) else { return Duration::ZERO };
        let most = (after.since(due) / 10).min(MOST);
        let millis = u64::try_from(most.as_millis()).unwrap_or(0);
        Duration::from_millis(mix(seed ^ due.unix().unsigned_abs()) % (millis + 1))
    }
}

/// Spreads seeds that are alike (`splitmix64`'s finaliser).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where one schedule stands.
#[derive(Clone, Debug)]
pub struct Due {
    cron: Cron,
    seed: u64,
    zone: TimeZone,
    /// When it runs next, jitter included, and the time that it stands for.
    next: Option<(Time, Time)>,
}

impl Due {
    /// A schedule that last ran at `last`, if ever. What was missed since then is made up for once,
    /// now, where `make_up` says so.
    pub fn new(
        cron: Cron,
        zone: TimeZone,
        seed: u64,
        last: Option<Time>,
        now: Time,
        make_up: bool,
    ) -> Self {
        let mut due = Self { cron, seed, zone, next: None };
        due.plan(now);
        let missed = last
            .filter(|last| make_up && *last <= now)
            .and_then(|last| due.cron.next(last, &due.zone))
            .filter(|missed| *missed <= now);
        if let Some(missed) = missed {
            due.next = Some((now, missed));
        }
        due
    }

    fn plan(&mut self, after: Time) {
        self.next = self
            .cron
            .next(after, &self.zone)
            .map(|due| (due.plus(self.cron.jitter(due, self.seed, &self.zone)), due));
    }

    /// When it runs next.
    pub fn next(&self) -> Option<Time> {
        self.next.map(|(at, _)| at)
    }

    /// Whether it is to run now; it is then planned anew. Where the clock was set back by more than
    /// a period, it is planned anew without running: what it stands for lies ahead again.
    pub fn take(&mut self, now: Time) -> bool {
        let Some((at, stands_for)) = self.next else { return false };
        if now >= at {
            self.plan(now.max(stands_for));
            return true;
        }
        if self.cron.next(now, &self.zone).is_some_and(|next| next < stands_for) {
            self.plan(now);
        }
        false
    }
}

/// Hours of the day, in local time, from and to; over midnight where the end is before the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Minutes since midnight.
    from: u16,
    to: u16,
}

impl Window {
    /// Whether `now` lies in it.
    pub fn holds(&self, now: Time, zone: &TimeZone) -> bool {
        let Ok(stamp) = Timestamp::from_nanosecond(i128::from(now.unix_nanos())) else {
            return false;
        };
        let local = stamp.to_zoned(zone.clone());
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        if self.from <= self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("expected hours such as \"22:00-06:00\", found {text:?}");
        let minute = |part: &str| -> Option<u16> {
            let (hour, minute) = part.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, to) = text.split_once('-').ok_or_else(bad)?;
        match (minute(from), minute(to)) {
            (Some(from), Some(to)) if from != to => Ok(Self { from, to }),
            _ => Err(bad()),
        }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, to) = (self.from, self.to);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::from_unix(text.parse::<Timestamp>().unwrap().as_second())
    }

    fn utc() -> TimeZone {
        TimeZone::UTC
    }

    #[test]
    fn five_fields_and_a_clear_error() {
        assert!(parse("0 3 * * *").is_ok() && parse("@daily").is_ok());
        for bad in ["", "0 3 * *", "61 3 * * *", "0 3 * * * *", "now"] {
            assert!(parse(bad).is_err(), "{bad:?} was taken for a schedule");
        }
    }

    #[test]
    fn the_next_run_is_in_local_time_and_survives_summer_time() {
        let cron = parse("30 2 * * *").unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        // On 29 March 2026 there is no 02:30 there.
        let next = cron.next(at("2026-03-28T12:00:00Z"), &berlin).unwrap();
        assert!(next > at("2026-03-29T00:00:00Z") && next < at("2026-03-29T04:00:00Z"), "{next:?}");
        let winter = cron.next(at("2026-01-10T12:00:00Z"), &berlin).unwrap();
        assert_eq!(winter, at("2026-01-11T01:30:00Z"));
    }

    #[test]
    fn jitter_is_at_most_a_tenth_of_the_period_and_five_minutes() {
        let due = at("2026-01-10T03:00:00Z");
        let daily = parse("0 3 * * *").unwrap();
        let often = parse("*/5 * * * *").unwrap();
        let spread: Vec<Duration> = (0..200).map(|seed| daily.jitter(due, seed, &utc())).collect();
        assert!(spread.iter().all(|jitter| *jitter <= Duration::from_mins(5)));
        assert!(spread.iter().max().unwrap() > &Duration::from_mins(4));
        let short = (0..200).map(|seed| often.jitter(due, seed, &utc())).max().unwrap();
        assert!(short <= Duration::from_secs(30) && short > Duration::from_secs(20), "{short:?}");
        assert_eq!(daily.jitter(due, 7, &utc()), daily.jitter(due, 7, &utc()));
    }

    #[test]
    fn it_runs_once_a_period() {
        let cron = parse("*/10 * * * *").unwrap();
        let start = at("2026-01-10T03:01:00Z");
        let mut due = Due::new(cron, utc(), 1, None, start, true);
        let minute = |n: u64| start.plus(Duration::from_mins(n));
        let runs = (0..=61).filter(|n| due.take(minute(*n))).count();
        assert_eq!(runs, 6);
    }

    #[test]
    fn what_was_missed_is_made_up_for_once_or_not_at_all() {
        let cron = || parse("0 3 * * *").unwrap();
        let now = at("2026-01-10T12:00:00Z");
        let last = Some(at("2026-01-05T03:00:00Z"));
        let mut made_up = Due::new(cron(), utc(), 1, last, now, true);
        assert!(made_up.take(now) && !made_up.take(now));
        assert!(!Due::new(cron(), utc(), 1, last, now, false).take(now));
        let recent = Some(at("2026-01-10T03:00:00Z"));
        assert!(!Due::new(cron(), utc(), 1, recent, now, true).take(now));
        assert!(!Due::new(cron(), utc(), 1, None, now, true).take(now));
    }

    #[test]
    fn a_clock_that_jumps_neither_runs_it_twice_nor_stops_it() {
        let now = at("2026-01-10T02:59:00Z");
        let mut due = Due::new(parse("0 3 * * *").unwrap(), utc(), 0, None, now, true);
        // A year ahead: once, not 365 times.
        let ahead = at("2027-01-10T12:00:00Z");
        assert!(due.take(ahead) && !due.take(ahead));
        // And back: planned for then, not for next year.
        let back = at("2026-01-11T02:00:00Z");
        assert!(!due.take(back));
        assert!(due.take(at("2026-01-11T03:06:00Z")));
    }

    #[test]
    fn hours_over_midnight() {
        let night: Window = "22:00-06:00".parse().unwrap();
        assert!(night.holds(at("2026-01-10T23:30:00Z"), &utc()));
        assert!(night.holds(at("2026-01-10T05:59:00Z"), &utc()));
        assert!(!night.holds(at("2026-01-10T06:00:00Z"), &utc()));
        let noon: Window = "12:00-13:00".parse().unwrap();
        assert!(noon.holds(at("2026-01-10T12:30:00Z"), &utc()));
        assert!(!noon.holds(at("2026-01-10T22:30:00Z"), &utc()));
        for bad in ["", "22-6", "25:00-06:00", "22:00-22:00", "22:60-23:00"] {
            assert!(bad.parse::<Window>().is_err(), "{bad:?} was taken for hours");
        }
        assert_eq!(night.to_string(), "22:00-06:00");
    }
}
