//! The one place that writes: stdout is the answer, stderr is prose.
//!
//! Colour and width are settled here once. A reader of stdout that goes away ends the output
//! quietly and never the work: what is being removed is removed to its end and counted.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use larder_core::Time;
use larder_core::size::Units;
use serde::Serialize;

use crate::args::{Color, GlobalArgs};
use crate::exit::{CliError, Exit};

/// Headings of tables and of what matters least.
pub const DIM: Style = Style::new().dimmed();
/// What the eye should find first.
pub const STRONG: Style = Style::new().bold();
/// Commands to be copied.
pub const COMMAND: Style = AnsiColor::Cyan.on_default();
/// Something is wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something should be looked at.
pub const WARN: Style = AnsiColor::Yellow.on_default();

/// Columns where stdout is not a terminal.
const PIPED_WIDTH: usize = 100;

/// What a renderer knows of where its text will stand.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Which units sizes are shown in.
    pub units: Units,
    /// The time that ages are counted to.
    pub now: Time,
    /// Shown as `~`.
    pub home: Option<PathBuf>,
    /// Whether more is wanted.
    pub verbose: bool,
}

/// Writes.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct Printer {
    json: bool,
    quiet: bool,
    verbose: bool,
    no_input: bool,
    /// The first error on stdout; a closed pipe is one that nobody wants to hear of.
    failed: OnceLock<io::ErrorKind>,
}

impl Printer {
    /// A printer by these flags. Sets the process's colour choice.
    pub fn new(global: &GlobalArgs) -> Self {
        let choice = match global.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::AlwaysAnsi,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let GlobalArgs { json, quiet, verbose, no_input, .. } = *global;
        Self { json, quiet, verbose, no_input, failed: OnceLock::new() }
    }

    /// Whether a JSON document is the answer.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether more is wanted.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether progress may be shown: stderr is a terminal and nobody asked for silence.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// What renderers need.
    pub fn screen(&self, units: Units, now: Time) -> Screen {
        let terminal = terminal_size::terminal_size_of(io::stdout());
        let width = terminal.map_or(PIPED_WIDTH, |(width, _)| usize::from(width.0).max(20));
        let home = etcetera::home_dir().ok().filter(|home| home.parent().is_some());
        Screen { width, units, now, home, verbose: self.verbose }
    }

    /// Writes the answer, or a part of it.
    pub fn answer(&self, text: &str) {
        self.wrote(anstream::stdout().lock().write_all(text.as_bytes()));
    }

    /// Writes bytes as they are: completions, not prose.
    pub fn raw(&self, bytes: &[u8]) {
        self.wrote(io::stdout().lock().write_all(bytes));
    }

    /// Writes the answer as one JSON document.
    pub fn document<T: Serialize>(&self, document: &T) {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let written = serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from);
        self.wrote(written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()));
    }

    /// The answer in the form that was asked for, both made of the same value.
    pub fn show<T: Serialize>(&self, document: impl FnOnce() -> T, text: impl FnOnce() -> String) {
        if self.json {
            self.document(&document());
        } else {
            self.answer(&text());
        }
    }

    /// Prose on stderr, unless quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            stderr_line(text);
        }
    }

    /// A document on stderr, where stdout is somebody else's.
    pub fn note_always(&self, text: &str) {
        stderr_line(text);
    }

    /// Prose on stderr that only `--verbose` shows.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            stderr_line(&format!("{DIM}{text}{DIM:#}"));
        }
    }

    /// A warning on stderr, unless quiet.
    pub fn warning(&self, text: &str) {
        self.note(&format!("{WARN}warning:{WARN:#} {text}"));
    }

    /// An error and its hint on stderr, always.
    pub fn error(&self, error: &CliError) {
        stderr_line(&format!("{BAD}error:{BAD:#} {}", error.what));
        error.details.iter().for_each(|line| stderr_line(line));
        if let Some(hint) = &error.hint {
            stderr_line(&format!("{STRONG}hint:{STRONG:#} {hint}"));
        }
    }

    /// Asks a yes/no question on stderr; no is the default. Where nobody can be asked it is
    /// refused, with `--yes` as the hint.
    pub fn confirm(&self, question: &str) -> Result<bool, CliError> {
        if self.no_input || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let why = if self.no_input { "--no-input is set" } else { "this is not a terminal" };
            return Err(CliError::refused(format!("{question} was not answered: {why}"))
                .hint("add --yes to answer yes"));
        }
        let asked = dialoguer::Confirm::new()
            .with_prompt(question)
            .default(false)
            .wait_for_newline(true)
            .interact();
        if asked.is_err() {
            // The question hides the cursor, and Ctrl-C leaves it so.
            let _ = dialoguer::console::Term::stderr().show_cursor();
        }
        asked.map_err(|dialoguer::Error::IO(error)| match error.kind() {
            io::ErrorKind::Interrupted => CliError::new(Exit::Interrupted, "interrupted"),
            _ => CliError::refused(format!("{question} was not answered: {error}")),
        })
    }

    /// The run's end, once all is written: an answer that could not be written is not done.
    pub fn finish(&self, exit: Exit) -> Exit {
        match self.failed.get() {
            None | Some(io::ErrorKind::BrokenPipe) => exit,
            Some(kind) => {
                self.error(&CliError::new(Exit::Partly, format!("cannot write to stdout: {kind}")));
                if exit == Exit::Done { Exit::Partly } else { exit }
            }
        }
    }

    fn wrote(&self, result: io::Result<()>) {
        if let Err(error) = result.and_then(|()| io::stdout().flush()) {
            // The first failure counts.
            let _ = self.failed.set(error.kind());
        }
    }
}

/// A line on stderr; nobody is left to be told where that fails.
fn stderr_line(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_nobody_can_answer_is_refused_with_the_answer_as_hint() {
        let printer = Printer::new(&GlobalArgs { no_input: true, ..GlobalArgs::default() });
        let error = printer.confirm("Empty the trash?").unwrap_err();
        assert_eq!(error.exit, Exit::Refused);
        assert_eq!(error.what, "Empty the trash? was not answered: --no-input is set");
        assert_eq!(error.hint.as_deref(), Some("add --yes to answer yes"));
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is_one() {
        let end = |kind| {
            let printer = Printer::new(&GlobalArgs::default());
            if let Some(kind) = kind {
                printer.failed.set(kind).unwrap();
            }
            printer.finish(Exit::Done)
        };
        assert_eq!(end(None), Exit::Done);
        assert_eq!(end(Some(io::ErrorKind::BrokenPipe)), Exit::Done);
        assert_eq!(end(Some(io::ErrorKind::StorageFull)), Exit::Partly);
    }
}
