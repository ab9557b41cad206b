//! The go command's own scripts about the checksum database, re-enacted; the table of all scripts
//! is in `flow_go_scripts.rs`.

use std::fs;

use crate::flow::document;
use crate::flow_go_scripts::{DB, Stage, folder_proxy, stage};

const FORTUNE: &str = "rsc.io/fortune@v1.0.0";

/// As Go's scripts begin: every module is to be in the database.
fn with_database() -> Option<Stage> {
    let mut stage = stage()?;
    let key = stage.key.clone();
    stage.sandbox.set("GOSUMDB", key).set("GONOSUMDB", "").set("GONOPROXY", "");
    Some(stage)
}

impl Stage {
    /// Takes away what is known of the database, and every go.sum.
    fn forget(&self) {
        let _ = fs::remove_dir_all(self.cached("sumdb"));
        let _ = fs::remove_file(self.sandbox.root().join("src/m/go.sum"));
    }
}

#[test]
fn mod_sumdb() {
    let Some(mut stage) = with_database() else { return };
    stage.requires(&["rsc.io/quote@v1.5.2"]);
    let wrong = format!("{} {}/sumdb-wrong", stage.key, stage.server.url());
    stage.sandbox.set("GOSUMDB", wrong);
    let said = stage.download(1);
    for word in ["rsc.io/quote@v1.5.2", "checksum mismatch", "h1:wrong", "h1:LzX7h", DB] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // With the go.mod's line in go.sum it is the content that differs.
    let line = "rsc.io/quote v1.5.2/go.mod h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=\n";
    let rest = "golang.org/x/text v0.0.0-20170915032832-14c0d48ead0c/go.mod h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=\n\
                rsc.io/sampler v1.3.0/go.mod h1:T1hPZKmBbMNahiBKFy5HrXp6adAjACjK9JXDnKaTXpA=\n";
    let sum = stage.sandbox.root().join("src/m/go.sum");
    fs::write(&sum, format!("{line}{rest}")).unwrap();
    let said = stage.download(1);
    assert!(said.contains("downloaded h1:3fEy") && said.contains("h1:wrong"), "{said}");
    fs::remove_file(&sum).unwrap();
    // The truthful database cannot have grown from the wrong one.
    stage.requires(&[FORTUNE]);
    let key = stage.key.clone();
    stage.sandbox.set("GOSUMDB", key);
    let said = stage.download(1);
    assert!(said.contains("SECURITY ERROR") && said.contains("contradict each other"), "{said}");
    // Without the wrong head and tiles all is well.
    fs::remove_file(stage.sandbox.gopath().join("pkg/sumdb").join(DB).join("latest")).unwrap();
    stage.clean();
    stage.download(0);
}

#[test]
fn mod_sumdb_cache() {
    let Some(mut stage) = with_database() else { return };
    stage.requires(&["rsc.io/quote@v1.5.2"]);
    stage.proxies("^/sumdb-503");
    assert!(stage.download(6).contains("503"));
    stage.proxies("^");
    stage.download(0);
    let sum = stage.sandbox.root().join("src/m/go.sum");
    let again = || fs::remove_file(&sum).unwrap();
    // Then from the cache alone, without a question.
    again();
    stage.proxies("^/sumdb-503");
    stage.server.forget();
    stage.download(0);
    assert_eq!(stage.server.paths(), [""; 0]);
    again();
    stage.sandbox.proxy("off");
    stage.download(0);
    // go.sum is enough without the database: here one that has all lines.
    let lines = fs::read_to_string(&sum).unwrap();
    let all = document(&stage.sandbox, "verify/1", 0, &["verify", "mod", "--roots", "src"]);
    assert_eq!(all["bad"].as_array().unwrap().len(), 0);
    let whole = stage.sandbox.root().join("src/m");
    stage.sandbox.go(&["mod", "download", "all"], &whole);
    assert!(fs::read_to_string(&sum).unwrap().len() > lines.len());
    fs::remove_dir_all(stage.cached("sumdb").join(DB).join("lookup")).unwrap();
    stage.download(0);
    // Without both it fails, and GOINSECURE is no way around.
    stage.proxies("^/sumdb-504");
    again();
    assert!(stage.download(6).contains("504"));
    stage.sandbox.set("GOINSECURE", "rsc.io");
    assert!(stage.download(6).contains("504"));
    assert!(!sum.exists());
}

#[test]
fn mod_sumdb_file_path() {
    let Some(mut stage) = with_database() else { return };
    let project = stage.requires(&["golang.org/x/text@v0.3.0"]);
    let sumproxy = folder_proxy(&stage.sandbox, "sumproxy");
    let supported = format!("sumproxy/sumdb/{DB}/supported");
    stage.sandbox.write(&supported, "This proxy blocks checksum downloads.\n");
    let empty = folder_proxy(&stage.sandbox, "emptyproxy");
    // A proxy that speaks for the database and lacks the record ends the search.
    stage.proxies(&format!("{},^", sumproxy.url()));
    let said = stage.download(6);
    assert!(said.contains("lookup/golang.org/x/text@v0.3.0"), "{said}");
    // One that does not speak for it is passed over.
    stage.proxies(&format!("{},^", empty.url()));
    stage.download(0);
    // The cache itself can be the proxy of the next one, with its database.
    stage.sandbox.go(&["mod", "download", "all"], &project);
    let lines = fs::read(project.join("go.sum")).unwrap();
    fs::write(stage.cached("sumdb").join(DB).join("supported"), "").unwrap();
    let first = stage.sandbox.gomodcache().join("cache/download");
    stage.proxies(&format!("file://{},{}", first.display(), sumproxy.url()));
    let fresh = |stage: &mut Stage, name: &str| {
        let gopath = stage.sandbox.root().join(name);
        stage.sandbox.set("GOMODCACHE", gopath.join("mod")).set("GOPATH", gopath);
    };
    fresh(&mut stage, "second");
    fs::remove_file(project.join("go.sum")).unwrap();
    stage.server.forget();
    stage.download(0);
    assert_eq!(stage.server.paths(), [""; 0]);
    // With all lines in go.sum the empty database does not matter.
    fs::write(project.join("go.sum"), lines).unwrap();
    fresh(&mut stage, "third");
    stage.sandbox.proxy(&sumproxy.url());
    stage.download(4);
    stage.proxies(&format!("{},^", sumproxy.url()));
    stage.download(0);
}

#[test]
fn mod_sumdb_golang() {
    let Some(stage) = with_database() else { return };
    let project = stage.requires(&["rsc.io/quote@v1.5.2"]);
    stage.download(0);
    stage.sandbox.go(&["mod", "download", "all"], &project);
    let whole = fs::read(project.join("go.sum")).unwrap();
    // With go.sum: modules are asked for, the database is not.
    stage.clean();
    stage.server.forget();
    stage.download(0);
    let asked = stage.server.paths();
    assert!(asked.iter().any(|path| path.starts_with("/rsc.io/quote/@v/")), "{asked:?}");
    assert!(!asked.iter().any(|path| path.contains("sumdb")), "{asked:?}");
    assert_eq!(fs::read(project.join("go.sum")).unwrap(), whole);
    // Without: the database is asked, the proxy for nothing that is there.
    stage.forget();
    stage.server.forget();
    stage.download(0);
    let asked = stage.server.paths();
    let lookup = format!("/sumdb/{DB}/lookup/rsc.io/quote@v1.5.2");
    assert!(asked.contains(&lookup), "{asked:?}");
    assert!(!asked.iter().any(|path| path.contains("/@v/")), "{asked:?}");
}

#[test]
fn mod_sumdb_proxy() {
    let Some(mut stage) = with_database() else { return };
    stage.requires(&[FORTUNE]);
    stage.download(0);
    stage.forget();
    // By its address.
    let key = stage.key.clone();
    let direct = format!("{key} {}/sumdb-direct", stage.server.url());
    stage.sandbox.set("GOSUMDB", direct);
    stage.download(0);
    stage.forget();
    stage.sandbox.set("GOSUMDB", key);
    for (list, code, word) in [
        // Nobody in between, or nobody who knows it: the database itself, which is not there.
        ("direct", 6, DB),
        ("^/sumdb-404", 6, DB),
        // Any other answer is the last one, and of several the last error is told.
        ("^/sumdb-503", 6, "503"),
        ("^/sumdb-404,^/sumdb-503", 6, "503"),
        ("^/sumdb-503|https://127.0.0.1:1|^", 0, ""),
    ] {
        stage.proxies(list);
        let said = stage.download(code);
        assert!(said.contains(word), "{list}: {said}");
        stage.forget();
    }
}

#[test]
fn mod_download_json() {
    let Some(mut stage) = with_database() else { return };
    stage.requires(&["rsc.io/quote@v1.5.0"]);
    let wrong = format!("{} {}/sumdb-wrong", stage.key, stage.server.url());
    stage.sandbox.set("GOSUMDB", wrong);
    let said = document(&stage.sandbox, "download/1", 1, &["download", "src"]);
    assert_eq!(said["failed"][0]["kind"], "mismatch", "{said:#}");
}
