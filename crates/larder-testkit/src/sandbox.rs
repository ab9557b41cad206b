//! A closed place for the go command and for larder: own home, own caches, own settings, no
//! network, nothing inherited but `PATH`.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::{Txtar, warm};

/// The user and group that [`GoSandbox::as_nobody`] runs as.
#[cfg(unix)]
const NOBODY: u32 = 65534;

/// Whether a go command is on `PATH`. A test that needs it may say so and return where not.
pub fn has_go() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| Command::new("go").arg("version").output().is_ok())
}

/// A temporary world with a home, caches and an environment; it vanishes on drop, read-only
/// folders included.
#[derive(Debug)]
pub struct GoSandbox {
    dir: TempDir,
    env: BTreeMap<OsString, OsString>,
}

impl Default for GoSandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl GoSandbox {
    /// A sandbox with empty caches (see [`GoSandbox::warm`]), `GOPROXY=off`, `GOSUMDB=off`, `GOENV=off`, `GOFLAGS=`,
    /// `GOTOOLCHAIN=local` and telemetry switched off.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("larder-test-")
            .tempdir()
            .unwrap_or_else(|error| panic!("make a temporary folder: {error}"));
        let root = fs::canonicalize(dir.path()).expect("the temporary folder is there");
        let mut sandbox = Self { dir, env: BTreeMap::new() };
        for name in ["PATH", "SystemRoot", "SystemDrive", "ComSpec", "PATHEXT"] {
            if let Some(value) = env::var_os(name) {
                sandbox.set(name, value);
            }
        }
        for (name, folder) in [
            ("HOME", "home"),
            ("USERPROFILE", "home"),
            ("LocalAppData", "home/.cache"),
            ("AppData", "home/.config"),
            ("XDG_CACHE_HOME", "home/.cache"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("XDG_DATA_HOME", "home/.local/share"),
            ("TMPDIR", "tmp"),
            ("TMP", "tmp"),
            ("TEMP", "tmp"),
            ("GOCACHE", "gocache"),
            ("GOPATH", "gopath"),
            ("GOMODCACHE", "gopath/pkg/mod"),
        ] {
            let path = root.join(folder);
            fs::create_dir_all(&path).expect("make a folder of the sandbox");
            sandbox.set(name, path);
        }
        for (name, value) in [
            ("GOENV", "off"),
            ("GOFLAGS", ""),
            ("GOTOOLCHAIN", "local"),
            ("GOPROXY", "off"),
            ("GOSUMDB", "off"),
            ("GONOSUMDB", "*"),
            ("GOVCS", "*:off"),
            ("GOTELEMETRY", "off"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
        ] {
            sandbox.set(name, value);
        }
        // The go command takes the telemetry mode from this file alone.
        sandbox.write("home/.config/go/telemetry/mode", "off");
        sandbox
    }

    /// The folder that holds everything; no symlink in its path.
    pub fn root(&self) -> PathBuf {
        fs::canonicalize(self.dir.path()).expect("the temporary folder is there")
    }

    /// `HOME`.
    pub fn home(&self) -> PathBuf {
        self.path_of("HOME")
    }

    /// `GOCACHE`, at first an empty folder.
    pub fn gocache(&self) -> PathBuf {
        self.path_of("GOCACHE")
    }

    /// `GOMODCACHE`, at first an empty folder.
    pub fn gomodcache(&self) -> PathBuf {
        self.path_of("GOMODCACHE")
    }

    /// `GOPATH`.
    pub fn gopath(&self) -> PathBuf {
        self.path_of("GOPATH")
    }

    /// `XDG_CONFIG_HOME`.
    pub fn config_home(&self) -> PathBuf {
        self.path_of("XDG_CONFIG_HOME")
    }

    /// `XDG_STATE_HOME`.
    pub fn state_home(&self) -> PathBuf {
        self.path_of("XDG_STATE_HOME")
    }

    /// The value of a variable in the sandbox.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.env.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Sets a variable for all commands from now on.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.env.remove(OsStr::new(name));
        self
    }

    /// Serves modules from `url` (see [`crate::FileProxy::url`]).
    pub fn proxy(&mut self, url: &str) -> &mut Self {
        self.set("GOPROXY", url)
    }

    /// Puts the standard library that small programs use into the build cache, as if built just
    /// now: a test that builds then takes a second instead of a minute.
    ///
    /// About 1,000 files and 70 MB, made once per Go version and kept between runs.
    pub fn warm(&self) -> &Self {
        warm::fill(&self.gocache(), false);
        self
    }

    /// As [`GoSandbox::warm`], with what `go vet` and `go test` want to know of the standard
    /// library: about 2,200 files and 140 MB.
    pub fn warm_for_vet(&self) -> &Self {
        warm::fill(&self.gocache(), true);
        self
    }

    /// Writes a file below the root, with the folders it needs, and answers its path.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        let parent = path.parent().expect("a file below the root has a folder");
        fs::create_dir_all(parent).expect("make a folder of the sandbox");
        fs::write(&path, content).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        path
    }

    /// Makes the folder `src/NAME` out of a txtar text and answers its path.
    pub fn project(&self, name: &str, txtar: &str) -> PathBuf {
        let dir = self.root().join("src").join(name);
        fs::create_dir_all(&dir).expect("make a project folder");
        Txtar::parse(txtar.as_bytes()).unpack(&dir).expect("unpack a project");
        dir
    }

    /// A command with the sandbox's environment and nothing else, in the sandbox's root.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.env).current_dir(self.root());
        command
    }

    /// The same for a larder binary (`env!("CARGO_BIN_EXE_larder")`).
    pub fn larder(&self, binary: impl AsRef<OsStr>) -> Command {
        self.command(binary)
    }

    /// Runs `go ARGS…` in `dir` and answers whatever came of it.
    pub fn try_go(&self, args: &[&str], dir: impl AsRef<Path>) -> Output {
        self.command("go")
            .args(args)
            .current_dir(dir)
            .output()
            .unwrap_or_else(|error| panic!("run go {args:?}: {error}"))
    }

    /// Runs `go ARGS…` in `dir`; panics with its output unless it succeeds.
    pub fn go(&self, args: &[&str], dir: impl AsRef<Path>) -> Output {
        let output = self.try_go(args, dir.as_ref());
        assert!(output.status.success(), "go {args:?} failed:\n{}", said(&output));
        output
    }

    /// The standard output of a `go ARGS…` that must succeed, without the last newline.
    pub fn go_text(&self, args: &[&str], dir: impl AsRef<Path>) -> String {
        let output = self.go(args, dir);
        String::from_utf8(output.stdout).expect("go prints UTF-8").trim_end().to_owned()
    }

    /// Runs `go ARGS…` in `dir`; panics if it succeeds. Answers what it said on stderr.
    pub fn go_fails(&self, args: &[&str], dir: impl AsRef<Path>) -> String {
        let output = self.try_go(args, dir.as_ref());
        assert!(!output.status.success(), "go {args:?} should have failed:\n{}", said(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Turns a command into one that runs without the rights of root.
    ///
    /// Where the tests run as root, everything in the sandbox is given to the user nobody first,
    /// and a program that nobody may not be able to reach (a test binary below a private home)
    /// is copied into the sandbox. Where they do not, the command is answered as it is.
    #[cfg(unix)]
    pub fn as_nobody(&self, command: &Command) -> Command {
        let mut program = PathBuf::from(command.get_program());
        let as_root = is_root();
        if as_root && program.is_absolute() && !program.starts_with(self.root()) {
            program = self.copy_program(&program);
        }
        let mut wrapped = if as_root {
            let mut wrapped = Command::new("setpriv");
            wrapped.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
            wrapped.args(["--clear-groups", "--inh-caps=-all", "--"]).arg(program);
            wrapped
        } else {
            Command::new(program)
        };
        wrapped.args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                wrapped.env(name, value);
            }
        }
        wrapped.current_dir(command.get_current_dir().unwrap_or(&self.root()));
        if as_root {
            give_to_nobody(&self.root()).expect("give the sandbox to nobody");
        }
        wrapped
    }

    /// Whether [`GoSandbox::as_nobody`] changes the user, which it does for root alone.
    #[cfg(unix)]
    pub fn runs_as_nobody(&self) -> bool {
        is_root()
    }

    #[cfg(unix)]
    fn copy_program(&self, program: &Path) -> PathBuf {
        let bin = self.root().join("bin");
        fs::create_dir_all(&bin).expect("make a folder for programs");
        let copy = bin.join(program.file_name().expect("a program has a name"));
        if !copy.exists() {
            fs::copy(program, &copy)
                .unwrap_or_else(|error| panic!("copy {}: {error}", program.display()));
        }
        copy
    }

    fn path_of(&self, name: &str) -> PathBuf {
        PathBuf::from(self.get(name).unwrap_or_else(|| panic!("{name} is not set")))
    }
}

impl Drop for GoSandbox {
    fn drop(&mut self) {
        let _ = remove_all(self.dir.path()); // TempDir tries once more, and leaves the rest
    }
}

/// Removes a tree whose folders may be read-only. A folder that is not there is no error.
pub(crate) fn remove_all(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            make_writable(dir)?;
            fs::remove_dir_all(dir)
        }
        _ => Ok(()),
    }
}

fn make_writable(dir: &Path) -> io::Result<()> {
    let mut permissions = fs::symlink_metadata(dir)?.permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    #[cfg(not(unix))]
    permissions.set_readonly(false);
    fs::set_permissions(dir, permissions)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let id = Command::new("id").arg("-u").output();
        id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
    })
}

#[cfg(unix)]
fn give_to_nobody(path: &Path) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_to_nobody(&entry?.path())?;
        }
    }
    Ok(())
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_sees_the_sandbox_and_nothing_else() {
        let sandbox = GoSandbox::new();
        let dir = sandbox.root();
        let seen = sandbox.go_text(
            &["env", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY", "GOTELEMETRY"],
            &dir,
        );
        let seen: Vec<&str> = seen.lines().collect();
        let path = |path: PathBuf| path.into_os_string().into_string().unwrap();
        let caches = [path(sandbox.gocache()), path(sandbox.gomodcache()), path(sandbox.gopath())];
        assert_eq!(&seen[..3], &caches);
        assert_eq!(&seen[3..], ["", "off", "off"]);
    }

    #[cfg(unix)]
    #[test]
    fn read_only_folders_vanish_and_nobody_is_nobody() {
        use std::os::unix::fs::PermissionsExt;

        let sandbox = GoSandbox::new();
        let file = sandbox.write("gopath/pkg/mod/m@v1.0.0/a.go", "package a\n");
        let folder = file.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();

        let mut remove = sandbox.command("rm");
        let output = sandbox.as_nobody(remove.arg(&file)).output().unwrap();
        assert!(!output.status.success(), "a 0555 folder must hold back a user who is not root");

        let mut touch = sandbox.command("touch");
        let output = sandbox.as_nobody(touch.arg(sandbox.home().join("mine"))).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));

        let root = sandbox.root();
        drop(sandbox);
        assert!(!root.exists());
    }
}
