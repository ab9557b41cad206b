//! Counters of a receiver, for metrics.

use crate::receiver::Kind;

/// What became of the notices of one receiver since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverCounts {
    /// Its name.
    pub receiver: String,
    /// What it is.
    pub kind: Kind,
    /// Notices that it took, those sent again to Alertmanager included.
    pub sent: u64,
    /// Notices that were given up.
    pub failed: u64,
    /// Notices that the queue had no room for.
    pub dropped: u64,
    /// Notices that a newer occasion of the same alerts replaced before they were sent.
    pub replaced: u64,
    /// Attempts that failed and were made again.
    pub retried: u64,
    /// Notices that wait now, the one on its way included.
    pub queued: usize,
}
