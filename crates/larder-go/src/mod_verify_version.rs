//! One version of a module, every part of it held against the others and against what projects
//! and the checksum database expect.
//!
//! Which of two parts is wrong is decided by a third: a go.sum, the checksum database, or the
//! agreement of the other parts. Where nothing decides, all of them have to be fetched again.

use std::io;
use std::path::{Path, PathBuf};

use larder_core::{Bad, CacheKind, Check};
use larder_fs::Dir;
use sha2::{Digest as _, Sha256};

use crate::folder_compare::Comparison;
use crate::folder_hash::{self, Folder};
use crate::gomod;
use crate::h1::{FileHash, H1};
use crate::mod_names::{
    FIPS_MODULE, Part, TOOLCHAIN_MODULE, download_folder, extracted_path, part_name,
};
use crate::mod_scan::{ModVersion, part_path};
use crate::mod_verify::{CONTENT, Found, ModVerify, cache_of, os};
use crate::module_path::ModuleVersion;
use crate::module_zip::{Content, ModuleZip, Scratch, ZipError};

/// The longest `.info`, `.ziphash` or `.mod` that is read, in bytes (`MaxGoMod`).
const MOST: usize = 16 << 20;

/// What is found where a zip has no `.ziphash` beside it.
pub const NO_ZIPHASH: &str = "nothing";

/// So many files are named of a folder that differs.
const MOST_DIFFERENCES: usize = 10;

/// One version being looked at.
pub(crate) struct Looking<'a, 's> {
    verify: &'a ModVerify<'a>,
    version: &'a ModVersion,
    module: ModuleVersion,
    cache: CacheKind,
    scratch: &'s mut Scratch,
    found: Found,
}

/// What the parts of a version add up to; `None` for what is not there or is no use.
#[derive(Default)]
struct Parts {
    zip: Option<Content>,
    ziphash: Option<H1>,
    folder: Option<Folder>,
}

impl<'a, 's> Looking<'a, 's> {
    pub(crate) fn new(
        verify: &'a ModVerify<'a>,
        version: &'a ModVersion,
        scratch: &'s mut Scratch,
    ) -> Self {
        let module = ModuleVersion::new(&*version.module, &*version.version);
        let cache = cache_of(&version.module);
        Self { verify, version, module, cache, scratch, found: Found::default() }
    }

    pub(crate) fn run(mut self) -> Found {
        let folder = download_folder(&self.module.path)
            .and_then(|path| self.verify.root.open_path(&path).ok());
        let mut parts = Parts::default();
        if let Some(folder) = &folder {
            self.info(folder);
            parts.ziphash = self.ziphash(folder);
            self.zip(folder, &mut parts);
        }
        if self.version.is_complete() && parts.folder.is_none() {
            parts.folder = self.folder();
        }
        self.content(&parts);
        if let Some(folder) = &folder {
            self.go_mod(folder, parts.zip.as_ref());
        }
        self.found
    }

    fn subject(&self) -> String {
        self.module.to_string()
    }

    fn cannot(&mut self, reason: impl Into<String>) {
        let subject = self.subject();
        self.found.cannot(self.cache, &subject, reason);
    }

    fn bad(&mut self, check: Check, path: PathBuf, expected: String, found: String) -> &mut Bad {
        let wanted = &self.module;
        let projects = self
            .verify
            .sums
            .iter()
            .filter(|project| !project.sum.hashes(&wanted.path, &wanted.version).is_empty());
        let mut used_by: Vec<String> = projects.map(|p| p.project.clone()).collect();
        used_by.dedup();
        self.found.bad.push(Bad {
            cache: self.cache,
            subject: self.module.to_string(),
            check,
            expected,
            found,
            details: Vec::new(),
            path,
            used_by,
            removes: Vec::new(),
            fixed: false,
        });
        let last = self.found.bad.len() - 1;
        &mut self.found.bad[last]
    }

    /// A part's bytes; `None`, and said so, where it is not there or cannot be read.
    fn read(&mut self, folder: &Dir, part: Part) -> Option<Vec<u8>> {
        if !self.version.parts.has(part) {
            return None;
        }
        let name = part_name(&self.module.version, part)?;
        match folder.read(os(&name), MOST) {
            Ok(bytes) => {
                self.found.bytes += bytes.len() as u64;
                Some(bytes)
            }
            // Removed since the walk.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.cannot(format!("its .{} cannot be read: {error}", part.suffix()));
                None
            }
        }
    }

    fn part(&self, part: Part) -> Vec<PathBuf> {
        part_path(&self.module.path, &self.module.version, part).into_iter().collect()
    }

    fn path(&self, part: Part) -> PathBuf {
        let rel = part_path(&self.module.path, &self.module.version, part);
        self.verify.full(&rel.unwrap_or_default())
    }

    /// JSON that names this version (`cmd/go/internal/modfetch/cache.go`, `readDiskStat`).
    fn info(&mut self, folder: &Dir) {
        let Some(bytes) = self.read(folder, Part::Info) else { return };
        let expected = format!("JSON with the version {}", self.module.version);
        let found = match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(info) => match info.get("Version").and_then(serde_json::Value::as_str) {
                Some(version) if version == self.module.version => return,
                Some(version) => format!("the version {version}"),
                None => "no version".to_owned(),
            },
            Err(_) if bytes.is_empty() => "an empty file".to_owned(),
            Err(error) => format!("no JSON: {error}"),
        };
        let path = self.path(Part::Info);
        let removes = self.part(Part::Info);
        self.bad(Check::Info, path, expected, found).removes = removes;
    }

    fn ziphash(&mut self, folder: &Dir) -> Option<H1> {
        let bytes = self.read(folder, Part::Ziphash)?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        match text.parse() {
            Ok(hash) => Some(hash),
            Err(_) => {
                let path = self.path(Part::Ziphash);
                let shown: String = text.chars().take(80).collect();
                let bad =
                    self.bad(Check::Ziphash, path, "an h1: hash".into(), format!("{shown:?}"));
                bad.removes = Vec::new();
                None
            }
        }
    }

    /// Reads the zip, and the folder beside it in the same pass: one that is the same byte for
    /// byte need not be hashed.
    fn zip(&mut self, folder: &Dir, parts: &mut Parts) {
        let name = part_name(&self.module.version, Part::Zip);
        let Some(name) = name.filter(|_| self.version.parts.has(Part::Zip)) else { return };
        let file = match folder.open_file(os(&name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.cannot(format!("its zip cannot be read: {error}")),
        };
        let mut beside = self.extracted().map(Comparison::new);
        let opened = ModuleZip::open(file, &self.module);
        let read = opened.and_then(|zip| {
            self.found.bytes += zip.length();
            match &mut beside {
                Some(beside) => zip.unpack(beside, self.scratch, self.verify.meter),
                None => zip.content(self.scratch, self.verify.meter),
            }
        });
        match read {
            Ok(content) => {
                if let Some(beside) = beside.filter(Comparison::is_same) {
                    self.found.bytes += beside.bytes;
                    self.verify.meter.add(0, beside.bytes);
                    let (h1, files) = (content.folder_h1, Vec::new());
                    parts.folder = Some(Folder { h1, files, odd: Vec::new(), bytes: 0 });
                }
                parts.zip = Some(content);
            }
            Err(ZipError::Stopped) => {}
            Err(error) if error.is_bad_zip() => {
                let path = self.path(Part::Zip);
                let expected = "a zip that keeps the rules of module zips".to_owned();
                self.bad(Check::ZipRules, path, expected, error.to_string());
            }
            Err(error) => self.cannot(format!("its zip cannot be read: {error}")),
        }
    }

    /// The extracted folder, where go takes it for whole.
    fn extracted(&self) -> Option<Dir> {
        let path = extracted_path(&self.module.path, &self.module.version)?;
        self.verify.root.open_path(&path).ok().filter(|_| self.version.is_complete())
    }

    fn folder(&mut self) -> Option<Folder> {
        let path = extracted_path(&self.module.path, &self.module.version)?;
        let prefix = format!("{}/", self.module);
        let dir = match self.verify.root.open_path(&path) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.cannot(format!("its folder cannot be read: {error}"));
                return None;
            }
        };
        match folder_hash::hash(&dir, &prefix, self.verify.meter) {
            Ok(mut folder) => {
                self.found.bytes += folder.bytes;
                if self.module.path == TOOLCHAIN_MODULE {
                    folder.without_copies();
                }
                Some(folder)
            }
            Err(_) if self.verify.meter.stopped() => None,
            Err(error) => {
                self.cannot(format!("its folder cannot be read: {}: {}", error, error.source));
                None
            }
        }
    }

    /// The hash that go.sum files and the checksum database expect of `version`, or of
    /// `version/go.mod`; what they say against `found` is noted.
    fn expected(&mut self, version: &str, found: H1, path: &Path) -> Option<H1> {
        let mut expected = None;
        let mut disagree = Vec::new();
        for project in self.verify.sums {
            match project.sum.contradicts(&self.module.path, version, found) {
                Some(hash) => {
                    disagree.push((project, hash));
                    expected = expected.or_else(|| hash.parse().ok());
                }
                None if !project.sum.hashes(&self.module.path, version).is_empty() => {
                    expected = Some(found);
                }
                None => {}
            }
        }
        let database = self.database(version);
        for (project, hash) in disagree {
            let subject = format!("go.sum of {}", project.project);
            let wrong_sum = database.is_some_and(|proven| proven.to_string() != hash);
            let of_sum = project.sum.path().to_owned();
            let bad = self.bad(Check::GoSum, path.to_owned(), hash.to_owned(), found.to_string());
            bad.used_by = vec![project.project.clone()];
            bad.details.push(format!("expected by {}", of_sum.display()));
            if wrong_sum {
                bad.path = of_sum;
                bad.details.push(format!(
                    "the checksum database has {} for {}: an attacker would have had to change \
                     this go.sum; larder does not rewrite it",
                    database.map_or_else(String::new, |proven| proven.to_string()),
                    bad.subject,
                ));
                bad.subject = subject;
            } else {
                bad.details.push(
                    "an attacker would have had to change the module cache, or what was \
                     downloaded into it"
                        .to_owned(),
                );
            }
        }
        if let Some(proven) = database.filter(|proven| *proven != found) {
            self.bad(
                Check::ChecksumDatabase,
                path.to_owned(),
                proven.to_string(),
                found.to_string(),
            );
        }
        database.or(expected)
    }

    fn database(&mut self, version: &str) -> Option<H1> {
        let database = self.verify.database?;
        if !database.covers(&self.module.path) {
            return None;
        }
        let lines = match database.lines(&self.module.path, &self.module.version) {
            Ok(lines) => lines,
            Err(reason) => {
                self.cannot(format!("the checksum database: {reason}"));
                return None;
            }
        };
        let prefix = format!("{} {version} ", self.module.path);
        lines.iter().find_map(|line| line.strip_prefix(&prefix)?.trim().parse().ok())
    }

    /// Zip, `.ziphash` and folder against each other and against what is expected.
    fn content(&mut self, parts: &Parts) {
        let zip = parts.zip.as_ref().map(|content| content.h1);
        // A folder agrees with the hash of a zip that has entries for folders too where its files
        // are the zip's.
        let folder = parts.folder.as_ref().map(|folder| match &parts.zip {
            Some(content) if content.folder_h1 == folder.h1 && folder.odd.is_empty() => content.h1,
            _ => folder.h1,
        });
        let Some(own) = zip.or(parts.ziphash).or(folder) else { return self.nothing() };
        let version = self.module.version.clone();
        let path = self.path(Part::Zip);
        let before = self.found.bad.len();
        let expected = self.expected(&version, own, &path);
        let agree = |hash: H1| {
            [zip, parts.ziphash, folder].iter().flatten().filter(|other| **other == hash).count()
        };
        let by_majority =
            [parts.ziphash, zip, folder].into_iter().flatten().find(|h| agree(*h) > 1);
        // Go believes a zip without a hash beside it once its own proof is found.
        let alone = zip.filter(|_| !self.version.parts.has(Part::Ziphash));
        let right = expected.or(by_majority).or(alone);
        if let (Some(zip), Some(ziphash)) = (zip, parts.ziphash)
            && zip != ziphash
        {
            let path = if right == Some(zip) { self.path(Part::Ziphash) } else { path };
            let (expected, is) = if right == Some(zip) { (zip, ziphash) } else { (ziphash, zip) };
            self.bad(Check::Ziphash, path, expected.to_string(), is.to_string());
        }
        if let (Some(zip), None) = (zip, parts.ziphash)
            && !self.version.parts.has(Part::Ziphash)
            && !self.version.locked
        {
            // Go's own verification fails on that.
            let path = self.path(Part::Ziphash);
            self.bad(Check::Ziphash, path, zip.to_string(), NO_ZIPHASH.to_owned());
        }
        if let Some(found) = &parts.folder {
            self.compare_folder(found, folder, right.or(parts.ziphash).or(zip), parts);
        }
        if folder.is_some() && zip.is_none() && parts.ziphash.is_none() && expected.is_none() {
            return self.nothing();
        }
        self.decide(right, zip, parts.ziphash, folder, before);
    }

    fn nothing(&mut self) {
        if self.module.path == FIPS_MODULE && self.version.extracted.is_some() {
            self.cannot("Go unpacks it from its own GOROOT and keeps no hash of it");
        } else if self.version.is_complete() {
            self.cannot("there is no hash to hold its folder against");
        }
    }

    fn compare_folder(
        &mut self,
        found: &Folder,
        folder: Option<H1>,
        right: Option<H1>,
        parts: &Parts,
    ) {
        let (Some(folder), Some(right)) = (folder, right) else { return };
        let zip = parts.zip.as_ref().map(|content| content.h1);
        let others: Vec<H1> = [zip, parts.ziphash].into_iter().flatten().collect();
        let agrees = !others.is_empty() && others.iter().all(|hash| *hash == folder);
        if (folder == right || agrees) && found.odd.is_empty() {
            return;
        }
        let prefix = format!("{}/", self.module);
        let details = match &parts.zip {
            Some(content) if content.h1 == right => {
                folder_hash::differences(&content.files, found, &prefix, MOST_DIFFERENCES)
            }
            _ => Vec::new(),
        };
        let rel = extracted_path(&self.module.path, &self.module.version).unwrap_or_default();
        let path = self.verify.full(&rel);
        let is = if folder == right {
            "something that Go never extracts".to_owned()
        } else {
            folder.to_string()
        };
        self.bad(Check::Folder, path, right.to_string(), is).details = details;
    }

    /// What has to go: the parts that are not `right`; all of them where nobody knows what is.
    fn decide(
        &mut self,
        right: Option<H1>,
        zip: Option<H1>,
        ziphash: Option<H1>,
        folder: Option<H1>,
        before: usize,
    ) {
        let has = |part| self.version.parts.has(part);
        let wrong = |hash: Option<H1>| right.is_none() || hash != right;
        let odd = self.found.bad[before..].iter().any(|bad| bad.check == Check::Folder);
        let mut removes = Vec::new();
        // What is half made goes as a leftover.
        let whole = self.version.extracted.is_some() && !has(Part::Partial);
        if whole && (wrong(folder) || odd) {
            removes.extend(extracted_path(&self.module.path, &self.module.version));
        }
        for (part, hash) in CONTENT.into_iter().zip([zip, ziphash]) {
            if has(part) && wrong(hash) {
                removes.extend(part_path(&self.module.path, &self.module.version, part));
            }
        }
        for bad in self.found.bad.iter_mut().filter(|bad| goes(bad)) {
            bad.removes.clone_from(&removes);
        }
    }

    /// `.mod` against its `/go.mod` hashes, else against the go.mod in the zip.
    fn go_mod(&mut self, folder: &Dir, zip: Option<&Content>) {
        let Some(bytes) = self.read(folder, Part::Mod) else { return };
        let path = self.path(Part::Mod);
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = gomod::parse_dependency(&path, &text) {
            let (expected, removes) = ("a go.mod that can be parsed".into(), self.part(Part::Mod));
            self.bad(Check::GoMod, path, expected, error.to_string()).removes = removes;
            return;
        }
        let version = format!("{}/go.mod", self.module.version);
        let found = H1::of_go_mod(&bytes);
        let before = self.found.bad.len();
        if let Some(right) = self.expected(&version, found, &path) {
            // A go.sum alone may be what is wrong; with the zip on its side it is not.
            let of_zip = self.go_mod_in(zip).flatten().map(H1::of_go_mod_hash);
            let removes = self.part(Part::Mod);
            for bad in &mut self.found.bad[before..] {
                let of_cache = bad.path == path;
                if of_cache && (bad.check == Check::ChecksumDatabase || of_zip == Some(right)) {
                    bad.removes.clone_from(&removes);
                }
            }
            return;
        }
        match self.go_mod_in(zip) {
            Some(Some(hash)) if hash == Into::<FileHash>::into(Sha256::digest(&bytes)) => {}
            Some(Some(_)) => {
                let expected = "the go.mod in its zip".to_owned();
                let removes = self.part(Part::Mod);
                self.bad(Check::GoMod, path, expected, "another text".into()).removes = removes;
            }
            // What the go command writes for a module without go.mod
            // (`cmd/go/internal/modfetch/coderepo.go`, `legacyGoMod`).
            Some(None) if *bytes == *format!("module {}\n", self.module.path).as_bytes() => {}
            _ => self.cannot("no go.sum that was given has its .mod, nor is there a zip with it"),
        }
    }

    /// The hash of the go.mod in the zip: nothing where there is no zip to look into, and nothing
    /// in something where it has none.
    #[expect(clippy::option_option, reason = "no zip, and a zip without go.mod, are two answers")]
    fn go_mod_in(&self, zip: Option<&Content>) -> Option<Option<FileHash>> {
        let name = format!("{}/go.mod", self.module);
        let files = &zip?.files;
        // Older versions of Go kept the go.mod of such a version out of its `.mod`.
        if self.module.version.ends_with("+incompatible") {
            return Some(None);
        }
        let at = files.binary_search_by(|(other, _)| other.as_str().cmp(&name));
        Some(at.ok().map(|at| files[at].1))
    }
}

/// Whether what is wrong goes away with the parts of the version; a go.sum that is wrong stays,
/// and where only a go.sum speaks against a cache nobody knows yet who is right.
fn goes(bad: &Bad) -> bool {
    matches!(bad.check, Check::ZipRules | Check::Ziphash | Check::Folder | Check::ChecksumDatabase)
        && bad.path.extension().is_none_or(|extension| extension != "mod")
}
