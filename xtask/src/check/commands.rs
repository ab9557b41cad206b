//! The README against the binary: every command that exists is mentioned.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Problem, Source};

/// The commands that the built larder lists in its help.
pub(super) fn of_binary(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "-p", "larder", "--", "--help"])
        .current_dir(root)
        .output()
        .context("run cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("larder --help: {}", said.trim().lines().last().unwrap_or_default());
    }
    let commands = listed(&String::from_utf8_lossy(&output.stdout));
    if commands.is_empty() {
        bail!("larder --help lists no command");
    }
    Ok(commands)
}

/// The first words below `Commands:`, up to the next paragraph.
fn listed(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| line.trim() != "Commands:")
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Commands that the README says nothing of.
pub(super) fn in_readme(files: &[Source], commands: &[String]) -> Vec<Problem> {
    let Some(readme) = files.iter().find(|file| file.path == "README.md") else {
        return vec![Problem {
            path: "README.md".to_owned(),
            line: 0,
            what: "is missing".to_owned(),
        }];
    };
    commands
        .iter()
        .filter(|name| !mentions(&readme.text, name))
        .map(|name| readme.problem(0, format!("does not mention `larder {name}`")))
        .collect()
}

/// Whether `larder NAME` stands in the text with NAME as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let wanted = format!("larder {name}");
    text.match_indices(&wanted).any(|(at, _)| {
        let next = text[at + wanted.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric() && next != '-')
    })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn commands_of_a_help_text() {
        let help = "See caches\n\nUsage: larder\n\nCommands:\n  du     Where\n         more\n  \
                    clean  Remove\n  help   Print\n\nOptions:\n  -q  quiet\n";
        assert_eq!(listed(help), ["du", "clean"]);
    }

    #[test]
    fn a_command_that_the_readme_forgot() {
        let files = [file("README.md", "`larder du` and `larder cleaner`\n")];
        let found = in_readme(&files, &["du".to_owned(), "clean".to_owned()]);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("larder clean`"), "{}", found[0]);
        assert_eq!(in_readme(&[], &[]).len(), 1);
    }
}
