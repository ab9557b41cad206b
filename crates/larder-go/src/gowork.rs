//! go.work: the main modules of a workspace (`golang.org/x/mod/modfile`, `work.go`).

use std::borrow::Cow;
use std::path::Path;

use crate::gomod::{Replace, go_version, godebug, once, parse_replace, push, toolchain_name};
use crate::gomod_lexer::{Event, ParseError, Problem, Reader, Token};

/// What the go command assumes where there is no `go` line (`gover.DefaultGoWorkVersion`).
pub const DEFAULT_GO: &str = "1.18";

/// A go.work file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoWork<'a> {
    /// The `go` line.
    pub go: Option<Cow<'a, str>>,
    /// The `toolchain` line.
    pub toolchain: Option<Cow<'a, str>>,
    /// The folders of the main modules, as they are written.
    pub uses: Vec<Cow<'a, str>>,
    /// Replacements, which come before those of the modules.
    pub replace: Vec<Replace<'a>>,
}

impl GoWork<'_> {
    /// The `go` line, or what counts where there is none.
    pub fn go_version(&self) -> &str {
        self.go.as_deref().unwrap_or(DEFAULT_GO)
    }
}

/// Reads a go.work; there is only the strict way, as it never stands in a dependency.
pub fn parse<'a>(file: &Path, text: &'a str) -> Result<GoWork<'a>, ParseError> {
    read(text).map_err(|problem| problem.in_file(file, text))
}

fn read(text: &str) -> Result<GoWork<'_>, Problem> {
    let mut work = GoWork::default();
    let mut reader = Reader::new(text);
    let mut tokens = Vec::new();
    while let Some(event) = reader.next(&mut tokens)? {
        match event {
            Event::Block if tokens.len() == 1 && is_block(tokens[0].text) => {}
            Event::Block => {
                return Err(tokens[0].problem(format!("unknown block: {}", tokens[0].text)));
            }
            Event::Line { verb, .. } => line(&mut work, verb, &tokens)?,
        }
    }
    Ok(work)
}

fn is_block(verb: &str) -> bool {
    matches!(verb, "godebug" | "use" | "replace")
}

fn line<'a>(work: &mut GoWork<'a>, verb: Token<'a>, args: &[Token<'a>]) -> Result<(), Problem> {
    match verb.text {
        "go" => once(&mut work.go, verb, go_version(verb, args, true)?),
        "toolchain" => once(&mut work.toolchain, verb, toolchain_name(verb, args)?),
        "godebug" => godebug(verb, args).map(|_| ()),
        "use" => push(&mut work.uses, verb, args),
        "replace" => {
            work.replace.push(parse_replace(verb, args)?);
            Ok(())
        }
        _ => Err(verb.problem(format!("unknown directive: {}", verb.text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_read() {
        let text = "go 1.22.0\n\ntoolchain go1.22.3\nuse ./a // one\nuse (\n\t./b\n\t\"../c d\"\n)\nreplace x.y => ./z\n";
        let work = parse(Path::new("go.work"), text).unwrap();
        assert_eq!(work.uses, ["./a", "./b", "../c d"]);
        assert_eq!((work.go_version(), work.replace.len()), ("1.22.0", 1));
        assert_eq!(parse(Path::new("go.work"), "").unwrap().go_version(), "1.18");
        for (text, want) in [
            ("require a v1\n", "go.work:1:1: unknown directive: require"),
            ("use (\n./a ./b\n)\n", "go.work:2:1: use takes exactly one argument"),
            ("go (\n1.2\n)\n", "go.work:1:1: unknown block: go"),
        ] {
            assert_eq!(parse(Path::new("go.work"), text).unwrap_err().to_string(), want);
        }
    }
}
