//! The runbooks and guides against the program: every alert has its page, every page its alert, and
//! every command that a page names can be typed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};
use larder_cli::args::Cli;
use larder_cli::export::alerts::{OF_LARDER, groups};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<(String, String)> = std::fs::read_dir(docs().join("runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let pages = pages();
    let have: BTreeSet<&str> = pages.iter().map(|(name, _)| &name[..]).collect();
    let groups = groups();
    let rules = groups.iter().flat_map(|(_, rules)| rules).map(|rule| rule.name);
    let wanted: BTreeSet<&str> = rules.chain(OF_LARDER).collect();
    assert_eq!(have, wanted);
    for (name, text) in &pages {
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        let title = format!("# {name}");
        let expected = [
            &title[..],
            "## What it means",
            "## What to look at",
            "## How to mend it",
            "## How to silence it",
        ];
        assert_eq!(headings, expected);
        assert!(text.contains(&format!("alertname={name}")), "{name} is silenced by its name");
    }
}

#[test]
fn every_command_of_a_guide_can_be_typed() {
    let mut commands = 0;
    let mut texts = pages();
    for name in ["ci", "operations"] {
        let path = docs().join(format!("{name}.md"));
        texts.push((name.to_owned(), std::fs::read_to_string(path).unwrap()));
    }
    for (page, text) in &texts {
        for command in named(text) {
            commands += 1;
            may_be_typed(page, &command);
        }
    }
    assert!(commands > 100, "{commands}");
    for (_, rules) in groups() {
        for rule in rules.iter().filter(|rule| rule.command.starts_with("larder ")) {
            let cache = if rule.name.starts_with("Redis") { "redis:sessions" } else { "build" };
            let command = rule.command.replace("CACHE", cache).replace("RECEIVER", "team");
            may_be_typed(rule.name, &words(&command));
        }
    }
}

#[track_caller]
fn may_be_typed(page: &str, command: &[String]) {
    let Some(name) = command.get(1) else { return };
    let exists = Cli::command().find_subcommand(name).is_some();
    // What the contract names and this build has not is looked at as soon as it has. A command's
    // bare name is a way to speak of it.
    if (!exists && IN_CONTRACT.contains(&&name[..])) || (exists && command.len() == 2) {
        return;
    }
    if let Err(error) = Cli::try_parse_from(command) {
        assert!(!error.use_stderr(), "{page}: {}\n{error}", command.join(" "));
    }
}

/// Commands of the contract that may be added after the pages that name them.
const IN_CONTRACT: [&str; 10] = [
    "alerts",
    "events",
    "expire",
    "health",
    "plans",
    "serve",
    "throttle",
    "trend",
    "unthrottle",
    "watch",
];

/// What begins with `larder`, in code blocks and in code spans, as words.
fn named(text: &str) -> Vec<Vec<String>> {
    let mut code = String::new();
    let mut prose = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            code.push_str(line.trim());
            code.push('\n');
        } else {
            prose.push_str(line.trim());
            prose.push(' ');
        }
    }
    let lines = code.lines().map(|line| {
        let line = line.strip_prefix("$ ").or(line.strip_prefix("- run: ")).unwrap_or(line);
        line.strip_prefix("run: ").unwrap_or(line).to_owned()
    });
    let spans = prose.split('`').skip(1).step_by(2).map(str::to_owned);
    lines
        .chain(spans)
        .filter(|line| line == "larder" || line.starts_with("larder "))
        .map(|line| words(&line))
        .collect()
}

/// As a shell splits a line, up to a comment or what ends a command.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in line.chars().chain([' ']) {
        match c {
            '\'' | '"' => quoted = !quoted,
            ' ' if !quoted => {
                match &word[..] {
                    "" => {}
                    "#" | "|" | "||" | "&&" | ";" | ">" | ">>" | "2>>" | "&" => return words,
                    _ => words.push(std::mem::take(&mut word)),
                }
                word.clear();
            }
            c => word.push(c),
        }
    }
    words
}

#[test]
fn commands_are_found_as_they_are_written() {
    let text = "Run `larder du build` or:\n```\n$ larder clean redis:x --match 'a b' -n  # why\n\
                larder\nlarderx\n```\n`other` and `larder\nstatus`\n";
    let found: Vec<String> = named(text).iter().map(|words| words.join("|")).collect();
    let expected =
        ["larder|clean|redis:x|--match|a b|-n", "larder", "larder|du|build", "larder|status"];
    assert_eq!(found, expected);
}
