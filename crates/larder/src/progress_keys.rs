//! What changing keys of a Redis shows meanwhile: keys, rate, what others feel, time left.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use larder_core::time::Age;
use larder_redis::Work;

use crate::key_removal::millis;
use crate::printer::Printer;
use crate::text::short_count;

const REFRESH: Duration = Duration::from_millis(100);

/// Shows the work until it is dropped.
#[derive(Debug)]
#[must_use = "it is shown until it is dropped"]
pub(crate) struct KeysProgress(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl KeysProgress {
    /// Begins; about `expected` keys are changed.
    pub(crate) fn start(printer: &Printer, work: &Arc<Work>, expected: u64) -> Self {
        if !printer.shows_progress() {
            return Self(None);
        }
        let (done, wait) = mpsc::channel();
        let work = Arc::clone(work);
        let show = move || show(&wait, &work, expected);
        let thread = std::thread::Builder::new().name("progress".into()).spawn(show);
        Self(thread.ok().map(|thread| (done, thread)))
    }
}

impl Drop for KeysProgress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            drop(done);
            let _ = thread.join();
        }
    }
}

fn show(wait: &mpsc::Receiver<()>, work: &Work, expected: u64) {
    let bar = ProgressBar::new(expected.max(1));
    if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    let started = Instant::now();
    while wait.recv_timeout(REFRESH) == Err(RecvTimeoutError::Timeout) {
        bar.set_position(work.changed.load(Ordering::Relaxed).min(expected));
        bar.set_message(line(work, expected, started.elapsed()));
        bar.tick();
    }
    bar.finish_and_clear();
}

/// `251 k of 412 k   38 k/s   others feel 0.4 ms (idle 0.3 ms)   4 s left`.
fn line(work: &Work, expected: u64, spent: Duration) -> String {
    let changed = work.changed.load(Ordering::Relaxed);
    let micros = |counter: u64| millis(Duration::from_micros(counter));
    let felt = micros(work.felt_micros.load(Ordering::Relaxed));
    let idle = micros(work.idle_micros.load(Ordering::Relaxed));
    let of = format!("{} of {}", short_count(changed), short_count(expected.max(changed)));
    let others = format!("others feel {felt} (idle {idle})");
    if work.stopped() {
        return format!("{of}   stopping");
    }
    // Before the first page there is nothing to say of the pace.
    if changed == 0 && work.waiting.load(Ordering::Relaxed) == 0 {
        return of;
    }
    if work.waiting.load(Ordering::Relaxed) > 0 {
        return format!("{of}   {others}   too busy, waiting");
    }
    let rate = changed as f64 / spent.as_secs_f64().max(0.001);
    let left = expected.saturating_sub(changed) as f64 / rate.max(1.0);
    let left = Age(Duration::from_secs_f64(left.min(1e9)));
    format!("{of}   {}/s   {others}   {left} left", short_count(crate::key_removal::whole(rate)))
}
