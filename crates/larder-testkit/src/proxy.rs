//! Module proxies that are folders, and modules made to be put into them.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};

use zip::read::ZipArchive;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::gomod::{compare_versions, escape, h1, is_prerelease, is_pseudo, mod_hash};

/// When every generated version says it was made.
pub(crate) const PUBLISHED: &str = "2024-03-01T12:00:00Z";

/// A folder laid out as a module proxy, for `GOPROXY=file://…`.
#[derive(Debug, Clone)]
pub struct FileProxy {
    dir: PathBuf,
}

impl FileProxy {
    /// A proxy in `dir`, which need not be there yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The value for `GOPROXY`.
    pub fn url(&self) -> String {
        let path = self.dir.display().to_string().replace('\\', "/");
        format!("file://{}{path}", if path.starts_with('/') { "" } else { "/" })
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where one version's files are: append `.info`, `.mod` or `.zip`.
    pub fn version_path(&self, module: &str, version: &str, suffix: &str) -> PathBuf {
        self.versions(module).join(format!("{}{suffix}", escape(version)))
    }

    /// The `h1:` hashes of a version's zip and go.mod; `None` where the zip cannot be read.
    pub fn hashes(&self, module: &str, version: &str) -> Option<(String, String)> {
        let zip = fs::File::open(self.version_path(module, version, ".zip")).ok()?;
        let mut zip = ZipArchive::new(zip).ok()?;
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for index in 0..zip.len() {
            let mut file = zip.by_index(index).ok()?;
            let mut content = Vec::new();
            file.read_to_end(&mut content).ok()?;
            let name = file.name().ok()?.into_owned();
            files.push((name, content));
        }
        let go_mod = fs::read(self.version_path(module, version, ".mod")).ok()?;
        let named = files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
        Some((h1(named), mod_hash(&go_mod)))
    }

    /// Puts a module version there, and into its `list`.
    pub fn publish(&self, module: &ModuleMaker) {
        let go_mod = module.go_mod();
        let zip = zip_of(&module.zip_files()).expect("write a module zip");
        let info = format!("{{\"Version\":\"{}\",\"Time\":\"{PUBLISHED}\"}}", module.version);
        self.put(&module.path, &module.version, info.as_bytes(), go_mod.as_bytes(), &zip)
            .unwrap_or_else(|e| panic!("publish {}@{}: {e}", module.path, module.version));
    }

    pub(crate) fn put(
        &self,
        module: &str,
        version: &str,
        info: &[u8],
        go_mod: &[u8],
        zip: &[u8],
    ) -> io::Result<()> {
        let versions = self.versions(module);
        fs::create_dir_all(&versions)?;
        fs::write(self.version_path(module, version, ".info"), info)?;
        fs::write(self.version_path(module, version, ".mod"), go_mod)?;
        fs::write(self.version_path(module, version, ".zip"), zip)?;
        let list = versions.join("list");
        let mut known = fs::read_to_string(&list).unwrap_or_default();
        if !is_pseudo(version) && !known.lines().any(|line| line == version) {
            known.push_str(version);
            known.push('\n');
        }
        fs::write(list, known)?;
        self.mark_latest(module, version, info)
    }

    /// `@latest`: the highest release, else pre-release, else pseudo-version.
    fn mark_latest(&self, module: &str, version: &str, info: &[u8]) -> io::Result<()> {
        let latest = self.dir.join(escape(module)).join("@latest");
        let rank = |version: &str| (!is_pseudo(version), !is_prerelease(version));
        let text = fs::read_to_string(&latest).unwrap_or_default();
        let have = text.split("\"Version\":").nth(1).and_then(|rest| rest.split('"').nth(1));
        let newer = have.is_none_or(|have| {
            rank(version).cmp(&rank(have)).then(compare_versions(version, have)).is_gt()
        });
        if newer { fs::write(latest, info) } else { Ok(()) }
    }

    fn versions(&self, module: &str) -> PathBuf {
        self.dir.join(escape(module)).join("@v")
    }
}

/// One generated module version.
#[derive(Debug, Clone)]
pub struct ModuleMaker {
    path: String,
    version: String,
    go: Option<String>,
    requires: Vec<(String, String, bool)>,
    lines: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
}

impl ModuleMaker {
    /// A module version with `go 1.21`, no requirement and no file.
    pub fn new(path: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            version: version.into(),
            go: Some("1.21".to_owned()),
            requires: Vec::new(),
            lines: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The `go` line. From 1.17 on the module's graph can be pruned.
    #[must_use]
    pub fn go(mut self, version: &str) -> Self {
        self.go = Some(version.to_owned());
        self
    }

    /// No `go` line at all.
    #[must_use]
    pub fn no_go_line(mut self) -> Self {
        self.go = None;
        self
    }

    /// A direct requirement.
    #[must_use]
    pub fn require(mut self, path: &str, version: &str) -> Self {
        self.requires.push((path.to_owned(), version.to_owned(), false));
        self
    }

    /// A requirement marked `// indirect`.
    #[must_use]
    pub fn require_indirect(mut self, path: &str, version: &str) -> Self {
        self.requires.push((path.to_owned(), version.to_owned(), true));
        self
    }

    /// Any other line of go.mod: `retract v1.0.0`, `exclude …`, `tool …`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// A file of the module, by its path below the module's root.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// A package with one function `Use` that imports `imports` and so needs them all.
    ///
    /// `dir` is `""` for the module's root. Every imported package must come from this too, or
    /// have a function `Use() int`.
    #[must_use]
    pub fn package(self, dir: &str, imports: &[&str]) -> Self {
        let import_path =
            if dir.is_empty() { self.path.clone() } else { format!("{}/{dir}", self.path) };
        let name = if dir.is_empty() { "p.go".to_owned() } else { format!("{dir}/p.go") };
        let source = go_package(&import_path, imports);
        self.file(&name, source)
    }

    /// The text of its go.mod.
    pub fn go_mod(&self) -> String {
        let mut text = format!("module {}\n", self.path);
        if let Some(go) = &self.go {
            let _ = write!(text, "\ngo {go}\n");
        }
        if !self.requires.is_empty() {
            text.push_str("\nrequire (\n");
            for (path, version, indirect) in &self.requires {
                let comment = if *indirect { " // indirect" } else { "" };
                let _ = writeln!(text, "\t{path} {version}{comment}");
            }
            text.push_str(")\n");
        }
        for line in &self.lines {
            let _ = write!(text, "\n{line}\n");
        }
        text
    }

    fn zip_files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![("go.mod".to_owned(), self.go_mod().into_bytes())];
        files.extend(self.files.iter().cloned());
        let prefix = format!("{}@{}", self.path, self.version);
        files.into_iter().map(|(name, bytes)| (format!("{prefix}/{name}"), bytes)).collect()
    }
}

/// The source of a package whose `Use` sums up the `Use` of its imports.
fn go_package(import_path: &str, imports: &[&str]) -> String {
    let element = import_path.rsplit('/').next().unwrap_or(import_path);
    let name: String = element.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut text = format!("package p{name}\n\n");
    for (number, import) in imports.iter().enumerate() {
        let _ = writeln!(text, "import i{number} \"{import}\"");
    }
    let _ = write!(text, "\n// Use is what {import_path} offers.\nfunc Use() int {{ return 1");
    for number in 0..imports.len() {
        let _ = write!(text, " + i{number}.Use()");
    }
    text.push_str(" }\n");
    text
}

/// A zip of these files, in this order.
pub(crate) fn zip_of(files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name.as_str(), SimpleFileOptions::default())?;
        writer.write_all(content)?;
    }
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GoSandbox;

    #[test]
    fn generated_modules_resolve_and_build() {
        let mut sandbox = GoSandbox::new();
        let proxy = FileProxy::new(sandbox.root().join("proxy"));
        let a = ModuleMaker::new("example.com/Big/a", "v1.2.0")
            .require("example.com/b", "v1.0.0")
            .package("", &["example.com/b/sub"]);
        proxy.publish(&a);
        for version in ["v1.0.0", "v1.1.0", "v1.1.1-0.20240301120000-0123456789ab"] {
            proxy.publish(&ModuleMaker::new("example.com/b", version).package("sub", &[]));
        }
        sandbox.proxy(&proxy.url()).warm();
        let project = sandbox.project(
            "app",
            "-- go.mod --\nmodule app\n\ngo 1.21\n\nrequire example.com/Big/a v1.2.0\n\
             -- main.go --\npackage main\n\nimport a \"example.com/Big/a\"\n\n\
             func main() { println(a.Use()) }\n",
        );
        sandbox.go(&["mod", "tidy"], &project);
        sandbox.go(&["build", "-o", "app", "."], &project);
        sandbox.go(&["mod", "verify"], &project);
        let list =
            sandbox.go_text(&["list", "-m", "-f", "{{.Path}} {{.Version}}", "all"], &project);
        assert_eq!(list, "app \nexample.com/Big/a v1.2.0\nexample.com/b v1.0.0");
        let versions = sandbox.go_text(&["list", "-m", "-versions", "example.com/b"], &project);
        assert_eq!(versions, "example.com/b v1.0.0 v1.1.0");
        assert_eq!(
            sandbox.go_text(&["list", "-m", "example.com/b@latest"], &project),
            "example.com/b v1.1.0"
        );
        assert!(sandbox.gomodcache().join("example.com/!big/a@v1.2.0/p.go").is_file());
    }
}
