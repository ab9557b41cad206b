//! The kept corpus of the fuzz targets, each input once, without libFuzzer.

use larder_testkit::replay;

#[path = "../../../../fuzz/src/build_entry.rs"]
mod build_entry;
#[path = "../../../../fuzz/src/go_sum.rs"]
mod go_sum;
#[path = "../../../../fuzz/src/gomod.rs"]
mod gomod;
#[path = "../../../../fuzz/src/module_zip.rs"]
mod module_zip;

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
