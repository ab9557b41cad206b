//! go.mod and go.work: what is accepted reads the same when it is written out again.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use larder_go::gomod::{GoMod, Replacement, parse_dependency, parse_main};
use larder_go::gowork;

/// One input.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new("go.mod");
    if let Ok(dependency) = parse_dependency(file, text) {
        let _ = (dependency.go_version(), dependency.is_pruned());
    }
    if let Ok(main) = parse_main(file, text)
        && main.unresolved.is_empty()
        && main.unknown.is_empty()
    {
        let again = format(&main);
        match parse_main(file, &again) {
            Ok(read) => assert_eq!(read, main, "{again}"),
            Err(error) => panic!("{error}\n{again}"),
        }
    }
    let _ = gowork::parse(Path::new("go.work"), text);
}

/// A word in double quotes; Go takes no other kind.
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            c => text.push(c),
        }
    }
    text + "\""
}

fn format(file: &GoMod) -> String {
    let mut text = String::new();
    let mut line = |verb: &str, words: &[&str], end: &str| {
        let _ = write!(text, "{verb}");
        for word in words {
            let _ = write!(text, " {word}");
        }
        let _ = writeln!(text, "{end}");
    };
    let single = |slot: &Option<Cow<str>>| slot.as_deref().map(str::to_owned);
    if let Some(module) = single(&file.module) {
        line("module", &[&quoted(&module)], "");
    }
    if let Some(go) = single(&file.go) {
        line("go", &[&go], "");
    }
    if let Some(toolchain) = single(&file.toolchain) {
        line("toolchain", &[&toolchain], "");
    }
    for godebug in &file.godebug {
        line("godebug", &[godebug], "");
    }
    for require in &file.require {
        let end = if require.indirect { " // indirect" } else { "" };
        let module = &require.module;
        line("require", &[&quoted(&module.path), &quoted(&module.version)], end);
    }
    for pair in &file.exclude {
        line("exclude", &[&quoted(&pair.path), &quoted(&pair.version)], "");
    }
    for replace in &file.replace {
        let mut words = vec![quoted(&replace.path)];
        words.extend(replace.version.as_deref().map(quoted));
        words.push("=>".to_owned());
        match &replace.by {
            Replacement::Folder(folder) => words.push(quoted(folder)),
            Replacement::Module(pair) => words.extend([quoted(&pair.path), quoted(&pair.version)]),
        }
        line("replace", &words.iter().map(String::as_str).collect::<Vec<_>>(), "");
    }
    for retract in &file.retract {
        let (low, high) = (quoted(&retract.low), quoted(&retract.high));
        line("retract", &["[", &low, ",", &high, "]"], "");
    }
    for tool in &file.tool {
        line("tool", &[&quoted(tool)], "");
    }
    for ignore in &file.ignore {
        line("ignore", &[&quoted(ignore)], "");
    }
    text
}
