//! What applying a plan did: what went, from what to what, what it freed, and how to undo it.

use std::fmt::Write as _;

use larder_core::{CacheKind, Outcome, Size, Time};
use larder_engine::report::DiskLine;

use crate::exit::Exit;
use crate::printer::{BAD, COMMAND, STRONG, Screen, WARN};
use crate::render_plan::noun;
use crate::table::{Align, Column, Table};
use crate::text::{counted, day, listed, plain, short_count, took};

/// Left-out things that a screen shows; all of them with `-v`.
const ROWS: usize = 10;

/// What stands beside the outcome itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The disks of the caches, measured afterwards.
    pub disks: &'a [DiskLine],
    /// Until when the trash keeps what was moved there.
    pub undo_until: Option<Time>,
}

/// How a run with this outcome ends.
pub fn exit(outcome: &Outcome) -> Exit {
    if outcome.interrupted {
        Exit::Interrupted
    } else if outcome.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Partly
    }
}

/// The screen.
pub fn outcome(outcome: &Outcome, around: Around<'_>, screen: &Screen) -> String {
    let mut text = headline(outcome, screen);
    text.push_str(&changes(outcome, screen));
    text.push_str(&freed(outcome, around, screen));
    let skipped = outcome.skipped.iter().map(|s| (s.subject.as_str(), s.reason.as_str()));
    text.push_str(&listing("left alone", WARN, &skipped.collect::<Vec<_>>(), screen));
    let failed = outcome.failed.iter().map(|f| (f.subject.as_str(), f.error.as_str()));
    text.push_str(&listing("failed", BAD, &failed.collect::<Vec<_>>(), screen));
    text
}

fn headline(outcome: &Outcome, screen: &Screen) -> String {
    let caches: Vec<CacheKind> = outcome.before.iter().map(|(cache, _)| *cache).collect();
    let what = match caches[..] {
        [CacheKind::Test] => "test results".to_owned(),
        _ if !outcome.whole.is_empty() && outcome.trash_id.is_some() => {
            let names: Vec<String> = outcome.whole.iter().map(|c| c.name().to_owned()).collect();
            format!("all of {}", listed(&names))
        }
        _ if !outcome.whole.is_empty() => counted(outcome.removed.files, "file", "files"),
        [cache] => {
            let (one, many) = noun(cache);
            counted(outcome.removed.items, one, many)
        }
        _ => counted(outcome.removed.items, "item", "items"),
    };
    let verb = if outcome.trash_id.is_some() { "Moved to the trash:" } else { "Removed" };
    let said = match (outcome.removed.items, outcome.interrupted) {
        (0, false) => "Nothing was removed".to_owned(),
        (_, false) => format!("{verb} {what}"),
        (_, true) => format!("Stopped. {verb} {what} until then"),
    };
    let took = took(outcome.duration);
    let width = screen.width.min(80);
    let gap = width.saturating_sub(said.chars().count() + took.len()).max(2);
    format!("{STRONG}{said}{STRONG:#}{}{took}\n", " ".repeat(gap))
}

fn changes(outcome: &Outcome, screen: &Screen) -> String {
    let mut table = Table::new(vec![
        Column::new("", Align::Left),
        Column::new("", Align::Left),
        Column::new("", Align::Left),
    ]);
    let after = |cache| outcome.after.iter().find(|(c, _)| *c == cache).map(|(_, size)| *size);
    let bytes = |size: Size| screen.units.show(size.allocated.0).to_string();
    for (cache, before) in &outcome.before {
        let Some(after) = after(*cache) else { continue };
        if *before == after && outcome.before.len() > 1 {
            continue;
        }
        table.row(vec![
            cache.name().into(),
            format!("{} → {}", bytes(*before), bytes(after)).into(),
            format!("{} → {} files", short_count(before.files), short_count(after.files)).into(),
        ]);
    }
    table.render(screen.width, anstyle::Style::new())
}

fn freed(outcome: &Outcome, around: Around<'_>, screen: &Screen) -> String {
    let bytes = |size: Size| screen.units.show(size.allocated.0);
    let mut text = String::new();
    if outcome.trash_id.is_some() {
        // What went by a rename of its folder was counted, not measured.
        let what = match outcome.trashed {
            Size { files, allocated, .. } if allocated.0 == 0 => {
                format!("{} files", short_count(files))
            }
            size => bytes(size).to_string(),
        };
        let _ = write!(text, "{what} are in the trash and free when it is emptied.");
    }
    if outcome.trash_id.is_none() || !outcome.freed.is_empty() {
        let gap = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{gap}Freed {}.", bytes(outcome.freed));
    }
    for disk in around.disks {
        let mount = plain(&disk.mount.display().to_string()).into_owned();
        let _ = write!(text, " {mount} has {} free.", screen.units.show(disk.free));
    }
    text.push('\n');
    if let Some(id) = &outcome.trash_id {
        let until =
            around.undo_until.map_or_else(String::new, |until| format!(" until {}", day(until)));
        let _ = writeln!(text, "Undo{until}: {COMMAND}larder trash restore {id}{COMMAND:#}");
    }
    text
}

/// Things with a sentence each, those with the same sentence together.
fn listing(word: &str, style: anstyle::Style, rows: &[(&str, &str)], screen: &Screen) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let shown = if screen.verbose { rows.len() } else { ROWS };
    let mut table = Table::new(vec![
        Column::flexible("", Align::Left, 24),
        Column::flexible("", Align::Left, 24),
    ])
    .indent(2);
    for (subject, why) in rows.iter().take(shown) {
        table.row(vec![plain(subject).into_owned().into(), plain(why).into_owned().into()]);
    }
    let count = counted(rows.len() as u64, "item", "items");
    let mut text = format!("\n{style}{count} {word}{style:#}\n");
    text.push_str(&table.render(screen.width, anstyle::Style::new()));
    if rows.len() > shown {
        let _ = writeln!(text, "  … {} more: -v shows them, --json too", rows.len() - shown);
    }
    text
}
