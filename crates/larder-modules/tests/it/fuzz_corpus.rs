//! The kept corpus of the fuzz targets, each input once, without libFuzzer.

use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/src/netrc.rs"]
mod netrc;
#[path = "../../../../fuzz/src/note.rs"]
mod note;
#[path = "../../../../fuzz/src/proxy.rs"]
mod proxy;
#[path = "../../../../fuzz/src/tlog.rs"]
mod tlog;

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
fn note_corpus() {
    replay("note", note::run);
}

#[test]
fn tlog_corpus() {
    replay("tlog", tlog::run);
}

#[test]
fn proxy_corpus() {
    replay("proxy", proxy::run);
}

#[test]
fn netrc_corpus() {
    replay("netrc", netrc::run);
}
