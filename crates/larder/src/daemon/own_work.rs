//! What larder's own work on a Redis does to its hit rate: an audit or a cleanup looks up thousands of
//! keys, which the server counts as hits like anybody's, and a sick one would look well for it.
//!
//! While such work goes on the last rate stays, and the reading from before stays the baseline; when
//! it is over, what it caused is known and taken out. Work of another larder beside this one is not
//! known until that one asks for a rate itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_redis::select::Caused;

use crate::context::Context;
use crate::{redis_readings, redis_target};

/// By cache.
#[derive(Default)]
pub(crate) struct OwnWork(Mutex<BTreeMap<String, One>>);

#[derive(Default)]
struct One {
    /// How many works are at it: a prune and an answer may be.
    working: u32,
    /// How often one began.
    begun: u64,
    /// All that was caused when the first of them began.
    before: Caused,
    /// What was caused and is in no baseline yet.
    caused: Caused,
}

/// How it was when somebody looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    working: bool,
    begun: u64,
}

impl Seen {
    /// Whether nothing was worked at from then until now.
    pub(crate) fn is_quiet(self, now: Self) -> bool {
        !self.working && self == now
    }
}

impl OwnWork {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, One>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on these.
    pub(crate) fn during<T>(
        &self,
        context: &Context<'_>,
        caches: &[String],
        work: impl FnOnce() -> T,
    ) -> T {
        for cache in caches {
            self.begin(cache, || total(context, cache));
        }
        let done = work();
        for cache in caches {
            self.end(cache, || total(context, cache));
        }
        done
    }

    fn begin(&self, cache: &str, total: impl FnOnce() -> Caused) {
        let mut all = self.all();
        let one = all.entry(cache.to_owned()).or_default();
        if one.working == 0 {
            one.before = total();
        }
        one.working += 1;
        one.begun += 1;
    }

    fn end(&self, cache: &str, total: impl FnOnce() -> Caused) {
        let mut all = self.all();
        let one = all.entry(cache.to_owned()).or_default();
        one.working = one.working.saturating_sub(1);
        if one.working == 0 {
            let after = total();
            one.caused = one.caused
                + Caused {
                    hits: after.hits.saturating_sub(one.before.hits),
                    misses: after.misses.saturating_sub(one.before.misses),
                };
        }
    }

    /// How it is now.
    pub(crate) fn seen(&self, cache: &str) -> Seen {
        let all = self.all();
        let of = |one: &One| Seen { working: one.working > 0, begun: one.begun };
        all.get(cache).map(of).unwrap_or_default()
    }

    /// What is to be taken out of the next rate; nothing as long as the work goes on.
    pub(crate) fn take(&self, cache: &str) -> Caused {
        let mut all = self.all();
        let one = all.get_mut(cache).filter(|one| one.working == 0);
        one.map(|one| std::mem::take(&mut one.caused)).unwrap_or_default()
    }
}

/// All that larder has caused there, as far as it is written down.
fn total(context: &Context<'_>, cache: &str) -> Caused {
    let state = context.settings().state.as_deref();
    match (state, redis_target::locate(context, cache)) {
        (Some(state), Ok(target)) => {
            let readings = redis_readings::read(state, &target.endpoint);
            readings.own_before + readings.own_since
        }
        _ => Caused::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_quiet_that_began_or_ended_in_between() {
        let own = OwnWork::default();
        let before = own.seen("redis:a");
        assert!(before.is_quiet(own.seen("redis:a")));
        let caused = |hits| Caused { hits, misses: 1 };
        own.begin("redis:a", || caused(100));
        let during = own.seen("redis:a");
        assert!(!before.is_quiet(during) && !during.is_quiet(during));
        // Another one beside it: it is over with the last, and counted once.
        own.begin("redis:a", || caused(103));
        own.end("redis:a", || caused(105));
        assert_eq!(own.take("redis:a"), Caused::default(), "it is not over");
        assert!(!during.is_quiet(own.seen("redis:a")));
        own.end("redis:a", || caused(107));
        let after = own.seen("redis:a");
        assert!(!before.is_quiet(after) && !during.is_quiet(after) && after.is_quiet(after));
        let all = Caused { hits: 7, misses: 0 };
        assert_eq!((own.take("redis:a"), own.take("redis:a")), (all, Caused::default()));
    }
}
