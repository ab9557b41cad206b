//! The kept corpora of the fuzz targets, each input once, without libFuzzer.

use std::fs;
use std::path::Path;

/// Runs a target on every input of its corpus in `fuzz/corpus`, and on nothing at all.
pub fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&corpus).unwrap_or_else(|e| panic!("{}: {e}", corpus.display()));
    let mut count = 0;
    for entry in entries {
        let path = entry.expect("a file of a corpus").path();
        println!("{}", path.display()); // shown when it fails
        run(&fs::read(&path).expect("a file of a corpus"));
        count += 1;
    }
    assert!(count > 1, "{} is nearly empty", corpus.display());
    run(b"");
}
