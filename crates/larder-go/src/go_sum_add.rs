//! Lines added to a go.sum or go.work.sum, as the go command adds them
//! (`cmd/go/internal/modfetch/fetch.go`, `WriteGoSum`).
//!
//! Promises: no line that stands there is changed, moved or removed; a new one comes before the
//! first that sorts after it, which in a file that go wrote is where go puts it; the file is
//! replaced whole or not at all, under the go command's own lock (`cache/lock`), and read again
//! under it, so that what another process added meanwhile stays.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::Meter;
use larder_fs::{Dir, FileLock, LockError, forget_staged, write_atomic};

use crate::extract::open_or_make;
use crate::go_sum::{GoSum, GoSumError};
use crate::h1::H1;
use crate::semver;

/// One line of a go.sum.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SumLine {
    /// The module's path.
    pub module: String,
    /// Its version, or `version/go.mod`.
    pub version: String,
    /// The hash.
    pub hash: H1,
}

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// Somebody holds the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It is no go.sum any more.
    #[error(transparent)]
    Malformed(#[from] GoSumError),
    /// Meanwhile it says something else of the same version.
    #[error("{} has another hash of {module} {version} by now", path.display())]
    Contradicted {
        /// The file.
        path: PathBuf,
        /// The module's path.
        module: String,
        /// Its version, or `version/go.mod`.
        version: String,
    },
    /// It cannot be read or written.
    #[error("cannot add to {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Adds the lines that the file does not have, and says how many. The file is made where it is
/// missing; a symlink to it stays one. `modcache` is GOMODCACHE, whose lock is taken.
pub fn add(
    path: &Path,
    lines: &[SumLine],
    modcache: &Dir,
    wait: Duration,
    meter: &Meter,
) -> Result<usize, AddError> {
    let failed = |source| AddError::Io { path: path.to_owned(), source };
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // What an addition left that was killed; where that cannot be done it is no harm.
    let _ = forget_staged(&real);
    if lines.is_empty() {
        return Ok(0);
    }
    let cache = open_or_make(modcache, Path::new("cache")).map_err(failed)?;
    let lock = cache.open_lock(OsStr::new("lock")).map_err(failed)?;
    let _side = FileLock::exclusive(lock, &cache.path().join("lock"), wait, meter)?;
    // A go command with another module cache locks the file itself.
    let _own = match File::options().read(true).write(true).open(&real) {
        Ok(file) if cfg!(unix) => Some(FileLock::exclusive(file, &real, wait, meter)?),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(failed(source)),
    };
    let content = match fs::read(&real) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(failed(source)),
    };
    let sum = GoSum::parse(path, &content)?;
    let mut missing: Vec<&SumLine> = Vec::new();
    for line in lines {
        if sum.contradicts(&line.module, &line.version, line.hash).is_some() {
            let (module, version) = (line.module.clone(), line.version.clone());
            return Err(AddError::Contradicted { path: path.to_owned(), module, version });
        }
        let hashes = sum.hashes(&line.module, &line.version);
        if !hashes.contains(&line.hash.to_string()) && !missing.contains(&line) {
            missing.push(line);
        }
    }
    if missing.is_empty() {
        return Ok(0);
    }
    let texts: Vec<String> = missing
        .iter()
        .map(|line| format!("{} {} {}\n", line.module, line.version, line.hash))
        .collect();
    write_atomic(&real, &with(&content, &texts)).map_err(failed)?;
    Ok(missing.len())
}

/// The content with these lines, each before the first line that sorts after it.
fn with(content: &[u8], lines: &[String]) -> Vec<u8> {
    let mut new: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    new.sort_by(|a, b| order(a, b));
    let mut new = new.into_iter().peekable();
    let mut text = Vec::with_capacity(content.len() + lines.len() * 100);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        while new.peek().is_some_and(|next| order(next, line) == Ordering::Less) {
            text.extend_from_slice(new.next().unwrap_or_default());
        }
        text.extend_from_slice(line);
    }
    if new.peek().is_some() && text.last().is_some_and(|byte| *byte != b'\n') {
        text.push(b'\n');
    }
    text.extend(new.flatten());
    text
}

/// Paths by their letters, versions as versions, the go.mod's hash after the content's
/// (`golang.org/x/mod/module`, `Sort`). What is no line of three words comes first.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let words = |line: &'_ str| -> Option<[String; 4]> {
        let mut words = line.split_whitespace();
        let (module, version, hash) = (words.next()?, words.next()?, words.next()?);
        let (version, file) = version.split_at(version.find('/').unwrap_or(version.len()));
        Some([module, version, file, hash].map(str::to_owned))
    };
    match (words(&a), words(&b)) {
        (
            Some([module_a, version_a, file_a, hash_a]),
            Some([module_b, version_b, file_b, hash_b]),
        ) => module_a
            .cmp(&module_b)
            .then_with(|| semver::compare_total(&version_a, &version_b))
            .then_with(|| file_a.cmp(&file_b))
            .then_with(|| hash_a.cmp(&hash_b)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(module: &str, version: &str, of: &[u8]) -> SumLine {
        let (module, version) = (module.to_owned(), version.to_owned());
        SumLine { module, version, hash: H1::of_go_mod(of) }
    }

    fn added(content: &str, lines: &[&str]) -> String {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        String::from_utf8(with(content.as_bytes(), &lines)).unwrap()
    }

    #[test]
    fn lines_come_where_go_puts_them() {
        let have = "a v1.2.0 h1:1\na v1.2.0/go.mod h1:2\na v1.10.0/go.mod h1:3\n";
        let new = ["a v1.10.0 h1:4", "a v1.9.0/go.mod h1:5", "A v1.0.0 h1:6", "b v1.0.0 h1:7"];
        assert_eq!(
            added(have, &new),
            "A v1.0.0 h1:6\na v1.2.0 h1:1\na v1.2.0/go.mod h1:2\na v1.9.0/go.mod h1:5\n\
             a v1.10.0 h1:4\na v1.10.0/go.mod h1:3\nb v1.0.0 h1:7\n"
        );
    }

    #[test]
    fn what_stands_there_stays_as_it_is() {
        let have = "\nz v1.0.0 h1:1\r\n  a v1.0.0\th1:2\n\nc v1.0.0 h9:x";
        let now = added(have, &["b v1.0.0 h1:3", "zz v1.0.0 h1:4"]);
        assert_eq!(
            now,
            "\nb v1.0.0 h1:3\nz v1.0.0 h1:1\r\n  a v1.0.0\th1:2\n\nc v1.0.0 h9:x\nzz v1.0.0 h1:4\n"
        );
        assert_eq!(added("x v1.0.0 h1:1", &[]), "x v1.0.0 h1:1");
    }

    #[test]
    fn a_file_is_read_again_under_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (modcache, file) = (folder.path().join("mod"), folder.path().join("go.sum"));
        fs::create_dir(&modcache).unwrap();
        let dir = Dir::open_root(&modcache).unwrap();
        let lines = [line("m", "v1.0.0", b"1"), line("m", "v1.0.0/go.mod", b"2")];
        let add =
            |lines: &[SumLine]| super::add(&file, lines, &dir, Duration::ZERO, &Meter::default());
        assert_eq!(add(&lines).unwrap(), 2);
        let text = fs::read(&file).unwrap();
        assert_eq!(add(&lines).unwrap(), 0);
        let other = add(&[line("n", "v1.0.0", b"1"), line("m", "v1.0.0", b"3")]).unwrap_err();
        assert!(matches!(other, AddError::Contradicted { .. }), "{other}");
        assert_eq!(fs::read(&file).unwrap(), text, "all or nothing");
        let lock = File::options().write(true).open(modcache.join("cache/lock")).unwrap();
        let held = FileLock::exclusive(lock, &modcache, Duration::ZERO, &Meter::default());
        let busy = add(&[line("n", "v1.0.0", b"1")]).unwrap_err();
        assert!(matches!(busy, AddError::Lock(LockError::Busy { .. })), "{busy}");
        drop(held);
        assert_eq!(add(&[line("n", "v1.0.0", b"1")]).unwrap(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("go.sum"));
        fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let dir = Dir::open_root(folder.path()).unwrap();
        let lines = [line("m", "v1.0.0", b"1")];
        add(&link, &lines, &dir, Duration::ZERO, &Meter::default()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(!fs::read(&real).unwrap().is_empty());
    }
}
