//! The screens of changing keys of a Redis: what would be changed, the question, and what was.

use std::fmt::Write as _;

use larder_core::time::Age;
use larder_core::{ExpireIf, Expiry, KeyChange, KeysItem};
use larder_engine::Profile;
use larder_redis::{Caution, Estimate, Example, NodeChanged, Preview};

use crate::exit::Exit;
use crate::key_plan::{Prepared, ttl, whole};
use crate::key_removal::{Done, Worked, millis};
use crate::printer::{BAD, COMMAND, STRONG, Screen, WARN};
use crate::text::{counted as counted_keys, grouped, plain, short_count, took};

/// How a run ends that did this.
pub(crate) fn exit(worked: &Worked) -> Exit {
    let done = &worked.done;
    let broken = done.iter().any(|one| !one.broken().is_empty());
    let skipped = done.iter().any(|one| one.changed.nodes.iter().any(|n| n.skipped_count > 0));
    if done.iter().any(|one| one.changed.interrupted) {
        Exit::Interrupted
    } else if broken || skipped || !worked.failed.is_empty() {
        Exit::Partly
    } else {
        Exit::Done
    }
}

/// What would be changed on each Redis.
pub(crate) fn preview(prepared: &[Prepared], screen: &Screen) -> String {
    let of: Vec<String> = prepared.iter().map(|one| of_one(one, screen)).collect();
    of.join("\n")
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
    if &*one.item.reason != "matches what was asked for" {
        let _ = writeln!(text, "Why: {}.", plain(&one.item.reason));
    }
    if let KeyChange::Expire(expiry) = one.item.change {
        let _ = writeln!(text, "{}", would_get(expiry, preview));
    }
    if preview.kinds.is_empty() {
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
    let expires = matches!(one.item.change, KeyChange::Expire(_));
    for caution in &preview.cautions {
        let said = match caution {
            // Nothing is freed now, and no key by itself stops a server as it ends.
            Caution::BigString { .. } if expires => continue,
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

/// The time to live, on whom it counts, and what it means that it is not spread.
fn would_get(expiry: Expiry, preview: &Preview) -> String {
    let only = match expiry.only {
        ExpireIf::Always => "",
        ExpireIf::None => ", those without one only",
        ExpireIf::Later => ", those only that then live longer",
        ExpireIf::Earlier => ", those only that then live shorter",
    };
    let many = preview.keys.value > 10_000.0;
    let storm = if expiry.jitter == 0 && many {
        "\nThey end as fast as they are given it; --jitter 10% spreads that."
    } else {
        ""
    };
    format!("They would get a TTL of {}{only}.{storm}", ttl(expiry))
}

/// `412,306`, or `About 412 k (400 k to 420 k)`.
fn counted(keys: Estimate, _: &Screen) -> String {
    if keys.is_exact() {
        return grouped(whole(keys.value));
    }
    let of = |figure: f64| short_count(whole(figure));
    if of(keys.low) == of(keys.high) {
        return format!("About {}", of(keys.value));
    }
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

/// What is asked before anything is changed.
pub(crate) fn question(prepared: &[Prepared]) -> String {
    let mut places: Vec<String> = prepared
        .iter()
        .map(|one| {
            let profile = match one.target.profile {
                Profile::Dev => "dev",
                Profile::Production => "production",
            };
            let (address, database) = (one.target.endpoint.address(), one.target.endpoint.database);
            format!("{} ({address}, db {database}, {profile})", plain(&one.target.cache))
        })
        .collect();
    places.dedup();
    let places = places.join(" and ");
    match prepared.first().map(|one| one.item.change) {
        Some(KeyChange::Expire(expiry)) => {
            format!("Give them a TTL of {} on {places}?", ttl(expiry))
        }
        _ => format!("Remove them from {places}?"),
    }
}

/// What was done.
pub(crate) fn outcome(worked: &Worked, screen: &Screen) -> String {
    let mut text = String::new();
    for one in &worked.done {
        text.push_str(&done_one(one, screen));
    }
    for (cache, error) in &worked.failed {
        let _ = writeln!(text, "{BAD}failed{BAD:#}  {}: {}", plain(cache), plain(&error.what));
    }
    text
}

/// `Removed 412,306 keys from redis:sessions`.
fn head(item: &KeysItem, changed: u64, stopped: bool) -> String {
    let keys = counted_keys(changed, "key", "keys");
    let cache = plain(&item.cache);
    let said = match item.change {
        KeyChange::Remove => format!("Removed {keys} from {cache}"),
        KeyChange::Expire(expiry) => {
            format!("Gave {keys} of {cache} a TTL of {}", ttl(expiry))
        }
    };
    if stopped { format!("Stopped. {said} until then") } else { said }
}

fn done_one(one: &Done, screen: &Screen) -> String {
    let changed = &one.changed;
    let head = head(&one.item, changed.changed(), changed.interrupted);
    let mut text = format!("{STRONG}{head}{STRONG:#} in {}.\n", took(changed.took));
    let unchanged: u64 = changed.nodes.iter().map(|node| node.unchanged).sum();
    if unchanged > 0 {
        let keys = counted_keys(unchanged, "other key keeps its", "other keys keep their");
        let _ = writeln!(text, "{keys} TTL, as the condition says.");
    }
    let sum = |of: &dyn Fn(&NodeChanged) -> u64| {
        screen.units.show(changed.nodes.iter().map(of).sum()).to_string()
    };
    if one.item.change == KeyChange::Remove {
        let _ = writeln!(
            text,
            "used_memory {} → {}, resident {} → {}.",
            sum(&|node| node.memory_before.0),
            sum(&|node| node.memory_after.0),
            sum(&|node| node.memory_before.1),
            sum(&|node| node.memory_after.1),
        );
    }
    let worst = changed.nodes.iter().max_by_key(|node| node.felt.p99);
    if let Some(node) = worst.filter(|node| node.felt.samples > 0) {
        let _ = writeln!(
            text,
            "Others felt {} at p99 (before {}), {} in the slowest moment.",
            millis(node.felt.p99),
            millis(node.idle.p99),
            millis(changed.slowest()),
        );
    }
    text.push_str(&troubles(one));
    if one.resumable.is_some() {
        let verb = match one.item.change {
            KeyChange::Remove => "clean",
            KeyChange::Expire(_) => "expire",
        };
        let cache = plain(&one.item.cache);
        let _ = writeln!(text, "Go on: {COMMAND}larder {verb} {cache} --resume{COMMAND:#}");
    }
    if let Some(id) = &one.trash_id {
        let _ = writeln!(text, "Undo: {COMMAND}larder trash restore {id}{COMMAND:#}");
    }
    text
}

/// What was replaced, left alone or failed.
fn troubles(one: &Done) -> String {
    let mut text = String::new();
    let restarts: u32 = one.changed.nodes.iter().map(|node| node.restarts).sum();
    if restarts > 0 {
        let _ = writeln!(text, "The server was replaced by another, so the pass began again.");
    }
    for node in &one.changed.nodes {
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
    text
}
