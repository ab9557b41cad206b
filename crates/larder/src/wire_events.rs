//! `larder/events/1`.

use std::collections::BTreeMap;

use larder_history::KeptEvent;
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{Document, WireTime};

/// What happened, in the order of arrival. With `--follow` each event is a line of its own.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventsDoc {
    schema: &'static str,
    /// The oldest first.
    events: Vec<WireEvent>,
}

/// An event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WireEvent {
    /// Its number; numbers go up and none is given twice.
    id: i64,
    /// When it happened.
    at: WireTime,
    /// What kind it is, as in `cleaned`.
    kind: String,
    /// The cache that it is about; null where it is about all of them.
    cache: Option<String>,
    /// The plan that it belongs to.
    plan_id: Option<String>,
    /// The same through every step of one run.
    trace_id: String,
    /// One sentence.
    message: String,
    /// The evidence, by name.
    data: BTreeMap<String, String>,
}

impl Document for EventsDoc {
    const SCHEMA: &'static str = "larder/events/1";
}

impl EventsDoc {
    /// Of these.
    pub fn new(events: &[KeptEvent]) -> Self {
        let events = events.iter().map(WireEvent::from).collect();
        Self { schema: Self::SCHEMA, events }
    }
}

impl From<&KeptEvent> for WireEvent {
    fn from(kept: &KeptEvent) -> Self {
        let event = &kept.event;
        Self {
            id: kept.id,
            at: WireTime(event.at),
            kind: event.kind.clone(),
            cache: event.cache.clone(),
            plan_id: event.plan_id.clone(),
            trace_id: event.trace_id.clone(),
            message: event.message.clone(),
            data: event.data.iter().cloned().collect(),
        }
    }
}
