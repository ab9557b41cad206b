//! The screen of `larder audit`: the findings first, then where the memory is.

use std::fmt::Write as _;

use larder_core::Severity;
use larder_redis::Audit;

use crate::printer::{BAD, COMMAND, DIM, STRONG, Screen, WARN};
use crate::table::{Align, Cell, Column, Table};
use crate::text::{cut, plain, short_count, took, wrapped};

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
        if let Some(cost) = finding.bytes {
            let _ = write!(said, "; {}", bytes(cost));
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
    for (key, frequency) in audit.hot_keys.iter().take(5) {
        let _ = writeln!(text, "hot   {}  frequency {frequency} of 255", key.escape_ascii());
    }
    for missing in &audit.missing {
        let _ = writeln!(text, "{WARN}warning{WARN:#}  without {}: {}", missing.what, missing.why);
    }
    let _ = writeln!(text, "{DIM}Our own look-ups counted as {} hits.{DIM:#}", audit.caused.hits);
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
            short_count(count.persistent_keys()).into(),
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
            big.elements.map_or_else(|| crate::text::NOTHING.to_owned(), short_count).into(),
        ]);
    }
    table.render(screen.width, DIM) + "\n"
}
