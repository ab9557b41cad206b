//! `xtask check`: the rules of this repository that neither compiler nor lints can see.
//!
//! Every rule is a function from the tracked files to the places that break it, so that each can
//! be tested on made-up files. All problems are printed, `file:line: what`, before it fails.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

mod commands;
mod docs;
mod rust;

/// A text file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    /// Path below the root, with `/`.
    path: String,
    text: String,
}

/// A place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Checks the repository at `root`.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tracked(root)?;
    let mut problems = Vec::new();
    problems.extend(rust::core_is_pure(&files));
    problems.extend(rust::only_fs_removes(&files));
    problems.extend(rust::headers(&files));
    problems.extend(rust::length(&files));
    problems.extend(rust::unfinished(&files));
    problems.extend(docs::links(&files));
    problems.extend(docs::machine_paths(&files));
    problems.extend(docs::dependencies_are_argued(&files));
    match commands::of_binary(root) {
        Ok(names) => problems.extend(commands::in_readme(&files, &names)),
        Err(error) => problems.push(Problem {
            path: "crates/larder".to_owned(),
            line: 0,
            what: format!("its commands cannot be listed: {error:#}"),
        }),
    }
    problems.sort();
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => {
            println!("checked {} files: every rule holds", files.len());
            Ok(())
        }
        count => bail!("{count} places break a rule of the repository"),
    }
}

/// Every text file that git tracks or would track.
fn tracked(root: &Path) -> Result<Vec<Source>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("run git ls-files")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    let mut files = Vec::new();
    for name in names.split_terminator('\0') {
        // What is deleted but still tracked, and what is not text, has nothing to check.
        if let Ok(text) = fs::read_to_string(root.join(name)) {
            files.push(Source { path: name.to_owned(), text });
        }
    }
    Ok(files)
}

impl Source {
    fn problem(&self, line: usize, what: impl Into<String>) -> Problem {
        Problem { path: self.path.clone(), line, what: what.into() }
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|have| have == extension)
    }

    /// Lines with their numbers from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

#[cfg(test)]
fn file(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}
