//! What a Go executable says of itself: Go version, command, main module.
//!
//! The linker leaves it in the data segment behind a mark (`debug/buildinfo`): since Go 1.18 two
//! strings, each after its length. Leaves out: older executables, whose strings stand elsewhere.

use crate::build_peek::Peek;

/// What an executable says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinaryFacts {
    /// As in `go1.26.8`.
    pub go: String,
    /// As in `linux/amd64`, where it is told.
    pub platform: String,
    /// The command's import path; one ending in `.test` for a test.
    pub package: String,
    /// The main module's path and version; a version of `(devel)` or none is a folder's.
    pub module: Option<(String, String)>,
}

const MARK: &[u8] = b"\xff Go buildinf:";
/// Both strings follow inline.
const INLINE: u8 = 2;
/// The module's data begins and ends with 16 bytes of no meaning here.
const FRAME: usize = 16;

/// Reads what the executable says; `None` where it is none of Go, or an older one.
pub(crate) fn read(peek: &mut Peek<'_>) -> Option<BinaryFacts> {
    let magic = peek.bytes(0, 4)?.to_vec();
    let data = match magic.as_slice() {
        b"\x7fELF" => elf_data(peek)?,
        [0xcf, 0xfa, 0xed, 0xfe] => mach_data(peek)?,
        [b'M', b'Z', ..] => pe_data(peek)?,
        _ => return None,
    };
    let area = peek.up_to(data, 64 * 1024);
    let at = (0..area.len()).step_by(16).find(|&at| area[at..].starts_with(MARK))?;
    let info = &area[at..];
    if info.get(15)? & INLINE == 0 {
        return None;
    }
    let mut rest = info.get(32..)?;
    let go = string(&mut rest)?;
    let module = string(&mut rest).unwrap_or_default();
    let mut facts = BinaryFacts { go: text(go)?, ..BinaryFacts::default() };
    let inner = module.get(FRAME..module.len().saturating_sub(FRAME)).unwrap_or_default();
    read_lines(std::str::from_utf8(inner).unwrap_or_default(), &mut facts);
    Some(facts)
}

fn read_lines(lines: &str, facts: &mut BinaryFacts) {
    let (mut os, mut arch) = ("", "");
    for line in lines.lines() {
        let mut words = line.split('\t');
        match (words.next(), words.next()) {
            (Some("path"), Some(path)) => path.clone_into(&mut facts.package),
            (Some("mod"), Some(path)) => {
                let version = words.next().unwrap_or_default();
                facts.module = Some((path.to_owned(), version.to_owned()));
            }
            (Some("build"), Some(setting)) => match setting.split_once('=') {
                Some(("GOOS", value)) => os = value,
                Some(("GOARCH", value)) => arch = value,
                _ => {}
            },
            _ => {}
        }
    }
    if !os.is_empty() && !arch.is_empty() {
        facts.platform = format!("{os}/{arch}");
    }
}

/// A string after its length.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut len = 0_usize;
    for shift in (0..28).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        len |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let (string, after) = rest.split_at_checked(len)?;
            *rest = after;
            return Some(string);
        }
    }
    None
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn number(peek: &mut Peek<'_>, at: u64, len: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes[..len].copy_from_slice(peek.bytes(at, len)?);
    Some(u64::from_le_bytes(bytes))
}

/// The first writable segment that is loaded: there the linker puts the mark first.
fn elf_data(peek: &mut Peek<'_>) -> Option<u64> {
    let wide = match peek.bytes(4, 2)? {
        [2, 1] => true,
        [1, 1] => false,
        // Big-endian platforms are not read.
        _ => return None,
    };
    let (table, size, count) = if wide {
        (number(peek, 32, 8)?, number(peek, 54, 2)?, number(peek, 56, 2)?)
    } else {
        (number(peek, 28, 4)?, number(peek, 42, 2)?, number(peek, 44, 2)?)
    };
    for header in (0..count.min(64)).map(|index| table.saturating_add(index * size)) {
        let load = number(peek, header, 4)? == 1;
        let (flags, offset) = if wide {
            (number(peek, header + 4, 4)?, number(peek, header + 8, 8)?)
        } else {
            (number(peek, header + 24, 4)?, number(peek, header + 4, 4)?)
        };
        if load && flags & 2 != 0 {
            return Some(offset);
        }
    }
    None
}

/// The segment `__DATA`, or the section `__go_buildinfo` in it.
fn mach_data(peek: &mut Peek<'_>) -> Option<u64> {
    let count = number(peek, 16, 4)?;
    let mut command = 32_u64;
    for _ in 0..count.min(64) {
        let (kind, size) = (number(peek, command, 4)?, number(peek, command + 4, 4)?);
        if kind == 0x19 && peek.bytes(command + 8, 6)? == b"__DATA" {
            let sections = number(peek, command + 64, 4)?;
            for section in (0..sections.min(64)).map(|index| command + 72 + 80 * index) {
                if peek.bytes(section, 14)? == b"__go_buildinfo" {
                    return number(peek, section + 48, 4);
                }
            }
            return number(peek, command + 40, 8);
        }
        command = command.checked_add(size.max(8))?;
    }
    None
}

/// The first section that is written to and initialised.
fn pe_data(peek: &mut Peek<'_>) -> Option<u64> {
    let header = number(peek, 60, 4)?;
    if peek.bytes(header, 4)? != b"PE\0\0" {
        return None;
    }
    let (count, optional) = (number(peek, header + 6, 2)?, number(peek, header + 20, 2)?);
    for section in (0..count.min(64)).map(|index| header + 24 + optional + 40 * index) {
        const DATA_READ_WRITE: u64 = 0xc000_0040;
        if number(peek, section + 36, 4)? & DATA_READ_WRITE == DATA_READ_WRITE {
            return number(peek, section + 20, 4);
        }
    }
    None
}
