//! What drops took from a level, so that its growth shows.
//!
//! Caches are sawtooth: they grow, a cleanup takes a piece, they grow again. A line through the raw
//! levels falls for hours after each cleanup. Here the pieces are added up as `fallen`, so that
//! level and fallen together are what the level would be had nothing been removed.
//!
//! A piece is either known, from the cleanup that took it, or seen: a fall far beyond what the level
//! usually moves. One and the same piece counts once, whichever of the two comes first. Slow
//! shrinking is no drop and stays what it is.

use crate::point::{Point, median, seconds_between};
use crate::time::Time;

/// A cleanup, and what left the cache by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleanup {
    /// When it began.
    pub from: Time,
    /// When it ended.
    pub to: Time,
    /// What it took, in the unit of the level.
    pub took: f64,
}

/// How many moves tell what is usual.
pub const MOVES: usize = 32;
/// Fewer than this many tell nothing.
const ENOUGH_MOVES: usize = 5;
/// A fall is sudden beyond so many usual moves …
const USUAL: f64 = 8.0;
/// … and beyond this share of the level.
const LEAST: f64 = 0.01;
/// While nothing is known of usual moves, it is sudden beyond this share.
const UNKNOWN_LEAST: f64 = 0.2;

/// Follows a level sample by sample, in the order of their arrival. Its fields are its whole
/// memory, so that it can be kept and taken up again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stitcher {
    /// The last sample.
    pub last: Option<(Time, f64)>,
    /// What all drops took since the beginning; it never goes down.
    pub fallen: f64,
    /// Level and fallen as they should be, had the level not moved since the last sample.
    pub expected: f64,
    /// The last moves, drops left out, the oldest first; at most [`MOVES`].
    pub moves: Vec<Move>,
}

/// From one sample to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Move {
    /// How long that took; 0 where the clock went back.
    pub seconds: f64,
    /// How far the level went, up or down.
    pub moved: f64,
}

impl Stitcher {
    /// Takes in a sample and says what has fallen until then.
    pub fn sample(&mut self, at: Time, level: f64) -> f64 {
        let moved = level + self.fallen - self.expected;
        if let Some((then, before)) = self.last {
            let seconds = seconds_between(then, at).max(0.0);
            if -moved > self.sudden(before) {
                // What grew beside the drop is not seen, and taken to be as before.
                self.fallen += (self.pace() * seconds).max(0.0) - moved;
            } else {
                self.remember(Move { seconds, moved });
            }
        }
        self.expected = level + self.fallen;
        self.last = Some((at, level));
        self.fallen
    }

    /// Takes in a cleanup that is over; `before` is what had fallen when it began. What the samples
    /// have shown of it already is not counted again.
    pub fn cleaned(&mut self, cleanup: &Cleanup, before: f64) {
        let Some((at, _)) = self.last else { return };
        let unseen = (before + cleanup.took - self.fallen).max(0.0);
        self.fallen += unseen;
        if at >= cleanup.to {
            self.expected += unseen;
        }
    }

    /// A fall from this level that goes further is a drop.
    fn sudden(&self, level: f64) -> f64 {
        if self.moves.len() < ENOUGH_MOVES {
            return level.abs() * UNKNOWN_LEAST;
        }
        let mut far: Vec<f64> = self.moves.iter().map(|one| one.moved.abs()).collect();
        let usual = median(&mut far).unwrap_or(0.0);
        (usual * USUAL).max(level.abs() * LEAST)
    }

    /// The mean of the last moves, in a second.
    fn pace(&self) -> f64 {
        let (seconds, moved) = self
            .moves
            .iter()
            .fold((0.0, 0.0), |(seconds, moved), one| (seconds + one.seconds, moved + one.moved));
        if seconds > 0.0 { moved / seconds } else { 0.0 }
    }

    fn remember(&mut self, one: Move) {
        if self.moves.len() >= MOVES {
            self.moves.remove(0);
        }
        self.moves.push(one);
    }
}

/// These points, which are in the order of their arrival, with what drops took added back.
pub fn stitch(points: &[Point], cleanups: &[Cleanup]) -> Vec<Point> {
    let mut cleanups: Vec<Cleanup> = cleanups.to_vec();
    cleanups.sort_by_key(|cleanup| cleanup.to);
    let mut waiting = cleanups.iter().peekable();
    let mut moves: Vec<f64> =
        points.windows(2).map(|pair| (pair[1].value - pair[0].value).abs()).collect();
    // All of them are there already, so what is usual is known from the first one on.
    let usual = median(&mut moves).map_or_else(Vec::new, |usual| {
        // They tell how far and, together, no pace.
        [usual, -usual].map(|moved| Move { seconds: 0.0, moved }).repeat(ENOUGH_MOVES.div_ceil(2))
    });
    let mut stitcher = Stitcher { moves: usual, ..Stitcher::default() };
    let mut line: Vec<Point> = Vec::with_capacity(points.len());
    let mut fallen: Vec<(Time, f64)> = Vec::with_capacity(points.len());
    for point in points.iter().filter(|point| point.value.is_finite()) {
        while let Some(cleanup) = waiting.next_if(|cleanup| cleanup.to <= point.at) {
            let before = fallen.iter().rev().find(|(at, _)| *at <= cleanup.from);
            stitcher.cleaned(cleanup, before.map_or(0.0, |(_, fallen)| *fallen));
        }
        let gone = stitcher.sample(point.at, point.value);
        fallen.push((point.at, gone));
        let (value, low, high) = (point.value + gone, point.low + gone, point.high + gone);
        line.push(Point { at: point.at, value, low, high });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64]) -> Vec<Point> {
        let at = |i: usize| Time::from_unix(60 * i64::try_from(i).unwrap());
        values.iter().enumerate().map(|(i, value)| Point::new(at(i), *value)).collect()
    }

    fn values(points: &[Point]) -> Vec<f64> {
        points.iter().map(|point| point.value).collect()
    }

    fn cleanup(from: i64, to: i64, took: f64) -> Cleanup {
        Cleanup { from: Time::from_unix(from), to: Time::from_unix(to), took }
    }

    const GROWING: [f64; 8] = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0];

    #[test]
    fn an_unknown_drop_is_added_back() {
        let mut levels = GROWING.to_vec();
        levels.extend([57.0, 58.0, 59.0, 9.0, 10.0]);
        let stitched = values(&stitch(&line(&levels), &[]));
        assert!(stitched.is_sorted(), "{stitched:?}");
        assert!((stitched[12] - 112.0).abs() < 0.5, "{stitched:?}");
    }

    #[test]
    fn a_known_cleanup_counts_once_whether_told_before_or_after_the_sample() {
        let mut levels = GROWING.to_vec();
        levels.extend([58.0, 59.0]);
        // 107 at 420 s, and 58 at 480 s: 50 went, and 1 grew.
        for told in [cleanup(430, 450, 50.0), cleanup(430, 500, 50.0)] {
            let stitched = values(&stitch(&line(&levels), &[told]));
            assert!((stitched[9] - 109.0).abs() < 1e-9, "{told:?}: {stitched:?}");
        }
    }

    #[test]
    fn growth_between_rare_samples_shows_beside_a_cleanup() {
        // Daily: 20 of which 10 goes, and 8 grow.
        let stitched = stitch(&line(&[20.0, 18.0]), &[cleanup(10, 20, 10.0)]);
        assert_eq!(values(&stitched), [20.0, 28.0]);
    }

    #[test]
    fn jitter_and_slow_shrinking_are_no_drops() {
        let jitter: Vec<f64> = (0..50).map(|i| 1000.0 + f64::from(i * 37 % 19)).collect();
        assert_eq!(values(&stitch(&line(&jitter), &[])), jitter);
        let shrinking: Vec<f64> = (0..50).map(|i| 1000.0 - f64::from(i) * 3.0).collect();
        assert_eq!(values(&stitch(&line(&shrinking), &[])), shrinking);
    }

    #[test]
    fn a_cleanup_over_several_samples_counts_once() {
        let mut levels = GROWING.to_vec();
        levels.extend([104.0, 101.0, 98.0, 95.0, 96.0]);
        let stitched = values(&stitch(&line(&levels), &[cleanup(421, 700, 16.0)]));
        assert!((stitched[12] - 112.0).abs() < 1e-9, "{stitched:?}");
    }

    #[test]
    fn what_is_kept_can_be_taken_up_again() {
        let mut levels = GROWING.to_vec();
        levels.extend([57.0, 58.0]);
        let whole = {
            let mut stitcher = Stitcher::default();
            line(&levels).iter().map(|p| stitcher.sample(p.at, p.value)).collect::<Vec<_>>()
        };
        let mut stitcher = Stitcher::default();
        let parts: Vec<f64> = line(&levels)
            .iter()
            .map(|point| {
                let Stitcher { last, fallen, expected, moves } = stitcher.clone();
                stitcher = Stitcher { last, fallen, expected, moves };
                stitcher.sample(point.at, point.value)
            })
            .collect();
        assert_eq!(whole, parts);
    }
}
