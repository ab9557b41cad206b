//! Small pieces of text: counts, ages, paths and names as screens show them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use larder_core::Time;
pub use larder_core::count::{counted, grouped};
use larder_core::time::Age;

/// What stands where there is nothing to say.
pub const NOTHING: &str = "–";

/// `9,999`, then `412 k`, `1.1 M`: what a column has room for.
pub fn short_count(number: u64) -> String {
    match number {
        0..10_000 => grouped(number),
        10_000..999_500 => format!("{} k", (number + 500) / 1000),
        999_500..999_950_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.1} G", number as f64 / 1e9),
    }
}

/// How long ago, `now` for the last minute.
pub fn ago(now: Time, then: Option<Time>) -> String {
    match then {
        None => NOTHING.to_owned(),
        Some(then) if now.since(then) < Duration::from_mins(1) => "now".to_owned(),
        Some(then) => Age(now.since(then)).to_string(),
    }
}

/// `4.1 s`, `350 ms`, `3 min`.
pub fn took(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        1000..100_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => Age(duration).to_string(),
    }
}

/// A day as a person reads it in their own time zone: `30 Nov 2026`.
pub fn day(time: Time) -> String {
    local(time).map_or_else(|| NOTHING.to_owned(), |zoned| zoned.strftime("%-d %b %Y").to_string())
}

/// A minute as a person reads it in their own time zone: `30 Nov 2026 14:05`.
pub fn minute(time: Time) -> String {
    local(time)
        .map_or_else(|| NOTHING.to_owned(), |zoned| zoned.strftime("%-d %b %Y %H:%M").to_string())
}

fn local(time: Time) -> Option<jiff::Zoned> {
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(time.unix_nanos())).ok()?;
    Some(stamp.to_zoned(jiff::tz::TimeZone::system()))
}

/// A path with the home folder as `~`.
pub fn tilde(path: &Path, home: Option<&Path>) -> String {
    let below = home.and_then(|home| path.strip_prefix(home).ok());
    let text = match below {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~{}{}", std::path::MAIN_SEPARATOR, rest.display()),
        None => path.display().to_string(),
    };
    plain(&text).into_owned()
}

/// Text from outside without what a terminal would obey: control characters are shown escaped.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_command) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_command(c) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "{}", c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Control characters, and those that turn the direction of text around.
fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` cut to `width` characters, the last one `…` where something is missing.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    Cow::Owned(format!("{}…", kept.trim_end()))
}

/// A sentence in lines of at most `width`, each after the first indented; long words stay whole.
pub fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    let mut column = indent;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_fit_their_column() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        for (number, text) in
            [(9_999, "9,999"), (411_700, "412 k"), (999_600, "1.0 M"), (1_100_000, "1.1 M")]
        {
            assert_eq!(short_count(number), text);
        }
        assert_eq!(counted(1, "toolchain", "toolchains"), "1 toolchain");
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(plain("a\u{202e}b"), "a\\u{202e}b");
        assert!(matches!(plain("k8s.io/api@v1"), Cow::Borrowed(_)));
    }

    #[test]
    fn text_is_cut_and_wrapped_by_characters() {
        assert_eq!(cut("ééééé", 5), "ééééé");
        assert_eq!(cut("éééééé", 5), "éééé…");
        assert_eq!(wrapped("one two three", 2, 9), "one two\n  three");
    }

    #[test]
    fn only_paths_below_home_get_a_tilde() {
        let home = Path::new("/home/me");
        assert_eq!(tilde(home, Some(home)), "~");
        assert_eq!(tilde(Path::new("/home/me2/x"), Some(home)), "/home/me2/x");
    }
}
