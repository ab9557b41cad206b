//! Rules for Prometheus in the layout of a mixin, their tests, and settings of Prometheus and
//! Alertmanager to begin with.
//!
//! The alerts are written out of [`super::alerts`]; recording rules, tests and settings are
//! templates. The tests are for `promtool test rules`.

use std::fmt::Write as _;

use super::alerts::{AlertRule, groups};
use super::{ExportedFile, filled};

const HEAD: &str = "\
# Alerts on what larder shows at /metrics. Written by larder export rules.
# Severity: critical wants somebody now, warning within the day, info is good to know.
groups:
";

/// Every file; `runbooks` is where the runbooks are published.
pub fn files(runbooks: &str) -> Vec<ExportedFile> {
    let runbooks = runbooks.trim_end_matches('/');
    vec![
        ExportedFile { name: "alerts/larder.yaml", text: alerts(runbooks) },
        filled("rules/larder.yaml", include_str!("../../export/rules/recording.yaml"), &[]),
        filled(
            "tests/larder_test.yaml",
            include_str!("../../export/rules/test.yaml"),
            &[("@RUNBOOKS@", runbooks)],
        ),
        filled("prometheus/scrape.yaml", include_str!("../../export/rules/scrape.yaml"), &[]),
        filled(
            "alertmanager/alertmanager.yaml",
            include_str!("../../export/rules/alertmanager.yaml"),
            &[],
        ),
    ]
}

/// The alerting rules.
fn alerts(runbooks: &str) -> String {
    let mut text = HEAD.to_owned();
    for (group, rules) in groups() {
        let _ = write!(text, "  - name: {group}\n    rules:\n");
        for rule in &rules {
            text.push_str(&alert(rule, runbooks));
        }
    }
    text
}

fn alert(rule: &AlertRule, runbooks: &str) -> String {
    let mut text = format!("      - alert: {}\n        expr: |\n", rule.name);
    for line in rule.expr.lines() {
        let _ = writeln!(text, "          {line}");
    }
    for (key, value) in [("for", rule.hold), ("keep_firing_for", rule.keep)] {
        if !value.is_empty() {
            let _ = writeln!(text, "        {key}: {value}");
        }
    }
    let command = ["cache", "receiver"].iter().fold(rule.command.to_owned(), |command, label| {
        let gap = label.to_ascii_uppercase();
        command.replace(&gap, &format!("{{{{ $labels.{label} }}}}"))
    });
    let runbook = format!("{runbooks}/{}.md", rule.name);
    let _ = writeln!(text, "        labels:\n          severity: {}", rule.severity.name());
    let _ = writeln!(text, "        annotations:");
    for (key, value) in [
        ("summary", rule.summary),
        ("description", rule.description),
        ("command", &command[..]),
        ("runbook_url", &runbook[..]),
    ] {
        let _ = writeln!(text, "          {key}: {}", quoted(value));
    }
    text
}

/// A text of YAML that means itself, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_stays_a_quote() {
        assert_eq!(quoted("a 'b': c"), "'a ''b'': c'");
    }

    #[test]
    fn every_alert_says_what_to_do_and_where_it_is_explained() {
        let text = alerts("https://runbooks.example.test/larder");
        let count = |word: &str| text.matches(word).count();
        let rules: usize = groups().iter().map(|(_, rules)| rules.len()).sum();
        assert_eq!(count("- alert: "), rules);
        assert_eq!(count("runbook_url: 'https://runbooks.example.test/larder/"), rules);
        assert!(text.contains("command: 'larder audit {{ $labels.cache }}'"));
        assert!(!text.contains("CACHE"), "a gap was not filled");
    }
}
