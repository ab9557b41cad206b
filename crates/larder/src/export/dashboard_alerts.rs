//! What fires, and what to do: the first panel of a dashboard.
//!
//! Alerts of the daemon and of the rules are one list. A metric's label can hold no command, so the
//! query itself adds it, made of the table of alerts and the cache's name.

use serde_json::{Value, json};

use super::alerts::{AlertRule, groups};
use super::dashboards::HERE;
use super::panels::{Table, column, table};

/// Alerts of larder and of the exported rules, each once, with the command that goes with it.
fn firing() -> String {
    let by = "max by (instance, cache, alert, severity, receiver)";
    let names: Vec<&str> = rules().iter().map(|rule| rule.name).collect();
    let mut names = names;
    names.dedup();
    let told = format!("{by} (larder_alert_firing{{{HERE}}} == 1)");
    let raised = format!(
        "{by} (label_replace(ALERTS{{alertstate=\"firing\", alertname=~\"{}\"}}, \
         \"alert\", \"$1\", \"alertname\", \"(.+)\"))",
        names.join("|")
    );
    let both = format!("{told} or on (instance, cache, alert, severity) {raised}");
    let keyed = format!("label_join({both}, \"key\", \" \", \"alert\", \"cache\", \"receiver\")");
    commands().into_iter().fold(keyed, |query, (command, names)| {
        let (value, rest) = match command {
            _ if command.contains("CACHE") => (command.replace("CACHE", "$1"), "([^ ]+) .*"),
            _ if command.contains("RECEIVER") => (command.replace("RECEIVER", "$1"), "[^ ]* (.+)"),
            _ => (command.to_owned(), ".*"),
        };
        let names = names.join("|");
        format!("label_replace({query}, \"do\", \"{value}\", \"key\", \"(?:{names}) {rest}\")")
    })
}

fn rules() -> Vec<AlertRule> {
    groups().into_iter().flat_map(|(_, rules)| rules).collect()
}

/// Each command with the alerts that it is for.
fn commands() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for rule in rules() {
        let known = commands.iter_mut().find(|(command, _)| *command == rule.command);
        match known {
            Some((_, names)) if names.contains(&rule.name) => {}
            Some((_, names)) => names.push(rule.name),
            None => commands.push((rule.command, vec![rule.name])),
        }
    }
    commands
}

/// What fires, with what to type about it.
pub(super) fn alerts(runbooks: &str) -> Value {
    let colors = json!([{ "type": "value", "options": {
        "critical": { "color": "red", "index": 0 },
        "warning": { "color": "orange", "index": 1 },
        "info": { "color": "blue", "index": 2 },
    } }]);
    let mut name = column("alert", "Alert", None);
    if runbooks.contains("://") {
        let url = format!("{}/${{__value.text}}.md", runbooks.trim_end_matches('/'));
        name = name.with("links", &json!([{ "title": "Runbook", "url": url }]));
    }
    table(&Table {
        title: "What fires, and what to do",
        about: "Alerts of larder and of the exported rules of Prometheus.",
        empty: "Nothing is wrong.",
        queries: &[&firing()],
        columns: &[
            column("severity", "Severity", None)
                .with("mappings", &colors)
                .with("custom.cellOptions", &json!({ "type": "color-text" }))
                .with("custom.width", &json!(90)),
            name,
            column("cache", "Cache", None),
            column("instance", "Machine", None),
            column("do", "What to type", None),
        ],
        sort: ("Severity", false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_has_its_command_in_the_query() {
        let query = firing();
        for rule in rules() {
            let found = commands().iter().any(|(_, names)| names.contains(&rule.name));
            assert!(found && query.contains(rule.name), "{}", rule.name);
        }
        assert!(query.contains("\"larder audit $1\""));
        assert!(!query.contains("CACHE") && !query.contains("RECEIVER"));
    }

    #[test]
    fn a_runbook_is_a_link_only_where_it_is_published() {
        let links = |runbooks| alerts(runbooks).to_string().contains("Runbook");
        assert!(links("https://example.test/runbooks"));
        assert!(!links("docs/runbooks"));
    }
}
