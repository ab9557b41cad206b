//! The screens of `larder slowlog`.

use std::fmt::Write as _;
use std::time::Duration;

use larder_core::Time;
use larder_redis::slowlog::{Sender, SlowEntry, blocked, offenders};

use crate::key_removal::millis;
use crate::printer::{COMMAND, DIM, STRONG, Screen, WARN};
use crate::text::{counted, minute, plain, took, wrapped};
use crate::wire_slowlog::SlowReport;

/// Patterns, the costliest first; at the end how to limit the worst of their senders.
pub(crate) fn patterns(cache: &str, report: &SlowReport, top: usize, screen: &Screen) -> String {
    let SlowReport { entries, patterns, lost, missing } = report;
    let mut text = String::new();
    match blocked(entries) {
        None => text.push_str("No slow command is on record.\n"),
        Some((total, window)) => {
            let share = total.as_secs_f64() / window.as_secs_f64() * 100.0;
            let share = if share < 1.0 { "less than 1".to_owned() } else { format!("{share:.0}") };
            let (total, window) = (took(total), took(window));
            let _ = writeln!(
                text,
                "In {window} everybody else waited {total} for these, {share} % of the time.\n"
            );
        }
    }
    for pattern in patterns.iter().take(top) {
        let _ = writeln!(
            text,
            "{STRONG}{}{STRONG:#}  {}, {} in all, {} the longest",
            plain(&pattern.pattern),
            counted(pattern.count, "time", "times"),
            span(pattern.total),
            span(pattern.max),
        );
        for sent in pattern.senders.iter().take(3) {
            let _ = writeln!(text, "    {} from {}", sent.count, sender(&sent.sender));
        }
        if let Some(remedy) = pattern.remedy {
            let remedy = wrapped(remedy, 4, screen.width);
            let _ = writeln!(text, "    {COMMAND}{remedy}{COMMAND:#}");
        }
    }
    if patterns.len() > top {
        let _ = writeln!(text, "… {} more: --top {}", patterns.len() - top, patterns.len());
    }
    if *lost > 0 {
        let lost = counted(*lost, "entry", "entries");
        let _ = writeln!(text, "{WARN}warning{WARN:#}  {lost} came and went unseen: --follow");
    }
    for missing in missing {
        let _ = writeln!(text, "{WARN}warning{WARN:#}  {}", plain(missing));
    }
    text + &limit(cache, entries)
}

/// How to limit the user that keeps the others waiting most.
fn limit(cache: &str, entries: &[SlowEntry]) -> String {
    let worst = offenders(entries, 0).into_iter().next();
    // Whoever does not log in cannot be told from others by a user's name.
    let user = worst.and_then(|worst| worst.sender.user).filter(|user| user != "default");
    user.map_or_else(String::new, |user| {
        let user = plain(&user).into_owned();
        format!(
            "\nLimit {user} for a while: \
             {COMMAND}larder throttle {cache} --user {user} --for 10m{COMMAND:#}\n"
        )
    })
}

fn span(duration: Duration) -> String {
    if duration < Duration::from_secs(1) { millis(duration) } else { took(duration) }
}

/// What stands for a user that the log does not tell.
const UNKNOWN: &str = "unknown user";

fn sender(sender: &Sender) -> String {
    let mut text = plain(&sender.address).into_owned();
    if !sender.name.is_empty() {
        let _ = write!(text, ", {}", plain(&sender.name));
    }
    let user = sender.user.as_deref().map_or(UNKNOWN.into(), |user| format!("user {user}"));
    let _ = write!(text, ", {}", plain(&user));
    if let Some(library) = &sender.library {
        let _ = write!(text, ", {}", plain(library));
    }
    text
}

/// One entry in a line.
pub(crate) fn entry(entry: &SlowEntry) -> String {
    let at = Time::from_unix(i64::try_from(entry.at).unwrap_or(0));
    let user = entry.user.as_deref().unwrap_or(UNKNOWN);
    format!(
        "{DIM}{}{DIM:#}  {:>8}  {}  {} {}\n",
        minute(at),
        span(entry.took),
        plain(&entry.pattern),
        plain(&entry.address),
        plain(user),
    )
}
