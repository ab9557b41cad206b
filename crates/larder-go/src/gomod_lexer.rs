//! The syntax that go.mod and go.work share: lines of words, blocks in parentheses, `//` comments
//! and quoted strings (`golang.org/x/mod/modfile`, `read.go`).
//!
//! Everything is borrowed from the text. What a directive means is for `gomod` and `gowork`.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// A word, a quoted string with its quotes, or one of `( ) [ ] { } ,`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// As it is written.
    pub text: &'a str,
    /// Byte offset of its first character.
    pub at: usize,
}

impl<'a> Token<'a> {
    /// What the token stands for: quotes and escapes are taken out (`parseString` in `rule.go`).
    pub fn value(self) -> Result<Cow<'a, str>, Problem> {
        if let Some(rest) = self.text.strip_prefix('"') {
            let inner = rest.strip_suffix('"').unwrap_or(rest);
            return unquote(inner).ok_or_else(|| self.problem("invalid quoted string"));
        }
        // The go command refuses raw strings, although its reference has them.
        if self.text.contains(['"', '\'', '`']) {
            return Err(self.problem("a word without quotes around it cannot hold a quote"));
        }
        Ok(Cow::Borrowed(self.text))
    }

    /// Something is wrong with this token.
    pub fn problem(self, what: impl Into<String>) -> Problem {
        Problem { at: self.at, what: what.into() }
    }
}

/// What is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Byte offset.
    pub at: usize,
    /// What is wrong, lower case, without a full stop.
    pub what: String,
}

impl Problem {
    /// Says it with file, line and column (both from 1, columns in characters).
    pub fn in_file(self, file: &Path, text: &str) -> ParseError {
        let before = text.get(..self.at).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        ParseError {
            file: file.to_path_buf(),
            line: before.bytes().filter(|b| *b == b'\n').count() + 1,
            column: before[start..].chars().count() + 1,
            what: self.what,
        }
    }
}

/// A go.mod or go.work that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.what)
    }
}

/// What the reader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// `verb … (` at the end of a line; the words before the parenthesis are the tokens.
    Block,
    /// A line; its words, without the verb, are the tokens.
    Line {
        /// The first word; in a block the block's, placed where the line begins.
        verb: Token<'a>,
        /// Whether the line stands in a block.
        in_block: bool,
        /// The comment at its end, with the slashes; empty where there is none.
        comment: &'a str,
    },
}

/// Reads a file line by line.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    block: Option<Token<'a>>,
}

enum Lexed<'a> {
    Token(Token<'a>),
    Comment(&'a str),
    Newline,
    End,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of the text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, block: None }
    }

    /// The next line or start of a block, its words in `tokens`; `None` at the end of the file.
    pub fn next(&mut self, tokens: &mut Vec<Token<'a>>) -> Result<Option<Event<'a>>, Problem> {
        loop {
            tokens.clear();
            let Some(comment) = self.read_line(tokens)? else {
                return match self.block {
                    Some(start) => Err(start.problem("this block is never closed")),
                    None => Ok(None),
                };
            };
            if tokens.is_empty() {
                continue;
            }
            if let Some(verb) = self.block {
                if tokens[0].text != ")" {
                    let verb = Token { text: verb.text, at: tokens[0].at };
                    return Ok(Some(Event::Line { verb, in_block: true, comment }));
                }
                if let Some(after) = tokens.get(1) {
                    return Err(after.problem("only a comment may follow a closing parenthesis"));
                }
                self.block = None;
                continue;
            }
            let words = |n: usize| tokens.len().checked_sub(n).map(|at| tokens[at].text);
            // The first word of a statement is its verb, even where it is a parenthesis.
            if tokens.len() > 1 && words(1) == Some("(") {
                tokens.pop();
                self.block = Some(tokens[0]);
                return Ok(Some(Event::Block));
            }
            if tokens.len() > 2 && words(2) == Some("(") && words(1) == Some(")") {
                tokens.truncate(tokens.len() - 2);
                return Ok(Some(Event::Block));
            }
            let verb = tokens.remove(0);
            return Ok(Some(Event::Line { verb, in_block: false, comment }));
        }
    }

    /// The words up to the end of the line, and its comment; `None` at the end of the file.
    fn read_line(&mut self, tokens: &mut Vec<Token<'a>>) -> Result<Option<&'a str>, Problem> {
        loop {
            match self.lex()? {
                Lexed::Token(token) => tokens.push(token),
                Lexed::Comment(comment) => return Ok(Some(comment)),
                Lexed::End if tokens.is_empty() => return Ok(None),
                Lexed::Newline | Lexed::End => return Ok(Some("")),
            }
        }
    }

    fn lex(&mut self) -> Result<Lexed<'a>, Problem> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
        let start = self.at;
        let Some(&first) = bytes.get(start) else { return Ok(Lexed::End) };
        match first {
            b'\n' => {
                self.at += 1;
                Ok(Lexed::Newline)
            }
            b'/' if bytes[start..].starts_with(b"//") => {
                let rest = &self.text[start..];
                let length = rest.find('\n').unwrap_or(rest.len());
                self.at += (length + 1).min(rest.len());
                Ok(Lexed::Comment(rest[..length].trim_end_matches('\r')))
            }
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' => {
                self.at += 1;
                Ok(self.token(start))
            }
            b'"' | b'`' => self.lex_string(start, first),
            _ => self.lex_word(start),
        }
    }

    fn token(&self, start: usize) -> Lexed<'a> {
        Lexed::Token(Token { text: &self.text[start..self.at], at: start })
    }

    fn lex_string(&mut self, start: usize, quote: u8) -> Result<Lexed<'a>, Problem> {
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                None | Some(b'\n') => {
                    return Err(Problem { at: start, what: "this string is never closed".into() });
                }
                Some(&c) if c == quote => break,
                Some(b'\\') if quote == b'"' => at += 2,
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        Ok(self.token(start))
    }

    fn lex_word(&mut self, start: usize) -> Result<Lexed<'a>, Problem> {
        for (offset, c) in self.text[start..].char_indices() {
            let at = start + offset;
            match c {
                ' ' | '\t' | '\r' | '\n' | '(' | ')' | '[' | ']' | '{' | '}' | ',' => break,
                '/' if self.text[at..].starts_with("//") => break,
                '/' if self.text[at..].starts_with("/*") => {
                    let what = "comments begin with //, not with /*".into();
                    return Err(Problem { at, what });
                }
                c if c.is_control() || c.is_whitespace() || c == '\u{feff}' => {
                    return Err(Problem { at, what: format!("unexpected character {c:?}") });
                }
                c => self.at = at + c.len_utf8(),
            }
        }
        Ok(self.token(start))
    }
}

/// Undoes the escapes of a Go string (`strconv.Unquote`).
fn unquote(inner: &str) -> Option<Cow<'_, str>> {
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        rest = after.get(1..)?;
        // How many digits follow, in which base, and whether they name a character or a byte.
        let (digits, base, is_char) = match after.as_bytes()[0] {
            b'x' => (2, 16, false),
            b'u' => (4, 16, true),
            b'U' => (8, 16, true),
            b'0'..=b'7' => {
                rest = after;
                (3, 8, false)
            }
            letter => {
                let (_, plain) = *SIMPLE_ESCAPES.iter().find(|(name, _)| *name == letter)?;
                bytes.push(plain);
                continue;
            }
        };
        let code = u32::from_str_radix(rest.get(..digits)?, base).ok()?;
        rest = &rest[digits..];
        if is_char {
            bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(u8::try_from(code).ok()?);
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

const SIMPLE_ESCAPES: [(u8, u8); 9] = [
    (b'a', 7),
    (b'b', 8),
    (b'f', 12),
    (b'n', b'\n'),
    (b'r', b'\r'),
    (b't', b'\t'),
    (b'v', 11),
    (b'\\', b'\\'),
    (b'"', b'"'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<String>, String> {
        let mut reader = Reader::new(text);
        let (mut tokens, mut out) = (Vec::new(), Vec::new());
        loop {
            let event = reader
                .next(&mut tokens)
                .map_err(|p| p.in_file(Path::new("go.mod"), text).to_string())?;
            let words = || tokens.iter().map(|t| t.text).collect::<Vec<_>>().join(" ");
            match event {
                None => return Ok(out),
                Some(Event::Block) => out.push(format!("block {}", words())),
                Some(Event::Line { verb, comment, .. }) => {
                    out.push(format!("{}: {} {comment}", verb.text, words()).trim_end().to_owned());
                }
            }
        }
    }

    #[test]
    fn lines_blocks_and_comments() {
        let text = "// top\r\nmodule \"a b\" // x\r\n\nrequire (\n\t// in\n\ta v1 // indirect\n\n\tb//c\n) // end\nretract [v1, v2]\nx ( )\ny (z)\nlast";
        assert_eq!(
            lines(text).unwrap(),
            [
                "module: \"a b\" // x",
                "block require",
                "require: a v1 // indirect",
                "require: b //c",
                "retract: [ v1 , v2 ]",
                "block x",
                "y: ( z )",
                "last:",
            ]
        );
    }

    #[test]
    fn problems_are_placed() {
        for (text, want) in [
            ("a\nrequire (\nb", "go.mod:2:1: this block is never closed"),
            ("é \"x\n", "go.mod:1:3: this string is never closed"),
            ("a /* b */", "go.mod:1:3: comments begin with //, not with /*"),
            ("x (\n) y\n", "go.mod:2:3: only a comment may follow a closing parenthesis"),
            ("a\n b\u{0}", "go.mod:2:3: unexpected character '\\0'"),
        ] {
            assert_eq!(lines(text).unwrap_err(), want);
        }
    }

    #[test]
    fn strings_lose_their_quotes_and_escapes() {
        let value = |text| Token { text, at: 0 }.value().map(Cow::into_owned).ok();
        assert_eq!(value("plain").as_deref(), Some("plain"));
        assert_eq!(value("\"a\\tb\\x41\\u00e9\\101\\\"\"").as_deref(), Some("a\tbAéA\""));
        for bad in ["`raw`", "\"\\q\"", "\"\\x4\"", "it's", "\"\\ud800\"", "\"\\é\""] {
            assert_eq!(value(bad), None, "{bad}");
        }
    }
}
