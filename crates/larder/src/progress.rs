//! What long work shows meanwhile: on stderr, only at a terminal, gone when the work is done.
//!
//! A word after 90 ms, so that nobody wonders; counters from 300 ms on, so that short work does
//! not flicker. The work itself only adds to a [`Meter`].

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use larder_core::Meter;
use larder_core::size::Units;
use larder_core::time::Age;

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

/// `8.1 of 12.4 GB   1.3 GB/s   3 s left`.
fn of_total(done: u64, total: u64, spent: Duration, units: Units) -> String {
    let spent = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.saturating_mul(1000) / spent;
    let of = format!("{} of {}", units.show(done), units.show(total.max(done)));
    if rate == 0 {
        return of;
    }
    let left = Duration::from_secs(total.saturating_sub(done) / rate + 1);
    format!("{of}   {}/s   {} left", units.show(rate), Age(left))
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
    let (mut pause, started) = (COUNTERS, Instant::now());
    while !over(pause) {
        pause = REFRESH;
        let done = meter.bytes().saturating_sub(bytes);
        let count = grouped(meter.files().saturating_sub(files));
        bar.set_position(done.min(total.unwrap_or(done)));
        let stopping = if meter.stopped() { ", stopping" } else { "" };
        let message = match total {
            Some(total) => of_total(done, total, started.elapsed(), units),
            // Work that counts nothing of this says only what it is.
            None if done == 0 && count == "0" => format!("{doing} …"),
            None => format!("{doing}: {count} files, {}", units.show(done)),
        };
        bar.set_message(message + stopping);
        bar.tick();
    }
    bar.finish_and_clear();
}
