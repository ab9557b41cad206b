//! Keys of a Redis in JSON: which are meant, and how bytes that are no text are written.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder_core::{ExpireIf, Expiry, KeyChange, KeySelection, KeysItem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a plan's item.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WireKeys {
    /// Where the Redis was when the plan was made; without a password.
    url: String,
    /// The pattern that they match; escaped where it is not UTF-8.
    pattern: String,
    /// The pattern's bytes, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern_base64: Option<String>,
    /// Patterns that take keys out again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<String>,
    /// Their type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Those without a time to live only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    persistent: bool,
    /// Those that nobody touched for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_seconds: Option<u64>,
    /// Those that are certainly this old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    older_than_seconds: Option<u64>,
    /// Those that take more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    larger_than_bytes: Option<u64>,
    /// The time to live that they are given; absent where they are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expire: Option<WireExpire>,
    /// How many there were, or about how many.
    #[serde(rename = "keys")]
    count: u64,
    /// What they took, about.
    estimated_bytes: u64,
}

/// A time to live.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
struct WireExpire {
    ttl_seconds: u64,
    /// How far it is spread to either side, 0 to 0.9.
    jitter: f64,
    /// Which keys are changed: all, `nx` (those without one), `gt` (only to later), `lt` (only to
    /// earlier).
    only: WireOnly,
    /// Decides which key gets which.
    seed: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum WireOnly {
    All,
    Nx,
    Gt,
    Lt,
}

impl WireExpire {
    fn of(change: KeyChange) -> Option<Self> {
        let KeyChange::Expire(expiry) = change else { return None };
        Some(Self {
            ttl_seconds: expiry.ttl.as_secs(),
            jitter: f64::from(expiry.jitter) / 1000.0,
            only: match expiry.only {
                ExpireIf::Always => WireOnly::All,
                ExpireIf::None => WireOnly::Nx,
                ExpireIf::Later => WireOnly::Gt,
                ExpireIf::Earlier => WireOnly::Lt,
            },
            seed: expiry.seed,
        })
    }

    fn change(this: Option<Self>) -> Result<KeyChange, String> {
        let Some(wire) = this else { return Ok(KeyChange::Remove) };
        let jitter = wire.jitter * 1000.0;
        if wire.ttl_seconds == 0 || !(0.0..=f64::from(Expiry::WIDEST)).contains(&jitter) {
            return Err("its time to live makes no sense".to_owned());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 900"
        )]
        let jitter = jitter.round() as u16;
        Ok(KeyChange::Expire(Expiry {
            ttl: Duration::from_secs(wire.ttl_seconds),
            jitter,
            only: match wire.only {
                WireOnly::All => ExpireIf::Always,
                WireOnly::Nx => ExpireIf::None,
                WireOnly::Gt => ExpireIf::Later,
                WireOnly::Lt => ExpireIf::Earlier,
            },
            seed: wire.seed,
        }))
    }
}

impl From<&KeysItem> for WireKeys {
    fn from(item: &KeysItem) -> Self {
        let selection = &item.selection;
        let (pattern, pattern_base64) = text_and_base64(&selection.pattern);
        Self {
            url: item.url.clone(),
            pattern,
            pattern_base64,
            exclude: selection.exclude.iter().map(|bytes| escaped(bytes)).collect(),
            kind: selection.kind.clone(),
            persistent: selection.persistent,
            idle_seconds: selection.idle.map(|least| least.as_secs()),
            older_than_seconds: selection.older_than.map(|least| least.as_secs()),
            larger_than_bytes: selection.larger_than,
            expire: WireExpire::of(item.change),
            count: item.keys,
            estimated_bytes: item.estimated_bytes,
        }
    }
}

impl WireKeys {
    /// Back again.
    pub fn item(&self, cache: &str, reason: &str) -> Result<KeysItem, String> {
        let pattern = match &self.pattern_base64 {
            Some(base64) => {
                STANDARD.decode(base64).map_err(|_| "pattern_base64 is not base64".to_owned())?
            }
            None => self.pattern.clone().into_bytes(),
        };
        if pattern.is_empty() {
            return Err("it has no pattern".to_owned());
        }
        Ok(KeysItem {
            cache: cache.to_owned(),
            url: self.url.clone(),
            selection: KeySelection {
                pattern,
                exclude: self.exclude.iter().map(|text| unescaped(text)).collect(),
                kind: self.kind.clone(),
                persistent: self.persistent,
                idle: self.idle_seconds.map(Duration::from_secs),
                older_than: self.older_than_seconds.map(Duration::from_secs),
                larger_than: self.larger_than_bytes,
            },
            change: WireExpire::change(self.expire)?,
            keys: self.count,
            estimated_bytes: self.estimated_bytes,
            reason: reason.into(),
        })
    }
}

/// A key as text, and its bytes in base64 where that text is not all there is to it.
pub fn text_and_base64(key: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(key) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (key.escape_ascii().to_string(), Some(STANDARD.encode(key))),
    }
}

const ENCODED: &str = "base64:";

/// Bytes as text: UTF-8 as it is, anything else in base64 behind a mark, and what begins like the
/// mark too.
fn escaped(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(ENCODED) => text.to_owned(),
        _ => format!("{ENCODED}{}", STANDARD.encode(bytes)),
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let encoded = text.strip_prefix(ENCODED).and_then(|rest| STANDARD.decode(rest).ok());
    encoded.unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(change: KeyChange) -> KeysItem {
        KeysItem {
            cache: "redis:sessions".to_owned(),
            url: "redis://127.0.0.1:6379/0".to_owned(),
            selection: KeySelection {
                pattern: b"temp:\xff*".to_vec(),
                exclude: vec![b"temp:keep*".to_vec(), b"base64:\xfe".to_vec()],
                kind: Some("hash".to_owned()),
                persistent: true,
                idle: Some(Duration::from_hours(1)),
                older_than: None,
                larger_than: Some(1000),
            },
            change,
            keys: 12,
            estimated_bytes: 3400,
            reason: "asked for".into(),
        }
    }

    #[test]
    fn an_item_comes_back_from_json_as_it_was() {
        let expiry = |only, jitter| {
            let ttl = Duration::from_hours(36);
            KeyChange::Expire(Expiry { ttl, jitter, only, seed: u32::MAX })
        };
        for change in [
            KeyChange::Remove,
            expiry(ExpireIf::Always, 0),
            expiry(ExpireIf::None, 1),
            expiry(ExpireIf::Later, 333),
            expiry(ExpireIf::Earlier, Expiry::WIDEST),
        ] {
            let item = item(change);
            let json = serde_json::to_string(&WireKeys::from(&item)).unwrap();
            let wire: WireKeys = serde_json::from_str(&json).unwrap();
            assert_eq!(wire.item(&item.cache, &item.reason), Ok(item));
        }
    }

    #[test]
    fn a_time_to_live_that_makes_no_sense_is_none() {
        let item = item(KeyChange::Expire(Expiry {
            ttl: Duration::from_mins(1),
            jitter: 100,
            only: ExpireIf::Always,
            seed: 1,
        }));
        let json = serde_json::to_value(WireKeys::from(&item)).unwrap();
        for (field, value) in
            [("ttl_seconds", 0.into()), ("jitter", 1.into()), ("jitter", (-0.1).into())]
        {
            let mut wrong = json.clone();
            wrong["expire"][field] = value;
            let wire: WireKeys = serde_json::from_value(wrong).unwrap();
            assert!(wire.item("redis:sessions", "x").is_err(), "{field}");
        }
    }
}
