//! A `WeCom` group robot: Markdown of at most 4,096 bytes, the key is in the URL, success is
//! `errcode` 0.

use serde_json::json;

use crate::fit::{Limit, fit};
use crate::http::Poster;
use crate::markup::Markup;
use crate::robot::{Fields, code_is_zero};
use crate::target::{Base, Letter, Target, post_json};
use crate::text::lines;
use crate::trouble::Trouble;

const ROOM: Limit = Limit::Bytes(4096);

const FIELDS: Fields =
    Fields { code: &["errcode"], words: &["errmsg"], too_fast: &[45_009, 45_033], busy: &[-1] };

pub(crate) struct Wecom {
    base: Base,
    poster: Poster,
}

impl Wecom {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new() }
    }
}

impl Target for Wecom {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let style = self.base.style();
        let text = fit(&lines(letter.content, style), Markup::Wecom, ROOM, style.language);
        let body = json!({ "msgtype": "markdown", "markdown": { "content": text } });
        let url = self.base.url()?;
        code_is_zero(&post_json(&self.poster, &url, letter, &body)?, &FIELDS)
    }
}
