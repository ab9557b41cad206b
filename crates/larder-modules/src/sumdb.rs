//! The checksum database: hashes of modules, proven to be in a log that only grows
//! (`golang.org/x/mod/sumdb`, `Client`; `cmd/go/internal/modfetch/sumdb.go`).
//!
//! Promises: lines are answered only after the signature of the tree head, the place of the
//! record in that tree, and the agreement of that tree with every tree head seen before were
//! checked. The last tree head is kept where the go command keeps its own, records and tiles too.
//!
//! Where the cache itself holds damaged records or tiles, they are fetched anew and written over,
//! where the go command would fail until they are removed.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use larder_core::Meter;
use larder_fs::Dir;
use larder_go::module_path;
use url::Url;

use crate::goproxy::{FetchError, Proxies, fetch_error, join};
use crate::gosumdb::{self, Database};
use crate::note::NoteError;
use crate::once::Once;
use crate::settings::NetSettings;
pub use crate::sumdb_error::{ForgedHead, SumDbError};
use crate::sumdb_store::{Store, Written};
use crate::tile::{Inconsistent, Tile, TileData, TileHashes, Tiles, read_hashes};
use crate::tlog::{self, TlogError, Tree, empty_hash, parse_record, parse_tree, record_hash};
use crate::web::WebError;

/// How far a checksum database is asked.
#[derive(Clone, Debug)]
pub enum Reach {
    /// The cache first, then the database, through proxies as GOPROXY says.
    Network(Proxies),
    /// The cache alone; nothing is written.
    Offline,
}

/// A client of one checksum database; threads share it.
#[derive(Debug)]
pub struct SumDb {
    database: Database,
    settings: NetSettings,
    store: Store,
    reach: Reach,
    /// Where it is asked; found out with the first question.
    base: Mutex<Option<Url>>,
    latest: Mutex<Head>,
    started: Mutex<bool>,
    records: Once<String, Arc<str>>,
    tiles: Once<Tile, TileData>,
    /// Tiles that need not be written: they are in the cache.
    kept: Mutex<HashSet<Tile>>,
    /// How often in a row nobody answered, and the last time where and why.
    silence: Mutex<(u32, String, String)>,
    /// The cache proved damaged, so that tiles come from the database alone.
    distrust: AtomicBool,
}

/// The last tree known, and the note that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    tree: Tree,
    note: Vec<u8>,
}

/// What a tree head is to the last one known.
#[derive(PartialEq, Eq)]
enum When {
    Past,
    Now,
    Future,
}

/// After so many questions in a row that nobody answered, nobody is asked any more: each may have
/// cost a time-out, and a cache has thousands of versions.
const MAX_SILENCE: u32 = 3;
/// A record's go.sum lines are few; a tile has 8 KiB.
const MAX_ANSWER: u64 = 1 << 20;

impl SumDb {
    /// The database that GOSUMDB names; `None` for `off`. Nobody is asked yet.
    pub fn new(
        settings: &NetSettings,
        gomodcache: &Dir,
        gopath: &Path,
        reach: Reach,
    ) -> Result<Option<Self>, SumDbError> {
        let parsed = gosumdb::parse(&settings.gosumdb).map_err(SumDbError::Settings)?;
        let Some(database) = parsed else { return Ok(None) };
        let store = Store::new(gomodcache, gopath, database.key.name());
        Ok(Some(Self {
            base: Mutex::new(database.address.clone()),
            store: store.map_err(SumDbError::Cache)?,
            database,
            settings: settings.clone(),
            reach,
            latest: Mutex::new(Head {
                tree: Tree { size: 0, hash: empty_hash() },
                note: Vec::new(),
            }),
            started: Mutex::new(false),
            records: Once::default(),
            tiles: Once::default(),
            kept: Mutex::default(),
            silence: Mutex::default(),
            distrust: AtomicBool::new(false),
        }))
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        self.database.key.name()
    }

    /// Whether this module's hashes must be in a checksum database.
    pub fn needs(&self, module: &str) -> bool {
        self.settings.needs_checksum_database(module)
    }

    /// The go.sum lines of a version, or of `version/go.mod`: at least one.
    pub fn lookup(&self, module: &str, version: &str) -> Result<Vec<String>, SumDbError> {
        let bare = version.strip_suffix("/go.mod").unwrap_or(version);
        let what = format!("{module}@{bare}");
        let file = module_path::escape(module)
            .zip(module_path::escape_version(bare))
            .map(|(module, version)| format!("lookup/{module}@{version}"));
        let Some(file) = file else { return Err(SumDbError::Invalid { what }) };
        self.start()?;
        let text = self.records.get(&file, || self.record(&what, &file))?;
        let prefix = format!("{module} {version} ");
        let lines: Vec<String> =
            text.lines().filter(|line| line.starts_with(&prefix)).map(str::to_owned).collect();
        if lines.is_empty() {
            // Go takes a record about something else for no objection; we do not.
            return Err(self.untrusted(&what, &format!("the record has no line of {version}")));
        }
        Ok(lines)
    }

    /// Takes up the tree head that was kept the last time.
    fn start(&self) -> Result<(), SumDbError> {
        let mut started = lock(&self.started);
        if !*started {
            let path = self.store.head_path();
            let kept = self.store.read_head();
            let kept = kept.map_err(|source| SumDbError::Head { path: path.clone(), source })?;
            self.merge_in_memory(&path.display().to_string(), &kept)?;
            *started = true;
        }
        Ok(())
    }

    /// A record's text: from the cache where what is there is proven, else from the database.
    fn record(&self, what: &str, file: &str) -> Result<Arc<str>, SumDbError> {
        let cached = self.store.read(file);
        let proven = cached.as_deref().map(|bytes| self.prove(what, bytes));
        match (proven, &self.reach) {
            (Some(Ok(text)), _) => return Ok(text),
            // A fork was signed by the database; anything else may be damage on our disk.
            (Some(Err(error @ SumDbError::Forked { .. })), _) => return Err(error),
            (Some(Err(error)), Reach::Offline) => {
                let alone = cached.as_deref().and_then(|bytes| self.prove_alone(what, bytes));
                return alone.ok_or(error);
            }
            (None, Reach::Offline) => {
                return Err(SumDbError::Unknown { what: what.to_owned() });
            }
            (_, Reach::Network(_)) => {}
        }
        let bytes = self.ask(what, file)?;
        let text = self.prove(what, &bytes)?;
        self.store.write(file, &bytes);
        Ok(text)
    }

    /// Checks a record, its tree head and its place in the tree.
    fn prove(&self, what: &str, bytes: &[u8]) -> Result<Arc<str>, SumDbError> {
        let tried = self.prove_once(what, bytes);
        match tried {
            Err(SumDbError::Untrusted { .. })
                if matches!(self.reach, Reach::Network(_))
                    && !self.distrust.swap(true, Ordering::SeqCst) =>
            {
                // A tile in the cache may be damaged: once more without the cache.
                self.tiles.clear();
                lock(&self.kept).clear();
                self.prove_once(what, bytes)
            }
            tried => tried,
        }
    }

    fn prove_once(&self, what: &str, bytes: &[u8]) -> Result<Arc<str>, SumDbError> {
        let record = parse_record(bytes).map_err(|error| self.untrusted(what, &error))?;
        self.merge(what, record.rest)?;
        let tree = lock(&self.latest).tree;
        self.check_record(what, tree, record.id, record.text)
    }

    /// Offline, where the last tree cannot be rebuilt from the cache: the tree that the record
    /// came with is signed as well.
    fn prove_alone(&self, what: &str, bytes: &[u8]) -> Option<Arc<str>> {
        let record = parse_record(bytes).ok()?;
        let text = self.database.key.open(record.rest).ok()?;
        self.check_record(what, parse_tree(text).ok()?, record.id, record.text).ok()
    }

    fn check_record(
        &self,
        what: &str,
        tree: Tree,
        id: u64,
        text: &[u8],
    ) -> Result<Arc<str>, SumDbError> {
        if id >= tree.size {
            let why = format!("cannot validate record {id} in tree of size {}", tree.size);
            return Err(self.untrusted(what, &why));
        }
        let reader = Reader { db: self, what };
        let hashes = read_hashes(tree, &[tlog::stored_index(0, id)], &reader);
        let hashes = hashes.map_err(|error| self.of_read(what, error))?;
        if hashes.first() != Some(&record_hash(text)) {
            return Err(self.untrusted(what, &"cannot authenticate record data"));
        }
        let text = std::str::from_utf8(text).map_err(|error| self.untrusted(what, &error))?;
        Ok(text.into())
    }

    /// Takes a tree head into account, on the disk too.
    fn merge(&self, what: &str, note: &[u8]) -> Result<(), SumDbError> {
        if self.merge_in_memory(what, note)? != When::Future {
            return Ok(());
        }
        if matches!(self.reach, Reach::Offline) {
            return Ok(());
        }
        let path = self.store.head_path();
        let failed = |source| SumDbError::Head { path: path.clone(), source };
        loop {
            let kept = self.store.read_head().map_err(failed)?;
            if self.merge_in_memory(&path.display().to_string(), &kept)? != When::Past {
                return Ok(());
            }
            let newest = lock(&self.latest).note.clone();
            let written = self.store.write_head(&kept, &newest).map_err(failed)?;
            if written == Written::Ours {
                return Ok(());
            }
        }
    }

    fn merge_in_memory(&self, what: &str, note: &[u8]) -> Result<When, SumDbError> {
        let mut latest = lock(&self.latest).clone();
        if note.is_empty() {
            return Ok(if latest.tree.size == 0 { When::Now } else { When::Past });
        }
        let text = self.database.key.open(note).map_err(|why| match why {
            NoteError::Malformed => self.untrusted(what, &format!("tree head: {why}")),
            why => SumDbError::Forged(Box::new(ForgedHead {
                name: self.name().to_owned(),
                what: what.to_owned(),
                why,
                known: indented(&latest.note),
                forged: indented(note),
            })),
        })?;
        let tree = parse_tree(text).map_err(|error| self.untrusted(what, &error))?;
        let new = Head { tree, note: note.to_vec() };
        loop {
            if new.tree.size <= latest.tree.size {
                self.check_trees(what, &new, &latest)?;
                let past = new.tree.size < latest.tree.size;
                return Ok(if past { When::Past } else { When::Now });
            }
            self.check_trees(what, &latest, &new)?;
            let mut current = lock(&self.latest);
            if *current == latest {
                *current = new;
                return Ok(When::Future);
            }
            // Another lookup was faster: once more against what it found.
            latest = current.clone();
        }
    }

    /// Whether the newer tree begins with the older one.
    fn check_trees(&self, what: &str, older: &Head, newer: &Head) -> Result<(), SumDbError> {
        let reader = Reader { db: self, what };
        let hashes = TileHashes { tree: newer.tree, tiles: &reader };
        let found = tlog::tree_hash(older.tree.size, &hashes);
        let found = found.map_err(|error| self.of_read(what, error))?;
        if found == older.tree.hash {
            return Ok(());
        }
        let mut proof = format!("\t{found}\n");
        let begins = Tree { size: older.tree.size, hash: found };
        // Made of the tiles that were just read, so that it does not fail for want of them.
        match tlog::prove_tree(newer.tree.size, older.tree.size, &hashes) {
            Ok(steps) if tlog::check_tree(&steps, newer.tree, begins).is_ok() => {
                for step in steps {
                    // Writing to a string does not fail.
                    let _ = writeln!(proof, "\t{step}");
                }
            }
            _ => proof.push_str("\t(no proof could be made)\n"),
        }
        Err(SumDbError::Forked {
            name: self.name().to_owned(),
            older: indented(&older.note),
            newer: indented(&newer.note),
            proof,
        })
    }

    /// A question to the database itself.
    fn ask(&self, what: &str, path: &str) -> Result<Vec<u8>, SumDbError> {
        let Reach::Network(proxies) = &self.reach else {
            return Err(SumDbError::Unknown { what: what.to_owned() });
        };
        let (silent, url, why) = lock(&self.silence).clone();
        if silent >= MAX_SILENCE {
            let what = what.to_owned();
            return Err(SumDbError::Fetch(FetchError::Unreachable { what, url, why }));
        }
        let mut dead = true;
        let answer = self.base(proxies).and_then(|base| {
            let answer = proxies.web().small(&join(&base, path), MAX_ANSWER, &Meter::default());
            // A refusal is an answer; silence and errors of the server are none.
            dead = answer.as_ref().is_err_and(WebError::is_silence);
            answer.map_err(|error| fetch_error(what.to_owned(), error))
        });
        let mut silence = lock(&self.silence);
        match &answer {
            Err(FetchError::Unreachable { url, why, .. }) if dead => {
                *silence = (silence.0 + 1, url.clone(), why.clone());
            }
            _ => silence.0 = 0,
        }
        answer.map_err(SumDbError::Fetch)
    }

    fn base(&self, proxies: &Proxies) -> Result<Url, FetchError> {
        let mut base = lock(&self.base);
        if let Some(base) = &*base {
            return Ok(base.clone());
        }
        let found = proxies.checksum_database(self.name())?;
        let found = found.unwrap_or_else(|| self.database.direct.clone());
        *base = Some(found.clone());
        Ok(found)
    }

    /// A tile, unproven, from wherever it is nearest (`readTile`).
    fn tile(&self, what: &str, tile: Tile) -> Result<TileData, SumDbError> {
        if !self.distrust.load(Ordering::SeqCst)
            && let Some(bytes) = self.cached_tile(&tile)
        {
            lock(&self.kept).insert(tile);
            return Ok(bytes.into());
        }
        let asked = self.ask(what, &tile.path());
        let full = tile.full();
        let bytes = match asked {
            Err(error) if !tile.is_full() => {
                // A partial tile may be gone because the full one is there by now.
                let mut bytes = self.ask(what, &full.path()).map_err(|_| error)?;
                if bytes.len() != full.bytes() {
                    return Err(self.untrusted(what, &format!("{full} has {} bytes", bytes.len())));
                }
                bytes.truncate(tile.bytes());
                bytes
            }
            asked => asked?,
        };
        if bytes.len() != tile.bytes() {
            return Err(self.untrusted(what, &format!("{tile} has {} bytes", bytes.len())));
        }
        Ok(bytes.into())
    }

    fn cached_tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        let exact = self.store.read(&tile.path()).filter(|bytes| bytes.len() == tile.bytes());
        if exact.is_some() || tile.is_full() {
            return exact;
        }
        let full = tile.full();
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(tile.bytes());
            bytes
        };
        let read = self.store.read(&full.path()).filter(|bytes| bytes.len() == full.bytes());
        let offline = matches!(self.reach, Reach::Offline);
        read.map(cut).or_else(|| self.store.read_wider(tile).filter(|_| offline))
    }

    fn of_read(&self, what: &str, error: ReadError) -> SumDbError {
        match error {
            ReadError::Db(error) => error,
            ReadError::Log(error) => self.untrusted(what, &error),
            ReadError::Tile(error) => self.untrusted(what, &error),
        }
    }

    fn untrusted(&self, what: &str, why: &dyn ToString) -> SumDbError {
        SumDbError::Untrusted {
            name: self.name().to_owned(),
            what: what.to_owned(),
            why: why.to_string(),
        }
    }
}

/// The database's tiles, on behalf of one lookup.
struct Reader<'a> {
    db: &'a SumDb,
    what: &'a str,
}

impl Tiles for Reader<'_> {
    type Error = ReadError;

    fn read(&self, tiles: &[Tile]) -> Result<Vec<TileData>, ReadError> {
        let get = |tile: &Tile| self.db.tiles.get(tile, || self.db.tile(self.what, *tile));
        let missing = tiles.iter().filter(|tile| !self.db.tiles.knows(tile)).count();
        if missing < 2 || matches!(self.db.reach, Reach::Offline) {
            return tiles.iter().map(get).collect::<Result<_, _>>().map_err(ReadError::Db);
        }
        let found: Result<Vec<_>, SumDbError> = thread::scope(|scope| {
            let asked: Vec<_> = tiles.iter().map(|tile| scope.spawn(move || get(tile))).collect();
            let lost = || Err(self.db.untrusted(self.what, &"reading a tile panicked"));
            asked.into_iter().map(|one| one.join().unwrap_or_else(|_| lost())).collect()
        });
        found.map_err(ReadError::Db)
    }

    fn confirmed(&self, tiles: &[Tile], data: &[TileData]) {
        for (tile, bytes) in tiles.iter().zip(data) {
            let new = lock(&self.db.kept).insert(*tile);
            if new && matches!(self.db.reach, Reach::Network(_)) {
                self.db.store.write(&tile.path(), bytes);
            }
            // Those of records are many and asked for once; the cache has them.
            if tile.level == 0 && tile.is_full() {
                self.db.tiles.forget(tile);
            }
        }
    }
}

/// Why hashes could not be read from tiles.
enum ReadError {
    Db(SumDbError),
    Log(TlogError),
    Tile(Inconsistent),
}

impl From<TlogError> for ReadError {
    fn from(error: TlogError) -> Self {
        Self::Log(error)
    }
}

impl From<Inconsistent> for ReadError {
    fn from(error: Inconsistent) -> Self {
        Self::Tile(error)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A note as it stands in a message.
fn indented(note: &[u8]) -> String {
    let text = String::from_utf8_lossy(note);
    text.lines().flat_map(|line| ["\t", line, "\n"]).collect()
}
