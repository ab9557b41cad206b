//! The go.sum files of a project: its own, or the go.work.sum of a workspace with its members'.

use larder_go::go_sum::{GoSum, ReadError};
use larder_go::needs::Project;

/// Those that are there.
pub(crate) fn read(project: &Project) -> Result<Vec<GoSum>, ReadError> {
    project.sums.iter().filter_map(|path| GoSum::read(path).transpose()).collect()
}
