//! The token of the API: read from a file, compared in constant time, shown nowhere.

use std::fmt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

/// Letters of the shortest token: 128 bits in hexadecimal would be 32, a word is too few.
const SHORTEST: usize = 16;
/// Bytes of a file that can still be a token.
const LONGEST: u64 = 4096;

/// The token that changing requests must carry.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it holds is no token.
    #[error("the token file {} {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Token {
    /// Reads the file; white space around the token does not count.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let read = |source| TokenError::Read { path: path.to_owned(), source };
        let unfit = |why| TokenError::Unfit { path: path.to_owned(), why };
        if std::fs::metadata(path).map_err(read)?.len() > LONGEST {
            return Err(unfit("is too large for a token"));
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::new(text.trim()).map_err(unfit)
    }

    /// The token itself, or why it is none: 16 visible ASCII letters at least.
    pub fn new(token: &str) -> Result<Self, &'static str> {
        if token.len() < SHORTEST {
            return Err("holds fewer than 16 letters");
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("holds more than one word of visible ASCII letters");
        }
        Ok(Self(token.to_owned()))
    }

    /// Whether `given` is the token. How long this takes tells at most how long the token is.
    pub(crate) fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_what_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "0123456789abcdef0123\n").unwrap();
        let token = Token::read(&path).unwrap();
        assert!(token.is("0123456789abcdef0123"));
        assert!(!token.is("0123456789abcdef0124") && !token.is("") && !token.is("0123"));
        assert_eq!(format!("{token:?}"), "Token(…)");
        for (text, why) in [("short", "fewer"), ("two words and some more", "one word")] {
            std::fs::write(&path, text).unwrap();
            let error = Token::read(&path).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains(text), "{error}");
        }
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(Token::read(&path).unwrap_err().to_string().contains("too large"));
        let missing = Token::read(&dir.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none cannot be read"), "{missing}");
    }
}
