//! Keys of a Redis: which are meant, and what a plan does with them.
//!
//! Times to live are worked out here, so that the same key gets the same one in every pass of a
//! run: a key that is met twice, or again after an interruption, is known as one that has its own.

use std::time::Duration;

/// The keys that something is to be done with. Keys and patterns are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySelection {
    /// The pattern that they match, as `SCAN … MATCH` takes it.
    pub pattern: Vec<u8>,
    /// Patterns that take keys out again.
    pub exclude: Vec<Vec<u8>>,
    /// Their type, as `SCAN … TYPE` takes it.
    pub kind: Option<String>,
    /// Those without a time to live only.
    pub persistent: bool,
    /// Those that nobody read or wrote for this long.
    pub idle: Option<Duration>,
    /// Those that are certainly this old.
    pub older_than: Option<Duration>,
    /// Those that take more memory than this, in bytes.
    pub larger_than: Option<u64>,
}

/// What is done with keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyChange {
    /// They go.
    #[default]
    Remove,
    /// They are given a time to live.
    Expire(Expiry),
}

/// Which times to live are changed
/// (<https://redis.io/docs/latest/commands/expire/>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpireIf {
    /// Every one.
    #[default]
    Always,
    /// Only those of keys that have none.
    None,
    /// Only those that the new one is later than; a key that never expires stays so.
    Later,
    /// Only those that the new one is earlier than; a key that never expires gets one.
    Earlier,
}

impl ExpireIf {
    /// The word of `EXPIRE`; nothing where every one is changed.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Always => None,
            Self::None => Some("NX"),
            Self::Later => Some("GT"),
            Self::Earlier => Some("LT"),
        }
    }

    /// Whether a key that ends at `now` (`None`: never) is to end at `then`.
    pub fn allows(self, now: Option<u64>, then: u64) -> bool {
        match self {
            Self::Always => true,
            Self::None => now.is_none(),
            Self::Later => now.is_some_and(|now| then > now),
            Self::Earlier => now.is_none_or(|now| then < now),
        }
    }
}

/// A time to live, spread over the keys that get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The middle of it.
    pub ttl: Duration,
    /// How far it is spread to either side, in thousandths of it.
    pub jitter: u16,
    /// Which ones are changed.
    pub only: ExpireIf,
    /// Decides which key gets which.
    pub seed: u32,
}

impl Expiry {
    /// The widest spread: no key may end at once.
    pub const WIDEST: u16 = 900;

    /// This key's own, at least a millisecond.
    pub fn ttl_of(&self, key: &[u8]) -> Duration {
        let middle = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let spread =
            middle / 1000 * u64::from(self.jitter) + middle % 1000 * u64::from(self.jitter) / 1000;
        let steps = u128::from(spread) * 2 + 1;
        // The high half of the product: as even as the hash, without a division's bias.
        let step = (u128::from(lot(key, self.seed)) * steps) >> 64;
        let low = middle.saturating_sub(spread);
        Duration::from_millis(low.saturating_add(u64::try_from(step).unwrap_or(0)).max(1))
    }
}

/// FNV-1a, stirred (the finalizer of SplitMix64): the same on every machine.
fn lot(key: &[u8], seed: u32) -> u64 {
    let begun = 0xcbf2_9ce4_8422_2325 ^ u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut hash = key
        .iter()
        .fold(begun, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Keys that go together, by what selects them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysItem {
    /// `redis:NAME`, or a URL without a password.
    pub cache: String,
    /// Where that was when the plan was made.
    pub url: String,
    /// Which keys.
    pub selection: KeySelection,
    /// What is done with them.
    pub change: KeyChange,
    /// How many there were, or about how many.
    pub keys: u64,
    /// What they took, about, in bytes.
    pub estimated_bytes: u64,
    /// Why.
    pub reason: Box<str>,
}

impl KeysItem {
    /// What a person would call it.
    pub fn subject(&self) -> String {
        format!("keys {} of {}", self.selection.pattern.escape_ascii(), self.cache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(jitter: u16) -> Expiry {
        let ttl = Duration::from_hours(24);
        Expiry { ttl, jitter, only: ExpireIf::Always, seed: 7 }
    }

    #[test]
    fn times_to_live_are_spread_evenly_and_are_the_same_again() {
        assert_eq!(day(0).ttl_of(b"temp:1"), Duration::from_hours(24));
        let mut tenths = [0_u32; 10];
        for n in 0..10_000_u32 {
            let key = format!("temp:{n}");
            let ttl = day(100).ttl_of(key.as_bytes());
            assert_eq!(ttl, day(100).ttl_of(key.as_bytes()));
            let part = ttl.as_secs_f64() / 86_400.0;
            assert!((0.9..=1.1).contains(&part), "{key}: {part}");
            let tenth = ((ttl.as_millis() - 77_760_000) * 10 / 17_280_001) as usize;
            tenths[tenth] += 1;
        }
        assert!(tenths.iter().all(|tenth| (850..1150).contains(tenth)), "{tenths:?}");
        let other = Expiry { seed: 8, ..day(100) };
        assert_ne!(other.ttl_of(b"temp:1"), day(100).ttl_of(b"temp:1"));
        let short = Expiry { ttl: Duration::from_secs(1), jitter: Expiry::WIDEST, ..day(0) };
        assert!(
            (0..1000_u32).all(|n| short.ttl_of(&n.to_le_bytes()) >= Duration::from_millis(100))
        );
    }

    #[test]
    fn conditions_are_those_of_redis() {
        for (only, never, later, earlier) in [
            (ExpireIf::Always, true, true, true),
            (ExpireIf::None, true, false, false),
            (ExpireIf::Later, false, false, true),
            (ExpireIf::Earlier, true, true, false),
        ] {
            let told = [None, Some(200), Some(50)].map(|now| only.allows(now, 100));
            assert_eq!(told, [never, later, earlier], "{only:?}");
        }
        assert!(
            !ExpireIf::Later.allows(Some(100), 100) && !ExpireIf::Earlier.allows(Some(100), 100)
        );
    }
}
