//! The screen of `larder events`: a line each.

use std::fmt::Write as _;

use larder_core::Event;
use larder_history::{EventFilter, KeptEvent};

use crate::printer::{DIM, Screen};
use crate::text::{minute, plain};

/// All of them, the oldest first.
pub(crate) fn events(events: &[KeptEvent], filter: &EventFilter, screen: &Screen) -> String {
    if events.is_empty() {
        return "Nothing happened that was kept.\n".to_owned();
    }
    let mut text = String::new();
    for kept in events {
        text.push_str(&event(&kept.event));
        if screen.verbose {
            for (name, value) in &kept.event.data {
                let _ = writeln!(text, "    {DIM}{}: {}{DIM:#}", plain(name), plain(value));
            }
        }
    }
    if filter.limit == Some(events.len()) {
        let _ =
            writeln!(text, "\nThe last {}. All of a week: larder events --since 7d", events.len());
    }
    text
}

/// One in a line.
pub(crate) fn event(event: &Event) -> String {
    let cache = event.cache.as_deref().unwrap_or("");
    let plan = event.plan_id.as_deref().map_or_else(String::new, |id| format!("  plan {id}"));
    format!(
        "{DIM}{}{DIM:#}  {:<15}  {:<14}  {}{DIM}{}{DIM:#}\n",
        minute(event.at),
        plain(&event.kind),
        plain(cache),
        plain(&event.message),
        plain(&plan),
    )
}
