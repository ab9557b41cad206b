//! The few questions of Prometheus' HTTP API that are asked here
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/>).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use larder_core::{Point, Time};
use serde_json::Value;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};
use url::Url;

use crate::prometheus::Credential;
use crate::series::{Range, SeriesError};

/// The largest answer that is read: ten thousand points of some hundred lines.
const MOST_BYTES: u64 = 64 << 20;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// No scrape is more frequent than this, so no finer step tells more.
const LEAST_STEP: u64 = 1;

/// A line of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) points: Vec<Point>,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    url: Url,
    credential: Credential,
}

impl Http {
    pub(crate) fn new(url: Url, credential: Credential, timeout: Duration) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(3)
            .tls_config(tls)
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT.min(timeout)))
            .timeout_global(Some(timeout))
            .build()
            .into();
        Self { agent, url, credential }
    }

    /// The lines of a query over time; what was measured between two steps is not seen.
    pub(crate) fn query_range(&self, query: &str, range: Range) -> Result<Vec<Line>, SeriesError> {
        let span = range.until.since(range.since).as_secs();
        let step = (span / range.most as u64 + 1).max(LEAST_STEP);
        self.query_steps(query, range, Duration::from_secs(step))
    }

    /// The same at every `step` from the beginning of the range.
    pub(crate) fn query_steps(
        &self,
        query: &str,
        range: Range,
        step: Duration,
    ) -> Result<Vec<Line>, SeriesError> {
        let asked = [
            ("query", query.to_owned()),
            ("start", seconds(range.since)),
            ("end", seconds(range.until)),
            ("step", step.as_secs().to_string()),
        ];
        let data = self.ask("query_range", &asked)?;
        let lines = data.get("result").and_then(Value::as_array);
        let lines =
            lines.ok_or_else(|| self.answer_error("its answer has no result".to_owned()))?;
        Ok(lines.iter().map(|line| Line { points: points(line) }).collect())
    }

    /// The labels of every line that a selector meets in this range.
    pub(crate) fn series(
        &self,
        selector: &str,
        range: Range,
    ) -> Result<Vec<BTreeMap<String, String>>, SeriesError> {
        let asked = [
            ("match[]", selector.to_owned()),
            ("start", seconds(range.since)),
            ("end", seconds(range.until)),
        ];
        let data = self.ask("series", &asked)?;
        let lines = data.as_array();
        let lines = lines.ok_or_else(|| self.answer_error("its answer has no list".to_owned()))?;
        let labels = |line: &Value| {
            let object = line.as_object()?;
            let text =
                |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
            Some(object.iter().filter_map(text).collect())
        };
        Ok(lines.iter().filter_map(labels).collect())
    }

    /// The `data` of an answer.
    fn ask(&self, what: &str, asked: &[(&str, String)]) -> Result<Value, SeriesError> {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", what]);
        }
        url.query_pairs_mut().extend_pairs(asked);
        let mut request = self.agent.get(url.as_str());
        if let Some(header) = self.authorization()? {
            request = request.header("Authorization", header);
        }
        let mut answer = request.call().map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        if matches!(status, 401 | 403) {
            return Err(SeriesError::Denied { url: self.shown(), status });
        }
        let text = answer
            .body_mut()
            .with_config()
            .limit(MOST_BYTES)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        let parsed: Value = serde_json::from_str(&text).map_err(|_| {
            self.answer_error(format!("it does not speak Prometheus' HTTP API (status {status})"))
        })?;
        let text = |name: &str| parsed.get(name).and_then(Value::as_str);
        match (text("status"), parsed.get("data")) {
            (Some("success"), Some(data)) => Ok(data.clone()),
            _ => {
                let why = text("error").unwrap_or("its answer is no answer");
                Err(self.answer_error(format!("{why} (status {status})")))
            }
        }
    }

    fn authorization(&self) -> Result<Option<String>, SeriesError> {
        Ok(match &self.credential {
            Credential::None => None,
            Credential::Basic { user, password_file } => {
                let pair = format!("{user}:{}", secret(password_file)?);
                Some(format!("Basic {}", BASE64.encode(pair)))
            }
            Credential::Bearer { file } => Some(format!("Bearer {}", secret(file)?)),
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> SeriesError {
        let why = match error {
            ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
            // Its text may hold the address, which has no secret in it.
            other => other.to_string(),
        };
        SeriesError::Unreachable { url: self.shown(), why }
    }

    pub(crate) fn answer_error(&self, why: String) -> SeriesError {
        SeriesError::Answer { url: self.shown(), why }
    }

    fn shown(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }
}

/// What a file holds, without the end of its line.
fn secret(file: &Path) -> Result<String, SeriesError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| SeriesError::Setup(format!("cannot read {}: {error}", file.display())))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// Seconds since 1970 with three decimals.
fn seconds(time: Time) -> String {
    let millis = time.unix_nanos().div_euclid(1_000_000);
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

/// `[[1700000000.5, "12"], …]`; what is no number is left out.
fn points(line: &Value) -> Vec<Point> {
    let values = line.get("values").and_then(Value::as_array);
    let point = |pair: &Value| {
        let (at, value) = (pair.get(0)?.as_f64()?, pair.get(1)?.as_str()?);
        let value: f64 = value.parse().ok().filter(|value: &f64| value.is_finite())?;
        Some(Point::new(at_seconds(at), value))
    };
    values.map_or_else(Vec::new, |values| values.iter().filter_map(point).collect())
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
fn at_seconds(seconds: f64) -> Time {
    Time::from_unix_nanos(((seconds * 1000.0).round() as i64).saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_its_numbers() {
        let line = serde_json::json!({"values": [[1_700_000_000.5, "12"], [1_700_000_015, "NaN"]]});
        let at = Time::from_unix_nanos(1_700_000_000_500_000_000);
        assert_eq!(points(&line), [Point::new(at, 12.0)]);
        assert_eq!(seconds(at), "1700000000.500");
        assert_eq!(seconds(Time::from_unix_nanos(-1)), "-1.999");
    }
}
