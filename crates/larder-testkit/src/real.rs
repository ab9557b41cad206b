//! A small set of real modules, fetched once by the real go command and then served offline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built_once;
use crate::proxy::FileProxy;

/// What is fetched, with all that these need; chosen small, with a tool, a generated tree of
/// packages, capital letters and a graph among them.
pub const REAL_MODULES: &[(&str, &str)] = &[
    ("github.com/BurntSushi/toml", "v1.4.0"),
    ("github.com/google/uuid", "v1.6.0"),
    ("github.com/spf13/cobra", "v1.8.1"),
    ("golang.org/x/sync", "v0.10.0"),
    ("golang.org/x/text", "v0.21.0"),
];

/// The fetched modules.
#[derive(Debug, Clone)]
pub struct RealModules {
    dir: PathBuf,
}

impl RealModules {
    /// The proxy folder that serves them. Shared by all tests: never write to it.
    pub fn proxy(&self) -> FileProxy {
        FileProxy::new(self.dir.join("mod/cache/download"))
    }

    /// The value for `GOPROXY`.
    pub fn url(&self) -> String {
        self.proxy().url()
    }

    /// A main module that requires all of them and uses some, as a txtar text: `go mod tidy` has
    /// been run on it, so its go.mod and go.sum are complete.
    pub fn project(&self) -> String {
        let mut text = String::new();
        for name in ["go.mod", "go.sum", "main.go"] {
            let path = self.dir.join("project").join(name);
            let content = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
            text.push_str(&format!("-- {name} --\n{content}"));
        }
        text
    }
}

const MAIN: &str = r#"package main

import (
	"fmt"

	"github.com/BurntSushi/toml"
	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

func main() {
	var group errgroup.Group
	group.Go(func() error { return (&cobra.Command{}).Execute() })
	var value map[string]any
	_, err := toml.Decode("", &value)
	fmt.Println(err, uuid.NameSpaceDNS, cases.Title(language.English).String("larder"), group.Wait())
}
"#;

/// Fetches [`REAL_MODULES`] through the proxy that this machine's go command is set up with,
/// or finds what an earlier run fetched.
///
/// # Errors
/// A sentence, where there is no go command or it cannot reach its proxy. A test that gets it may
/// print it and return: without a network there is nothing to test against.
pub fn real_modules() -> Result<RealModules, String> {
    let dir = built_once("real-modules-2", fetch)?;
    Ok(RealModules { dir })
}

/// The source of a real module, fetched through the proxy that this machine's go command is set
/// up with, or found where an earlier run put it. Shared by all tests: never write to it.
///
/// # Errors
/// As [`real_modules`].
pub fn module_source(module: &str, version: &str) -> Result<PathBuf, String> {
    let name = format!("source-{}-{version}", module.replace('/', "-"));
    let dir = built_once(&name, |dir| {
        let project = dir.join("project");
        fs::create_dir(&project).map_err(|error| format!("make {}: {error}", project.display()))?;
        let go_mod = "module example.test/source\n";
        fs::write(project.join("go.mod"), go_mod).map_err(|error| format!("write: {error}"))?;
        run_go(dir, &["mod", "download", &format!("{module}@{version}")])
    })?;
    let path = crate::gomod::escape(module);
    Ok(dir.join("mod").join(format!("{path}@{version}")))
}

fn fetch(dir: &Path) -> Result<(), String> {
    let project = dir.join("project");
    fs::create_dir(&project).map_err(|error| format!("make {}: {error}", project.display()))?;
    let mut go_mod = String::from("module example.test/real\n\ngo 1.21\n\nrequire (\n");
    for (module, version) in REAL_MODULES {
        go_mod.push_str(&format!("\t{module} {version}\n"));
    }
    go_mod.push_str(")\n");
    for (name, content) in [("go.mod", &go_mod[..]), ("main.go", MAIN)] {
        fs::write(project.join(name), content).map_err(|error| format!("write {name}: {error}"))?;
    }
    // `download all` also fetches what no package of the project imports, so that every command
    // works offline later; `tidy` comes last, since `download` adds to go.sum.
    for args in [&["mod", "tidy"][..], &["mod", "download", "all"], &["mod", "tidy"]] {
        run_go(dir, args)?;
    }
    crate::sandbox::remove_all(&dir.join("gocache"))
        .map_err(|error| format!("remove a build cache: {error}"))
}

/// Runs go in `dir/project`, with caches of its own below `dir`.
fn run_go(dir: &Path, args: &[&str]) -> Result<(), String> {
    let output = Command::new("go")
        .args(args)
        .current_dir(dir.join("project"))
        .env("GOMODCACHE", dir.join("mod"))
        .env("GOCACHE", dir.join("gocache"))
        .env("GOPATH", dir.join("gopath"))
        .env("GOFLAGS", "-modcacherw")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .output()
        .map_err(|error| format!("the go command cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default();
    Err(format!("the real modules cannot be fetched: go {}: {said}", args[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GoSandbox;

    #[test]
    fn they_build_offline_from_the_folder() {
        let real = match real_modules() {
            Ok(real) => real,
            Err(why) => {
                eprintln!("not tested: {why}");
                return;
            }
        };
        let mut sandbox = GoSandbox::new();
        sandbox.proxy(&real.url()).warm();
        let project = sandbox.project("real", &real.project());
        sandbox.go(&["build", "-o", "real", "."], &project);
        sandbox.go(&["mod", "verify"], &project);
        sandbox.go(&["mod", "tidy", "-diff"], &project);
    }
}
