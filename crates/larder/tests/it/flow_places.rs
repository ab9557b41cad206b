//! Caches that are not there, not usable, or not caches: each is said in a sentence, and nothing
//! is touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use larder_testkit::{GoSandbox, fake_gocache, fake_gomodcache, snapshot};

use crate::flow::{command, document, larder, ran, same};

#[test]
fn a_cache_that_cannot_be_used_is_an_error_to_clean_and_a_sentence_to_see() {
    for (value, word) in
        [("off", "off"), ("some/where", "absolute"), ("[ROOT]/file", "not a folder")]
    {
        let mut sandbox = GoSandbox::new();
        sandbox.write("file", "a file");
        let value = value.replace("[ROOT]", sandbox.root().to_str().unwrap());
        sandbox.set("GOCACHE", &value);
        assert!(larder(&sandbox, &["clean", "build"]).ends(2).err.contains(word), "{word}");
        larder(&sandbox, &["prune", "build", "--max-size", "1kB"]).ends(2);
        assert!(larder(&sandbox, &[]).ends(0).out.contains(word), "{word}");
        let status = document(&sandbox, "status/1", 0, &["status"]);
        assert_ne!(status["caches"][0]["state"], "ok");
        // The other cache is not held up by it.
        larder(&sandbox, &["clean", "mod"]).ends(0);
    }
    let mut sandbox = GoSandbox::new();
    sandbox.set("GOCACHE", sandbox.root().join("none"));
    let status = document(&sandbox, "status/1", 0, &["status"]);
    assert_eq!(status["caches"][0]["state"], "absent");
    larder(&sandbox, &["clean", "build"]).ends(0);
    assert!(!sandbox.root().join("none").exists());
}

#[test]
fn a_folder_that_is_no_cache_is_refused_and_not_touched() {
    let mut sandbox = GoSandbox::new();
    let home = sandbox.home();
    sandbox.write("checkout/.git/HEAD", "ref: refs/heads/main");
    sandbox.write("checkout/00/file", "x");
    sandbox.write("documents/letter.txt", "Dear");
    sandbox.write("documents/00/letter.txt", "Dear");
    let root = sandbox.root();
    for place in
        [std::path::PathBuf::from("/"), home, root.join("checkout"), root.join("documents")]
    {
        let before = snapshot(&root);
        for (variable, cache) in [("GOCACHE", "build"), ("GOMODCACHE", "mod")] {
            let (kept_cache, kept_mod) = (sandbox.gocache(), sandbox.gomodcache());
            sandbox.set(variable, &place);
            let shown = place.display();
            let said = larder(&sandbox, &["clean", cache, "--force", "--yes"]);
            said.ends(3);
            assert!(said.err.contains("what it can prove"), "{shown}: {}", said.err);
            larder(&sandbox, &["prune", cache, "--max-age", "0s", "--protect", "0s"]).ends(3);
            larder(&sandbox, &["clean", cache, "--trash"]).ends(3);
            larder(&sandbox, &[]).ends(0);
            sandbox.set("GOCACHE", kept_cache).set("GOMODCACHE", kept_mod);
        }
        let mut after = snapshot(&root);
        let mut before = before;
        for tree in [&mut before, &mut after] {
            // larder's own folder is larder's to change.
            tree.retain(|path, _| !path.starts_with("home/.local/state"));
        }
        same(&before, &after, &place.display().to_string());
    }
}

#[test]
fn a_root_that_is_a_symlink_is_followed_once() {
    let mut sandbox = GoSandbox::new();
    fake_gocache(&sandbox.root().join("real"), 40);
    symlink(sandbox.root().join("real"), sandbox.root().join("link")).unwrap();
    sandbox.set("GOCACHE", sandbox.root().join("link"));
    let seen = larder(&sandbox, &["-v"]);
    assert!(seen.ends(0).out.contains("[ROOT]/real"), "{}", seen.out);
    larder(&sandbox, &["clean", "build"]).ends(0);
    assert!(sandbox.root().join("link").symlink_metadata().unwrap().is_symlink());
    let left = snapshot(&sandbox.root().join("real"));
    assert!(left.len() < 10, "{left:?}");
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_done_without_being_root() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 40);
    let modules = fake_gomodcache(&sandbox.gomodcache(), 2, 4, 2);
    let run = |args: &[&str]| {
        ran(&sandbox, sandbox.as_nobody(&command(&sandbox, args)).output().unwrap())
    };
    run(&[]).ends(0);
    fs::set_permissions(sandbox.gocache(), fs::Permissions::from_mode(0o000)).unwrap();
    let seen = run(&[]);
    assert!(seen.ends(0).out.contains("read"), "{}", seen.out);
    run(&["clean", "build"]).ends(2);
    fs::set_permissions(sandbox.gocache(), fs::Permissions::from_mode(0o755)).unwrap();

    // Module folders are 0555: their owner gets them away, into the trash and back, and for good.
    let before = snapshot(&sandbox.gomodcache());
    let pruned = run(&["prune", "mod", "--keep-versions", "1", "--protect", "0s", "--trash"]);
    assert!(pruned.ends(0).out.contains("2 module versions"), "{}", pruned.out);
    let old = sandbox.gomodcache().join(format!("{}@{}", modules.modules[0].path, "v1.0.0"));
    assert!(!old.exists());
    let id =
        run(&["trash", "list", "--json"]).json()["entries"][0]["id"].as_str().unwrap().to_owned();
    run(&["trash", "restore", &id]).ends(0);
    let mut after = snapshot(&sandbox.gomodcache());
    after.retain(|path, _| before.contains_key(path));
    same(&before, &after, "restored by nobody");
    run(&["clean", "go", "--force"]).ends(0);
    assert!(snapshot(&sandbox.gomodcache()).len() <= 1);
    run(&["clean", "go", "--force"]).ends(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_not_utf_8_is_lossless_in_documents_and_plans() {
    use std::os::unix::ffi::OsStrExt as _;
    let mut sandbox = GoSandbox::new();
    let place = sandbox.root().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fake_gocache(&place, 40);
    sandbox.set("GOCACHE", &place);
    let status = document(&sandbox, "status/1", 0, &["status"]);
    let shown = status["caches"][0]["path"].as_str().unwrap();
    assert!(shown.starts_with("base64:"), "{shown}");
    let prune = ["prune", "build", "--max-size", "0", "--protect", "0s"];
    larder(&sandbox, &[&["plan", "-o", "plan.json"], &prune[..]].concat()).ends(0);
    let plan = fs::read_to_string(sandbox.root().join("plan.json")).unwrap();
    assert!(plan.contains("base64:") && !plan.contains('\u{fffd}'), "{plan}");
    let done = document(&sandbox, "outcome/1", 0, &["apply", "plan.json"]);
    assert!(done["removed"]["files"].as_u64().unwrap() >= 40, "{done:#}");
    assert!(crate::flow::ending(&place, "-d").is_empty());
}
