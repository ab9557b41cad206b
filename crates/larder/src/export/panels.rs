//! The parts that dashboards are put together from, in Grafana's JSON model.
//!
//! `scripts/check-dashboards` holds what they make against Grafana's own types. Every query asks
//! the data source that the dashboard's variable names, so a dashboard fits any Prometheus.

use serde_json::{Value, json};

/// Columns of a dashboard.
const COLUMNS: u64 = 24;

/// A panel and the room that it takes.
pub(super) struct Sized {
    /// Of 24 columns.
    pub(super) width: u64,
    /// In units of some 30 pixels.
    pub(super) height: u64,
    /// The panel without its place.
    pub(super) panel: Value,
}

/// How values are shown and where they begin to be bad.
#[derive(Clone, Copy)]
pub(super) struct Look {
    /// A unit of Grafana's.
    pub(super) unit: &'static str,
    /// Where orange and red begin; the other way round where less is worse.
    pub(super) limits: Option<(f64, f64)>,
}

/// Bytes, in decimal units as larder shows them.
pub(super) const BYTES: Look = plain("decbytes");
/// A ratio from 0 to 1.
pub(super) const RATIO: Look = plain("percentunit");
/// A duration.
pub(super) const SECONDS: Look = plain("s");
/// A count.
pub(super) const COUNT: Look = plain("short");
/// A score of 100: red below 70, orange below 80, as the alerts have it.
pub(super) const SCORE: Look = Look { unit: "none", limits: Some((80.0, 70.0)) };

pub(super) const fn plain(unit: &'static str) -> Look {
    Look { unit, limits: None }
}

/// A query and what its series are called.
pub(super) type Query<'a> = (&'a str, &'a str);

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn ref_id(index: usize) -> String {
    let letter = u8::try_from(index).map_or(b'Z', |index| b'A'.saturating_add(index));
    char::from(letter).to_string()
}

/// Series over time.
fn over_time(queries: &[Query<'_>]) -> Vec<Value> {
    let query = |(index, (expr, legend)): (usize, &Query<'_>)| {
        json!({ "refId": ref_id(index), "datasource": source(), "expr": expr,
            "legendFormat": legend, "range": true, "editorMode": "code" })
    };
    queries.iter().enumerate().map(query).collect()
}

/// Values of now, a row each.
fn of_now(queries: &[&str]) -> Vec<Value> {
    let query = |(index, expr): (usize, &&str)| {
        json!({ "refId": ref_id(index), "datasource": source(), "expr": expr,
            "instant": true, "format": "table", "editorMode": "code" })
    };
    queries.iter().enumerate().map(query).collect()
}

fn thresholds(look: Look) -> Value {
    let step = |color: &str, from: Option<f64>| json!({ "color": color, "value": from });
    let steps = match look.limits {
        None => vec![step("text", None)],
        // More is worse.
        Some((orange, red)) if orange < red => {
            vec![step("green", None), step("orange", Some(orange)), step("red", Some(red))]
        }
        Some((orange, red)) => {
            vec![step("red", None), step("orange", Some(red)), step("green", Some(orange))]
        }
    };
    json!({ "mode": "absolute", "steps": steps })
}

/// One number, large.
fn stat(title: &str, about: &str, expr: &str, look: Look) -> Value {
    let target = json!({ "refId": "A", "datasource": source(), "expr": expr,
        "instant": true, "editorMode": "code" });
    json!({
        "type": "stat", "title": title, "description": about, "datasource": source(),
        "targets": [target],
        "fieldConfig": {
            "defaults": {
                "unit": look.unit, "thresholds": thresholds(look),
                "color": { "mode": "thresholds" }, "noValue": "–",
            },
            "overrides": [],
        },
        "options": {
            "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
            "orientation": "auto", "percentChangeColorMode": "standard",
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
            "showPercentChange": false, "textMode": "auto", "wideLayout": true,
        },
    })
}

/// One number in a box of its own.
pub(super) fn number(width: u64, title: &str, about: &str, expr: &str, look: Look) -> Sized {
    sized(width, 4, stat(title, about, expr, look))
}

/// Lines over time.
pub(super) fn lines(title: &str, about: &str, queries: &[Query<'_>], unit: &str) -> Value {
    drawn(title, about, queries, unit, 0)
}

/// Areas over time that add up.
pub(super) fn stacked(title: &str, about: &str, queries: &[Query<'_>], unit: &str) -> Value {
    drawn(title, about, queries, unit, 40)
}

fn drawn(title: &str, about: &str, queries: &[Query<'_>], unit: &str, fill: u64) -> Value {
    let stacking = if fill > 0 { "normal" } else { "none" };
    json!({
        "type": "timeseries", "title": title, "description": about, "datasource": source(),
        "targets": over_time(queries),
        "fieldConfig": {
            "defaults": {
                "unit": unit, "color": { "mode": "palette-classic" }, "noValue": "–",
                "custom": {
                    "drawStyle": "line", "lineWidth": 1, "fillOpacity": fill,
                    // A gap says that nothing was measured.
                    "spanNulls": false, "showPoints": "never",
                    "stacking": { "mode": stacking, "group": "A" },
                },
            },
            "overrides": [],
        },
        "options": {
            "legend": {
                "showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": [],
            },
            "tooltip": { "mode": "multi", "sort": "desc" },
        },
    })
}

/// A column of a table.
pub(super) struct Column {
    /// The label it shows, or `Value #A` for the first query's value.
    pub(super) field: &'static str,
    /// Its heading.
    pub(super) title: &'static str,
    /// How its values are shown; `None` for a text.
    pub(super) look: Option<Look>,
    /// More of Grafana's properties of it.
    pub(super) more: Vec<Value>,
}

/// A column with nothing special.
pub(super) fn column(field: &'static str, title: &'static str, look: Option<Look>) -> Column {
    Column { field, title, look, more: Vec::new() }
}

impl Column {
    /// The same with one more property.
    pub(super) fn with(mut self, id: &str, value: &Value) -> Self {
        self.more.push(json!({ "id": id, "value": value }));
        self
    }

    fn override_of(&self) -> Value {
        let mut properties = self.more.clone();
        if let Some(look) = self.look {
            properties.push(json!({ "id": "unit", "value": look.unit }));
            if look.limits.is_some() {
                properties.push(json!({ "id": "thresholds", "value": thresholds(look) }));
                let cell = json!({ "type": "color-text" });
                properties.push(json!({ "id": "custom.cellOptions", "value": cell }));
            }
        }
        let matcher = json!({ "id": "byName", "options": self.title });
        json!({ "matcher": matcher, "properties": properties })
    }
}

/// What a table is made of.
pub(super) struct Table<'a> {
    /// Its heading.
    pub(super) title: &'a str,
    /// What it shows.
    pub(super) about: &'a str,
    /// Said in place of no row.
    pub(super) empty: &'a str,
    /// Queries of now; rows with the same labels become one.
    pub(super) queries: &'a [&'a str],
    /// From left to right; every other label is left out.
    pub(super) columns: &'a [Column],
    /// The heading that rows are sorted by, and whether the largest comes first.
    pub(super) sort: (&'a str, bool),
}

/// A table of values of now.
pub(super) fn table(table: &Table<'_>) -> Value {
    let columns = table.columns.iter().enumerate();
    let order: serde_json::Map<String, Value> =
        columns.map(|(index, column)| (column.field.to_owned(), json!(index))).collect();
    let names: serde_json::Map<String, Value> =
        table.columns.iter().map(|c| (c.field.to_owned(), json!(c.title))).collect();
    let wanted: Vec<&str> = table.columns.iter().map(|column| column.field).collect();
    let (by, desc) = table.sort;
    json!({
        "type": "table", "title": table.title, "description": table.about,
        "datasource": source(), "targets": of_now(table.queries),
        "transformations": [
            { "id": "merge", "options": {} },
            { "id": "filterFieldsByName", "options": { "include": { "names": wanted } } },
            { "id": "organize", "options": {
                "excludeByName": {}, "indexByName": order, "renameByName": names,
            } },
        ],
        "fieldConfig": {
            "defaults": {
                "noValue": table.empty, "color": { "mode": "thresholds" },
                "custom": {
                    "align": "auto", "inspect": false, "cellOptions": { "type": "auto" },
                },
            },
            "overrides": table.columns.iter().map(Column::override_of).collect::<Vec<_>>(),
        },
        "options": {
            "showHeader": true, "cellHeight": "sm", "frameIndex": 0,
            "sortBy": [{ "displayName": by, "desc": desc }],
        },
    })
}

/// A heading across the dashboard.
pub(super) fn heading(title: &str) -> Sized {
    let panel = json!({ "type": "row", "title": title, "collapsed": false, "panels": [] });
    Sized { width: COLUMNS, height: 1, panel }
}

/// A panel of this size.
pub(super) fn sized(width: u64, height: u64, panel: Value) -> Sized {
    Sized { width, height, panel }
}

/// A variable of the dashboard with the values of a label.
pub(super) fn variable(name: &str, title: &str, selector: &str, many: bool) -> Value {
    let query = format!("label_values({selector}, {name})");
    let mut variable = json!({
        "type": "query", "name": name, "label": title, "datasource": source(),
        "query": { "query": query, "refId": name }, "refresh": 2, "sort": 1,
        "multi": many, "includeAll": many,
    });
    if many {
        variable["allValue"] = json!(".*");
        variable["current"] = json!({ "text": ["All"], "value": ["$__all"] });
    }
    variable
}

/// A mark on every panel over time. Where `of_value` is set, the values are the times, in
/// milliseconds; else a mark lasts as long as the query has a value.
pub(super) fn mark(name: &str, color: &str, expr: &str, text: &str, of_value: bool) -> Value {
    json!({
        "name": name, "enable": true, "iconColor": color, "datasource": source(),
        "target": { "refId": "Anno", "expr": expr, "interval": "" },
        "expr": expr, "titleFormat": name, "textFormat": text, "tagKeys": "cache",
        "useValueForTime": of_value,
    })
}

/// What a dashboard is made of.
pub(super) struct Dashboard<'a> {
    /// Its name in URLs.
    pub(super) uid: &'a str,
    /// Its heading.
    pub(super) title: &'a str,
    /// What it is for.
    pub(super) about: &'a str,
    /// From when.
    pub(super) from: &'a str,
    /// Beside the data source.
    pub(super) variables: Vec<Value>,
    /// Marks over time.
    pub(super) marks: Vec<Value>,
    /// In reading order.
    pub(super) panels: Vec<Sized>,
}

/// The dashboard as Grafana imports it.
pub(super) fn dashboard(dashboard: Dashboard<'_>) -> Value {
    let mut variables = vec![json!({
        "type": "datasource", "name": "datasource", "label": "Prometheus",
        "query": "prometheus", "refresh": 1, "multi": false, "includeAll": false,
    })];
    variables.extend(dashboard.variables);
    json!({
        "uid": dashboard.uid, "title": dashboard.title, "description": dashboard.about,
        "tags": ["larder"], "schemaVersion": 39, "version": 1, "editable": true,
        "timezone": "browser", "refresh": "30s", "graphTooltip": 1,
        "time": { "from": dashboard.from, "to": "now" },
        "links": [{
            "type": "dashboards", "title": "larder", "tags": ["larder"], "asDropdown": true,
            "icon": "external link", "includeVars": true, "keepTime": true,
            "targetBlank": false, "tooltip": "",
        }],
        "templating": { "list": variables },
        "annotations": { "list": dashboard.marks },
        "panels": placed(dashboard.panels),
    })
}

/// From left to right, and on to the next line where one is full.
fn placed(panels: Vec<Sized>) -> Vec<Value> {
    let (mut x, mut y, mut tallest) = (0, 0, 0);
    let mut placed = Vec::new();
    for (index, sized) in panels.into_iter().enumerate() {
        if x + sized.width > COLUMNS {
            (x, y, tallest) = (0, y + tallest, 0);
        }
        let mut panel = sized.panel;
        panel["id"] = json!(index + 1);
        panel["gridPos"] = json!({ "x": x, "y": y, "w": sized.width, "h": sized.height });
        placed.push(panel);
        x += sized.width;
        tallest = tallest.max(sized.height);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_lie_beside_and_below_each_other() {
        let panel = || json!({});
        let placed = placed(vec![
            heading("x"),
            sized(8, 4, panel()),
            sized(8, 6, panel()),
            sized(12, 4, panel()),
        ]);
        let at = |index: usize| {
            let place: &Value = &placed[index]["gridPos"];
            (place["x"].as_u64().unwrap(), place["y"].as_u64().unwrap())
        };
        assert_eq!([at(0), at(1), at(2), at(3)], [(0, 0), (0, 1), (8, 1), (0, 7)]);
    }

    #[test]
    fn less_is_worse_of_a_score_and_more_of_a_share() {
        let first = |look: Look| thresholds(look)["steps"][0]["color"].clone();
        assert_eq!(first(SCORE), "red");
        assert_eq!(first(Look { unit: "percentunit", limits: Some((0.8, 1.0)) }), "green");
    }
}
