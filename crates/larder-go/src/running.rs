//! Which go commands run right now, and which caches they use.
//!
//! A running build opens cache entries some time after it looked them up, so whoever removes
//! entries wants to know of it first. Seen are the go command itself, the tools it starts, and
//! the programs that use the same caches (gopls, golangci-lint, staticcheck, dlv). Their caches
//! are worked out from their own environment, as `locate` does it for ours; where that may not be
//! read, the caches are unknown, which must count as ours.
//!
//! On Linux `/proc` is read directly; elsewhere the `sysinfo` crate is asked. Leaves out what
//! runs in other process namespaces, which cannot be seen from here.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use larder_core::Time;

use crate::locate::{Environment, Flags, GoEnv, Os};

/// A running process that uses the Go caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoProcess {
    /// Process id.
    pub pid: u32,
    /// What runs, as in `go build ./...`, cut to a line.
    pub command: String,
    /// When it began.
    pub started: Time,
    /// The build cache that it uses; `None` where that cannot be told, which counts as ours.
    pub gocache: Option<PathBuf>,
    /// The module cache that it uses; `None` as above.
    pub gomodcache: Option<PathBuf>,
    /// The program's own file, where it can be told.
    pub program: Option<PathBuf>,
}

impl GoProcess {
    /// Whether it is a go command that somebody typed or a program runs: neither a tool that one of
    /// them started nor a language server, which is always there.
    pub fn is_go_command(&self) -> bool {
        let name = self.command.split(' ').next().unwrap_or_default();
        let name = name.strip_suffix(".exe").unwrap_or(name);
        name == "go"
            || name
                .strip_prefix("go1.")
                .is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// Whether it uses this build cache, or may: both paths are compared by what they lead to.
    pub fn may_use_gocache(&self, cache: &Path) -> bool {
        self.gocache.as_deref().is_none_or(|own| same(own, cache))
    }

    /// As [`Self::may_use_gocache`], for the module cache.
    pub fn may_use_gomodcache(&self, cache: &Path) -> bool {
        self.gomodcache.as_deref().is_none_or(|own| same(own, cache))
    }

    /// The toolchain that it runs from, as `go1.22.3.linux-amd64`, where that lies in this module
    /// cache.
    pub fn toolchain_in(&self, gomodcache: &Path) -> Option<String> {
        let program = self.program.as_deref()?;
        let real = std::fs::canonicalize(gomodcache).ok();
        let roots = [Some(gomodcache), real.as_deref()];
        let below = roots.into_iter().flatten().find_map(|root| program.strip_prefix(root).ok())?;
        let mut parts = below.iter().filter_map(OsStr::to_str);
        let (host, name) = (parts.next()?, parts.next()?);
        let version = name.strip_prefix("toolchain@v0.0.1-").filter(|_| host == "golang.org")?;
        Some(version.to_owned())
    }
}

/// All processes that use the Go caches, the oldest first. This process is left out; its children
/// are for the caller to leave out.
pub fn running() -> Vec<GoProcess> {
    let mut found = system::processes();
    found.retain(|process| process.pid != std::process::id());
    found.sort_by_key(|process| (process.started, process.pid));
    found
}

fn same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    a == b || real(a).is_some_and(|a| real(b) == Some(a))
}

/// Programs that use the Go caches wherever they lie.
const USERS: [&str; 6] = ["go", "gopls", "golangci-lint", "staticcheck", "dlv", "govulncheck"];

/// Tools that the go command starts, which lie in a folder `pkg/tool/OS_ARCH` or, since Go 1.25,
/// in the build cache.
const TOOLS: [&str; 8] = ["compile", "link", "asm", "vet", "cgo", "cover", "fix", "pack"];

/// Whether a program is one of ours, by its name and, for tools with everyday names, its folder
/// or how it was called.
fn uses_caches(name: &str, program: Option<&Path>, args: &[OsString]) -> bool {
    let name = name.strip_suffix(".exe").unwrap_or(name);
    if USERS.contains(&name) {
        return true;
    }
    if !TOOLS.contains(&name) {
        // Toolchains that are installed side by side are named go1.22.3.
        return name
            .strip_prefix("go1.")
            .is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
    }
    let called = program.or_else(|| args.first().map(Path::new));
    let in_tools = called.is_some_and(|path| {
        path.ancestors().nth(2).is_some_and(|folder| folder.ends_with("pkg/tool"))
            || path.parent().and_then(Path::extension).is_none()
                && path.parent().is_some_and(|dir| dir.to_string_lossy().ends_with("-d"))
    });
    in_tools
        || args.iter().any(|arg| arg == "-trimpath" || arg == "-importcfg" || arg == "-buildid")
}

/// The caches that a process with these variables uses.
fn caches(
    vars: Vec<(String, OsString)>,
    folder: Option<PathBuf>,
) -> (Option<PathBuf>, Option<PathBuf>) {
    let env = Environment::new(Os::CURRENT, vars);
    let env = match folder {
        Some(folder) => env.in_folder(folder),
        None => env,
    };
    let found = GoEnv::find(&env, &Flags::default());
    let path = |setting: &crate::locate::Setting| setting.path().map(Path::to_path_buf);
    (path(&found.gocache), path(&found.gomodcache))
}

/// The words of a command, the program by its name alone, on one line of at most 120 characters.
fn show(args: &[OsString], name: &str) -> String {
    let mut words = args.iter().map(|arg| arg.to_string_lossy());
    let program = words.next().map_or_else(
        || name.to_owned(),
        |first| {
            Path::new(&*first)
                .file_name()
                .map_or_else(|| first.to_string(), |n| n.to_string_lossy().into_owned())
        },
    );
    let mut line = program;
    for word in words {
        line.push(' ');
        line.push_str(&word);
        if line.len() > 480 {
            break;
        }
    }
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= 120 {
        return line;
    }
    line.chars().take(119).chain(['…']).collect()
}

#[cfg(target_os = "linux")]
mod system {
    //! `/proc`, read as `proc(5)` describes it.

    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::ffi::OsStringExt;
    use std::path::{Path, PathBuf};

    use larder_core::Time;

    use super::{GoProcess, caches, show, uses_caches};

    /// Ticks a second in `/proc`: the kernel fixes it for all programs (`USER_HZ`).
    const TICKS: i64 = 100;

    pub(super) fn processes() -> Vec<GoProcess> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let booted = boot_time();
        entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
                look_at(pid, &entry.path(), booted)
            })
            .collect()
    }

    /// A process that ends while it is looked at is none.
    fn look_at(pid: u32, dir: &Path, booted: i64) -> Option<GoProcess> {
        // One small file tells most processes apart.
        let stat = fs::read_to_string(dir.join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let state = rest.chars().next()?;
        if matches!(state, 'Z' | 'X') || !may_be(name) {
            return None;
        }
        let args = split(&fs::read(dir.join("cmdline")).ok()?);
        let program = fs::read_link(dir.join("exe")).ok().map(without_deleted);
        let own = program.as_deref().and_then(Path::file_name).and_then(|n| n.to_str());
        if !uses_caches(own.unwrap_or(name), program.as_deref(), &args) {
            return None;
        }
        let ticks: i64 = rest.split(' ').nth(19)?.parse().ok()?;
        let started = booted.saturating_add(ticks.saturating_mul(1_000_000_000 / TICKS));
        let (gocache, gomodcache) = match fs::read(dir.join("environ")) {
            Ok(environ) if !environ.is_empty() => {
                caches(variables(&environ), fs::read_link(dir.join("cwd")).ok())
            }
            _ => (None, None),
        };
        Some(GoProcess {
            pid,
            command: show(&args, name),
            started: Time::from_unix_nanos(started),
            gocache,
            gomodcache,
            program,
        })
    }

    /// The name in `stat` is cut to 15 characters, and may be any thread's.
    fn may_be(name: &str) -> bool {
        name.starts_with("go")
            || super::USERS.iter().chain(&super::TOOLS).any(|known| known.starts_with(name))
    }

    fn without_deleted(program: PathBuf) -> PathBuf {
        match program.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
            Some(path) => PathBuf::from(path),
            None => program,
        }
    }

    fn split(bytes: &[u8]) -> Vec<OsString> {
        let words = bytes.split(|b| *b == 0).map(|word| OsString::from_vec(word.to_vec()));
        let mut words: Vec<_> = words.collect();
        words.pop(); // each word ends with a zero
        words
    }

    fn variables(environ: &[u8]) -> Vec<(String, OsString)> {
        environ
            .split(|b| *b == 0)
            .filter_map(|line| {
                let at = line.iter().position(|b| *b == b'=')?;
                let name = String::from_utf8(line[..at].to_vec()).ok()?;
                Some((name, OsString::from_vec(line[at + 1..].to_vec())))
            })
            .collect()
    }

    /// Nanoseconds since the epoch at which this machine was started.
    fn boot_time() -> i64 {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let seconds =
            stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse::<i64>().ok());
        seconds.unwrap_or(0).saturating_mul(1_000_000_000)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! What the `sysinfo` crate knows of each process.

    use std::ffi::OsString;

    use larder_core::Time;
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

    use super::{GoProcess, caches, show, uses_caches};

    pub(super) fn processes() -> Vec<GoProcess> {
        // Where no process can be listed at all, none is known to run.
        let Ok(mut system) = System::new() else { return Vec::new() };
        let names = ProcessRefreshKind::nothing().with_exe(UpdateKind::Always);
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, names);
        let likely: Vec<_> = system
            .processes()
            .iter()
            .filter(|(_, process)| {
                let name = process.name().to_string_lossy();
                let name = name.strip_suffix(".exe").unwrap_or(&name);
                name.starts_with("go")
                    || super::USERS.contains(&name)
                    || super::TOOLS.contains(&name)
            })
            .map(|(pid, _)| *pid)
            .collect();
        let all = names
            .with_cmd(UpdateKind::Always)
            .with_environ(UpdateKind::Always)
            .with_cwd(UpdateKind::Always);
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&likely), true, all);
        likely.iter().filter_map(|pid| look_at(system.process(*pid)?)).collect()
    }

    fn look_at(process: &sysinfo::Process) -> Option<GoProcess> {
        let name = process.name().to_string_lossy().into_owned();
        if !uses_caches(&name, process.exe(), process.cmd()) {
            return None;
        }
        let (gocache, gomodcache) = if process.environ().is_empty() {
            (None, None)
        } else {
            let split = |line: &OsString| {
                let text = line.to_string_lossy();
                let (name, value) = text.split_once('=')?;
                Some((name.to_owned(), OsString::from(value)))
            };
            let vars = process.environ().iter().filter_map(split).collect();
            caches(vars, process.cwd().map(Into::into))
        };
        let started = i64::try_from(process.start_time()).unwrap_or(i64::MAX);
        Some(GoProcess {
            pid: process.pid().as_u32(),
            command: show(process.cmd(), &name),
            started: Time::from_unix(started),
            gocache,
            gomodcache,
            program: process.exe().map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_and_language_servers_are_no_go_commands() {
        let is = |command: &str| {
            let process = GoProcess {
                pid: 1,
                command: command.to_owned(),
                started: Time::from_unix(0),
                gocache: None,
                gomodcache: None,
                program: None,
            };
            process.is_go_command()
        };
        for command in ["go build ./...", "go", "go.exe test", "go1.22.3 vet"] {
            assert!(is(command), "{command}");
        }
        for command in ["gopls", "compile -o x", "golangci-lint run", "go1.x", "dlv"] {
            assert!(!is(command), "{command}");
        }
    }

    fn args(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn only_what_uses_the_caches_counts() {
        let none: &[&str] = &[];
        for (name, program, words, want) in [
            ("go", "/usr/local/go/bin/go", none, true),
            ("go.exe", "/x/go.exe", none, true),
            ("go1.22.3", "/home/ann/go/bin/go1.22.3", none, true),
            ("gopls", "/home/ann/go/bin/gopls", none, true),
            ("compile", "/usr/local/go/pkg/tool/linux_amd64/compile", none, true),
            ("vet", "/c/ab/abcd-d/vet", none, true),
            ("link", "/opt/link", &["/opt/link", "-importcfg", "x"], true),
            ("link", "/usr/bin/link", &["link", "a", "b"], false),
            ("gopher", "/usr/bin/gopher", none, false),
            ("google-chrome", "/opt/google-chrome", none, false),
            ("cover", "/usr/bin/cover", none, false),
        ] {
            assert_eq!(
                uses_caches(name, Some(Path::new(program)), &args(words)),
                want,
                "{program}"
            );
        }
    }

    #[test]
    fn commands_are_shown_on_one_line() {
        assert_eq!(show(&args(&["/usr/local/go/bin/go", "build", "a\nb"]), "go"), "go build a b");
        assert_eq!(show(&[], "compile"), "compile");
        let long = show(&args(&["go", &"x".repeat(1000)]), "go");
        assert_eq!(long.chars().count(), 120);
    }

    #[test]
    fn a_toolchain_of_the_cache_is_told() {
        let process = |program: &str| GoProcess {
            pid: 1,
            command: String::new(),
            started: Time::from_unix(0),
            gocache: None,
            gomodcache: Some("/other".into()),
            program: Some(program.into()),
        };
        let inside = process("/m/golang.org/toolchain@v0.0.1-go1.22.3.linux-amd64/bin/go");
        assert_eq!(inside.toolchain_in(Path::new("/m")).as_deref(), Some("go1.22.3.linux-amd64"));
        assert_eq!(process("/usr/local/go/bin/go").toolchain_in(Path::new("/m")), None);
        assert!(inside.may_use_gocache(Path::new("/c")), "an unknown cache counts as ours");
        assert!(!inside.may_use_gomodcache(Path::new("/m")));
    }
}
