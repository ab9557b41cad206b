//! At most so many connections to one host at a time.
//!
//! A place is held from the request until the body has been read or dropped. Nobody holds two
//! places while waiting for a third, so nobody waits for ever.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use url::Url;

/// The places at every host.
#[derive(Debug)]
pub(crate) struct Hosts {
    limit: usize,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    used: Mutex<HashMap<String, usize>>,
    freed: Condvar,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    host: String,
    shared: Arc<Shared>,
}

impl Hosts {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), shared: Arc::default() }
    }

    /// Waits for a place at the URL's host.
    pub(crate) fn take(&self, url: &Url) -> Slot {
        let port = url.port_or_known_default().unwrap_or_default();
        let host = format!("{}:{port}", url.host_str().unwrap_or_default());
        let mut used = self.shared.used.lock().unwrap_or_else(PoisonError::into_inner);
        while used.get(&host).is_some_and(|used| *used >= self.limit) {
            used = self.shared.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used.entry(host.clone()).or_default() += 1;
        Slot { host, shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut used = self.shared.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = used.get_mut(&self.host) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                used.remove(&self.host);
            }
        }
        drop(used);
        self.shared.freed.notify_all();
    }
}
