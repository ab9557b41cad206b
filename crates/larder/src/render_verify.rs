//! The screen of `larder verify`: how many are bad, then each with what it should be.

use std::fmt::Write as _;
use std::time::Duration;

use larder_core::{Bad, CacheKind, Check, Outcome};
use larder_engine::verify::Verified;

use crate::printer::{BAD, COMMAND, DIM, STRONG, Screen, WARN};
use crate::text::{counted, listed, plain, took};

/// Things of a kind that a screen shows; all of them with `-v`.
const ROWS: usize = 20;
/// Things that could not be checked, likewise.
const UNVERIFIABLE: usize = 5;

/// What was found and mended.
pub fn verify(
    verified: &[Verified],
    fix: Option<&Outcome>,
    spent: Duration,
    screen: &Screen,
) -> String {
    let mut text = String::new();
    let spent = took(spent);
    for (at, one) in verified.iter().enumerate() {
        let line = headline(one, screen);
        let spent = if at == 0 { spent.as_str() } else { "" };
        let gap = screen.width.min(90).saturating_sub(line.chars().count());
        let gap = gap.max(spent.chars().count() + 2);
        let _ = writeln!(text, "{}", format!("{line}{spent:>gap$}").trim_end());
    }
    if verified.is_empty() {
        text.push_str("There is nothing to verify yet.\n");
    }
    let bad: Vec<&Bad> = verified.iter().flat_map(|one| &one.found.bad).collect();
    text.push_str(&bad_lines(&bad, screen));
    text.push_str(&unverifiable(verified, screen));
    text.push_str(&waste(verified));
    if let Some(fix) = fix {
        text.push_str(&mended(&bad, fix));
    } else if !bad.is_empty() {
        let caches = named(verified);
        let _ =
            writeln!(text, "\nMend only these: {COMMAND}larder verify{caches} --fix{COMMAND:#}");
    }
    text
}

fn named(verified: &[Verified]) -> String {
    let with_bad = verified.iter().filter(|one| !one.found.bad.is_empty());
    with_bad.flat_map(|one| [" ", one.cache.name()]).collect()
}

fn headline(one: &Verified, screen: &Screen) -> String {
    let (single, many) = match one.cache {
        CacheKind::Build => ("build entry", "build entries"),
        _ => ("thing of the module cache", "things of the module cache"),
    };
    let bytes = screen.units.show(one.found.bytes_read);
    let all = counted(one.found.checked, single, many);
    let unknown = one.found.unverifiable.len();
    let cut = if one.complete { "" } else { ", stopped before the end" };
    match one.found.bad.len() {
        0 if unknown == 0 => format!("All of {all} are good, {bytes} read{cut}"),
        0 => format!("Nothing bad in {all}, {unknown} could not be checked, {bytes} read{cut}"),
        1 => format!("1 of {all} is bad, {bytes} read{cut}"),
        bad => format!("{bad} of {all} are bad, {bytes} read{cut}"),
    }
}

pub(crate) fn bad_lines(bad: &[&Bad], screen: &Screen) -> String {
    if bad.is_empty() {
        return String::new();
    }
    let mut text = "\n".to_owned();
    let shown = if screen.verbose { usize::MAX } else { ROWS };
    for bad in bad.iter().take(shown) {
        let (style, word) = if bad.fixed { (DIM, "mended") } else { (BAD, "bad") };
        let subject = short(&bad.subject, screen);
        let _ = writeln!(
            text,
            "{style}{word:<6}{style:#}  {STRONG}{}{STRONG:#}   {}",
            plain(&subject),
            sentence(bad.check)
        );
        let _ = writeln!(
            text,
            "        expected {}   found {}",
            plain(&short(&bad.expected, screen)),
            plain(&short(&bad.found, screen))
        );
        for line in &bad.details {
            let _ = writeln!(text, "        {}", plain(&short(line, screen)));
        }
        if !bad.used_by.is_empty() {
            let _ = writeln!(text, "        used by {}", plain(&listed(&bad.used_by)));
        }
        if screen.verbose {
            let _ = writeln!(text, "        {}", plain(&bad.path.display().to_string()));
        }
    }
    if bad.len() > shown {
        let _ =
            writeln!(text, "{DIM}… {} more: -v shows them, --json too{DIM:#}", bad.len() - shown);
    }
    text
}

/// Hashes of the build cache are told by their beginning; all of them with `-v`.
fn short(text: &str, screen: &Screen) -> String {
    if screen.verbose {
        return text.to_owned();
    }
    let hex = |word: &str| word.len() == 64 && word.bytes().all(|c| c.is_ascii_hexdigit());
    let words = text.split(' ');
    let words = words.map(|word| if hex(word) { format!("{}…", &word[..12]) } else { word.into() });
    words.collect::<Vec<_>>().join(" ")
}

fn sentence(check: Check) -> &'static str {
    match check {
        Check::ZipRules => "the zip breaks a rule of module zips",
        Check::Ziphash => "the zip differs from its .ziphash",
        Check::GoSum => "it differs from a go.sum",
        Check::ChecksumDatabase => "it differs from the checksum database",
        Check::Folder => "the extracted folder differs from its zip",
        Check::GoMod => "the .mod is not what it should be",
        Check::Info => "the .info is not what it should be",
        Check::List => "the list of versions differs from what is there",
        Check::Leftover => "left behind by work that was interrupted",
        Check::Repository => "git finds faults in the clone",
        Check::OutputHash => "the content is not what its name says",
        Check::ActionEntry => "go cannot read the entry",
        Check::OutputSize => "the size is not what was stored",
        Check::Dangling => "the output is gone",
        Check::Orphan => "no action names it",
        Check::Executable => "go cannot run it",
        Check::Stamp => "the time makes no sense",
    }
}

fn unverifiable(verified: &[Verified], screen: &Screen) -> String {
    let all: Vec<_> = verified.iter().flat_map(|one| &one.found.unverifiable).collect();
    if all.is_empty() {
        return String::new();
    }
    let mut text = "\n".to_owned();
    let shown = if screen.verbose { usize::MAX } else { UNVERIFIABLE };
    for one in all.iter().take(shown) {
        let subject = short(&one.subject, screen);
        let _ = writeln!(
            text,
            "{WARN}unknown{WARN:#} {}   {}",
            plain(&subject),
            plain(&short(&one.reason, screen))
        );
    }
    if all.len() > shown {
        let _ = writeln!(
            text,
            "{DIM}… {} more could not be checked: -v shows them, --json too{DIM:#}",
            all.len() - shown
        );
    }
    text
}

/// What go takes for normal, in one line.
fn waste(verified: &[Verified]) -> String {
    let (dangling, orphans) =
        verified.iter().fold((0, 0), |(d, o), one| (d + one.dangling, o + one.orphans));
    let mut parts = Vec::new();
    if orphans > 0 {
        parts.push(counted(orphans, "output that no action names", "outputs that no action names"));
    }
    if dangling > 0 {
        parts.push(counted(dangling, "action without its output", "actions without their outputs"));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!("{DIM}Normal to go, and waste: {}.{DIM:#}\n", listed(&parts))
}

fn mended(bad: &[&Bad], fix: &Outcome) -> String {
    let fixed = bad.iter().filter(|bad| bad.fixed).count();
    let mut text = format!("\nMended {fixed} of {}.", bad.len());
    match &fix.trash_id {
        Some(id) => {
            let _ = writeln!(text, " Undo: {COMMAND}larder trash restore {id}{COMMAND:#}");
        }
        None => text.push('\n'),
    }
    for left in &fix.skipped {
        let _ = writeln!(
            text,
            "{WARN}left{WARN:#}    {}: {}",
            plain(&left.subject),
            plain(&left.reason)
        );
    }
    for failed in &fix.failed {
        let _ = writeln!(
            text,
            "{BAD}failed{BAD:#}  {}: {}",
            plain(&failed.subject),
            plain(&failed.error)
        );
    }
    text
}
