//! `.info` files in the words of the go command, which writes what it was served anew
//! (`cmd/go/internal/modfetch/{repo,cache}.go`, `RevInfo`, `writeDiskStat`).

use larder_go::semver;
use serde_json::{Map, Value};

/// The fields of an origin in the order in which Go writes them
/// (`cmd/go/internal/modfetch/codehost/codehost.go`, `Origin`). The tags and the sum of a
/// repository are never kept for a version.
const ORIGIN: [&str; 5] = ["VCS", "URL", "Subdir", "Hash", "Ref"];

/// What Go would write of this `.info`; `None` where it is no JSON object that names `version`.
pub(crate) fn canonical(served: &[u8], version: &str) -> Option<Vec<u8>> {
    let info: Map<String, Value> = serde_json::from_slice(served).ok()?;
    if info.get("Version").and_then(Value::as_str) != Some(version) {
        return None;
    }
    let time = info.get("Time").and_then(Value::as_str).unwrap_or("0001-01-01T00:00:00Z");
    let mut text = format!("{{\"Version\":{},\"Time\":{}", quoted(version), quoted(&short(time)));
    if let Some(origin) = info.get("Origin").and_then(Value::as_object) {
        let fields: Vec<String> = ORIGIN
            .iter()
            .filter(|name| **name != "Ref" || !semver::is_pseudo(version))
            .filter_map(|name| Some((name, origin.get(*name)?.as_str()?)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("\"{name}\":{}", quoted(value)))
            .collect();
        text = format!("{text},\"Origin\":{{{}}}", fields.join(","));
    }
    text.push('}');
    Some(text.into_bytes())
}

/// Fractions of a second without zeros at their end (`time.RFC3339Nano`).
fn short(time: &str) -> String {
    let Some((whole, rest)) = time.split_once('.') else { return time.to_owned() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = rest.split_at(digits);
    match fraction.trim_end_matches('0') {
        "" => format!("{whole}{zone}"),
        fraction => format!("{whole}.{fraction}{zone}"),
    }
}

/// A JSON string as `encoding/json` writes it, which escapes what HTML takes for its own.
fn quoted(text: &str) -> String {
    Value::from(text)
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        canonical(text.as_bytes(), "v1.2.0").map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_go_does_not_keep_is_dropped_and_the_order_is_its_own() {
        let served = r#"{ "Time": "2024-05-06T07:08:09.120Z", "Version": "v1.2.0", "Name": "x",
            "Origin": {"URL": "https://example.com/a?b&c", "VCS": "git", "Hash": "00",
            "TagSum": "t1:x", "Ref": "refs/tags/v1.2.0"}}"#;
        assert_eq!(
            of(served).unwrap(),
            r#"{"Version":"v1.2.0","Time":"2024-05-06T07:08:09.12Z","Origin":{"VCS":"git","URL":"https://example.com/a?b\u0026c","Hash":"00","Ref":"refs/tags/v1.2.0"}}"#
        );
        assert_eq!(
            of(r#"{"Version":"v1.2.0"}"#).unwrap(),
            r#"{"Version":"v1.2.0","Time":"0001-01-01T00:00:00Z"}"#
        );
    }

    #[test]
    fn another_version_is_none() {
        for text in ["", "[]", "{}", r#"{"Version":"v1.2.1"}"#] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
