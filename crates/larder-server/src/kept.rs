//! The Redis part of the last scrape, as it was written: thousands of series that change with the
//! samples, and are asked for more often.
//!
//! Promises: what is handed out is what would be written anew, since it is told by the very facts
//! that it was written from.

use std::sync::{Arc, Mutex, PoisonError};

use crate::exposed::RedisExposed;
use crate::exposition::Format;

/// What was written, and how many series it leaves out.
pub(crate) type Written = Arc<(String, u64)>;

/// The last one of each format.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Vec<(Format, Vec<RedisExposed>, Written)>>);

impl Kept {
    /// What `write` makes of these servers, or made of the same facts.
    pub(crate) fn of(
        &self,
        format: Format,
        servers: &[&RedisExposed],
        write: impl FnOnce() -> (String, u64),
    ) -> Written {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(of, from, _)| *of == format && same(from, servers));
        if let Some((.., written)) = found {
            return Arc::clone(written);
        }
        let written = Arc::new(write());
        let from = servers.iter().map(|one| (*one).clone()).collect();
        kept.retain(|(of, ..)| *of != format);
        kept.push((format, from, Arc::clone(&written)));
        written
    }
}

/// Whether these are the same facts, not only equal ones: to see that takes no time.
fn same(kept: &[RedisExposed], now: &[&RedisExposed]) -> bool {
    let one = |(a, b): (&RedisExposed, &&RedisExposed)| {
        let facts = match (&a.facts, &b.facts) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        facts && a.cache == b.cache && a.node == b.node
    };
    kept.len() == now.len() && kept.iter().zip(now).all(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposed::RedisFacts;

    #[test]
    fn the_same_facts_are_written_once_in_each_format_and_others_anew() {
        let kept = Kept::default();
        let server = |facts| RedisExposed { cache: "redis:a".into(), node: None, facts };
        let facts = Arc::new(RedisFacts::default());
        let (known, down) = (server(Some(facts)), server(None));
        let equal = server(Some(Arc::new(RedisFacts::default())));
        let mut times = 0;
        let mut of = |format, servers: &[&RedisExposed]| {
            kept.of(format, servers, || {
                times += 1;
                (times.to_string(), 0)
            });
            times
        };
        assert_eq!(of(Format::Text, &[&known]), 1);
        assert_eq!(of(Format::Text, &[&known]), 1);
        assert_eq!(of(Format::OpenMetrics, &[&known]), 2);
        assert_eq!(of(Format::Text, &[&known]), 2);
        assert_eq!(of(Format::Text, &[&equal]), 3);
        assert_eq!(of(Format::Text, &[&down]), 4);
        assert_eq!(of(Format::Text, &[&down, &equal]), 5);
        assert_eq!(of(Format::OpenMetrics, &[&known]), 5);
    }
}
