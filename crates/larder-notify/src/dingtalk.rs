//! A `DingTalk` custom robot: Markdown, a signature in the query, success is `errcode` 0.

use serde_json::json;

use crate::fit::{Limit, fit};
use crate::http::Poster;
use crate::markup::Markup;
use crate::robot::{Fields, code_is_zero};
use crate::sign;
use crate::target::{Base, Letter, Target, post_json};
use crate::text::{lines, subject};
use crate::trouble::Trouble;

/// Bytes of a message, of the 20,000 that it may have as JSON.
const ROOM: Limit = Limit::Bytes(16_000);

const FIELDS: Fields =
    Fields { code: &["errcode"], words: &["errmsg"], too_fast: &[130_101], busy: &[-1] };

pub(crate) struct Dingtalk {
    base: Base,
    poster: Poster,
}

impl Dingtalk {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new() }
    }
}

impl Target for Dingtalk {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let style = self.base.style();
        let mut url = self.base.url()?;
        if let Some(secret) = self.base.secret()? {
            let millis = letter.now.unix_nanos().div_euclid(1_000_000);
            url.query_pairs_mut()
                .append_pair("timestamp", &millis.to_string())
                .append_pair("sign", &sign::dingtalk(secret.reveal(), millis));
        }
        let text = fit(&lines(letter.content, style), Markup::Markdown, ROOM, style.language);
        let body = json!({
            "msgtype": "markdown",
            "markdown": { "title": subject(letter.content, style), "text": text },
            "at": { "isAtAll": false },
        });
        code_is_zero(&post_json(&self.poster, &url, letter, &body)?, &FIELDS)
    }
}
