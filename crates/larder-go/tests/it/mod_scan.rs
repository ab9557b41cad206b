//! What the scan of a module cache finds.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use larder_core::{CacheKind, Size, Time};
use larder_go::mod_names::Part;
use larder_go::mod_scan::ForeignKind;
use larder_go::mod_units::{HeldToolchain, REST, RowKey, rows, units};

use crate::mod_support::{World, count, scan_of, set_times, unit_of, version_of, whole, write};

#[test]
fn every_version_is_found_and_sizes_add_up_to_the_tree() {
    let world = World::new();
    let scan = world.scan();
    let names: Vec<String> =
        scan.versions.iter().map(|v| format!("{}@{}", v.module, v.version)).collect();
    assert_eq!(
        names,
        [
            "example.com/Alpha/one@v1.1.0",
            "example.com/Alpha/one@v1.2.0",
            "example.com/Alpha/one/v2@v2.0.0",
            "example.com/beta@v0.3.0",
        ]
    );
    assert!(scan.errors.is_empty() && scan.foreign.is_empty() && scan.leftovers.is_empty());
    assert_eq!(whole(&scan), count(&world.root()));
    let one = version_of(&scan, "example.com/Alpha/one", "v1.2.0");
    let folder = world.root().join("example.com/!alpha/one@v1.2.0");
    assert_eq!(one.extracted.unwrap(), count(&folder));
    let zip = world.root().join("cache/download/example.com/!alpha/one/@v/v1.2.0.zip");
    assert_eq!(one.zip.unwrap(), count(&zip));
    assert!(one.is_complete());
    for part in [Part::Info, Part::Mod, Part::Zip, Part::Ziphash, Part::Lock] {
        assert!(one.parts.has(part), "{part:?}");
    }
    for by in [RowKey::Module, RowKey::Version] {
        let sum: Size = rows(&scan, by).iter().map(|row| row.size).sum();
        assert_eq!(sum, scan.total(CacheKind::Mod), "{by:?}");
    }
    assert!(rows(&scan, RowKey::Module).iter().any(|row| row.key == REST));
}

#[test]
fn a_build_is_seen_as_a_use_and_a_scan_is_not() {
    let world = World::warm();
    let hash = world.root().join("cache/download/example.com/beta/@v/v0.3.0.ziphash");
    let zip = hash.with_extension("zip");
    for path in [&hash, &zip] {
        set_times(path, 1_000_000_000, 1_000_000_000);
    }
    let folder = world.root().join("example.com/beta@v0.3.0");
    for path in walk(&folder).iter().chain(&walk(hash.parent().unwrap())) {
        set_times(path, 1_000_000_000, 1_000_000_000);
    }
    let used = |scan: &larder_go::mod_scan::ModScan| {
        version_of(scan, "example.com/beta", "v0.3.0").last_used.unwrap()
    };
    assert_eq!(used(&world.scan()), Time::from_unix(1_000_000_000));
    assert_eq!(used(&world.scan()), Time::from_unix(1_000_000_000), "a scan counted as a use");
    let uses_known = world.scan().uses_known;
    assert!(world.builds_offline());
    let after = used(&world.scan());
    if uses_known {
        assert!(after > Time::from_unix(1_700_000_000), "a build did not count as a use");
    }
    assert_eq!(used(&world.scan()), after);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(walk(&path));
        }
        all.push(path);
    }
    all.push(folder.to_owned());
    all
}

#[test]
fn hard_links_count_once() {
    let world = World::new();
    let zip = world.root().join("cache/download/example.com/beta/@v/v0.3.0.zip");
    fs::remove_file(zip.with_file_name("v9.9.9.zip")).unwrap_or_default();
    fs::hard_link(&zip, zip.with_file_name("v9.9.9.zip")).unwrap();
    assert_eq!(whole(&world.scan()), count(&world.root()));
}

#[test]
fn what_go_did_not_write_is_foreign() {
    let world = World::new();
    let root = world.root();
    let outside = world.sandbox.root().join("outside");
    fs::create_dir(&outside).unwrap();
    write(root.join("notes.txt"), "mine");
    write(root.join("projects/app/main.go"), "package main");
    write(root.join("github.com/me/app/.git/HEAD"), "ref: x");
    write(root.join("github.com/me/app/go.mod"), "module x");
    write(root.join("example.com/beta/README"), "mine");
    write(root.join("example.com/.git/HEAD"), "ref: x");
    write(root.join("cache/other/file"), "mine");
    write(root.join("cache/download/example.com/beta/@v/notes.txt"), "mine");
    write(root.join("cache/vcs/mine/file"), "mine");
    write(root.join("example.com/odd@latest/file"), "mine");
    symlink(&outside, root.join("example.com/linked@v1.0.0")).unwrap();
    symlink(&outside, root.join("gitlab.com")).unwrap();
    let scan = world.scan();
    let found: Vec<(&str, ForeignKind)> =
        scan.foreign.iter().map(|f| (f.path.to_str().unwrap(), f.kind)).collect();
    assert_eq!(
        found,
        [
            ("cache/download/example.com/beta/@v/notes.txt", ForeignKind::File),
            ("cache/other", ForeignKind::Folder),
            ("cache/vcs/mine", ForeignKind::Folder),
            ("example.com/.git", ForeignKind::Folder),
            ("example.com/beta", ForeignKind::Folder),
            ("example.com/linked@v1.0.0", ForeignKind::Symlink),
            ("example.com/odd@latest", ForeignKind::Folder),
            ("github.com", ForeignKind::Folder),
            ("gitlab.com", ForeignKind::Symlink),
            ("notes.txt", ForeignKind::File),
            ("projects", ForeignKind::Folder),
        ]
    );
    assert_eq!(whole(&scan), count(&root), "foreign things are in the sum");
}

#[test]
fn toolchains_repositories_and_the_checksum_database_are_kinds_of_their_own() {
    let world = World::new();
    let root = world.root();
    for version in [
        "v0.0.1-go1.9.0.linux-amd64",
        "v0.0.1-go1.22.0.linux-amd64",
        "v0.0.1-go1.22rc1.linux-amd64",
    ] {
        write(root.join(format!("golang.org/toolchain@{version}/bin/go")), "binary");
        for part in ["zip", "ziphash", "lock"] {
            write(
                root.join(format!("cache/download/golang.org/toolchain/@v/{version}.{part}")),
                "x",
            );
        }
    }
    let hash = "0123456789abcdef".repeat(4);
    write(root.join(format!("cache/vcs/{hash}/HEAD")), "ref: refs/heads/main");
    write(root.join(format!("cache/vcs/{hash}.info")), "git3:https://me:pw@example.com/r");
    write(root.join(format!("cache/vcs/{hash}.lock")), "");
    write(root.join("cache/download/sumdb/sum.golang.org/lookup/x"), "lookup");
    let scan = world.scan();
    assert_eq!(whole(&scan), count(&root));
    assert!(scan.foreign.is_empty() && scan.leftovers.is_empty(), "{:?}", scan.foreign);
    assert_eq!(scan.toolchains.len(), 3);
    assert_eq!(
        scan.total(CacheKind::Toolchain),
        [
            "golang.org/toolchain@v0.0.1-go1.9.0.linux-amd64",
            "golang.org/toolchain@v0.0.1-go1.22.0.linux-amd64",
            "golang.org/toolchain@v0.0.1-go1.22rc1.linux-amd64",
            "cache/download/golang.org/toolchain/@v"
        ]
        .iter()
        .map(|p| count(&root.join(p)))
        .sum()
    );
    assert_eq!(scan.total(CacheKind::Vcs), count(&root.join("cache/vcs")));
    assert_eq!(scan.sumdb, count(&root.join("cache/download/sumdb")));
    assert_eq!(scan.vcs[0].subject(), "https://me@example.com/r");
    let held = [HeldToolchain { name: "go1.22.0".into(), reason: "it is running".into() }];
    let ranks: Vec<(String, Option<u32>, bool)> = units(&scan, &held)
        .into_iter()
        .filter(|unit| unit.cache == CacheKind::Toolchain)
        .map(|unit| (unit.subject, unit.version_rank, unit.hold.is_some()))
        .collect();
    assert_eq!(
        ranks,
        [
            ("golang.org/toolchain@v0.0.1-go1.22.0.linux-amd64".to_owned(), Some(0), true),
            ("golang.org/toolchain@v0.0.1-go1.22rc1.linux-amd64".to_owned(), Some(1), false),
            ("golang.org/toolchain@v0.0.1-go1.9.0.linux-amd64".to_owned(), Some(2), false),
        ]
    );
}

#[test]
fn what_interrupted_work_left_is_waste_and_what_can_be_used_is_not() {
    let world = World::new();
    let root = world.root();
    let downloads = root.join("cache/download/example.com");
    write(downloads.join("beta/@v/v0.3.0.partial"), "");
    write(downloads.join("beta/@v/v0.4.0.zip123.tmp"), "half a zip");
    write(downloads.join("beta/@v/v0.4.0.info9.tmp"), "{");
    fs::remove_file(downloads.join("!alpha/one/@v/v1.1.0.ziphash")).unwrap();
    fs::create_dir(root.join("example.com/empty@v1.0.0")).unwrap();
    write(root.join("example.com/old@v1.0.0.tmp-42/x"), "x");
    write(root.join("cache/vcs").join("ab".repeat(32)).join("HEAD"), "x");
    let scan = world.scan();
    let waste: Vec<(String, bool)> = units(&scan, &[])
        .into_iter()
        .filter(|unit| unit.waste.is_some())
        .map(|unit| (unit.subject, unit.target.paths().iter().all(|p| root.join(p).exists())))
        .collect();
    let mut subjects: Vec<&str> = waste.iter().map(|(s, _)| s.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        [
            "cache/download/example.com/beta/@v/v0.4.0.info9.tmp",
            "cache/download/example.com/beta/@v/v0.4.0.zip123.tmp",
            &format!("cache/vcs/{}", "ab".repeat(32)),
            "example.com/Alpha/one@v1.1.0",
            "example.com/beta@v0.3.0",
            "example.com/empty@v1.0.0",
            "example.com/old@v1.0.0.tmp-42",
        ]
    );
    assert!(waste.iter().all(|(_, there)| *there));
    // The zip of the half extracted version is good: it stays a unit of its own.
    let all = units(&scan, &[]);
    let zip = all.iter().find(|u| u.subject == "example.com/beta@v0.3.0" && u.waste.is_none());
    let paths = zip.unwrap().target.paths();
    assert!(paths.iter().all(|p| p.to_str().unwrap().contains(".zip")), "{paths:?}");
    assert_eq!(whole(&scan), count(&root));
}

#[test]
fn ranks_count_down_from_the_newest_of_what_is_there() {
    let world = World::new();
    let scan = world.scan();
    assert_eq!(unit_of(&scan, "example.com/Alpha/one@v1.2.0").version_rank, Some(0));
    assert_eq!(unit_of(&scan, "example.com/Alpha/one@v1.1.0").version_rank, Some(1));
    assert_eq!(unit_of(&scan, "example.com/Alpha/one/v2@v2.0.0").version_rank, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_lock_that_somebody_holds_is_a_hold() {
    let world = World::new();
    let lock = fs::File::open(world.lock_path("example.com/beta", "v0.3.0")).unwrap();
    lock.lock().unwrap();
    let scan = world.scan();
    assert!(unit_of(&scan, "example.com/beta@v0.3.0").hold.is_some());
    assert!(unit_of(&scan, "example.com/Alpha/one@v1.2.0").hold.is_none());
    // Closing it is not enough: a process that another test is starting may have inherited it.
    lock.unlock().unwrap();
    assert!(world.unit("example.com/beta@v0.3.0").hold.is_none());
}

#[test]
fn an_empty_cache_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let scan = scan_of(folder.path());
    assert!(scan.versions.is_empty() && scan.foreign.is_empty());
    assert_eq!(whole(&scan), count(folder.path()));
}
