//! The module cache's part of a verification: what it is held against.

use larder_core::{Meter, Verification};
use larder_fs::Dir;
use larder_go::mod_verify::ModVerify;

use crate::config::Config;
use crate::error::EngineError;
use crate::verify::Wanted;
use crate::world::World;

/// Verifies GOMODCACHE.
#[expect(clippy::unnecessary_wraps, reason = "go.sum files and the checksum database can fail")]
pub(crate) fn verify(
    _world: &World,
    _config: &Config,
    wanted: &Wanted,
    dir: &Dir,
    meter: &Meter,
) -> Result<Verification, EngineError> {
    let verify = ModVerify {
        root: dir,
        sums: &[],
        database: None,
        only: wanted.only.as_deref(),
        threads: 0,
        meter,
    };
    Ok(verify.run())
}
