//! Action entries of the build cache: an accepted one reads the same when it is written as Go
//! writes it.

use larder_core::EntryId;
use larder_go::build_entry::{ENTRY_LEN, parse};

/// One input; the action's id is taken from the entry itself, or no entry would ever fit.
pub(crate) fn run(data: &[u8]) {
    let id = data.get(3..67).and_then(|hex| EntryId::parse(&hex.to_ascii_lowercase()));
    let id = id.unwrap_or(EntryId([0; 32]));
    let Some(entry) = parse(&id, data) else { return };
    assert_eq!(data.len(), ENTRY_LEN);
    let again = format!("v1 {id} {} {:>20} {:>20}\n", entry.output, entry.size, 1);
    assert_eq!(parse(&id, again.as_bytes()), Some(entry), "{again}");
    let other = EntryId(id.0.map(|byte| !byte));
    assert_eq!(parse(&other, data), None, "an entry is of one action only");
}
