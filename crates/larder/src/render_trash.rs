//! The screen of `larder trash`.

use std::fmt::Write as _;

use larder_core::Size;
use larder_fs::Restored;
use larder_fs::trash::Emptied;
use larder_redis::KeysRestored;

use crate::printer::{BAD, COMMAND, DIM, Screen};
use crate::table::{Align, Column, Table};
use crate::text::{counted, minute, plain, short_count};
use crate::wire_trash::TrashLine;

/// Rows of what went wrong; all of them with `-v`.
const ROWS: usize = 10;

/// What is in the trash.
pub fn trash(lines: &[TrashLine], screen: &Screen) -> String {
    if lines.is_empty() {
        return "The trash is empty.\n".to_owned();
    }
    let mut table = Table::new(vec![
        Column::new("ID", Align::Left),
        Column::new("SIZE", Align::Right),
        Column::new("CACHE", Align::Left),
        Column::new("SINCE", Align::Right),
        Column::new("UNTIL", Align::Right),
        Column::new("ITEMS", Align::Right),
    ]);
    for line in lines {
        table.row(vec![
            plain(&line.id).into_owned().into(),
            screen.units.show(line.size.allocated.0).to_string().into(),
            plain(&line.cache).into_owned().into(),
            minute(line.created_at).into(),
            minute(line.expires_at).into(),
            format!(
                "{}{}",
                short_count(line.keys.unwrap_or(line.size.files)),
                if line.ttls { " TTLs" } else { "" }
            )
            .into(),
        ]);
    }
    let total: Size = lines.iter().map(|line| line.size).sum();
    let total = screen.units.show(total.allocated.0);
    format!(
        "{}\n{total} in all. Restore: {COMMAND}larder trash restore ID{COMMAND:#}   Free: {COMMAND}larder trash empty{COMMAND:#}\n",
        table.render(screen.width, DIM)
    )
}

/// What restoring an entry did.
pub fn restored(id: &str, restored: &Restored, screen: &Screen) -> String {
    let things = counted(restored.restored, "thing", "things");
    let mut text = match (restored.complete, restored.restored) {
        (true, _) => format!("Restored {things} from {id}.\n"),
        (false, 0) => format!("Nothing of {id} could be restored.\n"),
        (false, _) => format!("Restored {things} from {id}; the rest is still in the trash.\n"),
    };
    let shown = if screen.verbose { usize::MAX } else { ROWS };
    for path in restored.conflicts.iter().take(shown) {
        let _ = writeln!(text, "  exists again: {}", plain(&path.display().to_string()));
    }
    for (path, error) in restored.errors.iter().take(shown) {
        let _ = writeln!(text, "  {}: {error}", plain(&path.display().to_string()));
    }
    let more = (restored.conflicts.len() + restored.errors.len()).saturating_sub(2 * ROWS);
    if !screen.verbose && more > 0 {
        let _ = writeln!(text, "  … more: -v shows them, --json too");
    }
    if !restored.conflicts.is_empty() {
        let _ = writeln!(
            text,
            "Put these back too, moving aside what is there now: {COMMAND}larder trash restore {id} --replace{COMMAND:#}"
        );
    }
    if let Some(other) = &restored.replaced {
        let _ = writeln!(
            text,
            "What was there is in the trash: {COMMAND}larder trash restore {other}{COMMAND:#}"
        );
    }
    text
}

/// What restoring keys, or with `ttls` their times to live, did.
pub fn keys_restored(id: &str, ttls: bool, restored: &KeysRestored, screen: &Screen) -> String {
    let keys = |count: u64| counted(count, "key", "keys");
    let what = if ttls { "the TTL of " } else { "" };
    let mut text = format!("Restored {what}{} from {id}.\n", keys(restored.restored));
    if restored.expired > 0 {
        let more = if ttls { " and keep the TTL that they have" } else { "" };
        let _ = writeln!(text, "  {} had ended meanwhile{more}", keys(restored.expired));
    }
    if restored.gone > 0 {
        let gone = counted(restored.gone, "key is gone", "keys are gone");
        let _ = writeln!(text, "  {gone}: nothing is left to give a TTL to");
    }
    if !restored.whole && restored.stopped.is_none() {
        let _ = writeln!(text, "  the file was not written to its end; what was in it is back");
    }
    if let Some(error) = &restored.stopped {
        let _ = writeln!(text, "{BAD}failed{BAD:#}  {}", plain(&error.to_string()));
        let _ = writeln!(text, "  The rest is still in the trash: {}.", crate::key_trash::FULL);
    }
    let shown = if screen.verbose { usize::MAX } else { ROWS };
    let again = if ttls { "has another TTL since" } else { "exists again" };
    for key in restored.conflicts.iter().take(shown) {
        let _ = writeln!(text, "  {again}: {}", key.escape_ascii());
    }
    for (key, error) in restored.failed.iter().take(shown) {
        let _ = writeln!(text, "  {}: {}", key.escape_ascii(), plain(error));
    }
    for more in [restored.conflicts.len(), restored.failed.len()] {
        if more > shown {
            let _ = writeln!(text, "  … {} more: -v shows them, --json too", more - shown);
        }
    }
    if !restored.conflicts.is_empty() {
        let instead = if ttls {
            "Put these back all the same"
        } else {
            "Put these back in place of what is there now"
        };
        let _ =
            writeln!(text, "{instead}: {COMMAND}larder trash restore {id} --replace{COMMAND:#}");
    }
    text
}

/// What emptying the trash did.
pub fn emptied(emptied: &[Emptied], screen: &Screen) -> String {
    let freed: Size = emptied.iter().map(|entry| entry.removal.freed).sum();
    let mut text = format!(
        "Removed {} from the trash. Freed {}.\n",
        counted(emptied.len() as u64, "entry", "entries"),
        screen.units.show(freed.allocated.0)
    );
    for (path, error) in emptied.iter().flat_map(|entry| &entry.removal.errors).take(ROWS) {
        let _ = writeln!(text, "  {}: {error}", plain(&path.display().to_string()));
    }
    text
}
