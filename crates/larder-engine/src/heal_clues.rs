//! What the output of a failed build says about caches.
//!
//! Go's messages are matched as text, since they are all that a build leaves behind; the files of
//! Go's source that print them are named beside them. A clue only says where to look first: what
//! is to blame is decided by the verification, since a changed archive may show in any message.

use std::path::Path;

use larder_go::module_path::{ModuleVersion, unescape, unescape_version};

/// Lines that are kept to be shown.
const LINES: usize = 8;
/// A line longer than this is cut.
const WIDTH: usize = 300;

/// What an output points at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clues {
    /// A line points at the build cache.
    pub build: bool,
    /// A line points at the module cache.
    pub modules: bool,
    /// A file of the build cache went away while the build ran.
    pub vanished: bool,
    /// The module versions that are named in such lines, each once.
    pub versions: Vec<ModuleVersion>,
    /// The first of those lines.
    pub lines: Vec<String>,
}

/// Messages about what came out of the build cache: the compiler's importer
/// (`cmd/compile/internal/noder/import.go`, `internal/exportdata`), the linker
/// (`cmd/link/internal/{ld,loader}`, `cmd/internal/goobj`), `cmd/go/internal/cache/cache.go`.
const BUILD: [&str; 21] = [
    "cache entry not found",
    "file incomplete",
    "missing binary cache entry",
    "invalid binary cache entry",
    "bad checksum",
    "not a package file",
    "not an archive file",
    "not an object file",
    "bad object file",
    "malformed object",
    "malformed archive",
    "invalid archive",
    "unrecognized object file",
    "fingerprint mismatch",
    "object is [",
    "reading export data",
    "internal compiler error",
    "error while importing",
    "relocation target",
    "cmd/link/internal/",
    "cmd/compile/internal/",
];

/// Messages about module downloads (`cmd/go/internal/modfetch/{fetch,cache}.go`,
/// `golang.org/x/mod/zip`, `archive/zip`).
const MODULES: [&str; 9] = [
    "checksum mismatch",
    "not a valid zip file",
    "missing ziphash",
    "SECURITY ERROR",
    "zip: ",
    "verifying ",
    "unzip ",
    "dir has been modified",
    "zip has been modified",
];

/// Reads the clues in an output. The roots are those of the caches, where they are known.
pub fn clues(output: &str, gocache: &Path, gomodcache: &Path) -> Clues {
    let mut clues = Clues::default();
    let (build_root, mod_root) = (prefix(gocache), prefix(gomodcache));
    for line in output.lines() {
        let names = |root: &Option<String>| root.as_ref().is_some_and(|root| line.contains(root));
        let in_build = names(&build_root);
        let vanished = in_build && line.contains("no such file");
        let eof = line.contains("unexpected EOF");
        let build = in_build || eof || BUILD.iter().any(|words| line.contains(words));
        let in_modules = names(&mod_root) || names_a_version_by_path(line);
        let modules = in_modules || eof || MODULES.iter().any(|words| line.contains(words));
        if !build && !modules {
            continue;
        }
        clues.build |= build;
        clues.modules |= modules;
        clues.vanished |= vanished;
        if modules {
            for version in versions(line, mod_root.as_deref()) {
                if !clues.versions.contains(&version) {
                    clues.versions.push(version);
                }
            }
        }
        if clues.lines.len() < LINES {
            clues.lines.push(line.chars().take(WIDTH).collect());
        }
    }
    clues
}

/// Whether a line names a file of an extracted module. Go shortens paths to relative ones
/// (`cmd/go/internal/base/path.go`), so the root of the cache need not stand in it.
fn names_a_version_by_path(line: &str) -> bool {
    line.split_whitespace().any(|word| word.starts_with("../") && version(word, None).is_some())
}

fn prefix(root: &Path) -> Option<String> {
    let text = root.to_str().filter(|text| !text.is_empty())?;
    Some(format!("{}{}", text.trim_end_matches('/'), std::path::MAIN_SEPARATOR))
}

/// The module versions that a line names: `module@version` as go writes it, or as part of a path
/// below GOMODCACHE, where capitals are escaped.
fn versions(line: &str, mod_root: Option<&str>) -> Vec<ModuleVersion> {
    let separators = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',' | ';');
    line.split(separators).filter_map(|word| version(word, mod_root)).collect()
}

fn version(word: &str, mod_root: Option<&str>) -> Option<ModuleVersion> {
    let below = mod_root.and_then(|root| word.split_once(root)).map(|(_, rest)| rest);
    if let Some(rest) = below.and_then(|rest| rest.strip_prefix("cache/download/")) {
        let (module, file) = rest.split_once("/@v/")?;
        let file = file.trim_end_matches(':');
        let version = [".zip", ".mod", ".info", ".ziphash", ".lock", ".partial"]
            .iter()
            .find_map(|suffix| file.strip_suffix(suffix))?;
        return Some(ModuleVersion::new(unescape(module)?, unescape_version(version)?));
    }
    let (module, rest) = below.unwrap_or(word).split_once('@')?;
    let version = rest.split(['/', ':']).next()?;
    if !version.starts_with('v') || !version[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (module, version) = if below.is_some() {
        (unescape(module)?, unescape_version(version)?)
    } else if module.starts_with("../") {
        // The module begins with the first element that can be a host.
        let host = |start: &usize| {
            module[*start..].split('/').next().is_some_and(|first| {
                first.contains('.') && !first.starts_with('.') && !first.ends_with('.')
            })
        };
        let starts = module.match_indices('/').map(|(at, _)| at + 1);
        let start = starts.into_iter().find(host)?;
        (unescape(&module[start..])?, unescape_version(version)?)
    } else {
        (module.to_owned(), version.to_owned())
    };
    larder_go::module_path::is_valid(&module).then(|| ModuleVersion::new(module, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Clues {
        clues(output, Path::new("/c/go-build"), Path::new("/m/mod"))
    }

    #[test]
    fn a_build_error_of_ones_own_points_at_nothing() {
        let own = "# example.test/p\n./p.go:3:2: undefined: foo\nFAIL\texample.test/p\t0.01s\n";
        assert_eq!(read(own), Clues::default());
    }

    #[test]
    fn messages_point_at_their_cache() {
        let vanished = read(
            "a.go:3:8: could not import fmt (open /c/go-build/ab/abc-d: no such file or directory)",
        );
        assert!(vanished.build && vanished.vanished && !vanished.modules);
        let link = read("/g/link: fingerprint mismatch: fmt has 1, import from main expecting 2");
        assert!(link.build && !link.vanished && !link.modules);
        assert!(read("link: /c/go-build/be/be41-d: not an object file").build);
    }

    #[test]
    fn the_versions_that_are_named_come_first() {
        let one = |line: &str| read(line).versions;
        let version = |path: &str, version: &str| vec![ModuleVersion::new(path, version)];
        assert_eq!(
            one("go: verifying example.test/a@v1.2.3: checksum mismatch"),
            version("example.test/a", "v1.2.3")
        );
        assert_eq!(
            one("/m/mod/example.test/!big@v1.0.0/x.go:3:1: syntax error"),
            version("example.test/Big", "v1.0.0")
        );
        assert_eq!(
            one("zip: not a valid zip file: /m/mod/cache/download/example.test/a/@v/v1.0.0.zip"),
            version("example.test/a", "v1.0.0")
        );
        assert_eq!(
            one("go: example.test/a@v1.2.3/go.mod: verifying module: checksum mismatch"),
            version("example.test/a", "v1.2.3")
        );
        let relative = read("../../go/pkg/mod/example.test/!big@v1.0.0/x.go:3:1: syntax error");
        assert!(relative.modules);
        assert_eq!(relative.versions, version("example.test/Big", "v1.0.0"));
        assert!(one("verifying mail me@vienna: checksum mismatch").is_empty());
    }
}
