//! The names of all of larder's own metrics, in one place: a contract with dashboards and rules.
//!
//! Rules of naming: <https://prometheus.io/docs/practices/naming/>. What is sampled says so in
//! its help, and when is a metric of its own.

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Goes up and down.
    Gauge,
    /// Only grows until the process ends; its name ends in `_total`.
    Counter,
    /// Always 1; what it tells is in its labels. Its name ends in `_info`.
    Info,
}

/// A metric by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The full name of its series.
    pub name: &'static str,
    /// What it is to Prometheus.
    pub kind: MetricKind,
    /// One sentence.
    pub help: &'static str,
    /// When its values were measured.
    pub measured: Measured,
}

/// When a value was measured: a scrape never measures, so that whoever looks must be able to see how
/// old what is shown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// It is counted as it happens, or is a time itself.
    Now,
    /// By the last sample of its cache.
    Sampled,
    /// By the last full scan.
    Scanned,
    /// When trends were last worked out.
    Foreseen,
    /// When running commands were last counted.
    Counted,
}

impl Measured {
    /// What is added to the help.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Now => "",
            Self::Sampled => SAMPLED,
            Self::Scanned => {
                " By the last full scan; larder_last_scan_timestamp_seconds says when."
            }
            Self::Foreseen => {
                " Worked out now and then; larder_last_trend_timestamp_seconds says when."
            }
            Self::Counted => {
                " Counted on a timer; larder_tasks_last_count_timestamp_seconds says when."
            }
        }
    }
}

impl Family {
    pub(crate) const fn new(name: &'static str, kind: MetricKind, help: &'static str) -> Self {
        Self { name, kind, help, measured: Measured::Now }
    }

    const fn sampled(mut self) -> Self {
        self.measured = Measured::Sampled;
        self
    }

    const fn scanned(mut self) -> Self {
        self.measured = Measured::Scanned;
        self
    }

    const fn foreseen(mut self) -> Self {
        self.measured = Measured::Foreseen;
        self
    }

    const fn counted(mut self) -> Self {
        self.measured = Measured::Counted;
        self
    }
}

const SAMPLED: &str =
    " Sampled on a timer, not when asked; larder_cache_last_sample_timestamp_seconds says when.";

macro_rules! families {
    ($($name:ident = $text:literal $kind:ident $(: $sampled:ident)?, $help:literal;)*) => {
        $(pub(crate) const $name: Family =
            Family::new($text, MetricKind::$kind, $help)$(.$sampled())?;)*

        /// Every metric of larder's own, in the order in which they are written.
        pub const FAMILIES: &[Family] = &[$($name),*];
    };
}

families! {
    BUILD_INFO = "larder_build_info" Info, "The version of larder that answers.";
    CACHE_UP = "larder_cache_up" Gauge: sampled,
        "Whether the last sample of the cache gave values.";
    CACHE_FILES = "larder_cache_files" Gauge: sampled, "Regular files in the cache.";
    CACHE_LOGICAL = "larder_cache_logical_bytes" Gauge: sampled, "What the files say they hold.";
    CACHE_ALLOCATED = "larder_cache_allocated_bytes" Gauge: sampled,
        "What the disk would give back; for a Redis its used memory.";
    CACHE_RECLAIMABLE = "larder_cache_reclaimable_bytes" Gauge: scanned,
        "What the default policy would free.";
    CACHE_BUDGET = "larder_cache_budget_bytes" Gauge: sampled, "What the cache may take.";
    CACHE_LAST_USED = "larder_cache_last_used_timestamp_seconds" Gauge: scanned,
        "When something in the cache was last used.";
    CACHE_OLDEST_USE = "larder_cache_oldest_use_timestamp_seconds" Gauge: scanned,
        "The oldest last use of anything in the cache.";
    CACHE_GROWTH = "larder_cache_growth_bytes_per_second" Gauge: foreseen,
        "How the cache grows, with cleanups taken out.";
    CACHE_GROWTH_LOW = "larder_cache_growth_low_bytes_per_second" Gauge: foreseen,
        "The low end of the interval of the growth.";
    CACHE_GROWTH_HIGH = "larder_cache_growth_high_bytes_per_second" Gauge: foreseen,
        "The high end of the interval of the growth.";
    CACHE_FULL = "larder_cache_full_timestamp_seconds" Gauge: foreseen,
        "When the budget is full, if the cache goes on growing as it does.";
    CACHE_SCORE = "larder_cache_score" Gauge: sampled, "The health of the cache, 0 to 100.";
    CACHE_POINTS = "larder_cache_score_points" Gauge: sampled,
        "What each part gives to the score; the parts add up to it.";
    CACHE_LAST_SAMPLE = "larder_cache_last_sample_timestamp_seconds" Gauge,
        "When the last sample of the cache ended.";
    LAST_SCAN = "larder_last_scan_timestamp_seconds" Gauge,
        "When the last full scan of the Go caches was.";
    LAST_TREND = "larder_last_trend_timestamp_seconds" Gauge,
        "When growth and forecasts were last worked out.";
    TASKS_LAST_COUNT = "larder_tasks_last_count_timestamp_seconds" Gauge,
        "When running go commands were last counted.";
    CACHE_SAMPLE_DURATION = "larder_cache_sample_duration_seconds" Gauge,
        "How long the last sample of the cache took.";
    CACHE_SAMPLES = "larder_cache_samples_total" Counter,
        "Samples of the cache since larder started, failed ones too.";
    CACHE_SAMPLE_FAILURES = "larder_cache_sample_failures_total" Counter,
        "Samples of the cache that gave no values.";
    DISK_FREE = "larder_disk_free_bytes" Gauge: sampled, "Free on the disk of the cache.";
    DISK_SIZE = "larder_disk_size_bytes" Gauge: sampled, "Size of the disk of the cache.";
    CLEANUPS = "larder_cleanups_total" Counter,
        "Cleanups of the cache since larder started, failed ones too.";
    CLEANUP_FAILURES = "larder_cleanup_failures_total" Counter,
        "Cleanups in which something could not be removed.";
    CLEANUP_FREED = "larder_cleanup_freed_bytes_total" Counter,
        "What cleanups freed, measured as removed.";
    CLEANUP_LAST = "larder_cleanup_last_timestamp_seconds" Gauge, "When the last cleanup ended.";
    CLEANUP_DURATION = "larder_cleanup_last_duration_seconds" Gauge,
        "How long the last cleanup took.";
    VERIFICATION_CHECKED = "larder_verification_checked" Gauge,
        "Entries that the last verification of the cache looked at.";
    VERIFICATION_BAD = "larder_verification_bad" Gauge,
        "Entries that the last verification of the cache found bad.";
    VERIFICATION_UNVERIFIABLE = "larder_verification_unverifiable" Gauge,
        "Entries that the last verification could hold against nothing.";
    VERIFICATION_LAST = "larder_verification_last_timestamp_seconds" Gauge,
        "When the last verification of the cache ended.";
    ALERT_FIRING = "larder_alert_firing" Gauge, "1 for each alert that fires; gone when it is over.";
    NOTIFICATIONS_SENT = "larder_notifications_sent_total" Counter,
        "Notifications that the receiver took.";
    NOTIFICATIONS_FAILED = "larder_notifications_failed_total" Counter,
        "Notifications that were given up.";
    NOTIFICATIONS_DROPPED = "larder_notifications_dropped_total" Counter,
        "Notifications that were never tried, since the queue was full.";
    NOTIFICATION_QUEUE = "larder_notification_queue_length" Gauge, "Notifications that wait.";
    PLANS_WAITING = "larder_plans_waiting" Gauge, "Plans that wait for somebody to approve them.";
    EVENTS = "larder_events_total" Counter, "Events since larder started.";
    DEV_ACTIVE_TASKS = "dev_active_tasks" Gauge: counted,
        "Running go commands and jobs of larder on this machine.";
    ACTIVE_TASKS = "larder_active_tasks" Gauge: counted,
        "The same by kind: go for go commands, larder for jobs of larder.";
    HISTORY_BYTES = "larder_history_bytes" Gauge, "What the history takes on disk.";
    HISTORY_DROPPED = "larder_history_dropped_total" Counter,
        "Rows of the history that were not kept, since writing lagged behind.";
    FORECAST_ERROR = "larder_forecast_error_ratio" Gauge: foreseen,
        "How far off the last forecast was, as a share of what then came; 0 is exact.";
    THROTTLES = "larder_throttles_active" Gauge, "Limits on clients of the cache, in force now.";
    REDIS_HIT_RATIO = "larder_redis_hit_ratio" Gauge: sampled,
        "Hits of all look-ups between the last two samples.";
    REDIS_LATENCY = "larder_redis_latency_seconds" Gauge: sampled,
        "The median of what a client beside the others waits.";
    REDIS_FRAGMENTATION = "larder_redis_fragmentation_ratio" Gauge: sampled,
        "The fragmentation that the allocator of the Redis reports; 1 is none.";
    REDIS_PERSISTENT = "larder_redis_persistent_keys" Gauge: sampled,
        "Keys without a time to live.";
    LEFT_OUT = "larder_exposition_left_out_series" Gauge,
        "Series that this answer leaves out, since there are too many.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_kind() {
        let mut names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAMILIES.len());
        for family in FAMILIES {
            let total = family.name.ends_with("_total");
            assert_eq!(family.kind == MetricKind::Counter, total, "{}", family.name);
            let info = family.name.ends_with("_info");
            assert_eq!(family.kind == MetricKind::Info, info, "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
        }
    }
}
