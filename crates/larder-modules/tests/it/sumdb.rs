//! What the client of a checksum database believes and what not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use larder_fs::Dir;
use larder_modules::{NetSettings, Proxies, Reach, SumDb, SumDbError};

use crate::lies::options;
use larder_testkit::fake_sumdb::{FakeDb, Shared, serve};
use larder_testkit::server::Server;

pub const MODULE: &str = "example.com/Big/a";
const ZIP: &str = "h1:qkyYEp2jbBb8Jqj2x1lC0Nv0P4lHHgQkFDyGbGOvC0s=";

/// A cache, a GOPATH and a database of 300 records with one real one at 17.
struct World {
    folder: tempfile::TempDir,
    db: Shared,
}

impl World {
    fn new() -> Self {
        let mut db = FakeDb::new("sum.test/db", 7);
        db.grow(17);
        db.add(MODULE, "v1.2.0", ZIP, "h1:mod=");
        db.grow(282);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("mod")).unwrap();
        Self { folder, db: Arc::new(Mutex::new(db)) }
    }

    fn serve(&self) -> Server {
        serve(&self.db, "", |_, bytes| Some(bytes))
    }

    fn client(&self, gosumdb: &str, goproxy: Option<&str>) -> SumDb {
        client(self.folder.path(), gosumdb, goproxy)
    }

    fn online(&self, server: &Server) -> SumDb {
        self.client(&self.db.lock().unwrap().gosumdb(&server.url()), Some("off"))
    }

    fn offline(&self) -> SumDb {
        self.client(&self.db.lock().unwrap().verifier(), None)
    }

    fn head(&self) -> PathBuf {
        self.folder.path().join("gopath/pkg/sumdb/sum.test/db/latest")
    }

    fn cached(&self, file: &str) -> PathBuf {
        self.folder.path().join("mod/cache/download/sumdb/sum.test/db").join(file)
    }
}

/// A client over `folder/mod` and `folder/gopath`; offline without a proxy list.
pub fn client(folder: &Path, gosumdb: &str, goproxy: Option<&str>) -> SumDb {
    let settings = NetSettings {
        gosumdb: gosumdb.to_owned(),
        goproxy: goproxy.unwrap_or("off").to_owned(),
        gonosumdb: "corp.example".to_owned(),
        goauth: "off".to_owned(),
        ..NetSettings::default()
    };
    let reach = match goproxy {
        Some(_) => Reach::Network(Proxies::new(&settings, options()).unwrap()),
        None => Reach::Offline,
    };
    let cache = Dir::open_root(&folder.join("mod")).unwrap();
    SumDb::new(&settings, &cache, &folder.join("gopath"), reach).unwrap().unwrap()
}

fn zip_line() -> String {
    format!("{MODULE} v1.2.0 {ZIP}")
}

fn untrusted(result: Result<Vec<String>, SumDbError>, word: &str) {
    match result {
        Err(error @ SumDbError::Untrusted { .. }) => {
            assert!(error.to_string().contains(word), "{error}");
            assert!(!error.is_security());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_are_proven_and_kept() {
    let world = World::new();
    let server = world.serve();
    let db = world.online(&server);
    assert_eq!(db.lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
    assert_eq!(
        db.lookup(MODULE, "v1.2.0/go.mod").unwrap(),
        [format!("{MODULE} v1.2.0/go.mod h1:mod=")]
    );
    let mut paths = server.paths();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/lookup/example.com/!big/a@v1.2.0",
            "/tile/8/0/000",
            "/tile/8/0/001.p/44",
            "/tile/8/1/000.p/1"
        ]
    );
    assert_eq!(fs::read_to_string(world.head()).unwrap(), world.db.lock().unwrap().head(300));
    for file in ["lookup/example.com/!big/a@v1.2.0", "tile/8/0/000", "tile/8/0/001.p/44"] {
        assert!(world.cached(file).is_file(), "{file}");
    }
    server.forget();
    assert_eq!(world.online(&server).lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
    assert_eq!(server.paths(), Vec::<String>::new(), "all of it is in the cache");
    assert_eq!(world.offline().lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
}

#[test]
fn what_is_not_there_is_not_found_or_unknown() {
    let world = World::new();
    let server = world.serve();
    let error = world.online(&server).lookup("example.com/none", "v1.0.0").unwrap_err();
    assert!(matches!(error, SumDbError::Fetch(_)), "{error}");
    assert!(error.to_string().contains("example.com/none@v1.0.0"), "{error}");
    let error = world.offline().lookup(MODULE, "v1.2.0").unwrap_err();
    assert!(matches!(error, SumDbError::Unknown { .. }), "{error}");
    assert!(matches!(world.offline().lookup("..", "v1"), Err(SumDbError::Invalid { .. })));
    assert!(!world.cached("").exists(), "offline nothing is made");
}

#[test]
fn private_modules_need_no_lookup() {
    let db = World::new().offline();
    assert!(db.needs(MODULE));
    assert!(!db.needs("corp.example/a"));
    assert!(db.needs("golang.org/toolchain"));
    assert_eq!(db.name(), "sum.test/db");
}

#[test]
fn a_tree_that_grew_is_followed_and_an_older_one_is_no_lie() {
    let world = World::new();
    let server = world.serve();
    world.online(&server).lookup(MODULE, "v1.2.0").unwrap();
    {
        let mut db = world.db.lock().unwrap();
        db.grow(400);
        db.add(MODULE, "v1.3.0", "h1:new=", "h1:new=");
    }
    let client = world.online(&server);
    assert_eq!(client.lookup(MODULE, "v1.3.0").unwrap().len(), 1);
    assert_eq!(fs::read_to_string(world.head()).unwrap(), world.db.lock().unwrap().head(701));
    // The record of before came with the tree of before.
    assert_eq!(client.lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
    assert_eq!(world.offline().lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
    assert_eq!(world.offline().lookup(MODULE, "v1.3.0").unwrap().len(), 1);
    // A mirror that lags behind is no lie: a tree head of 400, served while 701 is known.
    let lagging = Arc::clone(&world.db);
    let behind = serve(&world.db, "", move |path, bytes| {
        let name = path.strip_prefix("/lookup/")?;
        assert_eq!(name, "example.net/filler@v0.0.20");
        let text = String::from_utf8(bytes).unwrap();
        let (record, _) = text.split_once("\n\n").unwrap();
        Some(format!("{record}\n\n{}", lagging.lock().unwrap().head(400)).into_bytes())
    });
    assert_eq!(world.online(&behind).lookup("example.net/filler", "v0.0.20").unwrap().len(), 1);
    assert_eq!(fs::read_to_string(world.head()).unwrap(), world.db.lock().unwrap().head(701));
}

#[test]
fn a_head_kept_by_another_in_the_meantime_is_merged() {
    let world = World::new();
    let server = world.serve();
    let early = world.online(&server);
    early.lookup(MODULE, "v1.2.0").unwrap();
    let newer = {
        let mut db = world.db.lock().unwrap();
        db.grow(20);
        db.add(MODULE, "v1.4.0", "h1:x=", "h1:y=");
        db.grow(500);
        db.head(db.size())
    };
    // Another process has seen more; this one then learns of a tree between the two.
    fs::write(world.head(), &newer).unwrap();
    let between = Arc::clone(&world.db);
    let server = serve(&world.db, "", move |path, bytes| {
        if !path.starts_with("/lookup/") {
            return Some(bytes);
        }
        let text = String::from_utf8(bytes).unwrap();
        let (record, _) = text.split_once("\n\n").unwrap();
        Some(format!("{record}\n\n{}", between.lock().unwrap().head(330)).into_bytes())
    });
    world.online(&server).lookup(MODULE, "v1.4.0").unwrap();
    assert_eq!(fs::read_to_string(world.head()).unwrap(), newer, "never back");
}

/// Another tree by the same key, with the real record in the same place but all else different.
fn fork(world: &World, size: usize) -> FakeDb {
    let real = world.db.lock().unwrap().clone();
    let mut other = FakeDb::new(&real.name, 7);
    for n in 0..17 {
        other.add("example.net/other", &format!("v0.0.{n}"), "h1:evil=", "h1:evil=");
    }
    other.add(MODULE, "v1.2.0", "h1:evil=", "h1:evil=");
    other.grow(size - 18);
    other
}

#[test]
fn a_forked_tree_is_a_lie_with_both_heads() {
    for size in [200, 300, 600] {
        let world = World::new();
        let real = world.serve();
        world.online(&real).lookup("example.net/filler", "v0.0.3").unwrap();
        let other = fork(&world, size);
        let other_head = other.head(size);
        let forked = serve(&Arc::new(Mutex::new(other)), "", |_, bytes| Some(bytes));
        let error = world.online(&forked).lookup(MODULE, "v1.2.0").unwrap_err();
        if size == 200 {
            // The tiles of the real tree are in the cache, but this one is smaller.
            assert!(error.is_security(), "{error}");
        }
        assert!(matches!(error, SumDbError::Forked { .. }), "{size}: {error}");
        let text = error.to_string();
        assert!(text.contains("SECURITY ERROR"), "{text}");
        for head in [world.db.lock().unwrap().head(300), other_head] {
            let signature = head.lines().last().unwrap().to_owned();
            assert!(text.contains(&signature), "{size}: {text} lacks {signature}");
        }
        assert_eq!(fs::read_to_string(world.head()).unwrap(), world.db.lock().unwrap().head(300));
        assert!(!world.cached("lookup/example.com/!big/a@v1.2.0").exists());
        assert!(!text.contains("no proof"), "{text}");
    }
}

#[test]
fn a_forged_head_is_a_lie() {
    let world = World::new();
    let real = world.serve();
    world.online(&real).lookup("example.net/filler", "v0.0.3").unwrap();
    let known = world.db.lock().unwrap().head(300);
    // One by a stranger's key, and one that was changed after it was signed.
    let stranger = FakeDb::new("sum.test/db", 8);
    for forged in [
        stranger.sign("go.sum database tree\n300\nnND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=\n"),
        known.replace("\n300\n", "\n301\n"),
    ] {
        let head = forged.clone();
        let server = serve(&world.db, "", move |path, bytes| {
            if !path.starts_with("/lookup/") {
                return Some(bytes);
            }
            let text = String::from_utf8(bytes).unwrap();
            let (record, _) = text.split_once("\n\n").unwrap();
            Some(format!("{record}\n\n{head}").into_bytes())
        });
        let error = world.online(&server).lookup(MODULE, "v1.2.0").unwrap_err();
        assert!(error.is_security(), "{error}");
        let text = error.to_string();
        for head in [&known, &forged] {
            assert!(text.contains(head.lines().last().unwrap()), "{text}");
        }
        assert_eq!(fs::read_to_string(world.head()).unwrap(), known);
    }
}

#[test]
fn a_changed_record_or_tile_is_not_believed() {
    type Change = fn(&str, Vec<u8>) -> Option<Vec<u8>>;
    let flip: Change = |path, mut bytes| {
        if path.starts_with("/tile/8/0/000") {
            bytes[40] ^= 1;
        }
        Some(bytes)
    };
    let short: Change = |path, mut bytes| {
        if path.starts_with("/tile/8/1") {
            bytes.pop();
        }
        Some(bytes)
    };
    let other_hash: Change = |_, bytes| match String::from_utf8(bytes) {
        Ok(text) => Some(text.replace(ZIP, "h1:evil=").into_bytes()),
        Err(error) => Some(error.into_bytes()),
    };
    let other_number: Change = |_, bytes| match String::from_utf8(bytes) {
        Ok(text) => Some(text.replacen("17\n", "18\n", 1).into_bytes()),
        Err(error) => Some(error.into_bytes()),
    };
    let far_number: Change = |_, bytes| match String::from_utf8(bytes) {
        Ok(text) => Some(text.replacen("17\n", "170000\n", 1).into_bytes()),
        Err(error) => Some(error.into_bytes()),
    };
    let nothing: Change = |path, bytes| {
        Some(if path.starts_with("/lookup") { b"17\nno end\n".to_vec() } else { bytes })
    };
    for (change, word) in [
        (flip, "inconsistent tile"),
        (short, "has 31 bytes"),
        (other_hash, "cannot authenticate"),
        (other_number, "cannot authenticate"),
        (far_number, "cannot validate record 170000 in tree of size 300"),
        (nothing, "malformed record"),
    ] {
        let world = World::new();
        let server = serve(&world.db, "", change);
        untrusted(world.online(&server).lookup(MODULE, "v1.2.0"), word);
        let kept = world.cached("lookup/example.com/!big/a@v1.2.0");
        assert!(!kept.exists(), "{word}");
        // What was not proven is not kept; a right server then is believed.
        assert_eq!(world.online(&world.serve()).lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
    }
}

#[test]
fn a_record_of_another_module_vouches_for_nothing() {
    let world = World::new();
    let db = Arc::clone(&world.db);
    let server = serve(&world.db, "", move |path, bytes| {
        if path.starts_with("/lookup/") {
            return db.lock().unwrap().answer("/lookup/example.net/filler@v0.0.1");
        }
        Some(bytes)
    });
    untrusted(world.online(&server).lookup(MODULE, "v1.2.0"), "no line of v1.2.0");
}

#[test]
fn a_damaged_cache_is_mended() {
    for file in ["lookup/example.com/!big/a@v1.2.0", "tile/8/0/000", "tile/8/0/001.p/44"] {
        for damage in ["changed", "cut", "empty"] {
            let world = World::new();
            let server = world.serve();
            world.online(&server).lookup(MODULE, "v1.2.0").unwrap();
            let path = world.cached(file);
            let good = fs::read(&path).unwrap();
            let mut bad = good.clone();
            match damage {
                "changed" => bad[5] ^= 1,
                "cut" => bad.truncate(20),
                _ => bad.clear(),
            }
            fs::write(&path, &bad).unwrap();
            let offline = world.offline().lookup(MODULE, "v1.2.0");
            assert!(offline.is_err(), "{file} {damage}: {offline:?}");
            assert_eq!(world.online(&server).lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
            assert!(fs::read(&path).unwrap() == good, "{file} {damage}");
        }
    }
}

#[test]
fn the_proxy_is_asked_first_and_then_alone() {
    let world = World::new();
    let verifier = world.db.lock().unwrap().verifier();
    let through = serve(&world.db, "/sumdb/sum.test/db", |_, bytes| Some(bytes));
    let without = Server::start(|_, stream| larder_testkit::server::not_found(stream));
    let list = format!("{},{}", without.url(), through.url());
    let db = world.client(&verifier, Some(&list));
    assert_eq!(db.lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
    assert_eq!(without.paths(), ["/sumdb/sum.test/db/supported"]);
    assert_eq!(through.paths()[0], "/sumdb/sum.test/db/supported");
    assert_eq!(through.paths()[1], "/sumdb/sum.test/db/lookup/example.com/!big/a@v1.2.0");
    // An error other than "not found" is one.
    let world = World::new();
    let broken =
        Server::start(|_, stream| larder_testkit::server::reply(stream, "403 Forbidden", "", b""));
    let list = format!("{},{}", broken.url(), through.url());
    let error = world.client(&verifier, Some(&list)).lookup(MODULE, "v1.2.0").unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
}

#[test]
fn threads_share_what_they_ask() {
    let world = World::new();
    let server = world.serve();
    let db = world.online(&server);
    std::thread::scope(|scope| {
        for n in 0..64 {
            let db = &db;
            scope.spawn(move || db.lookup("example.net/filler", &format!("v0.0.{}", n % 32 % 17)));
        }
    });
    let paths = server.paths();
    let lookups = paths.iter().filter(|path| path.starts_with("/lookup/")).count();
    let partial = paths.iter().filter(|path| path.ends_with(".p/44")).count();
    assert_eq!((lookups, partial), (17, 1), "{paths:?}");
}

#[test]
fn a_kept_head_that_is_not_signed_stops_everything() {
    let world = World::new();
    let server = world.serve();
    fs::create_dir_all(world.head().parent().unwrap()).unwrap();
    let stranger = FakeDb::new("sum.test/db", 8).head(0);
    fs::write(world.head(), stranger).unwrap();
    let error = world.online(&server).lookup(MODULE, "v1.2.0").unwrap_err();
    assert!(error.is_security(), "{error}");
    assert!(error.to_string().contains(&world.head().display().to_string()), "{error}");
}

#[test]
fn a_database_that_says_nothing_is_not_asked_for_ever() {
    let world = World::new();
    let server = Server::start(|_, _| false);
    let db = world.online(&server);
    for n in 0..20 {
        let error = db.lookup("example.net/filler", &format!("v0.0.{n}")).unwrap_err();
        assert!(matches!(error, SumDbError::Fetch(_)), "{error}");
        assert!(error.to_string().contains(&format!("v0.0.{n}")), "{error}");
        assert!(error.to_string().contains(&server.url()), "{error}");
    }
    assert_eq!(server.requests().len(), 9, "three questions, three times each");
    // A refusal is an answer.
    for status in ["404 Not Found", "400 Bad Request", "403 Forbidden"] {
        let shared = Arc::clone(&world.db);
        let server = Server::start(move |request, stream| {
            match shared.lock().unwrap().answer(&request.path) {
                Some(bytes) => larder_testkit::server::ok(stream, &bytes),
                None => larder_testkit::server::reply(stream, status, "", b""),
            }
        });
        let db = world.online(&server);
        for n in 0..5 {
            assert!(db.lookup("example.com/none", &format!("v0.0.{n}")).is_err());
        }
        assert_eq!(db.lookup(MODULE, "v1.2.0").unwrap(), [zip_line()]);
    }
}
