//! Rules about the documents, and about what no file may hold.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problem, Source};

/// Every relative link of a Markdown file leads to a tracked file or folder, and its fragment to
/// a heading there.
pub(super) fn links(files: &[Source]) -> Vec<Problem> {
    let known: BTreeSet<&str> = files.iter().map(|file| &file.path[..]).collect();
    let is_there = |path: &str| {
        let folder = format!("{path}/");
        known.contains(path) || known.iter().any(|have| have.starts_with(&folder))
    };
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        markdown(files).map(|file| (&file.path[..], headings(file))).collect();
    let mut problems = Vec::new();
    for file in markdown(files) {
        for (line, text) in prose(file) {
            for target in targets(text) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
                let path =
                    if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
                if !path.is_empty() && !is_there(&path) {
                    problems.push(file.problem(line, format!("no such file: {target}")));
                } else if !anchor.is_empty()
                    && anchors.get(&path[..]).is_some_and(|known| !known.contains(anchor))
                {
                    problems.push(file.problem(line, format!("no such heading: {target}")));
                }
            }
        }
    }
    problems
}

/// No file names a folder of the machine it was written on, or the host of a package registry.
pub(super) fn machine_paths(files: &[Source]) -> Vec<Problem> {
    // In two parts, so that this file does not name what it looks for.
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("index.cra", "tes.io"),
        concat!("proxy.go", "lang.org"),
    ];
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (line, text) in file.lines() {
            if let Some(place) = places.iter().find(|place| begins(text, place)) {
                problems.push(file.problem(line, format!("{place} belongs in no file")));
            }
        }
    }
    problems
}

/// Whether `place` stands in the text and is not the middle of a longer path or name.
fn begins(text: &str, place: &str) -> bool {
    text.match_indices(place).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '_' | '-' | '.'))
    })
}

/// Each dependency from outside carries the line that argues for it.
pub(super) fn dependencies_are_argued(files: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.path == "Cargo.toml") {
        let mut inside = false;
        for (line, text) in file.lines() {
            if text.starts_with('[') {
                inside = text == "[workspace.dependencies]";
            } else if inside
                && text.contains('=')
                && !text.starts_with('#')
                && !text.contains("path = ")
                && !text.contains(" # ")
            {
                problems.push(file.problem(line, "a dependency says why, after a #"));
            }
        }
    }
    problems
}

fn markdown(files: &[Source]) -> impl Iterator<Item = &Source> {
    files.iter().filter(|file| file.has_extension("md"))
}

/// The lines outside of code blocks.
fn prose(file: &Source) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    file.lines().filter(move |(_, text)| {
        let fence = text.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// What stands in the round brackets of `[…](…)`, outside of code spans.
fn targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            continue;
        }
        for rest in part.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            targets.push(target.split_whitespace().next().unwrap_or_default());
        }
    }
    targets
}

/// A link's path, seen from the root.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The fragments that a forge makes of the headings.
fn headings(file: &Source) -> BTreeSet<String> {
    prose(file)
        .filter(|(_, text)| text.starts_with('#'))
        .map(|(_, text)| {
            let title = text.trim_start_matches('#').trim().to_lowercase();
            let kept =
                title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn links_lead_somewhere() {
        let files = [
            file(
                "README.md",
                "# Title\n[a](docs/a.md) [b](docs/a.md#one--two) [c](docs)\n\
                 [d](docs/b.md)\n[e](docs/a.md#three) `[f](gone.md)`\n\
                 ```\n[g](gone.md)\n```\n[h](https://example.test/x.md) [i](#title)\n",
            ),
            file("docs/a.md", "## One & two\n[up](../README.md)\n[up](../LICENSE)\n"),
        ];
        let found: Vec<(String, usize)> =
            links(&files).into_iter().map(|p| (p.path, p.line)).collect();
        let place = |path: &str, line| (path.to_owned(), line);
        assert_eq!(found, [place("README.md", 3), place("README.md", 4), place("docs/a.md", 3)]);
    }

    #[test]
    fn paths_of_a_machine() {
        let text = format!("fine\nin {}main\n", concat!("/wo", "rk/"));
        let longer = format!("x/internal{}exec.go\n", concat!("/wo", "rk/"));
        let files = [file("a.toml", &text), file("Cargo.lock", &text), file("a.rs", &longer)];
        let found = machine_paths(&files);
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].path[..], found[0].line), ("a.toml", 2));
    }

    #[test]
    fn a_dependency_without_a_reason() {
        let text = "[workspace.dependencies]\nlarder-core = { path = \"x\" }\n\
                    a = \"1\" # why\nb = \"1\"\n[profile.dev]\ndebug = 1\n";
        let found = dependencies_are_argued(&[file("Cargo.toml", text)]);
        assert_eq!(found.iter().map(|p| p.line).collect::<Vec<_>>(), [4]);
    }
}
