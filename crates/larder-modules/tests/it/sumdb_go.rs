//! The real go command and our client with one checksum database: each leaves what the other
//! leaves, and goes on where the other stopped.

use std::fs;
use std::sync::{Arc, Mutex};

use larder_modules::SumDb;
use larder_testkit::fake_sumdb::{FakeDb, Shared, serve};
use larder_testkit::server::Server;
use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, diff, has_go, snapshot, timeless};

use crate::sumdb::client;

const MODULES: [&str; 4] =
    ["example.com/Big/a", "example.com/b", "example.org/c/v2", "example.org/d"];

fn version(module: &str) -> &'static str {
    if module.ends_with("/v2") { "v2.0.1" } else { "v1.0.0" }
}

/// Modules, a database that knows them among 700 records, and its server.
fn world() -> (tempfile::TempDir, FileProxy, Shared, Server) {
    let folder = tempfile::tempdir().unwrap();
    let proxy = FileProxy::new(folder.path().join("proxy"));
    let mut db = FakeDb::new("sum.test", 3);
    for (n, module) in MODULES.iter().enumerate() {
        let made = ModuleMaker::new(*module, version(module)).package("", &[]);
        proxy.publish(&made);
        db.grow(150 * n);
        let (zip, go_mod) = proxy.hashes(module, version(module)).unwrap();
        db.add(module, version(module), &zip, &go_mod);
    }
    db.grow(50);
    let db = Arc::new(Mutex::new(db));
    let server = serve(&db, "", |_, bytes| Some(bytes));
    (folder, proxy, db, server)
}

fn sandbox(proxy: &FileProxy, db: &Shared, server: &Server) -> GoSandbox {
    let mut sandbox = GoSandbox::new();
    sandbox.proxy(&proxy.url());
    sandbox.set("GOSUMDB", db.lock().unwrap().gosumdb(&server.url()));
    sandbox.set("GONOSUMDB", "");
    sandbox
}

/// Our client over the sandbox's cache.
fn ours(sandbox: &GoSandbox, goproxy: Option<&str>) -> SumDb {
    let folder = sandbox.root().join("ours");
    if !folder.exists() {
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(sandbox.gomodcache()).unwrap();
        link(&sandbox.gomodcache(), &folder.join("mod"));
        link(&sandbox.gopath(), &folder.join("gopath"));
    }
    client(&folder, sandbox.get("GOSUMDB").unwrap().to_str().unwrap(), goproxy)
}

#[cfg(unix)]
fn link(from: &std::path::Path, to: &std::path::Path) {
    std::os::unix::fs::symlink(from, to).unwrap();
}

#[cfg(windows)]
fn link(from: &std::path::Path, to: &std::path::Path) {
    std::os::windows::fs::symlink_dir(from, to).unwrap();
}

fn download(sandbox: &GoSandbox, module: &str) {
    let wanted = format!("{module}@{}", version(module));
    sandbox.go(&["mod", "download", "-x", &wanted], sandbox.root());
}

#[test]
fn go_and_larder_leave_the_same() {
    if !has_go() {
        return;
    }
    let (_folder, proxy, db, server) = world();
    let (by_go, by_us) = (sandbox(&proxy, &db, &server), sandbox(&proxy, &db, &server));
    let client = ours(&by_us, Some("off"));
    for module in MODULES {
        download(&by_go, module);
        let lines = client.lookup(module, version(module)).unwrap();
        let zip = proxy.version_path(module, version(module), ".zip");
        assert!(lines[0].starts_with(&format!("{module} {} h1:", version(module))), "{lines:?}");
        assert!(zip.exists());
    }
    let (go, us) = (by_go.gomodcache(), by_us.gomodcache());
    let cache = "cache/download/sumdb";
    let found = diff(&timeless(snapshot(&go.join(cache))), &timeless(snapshot(&us.join(cache))));
    assert!(found.is_empty(), "{found:?}");
    assert!(go.join(cache).join("sum.test/tile/8/0/000").exists());
    let heads = "pkg/sumdb";
    let found = diff(
        &timeless(snapshot(&by_go.gopath().join(heads))),
        &timeless(snapshot(&by_us.gopath().join(heads))),
    );
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn each_goes_on_where_the_other_stopped() {
    if !has_go() {
        return;
    }
    let (_folder, proxy, db, server) = world();
    let sandbox = sandbox(&proxy, &db, &server);
    download(&sandbox, MODULES[0]);
    server.forget();
    // What go has proven is enough offline.
    ours(&sandbox, None).lookup(MODULES[0], "v1.0.0").unwrap();
    assert!(server.requests().is_empty());
    db.lock().unwrap().grow(300);
    ours(&sandbox, Some("off")).lookup(MODULES[1], "v1.0.0").unwrap();
    let asked = server.paths();
    db.lock().unwrap().grow(300);
    server.forget();
    // What we have proven is not asked for again by go.
    download(&sandbox, MODULES[1]);
    let again: Vec<_> = server.paths().into_iter().filter(|path| asked.contains(path)).collect();
    assert_eq!(again, Vec::<String>::new());
    download(&sandbox, MODULES[3]);
    ours(&sandbox, None).lookup(MODULES[3], "v1.0.0").unwrap();
    ours(&sandbox, None).lookup(MODULES[0], "v1.0.0").unwrap();
}

#[test]
fn go_refuses_the_fork_that_we_refuse() {
    if !has_go() {
        return;
    }
    let (_folder, proxy, db, server) = world();
    let mut sandbox = sandbox(&proxy, &db, &server);
    download(&sandbox, MODULES[0]);
    let mut other = FakeDb::new("sum.test", 3);
    other.add("example.com/b", "v1.0.0", "h1:evil=", "h1:evil=");
    other.grow(1500);
    let other = Arc::new(Mutex::new(other));
    let forked = serve(&other, "", |_, bytes| Some(bytes));
    sandbox.set("GOSUMDB", other.lock().unwrap().gosumdb(&forked.url()));
    let dir = sandbox.root();
    let said = sandbox.go_fails(&["mod", "download", "example.com/b@v1.0.0"], &dir);
    let error = ours(&sandbox, Some("off")).lookup("example.com/b", "v1.0.0").unwrap_err();
    let text = error.to_string();
    assert!(said.contains("SECURITY ERROR") && error.is_security(), "{said}\n{text}");
    // Both show the same two heads and the same proof.
    for line in said.lines().filter(|line| line.starts_with('\t') && line.len() > 40) {
        assert!(text.contains(line.trim()), "{line}\nis not in\n{text}");
    }
}

#[test]
fn both_at_once_in_one_cache() {
    if !has_go() {
        return;
    }
    let (_folder, proxy, db, server) = world();
    let sandbox = sandbox(&proxy, &db, &server);
    let client = ours(&sandbox, Some("off"));
    std::thread::scope(|scope| {
        for module in MODULES {
            let (sandbox, client, db) = (&sandbox, &client, &db);
            scope.spawn(move || download(sandbox, module));
            scope.spawn(move || {
                for n in 0..30 {
                    db.lock().unwrap().grow(3);
                    client.lookup("example.net/filler", &format!("v0.0.{}", n + 200)).unwrap();
                    client.lookup(module, version(module)).unwrap();
                }
            });
        }
    });
    let kept = fs::read_to_string(sandbox.gopath().join("pkg/sumdb/sum.test/latest")).unwrap();
    let size: usize = kept.lines().nth(1).unwrap().parse().unwrap();
    assert_eq!(kept, db.lock().unwrap().head(size));
    ours(&sandbox, Some("off")).lookup(MODULES[2], "v2.0.1").unwrap();
}
