//! The screens of cleaning a Redis: what would go, the question, and what went.

use std::fmt::Write as _;
use std::time::Duration;

use larder_core::time::Age;
use larder_engine::Profile;
use larder_redis::{Caution, Estimate, Example, Preview};

use crate::exit::{CliError, Exit};
use crate::key_removal::{Done, Prepared, millis, whole};
use crate::printer::{BAD, COMMAND, STRONG, Screen, WARN};
use crate::text::{grouped, plain, short_count, took};

/// The end of a preview.
pub(crate) const NOTHING: &str = "Nothing was removed. Run without -n to remove it.\n";

/// How a run ends that did this.
pub(crate) fn exit(done: &[Done], failed: &[(String, CliError)]) -> Exit {
    let broken = done.iter().any(|one| !one.broken().is_empty());
    let skipped = done.iter().any(|one| one.cleaned.nodes.iter().any(|n| n.skipped_count > 0));
    if done.iter().any(|one| one.cleaned.interrupted) {
        Exit::Interrupted
    } else if broken || skipped || !failed.is_empty() {
        Exit::Partly
    } else {
        Exit::Done
    }
}

/// What would go from each Redis.
pub(crate) fn preview(prepared: &[Prepared], screen: &Screen) -> String {
    prepared.iter().map(|one| of_one(one, screen)).collect()
}

fn of_one(one: &Prepared, screen: &Screen) -> String {
    let Some(preview) = &one.preview else { return String::new() };
    let cache = plain(&one.target.cache).into_owned();
    let keys = counted(preview.keys, screen);
    let how = if preview.keys.is_exact() { "counted" } else { "sampled" };
    let mut text = format!(
        "{STRONG}{keys} of {} keys match{STRONG:#} in {cache} ({how}), {}.\n",
        short_count(preview.keyspace),
        bytes(preview, screen),
    );
    if preview.sampled == 0 {
        return text;
    }
    let percent = |share: f64| match share * 100.0 {
        small if small > 0.0 && small < 1.0 => "under 1 %".to_owned(),
        percent => format!("{percent:.0} %"),
    };
    let kinds: Vec<String> =
        preview.kinds.iter().map(|(kind, share)| format!("{kind} {}", percent(*share))).collect();
    let _ = writeln!(
        text,
        "Types: {}. Without TTL: {}.",
        kinds.join(", "),
        percent(preview.persistent)
    );
    for example in &preview.examples {
        let _ = writeln!(text, "  {}", self::example(example, screen));
    }
    for caution in &preview.cautions {
        let said = match caution {
            Caution::MostOfTheKeyspace { share } => {
                format!("this is {} of all keys", percent(*share))
            }
            Caution::Persistent { share } => {
                format!("{} of them never expire: somebody may count on them", percent(*share))
            }
            Caution::InUse { share } => {
                format!("{} of them were read or written in the last minute", percent(*share))
            }
            Caution::BigString { key, bytes } => format!(
                "the string {} has {}: the server stands still while it frees that, some {} ms",
                key.escape_ascii(),
                screen.units.show(*bytes),
                bytes / 11_000_000,
            ),
        };
        let _ = writeln!(text, "{WARN}warning{WARN:#}  {said}");
    }
    for missing in &one.deployment.missing {
        let _ = writeln!(text, "{WARN}warning{WARN:#}  without {}: {}", missing.what, missing.why);
    }
    text
}

/// `412,306`, or `About 412 k (400 k to 420 k)`.
fn counted(keys: Estimate, _: &Screen) -> String {
    if keys.is_exact() {
        return grouped(whole(keys.value));
    }
    let of = |figure: f64| short_count(whole(figure));
    format!("About {} ({} to {})", of(keys.value), of(keys.low), of(keys.high))
}

fn bytes(preview: &Preview, screen: &Screen) -> String {
    let show = |figure: f64| screen.units.show(whole(figure)).to_string();
    let bytes = preview.bytes;
    if bytes.is_exact() {
        return show(bytes.value);
    }
    let (low, high) = (show(bytes.low), show(bytes.high));
    if low == high {
        format!("about {low}")
    } else {
        format!("about {} ({low} to {high})", show(bytes.value))
    }
}

fn example(example: &Example, screen: &Screen) -> String {
    let facts = &example.facts;
    let mut parts =
        vec![crate::text::cut(&example.key.escape_ascii().to_string(), 60).into_owned()];
    parts.extend(facts.kind.clone());
    parts.extend(facts.bytes.map(|bytes| screen.units.show(bytes).to_string()));
    parts.push(match facts.ttl {
        Some(Some(left)) => format!("TTL {}", Age(left)),
        Some(None) => "no TTL".to_owned(),
        None => "TTL unknown".to_owned(),
    });
    parts.extend(facts.idle.map(|idle| format!("idle {}", Age(idle))));
    parts.join("  ")
}

/// What is asked before anything goes.
pub(crate) fn question(prepared: &[Prepared]) -> String {
    let places: Vec<String> = prepared
        .iter()
        .map(|one| {
            let profile = match one.target.profile {
                Profile::Dev => "dev",
                Profile::Production => "production",
            };
            let (address, database) = (one.target.endpoint.address(), one.target.endpoint.database);
            format!("{} ({address}, db {database}, {profile})", one.target.cache)
        })
        .collect();
    format!("Remove them from {}?", places.join(" and "))
}

/// What went.
pub(crate) fn outcome(
    done: &[Done],
    failed: &[(String, CliError)],
    spent: Duration,
    screen: &Screen,
) -> String {
    let mut text = String::new();
    for one in done {
        text.push_str(&done_one(one, spent, screen));
    }
    for (cache, error) in failed {
        let _ = writeln!(text, "{BAD}failed{BAD:#}  {}: {}", plain(cache), plain(&error.what));
    }
    text
}

fn done_one(one: &Done, spent: Duration, screen: &Screen) -> String {
    let cleaned = &one.cleaned;
    let removed = grouped(cleaned.removed());
    let head = if cleaned.interrupted {
        format!("Stopped. Removed {removed} keys from {} until then", plain(&one.cache))
    } else {
        format!("Removed {removed} keys from {}", plain(&one.cache))
    };
    let mut text = format!("{STRONG}{head}{STRONG:#} in {}.\n", took(spent));
    let sum = |of: &dyn Fn(&larder_redis::NodeCleaned) -> u64| {
        screen.units.show(cleaned.nodes.iter().map(of).sum()).to_string()
    };
    let _ = writeln!(
        text,
        "used_memory {} → {}, resident {} → {}.",
        sum(&|node| node.memory_before.0),
        sum(&|node| node.memory_after.0),
        sum(&|node| node.memory_before.1),
        sum(&|node| node.memory_after.1),
    );
    let worst = cleaned.nodes.iter().max_by_key(|node| node.felt.p99);
    if let Some(node) = worst.filter(|node| node.felt.samples > 0) {
        let _ = writeln!(
            text,
            "Others felt {} at p99 (before {}), {} in the slowest moment.",
            millis(node.felt.p99),
            millis(node.idle.p99),
            millis(cleaned.slowest()),
        );
    }
    let restarts: u32 = cleaned.nodes.iter().map(|node| node.restarts).sum();
    if restarts > 0 {
        let _ = writeln!(text, "The server was replaced by another, so the pass began again.");
    }
    for node in &cleaned.nodes {
        for (key, why) in node.skipped.iter().take(10) {
            let key = key.escape_ascii().to_string();
            let _ = writeln!(text, "{WARN}left alone{WARN:#}  {key}: {}", plain(why));
        }
        if node.skipped_count > 10 {
            let _ = writeln!(text, "  … {} more", node.skipped_count - 10);
        }
    }
    for (what, why) in one.broken() {
        let _ = writeln!(text, "{BAD}failed{BAD:#}  {}: {}", plain(&what), plain(&why));
    }
    if one.resumable.is_some() {
        let _ = writeln!(
            text,
            "Go on: {COMMAND}larder clean {} --resume{COMMAND:#}",
            plain(&one.cache)
        );
    }
    if let Some(id) = &one.trash_id {
        let _ = writeln!(text, "Undo: {COMMAND}larder trash restore {id}{COMMAND:#}");
    }
    text
}
