//! Ctrl-C and SIGTERM: the first asks the work to stop at its next safe point, so that what was
//! done is reported; the second does not wait. SIGHUP keeps its meaning, so that `nohup` does too;
//! only what would stay in force without larder is ended by it first.

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

/// A terminal that goes stops this work too: it leaves something in force that only its end undoes.
/// Where that cannot be told from `nohup`, it ends the process as usual.
#[cfg(target_os = "linux")]
pub fn stop_with_the_terminal(meter: &Arc<Meter>) {
    use signal_hook::consts::SIGHUP;
    use signal_hook::iterator::Signals;

    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if ignores_hangup(&status) {
        return;
    }
    let stop = Arc::clone(meter);
    if let Ok(mut signals) = Signals::new([SIGHUP]) {
        std::thread::spawn(move || signals.forever().for_each(|_| stop.stop()));
    }
}

#[cfg(not(target_os = "linux"))]
pub fn stop_with_the_terminal(_: &Arc<Meter>) {}

/// Whether SIGHUP, the first of all, is among the signals that are ignored
/// (<https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>); so where nobody tells.
#[cfg(target_os = "linux")]
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask & 1 == 1)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_told_from_a_terminal() {
        assert!(ignores_hangup("Name:\tlarder\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(ignores_hangup(""));
    }
}
