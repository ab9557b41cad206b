//! Where interrupted work on a Redis goes on: a file in the state folder for each Redis.
//!
//! It holds the plan as its own file said, with its approval, so that what goes on is what was
//! approved: an edit of the file is seen as an edit of the plan would be.

use std::path::{Path, PathBuf};

use larder_redis::Stopped;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::exit::{CliError, Exit};
use crate::redis_target::RedisTarget;

const SCHEMA: &str = "larder/resume/2";

/// What was being done, and how far it had got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResumeFile {
    /// The plan.
    pub document: Value,
    /// By the index of the plan's item, where each node is.
    pub items: Vec<(usize, Vec<Stopped>)>,
}

#[derive(Serialize, Deserialize)]
struct WireResume {
    schema: String,
    plan: Value,
    items: Vec<WireItem>,
}

#[derive(Serialize, Deserialize)]
struct WireItem {
    item: usize,
    nodes: Vec<WireStopped>,
}

#[derive(Serialize, Deserialize)]
struct WireStopped {
    node: String,
    run_id: String,
    cursor: Option<u64>,
    changed: u64,
    begun_ms: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slots: Vec<(u16, u16)>,
}

impl ResumeFile {
    /// Where the nodes of an item are.
    pub(crate) fn of(&self, item: usize) -> &[Stopped] {
        self.items.iter().find(|(index, _)| *index == item).map_or(&[], |(_, nodes)| nodes)
    }

    /// Takes in where a node is.
    pub(crate) fn put(&mut self, item: usize, stopped: Stopped) {
        let at = self.items.iter().position(|(index, _)| *index == item);
        let at = at.unwrap_or_else(|| {
            self.items.push((item, Vec::new()));
            self.items.len() - 1
        });
        let nodes = &mut self.items[at].1;
        match nodes.iter_mut().find(|node| node.node == stopped.node) {
            Some(node) => *node = stopped,
            None => nodes.push(stopped),
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
            let what = format!("no work on {} was interrupted", target.cache);
            return Err(CliError::usage(what).hint("begin it, with --match and what else is meant"));
        }
        Err(error) => return Err(CliError::io("read", &path, &error).with_exit(Exit::Usage)),
    };
    let bad = |why: String| CliError::usage(format!("{}: {why}", path.display()));
    let wire: WireResume = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if wire.schema != SCHEMA {
        return Err(bad(format!("it is a {}, which this larder does not know", wire.schema)));
    }
    let stopped = |node: WireStopped| Stopped {
        node: node.node,
        run_id: node.run_id,
        cursor: node.cursor,
        changed: node.changed,
        begun: node.begun_ms,
        slots: node.slots,
    };
    let items = wire.items.into_iter();
    let items = items.map(|item| (item.item, item.nodes.into_iter().map(stopped).collect()));
    Ok(ResumeFile { document: wire.plan, items: items.collect() })
}

/// Writes it whole.
pub(crate) fn write(path: &Path, file: &ResumeFile) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let stopped = |node: &Stopped| WireStopped {
        node: node.node.clone(),
        run_id: node.run_id.clone(),
        cursor: node.cursor,
        changed: node.changed,
        begun_ms: node.begun,
        slots: node.slots.clone(),
    };
    let items = file.items.iter();
    let items = items
        .map(|(item, nodes)| WireItem { item: *item, nodes: nodes.iter().map(stopped).collect() });
    let wire = WireResume {
        schema: SCHEMA.to_owned(),
        plan: file.document.clone(),
        items: items.collect(),
    };
    larder_fs::write_atomic(path, crate::wire_plan::file_text(&wire).as_bytes())
}

/// What is done needs no file; one that cannot be removed is overwritten by the next run.
pub(crate) fn forget(path: &Path) {
    let _ = larder_fs::forget_file(path);
}
