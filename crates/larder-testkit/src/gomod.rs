//! What fixtures need of Go's module rules: escaping, `h1:` hashes, version order.
//!
//! Written apart from larder's own code, so that one can be held against the other.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// A module path or version as file names carry it: `!` and the small letter for a capital one.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(letter.to_ascii_lowercase());
    }
    escaped
}

/// The `h1:` hash of files by their full names (`module@version/name`).
pub fn h1<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut lines: Vec<(&str, String)> =
        files.into_iter().map(|(name, bytes)| (name, hex(&Sha256::digest(bytes)))).collect();
    lines.sort();
    let mut all = Sha256::new();
    for (name, sum) in lines {
        all.update(format!("{sum}  {name}\n"));
    }
    format!("h1:{}", base64(&all.finalize()))
}

/// The `h1:` hash of a `go.mod` file, as go.sum carries it for `VERSION/go.mod`.
pub fn mod_hash(go_mod: &[u8]) -> String {
    h1([("go.mod", go_mod)])
}

/// The `h1:` hash of an extracted module's folder, of names `prefix/…`.
pub fn dir_hash(dir: &Path, prefix: &str) -> String {
    let mut files = Vec::new();
    collect(dir, prefix, &mut files);
    h1(files.iter().map(|(name, bytes)| (&name[..], &bytes[..])))
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("read {}: {e}", dir.display()));
    for entry in entries {
        let entry = entry.expect("read a folder entry");
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("type of a folder entry").is_dir() {
            collect(&entry.path(), &name, files);
        } else {
            files.push((name, fs::read(entry.path()).expect("read a module file")));
        }
    }
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// Go's order of versions: numbers, then a release above its pre-releases, then their parts.
pub(crate) fn compare_versions(a: &str, b: &str) -> Ordering {
    let (a_core, a_pre) = split(a);
    let (b_core, b_pre) = split(b);
    a_core.cmp(&b_core).then_with(|| match (a_pre, b_pre) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => compare_prerelease(a, b),
    })
}

/// `vYYYYMMDDHHMMSS-abcdefabcdef` at the end makes a pseudo-version.
pub(crate) fn is_pseudo(version: &str) -> bool {
    let version = version.split('+').next().unwrap_or(version);
    let Some((rest, commit)) = version.rsplit_once('-') else { return false };
    let stamp = rest.rsplit(['-', '.']).next().unwrap_or(rest);
    version.matches('-').count() >= 2
        && commit.len() == 12
        && commit.bytes().all(|b| b.is_ascii_hexdigit())
        && stamp.len() == 14
        && stamp.bytes().all(|b| b.is_ascii_digit())
}

pub(crate) fn is_prerelease(version: &str) -> bool {
    split(version).1.is_some()
}

fn split(version: &str) -> (Vec<u64>, Option<&str>) {
    let version = version.trim_start_matches('v').split('+').next().unwrap_or_default();
    let (core, pre) = match version.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (version, None),
    };
    (core.split('.').map(|part| part.parse().unwrap_or(0)).collect(), pre)
}

fn compare_prerelease(a: &str, b: &str) -> Ordering {
    for (a, b) in a.split('.').zip(b.split('.')) {
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.split('.').count().cmp(&b.split('.').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_capitals_only() {
        assert_eq!(escape("github.com/BurntSushi/toml"), "github.com/!burnt!sushi/toml");
        assert_eq!(escape("v1.0.0-RC1"), "v1.0.0-!r!c1");
    }

    #[test]
    fn a_known_sum() {
        // The go.mod line that every go.sum with rsc.io/quote v1.5.2 carries.
        let go_mod = b"module \"rsc.io/quote\"\n\nrequire \"rsc.io/sampler\" v1.3.0\n";
        assert_eq!(mod_hash(go_mod), "h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=");
    }

    #[test]
    fn versions_sort_as_semver_says() {
        let mut versions = vec!["v1.10.0", "v1.2.0", "v1.10.0-rc.2", "v1.10.0-rc.10", "v1.10.0-a"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(versions, ["v1.2.0", "v1.10.0-a", "v1.10.0-rc.2", "v1.10.0-rc.10", "v1.10.0"]);
    }

    #[test]
    fn pseudo_versions_are_told_from_prereleases() {
        assert!(is_pseudo("v0.0.0-20180214005133-e7a685a342c0"));
        assert!(is_pseudo("v0.1.1-0.20190429073117-b5426c86b553"));
        assert!(is_pseudo("v2.0.1-0.20190429073117-b5426c86b553+incompatible"));
        assert!(!is_pseudo("v1.0.0-empty"));
        assert!(!is_pseudo("v1.0.0"));
    }
}
