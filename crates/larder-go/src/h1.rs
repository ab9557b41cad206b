//! `h1:` hashes, which stand in go.sum, in `.ziphash` files and in the checksum database.
//!
//! The hash of a set of files is the SHA-256 over one line a file, sorted by name: the file's
//! SHA-256 in hexadecimal, two spaces, its name (`golang.org/x/mod/sumdb/dirhash`, `Hash1`). For
//! a module the names begin with `module@version/`; a go.mod alone is the file `go.mod`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::hex::PAIRS;

/// A hash of the kind `h1:`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct H1([u8; 32]);

/// The text is not a hash of the kind `h1:`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an h1: hash")]
pub struct NotAHash(pub String);

impl H1 {
    /// The hash of a go.mod, as go.sum has it under `version/go.mod`
    /// (`cmd/go/internal/modfetch/fetch.go`, `goModSum`).
    pub fn of_go_mod(content: &[u8]) -> Self {
        Self::of_go_mod_hash(Sha256::digest(content).into())
    }

    /// As [`Self::of_go_mod`], from the file's own hash.
    pub fn of_go_mod_hash(hash: FileHash) -> Self {
        let mut summer = Summer::default();
        summer.add("go.mod".to_owned(), hash);
        summer.finish()
    }
}

impl fmt::Display for H1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h1:{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for H1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for H1 {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let bytes = text.strip_prefix("h1:").and_then(|code| STANDARD.decode(code).ok());
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| NotAHash(text.to_owned()))
    }
}

/// A file's SHA-256.
pub type FileHash = [u8; 32];

/// Gathers the hashes of files until all are there.
#[derive(Clone, Debug, Default)]
pub struct Summer {
    files: Vec<(String, FileHash)>,
}

impl Summer {
    /// Adds a file under the name that it is hashed by, with `/` between folders.
    pub fn add(&mut self, name: String, hash: FileHash) {
        self.files.push((name, hash));
    }

    /// The files so far.
    pub fn files(&self) -> &[(String, FileHash)] {
        &self.files
    }

    /// The files, sorted once [`Self::finish`] was called.
    pub fn into_files(self) -> Vec<(String, FileHash)> {
        self.files
    }

    /// The hash of all of them.
    pub fn finish(&mut self) -> H1 {
        self.files.sort_unstable();
        let mut whole = Sha256::new();
        for (name, hash) in &self.files {
            whole.update(hex(hash));
            whole.update(b"  ");
            whole.update(name);
            whole.update(b"\n");
        }
        H1(whole.finalize().into())
    }
}

fn hex(hash: &FileHash) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash) {
        pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        // The hash of an empty go.mod, which go.sum files once had by mistake
        // (`cmd/go/internal/modfetch/fetch.go`, `emptyGoModHash`).
        let empty = H1::of_go_mod(b"");
        assert_eq!(empty.to_string(), "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=");
        assert_eq!(empty.to_string().parse(), Ok(empty));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "h1:", "h2:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=", "h1:AAAA"] {
            assert_eq!(text.parse::<H1>(), Err(NotAHash(text.to_owned())));
        }
    }

    #[test]
    fn the_order_of_files_does_not_count() {
        let sum = |names: [&str; 2]| {
            let mut summer = Summer::default();
            for name in names {
                summer.add(name.to_owned(), Sha256::digest(name).into());
            }
            summer.finish()
        };
        assert_eq!(sum(["a", "b"]), sum(["b", "a"]));
        assert_ne!(sum(["a", "b"]), sum(["a", "c"]));
    }
}
