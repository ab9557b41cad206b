//! go.sum and go.work.sum: which hashes a project expects of the modules it uses.
//!
//! Three words a line: module path, version (with `/go.mod` at its end for the hash of the go.mod
//! alone), hash (`cmd/go/internal/modfetch/fetch.go`, `readGoSum`). Hashes of other kinds than
//! `h1:` are kept as they are, for Go ignores what it does not know.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::h1::H1;

/// The hash of an empty go.mod, which an old Go wrote by mistake; a line with it says nothing.
const EMPTY_GO_MOD: &str = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=";

/// What one go.sum says.
#[derive(Clone, Debug, Default)]
pub struct GoSum {
    path: PathBuf,
    hashes: HashMap<String, HashMap<String, Vec<String>>>,
}

/// A go.sum cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: malformed go.sum: a line has three words, this one has {words}", .path.display())]
pub struct GoSumError {
    /// The file.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    /// So many words stand there.
    pub words: usize,
}

/// A go.sum cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be understood.
    #[error(transparent)]
    Malformed(#[from] GoSumError),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl GoSum {
    /// Reads a file; `None` where it is not there.
    pub fn read(path: &Path) -> Result<Option<Self>, ReadError> {
        // A pipe would never end.
        let content = || {
            if std::fs::metadata(path)?.is_file() {
                return std::fs::read(path);
            }
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"))
        };
        match content() {
            Ok(content) => Ok(Some(Self::parse(path, &content)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReadError::Io { path: path.to_owned(), source }),
        }
    }

    /// Reads the content of the file at `path`, which is only named in errors.
    pub fn parse(path: &Path, content: &[u8]) -> Result<Self, GoSumError> {
        let mut sum = Self { path: path.to_owned(), hashes: HashMap::new() };
        for (at, line) in String::from_utf8_lossy(content).split('\n').enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                [_, _, EMPTY_GO_MOD] => {}
                [module, version, hash] => {
                    let of_module = sum.hashes.entry(module.to_owned()).or_default();
                    of_module.entry(version.to_owned()).or_default().push(hash.to_owned());
                }
                _ => {
                    let (path, words) = (path.to_owned(), words.len());
                    return Err(GoSumError { path, line: at + 1, words });
                }
            }
        }
        Ok(sum)
    }

    /// The file that this was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hashes that it has for a version, or for `version/go.mod`.
    pub fn hashes(&self, module: &str, version: &str) -> &[String] {
        self.hashes
            .get(module)
            .and_then(|versions| versions.get(version))
            .map_or(&[], Vec::as_slice)
    }

    /// The `h1:` hash that is expected where `found` is another; `None` where the file agrees or
    /// says nothing (`checkModSum`: any line that agrees is enough).
    pub fn contradicts(&self, module: &str, version: &str, found: H1) -> Option<&str> {
        let found = found.to_string();
        let hashes = self.hashes(module, version);
        if hashes.contains(&found) {
            return None;
        }
        hashes.iter().find(|hash| hash.starts_with("h1:")).map(String::as_str)
    }

    /// Every module path, version (or `version/go.mod`) and its hashes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &[String])> {
        self.hashes.iter().flat_map(|(module, versions)| {
            versions.iter().map(move |(version, hashes)| {
                (module.as_str(), version.as_str(), hashes.as_slice())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";

    fn parse(text: &str) -> Result<GoSum, GoSumError> {
        GoSum::parse(Path::new("go.sum"), text.as_bytes())
    }

    #[test]
    fn lines_are_found_by_module_and_version() {
        let text = format!("a.test/m v1.0.0 {HASH}\n\n  a.test/m\tv1.0.0/go.mod {HASH}\r\n");
        let sum = parse(&text).unwrap();
        assert_eq!(sum.hashes("a.test/m", "v1.0.0"), [HASH]);
        assert_eq!(sum.hashes("a.test/m", "v1.0.0/go.mod"), [HASH]);
        assert!(sum.hashes("a.test/m", "v1.0.1").is_empty());
        assert_eq!(sum.iter().count(), 2);
    }

    #[test]
    fn any_line_that_agrees_is_enough() {
        let own = H1::of_go_mod(b"module m\n");
        let sum = parse(&format!("m v1.0.0 {HASH}\nm v1.0.0 {own}\nn v1.0.0 {HASH}\n")).unwrap();
        assert_eq!(sum.contradicts("m", "v1.0.0", own), None);
        assert_eq!(sum.contradicts("n", "v1.0.0", own), Some(HASH));
        assert_eq!(sum.contradicts("o", "v1.0.0", own), None);
    }

    #[test]
    fn the_hash_of_an_empty_go_mod_says_nothing() {
        let sum = parse(&format!("m v1.0.0/go.mod {EMPTY_GO_MOD}\n")).unwrap();
        assert!(sum.hashes("m", "v1.0.0/go.mod").is_empty());
    }

    #[test]
    fn a_malformed_line_is_named() {
        let error = parse("m v1.0.0 h1:x\n\nm v1\n").unwrap_err();
        assert_eq!((error.line, error.words), (3, 2));
        assert_eq!(
            error.to_string(),
            "go.sum:3: malformed go.sum: a line has three words, this one has 2"
        );
    }
}
