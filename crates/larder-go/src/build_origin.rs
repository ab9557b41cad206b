//! From a source file's name, as a compiler was told it, to whose it is: the standard library, a
//! module version, or a project's folder.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::module_path::{unescape, unescape_version};

/// Whose an output is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The standard library and the commands that come with Go.
    Std,
    /// A module version.
    Module {
        /// Module path.
        path: Box<str>,
        /// Version.
        version: Box<str>,
        /// Its folder, where that is not in the module cache that was asked about.
        elsewhere: Option<Box<Path>>,
    },
    /// A project's own code.
    Project {
        /// The folder of its go.mod; where that is gone, the package's own.
        folder: Box<Path>,
        /// Its module path, where go.mod is there to say.
        module: Option<Box<str>>,
    },
    /// A project's own code that was built with `-trimpath`: no folder is told.
    Trimmed,
    /// Several owners share it.
    Shared,
    /// It says nothing of its owner.
    Unknown,
}

/// What is known about this machine, for telling whose an output is.
#[derive(Clone, Debug, Default)]
pub struct OwnerContext {
    /// GOMODCACHE.
    pub gomodcache: Option<PathBuf>,
    /// Every GOROOT that is known, those of toolchains in GOMODCACHE too.
    pub goroots: Vec<PathBuf>,
    /// Module versions, as in GOMODCACHE: their indexes have no name but by their folder. May be
    /// empty; those that packages come from are known anyway.
    pub modules: Vec<(String, String)>,
}

/// For each folder of a package, where its go.mod is and which module that names.
type Projects = HashMap<PathBuf, Option<(PathBuf, Box<str>)>>;

/// Tells origins, and remembers where go.mod files are.
#[derive(Debug)]
pub(crate) struct Origins<'a> {
    context: &'a OwnerContext,
    gomodcache: Option<String>,
    projects: Mutex<Projects>,
}

impl<'a> Origins<'a> {
    pub(crate) fn new(context: &'a OwnerContext) -> Self {
        let gomodcache = context.gomodcache.as_deref().map(|path| slashed(&path.to_string_lossy()));
        Self { context, gomodcache, projects: Mutex::default() }
    }

    /// The origin of `package` and its whole import path (`main` is none).
    pub(crate) fn of(&self, package: &str, file: &str) -> (Origin, String) {
        let file = slashed(file);
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let named = |path: String| {
            if package == "main" || package.is_empty() { path } else { package.to_owned() }
        };
        if let Some(inside) = self.below_goroot(folder) {
            return (Origin::Std, named(inside));
        }
        if let Some((origin, path)) = self.module(package, folder) {
            return (origin, named(path));
        }
        if is_absolute(folder) {
            let (origin, path) = self.project(Path::new(folder));
            return (origin, named(path));
        }
        // Built with `-trimpath`: the folder is the import path.
        let path = if matches!(package, "main" | "") { folder } else { package };
        let origin = if path.is_empty() {
            Origin::Unknown
        } else if self.is_std(path) {
            Origin::Std
        } else {
            Origin::Trimmed
        };
        (origin, path.to_owned())
    }

    /// Whether a module version's folder is in GOMODCACHE.
    pub(crate) fn is_cached(&self, path: &str, version: &str) -> bool {
        self.module_folder(path, version).is_some_and(|folder| folder.is_dir())
    }

    /// Where GOMODCACHE has a module version extracted.
    pub(crate) fn module_folder(&self, path: &str, version: &str) -> Option<PathBuf> {
        let path = crate::module_path::escape(path)?;
        let version = crate::module_path::escape_version(version)?;
        Some(self.context.gomodcache.as_ref()?.join(format!("{path}@{version}")))
    }

    /// Whether an import path is the standard library's: its first element has no dot, and where
    /// a GOROOT is known, the package's folder is there.
    pub(crate) fn is_std(&self, path: &str) -> bool {
        let first = path.split('/').next().unwrap_or_default();
        if first.is_empty() || first.contains('.') {
            return false;
        }
        let roots = &self.context.goroots;
        roots.is_empty() || roots.iter().any(|root| root.join("src").join(path).is_dir())
    }

    fn below_goroot(&self, folder: &str) -> Option<String> {
        if let Some(inside) = folder.strip_prefix("$GOROOT/src/") {
            return Some(inside.to_owned());
        }
        let in_toolchain = folder
            .split_once("/golang.org/toolchain@")
            .and_then(|(_, rest)| rest.split_once("/src/").map(|(_, inside)| inside.to_owned()));
        in_toolchain.or_else(|| {
            self.context.goroots.iter().find_map(|root| {
                let root = slashed(&root.to_string_lossy());
                let inside = folder.strip_prefix(root.trim_end_matches('/'))?;
                Some(inside.strip_prefix("/src/")?.to_owned())
            })
        })
    }

    /// `…/<escaped module>@<version>/<folder>`; the same without a beginning, and not escaped,
    /// under `-trimpath`.
    fn module(&self, package: &str, folder: &str) -> Option<(Origin, String)> {
        let cached = self
            .gomodcache
            .as_deref()
            .and_then(|cache| folder.strip_prefix(cache.trim_end_matches('/'))?.strip_prefix('/'));
        let absolute = is_absolute(folder);
        let (before, rest) = cached.unwrap_or(folder).split_once("@v")?;
        let (version, inside) = rest.split_once('/').unwrap_or((rest, ""));
        let version = format!("v{version}");
        let (path, version) = if absolute {
            let escaped = match cached {
                Some(_) => before,
                None => elsewhere(package, before)?,
            };
            (unescape(escaped)?, unescape_version(&version)?)
        } else {
            (before.to_owned(), version)
        };
        let whole = if inside.is_empty() { path.clone() } else { format!("{path}/{inside}") };
        let elsewhere = (absolute && cached.is_none()).then(|| {
            let len = folder.len() - inside.len();
            Path::new(folder[..len].trim_end_matches('/')).into()
        });
        let origin = Origin::Module { path: path.into(), version: version.into(), elsewhere };
        Some((origin, whole))
    }

    /// The project that a folder is in: the nearest go.mod above says.
    fn project(&self, folder: &Path) -> (Origin, String) {
        let known = self.lock().get(folder).cloned();
        let found = known.unwrap_or_else(|| {
            let found = folder
                .ancestors()
                .find_map(|above| Some((above.to_owned(), module_line(&above.join("go.mod"))?)));
            self.lock().insert(folder.to_owned(), found.clone());
            found
        });
        match found {
            Some((root, module)) => {
                let inside = folder.strip_prefix(&root).unwrap_or(Path::new(""));
                let inside = slashed(&inside.to_string_lossy());
                let path = match inside.as_str() {
                    "" => module.to_string(),
                    inside => format!("{module}/{inside}"),
                };
                (Origin::Project { folder: root.into(), module: Some(module) }, path)
            }
            None => (
                Origin::Project { folder: folder.into(), module: None },
                slashed(&folder.to_string_lossy()),
            ),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Projects> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The escaped module path at the end of `before`, in a module cache that is not the one asked
/// about: below the usual folder, or as far as the import path agrees.
fn elsewhere<'a>(package: &str, before: &'a str) -> Option<&'a str> {
    if let Some((_, module)) = before.rsplit_once("/pkg/mod/") {
        return Some(module);
    }
    let starts = before.match_indices('/').map(|(at, _)| at + 1);
    starts.map(|at| &before[at..]).find(|end| {
        unescape(end).is_some_and(|path| {
            package.strip_prefix(path.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        })
    })
}

/// The module path of a go.mod; enough of its grammar to name a project.
fn module_line(go_mod: &Path) -> Option<Box<str>> {
    let text = fs::read_to_string(go_mod).ok()?;
    text.lines().find_map(|line| {
        let path = line.trim().strip_prefix("module")?.split("//").next()?;
        let path = path.strip_prefix([' ', '\t'])?.trim().trim_matches(['"', '`']);
        (!path.is_empty() && path != "(").then(|| path.into())
    })
}

fn slashed(path: &str) -> String {
    if cfg!(windows) { path.replace('\\', "/") } else { path.to_owned() }
}

fn is_absolute(folder: &str) -> bool {
    let drive = folder.as_bytes().get(1..3) == Some(b":/");
    folder.starts_with('/') || drive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(package: &str, file: &str) -> (Origin, String) {
        let context = OwnerContext {
            gomodcache: Some("/home/u/go/pkg/mod".into()),
            goroots: vec!["/usr/local/go-of-test".into()],
            modules: Vec::new(),
        };
        Origins::new(&context).of(package, file)
    }

    fn module(path: &str, version: &str, elsewhere: Option<&str>) -> Origin {
        let elsewhere = elsewhere.map(|folder| Path::new(folder).into());
        Origin::Module { path: path.into(), version: version.into(), elsewhere }
    }

    #[test]
    fn the_standard_library_is_told() {
        assert_eq!(of("fmt", "$GOROOT/src/fmt/print.go"), (Origin::Std, "fmt".into()));
        assert_eq!(of("main", "$GOROOT/src/cmd/go/main.go"), (Origin::Std, "cmd/go".into()));
        assert_eq!(of("fmt", "/usr/local/go-of-test/src/fmt/print.go").0, Origin::Std);
        let toolchain = "/m/golang.org/toolchain@v0.0.1-go1.25.0.linux-amd64/src/fmt/print.go";
        assert_eq!(of("fmt", toolchain), (Origin::Std, "fmt".into()));
    }

    #[test]
    fn modules_are_told_with_their_version() {
        let file = "/home/u/go/pkg/mod/github.com/!burnt!sushi/toml@v1.3.2/internal/tz.go";
        let toml = module("github.com/BurntSushi/toml", "v1.3.2", None);
        let package = "github.com/BurntSushi/toml/internal";
        assert_eq!(of(package, file), (toml.clone(), package.into()));
        assert_eq!(of("main", file), (toml.clone(), package.into()));
        // Under -trimpath nothing is escaped and nothing comes before.
        assert_eq!(of(package, "github.com/BurntSushi/toml@v1.3.2/internal/tz.go").0, toml);
    }

    #[test]
    fn a_module_of_another_cache_names_its_folder() {
        let folder = "/srv/mod/golang.org/x/text@v0.14.0";
        let text = module("golang.org/x/text", "v0.14.0", Some(folder));
        let file = format!("{folder}/language/tags.go");
        assert_eq!(of("golang.org/x/text/language", &file).0, text);
        // Which part of the path is the module's is not to be known here.
        assert!(!matches!(of("main", &file).0, Origin::Module { .. }));
    }

    #[test]
    fn what_is_trimmed_has_no_folder() {
        assert_eq!(of("example.com/a/b", "example.com/a/b/x.go").0, Origin::Trimmed);
        assert_eq!(of("", "").0, Origin::Unknown);
    }

    #[test]
    fn a_project_is_named_by_its_go_mod() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("internal/x");
        fs::create_dir_all(&inner).unwrap();
        fs::write(dir.path().join("go.mod"), "// c\nmodule example.test/p // c\n\ngo 1.26\n")
            .unwrap();
        let file = inner.join("x.go");
        let (origin, path) = of("main", &file.to_string_lossy());
        assert_eq!(path, "example.test/p/internal/x");
        let module = Some("example.test/p".into());
        assert_eq!(origin, Origin::Project { folder: dir.path().into(), module });
    }
}
