//! The report of `larder heal`, on stderr: what was found, what was done, how long it took.

use std::fmt::Write as _;

use larder_core::Bad;
use larder_engine::heal::{Healed, Verdict};

use crate::printer::{BAD, COMMAND, DIM, Screen, WARN};
use crate::render_verify;
use crate::text::{listed, plain, took};

/// The report; empty where the command passed at once.
pub fn report(healed: &Healed, screen: &Screen) -> String {
    if healed.verdict == Verdict::Passed {
        return String::new();
    }
    let mut text = format!("larder: {}\n", verdict(healed));
    for line in healed.clues.lines.iter().filter(|_| screen.verbose) {
        let _ = writeln!(text, "  {DIM}clue:{DIM:#} {}", plain(line));
    }
    let bad: Vec<&Bad> = healed.verified.iter().flat_map(|one| &one.found.bad).collect();
    text.push_str(render_verify::bad_lines(&bad, screen).trim_start_matches('\n'));
    for outcome in &healed.outcomes {
        if let (Some(id), Verdict::Mended | Verdict::NotAllBack) =
            (&outcome.trash_id, &healed.verdict)
        {
            let _ = writeln!(
                text,
                "What was removed is in the trash: {COMMAND}larder trash restore {id}{COMMAND:#}"
            );
        }
    }
    for id in &healed.aside {
        let _ = writeln!(
            text,
            "What the command made in its place is in the trash too: {COMMAND}larder trash restore {id}{COMMAND:#}"
        );
    }
    let steps = healed.steps.iter().map(|(name, spent)| format!("{name} {}", took(*spent)));
    let _ = writeln!(text, "{DIM}{}{DIM:#}", listed(&steps.collect::<Vec<_>>()));
    text
}

fn verdict(healed: &Healed) -> String {
    let looked = looked(healed);
    match &healed.verdict {
        Verdict::Passed => String::new(),
        Verdict::NotACache => {
            format!("no cache is to blame{looked}; nothing was touched")
        }
        Verdict::Mended => "the command passes now that what was bad is gone".to_owned(),
        Verdict::PassedAgain => {
            "the command passes now: what it needed went away while it ran, and nothing is bad"
                .to_owned()
        }
        Verdict::DidNotHelp => format!(
            "{WARN}something was bad, but without it the command fails too; it was put back{WARN:#}"
        ),
        Verdict::NotAllBack => format!(
            "{BAD}without what was bad the command fails too, and not all of it could be put back{BAD:#}"
        ),
        Verdict::NotMended(why) => {
            format!("{BAD}a cache may be to blame and was not mended: {}{BAD:#}", plain(why))
        }
        Verdict::Interrupted => "interrupted; the caches are as they were".to_owned(),
    }
}

/// `: 5,123 entries and 212 things of mod are good`.
fn looked(healed: &Healed) -> String {
    let parts: Vec<String> = healed
        .verified
        .iter()
        .map(|one| {
            let unknown = one.found.unverifiable.len();
            let unknown =
                if unknown == 0 { String::new() } else { format!(" ({unknown} not verifiable)") };
            format!("{} of {} in {}{unknown}", one.found.good, one.found.checked, one.cache)
        })
        .collect();
    if parts.is_empty() { String::new() } else { format!(" ({} good)", listed(&parts)) }
}
