//! A Slack incoming webhook: blocks of plain text, which knows no markup; success is the body
//! `ok`. `text` beside them is what a phone shows, and what services like Slack show that know no
//! blocks.

use serde_json::{Value, json};

use crate::fit::{Limit, fit};
use crate::http::Poster;
use crate::markup::Markup;
use crate::target::{Base, Letter, Target, post_json};
use crate::text::{lines, subject};
use crate::trouble::Trouble;

/// Characters of a header, and of a section.
const HEADER: Limit = Limit::Chars(150);
const SECTION: Limit = Limit::Chars(3000);

pub(crate) struct Slack {
    base: Base,
    poster: Poster,
}

impl Slack {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new() }
    }
}

impl Target for Slack {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let style = self.base.style();
        let lines = lines(letter.content, style);
        let of = |markup| fit(&lines, markup, SECTION, style.language);
        // A name such as `a:tada:b` stays a name.
        let plain = |text: String| -> Value {
            json!({ "type": "plain_text", "text": text, "emoji": false })
        };
        let body = json!({
            "text": of(Markup::Slack),
            "blocks": [
                { "type": "header", "text": plain(HEADER.cut(&subject(letter.content, style))) },
                { "type": "section", "text": plain(of(Markup::Plain)) },
            ],
        });
        let answer = post_json(&self.poster, &self.base.url()?, letter, &body)?;
        match answer.text()? {
            text if text == "ok" => Ok(()),
            text => Err(answer.never(&format!("answered {text:?} in place of ok"))),
        }
    }
}
