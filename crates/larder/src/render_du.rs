//! The screen of `larder du`.

use std::fmt::Write as _;

use larder_engine::report::DuReport;

use crate::printer::{DIM, STRONG, Screen};
use crate::table::{Align, Cell, Column, Table};
use crate::text::{ago, counted, plain, short_count};

/// The table, its sum, and what `--top` left out.
pub fn du(report: &DuReport, screen: &Screen) -> String {
    if report.rows.is_empty() {
        return "Nothing is cached.\n".to_owned();
    }
    let first = report.rows[0].cache;
    let several = report.rows.iter().any(|row| row.cache != first);
    let mut columns = vec![
        Column::new("SIZE", Align::Right),
        Column::new("", Align::Right),
        Column::flexible("WHAT", Align::Left, 16),
        Column::new("FILES", Align::Right),
        Column::new("LAST USED", Align::Right),
    ];
    if several {
        columns.insert(2, Column::new("CACHE", Align::Left));
    }
    let mut table = Table::new(columns);
    let whole = report.total.allocated.0.max(1);
    for row in &report.rows {
        let bytes = row.size.allocated.0;
        let mut cells: Vec<Cell> = vec![
            screen.units.show(bytes).to_string().into(),
            format!("{:.0} %", bytes as f64 * 100.0 / whole as f64).into(),
            plain(&row.key).into_owned().into(),
            short_count(row.size.files).into(),
            ago(screen.now, row.last_used).into(),
        ];
        if several {
            cells.insert(2, row.cache.name().into());
        }
        table.row(cells);
    }
    let rest = match report.omitted {
        0 => "in all".to_owned(),
        n => format!(
            "in all, with {} more: --top {}",
            counted(n as u64, "row", "rows"),
            report.rows.len() + n
        ),
    };
    let mut text = table.render(screen.width, DIM);
    let total = screen.units.show(report.total.allocated.0);
    let _ = writeln!(text, "\n{STRONG}{total}{STRONG:#} {rest}");
    text
}
