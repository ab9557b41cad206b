//! The kept corpus of the fuzz targets, each input once, without libFuzzer.

use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/src/build_entry.rs"]
mod build_entry;
#[path = "../../../../fuzz/src/go_sum.rs"]
mod go_sum;
#[path = "../../../../fuzz/src/gomod.rs"]
mod gomod;
#[path = "../../../../fuzz/src/module_zip.rs"]
mod module_zip;

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display()); // shown when it fails
        run(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 1, "{} is nearly empty", corpus.display());
    run(b"");
}

#[test]
fn gomod_corpus() {
    replay("gomod", gomod::run);
}

#[test]
fn go_sum_corpus() {
    replay("go_sum", go_sum::run);
}

#[test]
fn build_entry_corpus() {
    replay("build_entry", build_entry::run);
}

#[test]
fn module_zip_corpus() {
    replay("module_zip", module_zip::run);
}
