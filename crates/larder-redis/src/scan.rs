//! One pass of `SCAN` over one server, in pages that keep it busy for a set time
//! (<https://redis.io/docs/latest/commands/scan/>).
//!
//! A full pass meets every key that is there from its begin to its end; a key can come twice.

use std::time::Duration;

use redis::{Cmd, Value};

use crate::error::RedisError;
use crate::link::Link;

/// Where a pass stands.
#[derive(Clone, Debug)]
pub struct Scan {
    cursor: u64,
    begun: bool,
    count: usize,
    pattern: Option<Vec<u8>>,
    kind: Option<String>,
}

const FEWEST: usize = 10;
const MOST: usize = 10_000;

impl Scan {
    /// A pass from the start; over the keys that match `pattern` and are of type `kind`.
    pub fn new(pattern: Option<&[u8]>, kind: Option<&str>) -> Self {
        Self {
            cursor: 0,
            begun: false,
            count: 500,
            pattern: pattern.filter(|pattern| *pattern != b"*").map(<[u8]>::to_vec),
            kind: kind.map(str::to_owned),
        }
    }

    /// Goes on where an earlier pass over the same server stopped.
    #[must_use]
    pub fn from(mut self, cursor: u64) -> Self {
        self.cursor = cursor;
        self.begun = cursor != 0;
        self
    }

    /// Where the next page begins; 0 at the start and at the end.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether every key has been met.
    pub fn done(&self) -> bool {
        self.begun && self.cursor == 0
    }

    /// Keys that a page looks at, as it is now.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The command of the next page.
    pub fn command(&self) -> Cmd {
        let mut command = redis::cmd("SCAN");
        command.arg(self.cursor);
        if let Some(pattern) = &self.pattern {
            command.arg("MATCH").arg(pattern.as_slice());
        }
        command.arg("COUNT").arg(self.count);
        if let Some(kind) = &self.kind {
            command.arg("TYPE").arg(kind);
        }
        command
    }

    /// Takes the answer to [`Scan::command`].
    pub fn accept(&mut self, link: &Link, answer: Value) -> Result<Vec<Vec<u8>>, RedisError> {
        let (cursor, keys): (u64, Vec<Vec<u8>>) = link.read(answer, "SCAN")?;
        self.cursor = cursor;
        self.begun = true;
        Ok(keys)
    }

    /// Fits the size of a page to `slice`, after one that kept the server busy for `busy`.
    pub fn fit(&mut self, busy: Duration, slice: Duration) {
        let busy = busy.as_secs_f64().max(1e-6);
        let factor = (slice.as_secs_f64() / busy).clamp(0.5, 1.5);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a few thousand"
        )]
        let count = (self.count as f64 * factor) as usize;
        self.count = count.clamp(FEWEST, MOST);
    }

    /// The keys of the next page, one round trip.
    pub fn page(&mut self, link: &mut Link) -> Result<Vec<Vec<u8>>, RedisError> {
        let answer: Value = link.ask(&self.command())?;
        self.accept(link, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow_and_shrink_within_limits() {
        let ms = Duration::from_millis(1);
        let mut scan = Scan::new(None, None);
        (0..30).for_each(|_| scan.fit(ms / 100, ms));
        assert_eq!(scan.count(), MOST);
        (0..30).for_each(|_| scan.fit(ms * 100, ms));
        assert_eq!(scan.count(), FEWEST);
    }
}
