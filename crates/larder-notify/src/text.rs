//! What people read of a notice: one order of lines, from which every target's text is made.
//!
//! Promises: the title first, then why, then what to do, what was done and the way back, details,
//! the runbook. A command is shown whole or not at all: a shortened one does something else.

use larder_core::size::Units;
use larder_core::{Alert, Notice, Occasion};

use crate::fit::{Limit, fit};
use crate::markup::Markup;
use crate::receiver::Language;

/// The longest text from outside on one line, characters.
const LONGEST: usize = 300;

/// Where links lead; without them paths are shown as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// What stands before `/NAME.md`, where the runbooks are published.
    pub runbooks: Option<String>,
    /// The page of larder's own HTTP server, for who wants to see more.
    pub page: Option<String>,
}

impl Links {
    /// The runbook of an alert.
    pub(crate) fn runbook(&self, alert: &Alert) -> String {
        match &self.runbooks {
            Some(place) => format!("{}/{}.md", place.trim_end_matches('/'), alert.name),
            None => alert.runbook(),
        }
    }
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Words of ours.
    Ours(String),
    /// Text that holds names from outside.
    Theirs(String),
    /// A command, to be copied.
    Code(String),
    /// A page.
    Link(String),
}

/// How much a line matters when there is not room for all: the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Details.
    Detail,
    /// Why.
    Reason,
    /// What to do and what was done.
    Act,
    /// What is wrong at all.
    Title,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) rank: Rank,
    pub(crate) parts: Vec<Part>,
}

/// How a message is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style<'a> {
    pub(crate) language: Language,
    pub(crate) links: &'a Links,
}

/// What one message is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) notices: &'a [Notice],
    /// Notices that the queue dropped since the last message.
    pub(crate) missed: u64,
}

/// A notice as plain text, a line each, with a full stop nowhere added.
pub fn plain(notice: &Notice, language: Language, links: &Links) -> String {
    whole(notice, Style { language, links }, Markup::Plain)
}

/// A notice as Markdown (`CommonMark`), with what comes from outside escaped.
pub fn markdown(notice: &Notice, language: Language, links: &Links) -> String {
    whole(notice, Style { language, links }, Markup::Markdown)
}

fn whole(notice: &Notice, style: Style<'_>, markup: Markup) -> String {
    let content = Content { notices: std::slice::from_ref(notice), missed: 0 };
    fit(&lines(content, style), markup, Limit::None, style.language)
}

/// One line that says what a message is about, as plain text.
pub(crate) fn subject(content: Content<'_>, style: Style<'_>) -> String {
    let alerts: Vec<(&Notice, &Alert)> = all(content.notices).collect();
    match alerts[..] {
        [] => String::new(),
        [(notice, alert)] => Markup::Plain.line(&title(notice, alert, style)),
        [(notice, _), ..] => {
            Markup::clean(&style.language.several(alerts.len(), &notice.host), LONGEST)
        }
    }
}

/// Everything that a message says, in order.
pub(crate) fn lines(content: Content<'_>, style: Style<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    if content.missed > 0 {
        let words = style.language.missed(content.missed);
        lines.push(Line { rank: Rank::Title, parts: vec![Part::Ours(words)] });
    }
    for (notice, alert) in all(content.notices) {
        lines.push(title(notice, alert, style));
        lines.extend(body(notice, alert, style));
    }
    lines
}

fn all(notices: &[Notice]) -> impl Iterator<Item = (&Notice, &Alert)> {
    notices.iter().flat_map(|notice| notice.alerts.iter().map(move |alert| (notice, alert)))
}

fn title(notice: &Notice, alert: &Alert, style: Style<'_>) -> Line {
    let language = style.language;
    let mut parts = vec![Part::Ours(language.state(notice.occasion, alert.severity))];
    if notice.occasion == Occasion::Test {
        parts.push(Part::Ours(" larder".to_owned()));
    } else {
        let until = alert.ended.unwrap_or(notice.at);
        let lasted = until.since(alert.since);
        parts.push(Part::Ours(" ".to_owned()));
        parts.push(Part::Theirs(alert.cache.clone()));
        parts.push(Part::Ours(language.standing(alert, notice.occasion, lasted)));
    }
    parts.push(Part::Ours(language.on().to_owned()));
    parts.push(Part::Theirs(notice.host.clone()));
    Line { rank: Rank::Title, parts }
}

fn body(notice: &Notice, alert: &Alert, style: Style<'_>) -> Vec<Line> {
    let language = style.language;
    if notice.occasion == Occasion::Test {
        let words = Part::Ours(language.test().to_owned());
        return vec![Line { rank: Rank::Act, parts: vec![words] }];
    }
    let mut lines: Vec<Line> =
        alert.reasons.iter().map(|reason| reason_line(reason, language)).collect();
    let mut say = |rank, before: Option<String>, part: Part| {
        let before = before.map(|words| Part::Ours(words + language.colon()));
        lines.push(Line { rank, parts: before.into_iter().chain([part]).collect() });
    };
    if !alert.trend.is_empty() {
        say(Rank::Reason, None, Part::Theirs(language.sentence(&alert.trend)));
    }
    // What is over needs no mending.
    if let Some(command) = alert.command.as_ref().filter(|_| notice.occasion != Occasion::Cleared) {
        let frees = alert.frees.map(|bytes| Units::Decimal.show(bytes).to_string());
        say(Rank::Act, Some(language.mend(frees)), Part::Code(command.clone()));
    }
    for done in &alert.done {
        // It holds the command that undoes it, so it is not shortened.
        say(Rank::Act, Some(language.done().to_owned()), Part::Theirs(language.sentence(done)));
    }
    for detail in &alert.details {
        say(Rank::Detail, None, Part::Theirs(Markup::clean(&language.sentence(detail), LONGEST)));
    }
    if !matches!(notice.occasion, Occasion::Cleared | Occasion::Report) {
        let runbook = style.links.runbook(alert);
        say(Rank::Act, Some(language.runbook().to_owned()), Part::Link(runbook));
    }
    lines
}

fn reason_line(reason: &larder_core::Reason, language: Language) -> Line {
    let text = Part::Theirs(Markup::clean(&language.sentence(&reason.text), LONGEST));
    let parts = match reason.lost {
        Some(lost) => {
            let name = language.reason(&reason.id);
            vec![Part::Ours(format!("{name} −{lost:.1}{}", language.colon())), text]
        }
        None => vec![text],
    };
    Line { rank: Rank::Reason, parts }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
