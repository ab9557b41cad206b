//! The machine's clock: the one place where 'now' is read. Everything else is handed a [`Time`].

use std::time::{SystemTime, UNIX_EPOCH};

use larder_core::Time;

/// What time it is; a clock outside the range of [`Time`] stops at its end.
pub fn now() -> Time {
    from_system(SystemTime::now())
}

/// The same point in time as a [`Time`].
pub(crate) fn from_system(time: SystemTime) -> Time {
    let nanos = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
    };
    Time::from_unix_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_before_the_epoch_are_negative() {
        let before = UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(from_system(before).unix_nanos(), -1_500_000_000);
        assert_eq!(from_system(before).unix(), -2);
        assert!(now() > Time::from_unix(1_700_000_000));
    }
}
