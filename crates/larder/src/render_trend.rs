//! The screen of `larder trend`: a line a level, then what has to be known beside it.

use std::fmt::Write as _;
use std::time::Duration;

use larder_core::Time;
use larder_core::time::Age;
use larder_core::trend::{Full, Verdict};
use larder_history::Metric;

use crate::key_removal::whole;
use crate::printer::{BAD, COMMAND, DIM, Screen, WARN};
use crate::table::{Align, Cell, Column, Table};
use crate::text::{NOTHING, counted, plain};
use crate::trend_rows::TrendRow;

const DAY: f64 = 86_400.0;
/// What is full within this time is shown in colour.
const SOON: Duration = Duration::from_hours(7 * 24);

/// The screen; `sampled` where two samples were taken for it.
pub(crate) fn trend(rows: &[TrendRow], sampled: bool, screen: &Screen) -> String {
    if rows.is_empty() {
        return none();
    }
    let hosts = rows.iter().any(|row| row.source.host.is_some());
    let mut table = Table::new(vec![
        Column::flexible("CACHE", Align::Left, 14),
        Column::new("SIZE", Align::Right),
        Column::new("A DAY", Align::Right),
        Column::new("FULL", Align::Left),
        Column::new("BETWEEN", Align::Left),
        Column::new("BUDGET", Align::Right),
        Column::new("A SECOND", Align::Right),
        Column::new("HISTORY", Align::Left),
    ]);
    for row in rows {
        table.row(cells(row, hosts, screen));
    }
    let mut text = table.render(screen.width, DIM);
    text.push_str(&notes(rows, sampled, screen));
    text
}

fn none() -> String {
    format!(
        "There is no history yet. Each larder leaves a sample; a line in cron is enough.\n\
         Without one: {COMMAND}larder trend --sample 300s{COMMAND:#}\n"
    )
}

fn cells(row: &TrendRow, hosts: bool, screen: &Screen) -> Vec<Cell> {
    let trend = &row.trend;
    let mut name = plain(&row.source.cache).into_owned();
    if row.metric == Metric::Resident {
        name.push_str(" rss");
    }
    if hosts {
        name = format!("{} {name}", plain(row.source.host.as_deref().unwrap_or("here")));
    }
    let bytes = |bytes: u64| screen.units.show(bytes).to_string();
    let size = match trend.at {
        Some(_) => bytes(whole(trend.level)),
        None => NOTHING.to_owned(),
    };
    let Some(rate) = trend.rate else {
        let said = match trend.verdict {
            Verdict::NotEnough => "not enough history".to_owned(),
            _ => String::new(),
        };
        let blank = || Cell::from(NOTHING);
        return vec![
            name.into(),
            size.into(),
            blank(),
            Cell::styled(said, DIM),
            blank(),
            row.budget.map_or_else(|| NOTHING.to_owned(), bytes).into(),
            blank(),
            history(row).into(),
        ];
    };
    let steady = trend.verdict == Verdict::Steady;
    let between = match rate.interval {
        Some(_) if steady => "steady".to_owned(),
        Some((low, high)) => {
            format!("{} to {}", signed(low * DAY, screen), signed(high * DAY, screen))
        }
        None => "not known of two samples".to_owned(),
    };
    vec![
        name.into(),
        size.into(),
        signed(rate.per_second * DAY, screen).into(),
        full(row, screen),
        between.into(),
        row.budget.map_or_else(|| NOTHING.to_owned(), bytes).into(),
        format!("{}/s", signed(rate.per_second, screen)).into(),
        history(row).into(),
    ]
}

/// `+1.2 GB`, `−3.0 kB`, `0 B`.
fn signed(bytes: f64, screen: &Screen) -> String {
    let sign = match bytes {
        rising if rising >= 0.5 => "+",
        falling if falling <= -0.5 => "−",
        _ => "",
    };
    format!("{sign}{}", screen.units.show(whole(bytes.abs())))
}

/// `in 12 d (10 to 15 d)`.
fn full(row: &TrendRow, screen: &Screen) -> Cell {
    let Some(full) = row.full else { return NOTHING.into() };
    let over = row.budget.is_some_and(|budget| row.trend.level >= budget as f64);
    if over {
        return Cell::styled("now", BAD);
    }
    let text = format!("in {}{}", left(full.at, screen), range(&full, screen));
    let style = if screen.now.plus(SOON) >= full.at { WARN } else { anstyle::Style::new() };
    Cell::styled(text, style)
}

fn left(at: Time, screen: &Screen) -> String {
    Age(at.since(screen.now)).to_string()
}

fn range(full: &Full, screen: &Screen) -> String {
    match (full.earliest, full.latest) {
        (Some(earliest), Some(latest)) => {
            let (from, to) = (left(earliest, screen), left(latest, screen));
            if from == to { String::new() } else { format!(" ({from} to {to})") }
        }
        (Some(earliest), None) => format!(" ({} at least)", left(earliest, screen)),
        (None, _) => String::new(),
    }
}

/// `300 samples, 7 d`.
fn history(row: &TrendRow) -> String {
    let trend = &row.trend;
    match trend.samples {
        0 => "none".to_owned(),
        1 => "1 sample".to_owned(),
        n => format!("{}, {}", counted(n as u64, "sample", "samples"), Age(trend.span)),
    }
}

fn notes(rows: &[TrendRow], sampled: bool, screen: &Screen) -> String {
    let mut text = String::new();
    for row in rows {
        let name = plain(&row.source.cache);
        if row.trend.fallen >= 1.0 && row.metric == Metric::Allocated {
            let fell = screen.units.show(whole(row.trend.fallen));
            let span = Age(row.trend.span);
            let _ =
                writeln!(text, "{name}: cleanups and drops took {fell} in {span}, added back here");
        }
        let disk = row.disk_full.filter(|disk| row.full.is_none_or(|full| disk.at < full.at));
        if let Some(disk) = disk.filter(|disk| screen.now.plus(SOON) >= disk.at) {
            let free = row
                .disk_free
                .map_or_else(String::new, |free| format!(" {} free", screen.units.show(free)));
            let when = left(disk.at, screen);
            let disk =
                row.disk.as_deref().map_or_else(|| "its disk".to_owned(), |d| plain(d).into());
            let _ = writeln!(text, "{WARN}warning{WARN:#}  {name} fills {disk} in {when}:{free}");
        }
        if screen.verbose
            && let Some(ratio) = row.record.ratio
        {
            let checked = counted(row.record.checked as u64, "forecast", "forecasts");
            let _ = writeln!(text, "{name}: {checked} of a day, {:.1} % off", ratio * 100.0);
        }
    }
    if sampled {
        text.push_str("Two samples say how fast, and not how sure that is.\n");
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

#[cfg(test)]
#[path = "render_trend_tests.rs"]
mod tests;
