//! One machine that builds Go: how large its caches are, how they grow, what was done about it.

use serde_json::Value;

use super::dashboards::{machines, marks};
use super::panels::{
    BYTES, Dashboard, Look, SCORE, SECONDS, Sized, dashboard, heading, lines, number, sized,
    stacked, variable,
};

/// The Go caches that were chosen, of the machine that was.
const CHOSEN: &str = "instance=~\"$instance\", cache=~\"$cache\", cache!~\"redis:.+\"";

/// One machine.
pub(super) fn go_machine() -> Value {
    let mut panels = now();
    panels.push(heading("Size"));
    panels.extend(size());
    panels.extend(made_of());
    panels.push(heading("What was done"));
    panels.extend(done());
    let selector = "larder_cache_up{instance=~\"$instance\", cache!~\"redis:.+\"}";
    dashboard(Dashboard {
        uid: "larder-go-machine",
        title: "larder: Go caches of a machine",
        about: "Size, growth, use and verification of the build cache and the module cache.",
        from: "now-7d",
        variables: vec![machines(false), variable("cache", "Cache", selector, true)],
        marks: marks(CHOSEN),
        panels,
    })
}

fn of(metric: &str) -> String {
    format!("{metric}{{{CHOSEN}}}")
}

fn now() -> Vec<Sized> {
    let limits = |unit, orange, red| Look { unit, limits: Some((orange, red)) };
    let free = format!("{} / {}", of("larder_disk_free_bytes"), of("larder_disk_size_bytes"));
    vec![
        number(4, "Worst score", "Of 100.", &format!("min({})", of("larder_cache_score")), SCORE),
        number(
            4,
            "On disk",
            "What the disk would give back.",
            &format!("sum({})", of("larder_cache_allocated_bytes")),
            BYTES,
        ),
        number(
            4,
            "Reclaimable",
            "larder prune",
            &format!("sum({})", of("larder_cache_reclaimable_bytes")),
            BYTES,
        ),
        number(
            4,
            "Free on disk",
            "The fullest of the disks.",
            &format!("min({free})"),
            limits("percentunit", 0.1, 0.05),
        ),
        number(
            4,
            "First one full in",
            "At the pace of now.",
            &format!("min({} - time())", of("larder_cache_full_timestamp_seconds")),
            limits("s", 7.0 * 86400.0, 86400.0),
        ),
        number(
            4,
            "Bad entries",
            "larder verify --fix",
            &format!("sum({})", of("larder_verification_bad")),
            limits("short", 1.0, 2.0),
        ),
        number(
            4,
            "Last used before",
            "Whichever was last.",
            &format!("time() - max({})", of("larder_cache_last_used_timestamp_seconds")),
            SECONDS,
        ),
        number(
            4,
            "Oldest use before",
            "Of anything in them.",
            &format!("time() - min({})", of("larder_cache_oldest_use_timestamp_seconds")),
            SECONDS,
        ),
        sized(
            16,
            4,
            lines(
                "What runs now",
                "dev_active_tasks: go commands and larder's own work, by kind.",
                &[
                    ("dev_active_tasks{instance=~\"$instance\"}", "all"),
                    ("larder_active_tasks{instance=~\"$instance\"}", "{{task}}"),
                ],
                "short",
            ),
        ),
    ]
}

fn size() -> Vec<Sized> {
    let per_day = |metric: &str| format!("{} * 24 * 3600", of(metric));
    vec![
        sized(
            12,
            8,
            lines(
                "Size and budget",
                "What the disk would give back, and what each may take.",
                &[
                    (&of("larder_cache_allocated_bytes"), "{{cache}}"),
                    (&of("larder_cache_budget_bytes"), "budget of {{cache}}"),
                ],
                "decbytes",
            ),
        ),
        sized(
            12,
            8,
            lines(
                "Growth a day",
                "With the interval that it lies in; drops by cleanups do not count.",
                &[
                    (&per_day("larder_cache_growth_bytes_per_second"), "{{cache}}"),
                    (&per_day("larder_cache_growth_low_bytes_per_second"), "{{cache}} at least"),
                    (&per_day("larder_cache_growth_high_bytes_per_second"), "{{cache}} at most"),
                ],
                "decbytes",
            ),
        ),
    ]
}

fn made_of() -> Vec<Sized> {
    vec![
        sized(
            8,
            7,
            lines(
                "What files say and what the disk holds",
                "Logical and allocated bytes.",
                &[
                    (&of("larder_cache_logical_bytes"), "logical: {{cache}}"),
                    (&of("larder_cache_allocated_bytes"), "allocated: {{cache}}"),
                ],
                "decbytes",
            ),
        ),
        sized(
            8,
            7,
            stacked(
                "Reclaimable",
                "What the default policy would free.",
                &[(&of("larder_cache_reclaimable_bytes"), "{{cache}}")],
                "decbytes",
            ),
        ),
        sized(
            8,
            7,
            lines(
                "Files",
                "Folders not counted.",
                &[(&of("larder_cache_files"), "{{cache}}")],
                "short",
            ),
        ),
        sized(
            12,
            7,
            stacked(
                "What the score is made of",
                "Points of each part; what is missing to 100 is lost.",
                &[(&of("larder_cache_score_points"), "{{cache}}: {{dimension}}")],
                "none",
            ),
        ),
        sized(
            12,
            7,
            lines(
                "How far forecasts were off",
                "0 is exact; what was forecast against what came.",
                &[(&of("larder_forecast_error_ratio"), "{{cache}}")],
                "percentunit",
            ),
        ),
    ]
}

fn done() -> Vec<Sized> {
    let a_day = |metric: &str| format!("increase({}[1d])", of(metric));
    vec![
        sized(
            8,
            7,
            lines(
                "Freed in a day",
                "Measured as removed, over the last 24 hours.",
                &[(&a_day("larder_cleanup_freed_bytes_total"), "{{cache}}")],
                "decbytes",
            ),
        ),
        sized(
            8,
            7,
            lines(
                "How long a cleanup takes",
                "The last one of each cache.",
                &[(&of("larder_cleanup_last_duration_seconds"), "{{cache}}")],
                "s",
            ),
        ),
        sized(
            8,
            7,
            lines(
                "Measurements in a day",
                "Done and failed, over the last 24 hours.",
                &[
                    (&a_day("larder_cache_samples_total"), "{{cache}}"),
                    (&a_day("larder_cache_sample_failures_total"), "failed: {{cache}}"),
                ],
                "short",
            ),
        ),
        sized(
            12,
            7,
            lines(
                "The last verification",
                "Entries that were checked, were bad, could not be judged.",
                &[
                    (&of("larder_verification_checked"), "checked: {{cache}}"),
                    (&of("larder_verification_bad"), "bad: {{cache}}"),
                    (&of("larder_verification_unverifiable"), "not known: {{cache}}"),
                ],
                "short",
            ),
        ),
        sized(
            12,
            7,
            lines(
                "Verified before",
                "How long ago each cache was verified.",
                &[(
                    &format!("time() - {}", of("larder_verification_last_timestamp_seconds")),
                    "{{cache}}",
                )],
                "s",
            ),
        ),
    ]
}
