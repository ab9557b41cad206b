//! Text from outside in the markup of each target, so that it is only ever text.
//!
//! Promises: a name of a key or of a client can make no mention, no link, no tag, no other line
//! and no other direction of writing. Where a target has a form without markup (Slack, Feishu,
//! Teams, mail), that is used and nothing needs escaping.

use crate::text::{Line, Part, Rank};

/// Shows nothing and separates what would otherwise be markup.
const GAP: char = '\u{200b}';

/// A way of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Markup {
    /// None at all.
    Plain,
    /// `CommonMark`, with the mentions of Discord and `DingTalk` in mind.
    Markdown,
    /// The few marks of `WeCom`, which knows no way to escape them.
    Wecom,
    /// Slack's mrkdwn.
    Slack,
}

impl Markup {
    /// One line; below a title it is set in.
    pub(crate) fn line(self, line: &Line) -> String {
        let text: String = line.parts.iter().map(|part| self.part(part)).collect();
        match (self, line.rank) {
            (Self::Markdown | Self::Wecom, Rank::Title) => format!("**{text}**"),
            (Self::Plain | Self::Slack, Rank::Title) => text,
            (Self::Plain | Self::Slack, _) => format!("  {text}"),
            (Self::Markdown | Self::Wecom, _) => format!("- {text}"),
        }
    }

    fn part(self, part: &Part) -> String {
        match (self, part) {
            (_, Part::Ours(text)) => text.clone(),
            (_, Part::Theirs(text)) => self.escape(&Self::clean(text, usize::MAX)),
            (_, Part::Code(text)) => self.code(&Self::clean(text, usize::MAX)),
            (Self::Markdown | Self::Slack, Part::Link(url)) if is_absolute(url) => {
                format!("<{url}>")
            }
            (Self::Wecom, Part::Link(url)) if is_absolute(url) => format!("[{url}]({url})"),
            (_, Part::Link(path)) => self.escape(path),
        }
    }

    /// Text that means itself in this markup.
    pub(crate) fn escape(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Markdown => backslashes(text),
            Self::Wecom => gaps(text),
            Self::Slack => {
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                text.replace('@', &format!("@{GAP}"))
            }
        }
    }

    /// A command. It is not changed by a single character, so that it can be copied.
    fn code(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Slack => self.escape(text),
            Self::Wecom if text.contains('`') => self.escape(text),
            Self::Wecom => format!("`{text}`"),
            Self::Markdown => {
                // A fence longer than any run of backticks inside.
                let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
                let fence = "`".repeat(longest + 1);
                let pad = if longest > 0 { " " } else { "" };
                format!("{fence}{pad}{text}{pad}{fence}")
            }
        }
    }

    /// One line of at most `longest` characters: what would end it, move the cursor or turn the
    /// direction of writing is shown as its code.
    pub(crate) fn clean(text: &str, longest: usize) -> String {
        let mut clean = String::with_capacity(text.len());
        for (count, c) in text.chars().enumerate() {
            if count >= longest {
                clean.push('…');
                break;
            }
            match c {
                '\n' | '\r' | '\t' => clean.push(' '),
                c if is_tricky(c) => clean.extend(c.escape_unicode()),
                c => clean.push(c),
            }
        }
        clean
    }
}

fn is_absolute(url: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[]|\\`\"".contains(c);
    (url.starts_with("https://") || url.starts_with("http://")) && url.chars().all(plain)
}

fn is_tricky(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

fn backslashes(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let special = match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '<' | '>' | '~' | '!' => {
                true
            }
            // A list inside the list.
            '-' | '+' => at == 0,
            _ => false,
        };
        // An address would become a link by itself.
        let joins = match c {
            '@' => true,
            ':' => text[at..].starts_with("://"),
            '.' => text[..at].ends_with("www"),
            _ => false,
        };
        if special {
            escaped.push('\\');
        }
        escaped.push(c);
        if joins {
            escaped.push(GAP);
        }
    }
    escaped
}

fn gaps(text: &str) -> String {
    let mut apart = String::with_capacity(text.len());
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        let joined = matches!((last, c), (']', '(') | ('*', '*') | (':', '/'));
        let begins = at == 0 && matches!(c, '#' | '>' | '-');
        if joined || begins {
            apart.push(GAP);
        }
        apart.push(c);
        if matches!(c, '<' | '@' | '`') {
            apart.push(GAP);
        }
        last = c;
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str =
        "@everyone <!channel> <@U1> [free](http://evil.example) `x` *b* www.evil.example";

    fn shown(markup: Markup, text: &str) -> String {
        markup.part(&Part::Theirs(text.to_owned()))
    }

    #[test]
    fn nobody_mentions_or_links_through_a_name() {
        let markdown = shown(Markup::Markdown, EVIL);
        for live in ["@everyone", " <!", "<@U", "](", "://", " `x`", " *b*", "www.evil"] {
            assert!(!markdown.contains(live), "{live} in {markdown}");
        }
        // What is seen is what was there.
        assert_eq!(markdown.replace(['\\', GAP], ""), EVIL);
        let wecom = shown(Markup::Wecom, EVIL);
        for live in ["@everyone", "<!", "<@", "](", "://"] {
            assert!(!wecom.contains(live), "{live} in {wecom}");
        }
        assert_eq!(wecom.replace(GAP, ""), EVIL);
        let slack = shown(Markup::Slack, EVIL);
        assert!(!slack.contains(['<', '>']) && !slack.contains("@everyone"), "{slack}");
    }

    #[test]
    fn nobody_writes_another_line_or_backwards() {
        let text = "a\nCLEARED all is well\u{202e}gnp\u{1b}[2J";
        assert_eq!(Markup::clean(text, 300), "a CLEARED all is well\\u{202e}gnp\\u{1b}[2J");
        assert_eq!(Markup::clean("äöü", 2), "äö…");
    }

    #[test]
    fn a_command_is_copied_as_it_is() {
        let code = |markup: Markup, text: &str| markup.part(&Part::Code(text.to_owned()));
        let command = "larder clean redis:a --match 'temp:*' -n";
        assert_eq!(code(Markup::Plain, command), command);
        assert_eq!(code(Markup::Markdown, command), format!("`{command}`"));
        assert_eq!(code(Markup::Wecom, command), format!("`{command}`"));
        assert_eq!(code(Markup::Markdown, "a ``b` c"), "``` a ``b` c ```");
    }

    #[test]
    fn only_a_plain_address_is_a_link() {
        let link = |markup: Markup, url: &str| markup.part(&Part::Link(url.to_owned()));
        assert_eq!(link(Markup::Slack, "https://h/a.md"), "<https://h/a.md>");
        assert_eq!(link(Markup::Wecom, "https://h/a.md"), "[https://h/a.md](https://h/a.md)");
        assert_eq!(link(Markup::Markdown, "docs/a_b.md"), "docs/a\\_b.md");
        assert!(!link(Markup::Slack, "https://h/a|b>").starts_with('<'));
    }
}
