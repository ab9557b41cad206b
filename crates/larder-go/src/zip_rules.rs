//! The rules that every module zip must keep (`golang.org/x/mod/zip`, `checkZip`).
//!
//! A zip that breaks one is refused whole: names that lead out of the module's folder, that only
//! differ in case, that no file system takes, or content that is too large.

use std::collections::HashMap;

use crate::module_path::{self, ModuleVersion};
use crate::semver;

/// The largest zip, and the largest sum of what is in one, in bytes (`MaxZipFile`).
pub const MAX_ZIP: u64 = 500 << 20;

/// The largest go.mod and the largest LICENSE in a zip, in bytes (`MaxGoMod`, `MaxLICENSE`).
pub const MAX_TEXT: u64 = 16 << 20;

/// The rules on their way through the members of one zip.
#[derive(Debug)]
pub struct ZipRules {
    prefix: String,
    /// By the name with its case folded: the name itself, and whether it is a folder.
    names: HashMap<String, (String, bool)>,
    size: u64,
}

/// What a member is, after its name was held against the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A file of the module.
    File,
    /// A folder, which is of no consequence.
    Folder,
}

impl ZipRules {
    /// The rules for one version; an error where such a version cannot be in a zip.
    pub fn new(module: &ModuleVersion) -> Result<Self, String> {
        let ModuleVersion { path, version } = module;
        if !module_path::is_valid(path) {
            return Err(format!("{path:?} is not a valid module path"));
        }
        if semver::canonical(version).as_deref() != Some(version) {
            return Err(format!("version {version:?} is not canonical"));
        }
        let major = module_path::split_major(path).map_or("", |(_, major)| major);
        if !module_path::major_allows(major, version) {
            return Err(format!("version {version} does not fit the module path {path}"));
        }
        Ok(Self { prefix: format!("{module}/"), names: HashMap::new(), size: 0 })
    }

    /// What every name begins with: `module@version/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Holds one member against the rules; its size in bytes unpacked.
    pub fn member(&mut self, name: &[u8], size: u64) -> Result<Member, String> {
        let Some(inner) = name.strip_prefix(self.prefix.as_bytes()) else {
            return Err(format!("its name does not begin with {:?}", self.prefix));
        };
        if inner.is_empty() {
            return Ok(Member::Folder);
        }
        let inner = std::str::from_utf8(inner).map_err(|_| "its name is not UTF-8".to_owned())?;
        let folder = inner.strip_suffix('/');
        let path = folder.unwrap_or(inner);
        if !module_path::is_valid_file(path) {
            return Err("its name is not one that every file system takes".to_owned());
        }
        self.collides(path, folder.is_some())?;
        if folder.is_some() {
            return Ok(Member::Folder);
        }
        Self::text_files(path, size)?;
        self.size = self.size.saturating_add(size);
        if self.size > MAX_ZIP {
            return Err(format!(
                "unpacked it is larger than {MAX_ZIP} bytes with what is before it"
            ));
        }
        Ok(Member::File)
    }

    fn text_files(path: &str, size: u64) -> Result<(), String> {
        let base = path.rsplit('/').next().unwrap_or(path);
        if base.eq_ignore_ascii_case("go.mod") && path != "go.mod" {
            let why = if path == base { "go.mod is written small" } else { "a module in a module" };
            return Err(why.to_owned());
        }
        if (path == "go.mod" || path == "LICENSE") && size > MAX_TEXT {
            return Err(format!("it is larger than {MAX_TEXT} bytes"));
        }
        Ok(())
    }

    /// The name and every folder above it against the names before it.
    fn collides(&mut self, path: &str, folder: bool) -> Result<(), String> {
        let (mut path, mut folder) = (path, folder);
        loop {
            match self.names.get(&fold(path)) {
                Some((other, _)) if other != path => {
                    return Err(format!("it differs from {other:?} in case only"));
                }
                Some((_, other)) if *other != folder => {
                    return Err(format!("{path:?} is both a file and a folder"));
                }
                Some(_) if !folder => return Err("it is there twice".to_owned()),
                // What is above a known folder is known.
                Some(_) => return Ok(()),
                None => self.names.insert(fold(path), (path.to_owned(), folder)),
            };
            let Some((above, _)) = path.rsplit_once('/') else { return Ok(()) };
            (path, folder) = (above, true);
        }
    }
}

/// The same text for names that differ in case only (`strToFold`).
fn fold(text: &str) -> String {
    text.chars().map(fold_char).collect()
}

/// The same for all letters that simple case folding makes equal: by way of the capital letter,
/// since several small ones can share it (`σ` and `ς`).
fn fold_char(c: char) -> char {
    // Its capital is `I`, yet folding leaves the dotless one alone.
    if c == 'ı' {
        return c;
    }
    let small = single(c.to_lowercase(), c);
    let capital = single(small.to_uppercase(), small);
    single(capital.to_lowercase(), capital)
}

fn single(mut chars: impl Iterator<Item = char>, or: char) -> char {
    match (chars.next(), chars.next()) {
        (Some(only), None) => only,
        _ => or,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> ZipRules {
        ZipRules::new(&ModuleVersion::new("example.com/m", "v1.0.0")).unwrap()
    }

    /// Whether the last of these names is refused, the others being fine.
    fn refused(names: &[&str]) -> Option<String> {
        let mut rules = rules();
        let (last, before) = names.split_last().unwrap();
        let full = |name: &str| format!("example.com/m@v1.0.0/{name}");
        for name in before {
            rules.member(full(name).as_bytes(), 1).unwrap();
        }
        rules.member(full(last).as_bytes(), 1).err()
    }

    #[test]
    fn names_that_break_a_rule_are_refused() {
        for (names, why) in [
            (&["../x"][..], "every file system"),
            (&["/x"], "every file system"),
            (&["a//b"], "every file system"),
            (&["a/./b"], "every file system"),
            (&["a\\b"], "every file system"),
            (&["a:b"], "every file system"),
            (&["con.txt"], "every file system"),
            (&["a./b"], "every file system"),
            (&["a\nb"], "every file system"),
            (&["A.go", "a.go"], "in case only"),
            (&["Σ.go", "ς.go"], "in case only"),
            (&["K/x.go", "k/y.go"], "in case only"),
            (&["a", "a/b"], "both a file and a folder"),
            (&["a/b", "a"], "both a file and a folder"),
            (&["a", "a"], "twice"),
            (&["GO.MOD"], "written small"),
            (&["sub/go.mod"], "module in a module"),
            (&["sub/Go.Mod"], "module in a module"),
        ] {
            let found = refused(names).unwrap_or_default();
            assert!(found.contains(why), "{names:?}: {found:?}");
        }
    }

    #[test]
    fn names_that_keep_the_rules_are_taken() {
        for names in [
            &["go.mod"][..],
            &["-x", "a b", "~a", "é.go", "日本.go", "(a)[b]{c}", ".hidden", "a..b"],
            &["a/b", "a/c", "a/d/e"],
            &["a/", "a/b", "a/"],
            &["ı", "i"],
        ] {
            assert_eq!(refused(names), None, "{names:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut rules = rules();
        let mut member = |name: &str, size| {
            rules.member(format!("example.com/m@v1.0.0/{name}").as_bytes(), size).is_ok()
        };
        assert!(member("go.mod", MAX_TEXT));
        assert!(!member("LICENSE", MAX_TEXT + 1));
        assert!(member("a", MAX_ZIP - MAX_TEXT));
        assert!(!member("b", 1));
        assert!(!member("c", u64::MAX));
    }

    #[test]
    fn a_foreign_prefix_is_refused() {
        for name in ["example.com/m@v1.0.1/a", "a", "example.com/m@v1.0.0"] {
            assert!(rules().member(name.as_bytes(), 1).is_err(), "{name}");
        }
    }

    #[test]
    fn versions_that_no_zip_has_are_refused() {
        for (path, version) in
            [("example.com/m", "v1"), ("example.com/m", "v2.0.0"), ("m", "v1.0.0"), ("", "")]
        {
            assert!(ZipRules::new(&ModuleVersion::new(path, version)).is_err(), "{path}@{version}");
        }
    }
}
