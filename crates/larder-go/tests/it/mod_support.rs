//! What the tests of the module cache share.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::{CacheKind, Meter, PlanItem, Size, Unit};
use larder_fs::{Dir, Disposal};
use larder_go::mod_layout::prove;
use larder_go::mod_remove::{Removed, Remover};
use larder_go::mod_scan::{Contents, ModScan, ModVersion, ScanOptions, scan};
use larder_go::mod_units::units;
use larder_testkit::{FileProxy, GoSandbox, ModuleMaker};

/// A sandbox with a proxy of small modules and a project that needs them.
pub(crate) struct World {
    pub(crate) sandbox: GoSandbox,
    pub(crate) project: PathBuf,
}

/// The modules that the project requires, all of them in its build list.
pub(crate) const NEEDED: [(&str, &str); 3] = [
    ("example.com/Alpha/one", "v1.2.0"),
    ("example.com/Alpha/one/v2", "v2.0.0"),
    ("example.com/beta", "v0.3.0"),
];

impl World {
    /// Everything downloaded, and a build cache in which a build takes a second.
    pub(crate) fn warm() -> Self {
        let world = Self::new();
        world.sandbox.warm();
        world
    }

    /// Everything downloaded.
    pub(crate) fn new() -> Self {
        let mut sandbox = GoSandbox::new();
        let proxy = FileProxy::new(sandbox.root().join("proxy"));
        for (module, version) in NEEDED.into_iter().chain([("example.com/Alpha/one", "v1.1.0")]) {
            let maker = ModuleMaker::new(module, version)
                .package("", &[])
                .package("deep/er", &[])
                .file("deep/testdata/at@v1.0.0/x.txt", "a trap\n");
            proxy.publish(&maker);
        }
        sandbox.proxy(&proxy.url());
        let project = sandbox.project(
            "app",
            "-- go.mod --\nmodule example.com/app\n\ngo 1.21\n\nrequire (\n\
             \texample.com/Alpha/one v1.2.0\n\texample.com/Alpha/one/v2 v2.0.0\n\
             \texample.com/beta v0.3.0\n)\n\
             -- main.go --\npackage main\n\nimport (\n\ta \"example.com/Alpha/one\"\n\
             \tb \"example.com/Alpha/one/v2\"\n\tc \"example.com/beta/deep/er\"\n)\n\n\
             func main() { println(a.Use() + b.Use() + c.Use()) }\n",
        );
        sandbox.go(&["mod", "tidy"], &project);
        sandbox.go(&["mod", "download"], &project);
        sandbox.go(&["mod", "download", "example.com/Alpha/one@v1.1.0"], &project);
        Self { sandbox, project }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.sandbox.gomodcache()
    }

    pub(crate) fn dir(&self) -> Dir {
        Dir::open_root(&self.root()).unwrap()
    }

    pub(crate) fn scan(&self) -> ModScan {
        scan_of(&self.root())
    }

    pub(crate) fn unit(&self, subject: &str) -> Unit {
        unit_of(&self.scan(), subject)
    }

    /// Builds with what is in the cache, from scratch.
    pub(crate) fn builds_offline(&self) -> bool {
        let mut command = self.sandbox.command("go");
        command.args(["build", "-o", "app", "."]).env("GOPROXY", "off");
        command.current_dir(&self.project).output().unwrap().status.success()
    }

    /// Whether all that the project needs is there, extracted or as a zip.
    pub(crate) fn has_all_offline(&self) -> bool {
        let mut command = self.sandbox.command("go");
        command.args(["mod", "download"]).env("GOPROXY", "off");
        command.current_dir(&self.project).output().unwrap().status.success()
    }

    /// Fetches what is missing, and has Go hold folders and zips against their hashes.
    pub(crate) fn heals(&self) {
        self.sandbox.go(&["mod", "download"], &self.project);
        self.sandbox.go(&["mod", "verify"], &self.project);
    }

    pub(crate) fn remove(&self, item: &PlanItem) -> Removed {
        // Not at once: a process that another test just started may have inherited a lock that
        // is free again, until it runs its own program.
        remove_in(&self.root(), item, Duration::from_secs(30))
    }

    pub(crate) fn lock_path(&self, module: &str, version: &str) -> PathBuf {
        let module = larder_go::module_path::escape(module).unwrap();
        self.root().join(format!("cache/download/{module}/@v/{version}.lock"))
    }
}

pub(crate) fn scan_of(root: &Path) -> ModScan {
    let dir = Dir::open_root(root).unwrap();
    scan(&dir, ScanOptions { contents: Contents::All, threads: 0, meter: &Meter::default() })
}

pub(crate) fn version_of<'a>(scan: &'a ModScan, module: &str, version: &str) -> &'a ModVersion {
    scan.all_versions()
        .find(|v| &*v.module == module && &*v.version == version)
        .unwrap_or_else(|| panic!("{module}@{version} is not in the scan"))
}

pub(crate) fn unit_of(scan: &ModScan, subject: &str) -> Unit {
    units(scan, &[])
        .into_iter()
        .find(|unit| unit.subject == subject)
        .unwrap_or_else(|| panic!("there is no unit {subject}"))
}

pub(crate) fn item_of(unit: &Unit) -> PlanItem {
    PlanItem {
        cache: unit.cache,
        name: Some(unit.subject.as_str().into()),
        target: unit.target.clone(),
        size: Some(unit.size),
        last_used: unit.last_used,
        reason: "a test wants it gone".into(),
    }
}

pub(crate) fn remove_in(root: &Path, item: &PlanItem, wait: Duration) -> Removed {
    let (dir, meter) = (Dir::open_root(root).unwrap(), Meter::default());
    remover(&dir, &Disposal::Delete, wait, &meter).remove(item)
}

pub(crate) fn remover<'a>(
    dir: &'a Dir,
    how: &'a Disposal<'a>,
    wait: Duration,
    meter: &'a Meter,
) -> Remover<'a> {
    Remover { root: dir, layout: prove(dir).unwrap(), how, wait, threads: 0, meter }
}

/// Everything below a folder as `du` would count it: apparent files, blocks with folders, hard
/// links once.
pub(crate) fn count(dir: &Path) -> Size {
    use std::os::unix::fs::MetadataExt;
    fn visit(path: &Path, seen: &mut std::collections::HashSet<u64>) -> Size {
        let meta = fs::symlink_metadata(path).unwrap();
        let allocated = if meta.nlink() > 1 && !meta.is_dir() && !seen.insert(meta.ino()) {
            0
        } else {
            meta.blocks() * 512
        };
        if !meta.is_dir() {
            return Size::new(1, meta.len(), allocated);
        }
        let inside = fs::read_dir(path).unwrap().map(|entry| visit(&entry.unwrap().path(), seen));
        inside.sum::<Size>() + Size::new(0, 0, allocated)
    }
    visit(dir, &mut std::collections::HashSet::new())
}

pub(crate) fn whole(scan: &ModScan) -> Size {
    [CacheKind::Mod, CacheKind::Toolchain, CacheKind::Vcs, CacheKind::Sumdb]
        .into_iter()
        .map(|kind| scan.total(kind))
        .sum()
}

/// Sets a file's times of reading and writing, seconds since 1970.
pub(crate) fn set_times(path: &Path, read: i64, written: i64) {
    for (flag, seconds) in [("-a", read), ("-m", written)] {
        let status = std::process::Command::new("touch")
            .args([OsStr::new(flag), OsStr::new("-d"), format!("@{seconds}").as_ref()])
            .arg(path)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

pub(crate) fn write(path: impl AsRef<Path>, text: &str) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
