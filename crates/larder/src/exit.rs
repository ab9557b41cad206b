//! Exit codes, and errors on their way to a person: what failed, on what, why, what to do next.
//!
//! Libraries know no exit code; here each of their errors is given one, and a hint.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use larder_core::Refusal;

/// How a run ended, by the contract's table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exit {
    /// Done, nothing wrong.
    #[default]
    Done,
    /// Done, and what was examined is not well.
    Unwell,
    /// Wrong usage or settings; nothing was touched.
    Usage,
    /// Refused: unsafe, stale, not approved, a live build.
    Refused,
    /// Partly done: some items failed, all of them listed.
    Partly,
    /// A lock was not free in time.
    Busy,
    /// Network, proxy or server.
    Unreachable,
    /// Stopped by Ctrl-C or a termination signal.
    Interrupted,
    /// As the command ended that was run.
    Command(u8),
}

impl Exit {
    /// The process's exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Unwell => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Partly => 4,
            Self::Busy => 5,
            Self::Unreachable => 6,
            Self::Interrupted => 130,
            Self::Command(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    /// What failed, on what, why; no full stop.
    pub what: String,
    /// More lines, printed as they are.
    pub details: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// The run's end.
    pub exit: Exit,
}

impl CliError {
    /// An error that ends the run with `exit`.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { what: what.into(), details: Vec::new(), hint: None, exit }
    }

    /// Wrong usage or settings: nothing was touched.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Refused.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Exit::Refused, what)
    }

    /// A library's error with its causes, `what: cause: cause`.
    pub fn because(exit: Exit, error: &dyn Error) -> Self {
        Self::new(exit, chain(error))
    }

    /// `cannot DO PATH: why`, which ends in 4 since something was to be done and was not.
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(Exit::Partly, format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The same with another end.
    #[must_use]
    pub fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with more lines below the first.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.details.iter().try_for_each(|line| write!(f, "\n{line}"))?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl Error for CliError {}

/// An error and its causes in one line; a cause that its parent has already told is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        let hint = match &refusal {
            Refusal::Stale { .. } => "make a new one with larder plan",
            Refusal::FromTheFuture { .. } => "set the clock, or make a new plan",
            Refusal::OtherHost { .. } => "apply it there, or make a plan here with larder plan",
            Refusal::OtherCache { .. } => "make a new plan for the cache as it is now",
            Refusal::NotApproved { .. } => "read it, then: larder approve FILE",
            Refusal::EditedAfterApproval { .. } => "read it again, then: larder approve FILE",
            Refusal::LiveBuild { .. } => "wait until it ends, or add --force to break it",
        };
        Self::refused(refusal.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(CliError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot read x")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = Outer(CliError::usage("no such file"));
        assert_eq!(chain(&error), "cannot read x: no such file");
        assert_eq!(chain(&CliError::usage("it")), "it");
    }

    #[test]
    fn every_refusal_ends_in_three_with_a_hint() {
        let refusal = Refusal::NotApproved { id: "0a1b2c3d".into() };
        let error = CliError::from(refusal);
        assert_eq!(error.exit.code(), 3);
        assert!(error.hint.is_some());
    }
}
