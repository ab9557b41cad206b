//! Whatever is sent, nothing panics, and nothing that was changed is believed.

use std::sync::Arc;

use larder_modules::note::VerifierKey;
use larder_modules::patterns::matches_prefix;
use larder_modules::tile::{FULL, Inconsistent, Tile, TileData, Tiles, read_hashes};
use larder_modules::tlog::{
    Hash, TlogError, Tree, check_record, check_tree, parse_record, parse_tree, split_stored_index,
    stored_index,
};
use proptest::prelude::*;

use larder_testkit::fake_sumdb::FakeDb;

struct Garbage(u8);

#[derive(Debug)]
struct Refused;

impl From<TlogError> for Refused {
    fn from(_: TlogError) -> Self {
        Self
    }
}

impl From<Inconsistent> for Refused {
    fn from(_: Inconsistent) -> Self {
        Self
    }
}

impl Tiles for Garbage {
    type Error = Refused;

    fn read(&self, tiles: &[Tile]) -> Result<Vec<TileData>, Refused> {
        assert!(tiles.len() < 600, "{}", tiles.len());
        Ok(tiles.iter().map(|tile| Arc::from(vec![self.0; tile.width as usize * 32])).collect())
    }

    fn confirmed(&self, _: &[Tile], _: &[TileData]) {
        panic!("garbage is not confirmed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn texts_are_read_or_refused(text in "\\PC{0,80}|[—a-zA-Z0-9+/= \\n]{0,120}") {
        let _ = text.parse::<VerifierKey>();
        let _ = parse_tree(&text);
        let _ = parse_tree(&format!("go.sum database tree\n{text}"));
        let _ = parse_record(text.as_bytes());
        let _ = parse_record(format!("7\n{text}").as_bytes());
        let _ = Tile::parse(&text);
        let _ = Tile::parse(&format!("tile/8/{text}"));
        let _ = matches_prefix(&text, "example.com/a/b");
        let _ = matches_prefix("a[*]", &text);
        let key: VerifierKey = FakeDb::new("a.test", 1).verifier().parse().unwrap();
        prop_assert!(key.open(text.as_bytes()).is_err());
        let note = format!("{text}\n— a.test {text}\n");
        prop_assert!(key.open(note.as_bytes()).is_err());
    }

    #[test]
    fn a_changed_note_is_not_believed(at in 0usize..200, byte in any::<u8>()) {
        let mut db = FakeDb::new("a.test", 1);
        db.grow(3);
        let key: VerifierKey = db.verifier().parse().unwrap();
        let good = db.head(3).into_bytes();
        let text = key.open(&good).unwrap().to_owned();
        let mut changed = good.clone();
        let at = at % good.len();
        changed[at] = byte;
        // What is still believed says the same.
        if let Ok(still) = key.open(&changed) {
            prop_assert_eq!(still, text);
        }
    }

    #[test]
    fn tiles_are_read_as_they_are_written(level in 0u32..64, n in any::<u64>(), width in 1u64..=FULL) {
        let tile = Tile { level, n, width };
        prop_assert_eq!(Tile::parse(&tile.path()), Some(tile));
    }

    #[test]
    fn places_are_told_apart(level in 0u32..60, n in any::<u64>()) {
        let n = n >> (level + 4);
        prop_assert_eq!(split_stored_index(stored_index(level, n)), (level, n));
    }

    #[test]
    fn garbage_is_in_no_tree(size in any::<u64>(), place in any::<u64>(), byte in any::<u8>(), cut in 0u32..64) {
        // A hash that no tile of one byte repeated has in it.
        let mut hash = [9; 32];
        hash[0] = 8;
        let tree = Tree { size: size >> cut, hash: Hash(hash) };
        prop_assert!(read_hashes(tree, &[place >> cut, place >> 8], &Garbage(byte)).is_err());
        prop_assert!(read_hashes(tree, &[], &Garbage(byte)).is_err());
    }

    #[test]
    fn garbage_proves_nothing(size in any::<u64>(), n in any::<u64>(), steps in 0usize..70, cut in 0u32..64) {
        let proof = vec![Hash([3; 32]); steps];
        let newer = Tree { size: size >> cut, hash: Hash([9; 32]) };
        let older = Tree { size: n >> cut, hash: Hash([8; 32]) };
        prop_assert!(check_record(&proof, newer, n >> cut, Hash([7; 32])).is_err());
        prop_assert!(check_tree(&proof, newer, older).is_err());
    }
}
