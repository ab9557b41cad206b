//! Work that takes much memory for a while, on a thread of its own. An allocator gives a heap back
//! from its end on, and what is kept of a scan would lie at the end of all that the scan needed: so
//! what is kept is copied first, and the thread then frees everything that it made.

use std::sync::{Arc, mpsc};

/// A copy of what `work` found, made by the caller; `None` where it panicked.
pub(super) fn apart<T: Clone + Send + Sync>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let (give, found) = mpsc::sync_channel(1);
        let (copied, wait) = mpsc::channel::<()>();
        let worker = scope.spawn(move || {
            let found = Arc::new(work());
            // The caller waits for it, and then lets go before this one does.
            if give.send(Arc::clone(&found)).is_ok() {
                let _ = wait.recv();
            }
        });
        let copy = found.recv().ok().map(|found| T::clone(&found));
        drop(copied);
        worker.join().ok().and(copy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_copied_and_a_panic_is_none() {
        let long = vec!["found".to_owned(); 3];
        assert_eq!(apart(|| long.clone()), Some(long.clone()));
        let none: [u8; 0] = [];
        assert_eq!(apart(|| none[std::hint::black_box(0)]), None);
    }
}
