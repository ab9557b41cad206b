//! The screens of `larder slowlog`.

use std::fmt::Write as _;

use larder_core::Time;
use larder_redis::slowlog::{Sender, SlowEntry, SlowPattern};

use crate::key_removal::millis;
use crate::printer::{COMMAND, DIM, STRONG, Screen, WARN};
use crate::text::{counted, minute, plain, wrapped};

/// Patterns, the costliest first.
pub(crate) fn patterns(
    patterns: &[SlowPattern],
    top: usize,
    lost: u64,
    missing: &[String],
    screen: &Screen,
) -> String {
    let mut text = String::new();
    if patterns.is_empty() {
        text.push_str("No slow command is on record.\n");
    }
    for pattern in patterns.iter().take(top) {
        let _ = writeln!(
            text,
            "{STRONG}{}{STRONG:#}  {}, {} in all, {} the longest",
            plain(&pattern.pattern),
            counted(pattern.count, "time", "times"),
            millis(pattern.total),
            millis(pattern.max),
        );
        for (sender, count) in pattern.senders.iter().take(3) {
            let _ = writeln!(text, "    {count} from {}", self::sender(sender));
        }
        if let Some(remedy) = pattern.remedy {
            let remedy = wrapped(remedy, 4, screen.width);
            let _ = writeln!(text, "    {COMMAND}{remedy}{COMMAND:#}");
        }
    }
    if patterns.len() > top {
        let _ = writeln!(text, "… {} more: --top {}", patterns.len() - top, patterns.len());
    }
    if lost > 0 {
        let lost = counted(lost, "entry", "entries");
        let _ = writeln!(text, "{WARN}warning{WARN:#}  {lost} came and went unseen: --follow");
    }
    for missing in missing {
        let _ = writeln!(text, "{WARN}warning{WARN:#}  {}", plain(missing));
    }
    text
}

fn sender(sender: &Sender) -> String {
    let mut text = plain(&sender.address).into_owned();
    if !sender.name.is_empty() {
        let _ = write!(text, ", {}", plain(&sender.name));
    }
    if let Some(user) = &sender.user {
        let _ = write!(text, ", user {}", plain(user));
    }
    text
}

/// One entry in a line.
pub(crate) fn entry(entry: &SlowEntry) -> String {
    let at = Time::from_unix(i64::try_from(entry.at).unwrap_or(0));
    let user = entry.user.as_deref().unwrap_or("unknown user");
    format!(
        "{DIM}{}{DIM:#}  {:>8}  {}  {} {}\n",
        minute(at),
        millis(entry.took),
        plain(&entry.pattern),
        plain(&entry.address),
        plain(user),
    )
}
