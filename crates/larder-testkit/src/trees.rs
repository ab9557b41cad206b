//! Synthetic caches of any size, laid out as the go command lays them out, made by several
//! threads; the same arguments give the same tree but for its times.
//!
//! The build cache is valid to the byte (every output hashes to its name), the module cache is
//! one that `go mod verify` accepts. What they hold compiles to nothing.

use std::fs::{self, File, FileTimes};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::gomod::{h1, hex, mod_hash};
use crate::proxy::{PUBLISHED, zip_of};
use crate::rng::Rng;

/// What [`fake_gocache`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FakeBuildCache {
    /// Action and output files together, without `README` and `trim.txt`.
    pub files: u64,
    /// Their lengths together.
    pub bytes: u64,
}

/// One version in a [`FakeModCache`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeModule {
    /// Module path; no capitals, so it is its own escape.
    pub path: String,
    /// Version.
    pub version: String,
    /// `h1:` of the zip, as in `.ziphash` and go.sum.
    pub sum: String,
    /// `h1:` of the go.mod.
    pub mod_sum: String,
}

/// What [`fake_gomodcache`] made, sorted by module and version.
#[derive(Debug, Clone)]
pub struct FakeModCache {
    /// The folder, as for `GOMODCACHE`.
    pub dir: PathBuf,
    /// Every module version in it.
    pub modules: Vec<FakeModule>,
}

/// Fills `dir` as a build cache of `entries` files: half are actions of 175 bytes, half outputs
/// of 0 to 16 KB, used last between now and twelve days ago. `trim.txt` says: trimmed now.
pub fn fake_gocache(dir: &Path, entries: u64) -> FakeBuildCache {
    for high in 0..256 {
        fs::create_dir_all(dir.join(format!("{high:02x}"))).expect("make a cache folder");
    }
    let now = SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    write(&dir.join("README"), b"This directory holds cached build artifacts.\n");
    write(&dir.join("trim.txt"), seconds.to_string().as_bytes());
    let bytes = AtomicU64::new(0);
    let pairs = usize::try_from(entries.div_ceil(2)).expect("a number of files fits");
    in_parallel(pairs, |number| {
        let made = build_entry(dir, number as u64, now).expect("write a cache entry");
        bytes.fetch_add(made, Ordering::Relaxed);
    });
    FakeBuildCache { files: 2 * pairs as u64, bytes: bytes.into_inner() }
}

/// One action and its output; answers their bytes.
fn build_entry(dir: &Path, number: u64, now: SystemTime) -> io::Result<u64> {
    let mut rng = Rng::new(number);
    let content = output_content(number, &mut rng);
    let output = hex(&Sha256::digest(&content));
    let action = hex(&Sha256::digest(format!("action {number}")));
    let age = Duration::from_secs(rng.below(12 * 24 * 3600));
    let times = FileTimes::new().set_modified(now - age).set_accessed(now - age);
    let stamp = (now - age).duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let line = format!("v1 {action} {output} {:20} {stamp:20}\n", content.len());
    for (name, bytes) in [(&output, &content[..]), (&action, line.as_bytes())] {
        let suffix = if name == &output { "d" } else { "a" };
        let mut file = File::create(dir.join(&name[..2]).join(format!("{name}-{suffix}")))?;
        file.write_all(bytes)?;
        file.set_times(times)?;
    }
    Ok((content.len() + line.len()) as u64)
}

/// As in a real cache: two in five are archives and hold most of the bytes, one in four is a
/// module index, the rest are lists of files.
fn output_content(number: u64, rng: &mut Rng) -> Vec<u8> {
    let start = match number % 20 {
        0..8 => format!(
            "!<arch>\n__.PKGDEF       0           0           0       644     {:<10}`\n\
             go object linux amd64 go1.26.8 GOAMD64=v1\nbuild id \"{number:020}\"\n\n\n$$B\n",
            4096
        ),
        8..13 => format!("go index v2\n{number}\n"),
        _ => format!("./file{number}.go\n"),
    };
    let more = match number % 20 {
        0..8 => 1024 << rng.below(4) | rng.below(1024),
        8..13 => rng.below(2048),
        _ => rng.below(256),
    };
    let mut content = start.into_bytes();
    fill(&mut content, more, rng);
    content
}

/// Fills `dir` as a module cache: `modules` × `versions` module versions with `files_per_module`
/// files each (go.mod among them), files 0444, folders 0555, and for each version `.info`,
/// `.mod`, `.zip`, `.ziphash` and `.lock`, for each module its `list`.
///
/// Module `i` requires the next three at their first version.
pub fn fake_gomodcache(
    dir: &Path,
    modules: usize,
    files_per_module: usize,
    versions: usize,
) -> FakeModCache {
    fs::create_dir_all(dir.join("cache/download")).expect("make a cache folder");
    write(&dir.join("cache/lock"), b"");
    let made = std::sync::Mutex::new(Vec::with_capacity(modules * versions));
    in_parallel(modules, |number| {
        let path = module_path(number);
        let downloads = dir.join("cache/download").join(&path).join("@v");
        fs::create_dir_all(&downloads).expect("make a download folder");
        let mut list = String::new();
        for minor in 0..versions {
            let version = format!("v1.{minor}.0");
            let files = module_files(number, minor, modules, files_per_module);
            let module = module_version(dir, &downloads, path.clone(), version, files)
                .expect("write a module version");
            list.push_str(&module.version);
            list.push('\n');
            made.lock().expect("no thread panicked").push(module);
        }
        write(&downloads.join("list"), list.as_bytes());
    });
    let mut modules = made.into_inner().expect("no thread panicked");
    modules.sort_by(|a, b| (&a.path, &a.version).cmp(&(&b.path, &b.version)));
    FakeModCache { dir: dir.to_path_buf(), modules }
}

/// Makes `projects` main modules below `dir`, each requiring `requirements` versions of `cache`
/// with their go.sum lines; answers their folders. No two projects require the same set.
pub fn fake_projects(
    dir: &Path,
    projects: usize,
    requirements: usize,
    cache: &FakeModCache,
) -> Vec<PathBuf> {
    let by_path: Vec<&[FakeModule]> = cache.modules.chunk_by(|a, b| a.path == b.path).collect();
    assert!(requirements <= by_path.len(), "the cache has only {} modules", by_path.len());
    let mut made = Vec::with_capacity(projects);
    for number in 0..projects {
        let folder = dir.join(format!("project{number:03}"));
        fs::create_dir_all(&folder).expect("make a project folder");
        let mut go_mod =
            format!("module example.test/project{number:03}\n\ngo 1.21\n\nrequire (\n");
        let mut go_sum = String::new();
        let mut rng = Rng::new(number as u64);
        for offset in 0..requirements {
            let versions = by_path[(number * 7 + offset) % by_path.len()];
            let pick = usize::try_from(rng.next() % versions.len() as u64).unwrap_or_default();
            let FakeModule { path, version, sum, mod_sum } = &versions[pick];
            let indirect = if offset % 3 == 0 { "" } else { " // indirect" };
            go_mod.push_str(&format!("\t{path} {version}{indirect}\n"));
            go_sum
                .push_str(&format!("{path} {version} {sum}\n{path} {version}/go.mod {mod_sum}\n"));
        }
        go_mod.push_str(")\n");
        write(&folder.join("go.mod"), go_mod.as_bytes());
        write(&folder.join("go.sum"), go_sum.as_bytes());
        write(&folder.join("main.go"), b"package main\n\nfunc main() {}\n");
        made.push(folder);
    }
    made
}

fn module_path(number: usize) -> String {
    format!("example.com/org{:02}/mod{number:05}", number % 40)
}

/// Name and content of every file of a module version, go.mod first.
fn module_files(
    number: usize,
    minor: usize,
    modules: usize,
    count: usize,
) -> Vec<(String, Vec<u8>)> {
    let mut go_mod = format!("module {}\n\ngo 1.21\n\nrequire (\n", module_path(number));
    for next in (number + 1..modules).take(3) {
        go_mod.push_str(&format!("\t{} v1.0.0\n", module_path(next)));
    }
    go_mod.push_str(")\n");
    let mut files = vec![("go.mod".to_owned(), go_mod.into_bytes())];
    let mut rng = Rng::new((number << 20 | minor) as u64);
    for file in 1..count {
        let folder = file / 8; // eight files a folder, as in the mean of real modules
        let name = match folder {
            0 => format!("file{file}.go"),
            _ => format!("pkg{}/sub{folder}/file{file}.go", folder % 5),
        };
        let mut content = format!("package p{folder}\n\n// ").into_bytes();
        let length = 512 + rng.below(4096);
        fill(&mut content, length, &mut rng);
        content.push(b'\n');
        files.push((name, content));
    }
    files
}

fn module_version(
    dir: &Path,
    downloads: &Path,
    path: String,
    version: String,
    files: Vec<(String, Vec<u8>)>,
) -> io::Result<FakeModule> {
    let root = dir.join(format!("{path}@{version}"));
    let mut folders = vec![root.clone()];
    fs::create_dir_all(&root)?;
    for (name, content) in &files {
        let file = root.join(name);
        let mut parent = file.parent().unwrap_or(&root);
        fs::create_dir_all(parent)?;
        while parent != root {
            folders.push(parent.to_path_buf());
            parent = parent.parent().unwrap_or(&root);
        }
        let mut file = File::create(&file)?;
        file.write_all(content)?;
        read_only(&file, 0o444)?;
    }
    let mod_sum = mod_hash(&files[0].1);
    let go_mod = files[0].1.clone();
    let prefix = format!("{path}@{version}");
    let named: Vec<(String, Vec<u8>)> =
        files.into_iter().map(|(name, bytes)| (format!("{prefix}/{name}"), bytes)).collect();
    let sum = h1(named.iter().map(|(name, bytes)| (&name[..], &bytes[..])));
    let info = format!("{{\"Version\":\"{version}\",\"Time\":\"{PUBLISHED}\"}}");
    let zip = zip_of(&named)?;
    for (suffix, bytes) in [
        ("info", info.as_bytes()),
        ("mod", &go_mod[..]),
        ("zip", &zip[..]),
        ("ziphash", sum.as_bytes()),
        ("lock", b""),
    ] {
        fs::write(downloads.join(format!("{version}.{suffix}")), bytes)?;
    }
    folders.sort();
    folders.dedup();
    for folder in folders.iter().rev() {
        read_only(&File::open(folder)?, 0o555)?;
    }
    Ok(FakeModule { path, version, sum, mod_sum })
}

/// Copies a tree with its modes and times; `to` must not be there.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    let times = FileTimes::new().set_modified(meta.modified()?).set_accessed(meta.accessed()?);
    if meta.is_symlink() {
        #[cfg(unix)]
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
        #[cfg(not(unix))]
        return Err(io::Error::other(format!("{} is a link", from.display())));
    }
    if meta.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy_tree(&from.join(&name), &to.join(&name))?;
        }
    } else {
        fs::copy(from, to)?;
    }
    if cfg!(unix) {
        let opened = File::open(to)?;
        opened.set_times(times)?;
        opened.set_permissions(meta.permissions())?;
    }
    Ok(())
}

/// Text of `length` bytes that neither compresses to nothing nor repeats.
fn fill(content: &mut Vec<u8>, length: u64, rng: &mut Rng) {
    const LETTERS: &[u8; 16] = b"etaoinshrdlu cmf";
    for _ in 0..length / 16 {
        let bits = rng.next();
        content.extend((0..16).map(|place| LETTERS[(bits >> (4 * place) & 15) as usize]));
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}

#[cfg(unix)]
fn read_only(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn read_only(file: &File, _mode: u32) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions)
}

/// Calls `work` with every number below `count`, on twice as many threads as cores.
fn in_parallel(count: usize, work: impl Fn(usize) + Sync) {
    let threads = 2 * thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    work(number);
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GoSandbox, snapshot};

    #[test]
    fn a_build_cache_is_valid_to_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let made = fake_gocache(dir.path(), 1000);
        let (mut actions, mut outputs, mut bytes) = (0, 0, 0);
        for entry in
            (0..256).flat_map(|n| fs::read_dir(dir.path().join(format!("{n:02x}"))).unwrap())
        {
            let path = entry.unwrap().path();
            let content = fs::read(&path).unwrap();
            bytes += content.len() as u64;
            let name = path.file_name().unwrap().to_str().unwrap();
            let (id, kind) = name.split_once('-').unwrap();
            if kind == "d" {
                assert_eq!(id, hex(&Sha256::digest(&content)));
                outputs += 1;
            } else {
                assert_eq!((content.len(), kind), (175, "a"));
                let line = String::from_utf8(content).unwrap();
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                let output = dir.path().join(&fields[2][..2]).join(format!("{}-d", fields[2]));
                assert_eq!(fs::metadata(output).unwrap().len(), fields[3].parse::<u64>().unwrap());
                assert_eq!(fields[1], id);
                actions += 1;
            }
        }
        assert_eq!((actions, outputs), (500, 500));
        assert_eq!(made, FakeBuildCache { files: 1000, bytes });
    }

    #[test]
    fn go_accepts_the_module_cache() {
        let sandbox = GoSandbox::new();
        let cache = fake_gomodcache(&sandbox.gomodcache(), 12, 20, 3);
        assert_eq!(cache.modules.len(), 36);
        let projects = fake_projects(&sandbox.root().join("src"), 2, 8, &cache);
        for project in &projects {
            let said = sandbox.go_text(&["mod", "verify"], project);
            assert_eq!(said, "all modules verified");
        }
        #[cfg(unix)]
        {
            let tree = snapshot(&sandbox.gomodcache().join("example.com/org00/mod00000@v1.0.0"));
            assert_eq!(tree[Path::new("")].mode, 0o555);
            assert_eq!(tree[Path::new("pkg1/sub1")].mode, 0o555);
            assert_eq!(tree[Path::new("go.mod")].mode, 0o444);
            assert_eq!(tree.values().filter(|e| e.mode == 0o444).count(), 20);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_copy_is_equal() {
        let sandbox = GoSandbox::new();
        fake_gomodcache(&sandbox.gomodcache(), 2, 10, 1);
        std::os::unix::fs::symlink("nowhere", sandbox.gomodcache().join("link")).unwrap();
        let copy = sandbox.root().join("copy");
        copy_tree(&sandbox.gomodcache(), &copy).unwrap();
        let mut pair = [snapshot(&sandbox.gomodcache()), snapshot(&copy)];
        for tree in &mut pair {
            tree.get_mut(Path::new("link")).unwrap().modified = 0; // links get a time of their own
        }
        assert_eq!(crate::diff(&pair[0], &pair[1]), "");
    }
}
