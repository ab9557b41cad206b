//! Where an interrupted clean of a Redis goes on: a file in the state folder for each Redis.

use std::path::{Path, PathBuf};

use larder_core::KeysItem;
use larder_redis::Stopped;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::exit::{CliError, Exit};
use crate::redis_target::RedisTarget;
use crate::wire_keys::WireKeys;

const SCHEMA: &str = "larder/resume/1";

/// What was being done, and how far it had got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResumeFile {
    pub plan_id: String,
    pub item: KeysItem,
    pub nodes: Vec<Stopped>,
}

#[derive(Serialize, Deserialize)]
struct WireResume {
    schema: String,
    plan_id: String,
    cache: String,
    reason: String,
    keys: WireKeys,
    nodes: Vec<WireStopped>,
}

#[derive(Serialize, Deserialize)]
struct WireStopped {
    node: String,
    run_id: String,
    cursor: Option<u64>,
    removed: u64,
}

impl ResumeFile {
    /// Takes in where a node is.
    pub(crate) fn put(&mut self, stopped: Stopped) {
        match self.nodes.iter_mut().find(|node| node.node == stopped.node) {
            Some(node) => *node = stopped,
            None => self.nodes.push(stopped),
        }
    }
}

/// The file of this Redis.
pub(crate) fn path(state: &Path, target: &RedisTarget) -> PathBuf {
    state.join("redis").join(format!("resume-{}.json", file_name(&target.endpoint.url())))
}

/// A name for files about the Redis at this URL.
pub(crate) fn file_name(url: &str) -> String {
    let digest = Sha256::digest(url.as_bytes());
    let name = digest.iter().take(6).fold(0_u64, |name, byte| name << 8 | u64::from(*byte));
    format!("{name:012x}")
}

/// Reads it.
pub(crate) fn read(state: &Path, target: &RedisTarget) -> Result<ResumeFile, CliError> {
    let path = path(state, target);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let what = format!("no clean of {} was interrupted", target.cache);
            return Err(CliError::usage(what).hint("begin one: larder clean … --match …"));
        }
        Err(error) => return Err(CliError::io("read", &path, &error).with_exit(Exit::Usage)),
    };
    let bad = |why: String| CliError::usage(format!("{}: {why}", path.display()));
    let wire: WireResume = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if wire.schema != SCHEMA {
        return Err(bad(format!("it is a {}, which this larder does not know", wire.schema)));
    }
    let nodes = wire.nodes.into_iter().map(|node| Stopped {
        node: node.node,
        run_id: node.run_id,
        cursor: node.cursor,
        removed: node.removed,
    });
    Ok(ResumeFile {
        plan_id: wire.plan_id,
        item: wire.keys.item(&wire.cache, &wire.reason).map_err(bad)?,
        nodes: nodes.collect(),
    })
}

/// Writes it whole.
pub(crate) fn write(path: &Path, file: &ResumeFile) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let nodes = file.nodes.iter().map(|node| WireStopped {
        node: node.node.clone(),
        run_id: node.run_id.clone(),
        cursor: node.cursor,
        removed: node.removed,
    });
    let wire = WireResume {
        schema: SCHEMA.to_owned(),
        plan_id: file.plan_id.clone(),
        cache: file.item.cache.clone(),
        reason: file.item.reason.to_string(),
        keys: WireKeys::from(&file.item),
        nodes: nodes.collect(),
    };
    larder_fs::write_atomic(path, crate::wire_plan::file_text(&wire).as_bytes())
}

/// What is done needs no file; one that cannot be removed is overwritten by the next run.
pub(crate) fn forget(path: &Path) {
    let _ = larder_fs::forget_file(path);
}
