//! SHA-256 of many streams, two at a time (FIPS 180-4).
//!
//! Within one hash each instruction waits for the one before it, which leaves a processor's SHA
//! unit idle half the time. Two hashes side by side fill the gaps: 1.9 times the bytes a second
//! on a core (AMD Zen 4). What verifies a cache has thousands of files to hash, so there is nearly
//! always a second one.
//!
//! Promises: the hashes are those of the `sha2` crate, which hashes alone what has no companion,
//! and everything where a processor has no SHA instructions or another kind of them. Memory:
//! [`Lanes`], whatever the length of a stream. Leaves out: threads; each has [`Lanes`] of its own.

mod pair;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::io;

use pair::compress_pair;
use sha2::block_api::compress256;

/// A SHA-256.
pub type Sum = [u8; 32];

/// Bytes that are hashed in one go.
type Block = [u8; BLOCK];
const BLOCK: usize = 64;

/// Bytes read at once: they stay in a core's own cache between copying and hashing. Measured over
/// 642 MB with the page cache warm: 64 and 128 KiB are alike, 256 KiB and more a third slower.
const PIECE: usize = 64 << 10;

/// The state that a hash begins with (FIPS 180-4, 5.3.3).
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What is hashed: streams, handed out one after another.
pub trait Streams {
    /// One of them.
    type Stream;

    /// The next one; `None` where there is no other.
    fn next(&mut self) -> Option<Self::Stream>;

    /// The next bytes of one, as [`io::Read::read`] gives them: none at its end.
    fn read(&mut self, stream: &mut Self::Stream, into: &mut [u8]) -> io::Result<usize>;

    /// One that was read to its end, with its hash, or that could not be read.
    fn done(&mut self, stream: Self::Stream, sum: io::Result<Sum>);
}

/// The buffers of one thread, used for one stream after another.
pub struct Lanes([Box<[u8]>; 2]);

impl Default for Lanes {
    fn default() -> Self {
        // The last blocks of a stream, with its length, may need two more than were read.
        Self([(); 2].map(|()| vec![0; PIECE + 2 * BLOCK].into_boxed_slice()))
    }
}

impl Lanes {
    /// Hashes all streams. They are done in nearly the order in which they were handed out.
    pub fn hash_all<S: Streams>(&mut self, streams: &mut S) {
        let [left, right] = &mut self.0;
        let (mut left, mut right) = (Lane::new(left), Lane::new(right));
        loop {
            match (left.fill(streams), right.fill(streams)) {
                (0, 0) => return,
                (0, count) => right.compress(count),
                (count, 0) => left.compress(count),
                (count, other) => {
                    let count = count.min(other);
                    let ((some, state), (others, other)) = (left.take(count), right.take(count));
                    compress_pair(&mut [state, other], [some, others]);
                }
            }
        }
    }
}

/// Writes what ends a stream of `length` bytes after its last `rest` ones (FIPS 180-4, 5.1.1);
/// where that ends.
fn end(buffer: &mut [u8], rest: usize, length: u64) -> usize {
    let end = (rest + 1 + 8).next_multiple_of(BLOCK);
    buffer[rest] = 0x80;
    buffer[rest + 1..end - 8].fill(0);
    buffer[end - 8..end].copy_from_slice(&(length * 8).to_be_bytes());
    end
}

fn sum(state: &[u32; 8]) -> Sum {
    let mut sum = [0; 32];
    for (bytes, word) in sum.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    sum
}

/// A stream being hashed, and the next after it.
struct Lane<'b, T> {
    buffer: &'b mut [u8],
    /// Read or made, and not yet hashed.
    waiting: std::ops::Range<usize>,
    stream: Option<T>,
    state: [u32; 8],
    length: u64,
    /// Whether its end is in the buffer.
    ended: bool,
}

impl<'b, T> Lane<'b, T> {
    fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, waiting: 0..0, stream: None, state: START, length: 0, ended: false }
    }

    /// Reads until there are whole blocks to hash; how many. None only where no stream is left.
    fn fill<S: Streams<Stream = T>>(&mut self, streams: &mut S) -> usize {
        loop {
            let blocks = self.waiting.len() / BLOCK;
            if blocks > 0 {
                return blocks;
            }
            if self.ended {
                self.finish(streams, Ok(sum(&self.state)));
            }
            if self.stream.is_none() {
                let Some(stream) = streams.next() else { return 0 };
                self.stream = Some(stream);
            }
            self.read(streams);
        }
    }

    fn read<S: Streams<Stream = T>>(&mut self, streams: &mut S) {
        let Some(stream) = &mut self.stream else { return };
        let rest = self.waiting.len();
        self.buffer.copy_within(self.waiting.clone(), 0);
        match streams.read(stream, &mut self.buffer[rest..PIECE]) {
            Ok(0) => {
                self.waiting = 0..end(self.buffer, rest, self.length);
                self.ended = true;
            }
            Ok(read) => {
                self.length += read as u64;
                self.waiting = 0..rest + read;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.waiting = 0..rest,
            Err(error) => self.finish(streams, Err(error)),
        }
    }

    fn finish<S: Streams<Stream = T>>(&mut self, streams: &mut S, sum: io::Result<Sum>) {
        if let Some(stream) = self.stream.take() {
            streams.done(stream, sum);
        }
        (self.state, self.length, self.ended, self.waiting) = (START, 0, false, 0..0);
    }

    /// The next blocks to hash, counted as hashed, and the state to hash them into.
    fn take(&mut self, count: usize) -> (&[Block], &mut [u32; 8]) {
        let from = self.waiting.start;
        self.waiting.start += count * BLOCK;
        (self.buffer[from..self.waiting.start].as_chunks().0, &mut self.state)
    }

    fn compress(&mut self, count: usize) {
        let (blocks, state) = self.take(count);
        compress256(state, blocks);
    }
}
