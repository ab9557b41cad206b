//! The text of an action entry, read exactly as the go command reads it
//! (`cmd/go/internal/cache/cache.go`, `get`): what Go would take for a miss is no entry here.

use std::ffi::OsStr;
use std::io::{self, Read};

use larder_core::EntryId;
use larder_fs::Dir;

/// The length of an action entry in bytes.
pub const ENTRY_LEN: usize = 175;

/// What a sound action entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionText {
    /// The output that it names.
    pub output: EntryId,
    /// The output's length in bytes; of an executable that of the file in its folder.
    pub size: u64,
}

/// Reads the text of the action `id`; `None` where Go would not take it.
pub fn parse(id: &EntryId, text: &[u8]) -> Option<ActionText> {
    let text: &[u8; ENTRY_LEN] = text.try_into().ok()?;
    let spaces = [2, 67, 132, 153].iter().all(|&at| text[at] == b' ');
    if !text.starts_with(b"v1") || !spaces || text[ENTRY_LEN - 1] != b'\n' {
        return None;
    }
    if parse_id(&text[3..67])? != *id {
        return None;
    }
    parse_number(&text[154..174])?;
    Some(ActionText { output: parse_id(&text[68..132])?, size: parse_number(&text[133..153])? })
}

/// Reads the entry `name` in `dir`. `Ok(None)` where Go would not take it for the action `id`.
pub fn read(dir: &Dir, name: &OsStr, id: &EntryId) -> io::Result<Option<ActionText>> {
    // One byte more than an entry has, to see that it is too long.
    let mut text = [0; ENTRY_LEN + 1];
    let mut file = dir.open_file(name)?;
    let mut len = 0;
    while len < text.len() {
        match file.read(&mut text[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // An entry is written in one piece, so this is the rule and saves a call.
        if len == ENTRY_LEN && text[len - 1] == b'\n' && file.read(&mut text[len..])? == 0 {
            break;
        }
    }
    Ok(parse(id, &text[..len]))
}

/// Go decodes either case, though it writes lower case.
fn parse_id(hex: &[u8]) -> Option<EntryId> {
    EntryId::parse(&hex.to_ascii_lowercase())
}

/// A number that is padded with spaces in front and not negative.
fn parse_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim_start_matches(' ');
    u64::try_from(text.parse::<i64>().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTION: [u8; 32] = [0xab; 32];

    fn text(action: &str, output: &str, size: &str, time: &str) -> Vec<u8> {
        format!("v1 {action} {output} {size:>20} {time:>20}\n").into_bytes()
    }

    #[test]
    fn a_sound_entry_is_read() {
        let (a, d) = ("ab".repeat(32), "0C".repeat(32));
        let entry = parse(&EntryId(ACTION), &text(&a, &d, "748", "1700000000000000000")).unwrap();
        assert_eq!(entry, ActionText { output: EntryId([0x0c; 32]), size: 748 });
    }

    #[test]
    fn what_go_takes_for_a_miss_is_no_entry() {
        let id = EntryId(ACTION);
        let (a, d) = ("ab".repeat(32), "0c".repeat(32));
        let good = text(&a, &d, "748", "17");
        assert!(parse(&id, &good).is_some());
        assert_eq!(parse(&EntryId([0xac; 32]), &good), None, "another action's");
        assert_eq!(parse(&id, &good[..174]), None);
        assert_eq!(parse(&id, &[&good[..], b"\n"].concat()), None);
        assert_eq!(parse(&id, b""), None);
        for (size, time) in [("-1", "17"), ("748", "-1"), ("7x8", "17"), ("", "17"), ("748", "")] {
            assert_eq!(parse(&id, &text(&a, &d, size, time)), None, "{size:?} {time:?}");
        }
        for at in [0, 1, 2, 3, 67, 68, 132, 153, 174] {
            let mut bad = good.clone();
            bad[at] = b'?';
            assert_eq!(parse(&id, &bad), None, "byte {at}");
        }
    }
}
