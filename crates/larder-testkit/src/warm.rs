//! A build cache with the standard library in it, built once and copied into sandboxes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{GoSandbox, built_once};

/// These and what they import are what the tests' programs need.
const PACKAGES: &[&str] = &[
    "database/sql/driver",
    "encoding/json",
    "fmt",
    "net",
    "os/exec",
    "testing",
    "testing/internal/testdeps",
    "text/template",
];

/// Copies the entries into `gocache`; with `vet`, also what `go vet` keeps of these packages.
pub(crate) fn fill(gocache: &Path, vet: bool) {
    let verbs: &[&str] = if vet { &["build", "vet"] } else { &["build"] };
    let version = Command::new("go")
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        .output()
        .unwrap_or_else(|error| panic!("run go env: {error}"));
    let version = String::from_utf8_lossy(&version.stdout).trim().replace(' ', "_");
    let name = format!("std-1-{}-{version}", verbs.join("-"));
    let made = built_once(&name, |dir| {
        let mut sandbox = GoSandbox::new();
        sandbox.set("GOCACHE", dir);
        let root = sandbox.root();
        for verb in verbs {
            sandbox.go(&[&[*verb], PACKAGES].concat(), &root);
        }
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(made) = made;
    for folder in entries(&made).filter(|folder| folder.is_dir()) {
        let into = gocache.join(folder.file_name().unwrap_or_default());
        fs::create_dir_all(&into).expect("make a cache folder");
        // Copied without their times: go must not see entries that want trimming.
        for file in entries(&folder).filter(|file| file.is_file()) {
            let copy = into.join(file.file_name().unwrap_or_default());
            fs::copy(&file, copy).unwrap_or_else(|e| panic!("copy {}: {e}", file.display()));
        }
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("read {}: {error}", dir.display()))
        .map(|entry| entry.expect("read a folder entry").path())
}

#[cfg(test)]
mod tests {
    use crate::GoSandbox;

    #[test]
    fn the_standard_library_is_not_built_again() {
        let sandbox = GoSandbox::new();
        sandbox.warm();
        let project = sandbox.project(
            "hello",
            "-- go.mod --\nmodule hello\n\ngo 1.21\n\
             -- main.go --\npackage main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n",
        );
        let output = sandbox.go(&["build", "-v", "."], &project);
        let built = String::from_utf8(output.stderr).unwrap();
        assert_eq!(built, "hello\n", "only the project itself is built");
    }
}
