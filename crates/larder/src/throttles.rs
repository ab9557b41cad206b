//! Limiting and giving back with what is in force written down: what `larder throttle` does, and
//! whatever else limits somebody.
//!
//! Promises: written down first, then done, under one lock; what was saved first is what is given
//! back, however often a user was limited meanwhile; a record goes only when every server has its
//! rules back.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use larder_core::{Event, Time};
use larder_redis::throttle::{
    Deny, Lifted, NodeLimit, Subject, Teller, Throttle, ThrottleError, UserLimit, lift, limit,
    overdue, survey,
};
use larder_redis::{Deployment, RedisError};

use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::redis_target::{self, RedisTarget};
use crate::throttle_store::ThrottleStore;
use crate::{history_keep, throttle_evidence};

/// What limiting and giving back need.
#[derive(Clone, Copy)]
pub(crate) struct Hands<'a> {
    /// What is in force.
    pub store: &'a ThrottleStore,
    /// The Redis, and who we are there.
    pub target: &'a RedisTarget,
    /// The same in every event of this run.
    pub trace_id: &'a str,
    /// Hears of each step.
    pub say: &'a dyn Fn(Event),
}

impl std::fmt::Debug for Hands<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hands").field("cache", &self.target.cache).finish_non_exhaustive()
    }
}

impl<'a> Hands<'a> {
    /// Tells of steps.
    pub(crate) fn teller(&self) -> Teller<'a> {
        Teller {
            cache: &self.target.cache,
            trace_id: self.trace_id,
            now: &larder_fs::now,
            say: self.say,
        }
    }
}

/// A limit that was put in force.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// As it is written down.
    pub throttle: Throttle,
    /// Servers that do not have it, and why.
    pub failed: Vec<(String, RedisError)>,
    /// It was in force already, and now is for longer.
    pub extended: bool,
    /// It takes nothing away that the user had: nothing is in force.
    pub needless: bool,
}

/// How long, and why.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    /// From now on.
    pub length: Duration,
    /// By name.
    pub evidence: Vec<(String, String)>,
}

/// Limits a user on every server.
pub(crate) fn begin(
    hands: &Hands<'_>,
    deployment: &Deployment,
    wanted: &UserLimit,
    term: Term,
) -> Result<Begun, CliError> {
    let _lock = hands.store.lock()?;
    let earlier = earlier(hands, deployment, &wanted.user);
    let earlier_nodes = earlier.as_ref().map_or(&[][..], nodes);
    // As it is now, however long somebody was asked.
    let mut survey = survey(deployment, wanted, earlier_nodes).map_err(|error| failed(&error))?;
    let now = larder_fs::now();
    let mut throttle = Throttle {
        id: earlier.as_ref().map_or_else(larder_engine::keys::new_id, |one| one.id.clone()),
        cache: hands.target.cache.clone(),
        url: hands.target.endpoint.url(),
        subject: subject(&wanted.user, &survey.nodes, earlier_nodes),
        began: earlier.as_ref().map_or(now, |one| one.began),
        until: earlier.as_ref().map_or(now, |one| one.until).max(now.plus(term.length)),
        evidence: term.evidence,
    };
    hands.store.put(&throttle)?;
    limit(&mut survey, wanted, &hands.teller());
    throttle.subject = subject(&wanted.user, &survey.nodes, earlier_nodes);
    let takes = |node: &NodeLimit| node.limited.as_ref().is_none_or(|now| !now.same(&node.saved));
    let needless = survey.failed.is_empty() && !nodes(&throttle).iter().any(takes);
    if needless || nodes(&throttle).is_empty() {
        hands.store.forget(&throttle.id)?;
    } else {
        hands.store.put(&throttle)?;
    }
    Ok(Begun { throttle, failed: survey.failed, extended: earlier.is_some(), needless })
}

/// What is in force for this user on one of these servers already.
fn earlier(hands: &Hands<'_>, deployment: &Deployment, user: &str) -> Option<Throttle> {
    let servers = larder_redis::throttle::servers(deployment);
    let on = |node: &NodeLimit| servers.iter().any(|server| server.address() == node.address);
    let (all, _) = hands.store.list();
    all.into_iter().find(|one| match &one.subject {
        Subject::User { user: other, nodes } => other == user && nodes.iter().any(on),
        Subject::Client { .. } | Subject::Scripts { .. } => false,
    })
}

/// The servers that are limited now, and those that were before and were not reached.
fn subject(user: &str, now: &[NodeLimit], earlier: &[NodeLimit]) -> Subject {
    let missed = earlier.iter().filter(|old| !now.iter().any(|new| new.address == old.address));
    Subject::User { user: user.to_owned(), nodes: now.iter().chain(missed).cloned().collect() }
}

/// The servers of a limit on a user.
pub(crate) fn nodes(throttle: &Throttle) -> &[NodeLimit] {
    match &throttle.subject {
        Subject::User { nodes, .. } => nodes,
        Subject::Client { .. } | Subject::Scripts { .. } => &[],
    }
}

/// What was given back, server by server.
pub(crate) type Returned = Vec<(String, Result<Lifted, RedisError>)>;

/// Whether every server has its rules back.
pub(crate) fn complete(returned: &Returned) -> bool {
    returned.iter().all(|(_, lifted)| lifted.is_ok())
}

/// Ends what is in force under this id. What could not be given back stays written down. `None`:
/// somebody else has ended it.
pub(crate) fn end(hands: &Hands<'_>, id: &str) -> Result<Option<Returned>, CliError> {
    let _lock = hands.store.lock()?;
    let Some(mut throttle) = hands.store.get(id)? else { return Ok(None) };
    let Subject::User { user, nodes } = &mut throttle.subject else {
        hands.store.forget(id)?;
        return Ok(Some(Vec::new()));
    };
    let teller = hands.teller();
    let mut returned = Vec::new();
    nodes.retain(|node| {
        let lifted = lift(&hands.target.endpoint, user, node, &teller);
        let left = lifted.is_err();
        returned.push((node.address.clone(), lifted));
        left
    });
    if nodes.is_empty() {
        hands.store.forget(id)?;
        let who = who(&throttle.subject);
        teller.tell("unthrottled", format!("{who} is limited no more"), Vec::new());
    } else {
        hands.store.put(&throttle)?;
    }
    Ok(Some(returned))
}

/// All that is in force on this Redis.
pub(crate) fn in_force_on(store: &ThrottleStore, target: &RedisTarget) -> Vec<Throttle> {
    let (all, _) = store.list();
    let about = |one: &Throttle| one.is_about(&target.cache, target.endpoint.address());
    all.into_iter().filter(about).collect()
}

/// How long a server that is down may hold up a command that is about something else.
const BRIEFLY: Duration = Duration::from_secs(1);

/// So long after its time a limit is left to the larder that set it.
const GRACE: Duration = Duration::from_secs(3);

/// The same Redis, for work that nobody waits for.
fn briefly(target: &RedisTarget) -> RedisTarget {
    let mut target = target.clone();
    let limits = &mut target.endpoint.timeouts;
    limits.connect = limits.connect.min(BRIEFLY);
    target
}

/// Before anything else is done with a Redis: undoes what is overdue there, of a larder that broke
/// off. Only a folder is read where there is nothing. What cannot be undone is said, and is no
/// reason to fail.
pub(crate) fn settle(context: &Context<'_>, target: &RedisTarget) {
    let Some(state) = context.settings().state.as_deref() else { return };
    let store = ThrottleStore::new(state);
    let all = in_force_on(&store, target);
    let mut over = overdue(&all, larder_fs::now().minus(GRACE));
    over.retain(|throttle| is_due(&throttle.id));
    if over.is_empty() {
        return;
    }
    let (target, trace_id) = (briefly(target), larder_engine::keys::new_id());
    let say = |event| history_keep::told(context, event);
    let hands = Hands { store: &store, target: &target, trace_id: &trace_id, say: &say };
    for throttle in over {
        let who = who(&throttle.subject);
        let warn = |what: String| context.printer.warning(&what);
        let ended = end(&hands, &throttle.id);
        put_off(&throttle.id, matches!(&ended, Ok(back) if back.as_ref().is_none_or(complete)));
        match ended {
            Ok(None) => {}
            Ok(Some(returned)) if complete(&returned) => {
                warn(format!("{who} was limited for longer than meant, and is no more"));
            }
            Ok(Some(returned)) => {
                let errors = returned.into_iter().filter_map(|(_, lifted)| lifted.err());
                errors.for_each(|error| warn(format!("{who} is still limited: {error}")));
            }
            Err(error) => warn(format!("{who} may still be limited: {}", error.what)),
        }
    }
}

/// Limits a user with what the slow log has against it, without asking anybody: where the settings
/// allow it.
pub(crate) fn limit_user(
    context: &Context<'_>,
    target: &RedisTarget,
    user: &str,
    length: Duration,
    trace_id: &str,
    tell: &dyn Fn(Event),
) -> Result<(), CliError> {
    let store = ThrottleStore::new(context.state_folder()?);
    let hands = Hands { store: &store, target, trace_id, say: tell };
    let deployment =
        Deployment::discover(&target.endpoint).map_err(|error| redis_target::failed(&error))?;
    let on_record = throttle_evidence::of_user(context, &deployment, user);
    let deny = Deny::Costly(on_record.commands);
    let wanted = UserLimit { user: user.to_owned(), deny, force: false };
    let begun = begin(&hands, &deployment, &wanted, Term { length, evidence: on_record.evidence })?;
    match begun.failed.first() {
        Some((_, error)) if nodes(&begun.throttle).is_empty() => Err(redis_target::failed(error)),
        _ if begun.needless => {
            Err(CliError::refused(format!("user {user} may run none of it anyway")))
        }
        _ => Ok(()),
    }
}

/// When what could not be given back is tried again, and after how many times.
static AGAIN: Mutex<BTreeMap<String, (Instant, u32)>> = Mutex::new(BTreeMap::new());

/// The first pause after a failure, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest.
const LAST_PAUSE: Duration = Duration::from_mins(5);

/// Ends all that is overdue, on whichever Redis: for a process that stays. What cannot be given
/// back now is tried again after a pause.
pub(crate) fn lift_overdue(context: &Context<'_>, tell: &dyn Fn(Event)) {
    let Some(state) = context.settings().state.as_deref() else { return };
    let store = ThrottleStore::new(state);
    let (all, _) = store.list();
    for throttle in overdue(&all, larder_fs::now()) {
        if !is_due(&throttle.id) {
            continue;
        }
        let name = known_as(context, throttle);
        let ended = redis_target::locate(context, &name).and_then(|target| {
            let (target, trace_id) = (briefly(&target), larder_engine::keys::new_id());
            let hands = Hands { store: &store, target: &target, trace_id: &trace_id, say: tell };
            end(&hands, &throttle.id)
        });
        put_off(&throttle.id, matches!(&ended, Ok(back) if back.as_ref().is_none_or(complete)));
        if let Err(error) = ended {
            let who = who(&throttle.subject);
            context.printer.warning(&format!("{who} may still be limited: {}", error.what));
        }
    }
}

/// The name in the settings, or the URL where the settings name it no more.
fn known_as(context: &Context<'_>, throttle: &Throttle) -> String {
    let named = context.settings().redis.iter().map(|redis| format!("redis:{}", redis.name));
    let known = named.into_iter().any(|name| name == throttle.cache);
    if known { throttle.cache.clone() } else { throttle.url.clone() }
}

fn is_due(id: &str) -> bool {
    let again = AGAIN.lock().ok().and_then(|again| again.get(id).copied());
    again.is_none_or(|(at, _)| at <= Instant::now())
}

fn put_off(id: &str, done: bool) {
    let Ok(mut again) = AGAIN.lock() else { return };
    let times = again.remove(id).map_or(0, |(_, times)| times);
    if !done {
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow(times.min(16))).min(LAST_PAUSE);
        again.insert(id.to_owned(), (Instant::now() + pause, times + 1));
    }
}

/// When the next limit is over.
pub(crate) fn next_end(context: &Context<'_>) -> Option<Time> {
    let state = context.settings().state.as_deref()?;
    ThrottleStore::new(state).list().0.into_iter().map(|throttle| throttle.until).min()
}

/// How many limits hold, by cache.
pub(crate) fn in_force(context: &Context<'_>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    if let Some(state) = context.settings().state.as_deref() {
        for throttle in ThrottleStore::new(state).list().0 {
            *counts.entry(throttle.cache).or_default() += 1;
        }
    }
    counts
}

/// Who is limited, as a sentence begins.
pub(crate) fn who(subject: &Subject) -> String {
    match subject {
        Subject::User { user, .. } => format!("user {user}"),
        Subject::Client { node, id } => format!("client {id} of {node}"),
        Subject::Scripts { .. } => "every long script".to_owned(),
    }
}

/// An error on its way to a person.
pub(crate) fn failed(error: &ThrottleError) -> CliError {
    let refused = |hint: &str| CliError::refused(error.to_string()).hint(hint);
    match error {
        ThrottleError::Redis(error) => redis_target::failed(error),
        ThrottleError::OurOwn { .. } => refused("log larder in as a user of its own"),
        ThrottleError::Default => refused(
            "add --force if everybody without a login is meant, or limit a client: --client ID",
        ),
        ThrottleError::OfServers { .. } => refused("add --force if that is meant"),
        ThrottleError::NoUser { .. } => {
            CliError::usage(error.to_string()).hint("larder slowlog tells who sends what")
        }
        ThrottleError::NoClient { .. } => CliError::new(Exit::Usage, error.to_string())
            .hint("it may have gone; redis-cli CLIENT LIST shows who is connected"),
        ThrottleError::SeveralClients { id, addresses } => CliError::usage(error.to_string())
            .hint(format!("say which: --client {id}@{}", addresses.first().map_or("", |a| a))),
        ThrottleError::NotThisClient { .. } => CliError::refused(error.to_string()),
    }
}
