//! The screen of `larder audit`: the findings first, then where the memory is.

use std::fmt::Write as _;

use larder_core::Severity;
use larder_redis::Audit;
use larder_redis::prefixes::PrefixCount;

use crate::key_removal::millis;
use crate::printer::{BAD, COMMAND, DIM, STRONG, Screen, WARN};
use crate::table::{Align, Cell, Column, Table};
use crate::text::{NOTHING, cut, grouped, plain, short_count, took, wrapped};

/// The screen.
pub(crate) fn audit(cache: &str, audit: &Audit, top: usize, screen: &Screen) -> String {
    let bytes = |bytes: u64| screen.units.show(bytes).to_string();
    let mut text = format!(
        "{STRONG}{}{STRONG:#}: {} keys, {} in values, {} looked at closely, {}\n\n",
        plain(cache),
        short_count(audit.keys),
        bytes(audit.bytes),
        short_count(audit.sampled),
        took(audit.took),
    );
    for finding in &audit.findings {
        let style = match finding.severity {
            Severity::Critical => BAD,
            Severity::Warning => WARN,
            Severity::Info => DIM,
        };
        let mut said = format!("{}  {}: {}", finding.id, plain(&finding.subject), finding.evidence);
        if let Some(keys) = finding.keys.filter(|keys| *keys > 1) {
            let _ = write!(said, "; about {} keys", short_count(keys));
        }
        // What the sentence tells already is not said again.
        let cost = finding.bytes.map(bytes).filter(|cost| !finding.evidence.contains(cost));
        if let Some(cost) = cost {
            let _ = write!(said, "; {cost}");
        }
        if let Some(stall) = finding.stall.filter(|stall| stall.as_micros() >= 100) {
            let _ = write!(said, "; others wait {}", millis(stall));
        }
        let said = wrapped(&said, 10, screen.width);
        let _ = writeln!(text, "{style}{:<8}{style:#}  {said}", finding.severity.name());
        let _ = writeln!(text, "          {COMMAND}{}{COMMAND:#}", plain(&finding.remedy));
    }
    if audit.findings.is_empty() {
        text.push_str("Nothing needs attention.\n");
    }
    text.push('\n');
    text.push_str(&prefixes(audit, top, screen));
    text.push_str(&biggest(audit, screen));
    text.push_str(&hottest(audit));
    for missing in &audit.missing {
        let _ = writeln!(text, "{WARN}warning{WARN:#}  without {}: {}", missing.what, missing.why);
    }
    let hits = grouped(audit.caused.hits);
    let _ = writeln!(
        text,
        "{DIM}Our own look-ups counted as {hits} hits; larder status leaves them out.{DIM:#}"
    );
    text
}

fn prefixes(audit: &Audit, top: usize, screen: &Screen) -> String {
    let mut table = Table::new(vec![
        Column::new("SIZE", Align::Right),
        Column::new("", Align::Right),
        Column::flexible("PREFIX", Align::Left, 16),
        Column::new("KEYS", Align::Right),
        Column::new("NO TTL", Align::Right),
    ]);
    for (prefix, count) in audit.prefixes.iter().take(top) {
        let share = count.bytes as f64 * 100.0 / audit.bytes.max(1) as f64;
        table.row(vec![
            screen.units.show(count.bytes).to_string().into(),
            format!("{share:.0} %").into(),
            prefix.escape_ascii().to_string().into(),
            short_count(count.keys).into(),
            persistent(count).into(),
        ]);
    }
    let mut text = table.render(screen.width, DIM);
    if audit.prefixes.len() > top {
        let _ = writeln!(
            text,
            "  … {} more: --top {}",
            audit.prefixes.len() - top,
            audit.prefixes.len()
        );
    }
    text.push('\n');
    text
}

fn hottest(audit: &Audit) -> String {
    let mut text = String::new();
    for hot in audit.hot_keys.iter().take(5) {
        let how = match hot.frequency {
            Some(frequency) => format!("frequency {frequency} of 255"),
            None => format!("in use at each of {} looks", hot.looks),
        };
        let key = hot.key.escape_ascii().to_string();
        let _ = writeln!(text, "hot  {}  {how}", cut(&key, 60));
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// Unknown where none of them was looked at.
fn persistent(count: &PrefixCount) -> String {
    if count.looked == 0 {
        return NOTHING.to_owned();
    }
    short_count(count.persistent_keys())
}

fn biggest(audit: &Audit, screen: &Screen) -> String {
    let mut table = Table::new(vec![
        Column::new("SIZE", Align::Right),
        Column::flexible("BIGGEST KEYS", Align::Left, 16),
        Column::new("TYPE", Align::Left),
        Column::new("ELEMENTS", Align::Right),
    ]);
    for big in audit.big_keys.iter().take(5) {
        let key = big.key.escape_ascii().to_string();
        table.row(vec![
            Cell::from(screen.units.show(big.bytes).to_string()),
            cut(&key, 60).into_owned().into(),
            big.kind.clone().into(),
            big.elements.map_or_else(|| NOTHING.to_owned(), short_count).into(),
        ]);
    }
    table.render(screen.width, DIM) + "\n"
}
