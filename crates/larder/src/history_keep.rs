//! What a command leaves in the history: a sample of what it measured, an event of what it cleaned.
//!
//! Promises: the answer is printed before; one transaction, no thread, no wait for a disk; what
//! cannot be kept is said with `-v` and changes nothing else. Of a cache that was just sampled, by
//! a daemon or by the command before, no second sample is kept.
//!
//! Left out: a cache that `--gocache` or `--gomodcache` named, since it is not the one whose history
//! this is. A variable of the environment may name another one too: of a root that is not the one
//! sampled before, nothing is kept for a day.

use std::path::Path;
use std::time::Duration;

use larder_core::event::{CLEANED, FREED_BYTES, TOOK_MILLIS};
use larder_core::{CacheKind, Event, KeyChange, Outcome, Sample, Size};
use larder_engine::report::StatusReport;
use larder_history::{Entry, HistoryError, Reader, Store};

use crate::context::Context;
use crate::exit::chain;
use crate::history_open;
use crate::key_removal::{Done, Worked};
use crate::redis_sample;
use crate::redis_status::RedisRow;
use crate::settings_history::HistoryKind;
use crate::text::counted;
use crate::wire::path_text;

/// A second sample within this time is not kept.
const AGAIN: Duration = Duration::from_secs(30);
/// Another root of the same cache takes its place after this time.
const MOVED: Duration = Duration::from_hours(24);

/// Keeps a sample of every cache of a status, which took so long.
pub(crate) fn status(
    context: &Context<'_>,
    report: &StatusReport,
    redis: &[RedisRow],
    took: Duration,
) {
    if context.settings().history.kind != HistoryKind::Local {
        return;
    }
    let flags = context.global.gocache.is_some() || context.global.gomodcache.is_some();
    let go = if flags { Vec::new() } else { larder_engine::sample::samples(report, took) };
    let of_redis = redis.iter().map(|row| redis_sample::sample(row, report.taken_at, took));
    let samples: Vec<Sample> = go.into_iter().chain(of_redis).collect();
    keep(context, |reader| fresh(reader, report, samples));
}

/// Those that are worth keeping, and where their caches are.
fn fresh(
    reader: &Reader,
    report: &StatusReport,
    samples: Vec<Sample>,
) -> Result<Vec<Entry>, HistoryError> {
    let latest = reader.latest()?;
    let mut entries = Vec::new();
    for sample in samples {
        let before = latest.iter().find(|before| before.cache == sample.cache);
        let age = before.map(|before| sample.at.since(before.at));
        // A time that lies ahead is of a clock that was wrong, and no reason to keep nothing.
        let again = before.is_some_and(|before| before.at <= sample.at) && age < Some(AGAIN);
        if again {
            continue;
        }
        if let Some(row) = report.rows.iter().find(|row| row.cache.name() == sample.cache) {
            let (key, here) = (format!("path.{}", sample.cache), path_text(&row.path));
            let known = reader.state(&key)?;
            if known.as_ref() != Some(&here) {
                if known.is_some() && age.is_some_and(|age| age < MOVED) {
                    continue;
                }
                entries.push(Entry::State { key, text: here });
            }
        }
        entries.push(Entry::Sample(Box::new(sample)));
    }
    Ok(entries)
}

/// Keeps an event of each of Go's caches from which something went.
pub(crate) fn cleaned(context: &Context<'_>, outcome: &Outcome) {
    let gone = outcome.gone.iter().filter(|(_, size)| size.allocated.0 > 0 || size.files > 0);
    let events: Vec<Entry> =
        gone.map(|(cache, size)| Entry::Event(event(context, outcome, *cache, *size))).collect();
    keep(context, |_| Ok(events));
}

fn event(context: &Context<'_>, outcome: &Outcome, cache: CacheKind, gone: Size) -> Event {
    let files = counted(gone.files, "file", "files");
    let bytes = context.settings().units.show(gone.allocated.0);
    let where_to = if outcome.trash_id.is_some() { "moved to the trash" } else { "removed" };
    let mut data = vec![
        (FREED_BYTES.to_owned(), gone.allocated.0.to_string()),
        (TOOK_MILLIS.to_owned(), outcome.duration.as_millis().to_string()),
        ("files".to_owned(), gone.files.to_string()),
    ];
    data.extend(outcome.trash_id.clone().map(|id| ("trash_id".to_owned(), id)));
    if !outcome.failed.is_empty() {
        data.push(("failed".to_owned(), outcome.failed.len().to_string()));
    }
    Event {
        at: larder_fs::now(),
        kind: CLEANED.to_owned(),
        cache: Some(cache.name().to_owned()),
        plan_id: Some(outcome.plan_id.clone()),
        trace_id: outcome.plan_id.clone(),
        message: format!("{where_to}: {files}, {bytes}"),
        data,
    }
}

/// Keeps an event that was told as it happened.
pub(crate) fn told(context: &Context<'_>, event: Event) {
    keep(context, |_| Ok(vec![Entry::Event(event)]));
}

/// Keeps an event of each Redis from which keys went, or whose keys were given a time to live.
pub(crate) fn keys_changed(context: &Context<'_>, worked: &Worked) {
    let events = key_events(worked, &worked.plan_id).into_iter().map(Entry::Event);
    let events: Vec<Entry> = events.collect();
    keep(context, |_| Ok(events));
}

/// What was done with keys, an event for each item; `trace` is the same through a run.
pub(crate) fn key_events(worked: &Worked, trace: &str) -> Vec<Event> {
    let changed = worked.done.iter().filter(|one| one.changed.changed() > 0);
    let event = |one: &Done| {
        let sum = |of: fn(&larder_redis::NodeChanged) -> u64| -> u64 {
            one.changed.nodes.iter().map(of).sum()
        };
        let (before, after) = (sum(|node| node.memory_before.0), sum(|node| node.memory_after.0));
        let keys = one.changed.changed();
        let removed = one.item.change == KeyChange::Remove;
        let mut data = vec![
            (TOOK_MILLIS.to_owned(), worked.took.as_millis().to_string()),
            ("keys".to_owned(), keys.to_string()),
        ];
        if removed {
            let freed = before.saturating_sub(after).to_string();
            data.push((FREED_BYTES.to_owned(), freed));
        }
        data.extend(one.trash_id.clone().map(|id| ("trash_id".to_owned(), id)));
        let (kind, did) = if removed { (CLEANED, "removed") } else { ("expiring", "given a time") };
        Event {
            at: larder_fs::now(),
            kind: kind.to_owned(),
            cache: Some(one.item.cache.clone()),
            plan_id: Some(worked.plan_id.clone()),
            trace_id: trace.to_owned(),
            message: format!("{did}: {}", counted(keys, "key", "keys")),
            data,
        }
    };
    changed.map(event).collect()
}

/// Keeps what there is to keep; why not is said with `-v`.
fn keep(context: &Context<'_>, entries: impl FnOnce(&Reader) -> Result<Vec<Entry>, HistoryError>) {
    let Some(path) = history_open::path(context.settings()) else { return };
    if let Err(error) = try_keep(context, &path, entries) {
        history_open::mend(context, &error);
        context.printer.detail(&format!("nothing was kept in the history: {}", chain(&error)));
    }
}

fn try_keep(
    context: &Context<'_>,
    path: &Path,
    entries: impl FnOnce(&Reader) -> Result<Vec<Entry>, HistoryError>,
) -> Result<(), HistoryError> {
    // Its connection stays open beside the one that writes, which then need not go through the log.
    let reader = Reader::new(path);
    let entries = entries(&reader)?;
    if entries.is_empty() {
        return Ok(());
    }
    let limits = history_open::limits(&context.settings().history);
    let (mut store, aside) = Store::open(path, limits)?;
    history_open::say(context, aside.as_ref());
    store.write(&entries)
}
