//! Metrics as text: the format 0.0.4 of Prometheus and OpenMetrics 1.0.
//!
//! Promises: a family without series is not written; no series is written twice, since a scraper
//! would refuse the whole answer; the number of series is bounded, and what was left out is
//! counted. Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use larder_core::Time;

use crate::names::{Family, LEFT_OUT, Measured, MetricKind};

/// Series of one family; more are left out.
const MOST_SERIES: usize = 10_000;
/// Bytes of one label value; the rest is cut off.
const LONGEST_VALUE: usize = 256;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What a client with this `Accept` header likes best. OpenMetrics has to be named; who takes
    /// anything, or nothing that there is, gets the plain text.
    pub fn accepted(header: &str) -> Self {
        let mut best = (Self::Text, 0.0);
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0, None);
            for part in parts {
                match part.split_once('=') {
                    Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                        quality = value.trim().parse().unwrap_or(0.0);
                    }
                    Some((name, value)) if name.trim().eq_ignore_ascii_case("version") => {
                        version = Some(value.trim().trim_matches('"'));
                    }
                    _ => (),
                }
            }
            let format = match (&kind[..], version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => Self::OpenMetrics,
                ("text/plain", None | Some("0.0.4")) => Self::Text,
                ("text/*" | "*/*", _) => Self::Text,
                _ => continue,
            };
            let named = format == Self::OpenMetrics;
            if quality > best.1 || (named && quality > 0.0 && quality >= best.1) {
                best = (format, quality);
            }
        }
        best.0
    }
}

/// The value of one series.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Whole(u64),
    Number(f64),
    /// A span in seconds.
    Span(Duration),
    /// A point in time, seconds since the epoch.
    At(Time),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Whole(u64::from(yes))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<Duration> for Value {
    fn from(span: Duration) -> Self {
        Self::Span(span)
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::At(time)
    }
}

impl Value {
    /// What is not finite is not known.
    fn is_known(&self) -> bool {
        !matches!(self, Self::Number(number) if !number.is_finite())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Span(span) => write!(f, "{}", span.as_secs_f64()),
            Self::At(time) => {
                let millis = time.unix_nanos().div_euclid(1_000_000);
                let sign = if millis < 0 { "-" } else { "" };
                let (seconds, part) = (millis.abs() / 1000, millis.abs() % 1000);
                match part {
                    0 => write!(f, "{sign}{seconds}"),
                    part => write!(f, "{sign}{seconds}.{part:03}"),
                }
            }
        }
    }
}

/// Labels of one series, in the order in which they are written.
pub(crate) type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// An answer that is being written.
#[derive(Debug)]
pub(crate) struct Exposition {
    format: Format,
    text: String,
    left_out: u64,
    most: usize,
    /// Whether what is written now was all sampled on a timer.
    sampled: bool,
}

impl Exposition {
    pub(crate) fn new(format: Format) -> Self {
        let text = String::with_capacity(32 << 10);
        Self { format, text, left_out: 0, most: MOST_SERIES, sampled: false }
    }

    /// Writes a family with those of its series whose value is known.
    pub(crate) fn family<'a, V: Into<Value>>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = (Labels<'a>, Option<V>)>,
    ) {
        // Whether labels were there before is told by their hash: a scrape of thousands of series
        // has no time for a copy of each.
        let hasher = RandomState::new();
        let mut seen: HashSet<u64> = HashSet::new();
        for (labels, value) in series {
            let Some(value) = value.map(Into::into).filter(|value: &Value| value.is_known()) else {
                continue;
            };
            let start = self.text.len();
            if seen.is_empty() {
                self.header(family);
            }
            self.text.push_str(family.name);
            let name_end = self.text.len();
            write_labels(&mut self.text, &labels);
            let hash = hasher.hash_one(&self.text[name_end..]);
            if seen.len() >= self.most || !seen.insert(hash) {
                self.text.truncate(start);
                self.left_out += 1;
                continue;
            }
            let _ = writeln!(self.text, " {value}");
        }
    }

    /// All that follows was sampled on a timer, whatever its family says.
    pub(crate) fn all_sampled(&mut self) {
        self.sampled = true;
    }

    /// What was written, as a part of another answer, and how much it left out.
    pub(crate) fn part(mut self) -> (String, u64) {
        self.text.shrink_to_fit();
        (self.text, self.left_out)
    }

    /// Adds such a part.
    pub(crate) fn append(&mut self, part: &str, left_out: u64) {
        self.text.push_str(part);
        self.left_out += left_out;
    }

    /// Counts what the caller left out by itself.
    pub(crate) fn leave_out(&mut self, series: u64) {
        self.left_out += series;
    }

    /// The end of the answer, with how much was left out.
    pub(crate) fn finish(mut self) -> String {
        let left_out = self.left_out;
        self.family(&LEFT_OUT, [(Labels::new(), Some(left_out))]);
        self.end()
    }

    /// The end of an answer that is not larder's own.
    pub(crate) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn header(&mut self, family: &Family) {
        let (name, kind) = match (self.format, family.kind) {
            (_, MetricKind::Gauge) => (family.name, "gauge"),
            (Format::Text, MetricKind::Counter) => (family.name, "counter"),
            (Format::OpenMetrics, MetricKind::Counter) => (stem(family.name, "_total"), "counter"),
            (Format::Text, MetricKind::Info) => (family.name, "gauge"),
            (Format::OpenMetrics, MetricKind::Info) => (stem(family.name, "_info"), "info"),
        };
        let measured = if self.sampled { Measured::Sampled } else { family.measured };
        let _ = writeln!(self.text, "# HELP {name} {}{}", family.help, measured.help());
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        let units = ["bytes", "seconds", "ratio"];
        let unit =
            units.iter().find(|unit| stem(name, unit).ends_with('_') && stem(name, unit) != name);
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit) {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }
}

fn stem<'a>(name: &'a str, ending: &str) -> &'a str {
    name.strip_suffix(ending).unwrap_or(name)
}

/// Writes `{a="1",b="2"}`, or nothing where there are no labels.
fn write_labels(text: &mut String, labels: &Labels<'_>) {
    if labels.is_empty() {
        return;
    }
    for (index, (name, value)) in labels.iter().enumerate() {
        text.push(if index > 0 { ',' } else { '{' });
        text.push_str(name);
        text.push_str("=\"");
        let mut rest = &value[..value.floor_char_boundary(LONGEST_VALUE)];
        while let Some(at) = rest.find(['\\', '"', '\n']) {
            text.push_str(&rest[..at]);
            text.push_str(match rest.as_bytes()[at] {
                b'\n' => "\\n",
                b'"' => "\\\"",
                _ => "\\\\",
            });
            rest = &rest[at + 1..];
        }
        text.push_str(rest);
        text.push('"');
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAUGE: Family = Family::new("x_bytes", MetricKind::Gauge, "X.");
    const COUNTER: Family = Family::new("y_seconds_total", MetricKind::Counter, "Y.");
    const INFO: Family = Family::new("z_info", MetricKind::Info, "Z.");

    fn one(value: &str) -> Labels<'_> {
        vec![("name", value.into())]
    }

    #[test]
    fn the_best_of_what_is_accepted() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let cases = [
            (prometheus, Format::OpenMetrics),
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("text/plain;version=0.0.4, application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.4, text/plain;q=0.5", Format::Text),
            ("application/openmetrics-text;q=0.4, */*;q=0.3", Format::OpenMetrics),
            ("application/openmetrics-text;q=0, text/plain;q=0", Format::Text),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("Application/OpenMetrics-Text; Version=1.0.0; Q=0.9", Format::OpenMetrics),
            ("application/openmetrics-text;q=nonsense", Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn both_formats() {
        let write = |format| {
            let mut page = Exposition::new(format);
            page.family(&GAUGE, [(one("a\"\\\nb"), Some(7_u64)), (one("unknown"), None)]);
            page.family(&GAUGE, [(one("nothing"), None::<u64>)]);
            page.family(&COUNTER, [(Labels::new(), Some(0.25))]);
            page.family(&INFO, [(one("v"), Some(true))]);
            page.end()
        };
        assert_eq!(
            write(Format::Text),
            "# HELP x_bytes X.\n# TYPE x_bytes gauge\nx_bytes{name=\"a\\\"\\\\\\nb\"} 7\n\
             # HELP y_seconds_total Y.\n# TYPE y_seconds_total counter\ny_seconds_total 0.25\n\
             # HELP z_info Z.\n# TYPE z_info gauge\nz_info{name=\"v\"} 1\n"
        );
        assert_eq!(
            write(Format::OpenMetrics),
            "# HELP x_bytes X.\n# TYPE x_bytes gauge\n# UNIT x_bytes bytes\n\
             x_bytes{name=\"a\\\"\\\\\\nb\"} 7\n\
             # HELP y_seconds Y.\n# TYPE y_seconds counter\n# UNIT y_seconds seconds\n\
             y_seconds_total 0.25\n# HELP z Z.\n# TYPE z info\nz_info{name=\"v\"} 1\n# EOF\n"
        );
    }

    #[test]
    fn too_many_and_twice_the_same_are_counted() {
        let mut page = Exposition::new(Format::Text);
        page.most = 2;
        let names = ["a", "b", "a", "c", "d"];
        page.family(&GAUGE, names.map(|name| (one(name), Some(1_u64))));
        page.leave_out(4);
        let text = page.finish();
        assert!(text.contains("x_bytes{name=\"b\"} 1\n# HELP larder_exp"), "{text}");
        assert!(text.ends_with("larder_exposition_left_out_series 7\n"), "{text}");
    }

    #[test]
    fn values_are_exact_and_what_is_not_finite_is_unknown() {
        let text = |value: Value| value.is_known().then(|| value.to_string());
        assert_eq!(text(f64::NAN.into()), None);
        assert_eq!(text(f64::INFINITY.into()), None);
        assert_eq!(text((-0.5).into()).unwrap(), "-0.5");
        assert_eq!(text(u64::MAX.into()).unwrap(), "18446744073709551615");
        assert_eq!(text(Time::from_unix(1_700_000_000).into()).unwrap(), "1700000000");
        let odd = Time::from_unix_nanos(1_700_000_000_042_000_001);
        assert_eq!(text(odd.into()).unwrap(), "1700000000.042");
        assert_eq!(text(Time::from_unix_nanos(-1_500_000_000).into()).unwrap(), "-1.500");
        assert_eq!(text(Duration::from_micros(1500).into()).unwrap(), "0.0015");
        let long = "é".repeat(300);
        let mut labels = String::new();
        write_labels(&mut labels, &one(&long));
        assert_eq!(labels.len(), 256 + "{name=\"\"}".len());
    }
}
