//! Text that is never shown: passwords, keys, URLs of chat robots, which are keys themselves.
//!
//! A secret is read from its file each time it is needed, so that a new one takes effect without
//! a restart and the old one does not linger in memory.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use url::Url;

use crate::trouble::Trouble;

/// The largest file that is taken for a secret, bytes.
const MOST: u64 = 64 * 1024;
/// The shortest part of a URL that is taken for a secret where it turns up in a text.
const SHORTEST: usize = 6;

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The content of a file without the white space around it.
    pub(crate) fn read(setting: &str, path: &Path) -> Result<Self, Trouble> {
        let bad = |why: &dyn fmt::Display| {
            Trouble::never(format!("{setting} {} cannot be used: {why}", path.display()))
        };
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
        read.map_err(|error| bad(&error))?;
        if text.len() as u64 > MOST {
            return Err(bad(&format!("it is larger than {MOST} bytes")));
        }
        match text.trim() {
            "" => Err(bad(&"it is empty")),
            trimmed => Ok(Self(trimmed.to_owned())),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// Takes secrets out of texts that come from outside: a server may repeat what it was sent.
#[derive(Clone, Default)]
pub(crate) struct Scrub(Vec<String>);

impl Scrub {
    /// Whatever in `url` may be a key: the whole of it, its path, query and password, and the parts
    /// of them.
    pub(crate) fn url(mut self, url: &Url) -> Self {
        self.add(url.as_str());
        self.add(url.path());
        url.path().split('/').for_each(|part| self.add(part));
        self.add(url.query().unwrap_or_default());
        url.query_pairs().for_each(|(_, value)| self.add(&value));
        self.add(url.password().unwrap_or_default());
        self
    }

    /// One secret, however short.
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        if !secret.is_empty() {
            self.0.push(secret.to_owned());
            self.0.sort_by_key(|part| std::cmp::Reverse(part.len()));
        }
        self
    }

    fn add(&mut self, part: &str) {
        if part.len() >= SHORTEST {
            self.0.push(part.to_owned());
            self.0.sort_by_key(|part| std::cmp::Reverse(part.len()));
        }
    }

    /// `text` on one line, without secrets and not long.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in &self.0 {
            text = text.replace(part.as_str(), "…");
        }
        text.chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

/// A host with its port where it is not the usual one: all of a URL that may be shown.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("the receiver");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_repeats_of_a_url_is_not_shown() {
        let url = Url::parse(
            "https://u:pa55word@h.example:8443/services/T01/B02/abcdefgh?key=0123456789",
        )
        .unwrap();
        let scrub = Scrub::default().url(&url).secret("SECtest");
        let said =
            "bad token abcdefgh, key 0123456789,\n /services/T01/B02/abcdefgh SECtest pa55word";
        let shown = scrub.clean(said);
        for secret in ["abcdefgh", "0123456789", "SECtest", "pa55word", "T01/B02"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.starts_with("bad token …, key …, …"), "{shown}");
        assert_eq!(host_of(&url), "h.example:8443");
        assert_eq!(format!("{:?}", Secret::new("x")), "(not shown)");
    }

    #[test]
    fn an_empty_secret_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "\n").unwrap();
        assert!(Secret::read("secret-file", &path).is_err());
        std::fs::write(&path, "abc\n").unwrap();
        assert_eq!(Secret::read("secret-file", &path).unwrap().reveal(), "abc");
        assert!(Secret::read("secret-file", &dir.path().join("none")).is_err());
    }
}
