//! A checksum database with a key of our own. Its tree is computed straight from RFC 6962, so
//! that it shares nothing with the code under test.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::FileProxy;
use crate::server::{Server, not_found, ok};

type Hash = [u8; 32];

/// The records, and the key that signs their tree.
#[derive(Clone)]
pub struct FakeDb {
    /// As its notes and addresses name it.
    pub name: String,
    key: SigningKey,
    records: Vec<(String, String)>,
    leaves: Vec<Hash>,
}

impl FakeDb {
    /// An empty one; the seed makes the key.
    pub fn new(name: &str, seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        Self { name: name.to_owned(), key, records: Vec::new(), leaves: Vec::new() }
    }

    /// One that knows these versions as a proxy has them; those without a good zip it does not.
    pub fn of(name: &str, proxy: &FileProxy, versions: &[(&str, &str)]) -> Self {
        let mut db = Self::new(name, 3);
        for (module, version) in versions {
            if let Some((zip, go_mod)) = proxy.hashes(module, version) {
                db.add(module, version, &zip, &go_mod);
            }
        }
        db
    }

    /// `name+hash+key`.
    pub fn verifier(&self) -> String {
        let mut key = vec![1];
        key.extend(self.key.verifying_key().as_bytes());
        format!("{}+{:08x}+{}", self.name, self.key_hash(), STANDARD.encode(&key))
    }

    fn key_hash(&self) -> u32 {
        let mut sha = Sha256::new();
        sha.update(format!("{}\n", self.name));
        sha.update([1]);
        sha.update(self.key.verifying_key().as_bytes());
        u32::from_be_bytes(
            sha.finalize()[..4].try_into().expect("sizes fit, and no handler panicked"),
        )
    }

    /// Adds a record of a version with these two hashes.
    pub fn add(&mut self, module: &str, version: &str, zip: &str, go_mod: &str) {
        let text = format!("{module} {version} {zip}\n{module} {version}/go.mod {go_mod}\n");
        self.add_text(&format!("{module}@{version}"), &text);
    }

    /// Adds a record of this text.
    pub fn add_text(&mut self, name: &str, text: &str) {
        let mut sha = Sha256::new();
        sha.update([0]);
        sha.update(text);
        self.leaves.push(sha.finalize().into());
        self.records.push((name.to_owned(), text.to_owned()));
    }

    /// Adds records of nothing in particular.
    pub fn grow(&mut self, count: usize) {
        for _ in 0..count {
            let n = self.records.len();
            self.add("example.net/filler", &format!("v0.0.{n}"), "h1:zip=", "h1:mod=");
        }
    }

    /// How many records there are.
    pub fn size(&self) -> usize {
        self.records.len()
    }

    /// The signed tree head over the first so many records.
    pub fn head(&self, size: usize) -> String {
        let hash = STANDARD.encode(tree(&self.leaves[..size]));
        self.sign(&format!("go.sum database tree\n{size}\n{hash}\n"))
    }

    /// The text as a note with our signature.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = self.key_hash().to_be_bytes().to_vec();
        signature.extend(self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n— {} {}\n", self.name, STANDARD.encode(signature))
    }

    /// What is served at a path.
    pub fn answer(&self, path: &str) -> Option<Vec<u8>> {
        if path == "/supported" {
            return Some(Vec::new());
        }
        if path == "/latest" {
            return Some(self.head(self.size()).into_bytes());
        }
        if let Some(name) = path.strip_prefix("/lookup/") {
            let name = unescape(name);
            let id = self.records.iter().position(|(known, _)| *known == name)?;
            let (text, head) = (&self.records[id].1, self.head(self.size()));
            return Some(format!("{id}\n{text}\n{head}").into_bytes());
        }
        let rest = path.strip_prefix("/tile/8/")?;
        let (rest, width) = match rest.split_once(".p/") {
            Some((rest, width)) => (rest, width.parse().ok()?),
            None => (rest, 256),
        };
        let (level, number) = rest.split_once('/')?;
        let number: usize = number.replace(['x', '/'], "").parse().ok()?;
        let height = 8 * level.parse::<u32>().ok()?;
        let mut bytes = Vec::new();
        for n in number * 256..number * 256 + width {
            let (from, to) = (n << height, (n + 1) << height);
            bytes.extend(tree(self.leaves.get(from..to)?));
        }
        Some(bytes)
    }

    /// The value for GOSUMDB with an address.
    pub fn gosumdb(&self, url: &str) -> String {
        format!("{} {url}", self.verifier())
    }
}

/// The merkle tree hash of RFC 6962, section 2.1.
fn tree(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest(b"").into(),
        [leaf] => *leaf,
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            let mut sha = Sha256::new();
            sha.update([1]);
            sha.update(tree(&leaves[..split]));
            sha.update(tree(&leaves[split..]));
            sha.finalize().into()
        }
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut capital = false;
    for c in text.chars() {
        match c {
            '!' => capital = true,
            c if capital => {
                plain.push(c.to_ascii_uppercase());
                capital = false;
            }
            c => plain.push(c),
        }
    }
    plain
}

/// A database that is served, and can be changed while it is.
pub type Shared = Arc<Mutex<FakeDb>>;

/// Serves below `prefix`; `change` may put something else in the place of an answer.
pub fn serve(
    db: &Shared,
    prefix: &'static str,
    change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Server {
    let db = Arc::clone(db);
    Server::start(move |request, stream| {
        let Some(path) = request.path.strip_prefix(prefix) else { return not_found(stream) };
        let answer = db.lock().expect("sizes fit, and no handler panicked").answer(path);
        match answer.and_then(|bytes| change(path, bytes)) {
            Some(bytes) => ok(stream, &bytes),
            None => not_found(stream),
        }
    })
}
