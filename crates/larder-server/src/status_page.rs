//! The status page: what fires, then one row for each cache. Works without scripts, loads nothing
//! but its own style, and is loaded again by the browser itself.
//!
//! Leaves out charts and anything that can be clicked to change something.

use std::fmt::Write as _;
use std::time::Duration;

use larder_core::count::{counted, grouped};
use larder_core::size::Units;
use larder_core::time::Age;
use larder_core::{Sample, Time};

use crate::exposed::{Exposed, Firing, Growth};

/// After how many seconds a browser loads the page again.
const REFRESH: u32 = 15;
/// Points below which a score is bad, and below which it is not good.
const LEVELS: [(f64, &str); 2] = [(70.0, "critical"), (90.0, "warning")];
/// A span that no trend can see: beyond it a cache does not fill up.
const NEVER: Duration = Duration::from_hours(10 * 365 * 24);
/// Stands for what is not known.
const UNKNOWN: &str = "–";

/// The page, as of `now`.
pub(crate) fn html(exposed: &Exposed, now: Time) -> String {
    let mut page = String::with_capacity(16 << 10);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"refresh\" content=\"{REFRESH}\">\n\
         <title>larder</title>\n<link rel=\"stylesheet\" href=\"/status.css\">\n</head>\n<body>\n\
         <h1>Caches on this machine</h1>\n"
    );
    alerts(&mut page, &exposed.alerts, now);
    table(&mut page, exposed, now);
    let mut notes = Vec::new();
    if let Some(tasks) = exposed.tasks {
        notes.push(counted(tasks.go, "go command runs", "go commands run"));
        notes.push(counted(tasks.larder, "job of larder", "jobs of larder"));
    }
    if let Some(plans) = exposed.plans_waiting {
        notes.push(counted(plans, "plan waits for approval", "plans wait for approval"));
    }
    if !notes.is_empty() {
        let _ = writeln!(page, "<p>{}</p>", notes.join(" · "));
    }
    let _ = write!(
        page,
        "<footer>larder {} · <a href=\"/metrics\">metrics</a> · \
         <a href=\"/api/v1/openapi.json\">API</a></footer>\n</body>\n</html>\n",
        escaped(&exposed.version)
    );
    page
}

fn alerts(page: &mut String, firing: &[Firing], now: Time) {
    if firing.is_empty() {
        page.push_str("<p class=\"quiet\">No alert fires.</p>\n");
        return;
    }
    page.push_str("<ul class=\"alerts\">\n");
    for alert in firing {
        let since = alert.since.map(|since| format!(" for {}", Age(now.since(since))));
        let _ = write!(
            page,
            "<li class=\"{0}\"><strong>{0}</strong> {1} {2}{3}",
            alert.severity.name(),
            escaped(&alert.cache),
            escaped(&alert.name),
            since.unwrap_or_default()
        );
        if let Some(command) = &alert.command {
            let _ = write!(page, "<br><code>{}</code>", escaped(command));
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ul>\n");
}

fn table(page: &mut String, exposed: &Exposed, now: Time) {
    if exposed.samples.is_empty() {
        page.push_str("<p>No cache has been sampled yet.</p>\n");
        return;
    }
    page.push_str("<table>\n<thead><tr>");
    let heads = [
        "Cache",
        "Score",
        "Size",
        "Budget",
        "Reclaimable",
        "Growth per day",
        "Full in",
        "Items",
        "Last used",
        "Sampled",
    ];
    for head in heads {
        let _ = write!(page, "<th scope=\"col\">{head}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for sample in &exposed.samples {
        let growth = exposed.growth.iter().find(|growth| growth.cache == sample.cache);
        row(page, sample, growth, now);
    }
    page.push_str("</tbody>\n</table>\n");
}

fn row(page: &mut String, sample: &Sample, growth: Option<&Growth>, now: Time) {
    let _ = write!(page, "<tr><th scope=\"row\">{}</th>", escaped(&sample.cache));
    if let Some(error) = &sample.error {
        let _ = write!(page, "<td colspan=\"8\" class=\"critical\">{}</td>", escaped(error));
    } else {
        let level = sample.score.map_or("", level);
        let score = sample.score.map(|score| format!("{score:.0}"));
        let _ = write!(page, "<td class=\"{level}\">{}</td>", known(score));
        let full = growth.and_then(|growth| growth.full_at).map(|full| full.since(now));
        let full = full.filter(|left| *left < NEVER).map(|left| Age(left).to_string());
        let redis_keys = sample.redis.as_ref().map(|redis| redis.keys);
        let cells = [
            bytes(sample.allocated_bytes),
            bytes(sample.budget_bytes),
            bytes(sample.reclaimable_bytes),
            growth.map(|growth| per_day(growth.per_second)),
            full,
            sample.files.or(redis_keys).map(grouped),
            sample.last_used.map(|used| Age(now.since(used)).to_string()),
        ];
        for cell in cells {
            let _ = write!(page, "<td>{}</td>", known(cell));
        }
    }
    let _ = writeln!(page, "<td>{} ago</td></tr>", Age(now.since(sample.at)));
}

fn level(score: f64) -> &'static str {
    LEVELS.iter().find(|(below, _)| score < *below).map_or("healthy", |(_, level)| level)
}

fn bytes(bytes: Option<u64>) -> Option<String> {
    bytes.map(|bytes| Units::Decimal.show(bytes).to_string())
}

fn per_day(per_second: f64) -> String {
    let day = per_second * 86_400.0;
    let size = Duration::try_from_secs_f64(day.abs()).map_or(u64::MAX, |size| size.as_secs());
    let sign = if day < 0.0 { "−" } else { "+" };
    format!("{sign}{}", Units::Decimal.show(size))
}

fn known(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Text that cannot be taken for a part of the page.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use larder_core::Severity;

    use super::*;

    #[test]
    fn one_row_a_cache_and_the_command_of_an_alert() {
        let now = Time::from_unix(1_700_000_000);
        let mut build = Sample::empty("build", now.minus(Duration::from_secs(9)), Duration::ZERO);
        build.allocated_bytes = Some(41_200_000_000);
        build.score = Some(77.1);
        build.files = Some(412_000);
        let mut silent = Sample::empty("redis:a", now, Duration::ZERO);
        silent.error = Some("no answer <script>alert(1)</script>".to_owned());
        let exposed = Exposed {
            samples: vec![build, silent],
            growth: vec![Growth {
                cache: "build".to_owned(),
                per_second: 11_574.1,
                low: None,
                high: None,
                full_at: Some(now.plus(Duration::from_hours(72))),
            }],
            alerts: vec![Firing {
                name: "CacheGrowsFast".to_owned(),
                cache: "build".to_owned(),
                severity: Severity::Warning,
                since: Some(now.minus(Duration::from_mins(2))),
                command: Some("larder prune build --max-size 10GB -n".to_owned()),
            }],
            ..Exposed::default()
        };
        let page = html(&exposed, now);
        assert!(
            page.contains(
                "<tr><th scope=\"row\">build</th><td class=\"warning\">77</td><td>41.2 GB</td>\
             <td>–</td><td>–</td><td>+1.0 GB</td><td>3 d</td><td>412,000</td><td>–</td>\
             <td>9 s ago</td></tr>"
            ),
            "{page}"
        );
        assert!(
            page.contains(
                "<li class=\"warning\"><strong>warning</strong> build CacheGrowsFast for 2 min<br>\
             <code>larder prune build --max-size 10GB -n</code></li>"
            ),
            "{page}"
        );
        assert!(page.contains("no answer &lt;script&gt;"), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn nothing_known_yet() {
        let page = html(&Exposed::default(), Time::from_unix(0));
        assert!(
            page.contains("No alert fires.") && page.contains("No cache has been sampled yet.")
        );
    }
}
