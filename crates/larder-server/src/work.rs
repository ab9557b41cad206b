//! Work that blocks, in bounds: so many at once, so many that wait, and no more.
//!
//! Promises: a thread that is slow holds its place until it is done, also when nobody waits for
//! its answer any more, so that the bound holds whatever clients do.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A bounded share of the blocking threads.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    at_once: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Too many wait already.
    Busy,
    /// The work panicked.
    Broken,
}

impl Workers {
    /// `at_once` at the same time, and `waiting` more that wait.
    pub(crate) fn new(at_once: usize, waiting: usize) -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(at_once + waiting)),
        }
    }

    /// The answer of `work`, which may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| NoAnswer::Busy)?;
        let turn = self.at_once.clone().acquire_owned().await.map_err(|_| NoAnswer::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        done.await.map_err(|_| NoAnswer::Broken)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn beyond_the_bound_it_is_busy_and_a_panic_is_no_answer() {
        let workers = Workers::new(1, 0);
        let (release, held) = mpsc::channel::<()>();
        let own = workers.clone();
        let slow = tokio::spawn(async move { own.run(move || held.recv().is_ok()).await });
        while workers.at_once.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(workers.run(|| 1).await, Err(NoAnswer::Busy));
        // Nobody waits for it any more, and it still holds its place.
        slow.abort();
        let _ = slow.await;
        assert_eq!(workers.run(|| 1).await, Err(NoAnswer::Busy));
        release.send(()).unwrap();
        while workers.places.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        let broken = workers.run(|| [0_u8; 0][std::hint::black_box(0)]).await;
        assert_eq!(broken, Err(NoAnswer::Broken));
        assert_eq!(workers.run(|| 1).await, Ok(1));
    }
}
