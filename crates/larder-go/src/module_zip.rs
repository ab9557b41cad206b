//! Module zips: opened against all their rules, then hashed, or hashed and unpacked, in one pass.
//!
//! Members of usual size are inflated whole, in buffers that are used again; large ones flow
//! through a small buffer, so memory stays bounded whatever the zip says of itself. What does
//! not have the size and the CRC that the directory declares is damaged, as it is for Go
//! (`archive/zip/reader.go`, `checksumReader`).

use std::fs::File;
use std::io;

use larder_core::Meter;
use larder_sha256::Lanes;
use libdeflater::{Crc, Decompressor};
use rawzip::{CompressionMethod, FileReader, RangeReader, ReaderAt as _, ZipArchive};
use sha2::{Digest as _, Sha256};

use crate::h1::{FileHash, H1};
use crate::module_path::ModuleVersion;
use crate::module_zip_pass::{Held, Pass, Unpacked};
use crate::zip_rules::{MAX_ZIP, Member, ZipRules};

/// Members up to this size, packed and unpacked, are inflated whole; in bytes.
const WHOLE: u64 = 2 << 20;

/// So much is read at once, in bytes.
const WINDOW: usize = 128 << 10;

/// Why a zip is refused.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// It is not a zip, or cut off.
    #[error("not a valid zip file: {0}")]
    NotAZip(rawzip::Error),
    /// It is one, but not one of this module.
    #[error("{0}")]
    Rule(String),
    /// A member breaks a rule.
    #[error("{name:?}: {rule}")]
    MemberRule {
        /// The member's name, as it stands in the zip.
        name: String,
        /// What is wrong with it.
        rule: String,
    },
    /// A member's content is not what the zip's directory says.
    #[error("{name:?} is damaged: {what}")]
    Damaged {
        /// The member's name.
        name: String,
        /// In what.
        what: &'static str,
    },
    /// The work was asked to stop.
    #[error("stopped")]
    Stopped,
    /// It could not be read.
    #[error("cannot read the zip")]
    Read(#[source] io::Error),
    /// What was unpacked could not be written.
    #[error("cannot write {name}")]
    Write {
        /// The member's name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ZipError {
    /// Whether the zip itself is to blame, and not the disk or a wish to stop.
    pub fn is_bad_zip(&self) -> bool {
        !matches!(self, Self::Stopped | Self::Read(_) | Self::Write { .. })
    }
}

/// A module zip that keeps the rules as far as its directory tells.
#[derive(Debug)]
pub struct ModuleZip {
    reader: FileReader,
    length: u64,
    prefix: usize,
    pub(crate) members: Vec<Entry>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    header: u64,
    pub(crate) packed: u64,
    size: u64,
    crc: u32,
    method: CompressionMethod,
    pub(crate) file: bool,
}

/// What a zip's content adds up to.
#[derive(Debug)]
pub struct Content {
    /// The zip's hash, which covers its entries for folders too (`dirhash.HashZip`).
    pub h1: H1,
    /// The hash that the extracted folder has: the files alone.
    pub folder_h1: H1,
    /// The files, by full name, sorted.
    pub files: Vec<(String, FileHash)>,
}

/// Buffers that one thread uses for one zip after another.
#[derive(Default)]
pub struct Scratch {
    lanes: Lanes,
    packed: Packed,
}

/// What members are inflated from and into.
pub(crate) struct Packed {
    inflater: Decompressor,
    window: Vec<u8>,
    /// Where in the zip the window begins.
    start: u64,
    /// For the content of members, taken and given back.
    pub(crate) spare: Vec<Vec<u8>>,
}

impl Default for Packed {
    fn default() -> Self {
        let (window, spare) = (Vec::new(), Vec::new());
        Self { inflater: Decompressor::new(), window, start: 0, spare }
    }
}

/// Takes what is unpacked; the calls for one member follow each other.
pub trait Sink {
    /// The next file begins; its name below the module's folder.
    fn begin(&mut self, name: &str) -> io::Result<()>;
    /// Its next bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// It is complete.
    fn end(&mut self) -> io::Result<()>;
}

/// Keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn begin(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ModuleZip {
    /// Opens the zip of a version and holds its directory against every rule.
    pub fn open(file: File, module: &ModuleVersion) -> Result<Self, ZipError> {
        let mut rules = ZipRules::new(module).map_err(ZipError::Rule)?;
        let length = file.metadata().map_err(ZipError::Read)?.len();
        if length > MAX_ZIP {
            return Err(ZipError::Rule(format!("larger than {MAX_ZIP} bytes")));
        }
        let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(file, &mut buffer).map_err(unreadable)?;
        let mut members = Vec::new();
        let mut entries = archive.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(unreadable)? {
            let path = entry.file_path();
            let name: &[u8] = path.as_ref();
            let size = entry.uncompressed_size_hint();
            let member = rules.member(name, size);
            let name = String::from_utf8_lossy(name).into_owned();
            let file = match member {
                Ok(member) => member == Member::File,
                Err(rule) => return Err(ZipError::MemberRule { name, rule }),
            };
            members.push(Entry {
                name,
                header: entry.local_header_offset(),
                packed: entry.compressed_size_hint(),
                size,
                crc: entry.crc32(),
                method: entry.compression_method(),
                file,
            });
        }
        let prefix = rules.prefix().len();
        Ok(Self { reader: archive.into_inner(), length, prefix, members })
    }

    /// The zip's own size in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The number of files in it.
    pub fn files(&self) -> usize {
        self.members.iter().filter(|member| member.file).count()
    }

    /// Inflates and hashes everything.
    pub fn content(&self, scratch: &mut Scratch, meter: &Meter) -> Result<Content, ZipError> {
        self.unpack(&mut Nowhere, scratch, meter)
    }

    /// Inflates and hashes everything, and hands it to `sink` in the same pass. The meter counts
    /// packed bytes.
    pub fn unpack(
        &self,
        sink: &mut dyn Sink,
        scratch: &mut Scratch,
        meter: &Meter,
    ) -> Result<Content, ZipError> {
        let Scratch { lanes, packed } = scratch;
        packed.window.clear();
        Pass::new(self, sink, packed, meter).content(lanes)
    }

    /// Inflates the next member, and hands it to `sink`. One of usual size is still to be hashed.
    pub(crate) fn member(
        &self,
        member: &Entry,
        sink: &mut dyn Sink,
        packed: &mut Packed,
    ) -> Result<Unpacked, ZipError> {
        let mut output = Output { member, sink, crc: Crc::new(), size: 0 };
        if member.file {
            output.sink.begin(&member.name[self.prefix..]).map_err(output.failed())?;
        }
        let start = self.body(member, packed)?;
        let end = start.checked_add(member.packed).filter(|end| *end <= self.length);
        let end = end.ok_or_else(|| output.damaged("it ends after the zip does"))?;
        let unpacked = match member.method {
            CompressionMethod::STORE if member.packed <= WHOLE => {
                let mut held = Held::of(packed.spare.pop(), member.packed);
                held.bytes_mut().copy_from_slice(self.window(packed, start, member.packed)?);
                output.write(held.bytes())?;
                Unpacked::Whole(held)
            }
            CompressionMethod::DEFLATE if member.packed.max(member.size) <= WHOLE => {
                let held = self.inflate(member, start, packed)?;
                output.write(held.bytes())?;
                Unpacked::Whole(held)
            }
            CompressionMethod::STORE => {
                Unpacked::Hashed(output.stream(&mut RangeReader::new(&self.reader, start..end))?)
            }
            CompressionMethod::DEFLATE => {
                let packed = RangeReader::new(&self.reader, start..end);
                let packed = io::BufReader::with_capacity(WINDOW, packed);
                let mut unpacked = flate2::bufread::DeflateDecoder::new(packed);
                Unpacked::Hashed(output.stream(&mut unpacked)?)
            }
            _ => return Err(output.damaged("it is packed in a way that Go does not know")),
        };
        output.finish()?;
        Ok(unpacked)
    }

    /// Where the packed bytes begin: after the local header, of which Go reads no more than the
    /// lengths (`archive/zip/reader.go`, `findBodyOffset`).
    fn body(&self, member: &Entry, packed: &mut Packed) -> Result<u64, ZipError> {
        const HEADER: u64 = 30;
        let damaged = |what| ZipError::Damaged { name: member.name.clone(), what };
        if member.header.checked_add(HEADER).is_none_or(|end| end > self.length) {
            return Err(damaged("its header is not there"));
        }
        let header = self.window(packed, member.header, HEADER)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(damaged("its header is not one"));
        }
        let length = |at| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
        Ok(member.header + HEADER + length(26) + length(28))
    }

    fn inflate(&self, member: &Entry, start: u64, packed: &mut Packed) -> Result<Held, ZipError> {
        let mut held = Held::of(packed.spare.pop(), member.size);
        self.window(packed, start, member.packed)?;
        let at = usize::try_from(start - packed.start).unwrap_or(usize::MAX);
        let bytes = &packed.window[at..at + usize::try_from(member.packed).unwrap_or(0)];
        held.size =
            packed.inflater.deflate_decompress(bytes, held.bytes_mut()).map_err(|error| {
                let what = match error {
                    libdeflater::DecompressionError::BadData => "it cannot be inflated",
                    libdeflater::DecompressionError::InsufficientSpace => {
                        "it is larger than declared"
                    }
                };
                ZipError::Damaged { name: member.name.clone(), what }
            })?;
        Ok(held)
    }

    /// `length` bytes from `start`, which lie within the file.
    fn window<'s>(
        &self,
        packed: &'s mut Packed,
        start: u64,
        length: u64,
    ) -> Result<&'s [u8], ZipError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let known = packed.start..packed.start + packed.window.len() as u64;
        let holds = start >= known.start && start + length as u64 <= known.end;
        if !holds {
            let left = usize::try_from(self.length - start).unwrap_or(usize::MAX);
            packed.window.resize(length.max(WINDOW).min(left), 0);
            packed.start = start;
            let read = self.reader.read_exact_at(&mut packed.window, start);
            if let Err(error) = read {
                packed.window.clear();
                return Err(ZipError::Read(error));
            }
        }
        let at = usize::try_from(start - packed.start).unwrap_or(usize::MAX);
        Ok(&packed.window[at..at + length])
    }
}

fn unreadable(error: rawzip::Error) -> ZipError {
    match error.into_kind() {
        rawzip::ErrorKind::IO(source) => ZipError::Read(source),
        kind => ZipError::NotAZip(kind.into()),
    }
}

/// One member on its way out.
struct Output<'a, 's> {
    member: &'a Entry,
    sink: &'s mut dyn Sink,
    crc: Crc,
    size: u64,
}

impl Output<'_, '_> {
    fn damaged(&self, what: &'static str) -> ZipError {
        ZipError::Damaged { name: self.member.name.clone(), what }
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> ZipError + use<> {
        let name = self.member.name.clone();
        |source| ZipError::Write { name, source }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ZipError> {
        self.size += bytes.len() as u64;
        if self.size > self.member.size {
            return Err(self.damaged("it is larger than declared"));
        }
        self.crc.update(bytes);
        if self.member.file {
            self.sink.write(bytes).map_err(self.failed())?;
        }
        Ok(())
    }

    /// Writes and hashes what is too large to be held.
    fn stream(&mut self, from: &mut dyn io::Read) -> Result<FileHash, ZipError> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; WINDOW];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(hash.finalize().into()),
                Ok(read) => {
                    self.write(&buffer[..read])?;
                    hash.update(&buffer[..read]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error().is_some() => return Err(ZipError::Read(error)),
                Err(_) => return Err(self.damaged("it cannot be inflated")),
            }
        }
    }

    fn finish(self) -> Result<(), ZipError> {
        if self.size != self.member.size {
            return Err(self.damaged("it is smaller than declared"));
        }
        // Go takes a CRC of zero for one that was not written.
        if self.member.crc != 0 && self.crc.sum() != self.member.crc {
            return Err(self.damaged("its CRC is wrong"));
        }
        if self.member.file {
            self.sink.end().map_err(self.failed())?;
        }
        Ok(())
    }
}
