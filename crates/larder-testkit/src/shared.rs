//! The folder kept between test runs, and making a thing in it exactly once.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The folder that is kept between runs: `$LARDER_TESTKIT_CACHE`, else `testkit-cache` in the
/// target folder that this test binary was built into, else in the temporary folder.
pub fn cache_dir() -> PathBuf {
    let dir = match env::var_os("LARDER_TESTKIT_CACHE") {
        Some(dir) => PathBuf::from(dir),
        None => target_dir().unwrap_or_else(env::temp_dir).join("testkit-cache"),
    };
    fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("make {}: {error}", dir.display()));
    dir
}

/// Makes `name` in the shared folder unless it is there, and answers its path.
///
/// `make` gets an empty folder that takes its name only when `make` has succeeded. Test binaries
/// that want the same thing at one time wait for the first of them.
pub fn built_once<E>(name: &str, make: impl FnOnce(&Path) -> Result<(), E>) -> Result<PathBuf, E> {
    let shared = cache_dir();
    let done = shared.join(name);
    if done.is_dir() {
        return Ok(done);
    }
    let fail = |what: &str, error: io::Error| -> ! { panic!("{what} for {name}: {error}") };
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(shared.join(format!("{name}.lock")))
        .unwrap_or_else(|error| fail("open the lock", error));
    lock.lock().unwrap_or_else(|error| fail("lock", error));
    if done.is_dir() {
        return Ok(done);
    }
    let staged = shared.join(format!("{name}.tmp"));
    crate::sandbox::remove_all(&staged).unwrap_or_else(|error| fail("remove a leftover", error));
    fs::create_dir_all(&staged).unwrap_or_else(|error| fail("make a folder", error));
    make(&staged)?;
    fs::rename(&staged, &done).unwrap_or_else(|error| fail("rename", error));
    Ok(done)
}

/// The target folder above the running binary; cargo marks it with `CACHEDIR.TAG`.
fn target_dir() -> Option<PathBuf> {
    let exe = env::current_exe().ok()?;
    exe.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).map(Path::to_path_buf)
}
