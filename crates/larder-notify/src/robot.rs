//! What the chat services share: the code in the body of an answer that says 200 either way, and
//! the colour of a message.

use std::time::Duration;

use larder_core::{Notice, Occasion, Severity};

use crate::http::Answer;
use crate::trouble::Trouble;

/// How long a robot that was told to be too fast waits at least.
const TOO_FAST: Duration = Duration::from_mins(1);

/// A service's code and message, by the names that it gives them.
pub(crate) struct Fields {
    /// Where the code is; the first that is there counts.
    pub(crate) code: &'static [&'static str],
    /// Where its words are.
    pub(crate) words: &'static [&'static str],
    /// Codes of too many messages, which pass.
    pub(crate) too_fast: &'static [i64],
    /// Codes of a service that is busy, which pass.
    pub(crate) busy: &'static [i64],
}

/// Only code 0 is a success.
pub(crate) fn code_is_zero(answer: &Answer, fields: &Fields) -> Result<(), Trouble> {
    let body = answer.json()?;
    let find = |names: &[&str]| names.iter().find_map(|name| body.get(name)).cloned();
    let code = find(fields.code).and_then(|code| code.as_i64());
    let words = find(fields.words).unwrap_or_default();
    let words = words.as_str().unwrap_or_default();
    match code {
        Some(0) => Ok(()),
        None => Err(answer.never(&format!("answered without {}", fields.code[0]))),
        Some(code) => {
            let why = format!("refused with {} {code}: {words}", fields.code[0]);
            if fields.too_fast.contains(&code) {
                Err(answer.later(Some(TOO_FAST), &why))
            } else if fields.busy.contains(&code) {
                Err(answer.later(None, &why))
            } else {
                Err(answer.never(&why))
            }
        }
    }
}

/// What a message is like at first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    Neutral,
    Warning,
    Critical,
}

/// The worst of what still fires, or good where all is over.
pub(crate) fn mood(notices: &[Notice]) -> Mood {
    let firing = notices.iter().filter(|notice| notice.occasion != Occasion::Cleared);
    let worst = firing.flat_map(|notice| &notice.alerts).map(|alert| alert.severity).max();
    match worst {
        None => Mood::Good,
        Some(Severity::Info) => Mood::Neutral,
        Some(Severity::Warning) => Mood::Warning,
        Some(Severity::Critical) => Mood::Critical,
    }
}
