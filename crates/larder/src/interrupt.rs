//! Ctrl-C and termination signals: the first asks the work to stop at its next safe point, so
//! that what was done is reported; the second does not wait.

use std::sync::Arc;

use larder_core::Meter;

use crate::exit::Exit;

/// A meter that a signal stops. Where no handler can be set, a signal ends the process as usual.
pub fn meter() -> Arc<Meter> {
    let meter = Arc::new(Meter::default());
    let stop = Arc::clone(&meter);
    let handler = move || {
        if stop.stopped() {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        stop.stop();
    };
    // Only a second handler in one process is refused, and there is none.
    let _ = ctrlc::try_set_handler(handler);
    meter
}
