//! The notice of `larder alerts test NAME`.

use larder_core::{Alert, Notice, Occasion, Severity, Time};

/// Says that nothing is wrong and that somebody tests the way. Each has an id of its own, so that
/// every test is sent.
pub fn test_notice(host: &str, now: Time) -> Notice {
    Notice {
        id: format!("test-{}", now.unix_nanos()),
        occasion: Occasion::Test,
        at: now,
        host: host.to_owned(),
        alerts: vec![Alert {
            name: "LarderTest".to_owned(),
            cache: "none".to_owned(),
            severity: Severity::Info,
            since: now,
            ended: None,
            score: None,
            score_before: None,
            reasons: Vec::new(),
            trend: String::new(),
            command: None,
            frees: None,
            done: Vec::new(),
            details: Vec::new(),
        }],
    }
}
