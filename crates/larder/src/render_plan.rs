//! A plan as a person reads it: how much, what, why, and what stays.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use larder_core::{Allocated, CacheKind, KeyChange, KeysItem, Plan, PlanItem, Size, Target, Time};

use crate::printer::{COMMAND, Screen};
use crate::table::{Align, Column, Table};
use crate::text::{NOTHING, counted, grouped, listed, plain, wrapped};

/// Rows of a screen; all of them with `-v`.
const ROWS: usize = 10;

/// What would go under a plan.
pub fn preview(plan: &Plan, screen: &Screen) -> String {
    if !plan.keys.is_empty() {
        return plan.keys.iter().map(|item| keys(item, screen)).collect();
    }
    if plan.items.is_empty() {
        return format!("Nothing to remove.\n{}", kept(plan, screen));
    }
    let head = format!("Would remove {}{}.", things(plan), total(plan, screen));
    let mut text = wrapped(&head, 0, screen.width) + "\n\n";
    text.push_str(&items(plan, screen));
    text.push_str(&kept(plan, screen));
    text
}

/// What would be done with which keys of a Redis: what a person has to know to approve it.
fn keys(item: &KeysItem, screen: &Screen) -> String {
    let what = format!(
        "{} of {} at {}, about {}",
        counted(item.keys, "key", "keys"),
        plain(&item.cache),
        plain(&item.url),
        screen.units.show(item.estimated_bytes),
    );
    let head = match item.change {
        KeyChange::Remove => format!("Would remove {what}."),
        KeyChange::Expire(expiry) => {
            format!("Would give a TTL of {} to {what}.", crate::key_plan::ttl(expiry))
        }
    };
    let flags = crate::key_plan::flags(item);
    let why = match &*item.reason {
        crate::key_plan::ASKED_FOR => String::new(),
        reason => format!("  {}\n", plain(reason)),
    };
    format!("{}\n{why}  {}\n", wrapped(&head, 0, screen.width), plain(&flags))
}

/// The last line of `-n`, by what the plan is about; none where there is nothing to do.
pub fn nothing(plan: &Plan) -> &'static str {
    let expires = |item: &KeysItem| matches!(item.change, KeyChange::Expire(_));
    match plan.items.is_empty() && plan.keys.is_empty() {
        true => "",
        false if plan.keys.iter().any(expires) => {
            "\nNothing was changed. Run without -n to change it.\n"
        }
        false => "\nNothing was removed. Run without -n to remove it.\n",
    }
}

/// `1,212 module versions and 3 toolchains`.
pub fn things(plan: &Plan) -> String {
    let mut counts: BTreeMap<CacheKind, (u64, bool)> = BTreeMap::new();
    for item in &plan.items {
        let (count, whole) = counts.entry(item.cache).or_default();
        *count += 1;
        *whole |= matches!(item.target, Target::All);
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(cache, (count, whole))| match (whole, cache) {
            (_, CacheKind::Test) => "all test results".to_owned(),
            (true, _) => format!("all of {cache}"),
            (false, _) => {
                let (one, many) = noun(*cache);
                counted(*count, one, many)
            }
        })
        .collect();
    listed(&parts)
}

/// What one thing of a cache is called, and several.
pub fn noun(cache: CacheKind) -> (&'static str, &'static str) {
    match cache {
        CacheKind::Build => ("build entry", "build entries"),
        CacheKind::Test => ("test result", "test results"),
        CacheKind::Fuzz => ("fuzz corpus", "fuzz corpora"),
        CacheKind::Mod => ("module version", "module versions"),
        CacheKind::Toolchain => ("toolchain", "toolchains"),
        CacheKind::Vcs => ("repository", "repositories"),
        CacheKind::Sumdb => ("checksum file", "checksum files"),
    }
}

/// `, 15.2 GB`; nothing where nothing was measured.
fn total(plan: &Plan, screen: &Screen) -> String {
    if plan.items.iter().all(|item| item.size.is_none()) {
        return String::new();
    }
    format!(", {}", screen.units.show(plan.total().allocated.0))
}

/// What is shown as one row.
struct Group<'a> {
    what: String,
    reason: String,
    size: Option<Size>,
    items: Vec<&'a PlanItem>,
}

fn items(plan: &Plan, screen: &Screen) -> String {
    let mut groups = grouped_items(plan, screen);
    groups.sort_by(|a, b| bytes(b).cmp(&bytes(a)).then_with(|| a.what.cmp(&b.what)));
    let shown = if screen.verbose { groups.len() } else { ROWS };
    let mut table = Table::new(vec![
        Column::new("", Align::Right),
        Column::flexible("", Align::Left, 24),
        Column::flexible("", Align::Left, 34),
    ])
    .indent(2);
    for group in groups.iter().take(shown) {
        let size = group.size.map(|size| screen.units.show(size.allocated.0).to_string());
        table.row(vec![
            size.unwrap_or_else(|| NOTHING.to_owned()).into(),
            plain(&group.what).into_owned().into(),
            plain(&group.reason).into_owned().into(),
        ]);
    }
    let mut text = table.render(screen.width, anstyle::Style::new());
    let left: usize = groups.iter().skip(shown).map(|group| group.items.len()).sum();
    if left > 0 {
        let all = plan_command(&plan.request).map_or_else(
            || "-v shows them".to_owned(),
            |command| format!("{COMMAND}{command}{COMMAND:#}"),
        );
        let _ = writeln!(text, "  … {} more: {all}", grouped(left as u64));
    }
    text
}

fn bytes(group: &Group<'_>) -> Option<Allocated> {
    group.size.map(|size| size.allocated)
}

/// Build entries by their reason, versions of one module together, everything else by itself.
fn grouped_items<'a>(plan: &'a Plan, screen: &Screen) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(CacheKind, String, String), Vec<&PlanItem>> = BTreeMap::new();
    for item in &plan.items {
        let reason = reason_class(&item.reason);
        let what = match &item.target {
            Target::Entry { .. } => String::new(),
            Target::Version { module, .. } if item.cache == CacheKind::Mod => module.clone(),
            _ => item.subject().into_owned(),
        };
        groups.entry((item.cache, what, reason.to_owned())).or_default().push(item);
    }
    groups
        .into_iter()
        .map(|((cache, what, reason), items)| {
            let count = items.len() as u64;
            let (one, many) = noun(cache);
            let what = match (&items[..], what.is_empty()) {
                (_, true) => counted(count, one, many),
                ([item], false) => item.subject().into_owned(),
                (_, false) => format!("{} versions of {what}", grouped(count)),
            };
            let size = items.iter().filter_map(|item| item.size).reduce(|a, b| a + b);
            let reason = if reason == UNUSED { unused(&items, screen.now) } else { reason };
            Group { what, reason, size, items }
        })
        .collect()
}

/// The planners' reason for age, before the age.
const UNUSED: &str = "not used for ";

/// Reasons that differ only in their age are one.
fn reason_class(reason: &str) -> &str {
    if reason.starts_with(UNUSED) { UNUSED } else { reason }
}

/// `not used for 6 d`, or `… 6 d to 3 y`.
fn unused(items: &[&PlanItem], now: Time) -> String {
    let uses = || items.iter().filter_map(|item| item.last_used);
    let age = |time: Time| larder_core::time::Age(now.since(time)).to_string();
    match (uses().max().map(age), uses().min().map(age)) {
        (Some(latest), Some(earliest)) if latest != earliest => {
            format!("{UNUSED}{latest} to {earliest}")
        }
        (Some(age), _) => format!("{UNUSED}{age}"),
        (None, _) => items.first().map_or_else(String::new, |item| item.reason.to_string()),
    }
}

/// What a policy wanted gone and something protected.
pub fn kept(plan: &Plan, screen: &Screen) -> String {
    let mut by_reason: BTreeMap<(&str, CacheKind), (u64, Size, &str)> = BTreeMap::new();
    for kept in &plan.kept {
        let (count, size, _) = by_reason.entry((&kept.reason, kept.cache)).or_insert((
            0,
            Size::default(),
            &kept.subject,
        ));
        *count += 1;
        *size += kept.size;
    }
    let mut rows: Vec<_> = by_reason.into_iter().collect();
    rows.sort_by_key(|(_, (_, size, _))| std::cmp::Reverse(size.allocated));
    let shown = if screen.verbose { rows.len() } else { ROWS / 2 };
    let mut text = String::new();
    for ((reason, cache), (count, size, subject)) in rows.iter().take(shown) {
        let (_, many) = noun(*cache);
        let what = match count {
            1 => plain(subject).into_owned(),
            count => format!("{} {many}", grouped(*count)),
        };
        let size = match size.allocated.0 {
            0 => String::new(),
            bytes => format!(", {}", screen.units.show(bytes)),
        };
        let _ = writeln!(text, "Kept: {what}{size}: {}", plain(reason));
    }
    if rows.len() > shown {
        let _ = writeln!(text, "Kept for {} more reasons: -v shows them", rows.len() - shown);
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// The command that writes this very request as a plan.
fn plan_command(request: &[String]) -> Option<String> {
    let planned = ["clean", "prune", "expire"];
    let rest = request.iter().skip_while(|word| !planned.contains(&word.as_str()));
    // Whoever asks `prune mod -n` wants the plan of `prune mod`.
    let own = ["-n", "--dry-run", "-y", "--yes", "--trash", "--no-trash", "--force", "--json"];
    let words: Vec<String> =
        rest.filter(|word| !own.contains(&word.as_str())).map(|word| quoted(word)).collect();
    (!words.is_empty()).then(|| format!("larder plan -o plan.json {}", words.join(" ")))
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+~".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
