//! The transparent log behind a checksum database: hashes, proofs, and the two texts that it
//! signs and serves (`golang.org/x/mod/sumdb/tlog`; RFC 6962, section 2.1).
//!
//! Promises: nothing that a server sends makes this panic or overflow. A tree of more than
//! [`MAX_SIZE`] records is malformed, which Go does not say.

use std::fmt;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use crate::note::BASE64;

/// The hash of a record or of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; HASH_SIZE]);

/// Bytes of a hash.
pub const HASH_SIZE: usize = 32;

/// The most records that a tree may have; what is computed from it fits in 64 bits.
pub const MAX_SIZE: u64 = 1 << 60;

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A tree: how many records, and the hash over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Records.
    pub size: u64,
    /// Root hash.
    pub hash: Hash,
}

/// What does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogError {
    /// A tree head that cannot be read.
    #[error("malformed tree note")]
    Tree,
    /// A record that cannot be read.
    #[error("malformed record data")]
    Record,
    /// Numbers that do not belong together.
    #[error("record or tree size out of range")]
    Range,
    /// A proof that proves nothing.
    #[error("invalid transparency proof")]
    Proof,
}

/// A record as it is looked up: its number, its text, and the tree head that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number in the log.
    pub id: u64,
    /// Lines of go.sum.
    pub text: &'a [u8],
    /// The signed tree head after it.
    pub rest: &'a [u8],
}

/// The hash of the tree without records.
pub fn empty_hash() -> Hash {
    Hash(Sha256::digest(b"").into())
}

/// The hash of a record's text.
pub fn record_hash(text: &[u8]) -> Hash {
    let mut sha = Sha256::new();
    sha.update([0]);
    sha.update(text);
    Hash(sha.finalize().into())
}

/// The hash over two subtrees.
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    let mut sha = Sha256::new();
    sha.update([1]);
    sha.update(left.0);
    sha.update(right.0);
    Hash(sha.finalize().into())
}

/// Where the `n`th hash of a level is in the one order of all hashes.
pub fn stored_index(level: u32, n: u64) -> u64 {
    // The leaf after which this hash is known is the last one of its subtree.
    let last = ((n + 1) << level) - 1;
    // Before leaf k there are 2k hashes less one for each set bit of k.
    2 * last - u64::from(last.count_ones()) + u64::from(level)
}

/// Undoes [`stored_index`].
pub fn split_stored_index(index: u64) -> (u32, u64) {
    // The leaf that this hash was written with, found from below.
    let mut leaf = index / 2;
    while stored_index(0, leaf + 1) <= index {
        leaf += 1;
    }
    let level = u32::try_from(index - stored_index(0, leaf)).unwrap_or(0);
    (level, leaf >> level)
}

/// The largest power of two below `n`, for `n` of at least 2.
fn half(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Where the hashes are that make up the records from `low` up to `high`.
pub(crate) fn subtrees(mut low: u64, high: u64) -> Vec<u64> {
    let mut found = Vec::new();
    while low < high {
        // A subtree may be as large as what is left, and begins at a multiple of its size.
        let fit = (high - low).ilog2();
        let level = if low == 0 { fit } else { fit.min(low.trailing_zeros()) };
        found.push(stored_index(level, low >> level));
        low += 1 << level;
    }
    found
}

/// The hash over neighbouring subtrees, from the right.
pub(crate) fn join(hashes: &[Hash]) -> Option<Hash> {
    let (last, before) = hashes.split_last()?;
    Some(before.iter().rfold(*last, |right, left| node_hash(*left, right)))
}

/// Something to read hashes from, by [`stored_index`].
pub trait Hashes {
    /// What may go wrong.
    type Error: From<TlogError>;

    /// As many hashes as places, in the same order.
    fn read(&self, places: &[u64]) -> Result<Vec<Hash>, Self::Error>;
}

/// The hash of the first `size` records.
pub fn tree_hash<H: Hashes>(size: u64, hashes: &H) -> Result<Hash, H::Error> {
    if size == 0 {
        return Ok(empty_hash());
    }
    if size > MAX_SIZE {
        return Err(TlogError::Range.into());
    }
    Ok(join(&hashes.read(&subtrees(0, size))?).ok_or(TlogError::Range)?)
}

/// The proof that a tree of `size` records has record `n`: sibling hashes, from the leaf up.
pub fn prove_record<H: Hashes>(size: u64, n: u64, hashes: &H) -> Result<Vec<Hash>, H::Error> {
    if n >= size || size > MAX_SIZE {
        return Err(TlogError::Range.into());
    }
    let (mut low, mut high, mut siblings) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = low + half(high - low);
        if n < middle {
            siblings.push((middle, high));
            high = middle;
        } else {
            siblings.push((low, middle));
            low = middle;
        }
    }
    let mut proof = Vec::with_capacity(siblings.len());
    for (low, high) in siblings.into_iter().rev() {
        proof.push(join(&hashes.read(&subtrees(low, high))?).ok_or(TlogError::Range)?);
    }
    Ok(proof)
}

/// Whether the proof shows that `tree` has a record of this hash as its `n`th.
pub fn check_record(proof: &[Hash], tree: Tree, n: u64, record: Hash) -> Result<(), TlogError> {
    if n >= tree.size || tree.size > MAX_SIZE {
        return Err(TlogError::Range);
    }
    let (mut low, mut high, mut left_of) = (0, tree.size, Vec::new());
    while high - low > 1 {
        let middle = low + half(high - low);
        left_of.push(n < middle);
        if n < middle { high = middle } else { low = middle }
    }
    if left_of.len() != proof.len() {
        return Err(TlogError::Proof);
    }
    let mut hash = record;
    for (left, sibling) in left_of.into_iter().rev().zip(proof) {
        hash = if left { node_hash(hash, *sibling) } else { node_hash(*sibling, hash) };
    }
    if hash == tree.hash { Ok(()) } else { Err(TlogError::Proof) }
}

/// The proof that a tree of `size` records begins with the tree of the first `older`.
pub fn prove_tree<H: Hashes>(size: u64, older: u64, hashes: &H) -> Result<Vec<Hash>, H::Error> {
    if older == 0 || older > size || size > MAX_SIZE {
        return Err(TlogError::Range.into());
    }
    let (mut low, mut high, mut parts) = (0, size, Vec::new());
    while older != high {
        let middle = low + half(high - low);
        if older <= middle {
            parts.push((middle, high));
            high = middle;
        } else {
            parts.push((low, middle));
            low = middle;
        }
    }
    // The older tree itself is known to whoever checks.
    if low != 0 {
        parts.push((low, high));
    }
    let mut proof = Vec::with_capacity(parts.len());
    for (low, high) in parts.into_iter().rev() {
        proof.push(join(&hashes.read(&subtrees(low, high))?).ok_or(TlogError::Range)?);
    }
    Ok(proof)
}

/// Whether the proof shows that `newer` begins with `older`.
pub fn check_tree(proof: &[Hash], newer: Tree, older: Tree) -> Result<(), TlogError> {
    if older.size == 0 || older.size > newer.size || newer.size > MAX_SIZE {
        return Err(TlogError::Range);
    }
    let (mut low, mut high, mut left_of) = (0, newer.size, Vec::new());
    while older.size != high {
        let middle = low + half(high - low);
        left_of.push(older.size <= middle);
        if older.size <= middle { high = middle } else { low = middle }
    }
    let (first, rest) = match (low, proof.split_first()) {
        (0, _) => (older.hash, proof),
        (_, Some((first, rest))) => (*first, rest),
        (_, None) => return Err(TlogError::Proof),
    };
    if rest.len() != left_of.len() {
        return Err(TlogError::Proof);
    }
    let (mut old, mut new) = (first, first);
    for (left, sibling) in left_of.into_iter().rev().zip(rest) {
        if left {
            new = node_hash(new, *sibling);
        } else {
            (old, new) = (node_hash(*sibling, old), node_hash(*sibling, new));
        }
    }
    if old == older.hash && new == newer.hash { Ok(()) } else { Err(TlogError::Proof) }
}

/// Reads a tree head: three lines, of which more may follow (`ParseTree`).
pub fn parse_tree(text: &str) -> Result<Tree, TlogError> {
    let rest = text.strip_prefix("go.sum database tree\n").ok_or(TlogError::Tree)?;
    if text.len() > 1_000_000 {
        return Err(TlogError::Tree);
    }
    let (number, rest) = rest.split_once('\n').ok_or(TlogError::Tree)?;
    let (hash, _) = rest.split_once('\n').ok_or(TlogError::Tree)?;
    let size = parse_number(number).filter(|size| *size <= MAX_SIZE).ok_or(TlogError::Tree)?;
    let hash = BASE64.decode(hash).ok().and_then(|hash| hash.try_into().ok());
    Ok(Tree { size, hash: Hash(hash.ok_or(TlogError::Tree)?) })
}

/// Decimal digits as Go would write them.
fn parse_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Reads a record: its number, its text, an empty line, and what follows (`ParseRecord`).
pub fn parse_record(bytes: &[u8]) -> Result<Record<'_>, TlogError> {
    let end = bytes.iter().position(|c| *c == b'\n').ok_or(TlogError::Record)?;
    let number = std::str::from_utf8(&bytes[..end]).map_err(|_| TlogError::Record)?;
    let id = number.parse().map_err(|_| TlogError::Record)?;
    let bytes = &bytes[end + 1..];
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(TlogError::Record)?;
    let (text, rest) = (&bytes[..=end], &bytes[end + 2..]);
    let valid =
        std::str::from_utf8(text).is_ok_and(|text| text.chars().all(|c| c >= ' ' || c == '\n'));
    if valid { Ok(Record { id, text, rest }) } else { Err(TlogError::Record) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All hashes of a log in their one order, built leaf by leaf.
    struct Log(Vec<Hash>);

    impl Hashes for Log {
        type Error = TlogError;

        fn read(&self, places: &[u64]) -> Result<Vec<Hash>, TlogError> {
            let get = |place: &u64| self.0.get(usize::try_from(*place).unwrap()).copied();
            places.iter().map(|place| get(place).ok_or(TlogError::Range)).collect()
        }
    }

    /// After each leaf come the hashes of the subtrees that it completes.
    fn log(leaves: &[Hash]) -> Log {
        let mut all: Vec<Hash> = Vec::new();
        for (n, leaf) in leaves.iter().enumerate() {
            let mut hash = *leaf;
            all.push(hash);
            for level in 0..(n as u64).trailing_ones() {
                let left = stored_index(level, ((n as u64) >> level) - 1);
                hash = node_hash(all[usize::try_from(left).unwrap()], hash);
                all.push(hash);
            }
        }
        Log(all)
    }

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| record_hash(format!("leaf {n}").as_bytes())).collect()
    }

    /// RFC 6962, section 2.1, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => empty_hash(),
            1 => leaves[0],
            n => {
                let (left, right) = leaves.split_at(usize::try_from(half(n as u64)).unwrap());
                node_hash(naive(left), naive(right))
            }
        }
    }

    #[test]
    fn places_and_back() {
        let mut expected = 0;
        for n in 0..2000_u64 {
            assert_eq!(stored_index(0, n), expected, "{n}");
            for level in 0..=n.trailing_ones() {
                assert_eq!(stored_index(level, n >> level), expected);
                assert_eq!(split_stored_index(expected), (level, n >> level));
                expected += 1;
            }
        }
        let far = stored_index(0, MAX_SIZE);
        assert_eq!(split_stored_index(far), (0, MAX_SIZE));
    }

    #[test]
    fn hashes_and_proofs_of_all_small_trees() {
        let leaves = leaves(70);
        let log = log(&leaves);
        for size in 0..=70_u64 {
            let tree = Tree { size, hash: tree_hash(size, &log).unwrap() };
            assert_eq!(tree.hash, naive(&leaves[..usize::try_from(size).unwrap()]), "{size}");
            for n in 0..size {
                let leaf = leaves[usize::try_from(n).unwrap()];
                let proof = prove_record(size, n, &log).unwrap();
                assert_eq!(check_record(&proof, tree, n, leaf), Ok(()), "{size} {n}");
                assert!(check_record(&proof, tree, n, empty_hash()).is_err());
                let mut longer = proof.clone();
                longer.push(leaf);
                assert!(check_record(&longer, tree, n, leaf).is_err());
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(check_record(shorter, tree, n, leaf).is_err());
                }
            }
            assert!(prove_record(size, size, &log).is_err());
            for old in 1..=size {
                let older = Tree { size: old, hash: tree_hash(old, &log).unwrap() };
                let proof = prove_tree(size, old, &log).unwrap();
                assert_eq!(check_tree(&proof, tree, older), Ok(()), "{size} {old}");
                let other = Tree { hash: empty_hash(), ..older };
                assert!(check_tree(&proof, tree, other).is_err());
                let mut longer = proof.clone();
                longer.push(tree.hash);
                assert!(check_tree(&longer, tree, older).is_err());
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(check_tree(shorter, tree, older).is_err());
                }
            }
        }
    }

    #[test]
    fn tree_heads_are_read_strictly() {
        let good = "go.sum database tree\n2\nnND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=\n";
        let tree = parse_tree(good).unwrap();
        assert_eq!(tree.size, 2);
        assert_eq!(tree.hash.to_string(), "nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=");
        assert_eq!(parse_tree(&format!("{good}more\n")).unwrap(), tree);
        for bad in [
            "",
            "go.sum database tree\n2\n",
            &good.replace("tree\n", "tree v2\n"),
            &good.replace("\n2\n", "\n02\n"),
            &good.replace("\n2\n", "\n+2\n"),
            &good.replace("\n2\n", "\n-2\n"),
            &good.replace("\n2\n", "\n\n"),
            &good.replace("\n2\n", "\n9223372036854775807\n"),
            &good.replace("nND", ""),
            good.trim_end(),
            &format!("{good}{}", "x".repeat(1_000_000)),
        ] {
            assert_eq!(parse_tree(bad), Err(TlogError::Tree), "{bad:?}");
        }
    }

    #[test]
    fn records_are_read_strictly() {
        let record = parse_record(b"12\na b\nc d\n\nhead\n").unwrap();
        assert_eq!(record, Record { id: 12, text: b"a b\nc d\n", rest: b"head\n" });
        for bad in [
            b"".as_slice(),
            b"12",
            b"12\na b\n",
            b"x\na b\n\n",
            b"-1\na b\n\n",
            b"12\na\tb\n\n",
            b"12\na\xffb\n\n",
        ] {
            assert_eq!(parse_record(bad), Err(TlogError::Record), "{bad:?}");
        }
    }

    /// The hash of an empty record in the test vectors of RFC 6962's own implementation.
    #[test]
    fn a_record_hash_is_that_of_go() {
        // SHA-256 of a zero byte alone.
        assert_eq!(record_hash(b"").to_string(), "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=");
    }
}
