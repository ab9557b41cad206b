//! Downloads over every way that modules come: TLS with an authority of its own, the checksum
//! database, version control through the go command, private modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use larder_testkit::fake_sumdb::{FakeDb, serve};
use larder_testkit::server::{Authority, Server, not_found, ok, reply, serve_file};
use larder_testkit::{
    FileProxy, GoSandbox, ModuleMaker, Snapshot, diff, has_go, snapshot, timeless,
};

use crate::flow::{document, larder};

const MODULE: &str = "example.test/Dep";
const PROJECT: &str =
    "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n\nrequire example.test/Dep v1.2.0\n";

/// A proxy with one module, and a project that needs it.
fn world() -> (GoSandbox, FileProxy, PathBuf) {
    let sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    proxy.publish(&ModuleMaker::new(MODULE, "v1.2.0").package("", &[]));
    let project = sandbox.project("m", PROJECT);
    (sandbox, proxy, project)
}

fn cache(dir: &Path) -> Snapshot {
    timeless(snapshot(dir))
}

/// Takes away what larder made, and has go do the same; what go left.
fn by_go(sandbox: &mut GoSandbox, project: &Path) -> Snapshot {
    let mine = sandbox.gomodcache();
    let (other, gopath) = (sandbox.root().join("by-go"), sandbox.root().join("by-go-path"));
    let before = sandbox.gopath();
    let _ = fs::remove_file(project.join("go.sum"));
    sandbox.set("GOMODCACHE", &other).set("GOPATH", gopath);
    sandbox.go(&["mod", "download"], project);
    sandbox.set("GOMODCACHE", mine).set("GOPATH", before);
    cache(&other)
}

#[test]
fn https_is_trusted_by_ssl_cert_file_alone() {
    if !has_go() {
        return;
    }
    let authority = match Authority::new() {
        Ok(authority) => authority,
        Err(why) => {
            eprintln!("NOT TESTED: https, since {why}");
            return;
        }
    };
    let (mut sandbox, proxy, project) = world();
    let db = FakeDb::of("sum.test", &proxy, &[(MODULE, "v1.2.0")]);
    let key = db.verifier();
    let (dir, shared) = (proxy.dir().to_owned(), Mutex::new(db));
    let server = Server::start_tls(&authority, move |request, stream| {
        match request.path.strip_prefix("/db") {
            Some(path) => match shared.lock().unwrap().answer(path) {
                Some(bytes) => ok(stream, &bytes),
                None => not_found(stream),
            },
            None => serve_file(&dir, request, stream),
        }
    });
    sandbox.proxy(&server.url());
    sandbox.set("GOSUMDB", format!("{key} {}/db", server.url())).set("GONOSUMDB", "");
    let said = larder(&sandbox, &["download", "src"]);
    assert!(said.ends(6).out.contains("certificate"), "{said:#?}");
    assert!(server.requests().is_empty());
    assert!(sandbox.go_fails(&["mod", "download"], &project).contains("certificate"));
    sandbox.set("SSL_CERT_FILE", authority.file());
    document(&sandbox, "download/1", 0, &["download", "src"]);
    assert!(server.paths().iter().any(|path| path.starts_with("/db/lookup/")));
    let (ours, sum) = (cache(&sandbox.gomodcache()), fs::read(project.join("go.sum")).unwrap());
    assert_eq!(diff(&by_go(&mut sandbox, &project), &ours), "");
    assert_eq!(fs::read(project.join("go.sum")).unwrap(), sum);
    // Both trusted the same head of the database.
    let head = |gopath: PathBuf| fs::read(gopath.join("pkg/sumdb/sum.test/latest")).unwrap();
    assert_eq!(head(sandbox.gopath()), head(sandbox.root().join("by-go-path")));
}

#[test]
fn a_line_is_added_only_where_the_database_vouches_for_it() {
    if !has_go() {
        return;
    }
    let (mut sandbox, proxy, project) = world();
    let mut lies = FakeDb::new("sum.test", 3);
    let (zip, go_mod) = proxy.hashes(MODULE, "v1.2.0").unwrap();
    let other = "h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";
    lies.add(MODULE, "v1.2.0", &zip, other);
    let db = Arc::new(Mutex::new(lies));
    let server = serve(&db, "", |_, bytes| Some(bytes));
    sandbox.proxy(&proxy.url()).set("GONOSUMDB", "");
    sandbox.set("GOSUMDB", db.lock().unwrap().gosumdb(&server.url()));
    // Another project lists it, which proves nothing for this one.
    let lines = format!("{MODULE} v1.2.0 {zip}\n{MODULE} v1.2.0/go.mod {go_mod}\n");
    let text = PROJECT.replace("test/m", "test/n");
    let listing = sandbox.project("n", &format!("{text}-- go.sum --\n{lines}"));
    let said = document(&sandbox, "download/1", 1, &["download", "src"]);
    assert_eq!(said["failed"][0]["kind"], "mismatch", "{said:#}");
    assert!(!project.join("go.sum").exists());
    assert!(sandbox.go_fails(&["mod", "download"], &project).contains("checksum mismatch"));
    document(&sandbox, "download/1", 0, &["download", listing.to_str().unwrap()]);
}

/// A git repository with one module and two tags, which git is told to take for a host's.
fn repository(sandbox: &GoSandbox) -> PathBuf {
    let at = sandbox.root().join("repositories/mod");
    fs::create_dir_all(&at).unwrap();
    let git = |args: &[&str]| {
        let mut git: Command = sandbox.command("git");
        let output = git.args(args).current_dir(&at).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    // The last two have been in the way of go commands.
    for (name, value) in [
        ("user.name", "t"),
        ("user.email", "t@example.test"),
        ("safe.bareRepository", "explicit"),
        ("log.decorate", "full"),
    ] {
        git(&["config", "--global", name, value]);
    }
    let url = format!("url.file://{}.insteadOf", at.display());
    git(&["config", "--global", &url, "https://git.example.test/mod"]);
    for version in ["v0.1.0", "v0.2.0"] {
        sandbox.write("repositories/mod/go.mod", "module git.example.test/mod.git\n\ngo 1.21\n");
        sandbox.write("repositories/mod/p.go", format!("package p\n\n// {version}\n"));
        git(&["add", "."]);
        git(&["commit", "-q", "-m", version]);
        git(&["tag", version]);
    }
    at
}

const PRIVATE: &str = "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n\nrequire (\n\tgit.example.test/mod.git v0.1.0\n\texample.test/Dep v1.2.0\n)\n";

#[test]
fn what_is_private_comes_from_version_control_and_leaves_what_go_leaves() {
    if !has_go() {
        return;
    }
    let (mut sandbox, proxy, _) = world();
    repository(&sandbox);
    fs::remove_dir_all(sandbox.root().join("src")).unwrap();
    let project = sandbox.project("private", PRIVATE);
    let asked = Server::start({
        let dir = proxy.dir().to_owned();
        move |request, stream| serve_file(&dir, request, stream)
    });
    sandbox.proxy(&asked.url()).set("GOPRIVATE", "git.example.test").unset("GONOSUMDB");
    // GOVCS forbids it first, which is told as go tells it.
    let said = larder(&sandbox, &["download", "src"]);
    assert!(said.ends(4).out.contains("GOVCS disallows using git"), "{said:#?}");
    assert!(sandbox.go_fails(&["mod", "download"], &project).contains("GOVCS disallows using git"));
    sandbox.set("GOVCS", "private:git,public:off").set("GOSUMDB", "off");
    let done = document(&sandbox, "download/1", 0, &["download", "src"]);
    let of = |from: &str| {
        let all = done["fetched"].as_array().unwrap();
        all.iter().filter(|one| one["from"] == from).count()
    };
    // The other one came the first time.
    assert_eq!((of("direct"), of("proxy")), (1, 0), "{done:#}");
    assert!(!asked.paths().iter().any(|path| path.contains("git.example.test")), "it is private");
    let sum = fs::read_to_string(project.join("go.sum")).unwrap();
    assert!(sum.contains("git.example.test/mod.git v0.1.0/go.mod h1:"), "{sum}");
    // The clones differ in what git says of itself, not in the modules.
    let modules = |mut tree: Snapshot| {
        tree.retain(|path, _| !path.starts_with("cache/vcs"));
        tree
    };
    let ours = modules(cache(&sandbox.gomodcache()));
    assert!(ours.contains_key(Path::new("git.example.test/mod.git@v0.1.0/p.go")));
    let theirs = modules(by_go(&mut sandbox, &project));
    assert_eq!(diff(&theirs, &ours), "");
    assert_eq!(fs::read_to_string(project.join("go.sum")).unwrap(), sum);
    let again = document(&sandbox, "download/1", 0, &["download", "src"]);
    assert_eq!(again["fetched"].as_array().unwrap().len(), 0);
    sandbox.go(&["mod", "verify"], &project);
}

#[test]
fn direct_is_asked_after_the_proxies_as_goproxy_says() {
    if !has_go() {
        return;
    }
    let (mut sandbox, proxy, _) = world();
    repository(&sandbox);
    fs::remove_dir_all(sandbox.root().join("src")).unwrap();
    sandbox.project("m", PRIVATE);
    sandbox.set("GOVCS", "*:git").proxy(&format!("{},direct", proxy.url()));
    let done = document(&sandbox, "download/1", 0, &["download", "src"]);
    let from = |at: usize| done["fetched"][at]["from"].as_str().unwrap().to_owned();
    assert_eq!([from(0), from(1)], ["proxy", "direct"], "{done:#}");
    // An error that is no 404 ends the list after a comma, and not after a bar.
    let broken = Server::start(|_, stream| reply(stream, "403 Forbidden", "", b"no"));
    let fresh = |name: &str| sandbox.root().join(name);
    let folders = [fresh("one"), fresh("two")];
    for (folder, sign, code) in [(&folders[0], ",", 6), (&folders[1], "|", 0)] {
        let mut ours = crate::flow::command(&sandbox, &["download", "src/m", "--json"]);
        ours.env("GOMODCACHE", folder);
        ours.env("GOPROXY", format!("{}{sign}{},direct", broken.url(), proxy.url()));
        let output = ours.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{sign}: {output:?}");
    }
}
