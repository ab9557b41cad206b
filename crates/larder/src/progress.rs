//! What long work shows meanwhile: on stderr, only at a terminal, gone when the work is done.
//!
//! A word after 90 ms, so that nobody wonders; counters from 300 ms on, so that short work does
//! not flicker. The work itself only adds to a [`Meter`].

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use larder_core::Meter;
use larder_core::size::Units;

use crate::printer::Printer;
use crate::text::grouped;

const FIRST_WORD: Duration = Duration::from_millis(90);
const COUNTERS: Duration = Duration::from_millis(210);
const REFRESH: Duration = Duration::from_millis(100);

/// Shows a meter until it is dropped.
#[derive(Debug)]
#[must_use = "it is shown until it is dropped"]
pub struct Progress(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Begins to show `doing` ("Looking at build") with what `meter` counts from here on; of
    /// `total` bytes, where that is known.
    pub fn start(
        printer: &Printer,
        meter: &Arc<Meter>,
        doing: impl Into<String>,
        total: Option<u64>,
        units: Units,
    ) -> Self {
        if !printer.shows_progress() {
            return Self(None);
        }
        let (done, wait) = mpsc::channel();
        let (meter, doing) = (Arc::clone(meter), doing.into());
        let work = move || show(&wait, &meter, &doing, total, units);
        // Without a thread to spare there is no progress to see, and the work goes on.
        let thread = std::thread::Builder::new().name("progress".into()).spawn(work);
        Self(thread.ok().map(|thread| (done, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            drop(done);
            let _ = thread.join();
        }
    }
}

fn show(wait: &mpsc::Receiver<()>, meter: &Meter, doing: &str, total: Option<u64>, units: Units) {
    let (files, bytes) = (meter.files(), meter.bytes());
    let over = |pause| wait.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
    if over(FIRST_WORD) {
        return;
    }
    let bar = ProgressBar::new(total.unwrap_or(0));
    let template = if total.is_some() { "[{bar:28}] {msg}" } else { "{msg}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(format!("{doing} …"));
    bar.tick();
    let mut pause = COUNTERS;
    while !over(pause) {
        pause = REFRESH;
        let done = meter.bytes().saturating_sub(bytes);
        let count = grouped(meter.files().saturating_sub(files));
        bar.set_position(done.min(total.unwrap_or(done)));
        let of = total.map_or_else(String::new, |total| format!(" of {}", units.show(total)));
        let stopping = if meter.stopped() { ", stopping" } else { "" };
        bar.set_message(format!("{doing}: {count} files, {}{of}{stopping}", units.show(done)));
        bar.tick();
    }
    bar.finish_and_clear();
}
