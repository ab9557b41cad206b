//! Limiting and giving back with what is in force written down: what `larder throttle` does, and
//! whatever else limits somebody.
//!
//! Promises: written down first, then done, under one lock; what was saved first is what is given
//! back, however often a user was limited meanwhile; a record goes only when every server has its
//! rules back.

use std::time::Duration;

use larder_core::{Event, Time};
use larder_redis::throttle::{
    Lifted, NodeLimit, Subject, Teller, Throttle, UserLimit, lift, limit, overdue, survey,
};
use larder_redis::{Deployment, Endpoint, RedisError};

use crate::exit::{CliError, Exit};
use crate::redis_target::{self, RedisTarget};
use crate::throttle_store::ThrottleStore;

/// What limiting and giving back need.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
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
    pub fn teller(&self) -> Teller<'a> {
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
pub struct Begun {
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
pub struct Term {
    /// From now on.
    pub length: Duration,
    /// By name.
    pub evidence: Vec<(String, String)>,
}

/// Limits a user on every server.
pub fn limit_user(
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
pub fn nodes(throttle: &Throttle) -> &[NodeLimit] {
    match &throttle.subject {
        Subject::User { nodes, .. } => nodes,
        Subject::Client { .. } | Subject::Scripts { .. } => &[],
    }
}

/// What was given back, server by server.
pub type Returned = Vec<(String, Result<Lifted, RedisError>)>;

/// Whether every server has its rules back.
pub fn complete(returned: &Returned) -> bool {
    returned.iter().all(|(_, lifted)| lifted.is_ok())
}

/// Ends what is in force under this id. What could not be given back stays written down. `None`:
/// somebody else has ended it.
pub fn end(hands: &Hands<'_>, id: &str) -> Result<Option<Returned>, CliError> {
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
    } else {
        hands.store.put(&throttle)?;
    }
    Ok(Some(returned))
}

/// All that is in force on this Redis.
pub fn in_force(store: &ThrottleStore, target: &RedisTarget) -> Vec<Throttle> {
    let (all, _) = store.list();
    let about = |one: &Throttle| one.is_about(&target.cache, target.endpoint.address());
    all.into_iter().filter(about).collect()
}

/// Ends what should have ended already: of a larder that broke off. Only a folder is read where
/// there is nothing.
pub fn end_overdue(hands: &Hands<'_>, now: Time) -> Vec<(Throttle, Result<Returned, CliError>)> {
    let all = in_force(hands.store, hands.target);
    let over = overdue(&all, now).into_iter();
    let ended = over.filter_map(|one| Some((one.clone(), end(hands, &one.id).transpose()?)));
    ended.collect()
}

/// How long a server that is down may hold up a command that is about something else.
const BRIEFLY: Duration = Duration::from_secs(1);

/// Before anything else is done with a Redis: undoes what is overdue there. What cannot be undone
/// is said, once, and is no reason to fail.
pub fn settle(state: Option<&std::path::Path>, target: &RedisTarget, warn: &dyn Fn(&str)) {
    let Some(state) = state else { return };
    let store = ThrottleStore::new(state);
    let now = larder_fs::now();
    if overdue(&in_force(&store, target), now).is_empty() {
        return;
    }
    let mut target = target.clone();
    let limits = &mut target.endpoint.timeouts;
    limits.connect = limits.connect.min(BRIEFLY);
    let trace_id = larder_engine::keys::new_id();
    let hands = Hands { store: &store, target: &target, trace_id: &trace_id, say: &|_| {} };
    for (throttle, ended) in end_overdue(&hands, now) {
        let who = who(&throttle.subject);
        match ended {
            Ok(returned) if complete(&returned) => {
                warn(&format!("{who} was limited for longer than meant, and is no more"));
            }
            Ok(returned) => {
                let errors = returned.into_iter().filter_map(|(_, lifted)| lifted.err());
                errors.for_each(|error| warn(&format!("{who} is still limited: {error}")));
            }
            Err(error) => warn(&format!("{who} may still be limited: {}", error.what)),
        }
    }
}

/// Who is limited, as a sentence begins.
pub fn who(subject: &Subject) -> String {
    match subject {
        Subject::User { user, .. } => format!("user {user}"),
        Subject::Client { node, id } => format!("client {id} of {node}"),
        Subject::Scripts { .. } => "every long script".to_owned(),
    }
}

/// The endpoint of a server of this Redis.
pub fn server(target: &RedisTarget, address: &str) -> Endpoint {
    larder_redis::throttle::place(&target.endpoint, address)
}

/// An error on its way to a person.
pub fn failed(error: &larder_redis::throttle::ThrottleError) -> CliError {
    use larder_redis::throttle::ThrottleError;
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
