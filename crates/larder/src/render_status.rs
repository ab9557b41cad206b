//! The screen of `larder status`: the answer first, then what to do about it.

use std::fmt::Write as _;

use larder_core::{Allocated, Finding, Severity, Size};
use larder_engine::report::{DiskLine, State, StatusReport, StatusRow};
use larder_engine::verify;

use crate::printer::{BAD, COMMAND, DIM, STRONG, Screen, WARN};
use crate::table::{Align, Cell, Column, Table};
use crate::text::{NOTHING, ago, plain, short_count, tilde, wrapped};

/// The screen.
pub fn status(report: &StatusReport, screen: &Screen) -> String {
    let table = caches(report, screen);
    let width = table.width(screen.width);
    let mut text = title(&report.disks, width, screen);
    text.push('\n');
    text.push_str(&table.render(screen.width, DIM));
    text.push_str(&notes(report, screen));
    text.push_str(&findings(report, screen));
    text
}

fn title(disks: &[DiskLine], width: usize, screen: &Screen) -> String {
    const TITLE: &str = "Caches on this machine";
    let mut text = format!("{STRONG}{TITLE}{STRONG:#}");
    let mut start = TITLE.len();
    for line in disks.iter().map(|disk| disk_line(disk, screen)) {
        // One that does not fit beside the title stands below it.
        let room = width.max(60).min(screen.width);
        let length = line.chars().count();
        if start + 2 + length > room && start > 0 {
            text.push('\n');
            start = 0;
        }
        text.push_str(&" ".repeat(room.saturating_sub(start + length)));
        let _ = writeln!(text, "{line}");
        start = 0;
    }
    if disks.is_empty() {
        text.push('\n');
    }
    text
}

/// `/ has 31.0 GB free of 250.0 GB`.
pub(crate) fn disk_line(disk: &DiskLine, screen: &Screen) -> String {
    let mount = plain(&disk.mount.display().to_string()).into_owned();
    let (free, total) = (screen.units.show(disk.free), screen.units.show(disk.total));
    format!("{mount} has {free} free of {total}")
}

fn caches(report: &StatusReport, screen: &Screen) -> Table {
    let mut table = Table::new(vec![
        Column::new("CACHE", Align::Left),
        Column::new("SIZE", Align::Right),
        Column::new("RECLAIMABLE", Align::Right),
        Column::new("", Align::Right),
        Column::new("ITEMS", Align::Right),
        Column::new("LAST USED", Align::Right),
        Column::new("OLDEST", Align::Right),
        Column::new("BUDGET", Align::Right),
    ]);
    let budgets = report.rows.iter().any(|row| row.budget.is_some());
    for row in &report.rows {
        table.row(cache(row, budgets, screen));
    }
    let size: Size = report.rows.iter().map(|row| row.size).sum();
    let reclaimable: Allocated = report.rows.iter().map(|row| row.reclaimable).sum();
    table.row(vec![
        Cell::from(""),
        Cell::styled(screen.units.show(size.allocated.0).to_string(), STRONG),
        Cell::styled(screen.units.show(reclaimable.0).to_string(), STRONG),
        percent(reclaimable, size.allocated).into(),
    ]);
    if !budgets {
        table.drop_last();
    }
    table
}

fn cache(row: &StatusRow, budgets: bool, screen: &Screen) -> Vec<Cell> {
    if row.state != State::Ok {
        let word = match row.state {
            State::Absent => NOTHING,
            state => state.name(),
        };
        return vec![row.cache.name().into(), Cell::styled(word, DIM)];
    }
    let bytes = |bytes: Allocated| screen.units.show(bytes.0).to_string();
    let over = row.budget.is_some_and(|budget| row.size.allocated > budget);
    let mut cells = vec![
        row.cache.name().into(),
        if over {
            Cell::styled(bytes(row.size.allocated), WARN)
        } else {
            bytes(row.size.allocated).into()
        },
        bytes(row.reclaimable).into(),
        percent(row.reclaimable, row.size.allocated).into(),
        short_count(row.items).into(),
        ago(screen.now, row.last_used).into(),
        ago(screen.now, row.oldest_use).into(),
    ];
    if budgets {
        cells.push(row.budget.map_or_else(|| NOTHING.to_owned(), bytes).into());
    }
    cells
}

fn percent(part: Allocated, whole: Allocated) -> String {
    if whole.0 == 0 {
        return String::new();
    }
    format!("{:.0} %", part.0.min(whole.0) as f64 * 100.0 / whole.0 as f64)
}

/// Where the caches are that are not simply where they should be; all of them with `-v`. What is
/// said of several caches alike is said once.
fn notes(report: &StatusReport, screen: &Screen) -> String {
    let mut notes: Vec<(Vec<String>, String)> = Vec::new();
    for row in &report.rows {
        let path = tilde(&row.path, screen.home.as_deref());
        let line = match (&row.link_target, &row.note) {
            (_, Some(note)) => plain(note).into_owned(),
            (Some(target), None) => {
                format!("{path} is a link to {}", tilde(target, screen.home.as_deref()))
            }
            (None, None) if screen.verbose => path,
            (None, None) => continue,
        };
        match notes.iter_mut().find(|(_, said)| *said == line) {
            Some((caches, _)) => caches.push(row.cache.to_string()),
            None => notes.push((vec![row.cache.to_string()], line)),
        }
    }
    let mut text = String::new();
    for (caches, line) in notes {
        let caches = caches.join(", ");
        let line = wrapped(&line, 11, screen.width);
        let _ = if caches.len() < 11 {
            writeln!(text, "{caches:<10} {line}")
        } else {
            writeln!(text, "{caches}\n{:11}{line}", "")
        };
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn findings(report: &StatusReport, screen: &Screen) -> String {
    let mut all: Vec<&Finding> = report.rows.iter().flat_map(|row| &row.findings).collect();
    all.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.frees)));
    if all.is_empty() {
        return last_line("Nothing needs attention.", &verified(report, screen), screen);
    }
    let commands = all.iter().filter_map(|finding| finding.command.as_ref());
    let widest = commands.map(|command| command.chars().count()).filter(|w| *w <= 60).max();
    let mut text = "\n".to_owned();
    let mut removes = false;
    for finding in all {
        let style = match finding.severity {
            Severity::Critical => BAD,
            Severity::Warning => WARN,
            Severity::Info => DIM,
        };
        let message = wrapped(&plain(&finding.message), 10, screen.width);
        let _ = writeln!(text, "{style}{:<8}{style:#}  {message}", finding.severity.name());
        let Some(command) = &finding.command else { continue };
        removes |= command.contains(" prune") || command.contains(" clean");
        let frees = finding.frees.filter(|frees| frees.0 > 0).map_or_else(String::new, |frees| {
            let gap = widest.unwrap_or(0).saturating_sub(command.chars().count());
            format!("{}  frees {}", " ".repeat(gap), screen.units.show(frees.0))
        });
        let _ = writeln!(text, "          {COMMAND}{}{COMMAND:#}{frees}", plain(command));
    }
    let removes = if removes { "Add -n to any of these to see exactly what would go." } else { "" };
    text + &last_line(removes, &verified(report, screen), screen)
}

/// Two sentences in one line where there is room, else below each other.
fn last_line(first: &str, second: &str, screen: &Screen) -> String {
    if first.is_empty() && second.is_empty() {
        return String::new();
    }
    let fits = first.chars().count() + 1 + second.chars().count() <= screen.width;
    let between = if fits || first.is_empty() || second.is_empty() { " " } else { "\n" };
    format!("\n{}\n", format!("{first}{between}{second}").trim())
}

/// `mod was verified 3 d ago, build never.`
fn verified(report: &StatusReport, screen: &Screen) -> String {
    let of = |cache| report.rows.iter().find(|row| row.cache == cache && row.state == State::Ok);
    let rows: Vec<&StatusRow> = verify::CACHES.into_iter().filter_map(of).collect();
    let mut parts: Vec<String> = Vec::new();
    for (row, last) in rows.iter().filter_map(|row| Some((row, row.last_verified?))) {
        let was = if parts.is_empty() { "was verified " } else { "" };
        let age = match ago(screen.now, Some(last.at)) {
            now if now == "now" => "just now".to_owned(),
            age => format!("{age} ago"),
        };
        let bad = match last.bad {
            0 => String::new(),
            bad => format!(" with {bad} bad"),
        };
        parts.push(format!("{} {was}{age}{bad}", row.cache));
    }
    let never = rows.iter().filter(|row| row.last_verified.is_none()).map(|row| row.cache.name());
    let never: Vec<&str> = never.collect();
    match (parts.is_empty(), never.as_slice()) {
        (true, []) => return String::new(),
        (true, [one]) => parts.push(format!("{one} was never verified")),
        (true, both) => parts.push(format!("{} were never verified", both.join(" and "))),
        (false, []) => {}
        (false, some) => parts.push(format!("{} never", some.join(" and "))),
    }
    format!("{}.", parts.join(", "))
}

#[cfg(test)]
#[path = "render_tests.rs"]
pub(crate) mod tests;
