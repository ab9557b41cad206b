//! A Feishu or Lark custom robot: a card of plain text, which knows no markup, a signature in the
//! body, success is `code` 0.

use serde_json::json;

use crate::fit::{Limit, fit};
use crate::http::Poster;
use crate::markup::Markup;
use crate::robot::{Fields, Mood, code_is_zero, mood};
use crate::sign;
use crate::target::{Base, Letter, Target, post_json};
use crate::text::{lines, subject};
use crate::trouble::Trouble;

/// Bytes of a message, of the 20 KB that a request may have.
const ROOM: Limit = Limit::Bytes(14_000);

const FIELDS: Fields = Fields {
    code: &["code", "StatusCode"],
    words: &["msg", "StatusMessage"],
    too_fast: &[9499, 11_232],
    busy: &[],
};

pub(crate) struct Feishu {
    base: Base,
    poster: Poster,
}

impl Feishu {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new() }
    }
}

impl Target for Feishu {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let style = self.base.style();
        let text = fit(&lines(letter.content, style), Markup::Plain, ROOM, style.language);
        let colour = match mood(letter.content.notices) {
            Mood::Good => "green",
            Mood::Neutral => "blue",
            Mood::Warning => "orange",
            Mood::Critical => "red",
        };
        let plain = |text: &str| json!({ "tag": "plain_text", "content": text });
        let mut body = json!({
            "msg_type": "interactive",
            "card": {
                "config": { "wide_screen_mode": true },
                "header": { "template": colour, "title": plain(&subject(letter.content, style)) },
                "elements": [{ "tag": "div", "text": plain(&text) }],
            },
        });
        if let Some(secret) = self.base.secret()? {
            let seconds = letter.now.unix();
            body["timestamp"] = json!(seconds.to_string());
            body["sign"] = json!(sign::feishu(secret.reveal(), seconds));
        }
        let url = self.base.url()?;
        code_is_zero(&post_json(&self.poster, &url, letter, &body)?, &FIELDS)
    }
}
