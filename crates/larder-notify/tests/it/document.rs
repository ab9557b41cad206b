//! The document against its own schema, and its shape.

use larder_core::{Occasion, Time};
use larder_notify::{Language, Links, NoticeDoc, SCHEMA, test_notice};
use serde_json::json;

use crate::support::notice;

#[test]
fn a_document_keeps_its_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(NoticeDoc)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let test = test_notice("web-1", Time::from_unix(1));
    let mut cleared = notice("2", "redis:a", Occasion::Cleared);
    cleared.alerts[0].ended = Some(Time::from_unix(1_700_000_001));
    for notice in [notice("1", "redis:a", Occasion::Raised), cleared, test] {
        let document = NoticeDoc::new(&notice, Language::En, &Links::default());
        let value = serde_json::to_value(&document).unwrap();
        validator.validate(&value).unwrap_or_else(|error| panic!("{error}: {value}"));
    }
}

#[test]
fn a_document_has_this_shape() {
    let raised = notice("1", "redis:a", Occasion::Raised);
    let links =
        Links { runbooks: Some("https://example.test/docs/runbooks".to_owned()), page: None };
    let value = serde_json::to_value(NoticeDoc::new(&raised, Language::En, &links)).unwrap();
    assert_eq!(value["schema"], SCHEMA);
    assert_eq!(value["occasion"], "raised");
    assert_eq!(value["at"], "2023-11-14T22:13:20Z");
    assert_eq!(value["title"], "WARNING redis:a health 77 (was 92), for 2 min, on web-1");
    let alert = &value["alerts"][0];
    assert_eq!(alert["severity"], "warning");
    assert_eq!(alert["since"], "2023-11-14T22:11:20Z");
    assert_eq!(alert["ended"], json!(null));
    assert_eq!(alert["frees_bytes"], 318_000_000);
    assert_eq!(alert["reasons"][0], json!({"id": "memory", "lost": 16.0, "text": "1.6 of 2.0 GB"}));
    let runbook = "https://example.test/docs/runbooks/RedisCacheUnhealthy.md";
    assert_eq!(alert["runbook"], runbook);
}
