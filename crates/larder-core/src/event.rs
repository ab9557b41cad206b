//! Something that happened and is kept: a sample that failed, a plan made, an alert raised.

use crate::time::Time;

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
