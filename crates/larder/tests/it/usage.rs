//! Mistakes on the command line end in 2, with what to type in place of it.

use std::fmt::Write as _;

use crate::Home;

#[test]
fn mistakes_on_the_command_line() {
    let home = Home::new();
    let mut all = String::new();
    for line in [
        "clean biuld",
        "clean redis:sessions",
        "clean redis://:secret@host",
        "clean",
        "prune test",
        "prune mod --orphans",
        "prune mod --keep-versions 0",
        "prune build --max-size 10XB",
        "prune build --max-age tomorrow",
        "prune --keep-used nowhere",
        "prune --keep-used mod",
        "du build --by repository",
        "du --by colour",
        "config set build.max-sise 10GB",
        "config set build.max-size huge",
        "config set roots src",
        "config show biuld",
        "--profile prod",
        "-q -v",
        "apply missing.json",
    ] {
        let ran = home.run(&line.split_whitespace().collect::<Vec<_>>());
        ran.ends(2);
        assert_eq!(ran.out, "", "{line}: stdout is for answers");
        assert!(!ran.err.contains("secret"));
        writeln!(all, "$ larder {line}\n{}", ran.err).unwrap();
    }
    insta::assert_snapshot!("mistakes", all);
}

#[test]
fn production_removes_only_by_an_approved_plan() {
    let home = Home::new();
    for args in [&["clean", "build"][..], &["prune"]] {
        let ran = home.command(args).env("LARDER_PROFILE", "production").output().unwrap();
        let ran = home.ran(ran);
        ran.ends(3);
        assert!(ran.err.contains("hint: larder plan -o plan.json"), "{}", ran.err);
    }
}

#[test]
fn a_file_that_is_no_plan_is_told_so() {
    let home = Home::new();
    home.write("other.json", "{\"schema\": \"larder/status/1\"}");
    let ran = home.run(&["apply", "other.json"]);
    assert!(ran.ends(2).err.starts_with("error: other.json: it is not a plan\n"), "{}", ran.err);
}

#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_ends_the_output_quietly() {
    let home = Home::new();
    let larder = assert_cmd::cargo::cargo_bin("larder");
    let script = "{ \"$LARDER\" completions bash; echo $? >&2; } | true";
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .env_clear()
        .env("LARDER", larder)
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "0\n");
}
