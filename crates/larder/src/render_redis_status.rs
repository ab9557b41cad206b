//! The rows of each Redis on the screen of `larder status`.

use std::fmt::Write as _;

use larder_core::health::Level;

use crate::key_removal::millis;
use crate::printer::{BAD, DIM, Screen, WARN};
use crate::redis_status::RedisRow;
use crate::table::{Align, Cell, Column, Table};
use crate::text::{NOTHING, plain, short_count};

/// A table of them; nothing where none is configured.
pub(crate) fn rows(rows: &[RedisRow], screen: &Screen) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(vec![
        Column::new("REDIS", Align::Left),
        Column::new("MEMORY", Align::Right),
        Column::new("OF", Align::Right),
        Column::new("KEYS", Align::Right),
        Column::new("NO TTL", Align::Right),
        Column::new("HITS", Align::Right),
        Column::new("LATENCY", Align::Right),
        Column::new("SCORE", Align::Right),
        Column::new("EVICTED", Align::Right),
        Column::new("CLIENTS", Align::Right),
        Column::new("FRAGM.", Align::Right),
    ]);
    let mut notes = String::new();
    for row in rows {
        table.row(cells(row, screen));
        if let Some(note) = note(row) {
            let _ = writeln!(notes, "{WARN}warning{WARN:#}  {}", plain(&note));
        }
    }
    let notes = if notes.is_empty() { notes } else { format!("\n{notes}") };
    format!("\n{}{notes}", table.render(screen.width, DIM))
}

fn cells(row: &RedisRow, screen: &Screen) -> Vec<Cell> {
    let name = Cell::from(plain(&row.cache).into_owned());
    let Ok(vitals) = &row.vitals else {
        return vec![name, Cell::styled("unreachable", BAD)];
    };
    let bytes = |bytes: u64| screen.units.show(bytes).to_string();
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let limit = vitals.max_memory.or(row.budget);
    let score = row.score();
    let style = match score.as_ref().map(larder_core::Score::level) {
        Some(Level::Critical) => BAD,
        Some(Level::Warning) => WARN,
        _ => anstyle::Style::new(),
    };
    let points =
        score.as_ref().and_then(|score| score.value).map(|value| format!("{value:.0} of 100"));
    let felt = (vitals.latency.samples > 0).then(|| millis(vitals.latency.p50));
    vec![
        name,
        bytes(vitals.used_memory).into(),
        or_nothing(limit.map(bytes)).into(),
        short_count(vitals.keys).into(),
        short_count(vitals.persistent_keys).into(),
        or_nothing(vitals.hit_rate().map(percent)).into(),
        or_nothing(felt).into(),
        Cell::styled(or_nothing(points), style),
        short_count(vitals.evicted).into(),
        short_count(vitals.connections).into(),
        or_nothing(vitals.fragmentation.map(|ratio| format!("{ratio:.2}"))).into(),
    ]
}

/// What a person should know of its state.
fn note(row: &RedisRow) -> Option<String> {
    let vitals = match &row.vitals {
        Err(why) => return Some(format!("{}: {why}", row.cache)),
        Ok(vitals) => vitals,
    };
    if let Some(missing) = vitals.missing.first() {
        return Some(format!("{}: without {}: {}", row.cache, missing.what, missing.why));
    }
    match vitals.state {
        larder_redis::ServerState::Ok => None,
        state => Some(format!("{} is {}", row.cache, state.name())),
    }
}
