//! Many module versions at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use larder_go::module_path::ModuleVersion;
use larder_go::module_zip::Scratch;

use crate::fetch::{Fetched, Fetcher, VersionError};

/// How each version ended.
#[derive(Debug, Default)]
pub struct Downloaded {
    /// What is in the cache now, sorted.
    pub done: Vec<(ModuleVersion, Fetched)>,
    /// What is not, sorted.
    pub failed: Vec<(ModuleVersion, VersionError)>,
}

impl Downloaded {
    /// Bytes of zips that were fetched.
    pub fn bytes(&self) -> u64 {
        let fetched = |done: &(ModuleVersion, Fetched)| match done.1 {
            Fetched::Downloaded(bytes) => bytes,
            Fetched::Present | Fetched::Unpacked | Fetched::Direct => 0,
        };
        self.done.iter().map(fetched).sum()
    }
}

/// Fetches all of them, `jobs` at a time. Asked to stop, it leaves out the rest.
pub fn download(fetcher: &Fetcher<'_>, versions: &[ModuleVersion], jobs: usize) -> Downloaded {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Downloaded::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, versions.len().max(1)) {
            scope.spawn(|| {
                let mut scratch = Scratch::default();
                while let Some(module) = versions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if fetcher.meter.stopped() {
                        return;
                    }
                    let answer = fetcher.version(module, &mut scratch);
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    match answer {
                        Ok(how) => all.done.push((module.clone(), how)),
                        Err(error) => all.failed.push((module.clone(), error)),
                    }
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.done.sort_by(|a, b| a.0.cmp(&b.0));
    all.failed.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
