//! Proof that a folder is a Go module cache, before anything in it is removed, and which of its
//! paths may be removed at all.
//!
//! A plan file names paths; [`classify`] is what stands between it and the disk. It says yes to
//! what the go command writes and can make again, and to nothing else: never to `.info`, `.mod`,
//! `list` or lock files, never to a way out of the root. What kind of thing stands there now is
//! looked at by whoever removes it.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use larder_core::Target;
use larder_fs::{Dir, Kind};

use crate::mod_names::{DownloadName, Part, TreeName, VcsName, download_name, tree_name, vcs_name};
use crate::module_path;

/// The proof that a folder is a module cache; only [`prove`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModLayout {
    identity: (u64, u64),
    empty: bool,
}

impl ModLayout {
    /// Device and inode of the root.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Whether nothing is in it but, at most, the empty folder `cache` that is made first.
    pub fn is_empty(&self) -> bool {
        self.empty
    }
}

/// Why a folder is not taken for a module cache.
#[derive(Debug, thiserror::Error)]
pub enum NotACache {
    /// The top of a file system's tree.
    #[error("{} is the root of the file system", .0.display())]
    FileSystemRoot(PathBuf),
    /// Somebody's home folder, or a folder above it.
    #[error("{} is a home folder or holds one", .0.display())]
    Home(PathBuf),
    /// Something under version control.
    #[error("{} is a checkout: it has {name} at its top", .path.display())]
    Checkout {
        /// The folder.
        path: PathBuf,
        /// What tells it.
        name: String,
    },
    /// A module being worked on.
    #[error("{} is a project: it has {name} at its top", .path.display())]
    Project {
        /// The folder.
        path: PathBuf,
        /// What tells it.
        name: String,
    },
    /// The other of Go's caches.
    #[error("{} is a build cache, not a module cache", .0.display())]
    BuildCache(PathBuf),
    /// The folder above.
    #[error("{} is a GOPATH; its module cache would be {}", .0.display(), .0.join("pkg").join("mod").display())]
    GoPath(PathBuf),
    /// Nothing speaks for it.
    #[error(
        "{} does not look like a module cache: it has neither cache/download, cache/lock, \
         cache/vcs nor a folder named as a module version",
        .0.display()
    )]
    NoMark(PathBuf),
    /// It could not be looked at.
    #[error("cannot look at {}", .path.display())]
    Io {
        /// What could not be looked at.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Proves that `root` is a module cache, or says why not. An empty folder is an empty cache.
pub fn prove(root: &Dir) -> Result<ModLayout, NotACache> {
    let path = root.path().to_owned();
    let io_error = |source| NotACache::Io { path: root.path().to_owned(), source };
    let identity = root.identity().map_err(io_error)?;
    refuse_places(root, identity)?;
    let entries = root.entries().map_err(io_error)?;
    let has = |name: &str, kind: Option<Kind>| {
        entries.iter().any(|(n, k)| n == OsStr::new(name) && kind.is_none_or(|kind| kind == *k))
    };
    for name in [".git", ".hg", ".svn", ".jj"] {
        if has(name, None) {
            return Err(NotACache::Checkout { path, name: name.to_owned() });
        }
    }
    for name in ["go.mod", "go.work"] {
        if has(name, None) {
            return Err(NotACache::Project { path, name: name.to_owned() });
        }
    }
    if [".ssh", ".bashrc", ".profile", ".zshrc"].iter().any(|name| has(name, None)) {
        return Err(NotACache::Home(path));
    }
    if has("trim.txt", None) || (has("README", Some(Kind::File)) && has("00", Some(Kind::Folder))) {
        return Err(NotACache::BuildCache(path));
    }
    if has("pkg", Some(Kind::Folder)) && is_gopath(root) {
        return Err(NotACache::GoPath(path));
    }
    let empty = entries.is_empty() || (entries.len() == 1 && is_begun(root));
    if empty || has_cache_mark(root) || has_version_folder(root) {
        return Ok(ModLayout { identity, empty });
    }
    Err(NotACache::NoMark(path))
}

/// What of the cache a root-relative path is, where it is something that may be removed.
pub fn classify(rel: &Path) -> Option<Target> {
    let mut names = Vec::new();
    for component in rel.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            _ => return None,
        }
    }
    // Put together again, so that `a/./b` and `a//b` have one form.
    let rel = &names.iter().collect::<PathBuf>();
    match names.as_slice() {
        ["cache", "download", "sumdb"] => Some(Target::Path(rel.to_owned())),
        ["cache", "vcs", name] => {
            (vcs_name(name) != VcsName::Foreign).then(|| Target::Path(rel.to_owned()))
        }
        ["cache", "download", module @ .., "@v", name] => classify_download(rel, module, name),
        ["cache", ..] | [] => None,
        [above @ .., name] => classify_extracted(rel, above, name),
    }
}

/// The version whose lock guards this file or folder, where one does.
pub(crate) fn version_of_path(rel: &Path) -> Option<(String, String)> {
    if let Some(Target::Version { module, version, .. }) = classify(rel) {
        return Some((module, version));
    }
    let name = rel.file_name()?.to_str()?;
    let above = rel.parent()?.to_str()?.replace('\\', "/");
    let (escaped, version) = match above.strip_prefix("cache/download/") {
        Some(folder) => match download_name(name) {
            DownloadName::Temporary(version, _) => {
                let version = module_path::unescape_version(version)?;
                (folder.strip_suffix("/@v")?.to_owned(), version)
            }
            _ => return None,
        },
        None => match tree_name(name, above.is_empty()) {
            TreeName::Temporary { element, version } if above.is_empty() => (element, version),
            TreeName::Temporary { element, version } => (format!("{above}/{element}"), version),
            _ => return None,
        },
    };
    Some((module_path::unescape(&escaped)?, version))
}

fn classify_download(rel: &Path, module: &[&str], name: &str) -> Option<Target> {
    let module = module_path::unescape(&module.join("/"))?;
    match download_name(name) {
        DownloadName::Part(version, Part::Zip | Part::Ziphash | Part::Partial) => {
            let version = module_path::unescape_version(version)?;
            Some(Target::Version { module, version, paths: vec![rel.to_owned()] })
        }
        DownloadName::Temporary(..) => Some(Target::Path(rel.to_owned())),
        _ => None,
    }
}

fn classify_extracted(rel: &Path, above: &[&str], name: &str) -> Option<Target> {
    // Below the first `@` everything is a module's own.
    if above.iter().any(|element| element.contains('@')) {
        return None;
    }
    let (TreeName::Version { element, version } | TreeName::Temporary { element, version }) =
        tree_name(name, above.is_empty())
    else {
        return None;
    };
    let mut escaped = above.join("/");
    if !escaped.is_empty() {
        escaped.push('/');
    }
    escaped.push_str(&element);
    let module = module_path::unescape(&escaped)?;
    match tree_name(name, above.is_empty()) {
        TreeName::Version { .. } => {
            Some(Target::Version { module, version, paths: vec![rel.to_owned()] })
        }
        _ => Some(Target::Path(rel.to_owned())),
    }
}

fn refuse_places(root: &Dir, identity: (u64, u64)) -> Result<(), NotACache> {
    let path = root.path();
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real.parent().is_none() {
        return Err(NotACache::FileSystemRoot(path.to_owned()));
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    let real_home = home.as_deref().and_then(|home| std::fs::canonicalize(home).ok());
    for home in home.iter().chain(&real_home) {
        for folder in home.ancestors() {
            let same = Dir::open_root(folder).and_then(|dir| dir.identity());
            if same.is_ok_and(|same| same == identity) {
                return Err(NotACache::Home(path.to_owned()));
            }
        }
    }
    Ok(())
}

fn is_gopath(root: &Dir) -> bool {
    let folder = |name: &str| is_kind(root, name, Kind::Folder);
    let pkg = root.open_dir(OsStr::new("pkg"));
    folder("src")
        || folder("bin")
        || pkg.is_ok_and(|pkg| {
            is_kind(&pkg, "mod", Kind::Folder) || is_kind(&pkg, "sumdb", Kind::Folder)
        })
}

/// Whether `cache` is there and empty: the first folder made is all that a download killed then left.
fn is_begun(root: &Dir) -> bool {
    let cache = root.open_dir(OsStr::new("cache")).and_then(|cache| cache.entries());
    cache.is_ok_and(|entries| entries.is_empty())
}

fn has_cache_mark(root: &Dir) -> bool {
    root.open_dir(OsStr::new("cache")).is_ok_and(|cache| {
        is_kind(&cache, "download", Kind::Folder)
            || is_kind(&cache, "lock", Kind::File)
            || is_kind(&cache, "vcs", Kind::Folder)
    })
}

/// Looks into folders that may be elements of module paths until one is a version's. Bounded,
/// for the folder may be anything.
fn has_version_folder(root: &Dir) -> bool {
    const MOST: usize = 2_000;
    let mut seen = 0;
    let mut stack = vec![PathBuf::new()];
    while let Some(rel) = stack.pop() {
        seen += 1;
        if seen > MOST {
            return false;
        }
        let Ok(entries) = root.open_path(&rel).and_then(|dir| dir.entries()) else { continue };
        for (name, kind) in entries {
            let Some(name) = name.to_str().filter(|_| kind == Kind::Folder) else { continue };
            match tree_name(name, rel.as_os_str().is_empty()) {
                TreeName::Version { .. } => return true,
                TreeName::Element => stack.push(rel.join(name)),
                TreeName::Temporary { .. } | TreeName::Foreign => {}
            }
        }
    }
    false
}

fn is_kind(dir: &Dir, name: &str, kind: Kind) -> bool {
    matches!(dir.look(OsStr::new(name)), Ok(Some(meta)) if meta.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(module: &str, version: &str, path: &str) -> Target {
        Target::Version {
            module: module.to_owned(),
            version: version.to_owned(),
            paths: vec![path.into()],
        }
    }

    #[test]
    fn only_what_go_can_make_again_may_be_removed() {
        let yes = |path: &str| classify(Path::new(path));
        let toml = "github.com/BurntSushi/toml";
        for path in [
            "github.com/!burnt!sushi/toml@v1.2.3",
            "cache/download/github.com/!burnt!sushi/toml/@v/v1.2.3.zip",
            "cache/download/github.com/!burnt!sushi/toml/@v/v1.2.3.ziphash",
            "cache/download/github.com/!burnt!sushi/toml/@v/v1.2.3.partial",
        ] {
            assert_eq!(yes(path), Some(version(toml, "v1.2.3", path)), "{path}");
        }
        let toolchain = "golang.org/toolchain@v0.0.1-go1.22.0.linux-amd64";
        assert_eq!(
            yes(toolchain),
            Some(version("golang.org/toolchain", "v0.0.1-go1.22.0.linux-amd64", toolchain))
        );
        let hash = "0123456789abcdef".repeat(4);
        for path in [
            "cache/download/sumdb".to_owned(),
            format!("cache/vcs/{hash}"),
            format!("cache/vcs/{hash}.info"),
            "a.com/b@v1.0.0.tmp-123".to_owned(),
            "cache/download/a.com/b/@v/v1.0.0.zip12.tmp".to_owned(),
        ] {
            assert_eq!(yes(&path), Some(Target::Path(path.clone().into())), "{path}");
        }
    }

    #[test]
    fn nothing_else_may_be_removed() {
        for path in [
            "",
            "/",
            "/etc",
            "..",
            "../x",
            "a.com/../../b@v1.0.0",
            "cache",
            "cache/lock",
            "cache/download",
            "cache/vcs",
            "cache/vcs/x",
            "github.com",
            "github.com/a/b",
            "cache/download/a.com/b/@v",
            "cache/download/a.com/b/@v/list",
            "cache/download/a.com/b/@v/v1.0.0.mod",
            "cache/download/a.com/b/@v/v1.0.0.info",
            "cache/download/a.com/b/@v/v1.0.0.lock",
            "cache/download/sumdb/sum.golang.org",
            "golang.org/x/tools@v0.1.0/testdata/a@v1.0.0",
            "a.com/b@v1.0.0/c.go",
            "notes@v1.0.0",
            "A.com/b@v1.0.0",
            "a.com/b@master",
            "cache/download/a.com/b/@v/sub/v1.0.0.zip",
            "cache/b.com/c@v1.0.0",
            "a.com/b@v1.0.0/../../x",
        ] {
            assert_eq!(classify(Path::new(path)), None, "{path:?}");
        }
    }
}
