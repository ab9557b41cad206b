//! The modules that Go ships for its own tests, as a proxy folder.
//!
//! The layout of `GOROOT/src/cmd/go/testdata/mod` and what is served of it are described in the
//! README there and in `cmd/go/proxy_test.go`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::proxy::{FileProxy, zip_of};
use crate::{Txtar, built_once};

/// The proxy made of Go's own test modules; made once per Go version and kept.
#[derive(Debug, Clone)]
pub struct TestProxy {
    proxy: FileProxy,
    modules: Vec<(String, String)>,
}

impl TestProxy {
    /// Makes or finds it.
    ///
    /// # Errors
    /// A sentence, where there is no go command, or one that came without its test modules
    /// (Debian packs them into `golang-*-src`, other builds leave them out).
    pub fn get() -> Result<Self, String> {
        let go = |name: &str| -> Result<String, String> {
            let output = Command::new("go")
                .args(["env", name])
                .env("GOTOOLCHAIN", "local")
                .output()
                .map_err(|error| format!("the go command cannot be run: {error}"))?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let source = PathBuf::from(go("GOROOT")?).join("src/cmd/go/testdata/mod");
        let archives = archives(&source)?;
        let name = format!("goproxy-1-{}", go("GOVERSION")?.replace(' ', "_"));
        let dir = built_once(&name, |dir| {
            let proxy = FileProxy::new(dir);
            for (module, version, file) in &archives {
                publish(&proxy, module, version, file)?;
            }
            Ok::<_, String>(())
        })?;
        let modules = archives.into_iter().map(|(module, version, _)| (module, version)).collect();
        Ok(Self { proxy: FileProxy::new(dir), modules })
    }

    /// The value for `GOPROXY`.
    pub fn url(&self) -> String {
        self.proxy.url()
    }

    /// The folder as a proxy. Shared by all tests: never write to it.
    pub fn proxy(&self) -> &FileProxy {
        &self.proxy
    }

    /// Path and version of every module in it, sorted.
    pub fn modules(&self) -> &[(String, String)] {
        &self.modules
    }
}

fn archives(source: &Path) -> Result<Vec<(String, String, PathBuf)>, String> {
    let entries = fs::read_dir(source).map_err(|error| {
        format!("this Go came without its test modules: {}: {error}", source.display())
    })?;
    let mut archives = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("read {}: {error}", source.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(name) = name.strip_suffix(".txt") else { continue };
        let Some(at) = name.rfind("_v") else { continue };
        let module = unescape(&name[..at].replace('_', "/"));
        archives.push((module, unescape(&name[at + 1..]), path));
    }
    archives.sort();
    Ok(archives)
}

fn publish(proxy: &FileProxy, module: &str, version: &str, file: &Path) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| format!("read {}: {error}", file.display()))?;
    let archive = Txtar::parse(&bytes);
    let files: Vec<(String, Vec<u8>)> = archive
        .files
        .iter()
        .filter(|(name, _)| !matches!(&name[..], ".info" | ".mod" | ".zip"))
        .map(|(name, content)| {
            // A leading slash means: as it stands, to make zips that break the rules.
            let name = match name.strip_prefix('/') {
                Some(name) => name.to_owned(),
                None => format!("{module}@{version}/{name}"),
            };
            (name, content.clone())
        })
        .collect();
    let zip = zip_of(&files).map_err(|error| format!("zip {module}@{version}: {error}"))?;
    let info = archive.get(".info").unwrap_or_default();
    let go_mod = archive.get(".mod").unwrap_or_default();
    proxy
        .put(module, version, info, go_mod, &zip)
        .map_err(|error| format!("publish {module}@{version}: {error}"))
}

/// Undoes the escape of capitals in a file name.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut capital = false;
    for letter in text.chars() {
        match letter {
            '!' => capital = true,
            _ if capital => {
                plain.push(letter.to_ascii_uppercase());
                capital = false;
            }
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GoSandbox;

    fn sandbox() -> (GoSandbox, TestProxy) {
        let proxy = TestProxy::get().expect("the go command with its test modules");
        let mut sandbox = GoSandbox::new();
        sandbox.proxy(&proxy.url());
        (sandbox, proxy)
    }

    #[test]
    fn go_downloads_builds_and_verifies() {
        let (sandbox, proxy) = sandbox();
        sandbox.warm();
        assert!(proxy.modules().len() > 100, "{}", proxy.modules().len());
        let project = sandbox.project(
            "hello",
            "-- go.mod --\nmodule hello\n\ngo 1.21\n\nrequire rsc.io/quote v1.5.2\n\
             -- main.go --\npackage main\n\nimport \"rsc.io/quote\"\n\n\
             func main() { println(quote.Hello()) }\n",
        );
        sandbox.go(&["mod", "tidy"], &project);
        sandbox.go(&["mod", "download"], &project);
        sandbox.go(&["build", "./..."], &project);
        sandbox.go(&["mod", "verify"], &project);
        let sums = fs::read_to_string(project.join("go.sum")).unwrap();
        assert!(sums.contains("rsc.io/sampler v1.3.0 h1:"), "{sums}");
    }

    #[test]
    fn capitals_pseudo_versions_and_latest() {
        let (sandbox, _) = sandbox();
        let project = sandbox.project("m", "-- go.mod --\nmodule m\n\ngo 1.21\n");
        let pseudo = "rsc.io/quote@v0.0.0-20180628003336-dd9747d19b04";
        for module in ["rsc.io/QUOTE@v1.5.2", pseudo, "rsc.io/breaker@v2.0.0+incompatible"] {
            sandbox.go(&["mod", "download", module], &project);
        }
        assert!(sandbox.gomodcache().join("rsc.io/!q!u!o!t!e@v1.5.2").is_dir());
        let latest = sandbox.go_text(&["list", "-m", "example.com/notags@latest"], &project);
        assert_eq!(latest, "example.com/notags v0.0.0-20190507143103-cc8cbe209b64");
    }

    #[test]
    fn a_bad_zip_is_refused_by_go() {
        let (sandbox, _) = sandbox();
        let project = sandbox.project("m", "-- go.mod --\nmodule m\n\ngo 1.21\n");
        sandbox.go_fails(&["mod", "download", "rsc.io/badzip@v1.0.0"], &project);
    }
}
