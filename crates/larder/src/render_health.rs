//! The screen of `larder health`.

use std::fmt::Write as _;

use crate::health::Health;
use crate::printer::{DIM, Screen};
use crate::table::{Align, Column, Table};

/// Every cache with its score, and every point that it lost with the reason.
pub(crate) fn health(all: &[Health], screen: &Screen) -> String {
    if all.is_empty() {
        return "There is no cache here to judge.\n".to_owned();
    }
    all.iter().map(|one| target(one, screen)).collect::<Vec<_>>().join("\n")
}

fn target(health: &Health, screen: &Screen) -> String {
    let level = health.score.level().name();
    let Some(value) = health.score.value else {
        let why = health.error.as_deref().unwrap_or("nothing is known of it");
        return format!("{}   unknown: {why}\n", health.cache);
    };
    let partial = if health.score.partial { ", not all is known" } else { "" };
    let mut text = format!("{}   {value} of 100   {level}{partial}\n\n", health.cache);
    let mut table = Table::new(vec![
        Column::new("", Align::Left),
        Column::new("", Align::Left),
        Column::new("", Align::Right),
        Column::new("", Align::Right),
        Column::flexible("", Align::Left, 20),
    ]);
    for part in &health.score.dimensions {
        let (points, lost) = match part.points {
            Some(points) => (
                format!("{points:.1} of {:.0}", 100.0 * part.weight),
                format!("{:.1} lost", part.lost()),
            ),
            None => ("–".to_owned(), "not known".to_owned()),
        };
        let name = part.name.replace('_', " ");
        table.row(vec![
            format!("  {name}").into(),
            value_text(part.name, part.value).into(),
            points.into(),
            lost.into(),
            part.detail.as_str().into(),
        ]);
    }
    for penalty in &health.score.penalties {
        let lost =
            if penalty.points > 0.0 { format!("{:.1} lost", penalty.points) } else { "–".into() };
        table.row(vec![
            format!("  {}", penalty.id).into(),
            "".into(),
            "".into(),
            lost.into(),
            penalty.text.as_str().into(),
        ]);
    }
    text.push_str(&table.render(screen.width, DIM));
    if !health.actions.is_empty() {
        text.push('\n');
    }
    for action in &health.actions {
        let _ = writeln!(text, "  {action}");
    }
    text
}

fn value_text(name: &str, value: Option<f64>) -> String {
    match (name, value) {
        (_, None) => "–".to_owned(),
        ("latency", Some(seconds)) => format!("{:.2} ms", seconds * 1000.0),
        ("growth", Some(seconds)) => format!("{:.1} d", seconds / 86_400.0),
        (_, Some(ratio)) => format!("{ratio:.2}"),
    }
}
