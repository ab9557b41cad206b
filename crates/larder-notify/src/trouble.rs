//! Why one attempt failed, and whether another one may help.

use std::time::Duration;

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Never: it would fail in the same way.
    Never,
    /// When the usual pause is over.
    Later,
    /// Not before so long, as the receiver asked.
    After(Duration),
}

/// A failed attempt. Its text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Trouble {
    pub(crate) why: String,
    pub(crate) again: Again,
}

impl Trouble {
    /// Bad settings, or a refusal that stays.
    pub(crate) fn never(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: Again::Never }
    }

    /// Something that passes.
    pub(crate) fn later(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: Again::Later }
    }

    /// Something that passes, but not before `wait` where there is one.
    pub(crate) fn after(wait: Option<Duration>, why: impl Into<String>) -> Self {
        Self { why: why.into(), again: wait.map_or(Again::Later, Again::After) }
    }
}
