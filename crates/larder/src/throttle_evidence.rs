//! What the slow log has against a user: the commands that would have to be taken away, and the
//! figures that say why.

use larder_redis::Deployment;
use larder_redis::acl::is_rule_name;
use larder_redis::slowlog::{Offender, SlowEntry, offenders};
use larder_redis::throttle::servers;

use crate::context::Context;
use crate::key_removal::millis;
use crate::slow_watch::Watched;
use crate::text::counted;

/// Slow commands older than this say nothing of what a user sends now.
const RECENT: std::time::Duration = std::time::Duration::from_hours(24);

/// What is on record.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnRecord {
    /// For `ACL SETUSER`.
    pub commands: Vec<String>,
    /// `KEYS report:*: 31 times, 480 ms the longest`, the costliest first.
    pub sentences: Vec<String>,
    /// By name.
    pub evidence: Vec<(String, String)>,
}

/// What is on record of this user. Servers that do not tell say nothing against anybody.
pub(crate) fn of_user(context: &Context<'_>, deployment: &Deployment, user: &str) -> OnRecord {
    let Some(state) = context.settings().state.as_deref() else { return OnRecord::default() };
    let mut entries: Vec<SlowEntry> = Vec::new();
    for server in servers(deployment) {
        if let Ok((watched, _, _)) = Watched::open(state, &server) {
            entries.extend(watched.entries());
        }
    }
    let since = u64::try_from(context.now.minus(RECENT).unix()).unwrap_or(0);
    entries.retain(|entry| entry.at >= since && entry.user.as_deref() == Some(user));
    let found = offenders(&entries, since).into_iter().next();
    found.map_or_else(OnRecord::default, |offender| on_record(&offender, &entries))
}

fn on_record(offender: &Offender, entries: &[SlowEntry]) -> OnRecord {
    let sentence = |pattern: &String| {
        let of = entries.iter().filter(|entry| entry.pattern == *pattern);
        let longest = of.clone().map(|entry| entry.took).max().unwrap_or_default();
        let times = counted(of.count() as u64, "time", "times");
        format!("{pattern}: {times}, {} the longest", millis(longest))
    };
    OnRecord {
        commands: offender.commands.iter().filter(|name| is_rule_name(name)).cloned().collect(),
        sentences: offender.patterns.iter().map(sentence).collect(),
        evidence: vec![
            ("patterns".to_owned(), offender.patterns.join(", ")),
            ("count".to_owned(), offender.count.to_string()),
            ("total_millis".to_owned(), offender.total.as_millis().to_string()),
            ("longest_millis".to_owned(), offender.max.as_millis().to_string()),
        ],
    }
}
