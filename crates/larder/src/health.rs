//! How well each cache is, with a reason for every point that is lost and what to do about it.
//!
//! The scores themselves are `larder_core::health`'s; here they are fed and explained.

use std::time::Duration;

use larder_core::health::Penalty;
use larder_core::size::Units;
use larder_core::time::Age;
use larder_core::{CacheKind, GoVitals, Score, Time, go_score};
use larder_engine::report::{State, StatusRow};
use larder_redis::Vitals;

use crate::redis_status::RedisRow;
use crate::settings_daemon::Points;

/// How well one cache is.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    /// `build`, `redis:NAME`.
    pub cache: String,
    pub score: Score,
    /// What to type, the most useful first.
    pub actions: Vec<String>,
    /// Why nothing is known; then there is no score.
    pub error: Option<String>,
}

/// What is known of a cache of Go's beside its row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GoContext {
    /// Until its budget or its disk is full; `None` without enough history.
    pub full_in: Option<Duration>,
    pub now: Option<Time>,
    pub units: Units,
}

/// A cache of Go's; `None` where there is nothing to judge.
pub(crate) fn of_go(row: &StatusRow, context: GoContext) -> Option<Health> {
    if row.state != State::Ok || row.size.is_empty() {
        return None;
    }
    let size = row.size.allocated.0;
    let share = |of: u64| size as f64 / of.max(1) as f64;
    let verified = row.last_verified;
    let vitals = GoVitals {
        budget_share: row.budget.map(|budget| share(budget.0)),
        full_in: context.full_in,
        bad_share: verified.map(|v| v.bad as f64 / v.checked.max(1) as f64),
        waste: Some(row.reclaimable.0 as f64 / size.max(1) as f64),
        hit_rate: None,
    };
    let show = |bytes: u64| context.units.show(bytes).to_string();
    let budget = match row.budget {
        Some(budget) => format!("{} of {}", show(size), show(budget.0)),
        None => "it has no budget: max-size in the settings".to_owned(),
    };
    let growth = match context.full_in {
        None => "not enough history".to_owned(),
        Some(Duration::MAX) => "it does not grow".to_owned(),
        Some(left) => format!("full in {}", Age(left)),
    };
    let integrity = match (verified, context.now) {
        (None, _) => "it was never verified".to_owned(),
        (Some(v), now) => {
            let ago = now.map_or_else(String::new, |now| format!(" {} ago", Age(now.since(v.at))));
            match v.bad {
                0 => format!("nothing was bad{ago}"),
                bad => format!("{bad} of {} were bad{ago}", v.checked),
            }
        }
    };
    let waste = format!("{} of it could go", show(row.reclaimable.0));
    let score = go_score(vitals)
        .told("budget", budget)
        .told("growth", growth)
        .told("integrity", integrity)
        .told("waste", waste)
        .told("hit_rate", "Go keeps no count of what its cache answers");
    let mut actions: Vec<String> =
        row.findings.iter().filter_map(|finding| finding.command.clone()).collect();
    let prune = format!("larder prune {}", row.cache.name());
    let over = row.budget.is_some_and(|budget| row.size.allocated > budget);
    if over && !actions.iter().any(|action| action.starts_with(&prune)) {
        // It passed its budget after the scan that the findings are of.
        actions.insert(0, prune);
    }
    if verified.is_some_and(|v| v.bad > 0) {
        actions.insert(0, format!("larder verify {} --fix", verify_name(row.cache)));
    } else if verified.is_none() {
        actions.push(format!("larder verify {}", verify_name(row.cache)));
    }
    Some(Health { cache: row.cache.name().to_owned(), score, actions, error: None })
}

fn verify_name(cache: CacheKind) -> &'static str {
    match cache {
        CacheKind::Build | CacheKind::Test | CacheKind::Fuzz => "build",
        _ => "mod",
    }
}

/// A Redis.
pub(crate) fn of_redis(row: &RedisRow, points: Points, units: Units) -> Health {
    let name = &row.cache;
    let vitals = match &row.vitals {
        Ok(vitals) => vitals,
        Err(error) => {
            let nothing = larder_core::redis_score(larder_core::RedisVitals::default());
            let actions = vec![format!("larder config show {}", name.replace(':', "."))];
            let error = Some(error.clone());
            return Health { cache: name.clone(), score: nothing, actions, error };
        }
    };
    let score = vitals
        .score(row.budget)
        .told("hit_rate", hit_rate(vitals))
        .told("memory", memory(vitals, row.budget, units))
        .told("latency", latency(vitals))
        .less(penalties(vitals, points));
    let mut actions = Vec::new();
    for part in score.dimensions.iter().filter(|part| part.lost() >= 1.0) {
        let action = match part.name {
            "latency" => format!("larder slowlog {name}"),
            _ => format!("larder audit {name}"),
        };
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
    Health { cache: name.clone(), score, actions, error: None }
}

fn hit_rate(vitals: &Vitals) -> String {
    if let Some((window, span)) = vitals.window.zip(vitals.hit_window()) {
        let all = window.hits + window.misses;
        return format!("{} of {all} look-ups in {} found their key", window.hits, Age(span));
    }
    let (Some(hits), Some(misses)) = (vitals.hits, vitals.misses) else {
        return "the server does not tell".to_owned();
    };
    let all = hits + misses;
    match vitals.hit_rate() {
        None => format!("{all} look-ups are too few to tell"),
        Some(_) => format!("{hits} of {all} look-ups since it started found their key"),
    }
}

fn memory(vitals: &Vitals, budget: Option<u64>, units: Units) -> String {
    let Some(used) = vitals.used_memory else { return "the server does not tell".to_owned() };
    let used = units.show(used);
    let limit = match (vitals.max_memory, budget) {
        (Some(max), Some(budget)) => Some(max.min(budget)),
        (max, budget) => max.or(budget),
    };
    match limit {
        Some(limit) => format!("{used} of {}", units.show(limit)),
        None => format!("{used}, and no limit is set: maxmemory, or budget in the settings"),
    }
}

fn latency(vitals: &Vitals) -> String {
    let felt = &vitals.latency;
    if felt.samples == 0 {
        return "it did not answer a PING".to_owned();
    }
    let millis = |felt: Duration| felt.as_secs_f64() * 1000.0;
    let (half, most) = (millis(felt.p50), millis(felt.max));
    format!("half of {} PINGs took {half:.2} ms, the slowest {most:.2} ms", felt.samples)
}

/// More than this much of the memory lost to fragmentation is worth a look.
const FRAGMENTED: u64 = 64 << 20;

/// What the formula leaves out, each with the points that the settings let it take.
fn penalties(vitals: &Vitals, points: Points) -> Vec<Penalty> {
    let mut found = Vec::new();
    let mut add = |id, points: u32, text: String| {
        found.push(Penalty { id, points: f64::from(points), text });
    };
    if let Some((used, most)) = vitals.connections.zip(vitals.max_connections)
        && vitals.connection_usage().is_some_and(|usage| usage >= 0.9)
    {
        add("connections", points.connections, format!("{used} of {most} connections are in use"));
    }
    if let Some(window) = vitals.window.filter(|window| window.rejected > 0) {
        let text = format!("{} connections were refused in {}", window.rejected, Age(window.span));
        add("connections", points.connections, text);
    }
    if let Some(window) = vitals.window.filter(|window| window.evicted > 0) {
        let a_second = window.evicted_per_second();
        add("evictions", points.evictions, format!("{a_second:.1} keys a second have to go"));
    }
    if let Some((ratio, lost)) = vitals.fragmentation.zip(vitals.fragmented)
        && ratio > 1.5
        && lost > FRAGMENTED
    {
        let text =
            format!("memory is fragmented: the allocator holds {ratio:.2} times what it gave");
        add("fragmentation", points.fragmentation, text);
    }
    let persistence = vitals.persistence;
    if persistence.last_save_ok == Some(false) {
        add("persistence", points.persistence, "its last snapshot failed".to_owned());
    }
    if persistence.last_append_ok == Some(false) {
        add("persistence", points.persistence, "its last append to the file failed".to_owned());
    }
    if vitals.replication.link_up == Some(false) {
        add("replication", points.replication, "a replica is not in step".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use larder_core::{Allocated, Size};
    use larder_engine::report::LastVerified;

    use super::*;

    fn row() -> StatusRow {
        StatusRow {
            cache: CacheKind::Build,
            path: "/cache".into(),
            link_target: None,
            state: State::Ok,
            note: None,
            size: Size::new(10, 1_000_000, 1_000_000),
            reclaimable: Allocated(500_000),
            budget: Some(Allocated(800_000)),
            items: 5,
            last_used: None,
            oldest_use: None,
            last_verified: None,
            findings: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_known_of_a_cache_of_gos_is_said() {
        let health = of_go(&row(), GoContext::default()).unwrap();
        assert!(health.score.partial);
        let detail = |name: &str| {
            health.score.dimensions.iter().find(|part| part.name == name).unwrap().detail.clone()
        };
        assert_eq!(detail("budget"), "1.0 MB of 800.0 kB");
        assert_eq!(detail("growth"), "not enough history");
        assert_eq!(detail("integrity"), "it was never verified");
        assert_eq!(health.actions, ["larder prune build", "larder verify build"]);
    }

    #[test]
    fn everything_that_a_score_says_can_be_said_in_chinese() {
        let bad = LastVerified { at: Time::from_unix(0), checked: 10, bad: 2, unverifiable: 0 };
        let whole = LastVerified { bad: 0, ..bad };
        let known = GoContext {
            full_in: Some(Duration::from_hours(90)),
            now: Some(Time::from_unix(900)),
            ..GoContext::default()
        };
        let steady = GoContext { full_in: Some(Duration::MAX), ..GoContext::default() };
        let none = StatusRow { budget: None, ..row() };
        let mut all = Vec::new();
        for (row, context) in [
            (row(), GoContext::default()),
            (none, steady),
            (StatusRow { last_verified: Some(bad), ..row() }, known),
            (StatusRow { last_verified: Some(whole), ..row() }, known),
        ] {
            all.extend(of_go(&row, context));
        }
        let window = larder_redis::Window {
            span: Duration::from_mins(2),
            hits: 500,
            misses: 600,
            evicted: 40,
            rejected: 3,
            ..larder_redis::Window::default()
        };
        let mut sick = Vitals {
            hits: Some(500),
            misses: Some(600),
            used_memory: Some(5_000_000),
            max_memory: Some(9_000_000),
            connections: Some(99),
            max_connections: Some(100),
            fragmentation: Some(2.0),
            fragmented: Some(1 << 30),
            ..Vitals::default()
        };
        sick.persistence.last_save_ok = Some(false);
        sick.persistence.last_append_ok = Some(false);
        sick.replication.link_up = Some(false);
        let windowed = Vitals { window: Some(window), ..sick.clone() };
        for vitals in [Vitals::default(), sick, windowed] {
            let row = RedisRow {
                cache: "redis:a".into(),
                url: String::new(),
                budget: None,
                vitals: Ok(vitals),
            };
            all.push(of_redis(&row, Points::default(), Units::default()));
        }
        let chinese = larder_notify::Language::Zh;
        for health in all {
            let said = health.score.dimensions.iter().map(|part| part.detail.clone());
            let found = health.score.penalties.iter().map(|penalty| penalty.text.clone());
            for sentence in said.chain(found) {
                // Of Go's hit rate nothing is ever lost, since it is never known.
                if !sentence.starts_with("Go keeps no count") {
                    assert_ne!(chinese.sentence(&sentence), sentence);
                }
            }
        }
    }

    #[test]
    fn what_was_bad_comes_first() {
        let bad = LastVerified { at: Time::from_unix(0), checked: 10, bad: 2, unverifiable: 0 };
        let row = StatusRow { last_verified: Some(bad), ..row() };
        let health = of_go(&row, GoContext::default()).unwrap();
        assert_eq!(health.actions[0], "larder verify build --fix");
    }

    #[test]
    fn nothing_there_has_no_health() {
        let empty = StatusRow { size: Size::default(), ..row() };
        assert!(of_go(&empty, GoContext::default()).is_none());
    }
}
