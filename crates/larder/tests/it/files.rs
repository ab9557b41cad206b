//! Files for other programs: completions, manual pages, schemas.

use std::path::Path;
use std::process::Command;

use crate::Home;

#[test]
fn completions_are_accepted_by_each_shell_that_is_here() {
    let home = Home::new();
    for (shell, check) in [
        ("bash", Some(("bash", &["-n"][..]))),
        ("zsh", Some(("zsh", &["-n"][..]))),
        ("fish", Some(("fish", &["--no-execute"][..]))),
        ("powershell", None),
        ("elvish", None),
    ] {
        let ran = home.run(&["completions", shell]);
        assert!(ran.ends(0).out.contains("keep-used"), "{shell} knows no flag of prune");
        assert_eq!(ran.err, "");
        let script = home.write(&format!("larder.{shell}"), &ran.out);
        let Some((program, args)) = check else { continue };
        match Command::new(program).args(args).arg(&script).output() {
            Ok(output) => assert!(output.status.success(), "{shell}: {output:?}"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{program}: {error}"),
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let home = Home::new();
    let ran = home.run(&["man", "man1", "--json"]);
    let files = ran.ends(0).json()["files"].as_array().unwrap().len();
    assert_eq!(files, std::fs::read_dir(home.path().join("man1")).unwrap().count());
    for page in ["larder", "larder-prune", "larder-trash-restore", "larder-config-set"] {
        let text = home.read(&format!("man1/{page}.1"));
        assert!(text.contains(&format!(".TH {}", page.to_ascii_uppercase())), "{page}: {text}");
        assert!(text.contains("Examples:") || page.matches('-').count() > 1, "{page}");
    }
}

#[test]
fn the_published_schemas_are_those_of_the_documents() {
    let home = Home::new();
    home.run(&["export", "schema", "schemas"]).ends(0);
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    let names = |dir: &Path| {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let made = home.path().join("schemas");
    assert_eq!(names(&published), names(&made), "run: larder export schema docs/schemas");
    for name in names(&made) {
        let read = |dir: &Path| std::fs::read_to_string(dir.join(&name)).unwrap();
        let same = read(&published) == read(&made);
        assert!(same, "{} differs; run: larder export schema docs/schemas", name.display());
    }
}
