//! The content of an output on its way through a hash.
//!
//! Promises: large files move the progress while they are read, small ones at their end; a wish to
//! stop is heard in the middle of a large one. Leaves out what the hash should be.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};

use larder_core::{Meter, Time};
use larder_fs::Dir;
use larder_sha256::{Lanes, Streams, Sum};

/// The progress moves, and a wish to stop is heard, each time that so many bytes were read.
const STEP: u64 = 8 << 20;

/// A file that is being hashed.
pub(crate) struct Content<'a> {
    dir: &'a Dir,
    name: OsString,
    file: File,
    bytes: u64,
    told: u64,
    whole: bool,
}

impl<'a> Content<'a> {
    pub(crate) fn open(dir: &'a Dir, name: OsString) -> io::Result<Self> {
        let file = dir.open_file(&name)?;
        Ok(Self { dir, name, file, bytes: 0, told: 0, whole: true })
    }

    /// As [`Streams::read`].
    pub(crate) fn read(&mut self, into: &mut [u8], meter: &Meter) -> io::Result<usize> {
        if self.bytes - self.told >= STEP {
            meter.add(0, self.bytes - self.told);
            self.told = self.bytes;
            if meter.stopped() {
                self.whole = false;
                return Ok(0);
            }
        }
        let read = self.file.read(into)?;
        self.bytes += read as u64;
        if read == 0 {
            meter.add(1, self.bytes - self.told);
        }
        Ok(read)
    }

    /// Bytes read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it was read to its end.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// When it last changed, as far as that can be told.
    pub(crate) fn last_change(&self) -> Option<Time> {
        self.dir.look(&self.name).ok().flatten().map(|meta| meta.modified)
    }
}

/// Hashes one that has no companion.
pub(crate) fn hash_alone<'a>(
    content: Content<'a>,
    lanes: &mut Lanes,
    meter: &Meter,
) -> (Content<'a>, io::Result<Sum>) {
    let mut alone = Alone { next: Some(content), meter, done: None };
    lanes.hash_all(&mut alone);
    alone.done.expect("each stream that was handed out is done")
}

struct Alone<'a, 'm> {
    next: Option<Content<'a>>,
    meter: &'m Meter,
    done: Option<(Content<'a>, io::Result<Sum>)>,
}

impl<'a> Streams for Alone<'a, '_> {
    type Stream = Content<'a>;

    fn next(&mut self) -> Option<Content<'a>> {
        self.next.take()
    }

    fn read(&mut self, content: &mut Content<'a>, into: &mut [u8]) -> io::Result<usize> {
        content.read(into, self.meter)
    }

    fn done(&mut self, content: Content<'a>, sum: io::Result<Sum>) {
        self.done = Some((content, sum));
    }
}
