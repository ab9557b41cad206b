//! go.sum: what is accepted reads the same when it is written out again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use larder_go::go_sum::GoSum;
use larder_go::h1::H1;

/// One input.
pub(crate) fn run(data: &[u8]) {
    let path = Path::new("go.sum");
    let Ok(sum) = GoSum::parse(path, data) else { return };
    let mut text = String::new();
    for (module, version, hashes) in sum.iter() {
        assert_eq!(sum.hashes(module, version), hashes);
        for hash in hashes {
            let _ = writeln!(text, "{module} {version} {hash}");
            if let Ok(h1) = hash.parse::<H1>() {
                assert_eq!(h1.to_string(), *hash, "a hash has one spelling");
                assert!(sum.contradicts(module, version, h1).is_none());
            }
        }
    }
    let again = GoSum::parse(path, text.as_bytes()).expect("lines of three words");
    let all = |sum: &GoSum| -> BTreeSet<(String, String, Vec<String>)> {
        sum.iter().map(|(m, v, h)| (m.to_owned(), v.to_owned(), h.to_vec())).collect()
    };
    assert_eq!(all(&again), all(&sum));
}
