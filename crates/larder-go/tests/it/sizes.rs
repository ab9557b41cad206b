//! Sizes asked again and again are those that a scan finds.

use std::fs;
use std::path::Path;

use larder_core::{CacheKind, Meter, RootKind, Size};
use larder_fs::index::SETTLED;
use larder_fs::{Dir, clock};
use larder_go::build_totals::totals;
use larder_go::sizes::{Found, Sizes};
use larder_testkit::fake_gocache;

use crate::mod_support::{World, write};

fn refresh(sizes: &mut Sizes, root: &Path) -> Found {
    let later = clock::now().plus(SETTLED * 2);
    sizes.refresh(&Dir::open_root(root).unwrap(), later, &Meter::default()).unwrap()
}

#[test]
fn each_part_of_a_module_cache_is_as_large_as_a_scan_says() {
    let world = World::warm();
    let root = world.root();
    let files = [
        "golang.org/toolchain@v0.0.1-go1.99.0.linux-amd64/bin/go",
        "golang.org/x/text@v0.1.0/go.mod",
        "cache/download/golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip",
        "cache/download/golang.org/x/text/@v/v0.1.0.mod",
        "cache/vcs/0000000000000000000000000000000000000000000000000000000000000000/HEAD",
        "cache/download/sumdb/sum.example/tile/8/0/000",
        "cache/lock",
    ];
    for (number, file) in files.iter().enumerate() {
        write(root.join(file), &"x".repeat(1000 * (number + 1)));
    }
    let by_scan = || {
        let scan = world.scan();
        let kinds = [CacheKind::Mod, CacheKind::Toolchain, CacheKind::Vcs, CacheKind::Sumdb];
        kinds.map(|kind| (kind, scan.total(kind)))
    };
    let mut sizes = Sizes::new(RootKind::GoModCache);
    assert_eq!(refresh(&mut sizes, &root).sizes, by_scan());
    assert!(by_scan().iter().all(|(_, size)| size.files > 0));
    // The root and the one clone are read again, the rest is not.
    let again = refresh(&mut sizes, &root);
    assert_eq!((again.sizes, again.read), (by_scan().to_vec(), 3));
    fs::remove_file(root.join(files[2])).unwrap();
    write(root.join("cache/download/sumdb/sum.example/tile/8/0/001"), &"x".repeat(9000));
    assert_eq!(refresh(&mut sizes, &root).sizes, by_scan());
}

#[test]
fn a_build_cache_is_as_large_as_a_scan_says_and_only_its_root_is_read_again() {
    let temp = tempfile::tempdir().unwrap();
    fake_gocache(temp.path(), 2000);
    write(temp.path().join("fuzz/example.com/p/FuzzIt/0a1b"), "corpus");
    let by_scan = || -> Vec<(CacheKind, Size)> {
        let dir = Dir::open_root(temp.path()).unwrap();
        let totals = totals(&dir, clock::now(), 0, &Meter::default());
        vec![
            (CacheKind::Build, totals.build.size + totals.foreign),
            (CacheKind::Fuzz, totals.fuzz.size),
        ]
    };
    let mut sizes = Sizes::new(RootKind::GoCache);
    assert_eq!(refresh(&mut sizes, temp.path()).sizes, by_scan());
    let again = refresh(&mut sizes, temp.path());
    assert_eq!((again.sizes, again.read), (by_scan(), 1));
    write(temp.path().join("00").join(format!("00{}-d", "0".repeat(62))), &"x".repeat(50_000));
    let after = refresh(&mut sizes, temp.path());
    assert_eq!((after.sizes, after.read), (by_scan(), 2));
}
