//! A Discord webhook: Markdown of at most 2,000 characters that mentions nobody and previews no
//! page; success is any 2xx.

use serde_json::json;

use crate::fit::{Limit, fit};
use crate::http::Poster;
use crate::markup::Markup;
use crate::target::{Base, Letter, Target, post_json};
use crate::text::lines;
use crate::trouble::Trouble;

const ROOM: Limit = Limit::Chars(2000);

/// Makes no previews of links.
const SUPPRESS_EMBEDS: u32 = 1 << 2;

pub(crate) struct Discord {
    base: Base,
    poster: Poster,
}

impl Discord {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new() }
    }
}

impl Target for Discord {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let style = self.base.style();
        let text = fit(&lines(letter.content, style), Markup::Markdown, ROOM, style.language);
        let body = json!({
            "content": text,
            "allowed_mentions": { "parse": [] },
            "flags": SUPPRESS_EMBEDS,
        });
        post_json(&self.poster, &self.base.url()?, letter, &body)?.accepted()
    }
}
