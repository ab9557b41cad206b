//! The kept corpus of the fuzz targets, each input once, without libFuzzer.

use larder_testkit::replay;

#[path = "../../../../fuzz/src/netrc.rs"]
mod netrc;
#[path = "../../../../fuzz/src/note.rs"]
mod note;
#[path = "../../../../fuzz/src/proxy.rs"]
mod proxy;
#[path = "../../../../fuzz/src/tlog.rs"]
mod tlog;

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
