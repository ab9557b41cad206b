//! Verification of a module cache: no false alarm on a healthy one, and every tampering found.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use larder_core::{Bad, Check, Meter, PlanItem, Target, Verification};
use larder_go::go_sum::GoSum;
use larder_go::mod_verify::{Checksums, ModVerify, ProjectSum};
use larder_testkit::{GoSandbox, diff, real_modules, snapshot};

use crate::mod_support::World;

const DOWNLOADS: &str = "cache/download/example.com/beta/@v";
const FOLDER: &str = "example.com/beta@v0.3.0";
const SUBJECT: &str = "example.com/beta@v0.3.0";

fn verify(root: &Path, sums: &[ProjectSum], database: Option<&dyn Checksums>) -> Verification {
    let root = larder_fs::Dir::open_root(root).unwrap();
    let meter = Meter::default();
    ModVerify { root: &root, sums, database, only: None, threads: 2, meter: &meter }.run()
}

fn sums(project: &Path) -> Vec<ProjectSum> {
    let path = project.join("go.sum");
    let sum = GoSum::parse(&path, &fs::read(&path).unwrap()).unwrap();
    vec![ProjectSum { project: "~/app".to_owned(), sum }]
}

/// The checksum database as go.sum had it before anything was tampered with.
struct Database(String);

impl Checksums for Database {
    fn covers(&self, module: &str) -> bool {
        module != "example.com/private"
    }

    fn lines(&self, module: &str, version: &str) -> Result<Vec<String>, String> {
        let wanted = [format!("{module} {version} "), format!("{module} {version}/go.mod ")];
        let lines: Vec<String> = self
            .0
            .lines()
            .filter(|line| wanted.iter().any(|prefix| line.starts_with(prefix)))
            .map(str::to_owned)
            .collect();
        if lines.is_empty() { Err("not in the records that are here".into()) } else { Ok(lines) }
    }
}

/// Changes a file in a folder that Go made read-only.
fn force(path: &Path, change: impl FnOnce(&Path)) {
    let parent = path.parent().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(parent, 0o755);
    if path.is_file() {
        mode(path, 0o644);
    }
    change(path);
    mode(parent, 0o555);
}

fn append(path: &Path) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"\n// x\n").unwrap();
}

#[test]
fn a_healthy_cache_is_good_and_stays_as_it_is() {
    let world = World::new();
    let before = snapshot(&world.root());
    let all = verify(&world.root(), &sums(&world.project), None);
    assert_eq!(all.bad, []);
    // v1.1.0 is in no go.sum, but its `.mod` is in its zip.
    assert_eq!(all.unverifiable, []);
    assert_eq!((all.checked, all.good), (4 + 3, 4 + 3), "versions and lists");
    assert!(all.bytes_read > 1000);
    assert_eq!(snapshot(&world.root()), before);
}

#[test]
fn real_modules_are_good_with_and_without_go_sum() {
    let real = real_modules().unwrap();
    let mut sandbox = GoSandbox::new();
    sandbox.proxy(&real.url());
    let project = sandbox.project("app", &real.project());
    sandbox.go(&["mod", "download"], &project);
    for sums in [sums(&project), Vec::new()] {
        let all = verify(&sandbox.gomodcache(), &sums, None);
        assert_eq!(all.bad, [], "{} go.sum files", sums.len());
        let odd: Vec<_> =
            all.unverifiable.iter().filter(|u| !u.reason.contains("has its .mod")).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
}

#[test]
fn what_is_bad_goes_alone_and_the_go_command_fetches_it_again() {
    for tampering in TAMPERINGS.iter().filter(|t| t.check != Check::Leftover) {
        let world = World::new();
        let healthy = snapshot(&world.root());
        (tampering.harm)(&world.root());
        let all = verify(&world.root(), &sums(&world.project), None);
        let bad = all.bad.iter().find(|bad| bad.check == tampering.check).unwrap();
        if !bad.removes.is_empty() {
            let item = PlanItem {
                cache: bad.cache,
                name: None,
                target: Target::Damaged {
                    module: "example.com/beta".to_owned(),
                    version: "v0.3.0".to_owned(),
                    paths: bad.removes.clone(),
                },
                size: None,
                last_used: None,
                reason: tampering.name.into(),
            };
            let done = world.remove(&item).unwrap();
            assert!(done.errors.is_empty(), "{}: {done:?}", tampering.name);
            let left = diff(&healthy, &snapshot(&world.root()));
            let gone: Vec<_> = bad.removes.iter().map(|path| path.to_str().unwrap()).collect();
            for line in left.lines() {
                let named = gone.iter().any(|path| line.contains(path)) || line.contains("list");
                let parents = line.contains("example.com") || line.contains("@v");
                assert!(named || parents, "{}: {line}", tampering.name);
            }
            assert!(gone.iter().all(|path| !world.root().join(path).exists()), "{gone:?}");
        }
        world.heals();
        let again = verify(&world.root(), &sums(&world.project), None);
        let left: Vec<_> = again.bad.iter().filter(|bad| !bad.removes.is_empty()).collect();
        assert!(left.is_empty(), "{}: {left:?}", tampering.name);
    }
}

/// A way to harm the cache, what finds it, and what has to go to mend it.
struct Tampering {
    name: &'static str,
    harm: fn(&Path),
    check: Check,
    removes: &'static [&'static str],
}

const TAMPERINGS: &[Tampering] = &[
    Tampering {
        name: "a file of the folder was changed",
        harm: |root| force(&root.join(FOLDER).join("p.go"), append),
        check: Check::Folder,
        removes: &[FOLDER],
    },
    Tampering {
        name: "a file was added to the folder",
        harm: |root| {
            force(&root.join(FOLDER).join("x.go"), |path| fs::write(path, "package x").unwrap());
        },
        check: Check::Folder,
        removes: &[FOLDER],
    },
    Tampering {
        name: "a file of the folder is gone",
        harm: |root| {
            force(&root.join(FOLDER).join("p.go"), |path| fs::remove_file(path).unwrap());
        },
        check: Check::Folder,
        removes: &[FOLDER],
    },
    Tampering {
        name: "a symlink was put into the folder",
        harm: |root| {
            force(&root.join(FOLDER).join("x"), |path| symlink("/etc/hosts", path).unwrap());
        },
        check: Check::Folder,
        removes: &[FOLDER],
    },
    Tampering {
        name: "the zip was cut off",
        harm: |root| {
            let zip = root.join(DOWNLOADS).join("v0.3.0.zip");
            let bytes = fs::read(&zip).unwrap();
            fs::write(&zip, &bytes[..bytes.len() / 2]).unwrap();
        },
        check: Check::ZipRules,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.zip"],
    },
    Tampering {
        name: "the zip is empty",
        harm: |root| fs::write(root.join(DOWNLOADS).join("v0.3.0.zip"), "").unwrap(),
        check: Check::ZipRules,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.zip"],
    },
    Tampering {
        name: "a byte of the zip was changed",
        harm: |root| {
            let zip = root.join(DOWNLOADS).join("v0.3.0.zip");
            let mut bytes = fs::read(&zip).unwrap();
            // Within the packed bytes of the first member.
            bytes[64] ^= 0x55;
            fs::write(&zip, bytes).unwrap();
        },
        check: Check::ZipRules,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.zip"],
    },
    Tampering {
        name: "the zip is of another module",
        harm: |root| {
            let other = root.join("cache/download/example.com/!alpha/one/@v/v1.1.0.zip");
            fs::copy(other, root.join(DOWNLOADS).join("v0.3.0.zip")).unwrap();
        },
        check: Check::ZipRules,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.zip"],
    },
    Tampering {
        name: "the zip's hash was replaced",
        harm: |root| {
            let other = root.join("cache/download/example.com/!alpha/one/@v/v1.1.0.ziphash");
            fs::copy(other, root.join(DOWNLOADS).join("v0.3.0.ziphash")).unwrap();
        },
        check: Check::Ziphash,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.ziphash"],
    },
    Tampering {
        name: "the zip's hash is no hash",
        harm: |root| fs::write(root.join(DOWNLOADS).join("v0.3.0.ziphash"), "h1:x").unwrap(),
        check: Check::Ziphash,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.ziphash"],
    },
    Tampering {
        name: "the .mod was changed",
        harm: |root| append(&root.join(DOWNLOADS).join("v0.3.0.mod")),
        check: Check::GoSum,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.mod"],
    },
    Tampering {
        name: "the .mod cannot be parsed",
        harm: |root| fs::write(root.join(DOWNLOADS).join("v0.3.0.mod"), "module (").unwrap(),
        check: Check::GoMod,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.mod"],
    },
    Tampering {
        name: "the .info is cut off",
        harm: |root| fs::write(root.join(DOWNLOADS).join("v0.3.0.info"), "{\"Vers").unwrap(),
        check: Check::Info,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.info"],
    },
    Tampering {
        name: "the .info is of another version",
        harm: |root| {
            let info = root.join(DOWNLOADS).join("v0.3.0.info");
            let text = fs::read_to_string(&info).unwrap();
            fs::write(&info, text.replace("v0.3.0", "v0.3.1")).unwrap();
        },
        check: Check::Info,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.info"],
    },
    Tampering {
        name: "the list lacks a version",
        harm: |root| fs::write(root.join(DOWNLOADS).join("list"), "").unwrap(),
        check: Check::List,
        removes: &[],
    },
    Tampering {
        name: "the extraction was interrupted",
        harm: |root| fs::write(root.join(DOWNLOADS).join("v0.3.0.partial"), "").unwrap(),
        check: Check::Leftover,
        removes: &[FOLDER, "cache/download/example.com/beta/@v/v0.3.0.partial"],
    },
    Tampering {
        name: "a download was interrupted",
        harm: |root| fs::write(root.join(DOWNLOADS).join("v0.3.0.zip123.tmp"), "x").unwrap(),
        check: Check::Leftover,
        removes: &["cache/download/example.com/beta/@v/v0.3.0.zip123.tmp"],
    },
];

#[test]
fn every_tampering_is_found_and_nothing_else() {
    for tampering in TAMPERINGS {
        let world = World::new();
        (tampering.harm)(&world.root());
        let before = snapshot(&world.root());
        let all = verify(&world.root(), &sums(&world.project), None);
        let checks: Vec<_> = all.bad.iter().map(|bad| (bad.check, bad.subject.as_str())).collect();
        let bad = all.bad.iter().find(|bad| bad.check == tampering.check);
        let bad = bad.unwrap_or_else(|| panic!("{}: {checks:?}", tampering.name));
        let of_beta = |bad: &&Bad| bad.subject.contains("example.com/beta");
        assert!(all.bad.iter().all(|bad| of_beta(&bad)), "{}: {checks:?}", tampering.name);
        let removes: Vec<_> = bad.removes.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(removes, tampering.removes, "{}", tampering.name);
        assert_eq!(snapshot(&world.root()), before, "{}", tampering.name);
    }
}

#[test]
fn a_folder_that_differs_names_its_files() {
    let world = World::new();
    let folder = world.root().join(FOLDER);
    force(&folder.join("p.go"), append);
    force(&folder.join("more.go"), |path| fs::write(path, "package beta\n").unwrap());
    let all = verify(&world.root(), &sums(&world.project), None);
    let [bad] = &all.bad[..] else { panic!("{:?}", all.bad) };
    assert_eq!(bad.details, ["added: more.go", "changed: p.go"]);
    assert_eq!((bad.subject.as_str(), &bad.path), (SUBJECT, &folder));
    assert_eq!(bad.used_by, ["~/app"]);
    assert!(bad.expected.starts_with("h1:") && bad.found.starts_with("h1:"));
    assert_ne!(bad.expected, bad.found);
    // The go command agrees.
    let said = world.sandbox.go_fails(&["mod", "verify"], &world.project);
    assert!(said.contains("dir has been modified"), "{said}");
}

#[test]
fn a_module_replaced_whole_is_found_by_go_sum_and_by_the_database_alone() {
    let world = World::new();
    let database = Database(fs::read_to_string(world.project.join("go.sum")).unwrap());
    // Zip, hash and folder agree with each other, and `go mod verify` would find nothing.
    let evil = larder_testkit::ModuleMaker::new("example.com/beta", "v0.3.0")
        .package("", &[])
        .package("deep/er", &[])
        .file("evil.go", "package beta\n");
    let mut other = GoSandbox::new();
    let proxy = larder_testkit::FileProxy::new(other.root().join("proxy"));
    proxy.publish(&evil);
    other.proxy(&proxy.url());
    let empty = other.project("x", "-- go.mod --\nmodule x\n");
    other.go(&["mod", "download", SUBJECT], &empty);
    for suffix in ["zip", "ziphash", "mod"] {
        let name = format!("{DOWNLOADS}/v0.3.0.{suffix}");
        fs::copy(other.gomodcache().join(&name), world.root().join(&name)).unwrap();
    }
    force(&world.root().join(FOLDER).join("evil.go"), |path| {
        fs::write(path, "package beta\n").unwrap();
    });
    let alone = verify(&world.root(), &[], None);
    assert!(alone.bad.iter().all(|bad| bad.check == Check::Folder), "{:?}", alone.bad);
    let by_sum = verify(&world.root(), &sums(&world.project), None);
    let bad = by_sum.bad.iter().find(|bad| bad.check == Check::GoSum).unwrap();
    assert!(bad.details.iter().any(|d| d.contains("an attacker would have")), "{bad:?}");
    assert!(bad.removes.is_empty(), "nobody knows yet who is right: {bad:?}");
    let by_database = verify(&world.root(), &[], Some(&database));
    let bad = by_database.bad.iter().find(|bad| bad.check == Check::ChecksumDatabase).unwrap();
    assert!(bad.removes.iter().any(|path| path.ends_with("v0.3.0.zip")), "{bad:?}");
}

#[test]
fn a_go_sum_that_the_database_contradicts_is_named_and_the_cache_is_not() {
    let world = World::new();
    let path = world.project.join("go.sum");
    let text = fs::read_to_string(&path).unwrap();
    let database = Database(text.clone());
    let line = text.lines().find(|line| line.starts_with("example.com/beta v0.3.0 ")).unwrap();
    let wrong = "example.com/beta v0.3.0 h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";
    fs::write(&path, text.replace(line, wrong)).unwrap();
    let all = verify(&world.root(), &sums(&world.project), Some(&database));
    let [bad] = &all.bad[..] else { panic!("{:?}", all.bad) };
    assert_eq!((bad.check, bad.subject.as_str()), (Check::GoSum, "go.sum of ~/app"));
    assert_eq!(bad.path, path);
    assert!(bad.removes.is_empty());
    assert!(bad.details.iter().any(|d| d.contains("had to change this go.sum")), "{bad:?}");
    // v1.1.0 is not in this database, and that is said.
    assert!(all.unverifiable.iter().any(|u| u.subject.ends_with("@v1.1.0")), "{all:?}");
}
