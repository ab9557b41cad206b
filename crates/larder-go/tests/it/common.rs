//! What several topics' tests share: the sandbox's settings as larder reads them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use larder_core::Meter;
use larder_fs::Dir;
use larder_go::locate::{Environment, Flags, GoEnv, Os};
use larder_go::needs::{Needs, NeedsError, needs};
use larder_testkit::GoSandbox;

/// Every variable that the go command's own rules look at.
const NAMES: [&str; 17] = [
    "PATH",
    "HOME",
    "USERPROFILE",
    "LocalAppData",
    "AppData",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "GOCACHE",
    "GOMODCACHE",
    "GOPATH",
    "GOENV",
    "GOFLAGS",
    "GOTOOLCHAIN",
    "GOPROXY",
    "GOROOT",
    "GOWORK",
    "GO111MODULE",
];

pub(crate) fn environment(sandbox: &GoSandbox) -> Environment {
    let vars: Vec<(&str, OsString)> =
        NAMES.iter().filter_map(|name| Some((*name, sandbox.get(name)?.to_owned()))).collect();
    Environment::new(Os::CURRENT, vars).in_folder(sandbox.root())
}

pub(crate) fn go_env(sandbox: &GoSandbox) -> GoEnv {
    GoEnv::find(&environment(sandbox), &Flags::default())
}

pub(crate) fn try_needs(sandbox: &GoSandbox, folders: &[&Path]) -> Result<Needs, NeedsError> {
    let folders: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    let modcache = Dir::open_root(&sandbox.gomodcache()).expect("open the module cache");
    needs(&folders, &modcache, &go_env(sandbox), &Meter::default())
}

pub(crate) fn needs_of(sandbox: &GoSandbox, folders: &[&Path]) -> Needs {
    try_needs(sandbox, folders).unwrap_or_else(|error| panic!("{error}"))
}

/// Repeatable numbers.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % bound
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
