//! The Go installation that commands without a path would use, and its version.
//!
//! The go command knows its own file; from outside it is the one that PATH finds, else one in a
//! usual place. Nothing is run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::locate::{Environment, Os, clean};

/// `cfg.findGOROOT`, from outside: what that rule starts from is the go command's own file, and
/// here that is the one that PATH finds, else the one in a usual place.
pub(crate) fn find_goroot(env: &Environment, from_file: Option<&str>) -> Option<PathBuf> {
    let set = from_file.filter(|value| !value.is_empty()).map(OsStr::new);
    if let Some(root) = set.or_else(|| env.var("GOROOT")) {
        return Some(clean(Path::new(root)));
    }
    let name = env.os().go_name();
    let path = env.var("PATH").map(OsStr::to_string_lossy).unwrap_or_default();
    path.split(env.os().list_separator())
        .filter(|dir| !dir.is_empty())
        .map(|dir| env.settle(&Path::new(dir).join(name)))
        .find(|file| is_program(file))
        .and_then(|file| root_of_program(&file))
        .or_else(|| usual_roots(env).into_iter().find(|root| is_goroot(root)))
}

/// The installation that a go command belongs to: by its own place, then by the place it links to.
fn root_of_program(program: &Path) -> Option<PathBuf> {
    let above = |file: &Path| {
        let two = file.parent().and_then(Path::parent).map(Path::to_path_buf);
        let three = two.as_deref().and_then(Path::parent).map(Path::to_path_buf);
        [two, three].into_iter().flatten().find(|root| is_goroot(root))
    };
    above(program).or_else(|| above(&std::fs::canonicalize(program).ok()?))
}

fn usual_roots(env: &Environment) -> Vec<PathBuf> {
    let fixed: &[&str] = match env.os() {
        Os::Windows => &[r"C:\Program Files\Go", r"C:\Go"],
        Os::MacOs => {
            &["/usr/local/go", "/opt/homebrew/opt/go/libexec", "/usr/local/opt/go/libexec"]
        }
        Os::Unix => &["/usr/local/go", "/usr/lib/go", "/usr/lib/golang", "/snap/go/current"],
    };
    fixed.iter().map(PathBuf::from).collect()
}

fn is_goroot(root: &Path) -> bool {
    root.join("pkg").join("tool").is_dir()
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

/// `1.26.8` out of the first line of `VERSION`, which reads `go1.26.8`.
pub(crate) fn read_go_version(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join("VERSION")).ok()?;
    crate::semver::go_of_toolchain(text.lines().next()?).map(str::to_owned)
}
