//! The screen of `larder trash`.

use larder_core::Size;

use crate::printer::{COMMAND, DIM, Screen};
use crate::table::{Align, Column, Table};
use crate::text::{minute, plain, short_count};
use crate::wire_trash::TrashLine;

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
        Column::new("FILES", Align::Right),
    ]);
    for line in lines {
        table.row(vec![
            plain(&line.id).into_owned().into(),
            screen.units.show(line.size.allocated.0).to_string().into(),
            plain(&line.cache).into_owned().into(),
            minute(line.created_at).into(),
            minute(line.expires_at).into(),
            short_count(line.size.files).into(),
        ]);
    }
    let total: Size = lines.iter().map(|line| line.size).sum();
    let total = screen.units.show(total.allocated.0);
    format!(
        "{}\n{total} in all. Restore: {COMMAND}larder trash restore ID{COMMAND:#}   Free: {COMMAND}larder trash empty{COMMAND:#}\n",
        table.render(screen.width, DIM)
    )
}
