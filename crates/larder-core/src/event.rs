//! Something that happened and is kept: a sample that failed, a plan made, an alert raised.

use std::time::Duration;

use crate::stitch::Cleanup;
use crate::time::Time;

/// The kind of the event that a cleanup leaves, one for each cache.
pub const CLEANED: &str = "cleaned";
/// What left the cache, bytes as a whole number; of a Redis what `used_memory` went down by.
pub const FREED_BYTES: &str = "freed_bytes";
/// How long the cleanup took, milliseconds as a whole number.
pub const TOOK_MILLIS: &str = "took_millis";

/// One event. Events are written once and never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: Time,
    /// Stable name for scripts, in kebab-case: `cleaned`, `alert-raised`, `not-throttled`.
    pub kind: String,
    /// The cache it is about, by its name; `None` where it is about all of them.
    pub cache: Option<String>,
    /// The plan it belongs to.
    pub plan_id: Option<String>,
    /// The same through every step of one run.
    pub trace_id: String,
    /// One sentence, no full stop.
    pub message: String,
    /// The evidence, by name.
    pub data: Vec<(String, String)>,
}

impl Event {
    /// The value of this name in its data.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.data.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What a cleanup took, where this tells of one.
    pub fn cleanup(&self) -> Option<Cleanup> {
        if self.kind != CLEANED {
            return None;
        }
        let whole = |name| self.get(name).and_then(|text| text.parse::<u64>().ok());
        let took = Duration::from_millis(whole(TOOK_MILLIS).unwrap_or(0));
        let from = self.at.minus(took);
        Some(Cleanup { from, to: self.at, took: whole(FREED_BYTES)? as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cleaned_is_a_cleanup() {
        let data = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut event = Event {
            at: Time::from_unix(100),
            kind: CLEANED.to_owned(),
            cache: Some("build".to_owned()),
            plan_id: None,
            trace_id: "t".to_owned(),
            message: "removed 3 entries".to_owned(),
            data: vec![data(FREED_BYTES, "5000"), data(TOOK_MILLIS, "2000")],
        };
        let cleanup = Cleanup { from: Time::from_unix(98), to: Time::from_unix(100), took: 5000.0 };
        assert_eq!(event.cleanup(), Some(cleanup));
        event.data[0].1 = "many".to_owned();
        assert_eq!(event.cleanup(), None);
        event.kind = "plan-made".to_owned();
        assert_eq!(event.cleanup(), None);
    }
}
