//! The txtar format: a comment, then files, each after a line `-- NAME --`.
//!
//! It is how Go ships the modules of its own tests, and a short way to write a project in a test.
//! The format has no errors: what is not a file line belongs to the file before it.

use std::fs;
use std::io;
use std::path::Path;

/// A parsed archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txtar {
    /// What stands before the first file.
    pub comment: Vec<u8>,
    /// Name and content of each file, in the order they stand.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Txtar {
    /// Parses an archive. A content without a final newline gets one.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut archive = Self { comment: Vec::new(), files: Vec::new() };
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if let Some(name) = file_line(line) {
                archive.files.push((name, Vec::new()));
            } else {
                let into = match archive.files.last_mut() {
                    Some((_, content)) => content,
                    None => &mut archive.comment,
                };
                into.extend_from_slice(line);
                if !line.ends_with(b"\n") {
                    into.push(b'\n');
                }
            }
        }
        archive
    }

    /// The content of the first file of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(have, _)| have == name).map(|(_, content)| &content[..])
    }

    /// Writes the files below `dir`, with the folders they need.
    pub fn unpack(&self, dir: &Path) -> io::Result<()> {
        for (name, content) in &self.files {
            let path = dir.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, content)?;
        }
        Ok(())
    }
}

/// The name in `-- NAME --`, where the line is one.
fn file_line(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let name = line.strip_prefix("-- ")?.strip_suffix(" --")?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comment_files_and_a_missing_last_newline() {
        let archive = Txtar::parse(b"what for\n-- a.txt --\none\n--  not a file\n-- b/c --\ntwo");
        assert_eq!(archive.comment, b"what for\n");
        assert_eq!(archive.get("a.txt"), Some(&b"one\n--  not a file\n"[..]));
        assert_eq!(archive.get("b/c"), Some(&b"two\n"[..]));
        assert_eq!(archive.get("c"), None);
    }

    #[test]
    fn an_empty_file_is_a_file() {
        let archive = Txtar::parse(b"-- a --\n-- b --\n");
        assert_eq!(archive.files.len(), 2);
        assert_eq!(archive.get("a"), Some(&b""[..]));
    }
}
