//! Prometheus Alertmanager, API v2.
//!
//! Labels are an alert's identity: `alertname`, `cache`, `host`, `severity`, and nothing that
//! changes from sample to sample. Where the severity changes, the alert of the old one is ended
//! with the same message. A firing alert carries no end, so that Alertmanager's own
//! `resolve_timeout` ends it when larder no longer sends it: it has to be sent again and again
//! (`Dispatcher::resend`).

use std::collections::HashMap;

use larder_core::{Alert, Notice, Occasion, Severity, Time};
use serde_json::{Value, json};
use url::Url;

use crate::document::time;
use crate::fit::{Limit, fit};
use crate::http::{Post, Poster};
use crate::markup::Markup;
use crate::secret::Scrub;
use crate::target::{Base, Letter, Target};
use crate::text::{Content, lines, subject};
use crate::trouble::Trouble;

/// How long a test is to be seen, seconds.
const TEST_LASTS: i64 = 300;

pub(crate) struct Alertmanager {
    base: Base,
    poster: Poster,
    /// The severity that an alert was last sent with, by name, cache and host.
    sent: HashMap<[String; 3], Severity>,
}

impl Alertmanager {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new(), sent: HashMap::new() }
    }

    fn alert(&self, notice: &Notice, alert: &Alert) -> Value {
        let style = self.base.style();
        let alone = Notice { alerts: vec![alert.clone()], ..notice.clone() };
        let content = Content { notices: std::slice::from_ref(&alone), missed: 0 };
        let text = fit(&lines(content, style), Markup::Plain, Limit::None, style.language);
        let mut annotations = json!({
            "summary": subject(content, style),
            "description": text,
            "runbook_url": style.links.runbook(alert),
        });
        if let Some(command) = &alert.command {
            annotations["command"] = json!(command);
        }
        let mut value = json!({
            "labels": labels(notice, alert, alert.severity),
            "annotations": annotations,
            "startsAt": time(alert.since),
        });
        if let Some(end) = end_of(notice, alert) {
            value["endsAt"] = json!(time(end));
        }
        if let Some(page) = &style.links.page {
            value["generatorURL"] = json!(page);
        }
        value
    }
}

fn labels(notice: &Notice, alert: &Alert, severity: Severity) -> Value {
    json!({
        "alertname": alert.name,
        "cache": alert.cache,
        "host": notice.host,
        "severity": severity.name(),
    })
}

/// When it is over; never before it began, which Alertmanager refuses.
fn end_of(notice: &Notice, alert: &Alert) -> Option<Time> {
    let end = match notice.occasion {
        Occasion::Cleared => alert.ended.unwrap_or(notice.at),
        Occasion::Test => Time::from_unix(notice.at.unix().saturating_add(TEST_LASTS)),
        _ => return alert.ended,
    };
    Some(end.max(alert.since))
}

/// Where alerts are posted below the address of an Alertmanager.
fn endpoint(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    if !path.ends_with("/api/v2/alerts") {
        let path = format!("{path}/api/v2/alerts");
        url.set_path(&path);
    }
    url
}

impl Target for Alertmanager {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let mut alerts = Vec::new();
        let mut sent = self.sent.clone();
        for notice in letter.content.notices {
            for alert in &notice.alerts {
                let key = [alert.name.clone(), alert.cache.clone(), notice.host.clone()];
                let before = match notice.occasion {
                    Occasion::Cleared | Occasion::Test => sent.remove(&key),
                    _ => sent.insert(key, alert.severity),
                };
                if let Some(before) = before.filter(|before| *before != alert.severity) {
                    alerts.push(json!({
                        "labels": labels(notice, alert, before),
                        "startsAt": time(alert.since),
                        "endsAt": time(notice.at.max(alert.since)),
                    }));
                }
                alerts.push(self.alert(notice, alert));
            }
        }
        let mut headers = Vec::new();
        let mut scrub = Scrub::default();
        if let Some(token) = self.base.secret()? {
            headers.push(("authorization", format!("Bearer {}", token.reveal())));
            scrub = scrub.secret(token.reveal());
        }
        let answer = self.poster.post(Post {
            url: &endpoint(self.base.url()?),
            content_type: "application/json",
            headers,
            body: Value::from(alerts).to_string().into_bytes(),
            timeout: letter.timeout,
            now: letter.now,
            scrub,
        })?;
        answer.accepted()?;
        self.sent = sent;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_go_below_the_address() {
        let of = |text| endpoint(Url::parse(text).unwrap()).to_string();
        assert_eq!(of("http://h:9093"), "http://h:9093/api/v2/alerts");
        assert_eq!(of("http://h/am/"), "http://h/am/api/v2/alerts");
        assert_eq!(of("http://h/api/v2/alerts"), "http://h/api/v2/alerts");
    }
}
