//! `larder/plans/1`: the plans that wait.

use larder_core::check::Approval;
use schemars::JsonSchema;
use serde::Serialize;

use crate::waiting::Waiting;
use crate::wire::{Document, WireSize, WireTime, path_text};

/// The plans that wait.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PlansDoc {
    schema: String,
    /// The oldest first.
    plans: Vec<WireWaiting>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireWaiting {
    id: String,
    created_at: WireTime,
    /// What asked for it.
    request: Vec<String>,
    /// Whose things go.
    caches: Vec<String>,
    /// Things or patterns that go.
    items: u64,
    #[serde(flatten)]
    size: WireSize,
    /// Keys of Redis servers that match, as far as they were counted.
    keys: u64,
    /// What these keys take, about.
    estimated_bytes: u64,
    /// `waiting`, `approved`, or `edited` since it was approved.
    state: &'static str,
    approved_by: Option<String>,
    approved_at: Option<WireTime>,
    path: String,
}

impl Document for PlansDoc {
    const SCHEMA: &'static str = "larder/plans/1";
}

/// The word for how far an approval has come.
pub(crate) fn state(approval: Approval) -> &'static str {
    match approval {
        Approval::Given => "approved",
        Approval::Edited => "edited",
        Approval::Missing | Approval::NotAsked => "waiting",
    }
}

impl From<&[Waiting]> for PlansDoc {
    fn from(plans: &[Waiting]) -> Self {
        let wire = |waiting: &Waiting| WireWaiting {
            id: waiting.plan.id.clone(),
            created_at: WireTime(waiting.plan.created_at),
            request: waiting.plan.request.clone(),
            caches: waiting.caches(),
            items: (waiting.plan.items.len() + waiting.plan.keys.len()) as u64,
            size: waiting.plan.total().into(),
            keys: waiting.plan.keys.iter().map(|item| item.keys).sum(),
            estimated_bytes: waiting.plan.keys.iter().map(|item| item.estimated_bytes).sum(),
            state: state(waiting.approval),
            approved_by: waiting.approved_by.as_ref().map(|(by, _)| by.clone()),
            approved_at: waiting.approved_by.as_ref().map(|(_, at)| WireTime(*at)),
            path: path_text(&waiting.path),
        };
        Self { schema: Self::SCHEMA.to_owned(), plans: plans.iter().map(wire).collect() }
    }
}
