//! Module paths: what is a valid one, how it is escaped in the cache, which major versions it
//! allows. The rules are those of `golang.org/x/mod/module`.

use std::fmt;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::semver::{self, Semver};

/// One version of one module, both unescaped; ordered by path and then by version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModuleVersion {
    /// Module path, as in `github.com/BurntSushi/toml`.
    pub path: String,
    /// Version, as in `v1.2.3`.
    pub version: String,
}

impl ModuleVersion {
    /// A module path with a version.
    pub fn new(path: impl Into<String>, version: impl Into<String>) -> Self {
        Self { path: path.into(), version: version.into() }
    }
}

impl fmt::Display for ModuleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.path, self.version)
    }
}

impl Ord for ModuleVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.path
            .cmp(&other.path)
            .then_with(|| semver::compare_total(&self.version, &other.version))
    }
}

impl PartialOrd for ModuleVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// `!` and a small letter for each capital one, as folders of the cache are named
/// (`module.EscapePath`); `None` where the path is not a valid module path.
pub fn escape(path: &str) -> Option<String> {
    is_valid(path).then(|| escape_text(path))
}

/// As [`escape`] for versions, which need not be semantic ones (`module.EscapeVersion`).
pub fn escape_version(version: &str) -> Option<String> {
    (element_ok(version, Kind::File) && version.is_ascii() && !version.contains('!'))
        .then(|| escape_text(version))
}

/// Undoes [`escape`]; `None` where this is not the escaped form of a valid module path.
pub fn unescape(escaped: &str) -> Option<String> {
    unescape_text(escaped).filter(|path| is_valid(path))
}

/// Undoes [`escape_version`].
pub fn unescape_version(escaped: &str) -> Option<String> {
    unescape_text(escaped).filter(|version| element_ok(version, Kind::File))
}

/// Whether a module that can be downloaded may have this path (`module.CheckPath`).
pub fn is_valid(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    path_ok(path, Kind::Module)
        && first.contains('.')
        && first.bytes().all(|c| matches!(c, b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z'))
        && split_major(path).is_some()
}

/// Whether a package, or a main module, may have this path (`module.CheckImportPath`).
pub fn is_valid_import(path: &str) -> bool {
    path_ok(path, Kind::Import)
}

/// Whether a file of a module may have this path, with `/` between folders
/// (`module.CheckFilePath`).
pub fn is_valid_file(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|element| element_ok(element, Kind::File))
}

/// The path without its major version, and that version as it is written: `/v2`, `.v3` below
/// `gopkg.in`, or nothing (`module.SplitPathVersion`). `None` where the ending is not allowed.
pub fn split_major(path: &str) -> Option<(&str, &str)> {
    let gopkg = path.starts_with("gopkg.in/");
    let bare = if gopkg { path.strip_suffix("-unstable").unwrap_or(path) } else { path };
    let head = bare.trim_end_matches(|c: char| c.is_ascii_digit() || (c == '.' && !gopkg));
    let (mark, start) = if gopkg { (".v", ".v0") } else { ("/v", "") };
    let marked_at = head.strip_suffix(mark).map(str::len);
    if gopkg {
        let at = marked_at?;
        let digits = &bare[head.len()..];
        let zero_ok = !digits.starts_with('0') || &path[at..] == start;
        return (!digits.is_empty() && zero_ok).then(|| path.split_at(at));
    }
    let Some(at) = marked_at.filter(|_| head.len() < path.len()) else { return Some((path, "")) };
    let major = &path[at..];
    let ok = !major.contains('.') && !major.starts_with("/v0") && major != "/v1";
    ok.then(|| path.split_at(at))
}

/// Whether the version may be one of a module with this [`split_major`] ending
/// (`module.CheckPathMajor`).
pub fn major_allows(major: &str, version: &str) -> bool {
    let major = match major.strip_suffix("-unstable") {
        Some(bare) if major.starts_with(".v") => bare,
        _ => major,
    };
    // Early pseudo-versions of gopkg.in modules all began in this way.
    if version.starts_with("v0.0.0-") && major == ".v1" {
        return true;
    }
    let Some(parsed) = Semver::parse(version) else { return false };
    let own = parsed.major();
    if major.is_empty() {
        own == "v0" || own == "v1" || parsed.build() == "+incompatible"
    } else {
        own == major[1..]
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Module,
    Import,
    File,
}

fn path_ok(path: &str, kind: Kind) -> bool {
    !path.is_empty() && !path.starts_with('-') && path.split('/').all(|e| element_ok(e, kind))
}

fn element_ok(element: &str, kind: Kind) -> bool {
    if element.is_empty()
        || element.ends_with('.')
        || (kind == Kind::Module && element.starts_with('.'))
        || !element.chars().all(|c| char_ok(c, kind))
    {
        return false;
    }
    let short = element.split('.').next().unwrap_or_default();
    if is_windows_device(short) {
        return false;
    }
    // A tilde and digits at the end look like a short name of Windows.
    kind == Kind::File
        || !short.rsplit_once('~').is_some_and(|(_, digits)| {
            !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
        })
}

fn char_ok(c: char, kind: Kind) -> bool {
    match kind {
        Kind::Module => c.is_ascii_alphanumeric() || "-._~".contains(c),
        Kind::Import => c.is_ascii_alphanumeric() || "-._~+".contains(c),
        Kind::File if c.is_ascii() => {
            c.is_ascii_alphanumeric() || "!#$%&()+,-.=@[]^_{}~ ".contains(c)
        }
        Kind::File => c.general_category_group() == GeneralCategoryGroup::Letter,
    }
}

fn is_windows_device(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    matches!(upper.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (upper.len() == 4
            && (upper.starts_with("COM") || upper.starts_with("LPT"))
            && matches!(upper.as_bytes()[3], b'1'..=b'9'))
}

fn escape_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 4);
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(c.to_ascii_lowercase());
    }
    escaped
}

fn unescape_text(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        match c {
            '!' => {
                let small = chars.next().filter(char::is_ascii_lowercase)?;
                text.push(small.to_ascii_uppercase());
            }
            c if !c.is_ascii() || c.is_ascii_uppercase() => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_escaped_and_back() {
        assert_eq!(escape("github.com/BurntSushi/toml").unwrap(), "github.com/!burnt!sushi/toml");
        assert_eq!(unescape("github.com/!burnt!sushi/toml").unwrap(), "github.com/BurntSushi/toml");
        assert_eq!(escape_version("v1.0.0-RC1").unwrap(), "v1.0.0-!r!c1");
        assert_eq!(unescape_version("v1.0.0-!r!c1").unwrap(), "v1.0.0-RC1");
        for bad in
            ["github.com/Burnt", "github.com/!Burnt", "github.com/!", "github.com/!1", "nodot"]
        {
            assert_eq!(unescape(bad), None, "{bad}");
        }
        assert_eq!(escape_version("../x"), None);
        assert_eq!(escape_version("v1!"), None);
    }

    #[test]
    fn only_valid_paths_pass() {
        for good in [
            "example.com",
            "example.com/a/v2",
            "gopkg.in/yaml.v2",
            "gopkg.in/check.v1-unstable",
            "gopkg.in/x.v0",
            "golang.org/x/text",
            "a.b/c~d",
            "example.com/v2x",
        ] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "nodot/x",
            "Example.com/x",
            "example.com/",
            "example.com//x",
            "-x.com/y",
            "example.com/.x",
            "example.com/x.",
            "example.com/v1",
            "example.com/v02",
            "example.com/v1.2",
            "gopkg.in/yaml",
            "gopkg.in/yaml.v02",
            "example.com/con",
            "example.com/x~1",
            "example.com/com1.x",
            "example.com/a b",
            "example.com/é",
            "../x",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn majors_fit_their_paths() {
        assert_eq!(split_major("example.com/x/v3"), Some(("example.com/x", "/v3")));
        assert_eq!(split_major("gopkg.in/yaml.v2"), Some(("gopkg.in/yaml", ".v2")));
        assert_eq!(split_major("example.com/x1"), Some(("example.com/x1", "")));
        assert_eq!(split_major("gopkg.in/check.\u{13b}0"), None);
        assert_eq!(split_major("example.com/\u{13b}0"), Some(("example.com/\u{13b}0", "")));
        for (major, version, fits) in [
            ("", "v1.2.3", true),
            ("", "v2.0.0", false),
            ("", "v2.0.0+incompatible", true),
            ("/v2", "v2.1.0", true),
            ("/v2", "v3.1.0", false),
            (".v1", "v0.0.0-20161208181325-20d25e280405", true),
            (".v2-unstable", "v2.0.0", true),
        ] {
            assert_eq!(major_allows(major, version), fits, "{major} {version}");
        }
    }
}
