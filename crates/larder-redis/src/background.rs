//! Giving way on a machine that larder shares with the server and its clients.

/// From now on this thread, and those that it starts, use a processor that nobody else wants: who
/// wakes up to ask or to answer goes first, in place of waiting for a turn of some milliseconds.
/// Only on Linux, where priority belongs to a thread (`nice(2)`, "C library/kernel differences").
pub fn give_way() {
    // Where it may not, it is only less polite.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(19);
}
