//! The screen of `larder download`: how much came, then each thing that did not.

use std::fmt::Write as _;

use larder_engine::download::{FailureKind, Report};
use larder_modules::Fetched;

use crate::exit::Exit;
use crate::printer::{BAD, DIM, STRONG, Screen};
use crate::text::{counted, plain, took};

/// Versions and failures that a screen shows; all of them with `-v`.
const ROWS: usize = 20;

/// What was downloaded and what was not.
pub fn download(report: &Report, screen: &Screen) -> String {
    let mut text = String::new();
    let line = headline(report, screen);
    let spent = took(report.took);
    let gap = screen.width.min(90).saturating_sub(line.chars().count()).max(spent.len() + 2);
    let _ = writeln!(text, "{line}{spent:>gap$}");
    if screen.verbose {
        for (module, how) in report.fetched() {
            let size = match how {
                Fetched::Downloaded(bytes) => screen.units.show(*bytes).to_string(),
                Fetched::Direct => "by the go command".to_owned(),
                Fetched::Unpacked | Fetched::Present => "from its zip".to_owned(),
            };
            let _ = writeln!(text, "  {}   {DIM}{size}{DIM:#}", plain(&module.to_string()));
        }
    }
    for (path, added) in &report.sums {
        let lines = counted(*added as u64, "line", "lines");
        let _ = writeln!(text, "Added {lines} to {}", plain(&path.display().to_string()));
    }
    text.push_str(&failures(report, screen));
    text
}

fn headline(report: &Report, screen: &Screen) -> String {
    let counted = |count: usize| counted(count as u64, "module version", "module versions");
    let fetched = report.fetched().count();
    let present = report.done.len() - fetched;
    let size = screen.units.show(report.bytes);
    let cut = if report.complete { "" } else { ", stopped before the end" };
    if report.projects.is_empty() {
        return "There is no go.mod or go.work below these folders".to_owned();
    }
    match (fetched, present) {
        (0, 0) if report.failed.is_empty() => format!("There is nothing to download{cut}"),
        (0, 0) => format!("Downloaded nothing{cut}"),
        (0, present) => format!("Nothing new: {} there already{cut}", counted(present)),
        (fetched, 0) => format!("Downloaded {}, {size}{cut}", counted(fetched)),
        (fetched, present) => {
            format!("Downloaded {}, {size}; {present} there already{cut}", counted(fetched))
        }
    }
}

fn failures(report: &Report, screen: &Screen) -> String {
    if report.failed.is_empty() {
        return String::new();
    }
    let mut text = "\n".to_owned();
    let shown = if screen.verbose { usize::MAX } else { ROWS };
    for failure in report.failed.iter().take(shown) {
        let error = failure.error.strip_prefix(&format!("{}: ", failure.subject));
        let _ = writeln!(
            text,
            "{BAD}failed{BAD:#}  {STRONG}{}{STRONG:#}   {}",
            plain(&failure.subject),
            plain(error.unwrap_or(&failure.error)),
        );
    }
    if report.failed.len() > shown {
        let more = report.failed.len() - shown;
        let _ = writeln!(text, "{DIM}… {more} more: -v shows them, --json too{DIM:#}");
    }
    if report.failed.iter().any(|failure| failure.kind == FailureKind::Mismatch) {
        text.push_str(
            "\nA checksum that differs is a bug of somebody or an attack: do not go on with it. \
             Either the download was\nchanged on its way or at its source, or the file that \
             expects the other hash was; no line of a go.sum was changed.\n",
        );
    }
    text
}

/// How a download ends: a wrong checksum counts most; unreachable is what got nothing at all.
pub fn exit(report: &Report) -> Exit {
    let is = |kind| move |failure: &larder_engine::download::Failure| failure.kind == kind;
    if report.failed.iter().any(is(FailureKind::Mismatch)) {
        Exit::Unwell
    } else if !report.complete {
        Exit::Interrupted
    } else if report.failed.is_empty() {
        Exit::Done
    } else if report.done.is_empty() && report.failed.iter().all(is(FailureKind::Unreachable)) {
        Exit::Unreachable
    } else {
        Exit::Partly
    }
}
