//! What the names in a module cache mean, without a look at the disk.
//!
//! One place says what the go command may have written and where; the scan, the proof before a
//! removal and the removal itself all ask it. What has no meaning here is foreign: it is listed
//! and never removed. The layout is that of `cmd/go/internal/modfetch/cache.go` and
//! `cmd/go/internal/modfetch/codehost/codehost.go`.

use std::path::PathBuf;

use crate::{module_path, semver};

/// The module whose versions are Go toolchains (`cmd/go/internal/modfetch/toolchain.go`).
pub const TOOLCHAIN_MODULE: &str = "golang.org/toolchain";

/// The module that Go unpacks from its own GOROOT: it has neither zip nor ziphash
/// (`cmd/go/internal/modfetch/cache.go`, `DownloadDir`).
pub const FIPS_MODULE: &str = "golang.org/fips140";

/// What a name directly below the root, or below a folder of a module path, means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeName {
    /// An element of a module path.
    Element,
    /// An extracted version: the last element and the version, the element still escaped.
    Version {
        /// The last element of the module path, escaped.
        element: String,
        /// The version, unescaped.
        version: String,
    },
    /// What Go before 1.16 extracted into, and did not come to rename.
    Temporary {
        /// The last element of the module path, escaped.
        element: String,
        /// The version, unescaped.
        version: String,
    },
    /// Nothing that Go writes.
    Foreign,
}

/// Reads the name of a folder of the extracted tree; `first` where it stands at the root.
pub fn tree_name(name: &str, first: bool) -> TreeName {
    let Some((element, rest)) = name.split_once('@') else {
        return if element_ok(name, first) { TreeName::Element } else { TreeName::Foreign };
    };
    if !element_ok(element, first) {
        return TreeName::Foreign;
    }
    let element = element.to_owned();
    if let Some(version) = version_of(rest) {
        return TreeName::Version { element, version };
    }
    match rest.rsplit_once(".tmp-") {
        Some((version, digits)) if all_digits(digits) => match version_of(version) {
            Some(version) => TreeName::Temporary { element, version },
            None => TreeName::Foreign,
        },
        _ => TreeName::Foreign,
    }
}

/// Which of the files of a version a name in an `@v` folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// When and whence, as JSON.
    Info,
    /// The go.mod file.
    Mod,
    /// The files, packed.
    Zip,
    /// The `h1:` hash of the zip.
    Ziphash,
    /// Guards download and extraction.
    Lock,
    /// Marks an extraction that is not finished.
    Partial,
}

impl Part {
    /// The ending of the file's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Mod => "mod",
            Self::Zip => "zip",
            Self::Ziphash => "ziphash",
            Self::Lock => "lock",
            Self::Partial => "partial",
        }
    }

    /// Its bit in a set of parts.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }

    fn of(suffix: &str) -> Option<Self> {
        [Self::Info, Self::Mod, Self::Zip, Self::Ziphash, Self::Lock, Self::Partial]
            .into_iter()
            .find(|part| part.suffix() == suffix)
    }
}

/// What a file's name in an `@v` folder means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownloadName<'a> {
    /// The list of versions.
    List,
    /// A part of a version; the version is still escaped.
    Part(&'a str, Part),
    /// A file that was being written when its writer ended, and of which version; escaped.
    Temporary(&'a str, Part),
    /// What Go before 1.21 remembered of a branch or a commit, such as `master.info`.
    Revision,
    /// Nothing that Go writes.
    Foreign,
}

/// Reads the name of a file of an `@v` folder.
pub fn download_name(name: &str) -> DownloadName<'_> {
    if name == "list" {
        return DownloadName::List;
    }
    let (stem, temporary) = match name.strip_suffix(".tmp") {
        Some(stem) => {
            let stripped = stem.trim_end_matches(|c: char| c.is_ascii_digit());
            if stripped.len() == stem.len() {
                return DownloadName::Foreign;
            }
            (stripped, true)
        }
        None => (name, false),
    };
    let Some((version, part)) =
        stem.rsplit_once('.').and_then(|(v, suffix)| Some((v, Part::of(suffix)?)))
    else {
        return DownloadName::Foreign;
    };
    match (version_of(version).is_some(), temporary) {
        (true, false) => DownloadName::Part(version, part),
        (true, true) if !matches!(part, Part::Lock | Part::Partial) => {
            DownloadName::Temporary(version, part)
        }
        (false, false)
            if part == Part::Info && module_path::unescape_version(version).is_some() =>
        {
            DownloadName::Revision
        }
        _ => DownloadName::Foreign,
    }
}

/// What a name in `cache/vcs` means; the hash is that of `type:url`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VcsName<'a> {
    /// The repository itself.
    Repository(&'a str),
    /// What it is a copy of.
    Info(&'a str),
    /// Guards it.
    Lock(&'a str),
    /// Nothing that Go writes.
    Foreign,
}

/// Reads a name in `cache/vcs`.
pub fn vcs_name(name: &str) -> VcsName<'_> {
    let (hash, suffix) = name.split_once('.').unwrap_or((name, ""));
    let is_hash = hash.len() == 64 && hash.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    match (is_hash, suffix) {
        (true, "") if !name.ends_with('.') => VcsName::Repository(hash),
        (true, "info") => VcsName::Info(hash),
        (true, "lock") => VcsName::Lock(hash),
        _ => VcsName::Foreign,
    }
}

/// Whether this may be an escaped element of a module path; the first one is a host's name.
pub fn element_ok(element: &str, first: bool) -> bool {
    let ok = |c: u8| {
        matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.') || (c == b'!' && !first)
    };
    !element.is_empty()
        && !element.starts_with('.')
        && !element.ends_with('.')
        && element.bytes().all(ok)
        && (!first || element.contains('.'))
}

/// `<escaped module>@<escaped version>`, relative to the root.
pub fn extracted_path(module: &str, version: &str) -> Option<PathBuf> {
    let (module, version) = (module_path::escape(module)?, escape_version(version)?);
    Some(PathBuf::from(format!("{module}@{version}")))
}

/// `cache/download/<escaped module>/@v`, relative to the root.
pub fn download_folder(module: &str) -> Option<PathBuf> {
    Some(PathBuf::from(format!("cache/download/{}/@v", module_path::escape(module)?)))
}

/// The name of one of a version's files in its `@v` folder.
pub fn part_name(version: &str, part: Part) -> Option<String> {
    Some(format!("{}.{}", escape_version(version)?, part.suffix()))
}

/// The version out of its escaped form, where it is one that the cache may hold: canonical
/// (`cmd/go/internal/modfetch/cache.go`, `CachePath`).
pub fn version_of(escaped: &str) -> Option<String> {
    module_path::unescape_version(escaped).filter(|version| semver::is_canonical(version))
}

fn escape_version(version: &str) -> Option<String> {
    module_path::escape_version(version).filter(|_| semver::is_canonical(version))
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_tree() {
        let version = |element: &str, version: &str| TreeName::Version {
            element: element.to_owned(),
            version: version.to_owned(),
        };
        assert_eq!(tree_name("github.com", true), TreeName::Element);
        assert_eq!(tree_name("!burnt!sushi", false), TreeName::Element);
        assert_eq!(tree_name("toml@v1.2.3", false), version("toml", "v1.2.3"));
        assert_eq!(tree_name("a@v1.0.0-!r!c1", false), version("a", "v1.0.0-RC1"));
        assert_eq!(tree_name("filippo.io@v1.0.0", true), version("filippo.io", "v1.0.0"));
        assert_eq!(
            tree_name("a@v1.2.3.tmp-123", false),
            TreeName::Temporary { element: "a".into(), version: "v1.2.3".into() }
        );
        for foreign in
            [".git", "nodot", "notes.", "a@b.c", "a@v1", "a@v1.2.3.tmp-", "Caps.com", "a@v1.0.0 "]
        {
            assert_eq!(tree_name(foreign, true), TreeName::Foreign, "{foreign}");
        }
        assert_eq!(tree_name("x@latest", false), TreeName::Foreign);
        assert_eq!(tree_name("x@v1.0.0@v1.0.0", false), TreeName::Foreign);
    }

    #[test]
    fn names_of_a_download_folder() {
        use DownloadName as D;
        assert_eq!(download_name("list"), D::List);
        assert_eq!(download_name("v1.2.3.zip"), D::Part("v1.2.3", Part::Zip));
        assert_eq!(download_name("v1.2.3-!r!c1.mod"), D::Part("v1.2.3-!r!c1", Part::Mod));
        assert_eq!(download_name("v1.2.3.ziphash"), D::Part("v1.2.3", Part::Ziphash));
        assert_eq!(download_name("v1.2.3.zip4711.tmp"), D::Temporary("v1.2.3", Part::Zip));
        assert_eq!(download_name("v1.2.3.info1.tmp"), D::Temporary("v1.2.3", Part::Info));
        assert_eq!(download_name("master.info"), D::Revision);
        for foreign in
            ["v1.2.3", "v1.2.3.txt", "v1.2.3.zip.tmp", "notes", "master.mod", "v1.2.zip", ".zip"]
        {
            assert_eq!(download_name(foreign), D::Foreign, "{foreign}");
        }
    }

    #[test]
    fn names_of_repositories() {
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(vcs_name(&hash), VcsName::Repository(&hash));
        assert_eq!(vcs_name(&format!("{hash}.info")), VcsName::Info(&hash));
        assert_eq!(vcs_name(&format!("{hash}.lock")), VcsName::Lock(&hash));
        for foreign in [&hash[1..], "x.info", &format!("{hash}."), &hash.to_uppercase()] {
            assert_eq!(vcs_name(foreign), VcsName::Foreign, "{foreign}");
        }
    }

    #[test]
    fn paths_are_escaped_and_checked() {
        assert_eq!(
            extracted_path("github.com/BurntSushi/toml", "v1.0.0").unwrap(),
            PathBuf::from("github.com/!burnt!sushi/toml@v1.0.0")
        );
        assert_eq!(extracted_path("../x.com", "v1.0.0"), None);
        assert_eq!(extracted_path("x.com/y", "../v1.0.0"), None);
        assert_eq!(extracted_path("x.com/y", "latest"), None);
        assert_eq!(part_name("v1.0.0", Part::Zip).unwrap(), "v1.0.0.zip");
    }
}
