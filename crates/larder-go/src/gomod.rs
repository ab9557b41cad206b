//! go.mod of every age (`golang.org/x/mod/modfile`, `rule.go`).
//!
//! A main module is read strictly: what the go command would refuse is an error with its place.
//! A dependency is read as Go reads it, for its requirements alone: directives that only count in
//! a main module, and those that are not known yet, are passed over.

use std::borrow::Cow;
use std::path::Path;

use crate::gomod_lexer::{Event, ParseError, Problem, Reader, Token};
use crate::module_path::{major_allows, split_major};
use crate::semver;

/// The newest Go whose directives are all known here. A main module of a later one may hold more.
pub const KNOWN_GO: &str = "1.27";

/// What the go command assumes where there is no `go` line (`gover.DefaultGoModVersion`).
pub const DEFAULT_GO: &str = "1.16";

/// A module path and a version, borrowed from the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair<'a> {
    /// Module path.
    pub path: Cow<'a, str>,
    /// Version in canonical form.
    pub version: Cow<'a, str>,
}

/// A `require` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Require<'a> {
    /// What is required.
    pub module: Pair<'a>,
    /// Whether it is marked `// indirect`.
    pub indirect: bool,
}

/// What a `replace` line puts in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement<'a> {
    /// A folder, as it is written.
    Folder(Cow<'a, str>),
    /// Another module version.
    Module(Pair<'a>),
}

/// A `replace` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replace<'a> {
    /// The module replaced.
    pub path: Cow<'a, str>,
    /// The version replaced; `None` for all of them.
    pub version: Option<Cow<'a, str>>,
    /// What takes its place.
    pub by: Replacement<'a>,
}

/// Versions that their author took back, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retract<'a> {
    /// The first of them.
    pub low: Cow<'a, str>,
    /// The last of them.
    pub high: Cow<'a, str>,
}

/// A go.mod file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoMod<'a> {
    /// The module path.
    pub module: Option<Cow<'a, str>>,
    /// The `go` line, as `1.21.0`.
    pub go: Option<Cow<'a, str>>,
    /// The `toolchain` line, as `go1.21.3` or `default`.
    pub toolchain: Option<Cow<'a, str>>,
    /// The `require` lines.
    pub require: Vec<Require<'a>>,
    /// The `exclude` lines.
    pub exclude: Vec<Pair<'a>>,
    /// The `replace` lines.
    pub replace: Vec<Replace<'a>>,
    /// The `retract` lines.
    pub retract: Vec<Retract<'a>>,
    /// The `tool` lines, package paths.
    pub tool: Vec<Cow<'a, str>>,
    /// The `ignore` lines, folders.
    pub ignore: Vec<Cow<'a, str>>,
    /// The `godebug` lines, as `key=value`.
    pub godebug: Vec<Cow<'a, str>>,
    /// In a main module: versions that are none yet, such as the name of a branch. The go command
    /// would look them up and rewrite the file.
    pub unresolved: Vec<Pair<'a>>,
    /// In a main module of a later Go: directives that are not known here.
    pub unknown: Vec<Cow<'a, str>>,
}

impl GoMod<'_> {
    /// The `go` line, or what counts where there is none.
    pub fn go_version(&self) -> &str {
        self.go.as_deref().unwrap_or(DEFAULT_GO)
    }

    /// Whether its list of requirements is complete, so that a module graph may end at it
    /// (`modload.pruningForGoVersion`).
    pub fn is_pruned(&self) -> bool {
        supports_pruning(self.go_version())
    }
}

/// Whether go.mod files of this Go version list every module that their build needs
/// (`gover.ExplicitIndirectVersion`).
pub fn supports_pruning(go: &str) -> bool {
    semver::compare_go(go, "1.17").is_ge()
}

/// Reads the go.mod of a main module.
pub fn parse_main<'a>(file: &Path, text: &'a str) -> Result<GoMod<'a>, ParseError> {
    let mut parsed = Parser { strict: true, later: None, file: GoMod::default() };
    parsed.read(text).map_err(|problem| problem.in_file(file, text))?;
    let later = parsed.later;
    let parsed = parsed.file;
    if let Some(problem) = later {
        // Only a later Go may bring directives of its own.
        if semver::compare_go(parsed.go_version(), KNOWN_GO).is_le() {
            return Err(problem.in_file(file, text));
        }
    }
    if parsed.module.is_none() {
        let what = "there is no module line; go mod edit -module=example.com/name adds one".into();
        return Err(Problem { at: 0, what }.in_file(file, text));
    }
    Ok(parsed)
}

/// Reads the go.mod of a dependency, as it lies in the module cache.
pub fn parse_dependency<'a>(file: &Path, text: &'a str) -> Result<GoMod<'a>, ParseError> {
    let mut parser = Parser { strict: false, later: None, file: GoMod::default() };
    parser.read(text).map_err(|problem| problem.in_file(file, text))?;
    Ok(parser.file)
}

/// Whether a replacement is a folder and not a module path (`modfile.IsDirectoryPath`).
pub fn is_folder_path(path: &str) -> bool {
    let bytes = path.as_bytes();
    matches!(path, "." | "..")
        || ["./", ".\\", "../", "..\\", "/", "\\"].iter().any(|start| path.starts_with(start))
        || bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
}

struct Parser<'a> {
    strict: bool,
    /// The first directive that is not known, which may be one of a later Go.
    later: Option<Problem>,
    file: GoMod<'a>,
}

/// Directives that may stand in a block.
const BLOCKS: [&str; 8] =
    ["module", "godebug", "require", "exclude", "replace", "retract", "tool", "ignore"];

impl<'a> Parser<'a> {
    fn read(&mut self, text: &'a str) -> Result<(), Problem> {
        let mut reader = Reader::new(text);
        let mut tokens = Vec::with_capacity(8);
        let mut block_known = true;
        while let Some(event) = reader.next(&mut tokens)? {
            match event {
                Event::Block => {
                    block_known = tokens.len() == 1 && BLOCKS.contains(&tokens[0].text);
                    if !block_known {
                        self.unknown(tokens[0]);
                    }
                }
                Event::Line { verb, comment, in_block } => {
                    if block_known || !in_block {
                        self.line(verb, &tokens, comment)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn unknown(&mut self, verb: Token<'a>) {
        if self.strict {
            self.file.unknown.push(Cow::Borrowed(verb.text));
            let problem = || verb.problem(format!("unknown directive: {}", verb.text));
            self.later.get_or_insert_with(problem);
        }
    }

    fn line(
        &mut self,
        verb: Token<'a>,
        args: &[Token<'a>],
        comment: &'a str,
    ) -> Result<(), Problem> {
        let only_in_main = !matches!(verb.text, "go" | "module" | "retract" | "require" | "ignore");
        if !self.strict && only_in_main {
            return Ok(());
        }
        match verb.text {
            "require" => self.require(verb, args, comment),
            "exclude" => self.exclude(verb, args),
            "replace" => {
                let replace = parse_replace(verb, args)?;
                self.file.replace.push(replace);
                Ok(())
            }
            "module" => once(&mut self.file.module, verb, one(verb, args)?.value()?),
            "go" => {
                let version = go_version(verb, args, self.strict)?;
                once(&mut self.file.go, verb, version)
            }
            "toolchain" => once(&mut self.file.toolchain, verb, toolchain_name(verb, args)?),
            "retract" => match parse_retract(verb, args) {
                Ok(retract) => {
                    self.file.retract.push(retract);
                    Ok(())
                }
                // A dependency may use a form that is not known yet.
                Err(problem) if self.strict => Err(problem),
                Err(_) => Ok(()),
            },
            "tool" => push(&mut self.file.tool, verb, args),
            "ignore" => push(&mut self.file.ignore, verb, args),
            "godebug" => {
                self.file.godebug.push(Cow::Borrowed(godebug(verb, args)?));
                Ok(())
            }
            _ => {
                self.unknown(verb);
                Ok(())
            }
        }
    }

    fn require(
        &mut self,
        verb: Token<'a>,
        args: &[Token<'a>],
        comment: &'a str,
    ) -> Result<(), Problem> {
        let Some(module) = self.module_version(verb, args)? else { return Ok(()) };
        self.file.require.push(Require { module, indirect: is_indirect(comment) });
        Ok(())
    }

    fn exclude(&mut self, verb: Token<'a>, args: &[Token<'a>]) -> Result<(), Problem> {
        if let Some(module) = self.module_version(verb, args)? {
            self.file.exclude.push(module);
        }
        Ok(())
    }

    /// A path and its version; `None` where the version is yet to be looked up.
    fn module_version(
        &mut self,
        verb: Token<'a>,
        args: &[Token<'a>],
    ) -> Result<Option<Pair<'a>>, Problem> {
        let [path, version] = args else {
            return Err(verb.problem(format!("{} takes a module path and a version", verb.text)));
        };
        let (name, text) = (path.value()?, version.value()?);
        let Some((_, major)) = split_major(&name) else {
            return Err(path.problem(format!("{name:?} is not a module path")));
        };
        // The go command looks up what is not canonical in a main module, even `v1.2`.
        let canonical = if self.strict && !semver::is_canonical(&text) {
            self.file.unresolved.push(Pair { path: name, version: text });
            return Ok(None);
        } else {
            canonical(*version, text)?
        };
        if !major_allows(major, &canonical) {
            return Err(version.problem(format!("{canonical} cannot be a version of {name}")));
        }
        Ok(Some(Pair { path: name, version: canonical }))
    }
}

fn canonical<'a>(token: Token<'a>, text: Cow<'a, str>) -> Result<Cow<'a, str>, Problem> {
    if semver::is_canonical(&text) {
        return Ok(text);
    }
    semver::canonical(&text)
        .map(Cow::Owned)
        .ok_or_else(|| token.problem(format!("{text:?} is not a version; it must be like v1.2.3")))
}

/// Whether a line's comment marks it as indirect (`isIndirect`).
fn is_indirect(comment: &str) -> bool {
    let mut words = comment.strip_prefix("//").unwrap_or_default().split_whitespace();
    matches!((words.next(), words.next()), (Some("indirect"), None) | (Some("indirect;"), Some(_)))
}

/// The only argument of a directive.
pub(crate) fn one<'a>(verb: Token<'a>, args: &[Token<'a>]) -> Result<Token<'a>, Problem> {
    match args {
        [only] => Ok(*only),
        _ => Err(verb.problem(format!("{} takes exactly one argument", verb.text))),
    }
}

/// Sets what may be set only once.
pub(crate) fn once<'a>(
    slot: &mut Option<Cow<'a, str>>,
    verb: Token<'a>,
    value: Cow<'a, str>,
) -> Result<(), Problem> {
    if slot.is_some() {
        return Err(verb.problem(format!("there is a second {} line", verb.text)));
    }
    *slot = Some(value);
    Ok(())
}

pub(crate) fn push<'a>(
    list: &mut Vec<Cow<'a, str>>,
    verb: Token<'a>,
    args: &[Token<'a>],
) -> Result<(), Problem> {
    list.push(one(verb, args)?.value()?);
    Ok(())
}

/// The argument of a `go` line. Dependencies may write it loosely (`v1.2`, `1.2.x`): all but the
/// language version is dropped.
pub(crate) fn go_version<'a>(
    verb: Token<'a>,
    args: &[Token<'a>],
    strict: bool,
) -> Result<Cow<'a, str>, Problem> {
    let arg = one(verb, args)?;
    if is_go_line(arg.text) {
        return Ok(Cow::Borrowed(arg.text));
    }
    loose_go_version(arg.text).filter(|_| !strict).map(Cow::Borrowed).ok_or_else(|| {
        arg.problem(format!("{:?} is not a Go version; it must be like 1.23.0", arg.text))
    })
}

/// `GoVersionRE`: two or three numbers, the first not 0, then perhaps letters and digits.
fn is_go_line(text: &str) -> bool {
    let letters = text.find(|c: char| c.is_ascii_lowercase()).unwrap_or(text.len());
    let (numbers, kind) = text.split_at(letters);
    let kind_ok = kind.is_empty() || {
        let digits = kind.trim_start_matches(|c: char| c.is_ascii_lowercase());
        !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
    };
    let parts: Vec<&str> = numbers.split('.').collect();
    let number_ok = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|c| c.is_ascii_digit())
            && (part.len() == 1 || !part.starts_with('0'))
    };
    kind_ok && matches!(parts.len(), 2 | 3) && parts.iter().all(number_ok) && parts[0] != "0"
}

/// `laxGoVersionRE`.
fn loose_go_version(text: &str) -> Option<&str> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (major, rest) = text.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let language = &text[..major.len() + 1 + digits];
    (digits < rest.len() && is_go_line(language)).then_some(language)
}

/// The argument of a `toolchain` line (`ToolchainRE`).
pub(crate) fn toolchain_name<'a>(
    verb: Token<'a>,
    args: &[Token<'a>],
) -> Result<Cow<'a, str>, Problem> {
    let arg = one(verb, args)?;
    let ok = matches!(arg.text, "default" | "go1") || arg.text.starts_with("go1.");
    if !ok {
        let what =
            format!("{:?} is not a toolchain; it must be like go1.23.0 or default", arg.text);
        return Err(arg.problem(what));
    }
    Ok(Cow::Borrowed(arg.text))
}

/// The argument of a `godebug` line.
pub(crate) fn godebug<'a>(verb: Token<'a>, args: &[Token<'a>]) -> Result<&'a str, Problem> {
    let arg = one(verb, args)?;
    if !arg.text.contains('=') || arg.text.contains(['"', '`', '\'', ',']) {
        return Err(arg.problem("godebug takes key=value"));
    }
    Ok(arg.text)
}

/// A `replace` line, in go.mod as in go.work.
pub(crate) fn parse_replace<'a>(
    verb: Token<'a>,
    args: &[Token<'a>],
) -> Result<Replace<'a>, Problem> {
    let (path, version, by) = match args {
        [path, arrow, by @ ..] if arrow.text == "=>" => (path, None, by),
        [path, version, arrow, by @ ..] if arrow.text == "=>" => (path, Some(version), by),
        _ => return Err(verb.problem("replace takes module/path [v1.2.3] => what")),
    };
    let name = path.value()?;
    let Some((_, major)) = split_major(&name) else {
        return Err(path.problem(format!("{name:?} is not a module path")));
    };
    let version = match version {
        Some(token) => {
            let version = canonical(*token, token.value()?)?;
            if !major_allows(major, &version) {
                return Err(token.problem(format!("{version} cannot be a version of {name}")));
            }
            Some(version)
        }
        None => None,
    };
    let by = match by {
        [folder] => {
            let value = folder.value()?;
            if !is_folder_path(&value) {
                return Err(folder.problem(
                    "a replacement without a version must be a folder that begins with /, ./ or ../",
                ));
            }
            Replacement::Folder(value)
        }
        [module, version] => {
            let value = module.value()?;
            if is_folder_path(&value) {
                return Err(version.problem("a replacement that is a folder has no version"));
            }
            let version = canonical(*version, version.value()?)?;
            Replacement::Module(Pair { path: value, version })
        }
        _ => return Err(verb.problem("replace takes module/path [v1.2.3] => what")),
    };
    Ok(Replace { path: name, version, by })
}

fn parse_retract<'a>(verb: Token<'a>, args: &[Token<'a>]) -> Result<Retract<'a>, Problem> {
    // The versions are read as they are: which are canonical depends on the module's own path.
    match args {
        [only] if !matches!(only.text, "[" | "(") => {
            let version = only.value()?;
            Ok(Retract { low: version.clone(), high: version })
        }
        [open, low, comma, high, close]
            if (open.text, comma.text, close.text) == ("[", ",", "]") =>
        {
            Ok(Retract { low: low.value()?, high: high.value()? })
        }
        _ => Err(verb.problem("retract takes v1.2.3 or [v1.2.3, v1.2.4]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main(text: &str) -> Result<GoMod<'_>, String> {
        parse_main(Path::new("go.mod"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_directive_is_read() {
        let text = r#"
// Deprecated: use another.
module "example.com/m" // why

go 1.24.0
toolchain go1.24.3
godebug default=go1.21
require example.com/a v1.2.3
require (
	example.com/b/v2 v2.0.0 // indirect
	gopkg.in/c.v1 v0.0.0-20161208181325-20d25e280405 // indirect; why
	example.com/d v3.0.0+incompatible // not indirect
)
exclude example.com/a v1.2.4
replace (
	example.com/a => ../a
	example.com/d v3.0.0+incompatible => example.com/fork v1.0.0
)
retract v1.0.0 // oops
retract [v1.1.0, v1.2.0]
tool example.com/a/cmd/t
ignore ( ./node )
ignore ./web
"#;
        let file = main(text).unwrap_err();
        assert_eq!(file, "go.mod:22:1: ignore takes exactly one argument");
        let text = text.replace("ignore ( ./node )\n", "");
        let file = main(&text).unwrap();
        assert_eq!(file.module.as_deref(), Some("example.com/m"));
        assert_eq!((file.go_version(), file.toolchain.as_deref()), ("1.24.0", Some("go1.24.3")));
        let required: Vec<_> = file
            .require
            .iter()
            .map(|r| format!("{}@{} {}", r.module.path, r.module.version, r.indirect))
            .collect();
        assert_eq!(
            required,
            [
                "example.com/a@v1.2.3 false",
                "example.com/b/v2@v2.0.0 true",
                "gopkg.in/c.v1@v0.0.0-20161208181325-20d25e280405 true",
                "example.com/d@v3.0.0+incompatible false",
            ]
        );
        assert_eq!(file.exclude.len(), 1);
        assert_eq!(file.replace[0].by, Replacement::Folder("../a".into()));
        assert!(
            matches!(&file.replace[1].by, Replacement::Module(m) if m.path == "example.com/fork")
        );
        assert_eq!(file.retract[1].high, "v1.2.0");
        assert_eq!((file.tool.len(), file.ignore.len(), file.godebug.len()), (1, 1, 1));
    }

    #[test]
    fn a_main_module_is_held_to_the_rules() {
        for (text, want) in [
            (
                "go 1.20\n",
                "go.mod:1:1: there is no module line; go mod edit -module=example.com/name adds one",
            ),
            ("module a\nmodule b\n", "go.mod:2:1: there is a second module line"),
            ("module a\ngo 1\n", "go.mod:2:4: \"1\" is not a Go version; it must be like 1.23.0"),
            ("module a\nfoo x\n", "go.mod:2:1: unknown directive: foo"),
            ("module a\nfoo (\n\tx\n)\n", "go.mod:2:1: unknown directive: foo"),
            (
                "module a\nrequire b.c/v2 v1.0.0\n",
                "go.mod:2:16: v1.0.0 cannot be a version of b.c/v2",
            ),
            ("module a\nrequire b.c\n", "go.mod:2:1: require takes a module path and a version"),
            (
                "module a\nreplace b.c => d.e\n",
                "go.mod:2:16: a replacement without a version must be a folder that begins with /, ./ or ../",
            ),
            (
                "module a\ntoolchain 1.2\n",
                "go.mod:2:11: \"1.2\" is not a toolchain; it must be like go1.23.0 or default",
            ),
        ] {
            assert_eq!(main(text).unwrap_err(), want);
        }
    }

    #[test]
    fn a_later_go_may_bring_directives() {
        let file = main("module a\ngo 1.99\nfoo x\n").unwrap();
        assert_eq!(file.unknown, ["foo"]);
    }

    #[test]
    fn a_branch_is_reported_and_no_error() {
        let file = main("module a\nrequire b.c master\nrequire b.d v1\n").unwrap();
        assert_eq!(file.unresolved.len(), 2);
        assert!(file.require.is_empty());
    }

    #[test]
    fn a_dependency_is_read_loosely() {
        let text = "foo (\n\tx\n)\nrequire x.y v1.2 // indirect\ngo 1.13.x\nreplace q\nretract {v1}\nbar\n";
        let file = parse_dependency(Path::new("go.mod"), text).unwrap();
        assert_eq!(file.module, None);
        assert_eq!(file.go_version(), "1.13");
        assert_eq!(file.require[0].module.version, "v1.2.0");
        assert!(parse_dependency(Path::new("go.mod"), "require x.y master\n").is_err());
    }

    #[test]
    fn pruning_begins_with_1_17() {
        for (go, pruned) in [("1.16", false), ("1.17", true), ("1.21rc1", true), ("1.9", false)] {
            assert_eq!(supports_pruning(go), pruned, "{go}");
        }
        assert!(!GoMod::default().is_pruned());
    }
}
