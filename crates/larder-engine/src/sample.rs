//! A status as samples: what history keeps of Go's caches.

use std::path::Path;
use std::time::Duration;

use larder_core::Sample;

use crate::report::{DiskLine, State, StatusReport, StatusRow};

/// A sample of each cache that is there; `took` is what measuring all of them took.
pub fn samples(report: &StatusReport, took: Duration) -> Vec<Sample> {
    let there = report.rows.iter().filter(|row| row.state == State::Ok);
    there.map(|row| sample(report, row, took)).collect()
}

fn sample(report: &StatusReport, row: &StatusRow, took: Duration) -> Sample {
    let disk = disk_of(&report.disks, row.link_target.as_deref().unwrap_or(&row.path));
    Sample {
        files: Some(row.size.files),
        logical_bytes: Some(row.size.logical.0),
        allocated_bytes: Some(row.size.allocated.0),
        reclaimable_bytes: Some(row.reclaimable.0),
        budget_bytes: row.budget.map(|budget| budget.0),
        disk: disk.map(|disk| disk.mount.display().to_string()),
        disk_free_bytes: disk.map(|disk| disk.free),
        disk_size_bytes: disk.map(|disk| disk.total),
        last_used: row.last_used,
        oldest_use: row.oldest_use,
        ..Sample::empty(row.cache.name(), report.taken_at, took)
    }
}

/// The disk that a path is on: the one whose mount point is nearest above it.
fn disk_of<'a>(disks: &'a [DiskLine], path: &Path) -> Option<&'a DiskLine> {
    let above = disks.iter().filter(|disk| path.starts_with(&disk.mount));
    above.max_by_key(|disk| disk.mount.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_nearest_disk_above_it() {
        let disk = |mount: &str| DiskLine { mount: mount.into(), free: 1, total: 2 };
        let disks = [disk("/"), disk("/home"), disk("/home/me/cache")];
        let of = |path: &str| disk_of(&disks, Path::new(path)).map(|disk| disk.mount.clone());
        assert_eq!(of("/home/me/go"), Some("/home".into()));
        assert_eq!(of("/homes"), Some("/".into()));
        assert_eq!(of("relative"), None);
    }
}
