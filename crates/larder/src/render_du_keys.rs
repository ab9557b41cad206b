//! The screen of `larder du` of Redis caches.

use std::fmt::Write as _;

use larder_redis::Estimate;

use crate::key_du::KeysUsed;
use crate::key_plan::whole;
use crate::printer::{DIM, STRONG, Screen, WARN};
use crate::table::{Align, Cell, Column, Table};
use crate::text::{counted, plain, short_count};

/// The table, its sum, what `--top` left out, and how sure the figures are.
pub(crate) fn du(looked: &[KeysUsed], top: usize, screen: &Screen) -> String {
    let rows = KeysUsed::rows(looked);
    let mut text = String::new();
    if rows.is_empty() {
        text.push_str("No key is there.\n");
    } else {
        text.push_str(&table(looked, top, screen));
        let (bytes, keys) = KeysUsed::total(looked);
        let size = screen.units.show(whole(bytes.value));
        let rest = match rows.len().saturating_sub(top) {
            0 => "in all".to_owned(),
            n => format!(
                "in all, with {} more: --top {}",
                counted(n as u64, "row", "rows"),
                rows.len()
            ),
        };
        let keys = counted(whole(keys.value), "key", "keys");
        let about = if bytes.is_exact() { "" } else { "About " };
        let _ = writeln!(text, "\n{STRONG}{about}{size}{STRONG:#} {rest}, {keys}.");
        let sampled: u64 = looked.iter().map(|one| one.du.sampled).sum();
        if !bytes.is_exact() {
            let _ = writeln!(
                text,
                "From a sample of {}: 95 times in a hundred the figures lie between these.",
                counted(sampled, "key", "keys")
            );
        }
    }
    let hits: u64 = looked.iter().map(|one| one.du.caused.hits).sum();
    if hits > 0 {
        let hits = counted(hits, "hit", "hits");
        let _ = writeln!(text, "The server counted {hits} for it; larder status leaves them out.");
    }
    for missing in looked.iter().flat_map(|one| &one.du.missing) {
        let (what, why) = (plain(&missing.what), plain(&missing.why));
        let _ = writeln!(text, "{WARN}warning{WARN:#}  without {what}: {why}");
    }
    text
}

fn table(looked: &[KeysUsed], top: usize, screen: &Screen) -> String {
    let several = looked.len() > 1;
    let rows = KeysUsed::rows(looked);
    let (total, _) = KeysUsed::total(looked);
    let sampled = rows.iter().any(|(_, row)| !row.bytes.is_exact());
    let mut columns = vec![
        Column::new("SIZE", Align::Right),
        Column::new("", Align::Right),
        Column::flexible("WHAT", Align::Left, 16),
        Column::new("KEYS", Align::Right),
    ];
    if sampled {
        columns.push(Column::new("BETWEEN", Align::Right));
    }
    if several {
        columns.insert(2, Column::new("CACHE", Align::Left));
    }
    let mut table = Table::new(columns);
    for (cache, row) in rows.into_iter().take(top) {
        let share = row.bytes.value * 100.0 / total.value.max(1.0);
        let mut cells: Vec<Cell> = vec![
            screen.units.show(whole(row.bytes.value)).to_string().into(),
            format!("{share:.0} %").into(),
            row.key.escape_ascii().to_string().into(),
            short_count(whole(row.keys.value)).into(),
        ];
        if sampled {
            cells.push(between(row.bytes, screen).into());
        }
        if several {
            cells.insert(2, plain(cache).into_owned().into());
        }
        table.row(cells);
    }
    table.render(screen.width, DIM)
}

/// `13.7 MB and 14.2 MB`, or that it was counted.
fn between(bytes: Estimate, screen: &Screen) -> String {
    if bytes.is_exact() {
        return "counted".to_owned();
    }
    let show = |figure: f64| screen.units.show(whole(figure)).to_string();
    format!("{} and {}", show(bytes.low), show(bytes.high))
}
