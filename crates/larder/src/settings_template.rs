//! The settings file that `init` writes: every setting with its purpose, commented out where it
//! stands for its default. And the folders that look like the place of projects.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::settings_keys::{Fallback, Key, Kind, all, table_help};

const HEAD: &str = "\
# Settings of larder. What is commented out shows the default.
# Every setting is also a variable: LARDER_BUILD_MAX_SIZE is max-size of [build].
# larder config show tells where each value comes from, larder config check what is wrong.
";

/// The text of a new settings file, with these roots.
pub fn text(roots: &[String]) -> String {
    let mut text = HEAD.to_owned();
    let mut table = "";
    for key in all() {
        if key.table != table {
            table = key.table;
            let _ = write!(text, "\n# {}\n[{table}]\n", table_help(table));
        } else if table.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "# {}.", key.help);
        if key.path() == "roots" && !roots.is_empty() {
            let list: Vec<String> = roots.iter().map(|root| literal(root)).collect();
            let _ = writeln!(text, "roots = [{}]", list.join(", "));
        } else {
            let _ = writeln!(text, "{}", commented(key));
        }
    }
    text
}

fn commented(key: &Key) -> String {
    let name = key.name;
    match key.default {
        Fallback::Text(text) if key.kind == Kind::Bool => format!("#{name} = {text}"),
        Fallback::Text(text) if key.kind == Kind::Count => format!("#{name} = {text}"),
        Fallback::Text(text) => format!("#{name} = {}", literal(text)),
        Fallback::Off => format!("#{name} = \"off\""),
        Fallback::Empty if key.kind == Kind::Texts => format!("#{name} = []"),
        Fallback::Empty => format!("#{name} = [\"~/src\"]"),
        Fallback::WithRoots => format!("#{name} = true        # the default where there are roots"),
        Fallback::InProduction => {
            format!("#{name} = true        # the default in the production profile")
        }
        Fallback::StateFolder => format!("#{name} = \"{STATE}\""),
    }
}

/// Where the platform keeps state, as a person would write it.
const STATE: &str = if cfg!(windows) {
    "~/AppData/Local/larder"
} else if cfg!(target_os = "macos") {
    "~/Library/Application Support/larder"
} else {
    "~/.local/state/larder"
};

/// A TOML string.
fn literal(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// Folders below home that people keep projects in.
const USUAL: [&str; 9] =
    ["src", "go/src", "code", "projects", "work", "dev", "repos", "git", "workspace"];
/// How far below one of them a go.mod is looked for, and among how many names at most.
const DEPTH: usize = 4;
const NAMES: usize = 20_000;

/// Those of the usual folders that hold a go.mod, as `~/src`.
pub fn find_roots(home: &Path) -> Vec<String> {
    let holds = |name: &&&str| {
        let mut budget = NAMES;
        holds_go_mod(&home.join(name), DEPTH, &mut budget)
    };
    USUAL.iter().filter(holds).map(|name| format!("~/{name}")).collect()
}

fn holds_go_mod(dir: &Path, depth: usize, budget: &mut usize) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in entries.flatten() {
        let Some(left) = budget.checked_sub(1) else { return false };
        *budget = left;
        let name = entry.file_name();
        if name == "go.mod" {
            return true;
        }
        let skip = name.as_encoded_bytes().starts_with(b".") || name == "node_modules";
        if depth > 0 && !skip && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(entry.path());
        }
    }
    folders.iter().any(|folder| holds_go_mod(folder, depth - 1, budget))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_good_as_it_is_and_with_every_comment_taken_away() {
        let text = text(&["~/src".to_owned()]);
        let home = std::env::temp_dir();
        let read =
            |text: &str| crate::settings_file::read(Path::new("config.toml"), text, Some(&home));
        let as_it_is = read(&text);
        assert_eq!(as_it_is.problems, []);
        assert_eq!(as_it_is.given.len(), 1);
        let bare: Vec<&str> = text
            .lines()
            .map(|line| {
                line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
            })
            .collect();
        let uncommented = read(&bare.join("\n"));
        assert_eq!(uncommented.problems, []);
        assert_eq!(uncommented.given.len(), all().count());
    }

    #[test]
    fn a_folder_is_a_root_only_where_a_go_mod_is_below_it() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("src/example.org/app")).unwrap();
        std::fs::create_dir_all(home.path().join("code/empty")).unwrap();
        std::fs::write(home.path().join("src/example.org/app/go.mod"), "module app\n").unwrap();
        assert_eq!(find_roots(home.path()), ["~/src"]);
    }
}
