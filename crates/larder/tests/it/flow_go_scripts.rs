//! The go command's own scripts about downloads, re-enacted with larder against Go's own test
//! modules (`GOROOT/src/cmd/go/testdata/{script,mod}`, `cmd/go/proxy_test.go`). `go get M@V` is a
//! project that requires it, and `larder download`.
//!
//! | script | step | where |
//! |---|---|---|
//! | mod_verify | a good or bad go.sum is no reason to fetch; a bad one stops, a good one grows; bad2; missing ziphash | `mod_verify` |
//! | | packages below the module root are no lines of go.sum | only `go get` does that |
//! | mod_verify_work | modules whose path sorts after `go` | `mod_verify_work` |
//! | mod_sumdb | disagreement; timeline; a cleared head | `flow_go_sumdb::mod_sumdb` |
//! | mod_sumdb_cache | 503; through a proxy; from the cache; go.sum alone; 504; GOINSECURE | `flow_go_sumdb::mod_sumdb_cache` |
//! | mod_sumdb_file_path | all four parts, with folders for the public servers | `flow_go_sumdb::mod_sumdb_file_path` |
//! | mod_sumdb_golang | defaults | larder-modules, `settings` |
//! | | go.sum there: no question; gone: questions, but nothing from the proxy | `flow_go_sumdb::mod_sumdb_golang` |
//! | | fallback to direct on 404 | `flow_net::direct_is_asked_after_the_proxies_as_goproxy_says` |
//! | mod_sumdb_proxy | every part | `flow_go_sumdb::mod_sumdb_proxy` |
//! | mod_proxy_errors | long answers are cut | `mod_proxy_errors` |
//! | mod_proxy_https | a path is no URL; `https://` may be left out | `mod_proxy_https` |
//! | mod_proxy_invalid | no JSON | `mod_proxy_invalid` |
//! | mod_proxy_list | 404, 410, 403 and 500 after commas and bars; the last error | `mod_proxy_list` |
//! | mod_download | a version, nothing of later ones; each part comes back by itself; replacements; update, go 1.17 | `mod_download` |
//! | | an error of an unknown version; `-json` of it | `mod_download` |
//! | | queries, explicit arguments, GO111MODULE=auto | larder has none |
//! | mod_download_concurrent_read | files open while a version is unpacked | Windows alone |
//! | mod_download_exec_toolchain | switching of toolchains | larder runs none |
//! | mod_download_git_bareRepository, _sha256, _decorate_full | settings of git | `flow_net::what_is_private_comes_from_version_control_and_leaves_what_go_leaves` |
//! | mod_download_hash, _issue51114, _private_vcs, _svn, _insecure_redirect | queries and hosts of version control | the go command's own work |
//! | mod_download_json | a wrong checksum as JSON | `flow_go_sumdb::mod_download_json` |
//! | mod_download_partial | a missing file; `.partial`; an empty zip | `mod_download_partial` |
//! | mod_download_replace_file | a folder in place of a module | `mod_download_replace_file` |
//! | mod_download_too_many_redirects | eleven and nine | `mod_download_too_many_redirects` |

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use larder_testkit::fake_sumdb::FakeDb;
use larder_testkit::server::{
    Authority, Server, Stream, not_found, ok, redirect, reply, serve_file,
};
use larder_testkit::{FileProxy, GoSandbox, TestProxy, Txtar, has_go};
use serde_json::Value;

use crate::flow::{document, larder};

/// Nobody answers there, so what is asked of the database itself fails.
pub(crate) const DB: &str = "127.0.0.1:1/sumdb";

/// A sandbox, and the server of `cmd/go/proxy_test.go` with Go's own test modules.
pub(crate) struct Stage {
    pub(crate) sandbox: GoSandbox,
    pub(crate) server: Server,
    /// The key of the checksum database that knows these modules.
    pub(crate) key: String,
}

/// Sets the stage; `None` where Go came without its tests.
pub(crate) fn stage() -> Option<Stage> {
    let modules = match TestProxy::get() {
        Ok(modules) if has_go() => modules,
        Ok(_) => return None,
        Err(why) => {
            eprintln!("NOT TESTED: Go's own scripts, since {why}");
            return None;
        }
    };
    let versions: Vec<(&str, &str)> =
        modules.modules().iter().map(|(module, version)| (&module[..], &version[..])).collect();
    let good = FakeDb::of(DB, modules.proxy(), &versions);
    let mut wrong = FakeDb::new(DB, 3);
    versions
        .iter()
        .for_each(|(module, version)| wrong.add(module, version, "h1:wrong", "h1:wrong"));
    let key = good.verifier();
    let (dir, good, wrong) =
        (modules.proxy().dir().to_owned(), Mutex::new(good), Mutex::new(wrong));
    let server = Server::start(move |request, stream| {
        let path = request.path.trim_start_matches('/');
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let of = |db: &Mutex<FakeDb>, path: &str| db.lock().unwrap().answer(&format!("/{path}"));
        let mut request = request.clone();
        request.path = format!("/{path}");
        match (first, first.strip_prefix("sumdb-")) {
            ("invalid", _) => return ok(stream, b"invalid"),
            ("redirect", _) => {
                let (count, path) = rest.split_once('/').unwrap_or((rest, ""));
                return match count.parse::<u32>().unwrap_or(0) {
                    0 | 1 => redirect(stream, &format!("/{path}")),
                    count => redirect(stream, &format!("/redirect/{}/{path}", count - 1)),
                };
            }
            (_, Some("direct")) => {
                return found(stream, of(&good, rest));
            }
            (_, Some("wrong")) => {
                return found(stream, of(&wrong, rest));
            }
            (_, Some(status)) if rest.starts_with("sumdb/") => {
                return reply(stream, &format!("{status} Refused"), "", b"no database here");
            }
            (_, Some(_)) => request.path = format!("/{rest}"),
            (status, None) if status.len() == 3 && status.parse::<u32>().is_ok() => {
                return reply(stream, &format!("{status} Refused"), "", b"no module here");
            }
            _ => {}
        }
        match request.path.strip_prefix(&format!("/sumdb/{DB}/")) {
            Some(path) => found(stream, of(&good, path)),
            None => serve_file(&dir, &request, stream),
        }
    });
    let mut sandbox = GoSandbox::new();
    sandbox.proxy(&server.url());
    Some(Stage { sandbox, server, key })
}

fn found(stream: &mut Stream<'_>, bytes: Option<Vec<u8>>) -> bool {
    match bytes {
        Some(bytes) => ok(stream, &bytes),
        None => not_found(stream),
    }
}

impl Stage {
    /// The files of one of Go's scripts.
    pub(crate) fn script(&self, name: &str) -> Txtar {
        let root = PathBuf::from(self.sandbox.go_text(&["env", "GOROOT"], self.sandbox.root()));
        let path = root.join("src/cmd/go/testdata/script").join(name).with_extension("txt");
        Txtar::parse(&fs::read(path).unwrap())
    }

    /// A project `m` that requires these, without a go.sum.
    pub(crate) fn requires(&self, modules: &[&str]) -> PathBuf {
        let _ = fs::remove_dir_all(self.sandbox.root().join("src"));
        let lines: String =
            modules.iter().map(|one| format!("require {}\n", one.replace('@', " "))).collect();
        self.sandbox.project("m", &format!("-- go.mod --\nmodule m\n\ngo 1.16\n\n{lines}"))
    }

    /// `larder download src`, which must end so; what it said.
    #[track_caller]
    pub(crate) fn download(&self, code: i32) -> String {
        let said = larder(&self.sandbox, &["download", "src"]);
        said.ends(code);
        said.out
    }

    /// A list of proxies, `^` standing for the server.
    pub(crate) fn proxies(&mut self, list: &str) {
        let list = list.replace('^', &self.server.url());
        self.sandbox.proxy(&list);
    }

    /// A file below `cache/download`.
    pub(crate) fn cached(&self, name: &str) -> PathBuf {
        self.sandbox.gomodcache().join("cache/download").join(name)
    }

    pub(crate) fn clean(&self) {
        larder(&self.sandbox, &["clean", "mod", "--force"]).ends(0);
    }
}

/// What a verification called bad.
fn bad(document: &Value) -> Vec<&str> {
    document["bad"].as_array().unwrap().iter().filter_map(|bad| bad["check"].as_str()).collect()
}

#[test]
fn mod_verify() {
    let Some(stage) = stage() else { return };
    let files = stage.script("mod_verify");
    let project = stage.requires(&["rsc.io/quote@v1.1.0"]);
    let write = |name: &str, from: &str| {
        let text = files.get(from).unwrap();
        fs::write(project.join(name), text).unwrap();
    };
    write("go.mod", "go.mod");
    write("x.go", "x.go");
    let zip = stage.cached("rsc.io/quote/@v/v1.1.0.zip");
    let verify = |code: i32, more: &[&str]| {
        let args = [&["verify", "mod", "--roots", "src"], more].concat();
        document(&stage.sandbox, "verify/1", code, &args)
    };
    for sums in ["go.sum.good", "go.sum.bad"] {
        write("go.sum", sums);
        larder(&stage.sandbox, &["verify", "mod", "--roots", "src"]).ends(0);
        assert!(!zip.exists());
    }
    assert!(stage.download(1).contains("checksum mismatch"));
    assert!(!zip.exists());
    write("go.sum", "go.sum.good");
    // Go writes a go line into this go.mod first; larder leaves the file alone.
    let text = fs::read_to_string(project.join("go.mod")).unwrap();
    fs::write(project.join("go.mod"), text.replace("module x\n", "module x\n\ngo 1.16\n")).unwrap();
    stage.download(0);
    assert!(zip.exists());
    assert!(stage.sandbox.gomodcache().join("rsc.io/quote@v1.1.0/quote.go").exists());
    let sum = || fs::read_to_string(project.join("go.sum")).unwrap();
    assert!(sum().contains("rsc.io/quote v1.1.0/go.mod h1:"), "{}", sum());
    assert_eq!(bad(&verify(0, &[])), [""; 0]);
    write("go.sum", "go.sum.bad2");
    assert!(stage.download(1).contains("its go.mod: checksum mismatch"));
    assert_eq!(bad(&verify(1, &[])), ["go.sum"]);
    fs::remove_file(project.join("go.sum")).unwrap();
    stage.download(0);
    assert!(sum().contains("rsc.io/quote v1.1.0/go.mod ") && !sum().contains("v1.1.0 h1:"));
    // Go's verify fails on a missing ziphash, and its next download restores it.
    let ziphash = zip.with_extension("ziphash");
    let before = fs::read(&ziphash).unwrap();
    fs::remove_file(&ziphash).unwrap();
    stage.sandbox.go_fails(&["mod", "verify"], &project);
    assert_eq!(bad(&verify(1, &[])), ["ziphash"]);
    stage.download(0);
    assert_eq!(fs::read(&ziphash).unwrap(), before);
    // So does a mended cache, with the folder and without it, though the proxy is not there.
    for without_folder in [false, true] {
        fs::remove_file(&ziphash).unwrap();
        if without_folder {
            remove(&stage.sandbox.gomodcache().join("rsc.io/quote@v1.1.0"));
        }
        let mut ours = crate::flow::command(
            &stage.sandbox,
            &["verify", "mod", "--roots", "src", "--fix", "--json"],
        );
        let output = ours.env("GOPROXY", "off").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(fs::read(&ziphash).unwrap(), before);
    }
    assert_eq!(bad(&verify(0, &[])), [""; 0]);
    stage.sandbox.go(&["mod", "verify"], &project);
}

#[test]
fn mod_verify_work() {
    let Some(stage) = stage() else { return };
    stage.script("mod_verify_work").unpack(&stage.sandbox.root().join("src")).unwrap();
    stage.download(0);
    larder(&stage.sandbox, &["verify", "mod", "--roots", "src"]).ends(0);
}

#[test]
fn mod_proxy_errors() {
    let Some(stage) = stage() else { return };
    stage.requires(&["rsc.io/quote@v1.5.2"]);
    for body in ["line\n".repeat(10_000), "blah".repeat(100_000)] {
        let talks = Server::start(move |_, stream| {
            reply(stream, "404 Not Found", "Content-Type: text/plain\r\n", body.as_bytes())
        });
        let mut ours = crate::flow::command(&stage.sandbox, &["download", "src"]);
        let output = ours.env("GOPROXY", talks.url()).output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert!(output.stdout.len() < 8 << 10, "{} bytes", output.stdout.len());
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("404 Not Found"), "{said}");
    }
    let file = Server::start(|_, stream| {
        reply(stream, "404 Not Found", "Content-Type: text/plain\r\n", b"File? What file?")
    });
    let mut ours = crate::flow::command(&stage.sandbox, &["download", "src"]);
    let output = ours.env("GOPROXY", file.url()).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("File? What file?"));
}

#[test]
fn mod_proxy_https() {
    let Some(mut stage) = stage() else { return };
    stage.requires(&["rsc.io/quote@v1.5.2"]);
    stage.sandbox.proxy("/some/proxydir");
    let said = larder(&stage.sandbox, &["download", "src"]);
    assert!(said.ends(2).err.contains("proxydir"), "{said:#?}");
    let Ok(authority) = Authority::new() else { return };
    let dir = TestProxy::get().unwrap().proxy().dir().to_owned();
    let secure =
        Server::start_tls(&authority, move |request, stream| serve_file(&dir, request, stream));
    stage.sandbox.set("SSL_CERT_FILE", authority.file());
    stage.sandbox.proxy(secure.url().strip_prefix("https://").unwrap());
    stage.download(0);
}

#[test]
fn mod_proxy_invalid() {
    let Some(mut stage) = stage() else { return };
    stage.requires(&["rsc.io/quote@v1.5.2"]);
    stage.proxies("^/invalid");
    let said = stage.download(4);
    assert!(said.contains("rsc.io/quote@v1.5.2") && said.contains("go.mod"), "{said}");
}

#[test]
fn mod_proxy_list() {
    let Some(mut stage) = stage() else { return };
    for (version, list, code, word) in [
        ("v1.0.0", "^/404", 4, "404"),
        ("v1.1.0", "^/404,^/410,^", 0, ""),
        ("v1.2.0", "^/403,^", 6, "/403/rsc.io/"),
        ("v1.3.0", "^/500,^", 6, "/500/rsc.io/"),
        ("v1.2.0", "^/403|https://127.0.0.1:1|^", 0, ""),
        ("v1.3.0", "^/500|https://127.0.0.1:1|^", 0, ""),
        ("v1.4.0", "^/404,^/410", 4, "/410/rsc.io/"),
    ] {
        stage.requires(&[&format!("rsc.io/quote@{version}")]);
        stage.proxies(list);
        let said = stage.download(code);
        assert!(said.contains(word), "{list}: {said}");
    }
}

#[test]
fn mod_download() {
    let Some(stage) = stage() else { return };
    let project = stage.requires(&["rsc.io/quote@v1.5.0"]);
    stage.download(0);
    let of = |version: &str, end: &str| stage.cached(&format!("rsc.io/quote/@v/{version}{end}"));
    assert!([".info", ".mod", ".zip"].iter().all(|end| of("v1.5.0", end).exists()));
    assert!([".info", ".mod", ".zip"].iter().all(|end| !of("v1.5.2", end).exists()));
    // Each part comes back by itself.
    let folder = stage.sandbox.gomodcache().join("rsc.io/quote@v1.5.0");
    for end in [".info", ".mod", ".zip", ".ziphash"] {
        let text = fs::read(of("v1.5.0", end)).unwrap();
        fs::remove_file(of("v1.5.0", end)).unwrap();
        stage.download(0);
        assert!(fs::read(of("v1.5.0", end)).unwrap() == text, "{end}");
    }
    remove(&folder);
    stage.download(0);
    assert!(folder.join("go.mod").exists());
    // Replacements are followed.
    let replace = "\nreplace rsc.io/quote v1.5.1 => rsc.io/quote v1.5.2\n";
    fs::write(
        project.join("go.mod"),
        format!("module m\n\ngo 1.16\n\nrequire rsc.io/quote v1.5.1\n{replace}"),
    )
    .unwrap();
    stage.download(0);
    assert!(!of("v1.5.1", ".zip").exists() && of("v1.5.2", ".zip").exists());
    stage.requires(&["rsc.io/quote@v1.999.999"]);
    let said = stage.download(4);
    assert!(said.contains("rsc.io/quote@v1.999.999") && said.contains("404"), "{said}");
    let json = document(&stage.sandbox, "download/1", 4, &["download", "src"]);
    assert_eq!(json["failed"][0]["subject"], "rsc.io/quote@v1.999.999");
    // What Go expects of go.sum after a download without arguments, and which zips come.
    let files = stage.script("mod_download");
    for go in ["1.16", "1.17"] {
        stage.clean();
        let project = stage.requires(&[]);
        let text = String::from_utf8(files.get("update/go.mod.orig").unwrap().to_vec()).unwrap();
        fs::write(project.join("go.mod"), text.replace("go 1.16", &format!("go {go}"))).unwrap();
        stage.download(0);
        let sum = fs::read_to_string(project.join("go.sum")).unwrap();
        assert_eq!(sum.as_bytes(), files.get("update/go.sum.update").unwrap(), "{sum}");
        let text = "golang.org/x/text/@v/v0.0.0-20170915032832-14c0d48ead0c.zip";
        for (zip, there) in [
            ("rsc.io/quote/@v/v1.5.2.zip", true),
            ("rsc.io/sampler/@v/v1.2.1.zip", false),
            ("rsc.io/sampler/@v/v1.3.0.zip", true),
            (text, go == "1.16"),
        ] {
            assert_eq!(stage.cached(zip).exists(), there, "go {go}: {zip}");
        }
    }
}

#[test]
fn mod_download_partial() {
    let Some(mut stage) = stage() else { return };
    stage.sandbox.set("GOFLAGS", "-modcacherw");
    let project = stage.requires(&["rsc.io/quote@v1.5.2"]);
    stage.download(0);
    let file = stage.sandbox.gomodcache().join("rsc.io/quote@v1.5.2/go.mod");
    let verify =
        |code| document(&stage.sandbox, "verify/1", code, &["verify", "mod", "--roots", "src"]);
    assert_eq!(bad(&verify(0)), [""; 0]);
    fs::remove_file(&file).unwrap();
    assert_eq!(bad(&verify(1)), ["folder"]);
    // With a mark it is not in the cache yet, and is no more than a leftover.
    let partial = stage.cached("rsc.io/quote/@v/v1.5.2.partial");
    fs::write(&partial, "").unwrap();
    stage.sandbox.go(&["mod", "verify"], &project);
    assert!(!bad(&verify(1)).contains(&"folder"));
    stage.download(0);
    assert!(!partial.exists() && file.exists());
    assert_eq!(bad(&verify(0)), [""; 0]);
    stage.sandbox.go(&["mod", "verify"], &project);
    // An error of the zip leaves no folder and no mark.
    let folder = file.parent().unwrap();
    remove(folder);
    fs::write(stage.cached("rsc.io/quote/@v/v1.5.2.zip"), "").unwrap();
    let said = stage.download(4);
    assert!(said.contains("rsc.io/quote@v1.5.2") && said.contains("zip"), "{said}");
    assert!(!folder.exists() && !partial.exists());
}

#[test]
fn mod_download_replace_file() {
    let Some(stage) = stage() else { return };
    let project = stage.requires(&[]);
    stage.script("mod_download_replace_file").unpack(&project).unwrap();
    let done = document(&stage.sandbox, "download/1", 0, &["download", "src/m"]);
    for list in ["fetched", "present", "failed", "go_mods", "sums"] {
        assert_eq!(done[list].as_array().unwrap().len(), 0, "{done:#}");
    }
}

#[test]
fn mod_download_too_many_redirects() {
    let Some(mut stage) = stage() else { return };
    stage.requires(&["rsc.io/quote@v1.2.0"]);
    stage.proxies("^/redirect/11");
    let said = stage.download(4);
    assert!(said.contains("redirect"), "{said}");
    stage.proxies("^/redirect/9");
    stage.download(0);
}

/// Removes an extracted folder.
fn remove(folder: &Path) {
    let all = larder_testkit::snapshot(folder);
    for (path, entry) in &all {
        if entry.kind == larder_testkit::EntryKind::Folder {
            use std::os::unix::fs::PermissionsExt as _;
            let path = folder.join(path);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

/// A proxy that is a folder.
pub(crate) fn folder_proxy(sandbox: &GoSandbox, name: &str) -> FileProxy {
    let proxy = FileProxy::new(sandbox.root().join(name));
    fs::create_dir_all(proxy.dir()).unwrap();
    proxy
}
