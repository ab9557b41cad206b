//! Reading here and there in a file whose content is not trusted: every offset is checked, and
//! all reads together are bounded.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// So much is read at a time.
const WINDOW: usize = 16 * 1024;

/// So much is read of one file at the most.
const BUDGET: usize = 256 * 1024;

/// Bytes that can be read at an offset.
pub(crate) trait Source {
    /// Fills `buffer` from `at` as far as there are bytes.
    fn fill(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for File {
    fn fill(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.seek(SeekFrom::Start(at))?;
        let mut len = 0;
        while len < buffer.len() {
            match self.read(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }
}

impl Source for &[u8] {
    fn fill(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(self.len());
        let len = buffer.len().min(self.len() - from);
        buffer[..len].copy_from_slice(&self[from..from + len]);
        Ok(len)
    }
}

/// A window that moves over a [`Source`].
pub(crate) struct Peek<'a> {
    source: &'a mut dyn Source,
    window: &'a mut Vec<u8>,
    start: u64,
    budget: usize,
}

impl<'a> Peek<'a> {
    /// A window over `source`; `window` is memory that is used again for the next file.
    pub(crate) fn new(source: &'a mut dyn Source, window: &'a mut Vec<u8>) -> Self {
        window.clear();
        Self { source, window, start: 0, budget: BUDGET }
    }

    /// The `len` bytes at `at`; `None` where the file ends before, or enough has been read.
    pub(crate) fn bytes(&mut self, at: u64, len: usize) -> Option<&[u8]> {
        let got = self.up_to(at, len);
        (got.len() == len).then_some(got)
    }

    /// At most `len` bytes at `at`, as many as there are.
    pub(crate) fn up_to(&mut self, at: u64, len: usize) -> &[u8] {
        let inside = |start: u64, window: &Vec<u8>| {
            at >= start && at.saturating_add(len as u64) <= start + window.len() as u64
        };
        if !inside(self.start, self.window) {
            self.load(at, len);
        }
        let Some(offset) = at.checked_sub(self.start).and_then(|o| usize::try_from(o).ok()) else {
            return &[];
        };
        let rest = self.window.get(offset..).unwrap_or_default();
        &rest[..len.min(rest.len())]
    }

    /// A little-endian number.
    pub(crate) fn u32(&mut self, at: u64) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(at, 4)?.try_into().ok()?))
    }

    /// The text of these bytes.
    pub(crate) fn text(&mut self, at: u64, len: usize) -> Option<String> {
        // Longer than any path: not what it was taken for.
        if len > 8192 {
            return None;
        }
        String::from_utf8(self.bytes(at, len)?.to_vec()).ok()
    }

    fn load(&mut self, at: u64, len: usize) {
        let want = len.max(WINDOW).min(self.budget);
        self.start = at;
        self.window.resize(want, 0);
        let got = self.source.fill(at, self.window).unwrap_or(0);
        self.window.truncate(got);
        self.budget -= got;
    }
}
