//! Where the caches are, held against `go env -json`.

use std::fs;
use std::path::{Path, PathBuf};

use larder_core::RootKind;
use larder_go::locate::{
    Environment, Flags, GoEnv, Os, RootState, Setting, SettingValue, Source, open_root,
};
use larder_testkit::GoSandbox;

use crate::common::{environment, go_env};

/// Holds all settings against the go command's.
fn assert_like_go(sandbox: &GoSandbox, case: &str) {
    let output = sandbox.try_go(&["env", "-json"], sandbox.root());
    let ours = go_env(sandbox);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("build cache"), "{case}: {said}");
        assert_eq!(ours.gocache.path(), None, "{case}: {said}");
        return;
    }
    let go: serde_json::Value = serde_json::from_slice(&output.stdout).expect("go env prints JSON");
    let go = |name: &str| go[name].as_str().unwrap_or_default().to_owned();
    let gocache = match &ours.gocache.value {
        SettingValue::Path(path) => path.display().to_string(),
        _ => "off".to_owned(),
    };
    let gomodcache = match &ours.gomodcache.value {
        SettingValue::Path(path) => path.display().to_string(),
        SettingValue::Relative(text) => text.clone(),
        SettingValue::Off | SettingValue::Unset(_) => String::new(),
    };
    let gopath: Vec<String> = ours.gopath.iter().map(|path| path.display().to_string()).collect();
    let goenv = ours.goenv.as_deref().map_or(String::new(), |path| path.display().to_string());
    let goroot = ours.goroot.as_deref().map_or(String::new(), |path| path.display().to_string());
    assert_eq!(gocache, go("GOCACHE"), "GOCACHE, {case}");
    assert_eq!(gomodcache, go("GOMODCACHE"), "GOMODCACHE, {case}");
    assert_eq!(gopath.join(":"), go("GOPATH"), "GOPATH, {case}");
    assert_eq!(goenv, go("GOENV"), "GOENV, {case}");
    assert_eq!(goroot, go("GOROOT"), "GOROOT, {case}");
    for (name, setting) in
        [("GOFLAGS", &ours.goflags), ("GOPROXY", &ours.goproxy), ("GOTOOLCHAIN", &ours.gotoolchain)]
    {
        assert_eq!(setting.value, go(name), "{name}, {case}");
    }
    assert_eq!(
        ours.local_go_version.map(|v| format!("go{v}")).unwrap_or_default(),
        go("GOVERSION")
    );
}

/// Nothing set but where home is; what the cases set is taken back by each.
fn bare() -> GoSandbox {
    let mut sandbox = GoSandbox::new();
    for name in [
        "GOCACHE",
        "GOMODCACHE",
        "GOPATH",
        "GOENV",
        "GOFLAGS",
        "GOTOOLCHAIN",
        "GOPROXY",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    ] {
        sandbox.unset(name);
    }
    sandbox
}

/// What it is about, the variables, and the file of settings.
type Case = (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>);

#[test]
#[cfg(target_os = "linux")]
fn every_environment_gives_what_go_gives() {
    let env_file = "# a comment\n\nGOFLAGS=-v -x\n GOPROXY=indented\nnonsense\nGOCACHE=/file/cache\n=x\ngoproxy=small\nGOPATH=/file/one:/file/two\nGOTOOLCHAIN=local+auto\n1GOPROXY=x\nGOMODCACHE=\n";
    let cases: &[Case] = &[
        ("nothing set", &[], None),
        (
            "XDG folders",
            &[("XDG_CACHE_HOME", "/xdg/cache"), ("XDG_CONFIG_HOME", "/xdg/config")],
            None,
        ),
        ("empty values count as unset", &[("GOCACHE", ""), ("GOPATH", ""), ("GOENV", "")], None),
        ("a GOPATH list", &[("GOPATH", "/a/b:/c")], None),
        ("both caches", &[("GOCACHE", "/x/y"), ("GOMODCACHE", "/m/n")], None),
        ("GOCACHE off", &[("GOCACHE", "off")], None),
        ("GOCACHE relative", &[("GOCACHE", "some/where")], None),
        ("XDG_CACHE_HOME relative", &[("XDG_CACHE_HOME", "rel")], None),
        ("GOMODCACHE relative", &[("GOMODCACHE", "rel/mod")], None),
        ("a file of settings", &[], Some(env_file)),
        ("the environment comes first", &[("GOCACHE", "/mine"), ("GOFLAGS", "-k")], Some(env_file)),
        ("GOENV=off", &[("GOENV", "off")], Some(env_file)),
        ("no last newline", &[], Some("GOPATH=/p/q")),
        ("an empty value hides go.env", &[], Some("GOPROXY=\nGOTOOLCHAIN=\n")),
        ("a carriage return stays", &[], Some("GOFLAGS=-v\r\n")),
        ("twice: the last counts", &[], Some("GOCACHE=/one\nGOCACHE=/two\n")),
        ("equals signs", &[], Some("GOFLAGS=-ldflags=-s=x\n")),
        ("GOPATH with trailing slash", &[("GOPATH", "/a/b/")], None),
    ];
    for (case, vars, file) in cases {
        let mut sandbox = bare();
        if let Some(text) = file {
            sandbox.write("home/.config/go/env", text);
        }
        for (name, value) in *vars {
            sandbox.set(name, *value);
        }
        assert_like_go(&sandbox, case);
    }
}

#[test]
fn a_file_named_by_goenv_is_read() {
    let mut sandbox = bare();
    let file = sandbox.write("elsewhere/env", "GOMODCACHE=/else/mod\nGOPRIVATE=x\n");
    sandbox.set("GOENV", file.clone());
    assert_like_go(&sandbox, "GOENV names a file");
    let found = go_env(&sandbox);
    assert_eq!(found.gomodcache.source, Source::EnvFile(file));
    assert_eq!(found.gocache.source, Source::Default);
    assert!(matches!(found.goproxy.source, Source::GoEnvFile(_)), "{:?}", found.goproxy);
}

#[test]
#[cfg(unix)]
fn a_linked_go_command_leads_to_its_root() {
    let mut sandbox = bare();
    let real = PathBuf::from(sandbox.go_text(&["env", "GOROOT"], sandbox.root()));
    let bin = sandbox.root().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(real.join("bin/go"), bin.join("go")).unwrap();
    sandbox.set("PATH", bin);
    assert_like_go(&sandbox, "a link to go on PATH");
    assert_eq!(go_env(&sandbox).goroot.as_deref(), Some(&*real));
}

#[test]
fn home_as_goroot_leaves_no_gopath() {
    let mut sandbox = bare();
    let root = sandbox.home().join("go");
    fs::create_dir_all(root.join("pkg/tool")).unwrap();
    sandbox.set("GOROOT", root);
    let found = go_env(&sandbox);
    assert!(found.gopath.is_empty());
    let SettingValue::Unset(why) = &found.gomodcache.value else {
        panic!("{:?}", found.gomodcache)
    };
    assert!(why.contains("cannot be GOPATH too"), "{why}");
}

#[test]
fn each_platform_has_its_own_defaults() {
    let find = |os, vars: &[(&str, &str)]| {
        GoEnv::find(&Environment::new(os, vars.iter().copied()), &Flags::default())
    };
    let path =
        |setting: &Setting| setting.path().map(|p| p.display().to_string().replace('\\', "/"));
    let mac = find(Os::MacOs, &[("HOME", "/Users/a"), ("XDG_CACHE_HOME", "/ignored")]);
    assert_eq!(path(&mac.gocache).as_deref(), Some("/Users/a/Library/Caches/go-build"));
    assert_eq!(path(&mac.gomodcache).as_deref(), Some("/Users/a/go/pkg/mod"));
    assert_eq!(mac.goenv.unwrap(), Path::new("/Users/a/Library/Application Support/go/env"));
    let windows = find(
        Os::Windows,
        &[("UserProfile", r"C:\Users\a"), ("LocalAppData", r"C:\L"), ("AppData", r"C:\R")],
    );
    assert!(path(&windows.gocache).unwrap().starts_with("C:/L"), "{:?}", windows.gocache);
    assert!(
        path(&windows.gomodcache).unwrap().starts_with("C:/Users/a"),
        "{:?}",
        windows.gomodcache
    );
    let list = find(Os::Windows, &[("GOPATH", r"D:\one;D:\two"), ("gocache", r"\x")]);
    assert_eq!(list.gopath.len(), 2);
    assert_eq!(list.gocache.value, SettingValue::Relative(r"\x".into()));
    let none = find(Os::Unix, &[]);
    assert!(matches!(&none.gocache.value, SettingValue::Unset(why) if why.contains("$HOME")));
}

#[test]
fn flags_come_before_everything() {
    let sandbox = GoSandbox::new();
    let flags = Flags { gocache: Some("rel".into()), gomodcache: Some("/abs".into()) };
    let found = GoEnv::find(&environment(&sandbox), &flags);
    assert_eq!(found.gocache.path(), Some(&*sandbox.root().join("rel")));
    assert_eq!(found.gomodcache.path(), Some(Path::new("/abs")));
    assert_eq!(found.gomodcache.source, Source::Flag);
}

#[test]
fn each_state_of_a_root_has_its_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let look = |value| open_root(RootKind::GoCache, &Setting { value, source: Source::Default });
    let at = |name: &str| SettingValue::Path(dir.path().join(name));
    fs::create_dir(dir.path().join("folder")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(look(at("folder")), RootState::Ready { link_target: None, .. }));
    assert!(matches!(look(at("none")), RootState::Absent(..)));
    assert!(matches!(look(at("file")), RootState::NotAFolder(..)));
    assert!(matches!(look(at("file/below")), RootState::NotAFolder(..)));
    assert!(look(SettingValue::Off).to_string().starts_with("GOCACHE is off"));
    assert!(
        look(SettingValue::Relative("a/b".into())).to_string().contains("not an absolute path")
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("folder", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
        assert!(matches!(look(at("link")), RootState::Ready { link_target: Some(_), .. }));
        assert!(matches!(look(at("dangling")), RootState::NotAFolder(..)));
    }
}
