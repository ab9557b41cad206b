//! What systemd is told: that it is ready and alive and how things are, and that it stops.
//! Elsewhere nobody is told.

/// It is ready, and alive: the watchdog hears of it at each tick. `status` is what
/// `systemctl status` shows, in a line.
#[cfg(target_os = "linux")]
pub(crate) fn alive(status: &str) {
    use sd_notify::NotifyState::{Ready, Status, Watchdog};
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[Ready, Watchdog, Status(status)]);
}

/// It stops.
#[cfg(target_os = "linux")]
pub(crate) fn stopping() {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
}

/// It is ready, and alive.
#[cfg(not(target_os = "linux"))]
pub(crate) fn alive(_: &str) {}

/// It stops.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stopping() {}
