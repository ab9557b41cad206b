//! A Microsoft Teams workflow: an adaptive card whose text runs know no markup; success is any
//! 2xx, but not where the body tells of a failure, as the older connectors do.

use serde_json::{Value, json};

use crate::fit::{Limit, fit};
use crate::http::Poster;
use crate::markup::Markup;
use crate::robot::{Mood, mood};
use crate::target::{Base, Letter, Target, post_json};
use crate::text::{lines, subject};
use crate::trouble::Trouble;

/// Bytes of text, of the 28 KB that a card may have.
const ROOM: Limit = Limit::Bytes(14_000);

pub(crate) struct Teams {
    base: Base,
    poster: Poster,
}

impl Teams {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, poster: Poster::new() }
    }
}

impl Target for Teams {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let style = self.base.style();
        let colour = match mood(letter.content.notices) {
            Mood::Good => "Good",
            Mood::Neutral => "Default",
            Mood::Warning => "Warning",
            Mood::Critical => "Attention",
        };
        let text = fit(&lines(letter.content, style), Markup::Plain, ROOM, style.language);
        let mut blocks = vec![json!({
            "type": "RichTextBlock",
            "inlines": [{
                "type": "TextRun",
                "text": subject(letter.content, style),
                "weight": "Bolder",
                "size": "Medium",
                "color": colour,
            }],
        })];
        blocks.extend(text.lines().filter(|line| !line.is_empty()).map(line_block));
        let body = json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "msteams": { "width": "Full" },
                    "body": blocks,
                },
            }],
        });
        let answer = post_json(&self.poster, &self.base.url()?, letter, &body)?;
        answer.accepted()?;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        if !said.to_ascii_lowercase().contains("delivery failed") {
            Ok(())
        } else if said.contains("429") {
            Err(answer.later(None, &said))
        } else {
            Err(answer.never(&said))
        }
    }
}

fn line_block(line: &str) -> Value {
    json!({
        "type": "RichTextBlock",
        "spacing": "Small",
        "inlines": [{ "type": "TextRun", "text": line.trim_start() }],
    })
}
