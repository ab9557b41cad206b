//! Between the command line and the engine: settings into its configuration, its errors into
//! exit codes and hints.

use std::path::{Path, PathBuf};

use larder_core::{Allocated, CacheKind, Target};
use larder_engine::{Config, EngineError, Wishes, World};
use larder_fs::trash::TrashError;
use larder_fs::{LockError, Restored};
use larder_go::locate::{Environment, Flags};

use crate::args::PolicyArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit, chain};

/// The machine as the engine sees it.
pub(crate) fn world(context: &Context<'_>) -> Result<World, CliError> {
    let flags = Flags { gocache: context.gocache()?, gomodcache: context.gomodcache()? };
    Ok(World::discover(Environment::current(), &flags))
}

/// The machine without any flag.
pub(crate) fn world_of_environment() -> World {
    World::discover(Environment::current(), &Flags::default())
}

/// The settings as the engine sees them. Without a home folder there is no state folder; what
/// needs one asks [`Context::state_folder`] first.
pub(crate) fn config(context: &Context<'_>) -> Config {
    let settings = context.settings();
    Config {
        profile: settings.profile,
        roots: settings.roots.clone(),
        state: settings.state.clone().unwrap_or_default(),
        build: settings.build.clone(),
        fuzz: settings.fuzz.clone(),
        modules: settings.modules.clone(),
        toolchain: settings.toolchain.clone(),
        vcs: settings.vcs.clone(),
        trash: settings.trash,
        trash_keep: settings.trash_keep,
        plan_max_age: settings.plan_max_age,
        wait: crate::args::RemoveArgs::WAIT,
    }
}

/// The flags of a prune as the engine sees them.
pub(crate) fn wishes(flags: &PolicyArgs) -> Result<Wishes, CliError> {
    Ok(Wishes {
        max_size: flags.max_size.map(Allocated),
        max_age: flags.max_age,
        keep_used: flags
            .keep_used
            .iter()
            .map(|dir| folder("--keep-used", dir))
            .collect::<Result<_, _>>()?,
        keep_versions: flags.keep_versions,
        orphans: flags.orphans,
        waste: flags.waste,
        protect: flags.protect,
    })
}

/// A folder that a flag names, absolute and there.
pub(crate) fn folder(flag: &str, dir: &Path) -> Result<PathBuf, CliError> {
    let wrong = |why: String| {
        let error = CliError::usage(format!("{flag} {}: {why}", dir.display()));
        match dir.to_str().and_then(|name| name.parse::<CacheKind>().ok()) {
            Some(cache) => error.hint({
                let verb = if flag == "--keep-used" { "prune" } else { "verify" };
                format!("name caches first: larder {verb} {cache} {flag} …")
            }),
            None => error.hint("name a folder that holds projects, as in ~/src"),
        }
    };
    let path = std::path::absolute(dir).map_err(|error| wrong(error.to_string()))?;
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => Ok(path),
        Ok(_) => Err(wrong("it is not a folder".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// What of a cache a path of a plan's file is; `None` for what no plan may name.
pub(crate) fn classify(cache: CacheKind, rel: &Path) -> Option<Target> {
    larder_engine::plan::classify(cache, rel)
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        let what = chain(&error);
        match error {
            EngineError::Request(bad) => Self::usage(what).hint(bad.hint()),
            EngineError::Needs(_) => {
                Self::usage(what).hint("mend it or leave its folder out; nothing was touched")
            }
            EngineError::NoCache(_) | EngineError::Net(_) => Self::usage(what),
            EngineError::NoSumDb => Self::usage(what).hint("leave out --sumdb, or set GOSUMDB"),
            EngineError::GoSum { .. } => {
                Self::usage(what).hint("mend it, or leave its folder out of --roots")
            }
            EngineError::NotACache { .. } => {
                Self::refused(what).hint("larder touches only what it can prove to be a cache")
            }
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::Lock(LockError::Busy { .. }) => Self::new(Exit::Busy, what)
                .hint("another larder is at work on it; wait longer with --wait 5m"),
            EngineError::Lock(LockError::Stopped) | EngineError::Interrupted => {
                Self::new(Exit::Interrupted, "interrupted; nothing was removed")
            }
            EngineError::Trash { .. } => {
                Self::refused(what).hint("--no-trash removes for good, without a way back")
            }
            EngineError::Lock(LockError::Io { .. }) | EngineError::Read { .. } => {
                Self::refused(what)
            }
        }
    }
}

impl From<TrashError> for CliError {
    fn from(error: TrashError) -> Self {
        let what = chain(&error);
        match error {
            TrashError::NotFound { .. } | TrashError::BadId { .. } => {
                Self::usage(what).hint("see what is there with larder trash")
            }
            TrashError::Locked(LockError::Busy { .. }) => {
                Self::new(Exit::Busy, what).hint("another larder is at work on it; try again")
            }
            TrashError::Locked(LockError::Stopped) => Self::new(Exit::Interrupted, what),
            TrashError::Emptied { .. } | TrashError::Locked(_) | TrashError::Io { .. } => {
                Self::refused(what)
            }
        }
    }
}

/// How a restore ends.
pub(crate) fn exit(restored: &Restored) -> Exit {
    if restored.complete { Exit::Done } else { Exit::Partly }
}
