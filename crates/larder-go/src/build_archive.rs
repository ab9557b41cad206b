//! What a compiled package says of itself, from a few places in its archive.
//!
//! An archive begins with `__.PKGDEF`: a line with platform and Go version
//! (`cmd/internal/obj`, `WriteObjFile`; `cmd/link/internal/ld/lib.go` reads it), then the export
//! data (`internal/pkgbits`), whose root names the import path and whose first position names a
//! source file of the package's own. A command exports nothing; its source files stand in the
//! table of `_go_.o`, which follows (`cmd/internal/goobj/objfile.go`).
//!
//! Promises: any bytes are survived, and what is not as expected is only not told. Leaves out:
//! everything else in an archive.

use crate::build_peek::Peek;

/// What an archive says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveFacts {
    /// As in `go1.26.8`.
    pub go: String,
    /// As in `linux/amd64`.
    pub platform: String,
    /// The import path; `main` for a command; nothing where the format is not known.
    pub package: String,
    /// A source file of the package's own, as the compiler was told it: absolute, below
    /// `$GOROOT`, or with `-trimpath` below an import path or `module@version`.
    pub file: String,
    /// Imported packages, only where no source file is told (the main package of a test).
    pub imports: Vec<String>,
}

/// Where an archive's first member begins, and the length of a member's header.
const MEMBER: u64 = 8;
const HEADER: u64 = 60;

/// Reads what the archive says; `None` where it is none of a Go package.
pub(crate) fn read(peek: &mut Peek<'_>) -> Option<ArchiveFacts> {
    if peek.bytes(0, 8)? != b"!<arch>\n" {
        return None;
    }
    let (name, size) = member(peek, MEMBER)?;
    if name != "__.PKGDEF" {
        return None;
    }
    let start = MEMBER + HEADER;
    let mut facts = ArchiveFacts::default();
    let head = peek.up_to(start, usize::try_from(size.min(4096)).ok()?);
    read_head(head, &mut facts)?;
    let export = find(head, b"\n$$B\n").map(|at| start + at as u64 + 5);
    if let Some(export) = export {
        // A format that is not known leaves what has been told so far.
        let _ = read_export(peek, export, &mut facts);
    }
    if facts.file.is_empty() {
        let _ = read_object(peek, start + size + (size & 1), &mut facts);
    }
    Some(facts)
}

/// A member's name and length.
fn member(peek: &mut Peek<'_>, at: u64) -> Option<(String, u64)> {
    let header = peek.bytes(at, 60)?;
    let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok();
    Some((text(0..16)?.trim_end().to_owned(), text(48..58)?.trim_end().parse().ok()?))
}

/// `go object <os> <arch> <version> …`.
fn read_head(head: &[u8], facts: &mut ArchiveFacts) -> Option<()> {
    let line = head.split(|&c| c == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.strip_prefix("go object ")?.split(' ');
    let (os, arch, version) = (words.next()?, words.next()?, words.next()?);
    facts.platform = format!("{os}/{arch}");
    // Between releases the version is of two words: `devel` and the base version with a commit.
    facts.go = match (version, words.next()) {
        ("devel", Some(base)) => format!("devel {base}"),
        _ => version.to_owned(),
    };
    Some(())
}

/// Sections of export data that are read here.
const STRING: u32 = 0;
const META: u32 = 1;
const POS_BASE: u32 = 2;
const PKG: u32 = 3;
const SECTIONS: u64 = 10;

/// The export data's element table.
struct Export {
    /// Where the list of the elements' ends begins.
    ends: u64,
    /// Where the elements begin.
    data: u64,
    /// For each section that is read here, the number after its last element.
    sections: [u32; 4],
}

fn read_export(peek: &mut Peek<'_>, at: u64, facts: &mut ArchiveFacts) -> Option<()> {
    if peek.bytes(at, 1)? != b"u" {
        return None;
    }
    let version = peek.u32(at + 1)?;
    let mut at = at + 5;
    if version >= 1 {
        let flags = peek.u32(at)?;
        at += 4;
        if flags & 1 != 0 {
            // Written with markers for debugging the compiler.
            return None;
        }
    }
    let mut sections = [0; 4];
    for (section, end) in (0..).zip(&mut sections) {
        *end = peek.u32(at + 4 * section)?;
    }
    let count = u64::from(peek.u32(at + 4 * (SECTIONS - 1))?);
    let ends = at + 4 * SECTIONS;
    let export = Export { ends, data: ends + 4 * count, sections };
    let file = export.string_of(peek, POS_BASE, 0);
    if let Some(file) = file.filter(|file| is_source(file)) {
        facts.file = file;
    }
    let root = export.references(peek, META, 0)?;
    let own = root.0.get(root.1)?;
    if own.0 != PKG {
        return None;
    }
    // A package that is compiled for one command's profile bears that in brackets.
    let path = export.string_of(peek, PKG, own.1)?;
    path.split(" [").next().unwrap_or_default().clone_into(&mut facts.package);
    Some(())
}

impl Export {
    /// Where an element is, and its length.
    fn element(&self, peek: &mut Peek<'_>, section: u32, index: u32) -> Option<(u64, usize)> {
        let first = match section {
            STRING => 0,
            _ => self.sections[section as usize - 1],
        };
        let number = first.checked_add(index)?;
        if number >= self.sections[section as usize] {
            return None;
        }
        let mut end = |number: u32| peek.u32(self.ends + 4 * u64::from(number));
        let from = if number == 0 { 0 } else { end(number - 1)? };
        let to = end(number)?;
        Some((self.data + u64::from(from), usize::try_from(to.checked_sub(from)?).ok()?))
    }

    /// An element's references to others, each a section and an index there, and the number that
    /// follows them: the first reference that the element uses.
    fn references(
        &self,
        peek: &mut Peek<'_>,
        section: u32,
        index: u32,
    ) -> Option<(Vec<(u32, u32)>, usize)> {
        let (at, len) = self.element(peek, section, index)?;
        // The root refers to everything that the package exports: thousands in `syscall`.
        let mut bytes = peek.up_to(at, len.min(64 * 1024));
        let count = usize::try_from(uvarint(&mut bytes)?).ok()?;
        if count > bytes.len() {
            return None;
        }
        let mut references = Vec::with_capacity(count);
        for _ in 0..count {
            let section = u32::try_from(uvarint(&mut bytes)?).ok()?;
            references.push((section, u32::try_from(uvarint(&mut bytes)?).ok()?));
        }
        let used = usize::try_from(uvarint(&mut bytes)?).ok()?;
        Some((references, used))
    }

    /// The string with which an element begins.
    fn string_of(&self, peek: &mut Peek<'_>, section: u32, index: u32) -> Option<String> {
        let (references, used) = self.references(peek, section, index)?;
        let &(section, index) = references.get(used)?;
        if section != STRING {
            return None;
        }
        let (at, len) = self.element(peek, STRING, index)?;
        peek.text(at, len)
    }
}

fn uvarint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Blocks of an object file, by their place in its list of offsets.
const AUTOLIB: u64 = 0;
const FILES: u64 = 2;

/// The source files of `_go_.o`, or its imports where only made ones are in it.
fn read_object(peek: &mut Peek<'_>, at: u64, facts: &mut ArchiveFacts) -> Option<()> {
    let (name, _) = member(peek, at)?;
    if name != "_go_.o" {
        return None;
    }
    let body = at + HEADER;
    let object = body + find(peek.up_to(body, 4096), b"\n!\n")? as u64 + 3;
    // `go120ld` from Go 1.20 on; the blocks that are read here are the same since Go 1.16.
    let magic = peek.bytes(object, 8)?;
    if !magic.starts_with(b"\0go1") || !magic.ends_with(b"ld") {
        return None;
    }
    let offsets = object + 20;
    let block = |peek: &mut Peek<'_>, index| {
        let (from, to) = (peek.u32(offsets + 4 * index)?, peek.u32(offsets + 4 * (index + 1))?);
        Some((u64::from(from), u64::from(to.checked_sub(from)?)))
    };
    let (files, len) = block(peek, FILES)?;
    for place in (0..(len / 8).min(64)).map(|index| object + files + 8 * index) {
        let file = object_string(peek, object, place)?;
        if is_test_main(&file) {
            break;
        }
        if is_source(&file) {
            facts.file = file;
            return Some(());
        }
    }
    let (imports, len) = block(peek, AUTOLIB)?;
    for place in (0..(len / 16).min(64)).map(|index| object + imports + 16 * index) {
        facts.imports.push(object_string(peek, object, place)?);
    }
    Some(())
}

/// Whether a file is a package's own: what the compiler or a tool made has no folder.
fn is_source(file: &str) -> bool {
    file.contains(['/', '\\']) && !is_test_main(file)
}

/// Whether a file is the made main file of a test, which the go command takes out of the cache
/// itself; files after it are only of functions that were inlined.
fn is_test_main(file: &str) -> bool {
    let name = file.rsplit_once(['/', '\\']).map_or(file, |(_, name)| name);
    let output = name
        .strip_suffix("-d")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_hexdigit()));
    output || name == "_testmain.go"
}

fn object_string(peek: &mut Peek<'_>, object: u64, place: u64) -> Option<String> {
    let (len, at) = (peek.u32(place)?, peek.u32(place + 4)?);
    peek.text(object + u64::from(at), usize::try_from(len).ok()?)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
