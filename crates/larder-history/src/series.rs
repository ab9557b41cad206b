//! What trends and charts ask, whoever has the answer.

use larder_core::{Point, Time, Trend};

use crate::error::HistoryError;
use crate::metric::Metric;

/// A cache, and whose it is where a server has those of many machines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The machine; `None` for this one.
    pub host: Option<String>,
    /// `build`, `redis:NAME`.
    pub cache: String,
}

impl Source {
    /// A cache of this machine.
    pub fn here(cache: impl Into<String>) -> Self {
        Self { host: None, cache: cache.into() }
    }
}

/// A part of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// From here on, this included.
    pub since: Time,
    /// Up to here, this included.
    pub until: Time,
    /// Points at most; more are thinned, each then standing for its part of the time.
    pub most: usize,
}

/// Lines of values over time.
pub trait Series: Send + Sync {
    /// The caches that have anything in this range, by name.
    fn sources(&self, range: Range) -> Result<Vec<Source>, SeriesError>;

    /// The values of one metric, in the order of time; none where nothing is known.
    fn series(
        &self,
        source: &Source,
        metric: Metric,
        range: Range,
    ) -> Result<Vec<Point>, SeriesError>;

    /// The growth of [`Metric::Allocated`] or [`Metric::Resident`], with what drops and cleanups
    /// took added back.
    fn trend(&self, source: &Source, metric: Metric, range: Range) -> Result<Trend, SeriesError>;

    /// What each whole hour was like that has anything in this range, which begins and ends with an
    /// hour: one value or several of each, at times within it.
    fn by_hour(
        &self,
        source: &Source,
        metric: Metric,
        range: Range,
    ) -> Result<Vec<Point>, SeriesError> {
        self.series(source, metric, range)
    }

    /// Where the disk of a cache is mounted, as it was last known in this range.
    fn disk(&self, source: &Source, range: Range) -> Result<Option<String>, SeriesError>;

    /// The last value in this range.
    fn last(
        &self,
        source: &Source,
        metric: Metric,
        range: Range,
    ) -> Result<Option<Point>, SeriesError> {
        Ok(self.series(source, metric, range)?.pop())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The file.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The server cannot be reached, or does not answer in time.
    #[error("{url}: {why}")]
    Unreachable {
        /// The server, without a password.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// The server refuses who we are.
    #[error("{url}: it asks for another name and password or token ({status})")]
    Denied {
        /// The server, without a password.
        url: String,
        /// Its status.
        status: u16,
    },
    /// The server's answer is no answer to the question.
    #[error("{url}: {why}")]
    Answer {
        /// The server, without a password.
        url: String,
        /// What is wrong with it, in the server's words where it has some.
        why: String,
    },
    /// What it was told to use does not fit.
    #[error("{0}")]
    Setup(String),
}
