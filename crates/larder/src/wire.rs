//! What `--json` prints: versioned documents, apart from the values that they are made of.
//!
//! Fields are added and never renamed. Bytes are integers, times RFC 3339 in UTC, durations
//! seconds, ratios 0 to 1. The JSON Schemas come out of these very types.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder_core::{Size, Time};
use larder_notify::NoticeDoc;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::wire_alerts::AlertsDoc;
pub use crate::wire_audit::AuditDoc;
pub use crate::wire_config::{CheckDoc, ConfigDoc, WrittenDoc};
pub use crate::wire_download::DownloadDoc;
pub use crate::wire_events::EventsDoc;
pub use crate::wire_heal::HealDoc;
pub use crate::wire_health::HealthDoc;
pub use crate::wire_outcome::OutcomeDoc;
pub use crate::wire_plan::PlanDoc;
pub use crate::wire_plans::PlansDoc;
pub use crate::wire_slowlog::SlowlogDoc;
pub use crate::wire_status::{DuDoc, StatusDoc};
pub use crate::wire_throttle::ThrottleDoc;
pub use crate::wire_trash::{EmptiedDoc, RestoredDoc, TrashDoc};
pub use crate::wire_trend::TrendDoc;
pub use crate::wire_verify::VerifyDoc;

/// A time as RFC 3339 in UTC, to the nanosecond where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireTime(pub Time);

impl WireTime {
    /// The text of the document.
    pub fn text(self) -> String {
        // Every `Time` lies in the years 1677 to 2262, which a timestamp can hold.
        jiff::Timestamp::from_nanosecond(i128::from(self.0.unix_nanos()))
            .unwrap_or_default()
            .to_string()
    }
}

impl Serialize for WireTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let stamp: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        let nanos = i64::try_from(stamp.as_nanosecond()).map_err(serde::de::Error::custom)?;
        Ok(Self(Time::from_unix_nanos(nanos)))
    }
}

impl JsonSchema for WireTime {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Files and bytes, side by side with a row's other fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WireSize {
    /// Files, folders not counted.
    pub files: u64,
    /// What the files say they hold.
    pub logical_bytes: u64,
    /// What the disk gives back, folders too; a hard link counts once.
    pub allocated_bytes: u64,
}

impl From<Size> for WireSize {
    fn from(size: Size) -> Self {
        let Size { files, logical, allocated } = size;
        Self { files, logical_bytes: logical.0, allocated_bytes: allocated.0 }
    }
}

impl From<WireSize> for Size {
    fn from(size: WireSize) -> Self {
        Self::new(size.files, size.logical_bytes, size.allocated_bytes)
    }
}

/// A path as text; one that is not UTF-8 reads `base64:` and its bytes, so that nothing is lost.
pub(crate) fn path_text(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => format!("{ENCODED}{}", STANDARD.encode(path.as_os_str().as_encoded_bytes())),
    }
}

/// What [`path_text`] wrote; off Unix, where paths are no bytes, only what is plain text.
pub(crate) fn text_path(text: &str) -> PathBuf {
    #[cfg(unix)]
    if let Some(bytes) = text.strip_prefix(ENCODED).and_then(|code| STANDARD.decode(code).ok()) {
        use std::os::unix::ffi::OsStringExt as _;
        return std::ffi::OsString::from_vec(bytes).into();
    }
    text.into()
}

/// No absolute path begins so.
const ENCODED: &str = "base64:";

/// A document that `--json` prints.
pub trait Document: Serialize + JsonSchema {
    /// `larder/NAME/1`.
    const SCHEMA: &'static str;
}

/// What a webhook and a command get; larder itself prints it nowhere.
impl Document for NoticeDoc {
    const SCHEMA: &'static str = larder_notify::SCHEMA;
}

/// The JSON Schema of every document, by the file that it is published in.
pub fn schemas() -> Vec<(String, Schema)> {
    vec![
        schema_of::<AlertsDoc>(),
        schema_of::<CheckDoc>(),
        schema_of::<ConfigDoc>(),
        schema_of::<DownloadDoc>(),
        schema_of::<DuDoc>(),
        schema_of::<EmptiedDoc>(),
        schema_of::<EventsDoc>(),
        schema_of::<HealDoc>(),
        schema_of::<HealthDoc>(),
        schema_of::<NoticeDoc>(),
        schema_of::<OutcomeDoc>(),
        schema_of::<PlanDoc>(),
        schema_of::<PlansDoc>(),
        schema_of::<RestoredDoc>(),
        schema_of::<StatusDoc>(),
        schema_of::<AuditDoc>(),
        schema_of::<SlowlogDoc>(),
        schema_of::<ThrottleDoc>(),
        schema_of::<TrashDoc>(),
        schema_of::<TrendDoc>(),
        schema_of::<VerifyDoc>(),
        schema_of::<WrittenDoc>(),
    ]
}

fn schema_of<D: Document>() -> (String, Schema) {
    let mut schema = schemars::schema_for!(D);
    schema.insert("title".into(), D::SCHEMA.into());
    if let Some(field) = schema.pointer_mut("/properties/schema") {
        *field = serde_json::json!({ "const": D::SCHEMA });
    }
    // larder/config-check/1 becomes config-check-1.schema.json.
    let name = D::SCHEMA.trim_start_matches("larder/").replace('/', "-");
    (format!("{name}.schema.json"), schema)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
pub(crate) mod tests;
