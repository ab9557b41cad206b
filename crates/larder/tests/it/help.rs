//! The help of every command, as it is.

use crate::Home;

#[test]
fn help_of_every_command() {
    let home = Home::new();
    for words in [
        "",
        "status",
        "du",
        "clean",
        "prune",
        "plan",
        "plan clean",
        "plan expire",
        "plan prune",
        "approve",
        "apply",
        "trend",
        "events",
        "verify",
        "download",
        "expire",
        "heal",
        "throttle",
        "unthrottle",
        "trash",
        "trash list",
        "trash restore",
        "trash empty",
        "init",
        "config",
        "config show",
        "config check",
        "config path",
        "config set",
        "export",
        "export cron",
        "export dashboards",
        "export kubernetes",
        "export logging",
        "export rules",
        "export schema",
        "export systemd",
        "completions",
        "man",
    ] {
        let mut args: Vec<&str> = words.split_whitespace().collect();
        args.push("--help");
        let long = home.run(&args);
        long.ends(0);
        assert!(long.out.lines().all(|line| line.chars().count() <= 100), "{words} is too wide");
        let name = if words.is_empty() { "larder".to_owned() } else { words.replace(' ', "_") };
        insta::assert_snapshot!(format!("help_{name}"), long.out);
        *args.last_mut().unwrap() = "-h";
        assert_eq!(home.run(&args).out, long.out, "-h and --help of {words} differ");
    }
}

#[test]
fn the_version_is_the_programs_everywhere() {
    let home = Home::new();
    let expected = format!("larder {}\n", env!("CARGO_PKG_VERSION"));
    for args in [&["--version"][..], &["-V"], &["prune", "--version"], &["trash", "empty", "-V"]] {
        assert_eq!(home.run(args).ends(0).out, expected, "{args:?}");
    }
}

#[test]
fn colour_only_where_it_is_asked_for() {
    let home = Home::new();
    let colourful = |args: &[&str]| home.run(args).out.contains('\u{1b}');
    assert!(!colourful(&["--help"]));
    assert!(colourful(&["--color", "always", "--help"]));
    assert!(colourful(&["config", "show", "--color=always"]));
    assert!(!colourful(&["config", "show"]));
}
