//! At most so many connections to one host at a time, and none to one that cannot be reached.
//!
//! A place is held from the request until the body has been read or dropped. Nobody holds two
//! places while waiting for a third, so nobody waits for ever.
//!
//! A host that nobody could connect to is not asked again: each of thousands of modules would
//! cost a time-out. One that has answered before is given up after several failures in a row.

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
    contact: Mutex<HashMap<String, Contact>>,
}

/// How connecting to a host went.
#[derive(Debug, Default)]
struct Contact {
    answered: bool,
    /// Failures in a row, and why the last one failed.
    failures: u32,
    why: String,
}

/// So many failures in a row end the hope for a host that has answered before.
const MAX_FAILURES: u32 = 4;

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
        let host = host_of(url);
        let mut used = self.shared.used.lock().unwrap_or_else(PoisonError::into_inner);
        while used.get(&host).is_some_and(|used| *used >= self.limit) {
            used = self.shared.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used.entry(host.clone()).or_default() += 1;
        Slot { host, shared: Arc::clone(&self.shared) }
    }

    /// Why the URL's host is not asked any more.
    pub(crate) fn given_up(&self, url: &Url) -> Option<String> {
        let contact = self.shared.contact.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = contact.get(&host_of(url))?;
        let most = if of_host.answered { MAX_FAILURES } else { 1 };
        (of_host.failures >= most).then(|| of_host.why.clone())
    }

    /// The URL's host was there.
    pub(crate) fn reached(&self, url: &Url) {
        let mut contact = self.shared.contact.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = contact.entry(host_of(url)).or_default();
        (of_host.answered, of_host.failures) = (true, 0);
    }

    /// Nobody could connect to the URL's host.
    pub(crate) fn not_reached(&self, url: &Url, why: &str) {
        let mut contact = self.shared.contact.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = contact.entry(host_of(url)).or_default();
        of_host.failures += 1;
        why.clone_into(&mut of_host.why);
    }
}

/// Host and port, as [`crate::names`] has them.
pub(crate) fn host_of(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_never_answered_is_given_up_at_once() {
        let (hosts, url) = (Hosts::new(1), Url::parse("https://a.example/x").unwrap());
        assert_eq!(hosts.given_up(&url), None);
        hosts.not_reached(&url, "timed out");
        assert_eq!(hosts.given_up(&url).as_deref(), Some("timed out"));
        assert_eq!(hosts.given_up(&Url::parse("https://a.example:8443/x").unwrap()), None);
    }

    #[test]
    fn one_that_has_answered_is_given_up_after_failures_in_a_row() {
        let (hosts, url) = (Hosts::new(1), Url::parse("https://a.example/x").unwrap());
        hosts.reached(&url);
        for _ in 1..MAX_FAILURES {
            hosts.not_reached(&url, "refused");
            assert_eq!(hosts.given_up(&url), None);
        }
        hosts.reached(&url);
        for _ in 0..MAX_FAILURES {
            assert_eq!(hosts.given_up(&url), None);
            hosts.not_reached(&url, "refused");
        }
        assert_eq!(hosts.given_up(&url).as_deref(), Some("refused"));
    }
}
