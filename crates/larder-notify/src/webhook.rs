//! Any HTTP server: the document `larder/notice/1`, or what a template makes of it, signed as the
//! Standard Webhooks specification has it; success is any 2xx.
//!
//! A template is Jinja and sees the fields of the document and `markdown`. A name that does not
//! exist is an error, found when the settings are read. Where what it makes is JSON it is sent as
//! such, else as text.

use larder_core::{Alert, Notice, Reason, Time};
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::document::NoticeDoc;
use crate::http::{Post, Poster};
use crate::receiver::Language;
use crate::secret::Scrub;
use crate::sign;
use crate::target::{Base, Letter, Target};
use crate::test_notice::test_notice;
use crate::text::{Links, markdown};
use crate::trouble::Trouble;

pub(crate) struct Webhook {
    base: Base,
    poster: Poster,
}

impl Webhook {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new() }
    }

    fn body(&self, notice: &Notice) -> Result<(Vec<u8>, &'static str), Trouble> {
        let style = self.base.style();
        let Some(template) = &self.base.receiver.template else {
            let document = NoticeDoc::new(notice, style.language, style.links);
            let body =
                serde_json::to_vec(&document).map_err(|error| Trouble::never(error.to_string()))?;
            return Ok((body, "application/json"));
        };
        let text = render(template, notice, style.language, style.links)
            .map_err(|why| Trouble::never(format!("template: {why}")))?;
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        Ok((text.into_bytes(), kind))
    }
}

impl Target for Webhook {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let url = self.base.url()?;
        let secret = self.base.secret()?;
        for notice in letter.content.notices {
            let (body, content_type) = self.body(notice)?;
            let seconds = letter.now.unix();
            let mut headers = vec![("webhook-id", notice.id.clone())];
            let mut scrub = Scrub::default();
            if let Some(secret) = &secret {
                let signature = sign::webhook(secret.reveal(), &notice.id, seconds, &body);
                headers.push(("webhook-timestamp", seconds.to_string()));
                headers.push(("webhook-signature", signature));
                scrub = scrub.secret(secret.reveal());
            }
            let post = Post {
                url: &url,
                content_type,
                headers,
                body,
                timeout: letter.timeout,
                now: letter.now,
                scrub,
            };
            self.poster.post(post)?.accepted()?;
        }
        Ok(())
    }

    fn groups(&self) -> bool {
        false
    }
}

/// What a template sees.
#[derive(Serialize)]
struct Seen {
    #[serde(flatten)]
    document: NoticeDoc,
    markdown: String,
}

fn render(
    template: &str,
    notice: &Notice,
    language: Language,
    links: &Links,
) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let seen = Seen {
        document: NoticeDoc::new(notice, language, links),
        markdown: markdown(notice, language, links),
    };
    environment.render_str(template, Value::from(Serde(&seen))).map_err(|error| error.to_string())
}

/// Reads a template and tries it on an alert that has everything.
pub(crate) fn check_template(template: &str) -> Result<(), String> {
    let mut notice = test_notice("host", Time::from_unix(0));
    let reason = Reason { id: "memory".into(), lost: Some(1.0), text: "text".into() };
    notice.alerts = notice
        .alerts
        .into_iter()
        .map(|alert| Alert {
            score: Some(77.0),
            score_before: Some(92.0),
            reasons: vec![reason.clone()],
            trend: "trend".to_owned(),
            command: Some("larder".to_owned()),
            frees: Some(1),
            done: vec!["done".to_owned()],
            details: vec!["detail".to_owned()],
            ended: Some(alert.since),
            ..alert
        })
        .collect();
    render(template, &notice, Language::En, &Links::default()).map(drop)
}
