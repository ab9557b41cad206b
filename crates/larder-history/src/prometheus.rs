//! The same lines from a server that has scraped them: Prometheus, or what speaks its HTTP API.
//!
//! Promises: a name, a password or a token comes from a file that is read for each question, and is
//! in no message; a server that is silent ends in an error; one that knows a cache of several
//! machines is never added up: a host is named, or the answer is an error.
//!
//! Left out: writing. The server scrapes what larder exports; events and state stay in the file.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::{Cleanup, Point, Trend, trend};
use url::Url;

use crate::metric::Metric;
use crate::prometheus_http::{Http, Line};
use crate::series::{Range, Series, SeriesError, Source};

/// Who we are to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credential {
    /// Nobody.
    #[default]
    None,
    /// A name with the password in a file.
    Basic {
        /// The name.
        user: String,
        /// The file that holds the password.
        password_file: PathBuf,
    },
    /// A token in a file.
    Bearer {
        /// The file that holds it.
        file: PathBuf,
    },
}

/// Where the server is, and which of its lines are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusSettings {
    /// Its address, without a password: `http://127.0.0.1:9090`.
    pub url: String,
    /// Who we are.
    pub credential: Credential,
    /// Labels that a line must have, each with its value.
    pub matchers: Vec<(String, String)>,
    /// The label that says which machine a line is of; `None` where there is one machine.
    pub host_label: Option<String>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Reads from a Prometheus-compatible server.
#[derive(Debug)]
pub struct PrometheusHistory {
    http: Http,
    matchers: Vec<(String, String)>,
    host_label: Option<String>,
}

/// Points that a server gives of a line at most (`promql/engine.go` of Prometheus: 11,000).
const MOST: usize = 10_000;
const HOUR: Duration = Duration::from_hours(1);
/// A server takes a line for current for so long after its last value.
const LAST: Duration = Duration::from_mins(5);
/// Levels that a trend is stitched together from.
const LEVELS: usize = 2000;
/// Freed bytes so far, which tells of cleanups.
const FREED: &str = "larder_cleanup_freed_bytes_total{}";
/// What every cache has.
const ANY: &str = "larder_cache_allocated_bytes{}";
/// What is known of the disk of a cache.
const DISK: &str = "larder_disk_free_bytes{}";
const CACHE: &str = "cache";
const MOUNT: &str = "mountpoint";

impl PrometheusHistory {
    /// Of this server, which is not asked anything yet.
    pub fn new(settings: PrometheusSettings) -> Result<Self, SeriesError> {
        let setup = |why: String| SeriesError::Setup(why);
        let url = Url::parse(&settings.url)
            .map_err(|error| setup(format!("the server's address is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(setup("the server's address begins with http:// or https://".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let what = "the server's address holds a name or a password; both belong elsewhere";
            return Err(setup(what.to_owned()));
        }
        let names = settings.matchers.iter().map(|(name, _)| name).chain(&settings.host_label);
        for name in names {
            if !is_label(name) {
                return Err(setup(format!("{name:?} is no name of a label")));
            }
        }
        Ok(Self {
            http: Http::new(url, settings.credential, settings.timeout),
            matchers: settings.matchers,
            host_label: settings.host_label,
        })
    }

    /// A query with the matchers of a cache in place of `{}`.
    fn query(&self, text: &str, source: Option<&Source>) -> String {
        let mut labels: Vec<String> = Vec::new();
        let mut add = |name: &str, value: &str| labels.push(format!("{name}={}", quoted(value)));
        self.matchers.iter().for_each(|(name, value)| add(name, value));
        if let Some(source) = source {
            add(CACHE, &source.cache);
            if let (Some(label), Some(host)) = (&self.host_label, &source.host) {
                add(label, host);
            }
        }
        text.replace("{}", &format!("{{{}}}", labels.join(",")))
    }

    /// The one line that a query has of a cache.
    fn line(&self, text: &str, source: &Source, range: Range) -> Result<Vec<Point>, SeriesError> {
        let range = Range { most: range.most.clamp(1, MOST), ..range };
        self.one(self.http.query_range(&self.query(text, Some(source)), range)?, source)
    }

    /// The one line of these.
    fn one(&self, mut lines: Vec<Line>, source: &Source) -> Result<Vec<Point>, SeriesError> {
        if lines.len() > 1 {
            let why = format!(
                "it has {} lines of {}; say which label tells the machines apart, or which \
                 labels they must have",
                lines.len(),
                source.cache
            );
            return Err(self.http.answer_error(why));
        }
        Ok(lines.pop().map(|line| line.points).unwrap_or_default())
    }

    /// What the counter of freed bytes tells: where it went up, something was cleaned.
    fn cleanups(&self, source: &Source, range: Range) -> Result<Vec<Cleanup>, SeriesError> {
        let counted = self.line(FREED, source, range)?;
        let rose = counted.windows(2).filter(|two| two[1].value > two[0].value);
        let cleanup = |two: &[Point]| Cleanup {
            from: two[0].at,
            to: two[1].at,
            took: two[1].value - two[0].value,
        };
        Ok(rose.map(cleanup).collect())
    }
}

impl Series for PrometheusHistory {
    fn sources(&self, range: Range) -> Result<Vec<Source>, SeriesError> {
        let found = self.http.series(&self.query(ANY, None), range)?;
        let mut sources: Vec<Source> = found
            .into_iter()
            .filter_map(|mut labels| {
                let host = self.host_label.as_ref().and_then(|label| labels.remove(label));
                Some(Source { host, cache: labels.remove(CACHE)? })
            })
            .collect();
        sources.sort();
        sources.dedup();
        Ok(sources)
    }

    fn series(
        &self,
        source: &Source,
        metric: Metric,
        range: Range,
    ) -> Result<Vec<Point>, SeriesError> {
        match metric.promql() {
            Some(text) => self.line(text, source, range),
            None => Ok(Vec::new()),
        }
    }

    fn by_hour(
        &self,
        source: &Source,
        metric: Metric,
        range: Range,
    ) -> Result<Vec<Point>, SeriesError> {
        let Some(text) = metric.promql() else { return Ok(Vec::new()) };
        // A function of a function needs a resolution; a line itself has its own.
        let hour =
            if text.contains(' ') { format!("({text})[1h:1m]") } else { format!("{text}[1h]") };
        let query = self.query(&format!("avg_over_time({hour})"), Some(source));
        // A mean is told at the end of its hour.
        let asked = Range { since: range.since.plus(HOUR), ..range };
        let found = self.http.query_steps(&query, asked, HOUR)?;
        let points = self.one(found, source)?;
        let began = |point: Point| Point { at: point.at.minus(HOUR), ..point };
        Ok(points.into_iter().map(began).collect())
    }

    fn disk(&self, source: &Source, range: Range) -> Result<Option<String>, SeriesError> {
        // A cache may have moved in this time: the last one counts.
        let recent = Range { since: range.since.max(range.until.minus(LAST)), ..range };
        let found = self.http.series(&self.query(DISK, Some(source)), recent)?;
        Ok(found.into_iter().find_map(|mut labels| labels.remove(MOUNT)))
    }

    fn trend(&self, source: &Source, metric: Metric, range: Range) -> Result<Trend, SeriesError> {
        let range = Range { most: LEVELS, ..range };
        let levels = self.series(source, metric, range)?;
        let cleanups = match metric {
            Metric::Resident => Vec::new(),
            _ => self.cleanups(source, range)?,
        };
        Ok(trend::trend(&levels, &cleanups))
    }
}

/// What Prometheus allows as a label's name.
fn is_label(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// A string of its query language.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> PrometheusSettings {
        PrometheusSettings {
            url: url.to_owned(),
            credential: Credential::None,
            matchers: vec![("job".to_owned(), "lar\"der".to_owned())],
            host_label: Some("instance".to_owned()),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_query_names_the_cache_and_nothing_escapes_its_quotes() {
        let history = PrometheusHistory::new(settings("http://127.0.0.1:1/prom/")).unwrap();
        let source =
            Source { host: Some("a:1".to_owned()), cache: "redis:x\"} or vector(1)".to_owned() };
        assert_eq!(
            history.query("rate(a{}[5m]) / b{}", Some(&source)),
            "rate(a{job=\"lar\\\"der\",cache=\"redis:x\\\"} or vector(1)\",instance=\"a:1\"}[5m]) \
             / b{job=\"lar\\\"der\",cache=\"redis:x\\\"} or vector(1)\",instance=\"a:1\"}"
        );
    }

    #[test]
    fn what_cannot_work_is_refused_at_once() {
        for url in ["", "127.0.0.1:9090", "ftp://h/", "http://me:secret@h/"] {
            let error = PrometheusHistory::new(settings(url)).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let mut bad = settings("http://h/");
        bad.host_label = Some("in stance".to_owned());
        assert!(PrometheusHistory::new(bad).is_err());
    }
}
