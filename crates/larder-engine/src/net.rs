//! Whom the engine speaks to: the proxies, the checksum database and the go command that this
//! machine is set up with, for one module cache.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::Meter;
use larder_fs::Dir;
use larder_go::goflags;
use larder_modules::{
    Expect, Fetcher, GoCommand, NetOptions, NetSettings, Proxies, Reach, SettingsError, SumDb,
    SumDbError,
};

use crate::config::Config;
use crate::world::World;

/// The settings of the network, resolved; nobody is asked yet.
#[derive(Debug)]
pub struct Net {
    /// As the go command has them.
    pub settings: NetSettings,
    /// Where modules come from.
    pub proxies: Proxies,
    /// What proves them; `None` where GOSUMDB is `off`.
    pub database: Option<SumDb>,
    go: Result<GoCommand, String>,
    writable: bool,
}

/// The network cannot be used with these settings.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// GOPROXY is missing or wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// GOSUMDB is wrong, or its place in the cache cannot be used.
    #[error(transparent)]
    SumDb(#[from] SumDbError),
}

impl Net {
    /// Reads the settings. At most `jobs` connections go to one host.
    pub fn new(
        world: &World,
        config: &Config,
        modcache: &Dir,
        jobs: usize,
    ) -> Result<Self, NetError> {
        let settings = NetSettings::from_env(&world.environment);
        let proxies = Proxies::new(&settings, NetOptions { jobs, ..NetOptions::default() })?;
        let gopath = world.go.gopath.first().cloned().unwrap_or_default();
        let reach = Reach::Network(proxies.clone());
        let database = SumDb::new(&settings, modcache, &gopath, reach)?;
        let writable = goflags::is_set(&world.go.goflags.value, "modcacherw");
        Ok(Self { settings, proxies, database, go: go_command(world, config, modcache), writable })
    }

    /// Fetches into `root` what `expect` agrees to.
    pub fn fetcher<'a>(
        &'a self,
        root: &'a Dir,
        expect: &'a dyn Expect,
        wait: Duration,
        meter: &'a Meter,
    ) -> Fetcher<'a> {
        Fetcher {
            root,
            source: &self.proxies,
            expect,
            direct: self.go.as_ref().map_err(String::as_str),
            writable: self.writable,
            wait,
            meter,
        }
    }
}

/// As many versions at a time as the go command takes, and so many connections to a host
/// (`cmd/go/internal/modcmd/download.go`, `runDownload`; `runtime.GOMAXPROCS`).
pub fn most_jobs(world: &World) -> usize {
    let set = world.environment.var("GOMAXPROCS").and_then(|text| text.to_str()?.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    set.filter(|jobs| *jobs > 0).unwrap_or_else(cores)
}

fn go_command(world: &World, config: &Config, modcache: &Dir) -> Result<GoCommand, String> {
    let name = if cfg!(windows) { "go.exe" } else { "go" };
    let program = world.go.goroot.as_ref().map(|root| root.join("bin").join(name));
    let program: Option<PathBuf> = program.filter(|program| program.is_file());
    Ok(GoCommand {
        program: program.ok_or("the go command, which fetches it, is not installed")?,
        gomodcache: modcache.path().as_os_str().to_owned(),
        folder: config.state.join("direct"),
    })
}
