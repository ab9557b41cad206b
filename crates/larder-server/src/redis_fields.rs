//! Which fields of `INFO` are metrics, under the names of `redis_exporter`.
//!
//! Leaves out what that exporter shows in units that are no base units (`…_duration_sec`), and what
//! only its own settings make (keys of patterns, sizes of keys).

use crate::names::{Family, MetricKind};

/// How a field becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// As it stands.
    Number,
    /// `ok` and `up` are 1, anything else is 0.
    Good,
    /// Millionths of a second.
    Micros,
}

impl Read {
    pub(crate) fn value(self, text: &str) -> Option<f64> {
        match self {
            Self::Number => text.parse().ok(),
            Self::Good => Some(f64::from(u8::from(matches!(text, "ok" | "up")))),
            Self::Micros => text.parse::<f64>().ok().map(|micros| micros / 1e6),
        }
    }
}

pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(name, MetricKind::Gauge, help)
}

pub(crate) const fn counter(name: &'static str, help: &'static str) -> Family {
    Family::new(name, MetricKind::Counter, help)
}

/// A metric, the field that it is read from, and how.
type Field = (Family, &'static str, Read);

const fn field(name: &'static str, from: &'static str, help: &'static str) -> Field {
    (gauge(name, help), from, Read::Number)
}

const fn count(name: &'static str, from: &'static str, help: &'static str) -> Field {
    (counter(name, help), from, Read::Number)
}

const fn good(name: &'static str, from: &'static str, help: &'static str) -> Field {
    (gauge(name, help), from, Read::Good)
}

/// Fields of a server.
pub(crate) const FIELDS: &[Field] = &[
    field("redis_uptime_in_seconds", "uptime_in_seconds", "How long the server has run."),
    field("redis_connected_clients", "connected_clients", "Clients that are connected."),
    field("redis_blocked_clients", "blocked_clients", "Clients that wait in a command."),
    field("redis_config_maxclients", "maxclients", "Clients that may be connected."),
    field("redis_memory_used_bytes", "used_memory", "Memory in use."),
    field("redis_memory_used_peak_bytes", "used_memory_peak", "The most that was in use."),
    field("redis_memory_used_rss_bytes", "used_memory_rss", "Memory that the system gave."),
    field(
        "redis_memory_used_overhead_bytes",
        "used_memory_overhead",
        "What the server needs for itself.",
    ),
    field("redis_memory_used_startup_bytes", "used_memory_startup", "What it needed at its start."),
    field("redis_memory_used_dataset_bytes", "used_memory_dataset", "What the data takes."),
    field("redis_memory_used_lua_bytes", "used_memory_lua", "What the Lua machine takes."),
    field("redis_memory_used_scripts_bytes", "used_memory_scripts", "What kept scripts take."),
    field("redis_memory_max_bytes", "maxmemory", "Memory that may be used; 0 for no limit."),
    field("redis_config_maxmemory", "maxmemory", "The same, by its other name."),
    field("redis_total_system_memory_bytes", "total_system_memory", "Memory of the machine."),
    field(
        "redis_memory_fragmentation_ratio",
        "mem_fragmentation_ratio",
        "Memory given against memory in use.",
    ),
    field(
        "redis_mem_fragmentation_ratio",
        "mem_fragmentation_ratio",
        "The same, by its newer name.",
    ),
    field(
        "redis_mem_fragmentation_bytes",
        "mem_fragmentation_bytes",
        "Memory given beyond memory in use.",
    ),
    field("redis_allocator_allocated_bytes", "allocator_allocated", "Bytes that are allocated."),
    field("redis_allocator_active_bytes", "allocator_active", "Bytes in pages that are in use."),
    field("redis_allocator_resident_bytes", "allocator_resident", "Bytes that are resident."),
    field("redis_allocator_frag_ratio", "allocator_frag_ratio", "Active against allocated."),
    field("redis_allocator_frag_bytes", "allocator_frag_bytes", "Active beyond allocated."),
    field("redis_allocator_rss_ratio", "allocator_rss_ratio", "Resident against active."),
    field("redis_allocator_rss_bytes", "allocator_rss_bytes", "Resident beyond active."),
    field("redis_mem_clients_normal", "mem_clients_normal", "Bytes that clients take."),
    field("redis_mem_clients_slaves", "mem_clients_slaves", "Bytes that replicas take."),
    field("redis_active_defrag_running", "active_defrag_running", "Whether it defragments now."),
    field(
        "redis_lazyfree_pending_objects",
        "lazyfree_pending_objects",
        "Values that wait to be freed in the background.",
    ),
    count("redis_keyspace_hits_total", "keyspace_hits", "Look-ups that found a key."),
    count("redis_keyspace_misses_total", "keyspace_misses", "Look-ups that found none."),
    count("redis_evicted_keys_total", "evicted_keys", "Keys that went for lack of memory."),
    count("redis_expired_keys_total", "expired_keys", "Keys that went at their time."),
    field(
        "redis_expired_stale_percentage",
        "expired_stale_perc",
        "Keys that should have gone and are there, in percent.",
    ),
    count("redis_commands_processed_total", "total_commands_processed", "Commands of all kinds."),
    count(
        "redis_connections_received_total",
        "total_connections_received",
        "Connections that were taken.",
    ),
    count(
        "redis_rejected_connections_total",
        "rejected_connections",
        "Connections beyond the limit.",
    ),
    count("redis_net_input_bytes_total", "total_net_input_bytes", "Bytes from clients."),
    count("redis_net_output_bytes_total", "total_net_output_bytes", "Bytes to clients."),
    count("redis_cpu_sys_seconds_total", "used_cpu_sys", "Processor time in the system."),
    count("redis_cpu_user_seconds_total", "used_cpu_user", "Processor time of its own."),
    count(
        "redis_cpu_sys_children_seconds_total",
        "used_cpu_sys_children",
        "Processor time of saves in the system.",
    ),
    count(
        "redis_cpu_user_children_seconds_total",
        "used_cpu_user_children",
        "Processor time of saves of their own.",
    ),
    field("redis_pubsub_channels", "pubsub_channels", "Channels that somebody listens to."),
    field("redis_pubsub_patterns", "pubsub_patterns", "Patterns that somebody listens to."),
    (
        gauge("redis_latest_fork_seconds", "How long the last fork took."),
        "latest_fork_usec",
        Read::Micros,
    ),
    field("redis_tracking_clients", "tracking_clients", "Clients that are told of changes."),
    field("redis_loading_dump_file", "loading", "Whether it loads its data now."),
    field(
        "redis_rdb_changes_since_last_save",
        "rdb_changes_since_last_save",
        "Changes that no snapshot holds.",
    ),
    field("redis_rdb_bgsave_in_progress", "rdb_bgsave_in_progress", "Whether it saves now."),
    field(
        "redis_rdb_last_save_timestamp_seconds",
        "rdb_last_save_time",
        "When it last saved a snapshot.",
    ),
    good(
        "redis_rdb_last_bgsave_status",
        "rdb_last_bgsave_status",
        "Whether the last snapshot was saved.",
    ),
    field(
        "redis_rdb_last_cow_size_bytes",
        "rdb_last_cow_size",
        "What was copied while the last snapshot was saved.",
    ),
    field("redis_aof_enabled", "aof_enabled", "Whether it keeps a log of changes."),
    field(
        "redis_aof_rewrite_in_progress",
        "aof_rewrite_in_progress",
        "Whether it writes that log anew.",
    ),
    field("redis_aof_rewrite_scheduled", "aof_rewrite_scheduled", "Whether it will do so."),
    good(
        "redis_aof_last_bgrewrite_status",
        "aof_last_bgrewrite_status",
        "Whether the log was last written anew without an error.",
    ),
    good(
        "redis_aof_last_write_status",
        "aof_last_write_status",
        "Whether the last write to the log went well.",
    ),
    field("redis_aof_current_size_bytes", "aof_current_size", "What the log takes."),
    field("redis_aof_base_size_bytes", "aof_base_size", "What it took when it was last new."),
    field("redis_cluster_enabled", "cluster_enabled", "Whether it is part of a cluster."),
    field("redis_connected_slaves", "connected_slaves", "Replicas that are connected."),
    field("redis_master_repl_offset", "master_repl_offset", "How far its stream of changes is."),
    field("redis_repl_backlog_is_active", "repl_backlog_active", "Whether it keeps a backlog."),
    field("redis_replication_backlog_bytes", "repl_backlog_size", "What the backlog may hold."),
    field("redis_repl_backlog_history_bytes", "repl_backlog_histlen", "What the backlog holds."),
    field("redis_replica_resyncs_full", "sync_full", "Replicas that began anew."),
    field(
        "redis_replica_partial_resync_accepted",
        "sync_partial_ok",
        "Replicas that went on where they were.",
    ),
    field(
        "redis_replica_partial_resync_denied",
        "sync_partial_err",
        "Replicas that wanted to and could not.",
    ),
    field("redis_slave_priority", "slave_priority", "In which order replicas become master."),
    field(
        "redis_slave_expires_tracked_keys",
        "slave_expires_tracked_keys",
        "Keys that a writable replica lets expire itself.",
    ),
    field("redis_total_error_replies", "total_error_replies", "Errors that were answered."),
    field("redis_process_id", "process_id", "The number of its process."),
];

/// Fields of a replica, with its master in labels.
pub(crate) const OF_ITS_MASTER: &[Field] = &[
    good("redis_master_link_up", "master_link_status", "Whether the replica has its master."),
    field(
        "redis_master_last_io_seconds_ago",
        "master_last_io_seconds_ago",
        "Since when the replica has heard nothing of its master; -1 while it has none.",
    ),
    field(
        "redis_master_sync_in_progress",
        "master_sync_in_progress",
        "Whether the replica gets all data anew.",
    ),
    field("redis_slave_repl_offset", "slave_repl_offset", "How far the replica is."),
];

/// What a master says of each replica, with the replica in labels.
pub(crate) const OF_ITS_REPLICAS: &[(Family, &str)] = &[
    (gauge("redis_connected_slave_offset_bytes", "How far the replica is."), "offset"),
    (gauge("redis_connected_slave_lag_seconds", "Since when the replica has told nothing."), "lag"),
];
