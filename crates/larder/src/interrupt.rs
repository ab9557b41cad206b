//! Ctrl-C and SIGTERM: the first asks the work to stop at its next safe point, so that what was
//! done is reported; the second does not wait. SIGHUP keeps its meaning, so that `nohup` does too.

use std::sync::Arc;

use larder_core::Meter;

use crate::exit::Exit;

/// A meter that a signal stops. Where no handler can be set, a signal ends the process as usual.
pub fn meter() -> Arc<Meter> {
    let meter = Arc::new(Meter::default());
    let stop = Arc::clone(&meter);
    listen(move || {
        if stop.stopped() {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        stop.stop();
    });
    meter
}

#[cfg(unix)]
fn listen(handler: impl Fn() + Send + 'static) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
        std::thread::spawn(move || signals.forever().for_each(|_| handler()));
    }
}

#[cfg(windows)]
fn listen(handler: impl Fn() + Send + 'static) {
    // Only a second handler in one process is refused, and there is none.
    let _ = ctrlc::set_handler(handler);
}
