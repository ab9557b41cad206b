//! The last reading of each Redis's counters, so that the next `larder status` can say what
//! happened since: a file in the state folder for each server.
//!
//! Commands whose look-ups a server counts as hits and misses say so here; the rate is shown
//! without them. What cannot be read or written costs only the window, never the command.

use std::path::{Path, PathBuf};

use larder_core::Time;
use larder_redis::select::Caused;
use larder_redis::{Endpoint, Reading, Readings};
use serde::{Deserialize, Serialize};

use crate::key_resume::file_name;

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    nodes: Vec<KeptReading>,
    own_before: KeptCaused,
    own_since: KeptCaused,
    own_at: Option<i64>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct KeptCaused {
    hits: u64,
    misses: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptReading {
    node: String,
    run_id: String,
    at: i64,
    uptime: u64,
    hits: u64,
    misses: u64,
    evicted: u64,
    rejected: u64,
    commands: u64,
    connections: u64,
}

/// Counters are the server's, whichever database or user asks.
fn path(state: &Path, endpoint: &Endpoint) -> PathBuf {
    state.join("redis").join(format!("reading-{}.json", file_name(endpoint.address())))
}

/// What was kept of this Redis; nothing where that cannot be read.
pub(crate) fn read(state: &Path, endpoint: &Endpoint) -> Readings {
    let text = std::fs::read(path(state, endpoint)).unwrap_or_default();
    let kept: Kept = serde_json::from_slice(&text).unwrap_or_default();
    let nodes = kept.nodes.into_iter().map(|kept| Reading {
        node: kept.node,
        run_id: kept.run_id,
        at: Time::from_unix_nanos(kept.at),
        uptime: kept.uptime,
        hits: kept.hits,
        misses: kept.misses,
        evicted: kept.evicted,
        rejected: kept.rejected,
        commands: kept.commands,
        connections: kept.connections,
    });
    Readings {
        nodes: nodes.collect(),
        own_before: kept.own_before.into(),
        own_since: kept.own_since.into(),
        own_at: kept.own_at.map(Time::from_unix_nanos),
    }
}

/// Writes it whole. Where that cannot be, the next rate is since the server started.
pub(crate) fn write(state: &Path, endpoint: &Endpoint, readings: &Readings) {
    let nodes = readings.nodes.iter().map(|reading| KeptReading {
        node: reading.node.clone(),
        run_id: reading.run_id.clone(),
        at: reading.at.unix_nanos(),
        uptime: reading.uptime,
        hits: reading.hits,
        misses: reading.misses,
        evicted: reading.evicted,
        rejected: reading.rejected,
        commands: reading.commands,
        connections: reading.connections,
    });
    let kept = Kept {
        nodes: nodes.collect(),
        own_before: readings.own_before.into(),
        own_since: readings.own_since.into(),
        own_at: readings.own_at.map(Time::unix_nanos),
    };
    let path = path(state, endpoint);
    let made = path.parent().map(std::fs::create_dir_all);
    if let (Some(Ok(())), Ok(text)) = (made, serde_json::to_vec(&kept)) {
        let _ = larder_fs::write_atomic(&path, &text);
    }
}

/// Takes note of hits and misses that a command's own look-ups were counted as.
pub(crate) fn add_own(state: Option<&Path>, endpoint: &Endpoint, caused: Caused) {
    let Some(state) = state.filter(|_| caused != Caused::default()) else { return };
    let mut readings = read(state, endpoint);
    readings.add_own(caused, larder_fs::now());
    write(state, endpoint, &readings);
}

impl From<KeptCaused> for Caused {
    fn from(kept: KeptCaused) -> Self {
        Self { hits: kept.hits, misses: kept.misses }
    }
}

impl From<Caused> for KeptCaused {
    fn from(caused: Caused) -> Self {
        Self { hits: caused.hits, misses: caused.misses }
    }
}
