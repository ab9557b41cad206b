//! Removing versions, repositories and leftovers, beside the real go command.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use larder_core::{CacheKind, Meter, PlanItem, Target, Time};
use larder_fs::{Disposal, Manifest, Trash};
use larder_go::mod_remove::NotRemoved;
use larder_testkit::{diff, snapshot};

use crate::mod_support::{World, count, item_of, remove_in, remover, scan_of, unit_of, write};

const BETA: &str = "example.com/beta@v0.3.0";

#[test]
fn a_removed_version_is_fetched_again_and_the_others_are_untouched() {
    let world = World::warm();
    assert!(world.builds_offline());
    let alphas: HashMap<&str, _> = ["example.com/!alpha", "cache/download/example.com/!alpha"]
        .map(|path| (path, snapshot(&world.root().join(path))))
        .into();
    let size = count(&world.root());
    let list_before = versions_listed(&world);
    let unit = world.unit(BETA);
    let done = world.remove(&item_of(&unit)).unwrap();
    assert!(done.errors.is_empty() && done.left.is_empty());
    assert_eq!(done.size.files, unit.size.files);
    assert_eq!(done.size.allocated, unit.size.allocated);
    let freed = size - count(&world.root());
    assert_eq!(freed.files, done.size.files, "no file more and none less");
    let root = world.root();
    assert!(!root.join("example.com/beta@v0.3.0").exists());
    let downloads = root.join("cache/download/example.com/beta/@v");
    for (part, there) in [
        ("info", true),
        ("mod", true),
        ("lock", true),
        ("zip", false),
        ("ziphash", false),
        ("partial", false),
    ] {
        assert_eq!(downloads.join(format!("v0.3.0.{part}")).exists(), there, "{part}");
    }
    assert!(!world.builds_offline(), "it was not removed");
    assert_eq!(versions_listed(&world), list_before);
    world.heals();
    assert!(world.builds_offline());
    for (path, before) in alphas {
        let changed = diff(&before, &snapshot(&root.join(path)));
        assert!(changed.is_empty(), "{path}: {changed}");
    }
}

/// `go list -m -versions` with the cache itself as the proxy.
fn versions_listed(world: &World) -> String {
    let url = format!("file://{}/cache/download", world.root().display());
    let output = world
        .sandbox
        .command("go")
        .args(["list", "-m", "-versions", "example.com/beta", "example.com/Alpha/one"])
        .env("GOPROXY", url)
        .current_dir(&world.project)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn folders_that_became_empty_go_and_a_wrong_list_is_mended() {
    let world = World::new();
    let list = world.root().join("cache/download/example.com/beta/@v/list");
    fs::write(&list, "v0.3.0\nv9.9.9\n\0\0").unwrap();
    let scan = world.scan();
    let items: Vec<PlanItem> = [
        "example.com/Alpha/one@v1.1.0",
        "example.com/Alpha/one@v1.2.0",
        "example.com/Alpha/one/v2@v2.0.0",
        BETA,
    ]
    .iter()
    .map(|subject| item_of(&unit_of(&scan, subject)))
    .collect();
    let all: Vec<&PlanItem> = items.iter().collect();
    let (dir, meter) = (world.dir(), Meter::default());
    let answers =
        remover(&dir, &Disposal::Delete, Duration::from_secs(30), &meter).remove_all(&all);
    for answer in answers {
        answer.unwrap();
    }
    assert_eq!(fs::read_to_string(&list).unwrap(), "v0.3.0\n");
    assert!(!world.root().join("example.com").exists());
    assert!(world.root().join("cache/download/example.com/beta/@v/v0.3.0.mod").exists());
    world.heals();
}

#[test]
fn a_held_lock_makes_it_busy_and_waiting_helps() {
    let world = World::new();
    let item = item_of(&world.unit(BETA));
    let lock = fs::File::open(world.lock_path("example.com/beta", "v0.3.0")).unwrap();
    lock.lock().unwrap();
    let busy = remove_in(&world.root(), &item, Duration::ZERO);
    assert!(matches!(busy, Err(NotRemoved::Busy(path)) if path.ends_with("v0.3.0.lock")));
    assert!(world.has_all_offline());
    let (release, held) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        held.recv().unwrap();
        drop(lock);
    });
    let root = world.root();
    let waiting = std::thread::spawn(move || remove_in(&root, &item, Duration::from_mins(1)));
    release.send(()).unwrap();
    waiting.join().unwrap().unwrap();
    thread.join().unwrap();
    assert!(!world.has_all_offline());
}

#[test]
fn what_was_used_since_stays() {
    let world = World::new();
    let mut item = item_of(&world.unit(BETA));
    item.last_used = item.last_used.map(|used| used.minus(Duration::from_hours(1)));
    let why = world.remove(&item).unwrap_err();
    assert!(matches!(&why, NotRemoved::Skipped(why) if why.contains("used since")), "{why}");
    assert!(world.has_all_offline());
}

#[test]
fn what_was_written_to_since_stays_whole() {
    // A plan made while a go command was half way: it knows of less than there is now.
    for missing in ["zip", "ziphash", "folder"] {
        let world = World::new();
        let mut item = item_of(&world.unit(BETA));
        item.last_used = None;
        let Target::Version { paths, .. } = &mut item.target else { panic!("{item:?}") };
        let known = paths.len();
        paths.retain(|path| match missing {
            "folder" => path.starts_with("cache"),
            suffix => path.extension().is_none_or(|extension| extension != suffix),
        });
        assert_eq!(paths.len(), known - 1, "{missing}: {paths:?}");
        let before = snapshot(&world.root());
        let why = world.remove(&item).unwrap_err();
        let expected = if missing == "ziphash" { "it is whole by now" } else { "written to" };
        assert!(matches!(&why, NotRemoved::Skipped(why) if why.contains(expected)), "{why}");
        assert!(diff(&before, &snapshot(&world.root())).is_empty(), "{missing}");
    }
}

#[test]
fn what_became_something_else_stays() {
    for name in ["example.com/beta@v0.3.0", "cache/download/example.com/beta/@v/v0.3.0.zip"] {
        let world = World::new();
        let item = item_of(&world.unit(BETA));
        let path = world.root().join(name);
        let outside = world.sandbox.root().join("outside");
        fs::rename(&path, &outside).unwrap();
        symlink(&outside, &path).unwrap();
        let before = snapshot(&outside);
        let why = world.remove(&item).unwrap_err();
        assert!(matches!(&why, NotRemoved::Skipped(why) if why.contains("a symlink")), "{why}");
        assert!(diff(&before, &snapshot(&outside)).is_empty());
        assert!(path.is_symlink());
    }
}

#[test]
fn a_folder_above_that_became_a_symlink_leads_nowhere() {
    let world = World::new();
    let item = item_of(&world.unit(BETA));
    let outside = world.sandbox.root().join("outside");
    fs::rename(world.root().join("example.com"), &outside).unwrap();
    symlink(&outside, world.root().join("example.com")).unwrap();
    let before = snapshot(&outside);
    assert!(matches!(world.remove(&item), Err(NotRemoved::Skipped(_))));
    assert!(diff(&before, &snapshot(&outside)).is_empty());
    assert!(world.root().join("cache/download/example.com/beta/@v/v0.3.0.zip").exists());
}

#[test]
fn a_plan_cannot_name_what_is_not_its_own() {
    let world = World::new();
    let outside = world.sandbox.write("outside/file", "mine");
    let before = snapshot(&world.sandbox.root());
    let item = |target: Target| PlanItem {
        cache: CacheKind::Mod,
        name: None,
        target,
        size: None,
        last_used: None,
        reason: "".into(),
    };
    let version = |paths: &[&str]| Target::Version {
        module: "example.com/beta".into(),
        version: "v0.3.0".into(),
        paths: paths.iter().map(PathBuf::from).collect(),
    };
    for target in [
        version(&["../../../outside"]),
        version(&["example.com/!alpha/one@v1.2.0"]),
        version(&["cache/download/example.com/beta/@v/v0.3.0.mod"]),
        version(&["example.com/beta@v0.3.0", "example.com"]),
        Target::Path(outside.clone()),
        Target::Path("".into()),
        Target::Path("example.com".into()),
        Target::Path("cache/download".into()),
        Target::Path(format!("cache/vcs/{}.lock", "ab".repeat(32)).into()),
        Target::TestResults,
    ] {
        let why = world.remove(&item(target.clone())).unwrap_err();
        assert!(matches!(why, NotRemoved::Skipped(_)), "{target:?}: {why}");
    }
    assert!(diff(&before, &snapshot(&world.sandbox.root())).is_empty());
}

#[test]
fn what_is_gone_already_is_skipped() {
    let world = World::new();
    let item = item_of(&world.unit(BETA));
    world.remove(&item).unwrap();
    let why = world.remove(&item).unwrap_err();
    assert!(matches!(&why, NotRemoved::Skipped(why) if why.contains("gone already")), "{why}");
}

#[test]
fn leftovers_go_and_a_folder_made_whole_since_stays() {
    let world = World::new();
    let root = world.root();
    let downloads = root.join("cache/download/example.com/beta/@v");
    write(downloads.join("v0.3.0.partial"), "");
    write(downloads.join("v0.4.0.zip1.tmp"), "half");
    write(root.join("example.com/old@v1.0.0.tmp-42/x"), "x");
    let waste = |scan: &larder_go::mod_scan::ModScan| -> Vec<PlanItem> {
        let units = larder_go::mod_units::units(scan, &[]);
        units.iter().filter(|unit| unit.waste.is_some()).map(item_of).collect()
    };
    let items = waste(&world.scan());
    assert_eq!(items.len(), 3);
    // The go command comes first: it extracts the version again.
    assert!(world.has_all_offline());
    for item in &items {
        match (item.subject().as_ref(), world.remove(item)) {
            (BETA, Err(NotRemoved::Skipped(_))) | (_, Ok(_)) => {}
            (subject, answer) => panic!("{subject}: {answer:?}"),
        }
    }
    assert!(world.has_all_offline());
    assert!(world.scan().leftovers.is_empty());
    assert!(!root.join("example.com/old@v1.0.0.tmp-42").exists());
    // And once more without it: the half folder goes, and Go makes it again out of the zip.
    write(downloads.join("v0.3.0.partial"), "");
    for item in waste(&world.scan()) {
        world.remove(&item).unwrap();
    }
    assert!(!root.join("example.com/beta@v0.3.0").exists());
    assert!(downloads.join("v0.3.0.zip").exists());
    assert!(world.has_all_offline());
}

#[test]
fn a_repository_goes_under_its_lock() {
    let world = World::new();
    let vcs = world.root().join("cache/vcs");
    let hash = "0123456789abcdef".repeat(4);
    write(vcs.join(&hash).join("objects/x"), "x");
    write(vcs.join(format!("{hash}.info")), "git3:https://example.com/r");
    write(vcs.join(format!("{hash}.lock")), "");
    let item = item_of(&world.unit("https://example.com/r"));
    let lock = fs::File::open(vcs.join(format!("{hash}.lock"))).unwrap();
    lock.lock().unwrap();
    let busy = remove_in(&world.root(), &item, Duration::ZERO);
    assert!(matches!(busy, Err(NotRemoved::Busy(_))));
    drop(lock);
    let done = world.remove(&item).unwrap();
    assert_eq!(done.size.files, 2);
    let names: Vec<_> = fs::read_dir(&vcs).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [format!("{hash}.lock").as_str()]);
}

#[test]
fn a_last_use_in_whole_seconds_is_precise_enough() {
    let world = World::new();
    let mut item = item_of(&world.unit(BETA));
    item.last_used = item.last_used.map(|used| Time::from_unix(used.unix()));
    world.remove(&item).unwrap();
}

/// Moves into the trash what `act` removes, puts it back, and expects everything as it was.
fn goes_and_comes_back(world: &World, act: impl FnOnce(&Disposal<'_>)) {
    let before = snapshot(&world.root());
    let state = world.sandbox.state_home();
    let trash = Trash::beside(&world.root(), &state);
    let (id, now, meter) = (trash.fresh_id(), larder_fs::now(), Meter::default());
    let manifest = Manifest {
        created_at: now,
        expires_at: None,
        plan_id: "test".into(),
        caches: vec![CacheKind::Mod],
        paths: Vec::new(),
    };
    let entry = trash.create(&id, &world.root(), &manifest).unwrap();
    act(&Disposal::Trash(&entry));
    assert!(entry.finish(None).unwrap());
    let restored = trash.restore(&id, true, now, &meter).unwrap();
    assert!(restored.complete, "{restored:?}");
    let changed = diff(&before, &snapshot(&world.root()));
    // Folders that stayed meanwhile remember when things came back into them.
    let changed: Vec<_> =
        changed.lines().filter(|line| line.matches("(folder, 0755").count() != 2).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert!(world.has_all_offline());
}

#[test]
fn a_version_comes_back_from_the_trash() {
    let world = World::new();
    goes_and_comes_back(&world, |how| {
        let (dir, meter) = (world.dir(), Meter::default());
        let unit = world.unit(BETA);
        let done =
            remover(&dir, how, Duration::from_secs(30), &meter).remove(&item_of(&unit)).unwrap();
        assert!(done.errors.is_empty() && done.size == unit.size, "{done:?}");
        assert!(!world.root().join(BETA).exists());
    });
}

#[test]
fn a_whole_cache_comes_back_from_the_trash() {
    let world = World::new();
    goes_and_comes_back(&world, |how| {
        let (dir, meter) = (world.dir(), Meter::default());
        let cleaned =
            remover(&dir, how, Duration::from_secs(30), &meter).clean(CacheKind::Mod, &[]);
        assert!(cleaned.errors.is_empty() && cleaned.left.is_empty(), "{cleaned:?}");
        assert!(!world.root().exists());
    });
}

#[test]
fn what_is_foreign_does_not_go_into_the_trash() {
    let world = World::new();
    let mine = ["notes.txt", "example.com/.git/HEAD", "cache/mine/file", "github.com/me/x.go"];
    for name in mine {
        write(world.root().join(name), "mine");
    }
    goes_and_comes_back(&world, |how| {
        let (dir, meter) = (world.dir(), Meter::default());
        let cleaned =
            remover(&dir, how, Duration::from_secs(30), &meter).clean(CacheKind::Mod, &[]);
        assert!(cleaned.errors.is_empty(), "{cleaned:?}");
        let left: Vec<_> =
            cleaned.left.iter().map(|path| path.strip_prefix(world.root()).unwrap()).collect();
        let expected = ["cache/mine", "example.com/.git", "github.com/me/x.go", "notes.txt"];
        assert_eq!(left, expected.map(std::path::Path::new));
        assert!(mine.iter().all(|name| world.root().join(name).exists()));
        assert!(!world.root().join("cache/download").exists());
    });
}

#[test]
fn the_go_command_and_we_take_turns() {
    let world = World::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut removed, mut rounds) = (0, 0);
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| {
            let mut rounds = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // It may lose against us and say so; it must never leave a wrong tree.
                world.sandbox.try_go(&["mod", "download"], &world.project);
                rounds += 1;
            }
            rounds
        });
        while removed < 30 {
            let scan = scan_of(&world.root());
            for unit in larder_go::mod_units::units(&scan, &[]) {
                let mut item = item_of(&unit);
                item.last_used = None;
                let answer = remove_in(&world.root(), &item, Duration::from_secs(30));
                match answer {
                    Ok(done) => {
                        assert!(done.errors.is_empty(), "{done:?}");
                        removed += 1;
                    }
                    Err(NotRemoved::Skipped(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        rounds += fetching.join().unwrap();
    });
    assert!(rounds > 1, "the go command ran {rounds} times");
    // Whatever is there now is whole, or known not to be.
    world.sandbox.go(&["mod", "verify"], &world.project);
    world.heals();
    assert!(world.has_all_offline());
}
