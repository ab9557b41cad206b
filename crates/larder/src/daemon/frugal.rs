//! Giving back what a scan took. The allocator of glibc keeps what was freed once for the next
//! time, and from a larger size on each time; a scan of many files each ten minutes then holds tens
//! of megabytes for ever. How it does is read from the environment once, when a program starts, so
//! a daemon starts itself again with that said: the same process by its id, before it has done
//! anything. Where it cannot, it only takes more.
//!
//! What is set already stays. Other allocators have no such habit.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn begin() {
    use std::os::unix::process::CommandExt as _;

    /// From this size on, bytes, memory is asked of the system and given back at once; and no
    /// thread keeps pieces for itself, one of which holds all that lies before it.
    const SETTINGS: [(&str, &str); 3] = [
        ("MALLOC_MMAP_THRESHOLD_", "65536"),
        ("MALLOC_TRIM_THRESHOLD_", "65536"),
        ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"),
    ];
    let unset = SETTINGS.into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
    let unset: Vec<(&str, &str)> = unset.collect();
    if unset.is_empty() {
        return;
    }
    let mut words = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), words.next()) else { return };
    // It comes back only where it failed, and then nothing is lost.
    let _ = std::process::Command::new(program).arg0(name).args(words).envs(unset).exec();
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn begin() {}
