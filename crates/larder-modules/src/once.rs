//! Answers that several threads want and one of them finds.
//!
//! Promises: of threads that want the same answer at once one looks for it while the others
//! wait. A failure is told to whoever looked; the next one looks again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Answers by their questions.
#[derive(Debug)]
pub(crate) struct Once<K, V> {
    known: Mutex<HashMap<K, Place<V>>>,
}

type Place<V> = Arc<Mutex<Option<V>>>;

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Once<K, V> {
    /// The answer, found by `find` where it is not known.
    pub(crate) fn get<E>(&self, key: &K, find: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let place = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(key.clone()).or_default())
        };
        let mut value = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*value {
            return Ok(value.clone());
        }
        let found = find()?;
        *value = Some(found.clone());
        Ok(found)
    }

    /// Whether the answer is here without any waiting.
    pub(crate) fn knows(&self, key: &K) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_some_and(|place| place.try_lock().is_ok_and(|value| value.is_some()))
    }

    /// Makes room.
    pub(crate) fn forget(&self, key: &K) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_once_and_failures_are_tried_again() {
        let once: Once<u8, u8> = Once::default();
        assert_eq!(once.get(&1, || Err::<u8, _>("no")), Err("no"));
        assert!(!once.knows(&1));
        assert_eq!(once.get(&1, || Ok::<_, ()>(5)), Ok(5));
        assert_eq!(once.get(&1, || Err::<u8, _>("not asked")), Ok(5));
        assert!(once.knows(&1));
        once.forget(&1);
        assert_eq!(once.get(&1, || Ok::<_, ()>(6)), Ok(6));
        once.clear();
        assert_eq!(once.get(&1, || Ok::<_, ()>(7)), Ok(7));
    }
}
