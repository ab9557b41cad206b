//! Rules about the Rust code itself.

use super::{Problem, Source};

/// What core must not name: it decides, and neither looks nor acts.
const IMPURE: &[&str] =
    &["std::fs", "std::net", "std::env", "std::process", "SystemTime", "Instant::now", "serde"];

/// How long a file may be before its tests.
const MOST_LINES: usize = 500;

/// `larder-core` depends on `thiserror` alone and names nothing that touches the world.
pub(super) fn core_is_pure(files: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.path == "crates/larder-core/Cargo.toml") {
        let mut section = "";
        for (line, text) in file.lines() {
            let text = text.trim();
            if text.starts_with('[') {
                section = text;
            } else if section == "[dependencies]"
                && !text.is_empty()
                && !text.starts_with(['#'])
                && !text.starts_with("thiserror")
            {
                problems.push(file.problem(line, "larder-core may depend on thiserror only"));
            }
        }
    }
    for file in code_of(files, &["crates/larder-core/src/"]) {
        for (line, text) in product_lines(file) {
            if let Some(name) = IMPURE.iter().find(|name| text.contains(*name)) {
                problems.push(file.problem(line, format!("larder-core must not name {name}")));
            }
        }
    }
    problems
}

/// `larder-go` and `larder-engine` remove files only through `larder-fs`.
pub(super) fn only_fs_removes(files: &[Source]) -> Vec<Problem> {
    let calls = ["fs::remove_file", "fs::remove_dir", "fs::{remove", "remove_dir_all"];
    let mut problems = Vec::new();
    for file in code_of(files, &["crates/larder-go/src/", "crates/larder-engine/src/"]) {
        for (line, text) in product_lines(file) {
            if calls.iter().any(|call| text.contains(call)) {
                problems.push(file.problem(line, "only larder-fs removes files"));
            }
        }
    }
    problems
}

/// Every module says first what it is for.
pub(super) fn headers(files: &[Source]) -> Vec<Problem> {
    files
        .iter()
        .filter(|file| is_rust(file) && !is_test(file))
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| file.problem(1, "a module begins with //! and what it is for"))
        .collect()
}

/// No file grows past one idea.
pub(super) fn length(files: &[Source]) -> Vec<Problem> {
    let too_long = |file: &&Source| before_tests(file) > MOST_LINES;
    files
        .iter()
        .filter(|file| is_rust(file) && !is_test(file))
        .filter(too_long)
        .map(|file| {
            let lines = before_tests(file);
            file.problem(0, format!("{lines} lines before its tests; {MOST_LINES} are the limit"))
        })
        .collect()
}

/// Nothing lands half done.
pub(super) fn unfinished(files: &[Source]) -> Vec<Problem> {
    // In two parts, so that this file does not name what it looks for.
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME")];
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| is_rust(file)) {
        for (line, text) in file.lines() {
            if let Some(mark) = marks.iter().find(|mark| text.contains(*mark)) {
                problems.push(file.problem(line, format!("unfinished: {mark}")));
            }
        }
    }
    problems
}

fn is_rust(file: &Source) -> bool {
    file.has_extension("rs")
}

/// Integration tests, and files that hold the unit tests of the module beside them.
fn is_test(file: &Source) -> bool {
    file.path.contains("/tests/") || file.path.ends_with("tests.rs")
}

fn code_of<'a>(files: &'a [Source], below: &[&str]) -> Vec<&'a Source> {
    let wanted = |file: &&Source| below.iter().any(|folder| file.path.starts_with(folder));
    files.iter().filter(|file| is_rust(file) && !is_test(file)).filter(wanted).collect()
}

/// How many lines stand before the file's own test module.
fn before_tests(file: &Source) -> usize {
    let lines: Vec<&str> = file.text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && !pair[1].ends_with(';'))
        .unwrap_or(lines.len())
}

/// The lines that become part of the product: before the tests, without comments.
fn product_lines(file: &Source) -> impl Iterator<Item = (usize, &str)> {
    file.lines()
        .take(before_tests(file))
        .map(|(line, text)| (line, text.split("//").next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn lines(problems: &[Problem]) -> Vec<(&str, usize)> {
        problems.iter().map(|problem| (&problem.path[..], problem.line)).collect()
    }

    #[test]
    fn core_may_speak_of_files_but_not_touch_them() {
        let files = [
            file(
                "crates/larder-core/Cargo.toml",
                "[dependencies]\nthiserror.workspace = true\nserde = \"1\"\n\
                 [dev-dependencies]\nproptest = \"1\"\n",
            ),
            file(
                "crates/larder-core/src/a.rs",
                "//! No std::fs here.\nuse std::fs;\n#[cfg(test)]\nmod tests { use std::fs; }\n",
            ),
            file("crates/larder-fs/src/a.rs", "use std::fs;\n"),
        ];
        assert_eq!(
            lines(&core_is_pure(&files)),
            [("crates/larder-core/Cargo.toml", 3), ("crates/larder-core/src/a.rs", 2)]
        );
    }

    #[test]
    fn removal_elsewhere_than_in_fs() {
        let bad = "//! x\nfn f() { std::fs::remove_file(p); }\n";
        let files = [
            file("crates/larder-go/src/a.rs", bad),
            file("crates/larder-fs/src/a.rs", bad),
            file("crates/larder-go/tests/a.rs", bad),
        ];
        assert_eq!(lines(&only_fs_removes(&files)), [("crates/larder-go/src/a.rs", 2)]);
    }

    #[test]
    fn headers_and_length() {
        let long = format!("//! x\n{}#[cfg(test)]\nmod tests {{}}\n", "x\n".repeat(499));
        let longer = format!("//! x\n{}", "x\n".repeat(500));
        let files = [
            file("a/src/long.rs", &long),
            file("a/src/longer.rs", &longer),
            file("a/src/bare.rs", "fn f() {}\n"),
            file("a/tests/bare.rs", "fn f() {}\n"),
        ];
        assert_eq!(lines(&headers(&files)), [("a/src/bare.rs", 1)]);
        assert_eq!(lines(&length(&files)), [("a/src/longer.rs", 0)]);
    }

    #[test]
    fn half_done_work() {
        let text = format!("//! x\nfn f() {{ {}) }}\n", concat!("todo", "!("));
        assert_eq!(lines(&unfinished(&[file("a/src/a.rs", &text)])), [("a/src/a.rs", 2)]);
    }
}
