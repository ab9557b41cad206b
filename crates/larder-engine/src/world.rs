//! Discover: the two roots as they stand now, each proved to be a cache or said why not.

use std::path::{Path, PathBuf};

use larder_core::plan::PlanRoot;
use larder_core::{CacheKind, RootKind};
use larder_fs::Dir;
use larder_go::build_layout::{self, BuildLayout};
use larder_go::locate::{Environment, Flags, GoEnv, RootState, Setting, open_root};
use larder_go::mod_layout::{self, ModLayout};
use larder_go::running::{GoProcess, running};

use crate::error::EngineError;
use crate::report::State;

/// What larder sees of the machine before it measures anything.
#[derive(Debug)]
pub struct World {
    /// Where it was looked.
    pub environment: Environment,
    /// The go command's settings.
    pub go: GoEnv,
    /// GOCACHE.
    pub gocache: Root,
    /// GOMODCACHE.
    pub gomodcache: Root,
}

/// One of the two roots.
#[derive(Debug)]
pub struct Root {
    /// Which.
    pub kind: RootKind,
    /// Its path, or where it would be.
    pub path: PathBuf,
    /// What stands there.
    pub standing: Standing,
}

/// What stands where a root should be.
#[derive(Debug)]
pub enum Standing {
    /// A cache, held open.
    Proved {
        /// The folder.
        dir: Dir,
        /// Where the root leads when it is itself a symlink.
        link_target: Option<PathBuf>,
        /// The proof that it is a cache.
        layout: Layout,
    },
    /// Nothing yet, or nothing that can be examined; the sentence says what and what next.
    Not {
        /// In one word.
        state: State,
        /// In one sentence without a full stop.
        sentence: String,
    },
    /// A folder that is not a cache, which larder does not touch.
    Foreign {
        /// Why it is not taken for one.
        sentence: String,
    },
}

/// The proof that a folder is a cache.
#[derive(Debug)]
pub enum Layout {
    /// A build cache.
    Build(BuildLayout),
    /// A module cache.
    Mod(ModLayout),
}

impl World {
    /// Finds both roots as the go command would.
    pub fn discover(environment: Environment, flags: &Flags) -> Self {
        let go = GoEnv::find(&environment, flags);
        let gocache = Root::find(RootKind::GoCache, &go.gocache);
        let gomodcache = Root::find(RootKind::GoModCache, &go.gomodcache);
        Self { environment, go, gocache, gomodcache }
    }

    /// The root that a cache lives in.
    pub fn root(&self, cache: CacheKind) -> &Root {
        match cache.root() {
            RootKind::GoCache => &self.gocache,
            RootKind::GoModCache => &self.gomodcache,
        }
    }

    /// The go commands that run now and use this root, or may.
    pub fn builds(&self, kind: RootKind) -> Vec<GoProcess> {
        running()
            .into_iter()
            .filter(|process| match kind {
                RootKind::GoCache => process.may_use_gocache(&self.gocache.path),
                RootKind::GoModCache => process.may_use_gomodcache(&self.gomodcache.path),
            })
            .collect()
    }
}

impl Root {
    fn find(kind: RootKind, setting: &Setting) -> Self {
        let path = setting.path().map(Path::to_path_buf).unwrap_or_default();
        let standing = match open_root(kind, setting) {
            RootState::Ready { dir, link_target, .. } => prove(kind, dir, link_target),
            other => Standing::Not { state: state(&other), sentence: other.to_string() },
        };
        Self { kind, path, standing }
    }

    /// The folder, where it is a cache.
    pub fn dir(&self) -> Option<&Dir> {
        match &self.standing {
            Standing::Proved { dir, .. } => Some(dir),
            _ => None,
        }
    }

    /// The folder and layout of a build cache.
    pub fn build(&self) -> Option<(&Dir, &BuildLayout)> {
        match &self.standing {
            Standing::Proved { dir, layout: Layout::Build(layout), .. } => Some((dir, layout)),
            _ => None,
        }
    }

    /// The folder and layout of a module cache.
    pub fn modules(&self) -> Option<(&Dir, &ModLayout)> {
        match &self.standing {
            Standing::Proved { dir, layout: Layout::Mod(layout), .. } => Some((dir, layout)),
            _ => None,
        }
    }

    /// The folder, or the error that says why there is none to act on. Nothing there yet is no
    /// error: `None`.
    pub fn to_act_on(&self) -> Result<Option<&Dir>, EngineError> {
        match &self.standing {
            Standing::Proved { dir, .. } => Ok(Some(dir)),
            Standing::Not { state: State::Absent, .. } => Ok(None),
            Standing::Not { sentence, .. } => Err(EngineError::NoCache(sentence.clone())),
            Standing::Foreign { sentence } => Err(EngineError::NotACache {
                kind: self.kind,
                path: self.path.clone(),
                why: sentence.clone(),
            }),
        }
    }

    /// The root as a plan records it.
    pub fn as_planned(&self) -> Option<PlanRoot> {
        let identity = self.dir()?.identity().ok()?;
        Some(PlanRoot { kind: self.kind, path: self.path.clone(), identity })
    }
}

fn prove(kind: RootKind, dir: Dir, link_target: Option<PathBuf>) -> Standing {
    let proof = match kind {
        RootKind::GoCache => {
            build_layout::prove(&dir).map(Layout::Build).map_err(|e| e.to_string())
        }
        RootKind::GoModCache => mod_layout::prove(&dir).map(Layout::Mod).map_err(|e| e.to_string()),
    };
    match proof {
        Ok(layout) => Standing::Proved { dir, link_target, layout },
        Err(sentence) => Standing::Foreign { sentence },
    }
}

fn state(root: &RootState) -> State {
    match root {
        RootState::Ready { .. } => State::Ok,
        RootState::Absent(..) => State::Absent,
        RootState::Off(_) => State::Disabled,
        RootState::Relative(..)
        | RootState::NotAFolder(..)
        | RootState::Unreadable(..)
        | RootState::Unset(..) => State::Unreachable,
    }
}
