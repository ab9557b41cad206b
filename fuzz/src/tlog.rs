//! Tiles and proofs of a transparency log: a true one is taken, one with a bit changed never is.

use larder_modules::tile::{FULL, HEIGHT, Inconsistent, Tile, TileData, Tiles, read_hashes};
use larder_modules::tlog::{
    Hash, Hashes, TlogError, Tree, check_record, check_tree, node_hash, prove_record, prove_tree,
    record_hash, split_stored_index, stored_index, tree_hash,
};

#[derive(Debug)]
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

/// A log, and which byte of its tiles is changed on the way: of the so-manieth tile, by what.
struct Log {
    all: Vec<Hash>,
    spoil: Option<(usize, usize, u8)>,
}

impl Hashes for Log {
    type Error = Wrong;

    fn read(&self, places: &[u64]) -> Result<Vec<Hash>, Wrong> {
        places.iter().map(|place| self.all.get(*place as usize).copied().ok_or(Wrong)).collect()
    }
}

impl Tiles for Log {
    type Error = Wrong;

    fn read(&self, tiles: &[Tile]) -> Result<Vec<TileData>, Wrong> {
        let mut all = Vec::new();
        for tile in tiles {
            assert_eq!(Tile::parse(&tile.path()), Some(*tile));
            let first = tile.n * FULL;
            let places: Vec<u64> =
                (first..first + tile.width).map(|n| stored_index(tile.level * HEIGHT, n)).collect();
            let hashes = Hashes::read(self, &places)?;
            all.push(hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>());
        }
        if let Some((tile, byte, bits)) = self.spoil {
            let count = all.len();
            let data = &mut all[tile % count];
            let length = data.len();
            data[byte % length] ^= bits;
        }
        Ok(all.into_iter().map(TileData::from).collect())
    }

    fn confirmed(&self, _: &[Tile], _: &[TileData]) {
        assert!(self.spoil.is_none(), "a changed tile was taken for proven");
    }
}

fn log(size: u64) -> Log {
    let mut all: Vec<Hash> = Vec::new();
    for n in 0..size {
        let mut hash = record_hash(&n.to_be_bytes());
        all.push(hash);
        for level in 0..n.trailing_ones() {
            hash = node_hash(all[stored_index(level, (n >> level) - 1) as usize], hash);
            all.push(hash);
        }
    }
    Log { all, spoil: None }
}

/// One input: two sizes and a record, the change, then a path and a proof out of the rest.
pub(crate) fn run(data: &[u8]) {
    if let Some(tile) = std::str::from_utf8(data).ok().and_then(Tile::parse) {
        assert_eq!(Tile::parse(&tile.path()), Some(tile));
    }
    let Some((head, rest)) = data.split_first_chunk::<12>() else { return };
    let number = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let size = number(0) % 1200 + 1;
    let (older, record) = (number(2) % size + 1, number(4) % size);
    let mut log = log(size);
    let hash_of = |size| tree_hash(size, &log).expect("a whole log");
    let tree = Tree { size, hash: hash_of(size) };
    let before = Tree { size: older, hash: hash_of(older) };

    let leaf = log.all[stored_index(0, record) as usize];
    let mut of_record = prove_record(size, record, &log).expect("a whole log");
    let mut of_tree = prove_tree(size, older, &log).expect("a whole log");
    assert_eq!(check_record(&of_record, tree, record, leaf), Ok(()));
    assert_eq!(check_tree(&of_tree, tree, before), Ok(()));
    let (place, byte, bits) = (number(6) as usize, usize::from(head[8]), head[9]);
    if bits != 0 {
        for proof in [&mut of_record, &mut of_tree] {
            let count = proof.len();
            if count > 0 {
                proof[place % count].0[byte % 32] ^= bits;
            }
        }
        assert!(of_record.is_empty() || check_record(&of_record, tree, record, leaf).is_err());
        assert!(of_tree.is_empty() || check_tree(&of_tree, tree, before).is_err());
    }

    let index = stored_index(0, record);
    assert_eq!(split_stored_index(index), (0, record));
    if bits != 0 {
        log.spoil = Some((place, number(8) as usize, bits));
    }
    let read = read_hashes(tree, &[index], &log);
    assert_eq!(read.is_ok(), bits == 0, "changed tiles and only they are refused");
    assert!(read.is_err() || read.is_ok_and(|read| read == [leaf]));

    // A proof made of what is left, and sizes of any magnitude.
    let proof: Vec<Hash> = rest
        .chunks_exact(32)
        .map(|chunk| {
            let mut hash = [0; 32];
            hash.copy_from_slice(chunk);
            Hash(hash)
        })
        .collect();
    let shift = u32::from(head[10] % 64);
    let huge = Tree { size: size << shift, hash: tree.hash };
    let _ = check_record(&proof, huge, record << (u32::from(head[11]) % 48), leaf);
    let _ = check_tree(&proof, huge, before);
}
