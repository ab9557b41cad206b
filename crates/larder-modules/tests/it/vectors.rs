//! What golang.org/x/mod itself says: its own code makes keys, notes, records, tiles and proofs,
//! and ours reads them.

use std::collections::HashMap;
use std::fs;

use larder_modules::note::{NoteError, VerifierKey};
use larder_modules::patterns::matches_prefix;
use larder_modules::tile::Tile;
use larder_modules::tlog::{
    Hash, Tree, check_record, check_tree, parse_record, parse_tree, record_hash, stored_index,
};
use larder_testkit::{GoSandbox, copy_tree, module_source};

const MAIN: &str = r#"package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func say(kind string, fields ...any) {
	fmt.Print(kind)
	for _, field := range fields {
		fmt.Printf("\t%v", field)
	}
	fmt.Println()
}

func code(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func main() {
	random := rand.New(rand.NewSource(1))
	for i := 0; i < 8; i++ {
		name := fmt.Sprintf("key%d.example/päth", i)
		skey, vkey, err := note.GenerateKey(random, name)
		if err != nil {
			panic(err)
		}
		signer, _ := note.NewSigner(skey)
		other, _, _ := note.GenerateKey(random, name)
		stranger, _ := note.NewSigner(other)
		text := strings.Repeat("línea\n\n", i) + "end\n"
		good, err := note.Sign(&note.Note{Text: text}, stranger, signer)
		if err != nil {
			panic(err)
		}
		bad, _ := note.Sign(&note.Note{Text: text}, stranger)
		say("note", vkey, code(good), code(bad), code([]byte(text)))
	}

	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, i := range indexes {
			found = append(found, stored[i])
		}
		return found, nil
	})
	for n := int64(0); n < 300; n++ {
		text := fmt.Sprintf("example.com/m v0.0.%d h1:x=\n", n)
		record, _ := tlog.FormatRecord(n, []byte(text))
		say("record", n, code(append(record, "rest"...)), tlog.RecordHash([]byte(text)), tlog.StoredHashIndex(0, n))
		hashes, _ := tlog.StoredHashes(n, []byte(text), read)
		stored = append(stored, hashes...)
	}
	for _, size := range []int64{1, 2, 3, 7, 8, 255, 256, 257, 300} {
		hash, _ := tlog.TreeHash(size, read)
		tree := tlog.Tree{N: size, Hash: hash}
		say("tree", size, hash, code(tlog.FormatTree(tree)))
		for n := int64(0); n < size; n += 1 + size/9 {
			proof, _ := tlog.ProveRecord(size, n, read)
			say("inclusion", size, hash, n, join(proof))
		}
		for old := int64(1); old <= size; old += 1 + size/9 {
			proof, _ := tlog.ProveTree(size, old, read)
			oldHash, _ := tlog.TreeHash(old, read)
			say("consistency", size, hash, old, oldHash, join(proof))
		}
		for _, tile := range tlog.NewTiles(8, 0, size) {
			say("tile", tile.L, tile.N, tile.W, tile.Path())
		}
	}
	for _, n := range []int64{0, 1, 999, 1000, 1234067, 123456789} {
		tile := tlog.Tile{H: 8, L: 3, N: n, W: int(n%256) + 1}
		say("tile", tile.L, tile.N, tile.W, tile.Path())
	}
	globs := []string{"*", "a.b", "a.b/", "*.b", "a.b/c,x.y", "a.b/*/e", "[a-c].b", "[^a].b", "\\a.b", "a?b", "[", "*/*", "a*/c*", "a.b/c/d/e/f", "a.[b", "a.b/[", "*[", "a-]", "[a-]"}
	paths := []string{"a.b", "a.b/c", "a.b/c/d", "a.b/c/d/e", "x.y/z", "b.b/c", "axb", "z.b", "a-]", "["}
	for _, glob := range globs {
		for _, path := range paths {
			say("glob", glob, path, module.MatchPrefixPatterns(glob, path))
		}
	}
	_ = bytes.MinRead
}

func join[T ~[]tlog.Hash](proof T) string {
	var words []string
	for _, h := range proof {
		words = append(words, h.String())
	}
	return strings.Join(words, ",")
}
"#;

fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn hash(text: &str) -> Hash {
    Hash(decoded(text).try_into().unwrap())
}

fn proof(text: &str) -> Vec<Hash> {
    text.split(',').filter(|word| !word.is_empty()).map(hash).collect()
}

#[test]
fn what_x_mod_makes_is_read_as_it_means_it() {
    let source = match module_source("golang.org/x/mod", "v0.30.0") {
        Ok(source) => source,
        Err(why) => {
            eprintln!("not tested: {why}");
            return;
        }
    };
    let sandbox = GoSandbox::new();
    sandbox.warm();
    // Its packages alone, without what its tools need.
    let copy = sandbox.root().join("x-mod");
    copy_tree(&source, &copy).unwrap();
    fs::write(copy.join("go.mod"), "module golang.org/x/mod\n\ngo 1.24\n").unwrap();
    let go_mod = "module vectors\n\ngo 1.24\n\nrequire golang.org/x/mod v0.30.0\n\n\
                  replace golang.org/x/mod => ../../x-mod\n";
    let project =
        sandbox.project("vectors", &format!("-- go.mod --\n{go_mod}-- main.go --\n{MAIN}"));
    let said = sandbox.go_text(&["run", "."], &project);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut leaves: Vec<Hash> = Vec::new();
    for line in said.lines() {
        let (kind, rest) = line.split_once('\t').unwrap();
        let fields: Vec<&str> = rest.split('\t').collect();
        let number = |at: usize| fields[at].parse::<u64>().unwrap();
        *seen.entry(kind).or_default() += 1;
        match kind {
            "note" => {
                let key: VerifierKey = fields[0].parse().unwrap();
                assert_eq!(key.to_string(), fields[0]);
                let (good, bad, text) =
                    (decoded(fields[1]), decoded(fields[2]), decoded(fields[3]));
                assert_eq!(key.open(&good).unwrap().as_bytes(), text);
                assert_eq!(key.open(&bad), Err(NoteError::Unsigned));
                let mut changed = good.clone();
                changed[0] ^= 1;
                assert!(key.open(&changed).is_err());
            }
            "record" => {
                let bytes = decoded(fields[1]);
                let record = parse_record(&bytes).unwrap();
                assert_eq!((record.id, record.rest), (number(0), b"rest".as_slice()));
                assert_eq!(record_hash(record.text), hash(fields[2]));
                assert_eq!(stored_index(0, number(0)), number(3));
                leaves.push(hash(fields[2]));
            }
            "tree" => {
                let text = String::from_utf8(decoded(fields[2])).unwrap();
                let tree = Tree { size: number(0), hash: hash(fields[1]) };
                assert_eq!(parse_tree(&text), Ok(tree));
            }
            "inclusion" => {
                let tree = Tree { size: number(0), hash: hash(fields[1]) };
                let steps = proof(fields[3]);
                let leaf = leaves[number(2) as usize];
                assert_eq!(check_record(&steps, tree, number(2), leaf), Ok(()), "{line}");
                assert!(
                    check_record(&steps, tree, number(2), hash(fields[1])).is_err()
                        || tree.size == 1
                );
            }
            "consistency" => {
                let newer = Tree { size: number(0), hash: hash(fields[1]) };
                let older = Tree { size: number(2), hash: hash(fields[3]) };
                assert_eq!(check_tree(&proof(fields[4]), newer, older), Ok(()), "{line}");
                let other = Tree { hash: leaves[299], ..older };
                assert!(check_tree(&proof(fields[4]), newer, other).is_err());
            }
            "tile" => {
                let tile = Tile { level: number(0) as u32, n: number(1), width: number(2) };
                assert_eq!(tile.path(), fields[3]);
                assert_eq!(Tile::parse(fields[3]), Some(tile));
            }
            "glob" => {
                let expected = fields[2] == "true";
                assert_eq!(matches_prefix(fields[0], fields[1]), expected, "{line}");
            }
            other => panic!("{other}"),
        }
    }
    for kind in ["note", "record", "tree", "inclusion", "consistency", "tile", "glob"] {
        assert!(seen.get(kind).is_some_and(|count| *count >= 8), "{kind}: {seen:?}");
    }
}
