//! The pass over a module zip: members are inflated one by one and hashed two at a time.
//!
//! Memory: three members of usual size. Leaves out those that are larger: they come hashed.

use std::io::{self, Read as _};

use larder_core::Meter;
use larder_sha256::{Lanes, Streams, Sum};

use crate::h1::{FileHash, Summer};
use crate::module_zip::{Content, Entry, ModuleZip, Packed, Sink, ZipError};

/// A member's content: in memory, or hashed on its way.
pub(crate) enum Unpacked {
    Whole(Held),
    Hashed(FileHash),
}

/// The beginning of a buffer, which keeps the size that it once had.
pub(crate) struct Held {
    buffer: Vec<u8>,
    pub(crate) size: usize,
}

impl Held {
    pub(crate) fn of(buffer: Option<Vec<u8>>, size: u64) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut buffer = buffer.unwrap_or_default();
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        Self { buffer, size }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.size]
    }
}

/// The pass over a zip: members are inflated one by one and hashed two at a time.
pub(crate) struct Pass<'a> {
    zip: &'a ModuleZip,
    left: std::slice::Iter<'a, Entry>,
    sink: &'a mut dyn Sink,
    packed: &'a mut Packed,
    meter: &'a Meter,
    sums: Sums,
}

/// A member that is being hashed.
pub(crate) struct Hashing<'a> {
    member: &'a Entry,
    held: Held,
    at: usize,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(
        zip: &'a ModuleZip,
        sink: &'a mut dyn Sink,
        packed: &'a mut Packed,
        meter: &'a Meter,
    ) -> Self {
        Self { zip, left: zip.members.iter(), sink, packed, meter, sums: Sums::default() }
    }

    /// What all of it adds up to.
    pub(crate) fn content(mut self, lanes: &mut Lanes) -> Result<Content, ZipError> {
        lanes.hash_all(&mut self);
        self.sums.finish()
    }

    fn hashed(&mut self, member: &Entry, hash: FileHash) {
        self.meter.add(u64::from(member.file), member.packed);
        let sums = if member.file { &mut self.sums.files } else { &mut self.sums.folders };
        sums.add(member.name.clone(), hash);
    }
}

impl<'a> Streams for Pass<'a> {
    type Stream = Hashing<'a>;

    fn next(&mut self) -> Option<Hashing<'a>> {
        while self.sums.failed.is_none() {
            let member = self.left.next()?;
            if self.meter.stopped() {
                self.sums.failed = Some(ZipError::Stopped);
                break;
            }
            match self.zip.member(member, self.sink, self.packed) {
                Ok(Unpacked::Whole(held)) => return Some(Hashing { member, held, at: 0 }),
                Ok(Unpacked::Hashed(hash)) => self.hashed(member, hash),
                Err(error) => self.sums.failed = Some(error),
            }
        }
        None
    }

    fn read(&mut self, hashing: &mut Hashing<'a>, into: &mut [u8]) -> io::Result<usize> {
        let read = (&hashing.held.bytes()[hashing.at..]).read(into)?;
        hashing.at += read;
        Ok(read)
    }

    fn done(&mut self, hashing: Hashing<'a>, sum: io::Result<Sum>) {
        self.packed.spare.push(hashing.held.buffer);
        match sum {
            Ok(sum) => self.hashed(hashing.member, sum),
            Err(error) => self.sums.failed = Some(ZipError::Read(error)),
        }
    }
}

/// The hashes of a zip's members.
#[derive(Default)]
struct Sums {
    files: Summer,
    folders: Summer,
    failed: Option<ZipError>,
}

impl Sums {
    fn finish(self) -> Result<Content, ZipError> {
        let Self { mut files, folders: mut all, failed } = self;
        if let Some(error) = failed {
            return Err(error);
        }
        let folder_h1 = files.finish();
        let mut h1 = folder_h1;
        if !all.files().is_empty() {
            for (name, hash) in files.files() {
                all.add(name.clone(), *hash);
            }
            h1 = all.finish();
        }
        Ok(Content { h1, folder_h1, files: files.into_files() })
    }
}
