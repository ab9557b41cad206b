//! A disk with caches on it that has less free than `watch.free-below`: one alert of each disk, which its
//! mount point tells from the others, whatever fills it.

use std::collections::BTreeMap;

use larder_core::alert_board::{Judged, Verdict};
use larder_core::size::Units;
use larder_core::{Alert, Reason, Sample, Severity, Time};

/// What is known of one disk.
#[derive(Default)]
struct Disk<'a> {
    free: u64,
    size: u64,
    caches: Vec<&'a str>,
    reclaimable: u64,
}

/// How each disk is to be taken. It is over once a tenth more than `below` is free.
pub(crate) fn judge<'a>(
    samples: impl IntoIterator<Item = &'a Sample>,
    below: u64,
    units: Units,
    now: Time,
) -> Vec<Judged> {
    let mut disks: BTreeMap<&str, Disk<'_>> = BTreeMap::new();
    for sample in samples {
        let (Some(mount), Some(free)) = (&sample.disk, sample.disk_free_bytes) else { continue };
        let disk = disks.entry(mount).or_default();
        (disk.free, disk.size) = (free, sample.disk_size_bytes.unwrap_or(0));
        disk.caches.push(&sample.cache);
        disk.reclaimable += sample.reclaimable_bytes.unwrap_or(0);
    }
    let all = disks.into_iter();
    all.map(|(mount, disk)| one(mount, &disk, below, units, now)).collect()
}

fn one(mount: &str, disk: &Disk<'_>, below: u64, units: Units, now: Time) -> Judged {
    let verdict = match disk.free {
        free if free < below => Verdict::Bad,
        free if free - below >= below / 10 => Verdict::Good,
        _ => Verdict::Between,
    };
    let show = |bytes| units.show(bytes).to_string();
    let text = format!(
        "{mount} has {} of {} free, less than {}, and {} lie on it",
        show(disk.free),
        show(disk.size),
        show(below),
        disk.caches.join(", ")
    );
    Judged {
        alert: Alert {
            name: "DiskFillsUp".to_owned(),
            cache: format!("disk:{mount}"),
            severity: if disk.free < below / 2 { Severity::Critical } else { Severity::Warning },
            since: now,
            ended: None,
            score: None,
            score_before: None,
            reasons: vec![Reason { id: "disk-free".to_owned(), lost: None, text }],
            trend: String::new(),
            command: Some("larder prune -n".to_owned()),
            frees: Some(disk.reclaimable).filter(|bytes| *bytes > 0),
            done: Vec::new(),
            details: Vec::new(),
        },
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_two_disks_the_full_one_is_bad_and_has_its_own_name() {
        let now = Time::from_unix(0);
        let on = |cache: &str, disk: &str, free| Sample {
            disk: Some(disk.to_owned()),
            disk_free_bytes: Some(free),
            disk_size_bytes: Some(100_000_000_000),
            reclaimable_bytes: Some(1_000_000),
            ..Sample::empty(cache, now, Duration::ZERO)
        };
        let samples = [
            on("build", "/", 50_000_000_000),
            on("mod", "/srv/go", 8_000_000_000),
            on("vcs", "/srv/go", 8_000_000_000),
            // It is not known which disk.
            Sample::empty("redis:a", now, Duration::ZERO),
        ];
        let judged = judge(&samples, 10_000_000_000, Units::default(), now);
        let told: Vec<_> =
            judged.iter().map(|one| (one.alert.cache.as_str(), one.verdict)).collect();
        assert_eq!(told, [("disk:/", Verdict::Good), ("disk:/srv/go", Verdict::Bad)]);
        let full = &judged[1].alert;
        assert_eq!((full.severity, full.frees), (Severity::Warning, Some(2_000_000)));
        assert_eq!(
            full.reasons[0].text,
            "/srv/go has 8.0 GB of 100.0 GB free, less than 10.0 GB, and mod, vcs lie on it"
        );
        let verdict = |below| judge(&samples[..1], below, Units::default(), now)[0].verdict;
        assert_eq!(verdict(49_000_000_000), Verdict::Between);
        let critical = &judge(&samples[1..2], 20_000_000_000, Units::default(), now)[0];
        assert_eq!(critical.alert.severity, Severity::Critical);
    }
}
