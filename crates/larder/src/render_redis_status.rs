//! The rows of each Redis on the screen of `larder status`.

use std::fmt::Write as _;
use std::time::Duration;

use larder_core::health::Level;
use larder_core::time::Age;
use larder_redis::{ServerState, Vitals};

use crate::key_removal::millis;
use crate::printer::{BAD, DIM, Screen, WARN};
use crate::redis_status::RedisRow;
use crate::table::{Align, Cell, Column, Table};
use crate::text::{NOTHING, grouped, plain, short_count, wrapped};

/// Above this share connections run out soon.
const FULL: f64 = 0.8;
/// Fragmentation is worth a word from this ratio and this many bytes on: a small server's ratio
/// means nothing.
const FRAGMENTED: (f64, u64) = (1.4, 64 << 20);

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
        Column::new("SINCE", Align::Right),
        Column::new("LATENCY", Align::Right),
        Column::new("SCORE", Align::Right),
        Column::new("EVICTED", Align::Right),
        Column::new("CLIENTS", Align::Right),
        Column::new("FRAGM.", Align::Right),
    ]);
    let mut notes = String::new();
    for row in rows {
        table.row(cells(row, screen));
        for note in self::notes(row, screen) {
            let note = wrapped(&plain(&note), 9, screen.width);
            let _ = writeln!(notes, "{WARN}warning{WARN:#}  {note}");
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
    let points = score.as_ref().and_then(|score| Some((score.value?, score.partial)));
    let points = points.map(|(value, partial)| {
        if partial { format!("{value:.0} in part") } else { format!("{value:.0} of 100") }
    });
    let felt = (vitals.latency.samples > 0).then(|| millis(vitals.latency.p50));
    let style_if = |bad: bool| if bad { WARN } else { anstyle::Style::new() };
    // Keys that go because memory is full are worth a look; that some did once is not.
    let evicted = vitals.window.map_or(vitals.evicted, |window| Some(window.evicted));
    let evicting = vitals.window.is_some_and(|window| window.evicted > 0);
    vec![
        name,
        or_nothing(vitals.used_memory.map(bytes)).into(),
        or_nothing(limit.map(bytes)).into(),
        or_nothing(vitals.keys.map(short_count)).into(),
        or_nothing(vitals.persistent_keys.map(short_count)).into(),
        or_nothing(vitals.hit_rate().map(percent)).into(),
        since(vitals).into(),
        or_nothing(felt).into(),
        Cell::styled(or_nothing(points), style),
        Cell::styled(or_nothing(evicted.map(short_count)), style_if(evicting)),
        Cell::styled(clients(vitals), style_if(full(vitals))),
        Cell::styled(
            or_nothing(vitals.fragmentation.map(|ratio| format!("{ratio:.2}"))),
            style_if(fragmented(vitals).is_some()),
        ),
    ]
}

/// What the hit rate is since: the last status, or the server's start.
fn since(vitals: &Vitals) -> String {
    match (vitals.hit_rate(), vitals.hit_window()) {
        (None, _) => NOTHING.to_owned(),
        (Some(_), None) => "start".to_owned(),
        (Some(_), Some(window)) => Age(window.max(Duration::from_secs(1))).to_string(),
    }
}

/// How many there are, and of how many where these run out.
fn clients(vitals: &Vitals) -> String {
    match (vitals.connections, vitals.max_connections) {
        (None, _) => NOTHING.to_owned(),
        (Some(some), Some(all)) if full(vitals) => {
            format!("{} of {}", short_count(some), short_count(all))
        }
        (Some(some), _) => short_count(some),
    }
}

fn full(vitals: &Vitals) -> bool {
    vitals.connection_usage().is_some_and(|share| share >= FULL)
}

/// The bytes, where they matter.
fn fragmented(vitals: &Vitals) -> Option<u64> {
    let much = vitals.fragmentation.is_some_and(|ratio| ratio >= FRAGMENTED.0);
    vitals.fragmented.filter(|bytes| much && *bytes >= FRAGMENTED.1)
}

/// What a person should know of its state.
fn notes(row: &RedisRow, screen: &Screen) -> Vec<String> {
    let cache = &row.cache;
    let vitals = match &row.vitals {
        Err(why) => return vec![format!("{cache}: {why}")],
        Ok(vitals) => vitals,
    };
    let missing = vitals.missing.iter();
    let mut notes: Vec<String> = missing
        .map(|missing| format!("{cache}: without {}: {}", missing.what, missing.why))
        .collect();
    if vitals.state != ServerState::Ok {
        notes.push(format!("{cache} is {}", vitals.state.name()));
    }
    if vitals.persistence.last_save_ok == Some(false) {
        notes.push(format!("{cache}: the last snapshot could not be written; its log says why"));
    }
    if vitals.persistence.last_append_ok == Some(false) {
        notes.push(format!("{cache}: the append-only file cannot be written; its log says why"));
    }
    if let (true, Some(some), Some(all)) =
        (full(vitals), vitals.connections, vitals.max_connections)
    {
        let (some, all) = (grouped(some), grouped(all));
        notes.push(format!("{cache}: {some} of {all} connections are taken"));
    }
    if let Some(refused) = vitals.window.map(|window| window.rejected).filter(|n| *n > 0) {
        let refused = grouped(refused);
        notes.push(format!("{cache}: {refused} connections were refused since the last status"));
    }
    if let Some(bytes) = fragmented(vitals) {
        let bytes = screen.units.show(bytes);
        notes.push(format!("{cache}: {bytes} are lost to fragmentation: larder audit {cache}"));
    }
    notes
}
