//! Lines into the room that a target has.
//!
//! Promises: what is cut is cut at a line and counted: `… 12 more`. Details go first, then
//! reasons, then what to do, titles last; within each the last first. A line is whole or gone.

use crate::markup::Markup;
use crate::receiver::Language;
use crate::text::{Line, Rank};

/// How much a text may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Everything.
    None,
    /// So many bytes of UTF-8.
    Bytes(usize),
    /// So many characters, counted as UTF-16 does, which no service counts stricter than.
    Chars(usize),
}

impl Limit {
    fn measure(self, text: &str) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes(_) => text.len(),
            Self::Chars(_) => text.encode_utf16().count(),
        }
    }

    fn room(self) -> usize {
        match self {
            Self::None => usize::MAX,
            Self::Bytes(room) | Self::Chars(room) => room,
        }
    }

    /// `text`, or as much of it as there is room for.
    pub(crate) fn cut(self, text: &str) -> String {
        if self.measure(text) <= self.room() {
            return text.to_owned();
        }
        let mut cut = String::new();
        for c in text.chars() {
            if self.measure(&cut) + self.measure(c.encode_utf8(&mut [0; 4])) + 3 > self.room() {
                break;
            }
            cut.push(c);
        }
        cut.push('…');
        cut
    }
}

/// The lines as one text, no longer than the limit.
pub(crate) fn fit(lines: &[Line], markup: Markup, limit: Limit, language: Language) -> String {
    let written: Vec<String> = lines.iter().map(|line| markup.line(line)).collect();
    let sizes: Vec<usize> =
        written.iter().map(|text| limit.measure(text).saturating_add(2)).collect();
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|&index| (lines[index].rank, std::cmp::Reverse(index)));
    let mut keep = vec![true; lines.len()];
    let mut total: usize = sizes.iter().sum();
    let mut gone = 0;
    let note = |gone: usize| limit.measure(&language.more(gone)) + 2;
    for index in order {
        let noted = if gone == 0 { 0 } else { note(gone) };
        if total + noted <= limit.room() {
            break;
        }
        keep[index] = false;
        total -= sizes[index];
        gone += 1;
    }
    let mut text = String::new();
    let kept = written.iter().zip(lines).zip(&keep).filter(|(_, keep)| **keep);
    for ((written, line), _) in kept {
        if !text.is_empty() {
            // Markdown needs an empty line after a title, and so does the eye between alerts.
            let apart = line.rank == Rank::Title && text.contains('\n')
                || markup == Markup::Markdown && text.ends_with("**");
            text.push_str(if apart { "\n\n" } else { "\n" });
        }
        text.push_str(written);
    }
    if gone > 0 {
        if !text.is_empty() {
            text.push_str(if markup == Markup::Markdown { "\n\n" } else { "\n" });
        }
        text.push_str(&language.more(gone));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Part;

    fn line(rank: Rank, text: &str) -> Line {
        Line { rank, parts: vec![Part::Theirs(text.to_owned())] }
    }

    #[test]
    fn the_least_goes_first_and_is_counted() {
        let lines = [
            line(Rank::Title, "first"),
            line(Rank::Reason, "why"),
            line(Rank::Act, "command"),
            line(Rank::Detail, "detail 1"),
            line(Rank::Detail, "detail 2"),
            line(Rank::Act, "runbook"),
        ];
        let of = |room| fit(&lines, Markup::Plain, Limit::Bytes(room), Language::En);
        assert_eq!(
            fit(&lines, Markup::Plain, Limit::None, Language::En),
            "first\n  why\n  command\n  detail 1\n  detail 2\n  runbook"
        );
        assert_eq!(of(59), "first\n  why\n  command\n  runbook\n… 2 more");
        assert_eq!(of(41), "first\n  command\n  runbook\n… 3 more");
        assert_eq!(of(20), "first\n… 5 more");
        for room in 12..90 {
            assert!(of(room).len() <= room, "{room}: {}", of(room));
        }
    }

    #[test]
    fn characters_and_bytes_are_not_mixed_up() {
        assert_eq!(Limit::Chars(4).cut("内存内存"), "内存内存");
        assert_eq!(Limit::Bytes(10).cut("内存内存"), "内存…");
        let long: Vec<Line> = (0..100).map(|n| line(Rank::Detail, &format!("内存 {n}"))).collect();
        let text = fit(&long, Markup::Wecom, Limit::Bytes(200), Language::Zh);
        assert!(text.len() <= 200 && text.len() > 150, "{}", text.len());
        assert!(text.ends_with("行"), "{text}");
    }
}
