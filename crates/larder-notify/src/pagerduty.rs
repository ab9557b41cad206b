//! `PagerDuty` Events API v2: one event for each alert, a `dedup_key` that stays the same while the
//! alert does, `resolve` when it is over; success is 202.
//!
//! An event that fails makes the whole message fail; those before it are sent again with it,
//! which their key makes harmless.

use larder_core::{Alert, Notice, Occasion};
use serde_json::{Value, json};
use url::Url;

use crate::document::{AlertDoc, NoticeDoc, time};
use crate::fit::Limit;
use crate::http::{Post, Poster};
use crate::secret::{Scrub, Secret};
use crate::sign;
use crate::target::{Base, Letter, Target};
use crate::text::{Content, subject};
use crate::trouble::Trouble;

/// Where it is for everybody outside the EU region.
const USUAL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of a summary, and bytes of a key.
const SUMMARY: Limit = Limit::Chars(1024);
const KEY: usize = 255;

pub(crate) struct Pagerduty {
    base: Base,
    poster: Poster,
}

impl Pagerduty {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new() }
    }

    fn url(&self) -> Result<Url, Trouble> {
        if self.base.receiver.address.is_some() {
            return self.base.url();
        }
        Url::parse(USUAL).map_err(|error| Trouble::never(error.to_string()))
    }

    fn event(&self, notice: &Notice, alert: &Alert, key: &Secret) -> Value {
        let dedup_key = key_of(notice, alert);
        if notice.occasion == Occasion::Cleared {
            return json!({
                "routing_key": key.reveal(),
                "event_action": "resolve",
                "dedup_key": dedup_key,
            });
        }
        let alone = Notice { alerts: vec![alert.clone()], ..notice.clone() };
        let content = Content { notices: std::slice::from_ref(&alone), missed: 0 };
        let style = self.base.style();
        let document = NoticeDoc::new(&alone, style.language, style.links);
        let details: Option<&AlertDoc> = document.alerts.first();
        let runbook = style.links.runbook(alert);
        let mut links = Vec::new();
        if runbook.starts_with("http") {
            links.push(json!({ "href": runbook, "text": style.language.runbook() }));
        }
        let mut event = json!({
            "routing_key": key.reveal(),
            "event_action": "trigger",
            "dedup_key": dedup_key,
            "client": "larder",
            "links": links,
            "payload": {
                "summary": SUMMARY.cut(&subject(content, style)),
                "source": notice.host,
                "severity": alert.severity.name(),
                "timestamp": time(alert.since),
                "component": alert.cache,
                "class": alert.name,
                "custom_details": { "text": document.text, "alert": details },
            },
        });
        if let Some(page) = &style.links.page {
            event["client_url"] = json!(page);
        }
        event
    }
}

/// The alert's identity, hashed where it is too long.
fn key_of(notice: &Notice, alert: &Alert) -> String {
    let test = if notice.occasion == Occasion::Test { &notice.id } else { "" };
    let key = format!("larder/{}/{}/{}{test}", notice.host, alert.cache, alert.name);
    if key.len() <= KEY { key } else { format!("larder/{}", sign::hmac(b"", key.as_bytes())) }
}

impl Target for Pagerduty {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let url = self.url()?;
        let key = self.base.secret()?.ok_or_else(|| Trouble::never("there is no secret-file"))?;
        for notice in letter.content.notices {
            for alert in &notice.alerts {
                let event = self.event(notice, alert, &key);
                let answer = self.poster.post(Post {
                    url: &url,
                    content_type: "application/json",
                    headers: Vec::new(),
                    body: event.to_string().into_bytes(),
                    timeout: letter.timeout,
                    now: letter.now,
                    scrub: Scrub::default().secret(key.reveal()),
                })?;
                answer.accepted()?;
                if answer.status != 202 {
                    return Err(answer.never(&format!("answered {}, not 202", answer.status)));
                }
            }
        }
        Ok(())
    }

    fn groups(&self) -> bool {
        false
    }
}
