//! `larder/trash/1`.

use larder_core::{Size, Time};
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{Document, WireSize, WireTime};

/// An entry of the trash, for the document and for the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashLine {
    /// What `trash restore` takes.
    pub id: String,
    /// The caches that it came from, `build` or `mod,toolchain`.
    pub cache: String,
    /// When it was put there.
    pub created_at: Time,
    /// What emptying would give back.
    pub size: Size,
    /// When it will be emptied by itself.
    pub expires_at: Time,
}

/// What is in the trash.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TrashDoc {
    schema: &'static str,
    /// The latest first.
    entries: Vec<WireEntry>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireEntry {
    /// What `trash restore` takes.
    id: String,
    /// The caches that it came from.
    cache: String,
    /// When it was put there.
    created_at: WireTime,
    #[serde(flatten)]
    size: WireSize,
    /// When it will be emptied by itself.
    expires_at: WireTime,
}

impl Document for TrashDoc {
    const SCHEMA: &'static str = "larder/trash/1";
}

impl From<&[TrashLine]> for TrashDoc {
    fn from(lines: &[TrashLine]) -> Self {
        Self { schema: Self::SCHEMA, entries: lines.iter().map(WireEntry::from).collect() }
    }
}

impl From<&TrashLine> for WireEntry {
    fn from(line: &TrashLine) -> Self {
        Self {
            id: line.id.clone(),
            cache: line.cache.clone(),
            created_at: WireTime(line.created_at),
            size: line.size.into(),
            expires_at: WireTime(line.expires_at),
        }
    }
}
