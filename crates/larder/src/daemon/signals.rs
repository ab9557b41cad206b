//! SIGHUP reads the settings again, and so does a change of their files.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use crate::settings::Resolved;

/// Notices when the settings are to be read again.
pub(crate) struct Reload {
    asked: Arc<AtomicBool>,
    files: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
}

impl Reload {
    /// Watches the files of these settings, and listens for SIGHUP.
    pub(crate) fn new(resolved: &Resolved) -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        listen(&asked);
        let mut reload = Self { asked, files: Vec::new() };
        reload.watch(resolved);
        reload
    }

    /// Watches the files of these settings from now on.
    pub(crate) fn watch(&mut self, resolved: &Resolved) {
        self.files =
            resolved.files.iter().map(|seen| (seen.path.clone(), stamp(&seen.path))).collect();
    }

    /// Whether they are to be read again; asked once a change.
    pub(crate) fn due(&mut self) -> bool {
        let asked = self.asked.swap(false, Ordering::Relaxed);
        let mut changed = false;
        for (path, last) in &mut self.files {
            let now = stamp(path);
            changed |= now != *last;
            *last = now;
        }
        asked || changed
    }
}

fn stamp(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

#[cfg(unix)]
fn listen(asked: &Arc<AtomicBool>) {
    // Without it a change of the file still does.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(asked));
}

#[cfg(not(unix))]
fn listen(_: &Arc<AtomicBool>) {}
