//! The tiles that a log's hashes are served in (`golang.org/x/mod/sumdb/tlog/tile.go`).
//!
//! Promises: a hash that is answered by [`read_hashes`] is proven to be in the tree it was asked
//! for; tiles are confirmed only after that. Leaves out tiles of records (`data`).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::tlog::{HASH_SIZE, Hash, Hashes, MAX_SIZE, TlogError, Tree, node_hash};
use crate::tlog::{join, split_stored_index, stored_index, subtrees};

/// The height of the tiles that checksum databases serve.
pub const HEIGHT: u32 = 8;
/// Hashes in a full tile.
pub const FULL: u64 = 1 << HEIGHT;

/// A tile of height 8: neighbouring hashes of one level in eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Which level of tiles, from the records up.
    pub level: u32,
    /// Its number in that level.
    pub n: u64,
    /// How many hashes it has, from 1 to 256.
    pub width: u64,
}

/// The bytes of a tile.
pub type TileData = Arc<[u8]>;

/// Where tiles come from.
pub trait Tiles {
    /// What may go wrong.
    type Error: From<TlogError> + From<Inconsistent>;

    /// The bytes of each tile, in the same order.
    fn read(&self, tiles: &[Tile]) -> Result<Vec<TileData>, Self::Error>;

    /// These tiles are proven and may be kept.
    fn confirmed(&self, tiles: &[Tile], data: &[TileData]);
}

/// Tiles that do not make up the tree they are said to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("downloaded inconsistent tile")]
pub struct Inconsistent;

impl Tile {
    /// Its path, below a server's address and in the cache: `tile/8/0/x001/x234/067.p/12`.
    pub fn path(&self) -> String {
        let partial = if self.is_full() { String::new() } else { format!(".p/{}", self.width) };
        format!("{}{partial}", self.full_path())
    }

    /// The path without what tells a partial tile.
    pub(crate) fn full_path(&self) -> String {
        let mut number = format!("{:03}", self.n % 1000);
        let mut rest = self.n / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        format!("tile/{HEIGHT}/{}/{number}", self.level)
    }

    /// Reads a path of this height (`ParseTilePath`); `None` where it is no such path.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/8/")?;
        let (rest, width) = match rest.split_once(".p/") {
            Some((rest, width)) => (rest, width.parse().ok()?),
            None => (rest, FULL),
        };
        let (level, digits) = rest.split_once('/')?;
        let mut n: u64 = 0;
        for part in digits.split('/') {
            let part = part.strip_prefix('x').unwrap_or(part);
            n = n.checked_mul(1000)?.checked_add(part.parse().ok()?)?;
        }
        let tile = Self { level: level.parse().ok()?, n, width };
        // What is not as it would be written is no path.
        (tile.level < 64 && (1..=FULL).contains(&width) && tile.path() == path).then_some(tile)
    }

    /// Whether it has all of its hashes.
    pub fn is_full(&self) -> bool {
        self.width == FULL
    }

    /// The same, full.
    pub(crate) fn full(&self) -> Self {
        Self { width: FULL, ..*self }
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // At most 256 hashes.
        usize::try_from(self.width).unwrap_or(usize::MAX).saturating_mul(HASH_SIZE)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// The narrowest tile that has a hash, and which of the tile's own hashes it stands over.
fn tile_of(place: u64) -> (Tile, std::ops::Range<u64>) {
    let (level, n) = split_stored_index(place);
    let (tile_level, inside) = (level / HEIGHT, level % HEIGHT);
    let first = n << inside;
    let start = first % FULL;
    let end = start + (1 << inside);
    (Tile { level: tile_level, n: first >> HEIGHT, width: end }, start..end)
}

/// The tile `up` levels above, as wide as it is in a tree of `size` records; `None` where the
/// tree has none there.
fn parent(tile: Tile, up: u32, size: u64) -> Option<Tile> {
    let level = tile.level + up;
    let n = tile.n.checked_shr(up * HEIGHT).unwrap_or(0);
    let in_level = size.checked_shr(level * HEIGHT).unwrap_or(0);
    let left = in_level.checked_sub(n << HEIGHT).filter(|left| *left > 0)?;
    Some(Tile { level, n, width: left.min(FULL) })
}

/// The hash over neighbouring hashes, as many as a power of two.
fn fold(data: &[u8]) -> Hash {
    let mut level: Vec<Hash> =
        data.as_chunks::<HASH_SIZE>().0.iter().map(|bytes| Hash(*bytes)).collect();
    while level.len() > 1 {
        level = level.chunks_exact(2).map(|pair| node_hash(pair[0], pair[1])).collect();
    }
    level.first().copied().unwrap_or(Hash([0; HASH_SIZE]))
}

/// A hash out of a tile; `None` where it is not in there.
fn hash_from(tile: Tile, data: &[u8], place: u64) -> Option<Hash> {
    let (narrow, range) = tile_of(place);
    let belongs = narrow.level == tile.level && narrow.n == tile.n && narrow.width <= tile.width;
    let byte = |n: u64| usize::try_from(n).ok()?.checked_mul(HASH_SIZE);
    data.get(byte(range.start)?..byte(range.end)?).filter(|_| belongs).map(fold)
}

/// The tiles to read for some hashes, parents before children.
struct Wanted {
    tiles: Vec<Tile>,
    order: HashMap<Tile, usize>,
}

impl Wanted {
    fn add(&mut self, tile: Tile) -> usize {
        *self.order.entry(tile).or_insert_with(|| {
            self.tiles.push(tile);
            self.tiles.len() - 1
        })
    }

    /// The tile of a hash, after those above it up to one that is wanted already.
    fn add_with_parents(&mut self, place: u64, size: u64) -> Option<usize> {
        let (narrow, _) = tile_of(place);
        let mut above = Vec::new();
        for up in 0.. {
            let tile = parent(narrow, up, size)?;
            if self.order.contains_key(&tile) {
                break;
            }
            above.push(tile);
        }
        for tile in above.into_iter().rev() {
            // Only a full tile has its hash in another one.
            if !tile.is_full() {
                return None;
            }
            self.add(tile);
        }
        self.order.get(&parent(narrow, 0, size)?).copied()
    }
}

/// Hashes of a tree, by [`stored_index`], proven against the tree's own hash
/// (`TileHashReader`).
pub fn read_hashes<T: Tiles>(tree: Tree, places: &[u64], from: &T) -> Result<Vec<Hash>, T::Error> {
    let outside = tree.size == 0
        || tree.size > MAX_SIZE
        || places.iter().any(|place| *place >= stored_index(0, tree.size));
    if outside {
        return Err(TlogError::Range.into());
    }
    let mut wanted = Wanted { tiles: Vec::new(), order: HashMap::new() };
    let peaks = subtrees(0, tree.size);
    let mut of_peaks = Vec::with_capacity(peaks.len());
    for place in &peaks {
        let tile = parent(tile_of(*place).0, 0, tree.size).ok_or(TlogError::Range)?;
        of_peaks.push(wanted.add(tile));
    }
    let roots = wanted.tiles.len();
    let mut of_places = Vec::with_capacity(places.len());
    for place in places {
        of_places.push(wanted.add_with_parents(*place, tree.size).ok_or(TlogError::Range)?);
    }
    let tiles = &wanted.tiles;
    let data = from.read(tiles)?;
    if data.len() != tiles.len() || tiles.iter().zip(&data).any(|(t, d)| d.len() != t.bytes()) {
        return Err(Inconsistent.into());
    }
    let hash_at = |at: usize, place: u64| hash_from(tiles[at], &data[at], place);
    // The tiles at the right edge make up the tree's hash …
    let found: Option<Vec<Hash>> =
        peaks.iter().zip(of_peaks).map(|(place, at)| hash_at(at, *place)).collect();
    if found.and_then(|found| join(&found)) != Some(tree.hash) {
        return Err(Inconsistent.into());
    }
    // … and each other one is a hash in the tile above it.
    for (tile, data) in tiles.iter().zip(&data).skip(roots) {
        let above = parent(*tile, 1, tree.size).and_then(|above| wanted.order.get(&above));
        let place = stored_index((tile.level + 1) * HEIGHT, tile.n);
        if above.and_then(|at| hash_at(*at, place)) != Some(fold(data)) {
            return Err(Inconsistent.into());
        }
    }
    from.confirmed(tiles, &data);
    let hashes: Option<Vec<Hash>> =
        places.iter().zip(of_places).map(|(place, at)| hash_at(at, *place)).collect();
    Ok(hashes.ok_or(TlogError::Range)?)
}

/// A tree's hashes out of its tiles.
pub(crate) struct TileHashes<'a, T> {
    pub(crate) tree: Tree,
    pub(crate) tiles: &'a T,
}

impl<T: Tiles> Hashes for TileHashes<'_, T> {
    type Error = T::Error;

    fn read(&self, places: &[u64]) -> Result<Vec<Hash>, T::Error> {
        read_hashes(self.tree, places, self.tiles)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::tlog::{record_hash, tree_hash};

    #[derive(Debug, PartialEq)]
    struct Wrong;

    impl From<TlogError> for Wrong {
        fn from(_: TlogError) -> Self {
            Self
        }
    }

    impl From<Inconsistent> for Wrong {
        fn from(_: Inconsistent) -> Self {
            Self
        }
    }

    /// A log that serves tiles, one byte of one of them changed.
    struct Served {
        all: Vec<Hash>,
        spoilt: Option<(Tile, usize)>,
        asked: RefCell<Vec<Tile>>,
        confirmed: RefCell<usize>,
    }

    impl Hashes for Served {
        type Error = Wrong;

        fn read(&self, places: &[u64]) -> Result<Vec<Hash>, Wrong> {
            let get = |place: &u64| self.all.get(usize::try_from(*place).unwrap()).copied();
            places.iter().map(|place| get(place).ok_or(Wrong)).collect()
        }
    }

    impl Tiles for Served {
        type Error = Wrong;

        fn read(&self, tiles: &[Tile]) -> Result<Vec<TileData>, Wrong> {
            self.asked.borrow_mut().extend(tiles);
            tiles
                .iter()
                .map(|tile| {
                    let first = tile.n * FULL;
                    let places: Vec<u64> = (first..first + tile.width)
                        .map(|n| stored_index(tile.level * HEIGHT, n))
                        .collect();
                    let mut data: Vec<u8> =
                        Hashes::read(self, &places)?.iter().flat_map(|hash| hash.0).collect();
                    if let Some((spoilt, byte)) = self.spoilt
                        && spoilt == *tile
                    {
                        data[byte] ^= 1;
                    }
                    Ok(data.into())
                })
                .collect()
        }

        fn confirmed(&self, tiles: &[Tile], _: &[TileData]) {
            *self.confirmed.borrow_mut() += tiles.len();
        }
    }

    fn served(size: u64) -> Served {
        let mut all: Vec<Hash> = Vec::new();
        for n in 0..size {
            let mut hash = record_hash(&n.to_be_bytes());
            all.push(hash);
            for level in 0..n.trailing_ones() {
                let left = usize::try_from(stored_index(level, (n >> level) - 1)).unwrap();
                hash = node_hash(all[left], hash);
                all.push(hash);
            }
        }
        Served { all, spoilt: None, asked: RefCell::default(), confirmed: RefCell::default() }
    }

    #[test]
    fn paths_are_those_of_go() {
        for (level, n, width, path) in [
            (4, 1_234_067, 1, "tile/8/4/x001/x234/067.p/1"),
            (4, 1_234_067, FULL, "tile/8/4/x001/x234/067"),
            (0, 0, FULL, "tile/8/0/000"),
            (1, 999, 255, "tile/8/1/999.p/255"),
            (0, 123_456_789, FULL, "tile/8/0/x123/x456/789"),
        ] {
            let tile = Tile { level, n, width };
            assert_eq!(tile.path(), path);
            assert_eq!(Tile::parse(path), Some(tile));
        }
        for bad in [
            "",
            "tile/8/0",
            "tile/3/0/000",
            "tile/8/64/000",
            "tile/8/0/0",
            "tile/8/0/x000/000",
            "tile/8/0/001/234",
            "tile/8/0/x001/x234",
            "tile/8/0/000.p/0",
            "tile/8/0/000.p/256",
            "tile/8/0/000.p/-1",
            "tile/8/-1/000",
            "tile/8/data/000",
            "tile/8/0/x99999999999999999999/000",
        ] {
            assert_eq!(Tile::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_hash_of_a_tree_is_proven_and_read() {
        for size in [1, 2, 3, 255, 256, 257, 511, 600, 700] {
            let log = served(size);
            let tree = Tree { size, hash: tree_hash(size, &log).unwrap() };
            for n in (0..size).step_by(7) {
                let place = stored_index(0, n);
                let found = read_hashes(tree, &[place], &log).unwrap();
                assert_eq!(found[0], record_hash(&n.to_be_bytes()), "{size} {n}");
            }
            let hashes = TileHashes { tree, tiles: &log };
            for old in (0..=size).step_by(5) {
                assert_eq!(tree_hash(old, &hashes).unwrap(), tree_hash(old, &log).unwrap());
            }
            assert!(read_hashes(tree, &[stored_index(0, size)], &log).is_err());
        }
    }

    #[test]
    fn one_changed_bit_in_any_tile_is_found() {
        let size = 600;
        let mut log = served(size);
        let tree = Tree { size, hash: tree_hash(size, &log).unwrap() };
        read_hashes(tree, &[stored_index(0, 5)], &log).unwrap();
        let asked = log.asked.take();
        assert!(asked.len() >= 3, "{asked:?}");
        *log.confirmed.borrow_mut() = 0;
        for tile in asked {
            for byte in [0, tile.bytes() / 2, tile.bytes() - 1] {
                log.spoilt = Some((tile, byte));
                assert_eq!(read_hashes(tree, &[stored_index(0, 5)], &log), Err(Wrong), "{tile}");
            }
        }
        assert_eq!(*log.confirmed.borrow(), 0, "nothing unproven is kept");
        let other = Tree { hash: record_hash(b"other"), ..tree };
        log.spoilt = None;
        assert_eq!(read_hashes(other, &[], &log), Err(Wrong));
        assert_eq!(read_hashes(Tree { size: u64::MAX, ..tree }, &[], &log), Err(Wrong));
        assert_eq!(read_hashes(Tree { size: 0, ..tree }, &[], &log), Err(Wrong));
    }
}
