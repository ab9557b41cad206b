//! Keys that are always in use, on a server that counts no frequencies.
//!
//! Idle times are told in whole seconds and looking at them is no use of the key, so a key that
//! is found in use at each of several looks, more than a second apart, is used all the time. The
//! limits of this: only keys of the sample are seen, how often in a second is not, and some of
//! those are missed that are used every other second. `MONITOR` would tell more and cost half of
//! the server's throughput.

use std::time::Duration;

use redis::{Pipeline, Value};

use crate::error::RedisError;
use crate::link::Link;
use crate::select::{Caused, integer};
use crate::walk::{Watcher, sleep};

/// Keys that are looked at again.
pub(crate) const WARM: usize = 2000;
/// How often, after the first look.
pub(crate) const LOOKS: u32 = 3;
/// Longer than the step of an idle time.
const APART: Duration = Duration::from_millis(1200);
/// Where more of the looked-at keys than one in so many are always in use, none stands out.
const STANDS_OUT: u64 = 10;

/// Of these keys, which were in use a moment ago, those that are at every look; nothing where that
/// is so many of `sampled` that it is how this server is used.
pub(crate) fn always_in_use(
    link: &mut Link,
    mut keys: Vec<Vec<u8>>,
    sampled: u64,
    caused: &mut Caused,
    who: &dyn Watcher,
) -> Result<Vec<Vec<u8>>, RedisError> {
    for _ in 0..LOOKS {
        if keys.is_empty() {
            break;
        }
        sleep(APART, who);
        if who.stopped() {
            return Err(RedisError::Interrupted);
        }
        let mut used = Vec::new();
        for some in keys.chunks(500) {
            let mut pipe = Pipeline::with_capacity(some.len());
            for key in some {
                pipe.cmd("OBJECT").arg("IDLETIME").arg(key);
            }
            for (key, answer) in some.iter().zip(link.ask_all(&pipe)?) {
                match answer {
                    Ok(Value::Nil) => caused.misses += 1,
                    Ok(answer) => {
                        caused.hits += 1;
                        used.extend((integer(&answer) <= Some(1)).then(|| key.clone()));
                    }
                    // It was allowed a moment ago; whatever changed, nothing is told.
                    Err(_) => {}
                }
            }
        }
        keys = used;
    }
    if keys.len() as u64 * STANDS_OUT > sampled.max(STANDS_OUT) {
        keys.clear();
    }
    Ok(keys)
}
