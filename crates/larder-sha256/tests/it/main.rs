//! Hashes two at a time held against hashes one at a time.

use std::collections::BTreeMap;
use std::io;

use larder_sha256::{Lanes, Streams, Sum};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

/// Texts, read in pieces of some size; one of them cannot be read to its end.
struct Texts<'a> {
    all: &'a [Vec<u8>],
    piece: usize,
    broken: Option<usize>,
    next: usize,
    sums: BTreeMap<usize, io::Result<Sum>>,
}

struct Text {
    which: usize,
    at: usize,
    interrupted: bool,
}

impl<'a> Texts<'a> {
    fn new(texts: &'a [Vec<u8>], piece: usize) -> Self {
        Self { all: texts, piece, broken: None, next: 0, sums: BTreeMap::new() }
    }
}

impl Streams for Texts<'_> {
    type Stream = Text;

    fn next(&mut self) -> Option<Text> {
        let which = self.next;
        self.next += 1;
        (which < self.all.len()).then_some(Text { which, at: 0, interrupted: false })
    }

    fn read(&mut self, text: &mut Text, into: &mut [u8]) -> io::Result<usize> {
        if !text.interrupted {
            text.interrupted = true;
            return Err(io::ErrorKind::Interrupted.into());
        }
        let rest = &self.all[text.which][text.at..];
        if self.broken == Some(text.which) && text.at > 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let count = rest.len().min(self.piece).min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        text.at += count;
        Ok(count)
    }

    fn done(&mut self, text: Text, sum: io::Result<Sum>) {
        let before = self.sums.insert(text.which, sum);
        assert!(before.is_none(), "{} is done twice", text.which);
    }
}

fn alone(text: &[u8]) -> Sum {
    Sha256::digest(text).into()
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[5]).collect()
}

#[track_caller]
fn all_are_right(texts: &[Vec<u8>], piece: usize) {
    let mut streams = Texts::new(texts, piece);
    Lanes::default().hash_all(&mut streams);
    assert_eq!(streams.sums.len(), texts.len());
    for (which, sum) in streams.sums {
        assert_eq!(sum.unwrap(), alone(&texts[which]), "text {which} of {}", texts[which].len());
    }
}

/// Every length around the ends of blocks, where the padding changes its shape, beside every other.
#[test]
fn every_length_around_a_block_is_hashed_right() {
    for some in 0..200 {
        for other in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 199] {
            all_are_right(&[text(some), text(other)], usize::MAX);
        }
    }
}

/// What is longer than a buffer, beside what is short; reads that end in the middle of a block.
#[test]
fn long_and_short_ones_are_hashed_side_by_side() {
    let lengths = [1 << 20, 10, 0, 65_536, 65_535, 65_537, 3, 200_000, 131_072, 64, 500_001];
    let texts: Vec<_> = lengths.map(text).into();
    for piece in [usize::MAX, 65_536, 4096, 1000, 63] {
        all_are_right(&texts, piece);
    }
    all_are_right(&texts[..1], usize::MAX);
    all_are_right(&[], usize::MAX);
}

#[test]
fn one_that_cannot_be_read_spoils_no_other() {
    let texts: Vec<_> = [5000, 9000, 70, 100_000].map(text).into();
    for broken in 0..texts.len() {
        let mut streams = Texts { broken: Some(broken), ..Texts::new(&texts, 50) };
        Lanes::default().hash_all(&mut streams);
        for (which, sum) in streams.sums {
            match sum {
                Ok(sum) => assert_eq!((which == broken, sum), (false, alone(&texts[which]))),
                Err(error) => {
                    assert_eq!((which, error.kind()), (broken, io::ErrorKind::PermissionDenied));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_texts_are_hashed_as_they_are_alone(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..12),
        piece in 1_usize..5000,
    ) {
        all_are_right(&texts, piece);
    }
}
