//! A limit on a user for a time: what is taken away, from whom it is never taken, how it is taken
//! on every server of a Redis, and how it is given back.
//!
//! Promises: nothing is changed before the caller could write down what there was ([`survey`]
//! reads, [`limit`] acts); what is given back is what was there, on each server its own; larder's
//! own user is never limited, `default` and what servers log in with only by force.
//!
//! Leaves out: files, waiting and asking. Who calls keeps a [`Throttle`] as long as it is in force.

use std::time::Duration;

use larder_core::{Event, Time};

use crate::acl::Rules;
use crate::clients::clients;
use crate::deployment::Deployment;
use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::link::Link;

pub use crate::throttle_error::ThrottleError;

/// Commands that look at all keys, at all of several collections, or stop everything else, and
/// that an application can do without for a while.
pub const COSTLY: [&str; 25] = [
    "bitop",
    "debug",
    "flushall",
    "flushdb",
    "keys",
    "lcs",
    "migrate",
    "monitor",
    "save",
    "sdiff",
    "sdiffstore",
    "sinter",
    "sintercard",
    "sinterstore",
    "sort",
    "sort_ro",
    "sunion",
    "sunionstore",
    "zdiff",
    "zdiffstore",
    "zinter",
    "zintercard",
    "zinterstore",
    "zunion",
    "zunionstore",
];

/// What is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deny {
    /// [`COSTLY`], and these commands, which the user is known to send. What a server does not
    /// know is left out.
    Costly(Vec<String>),
    /// These commands and `@categories`.
    Named(Vec<String>),
    /// Everything but logging in.
    Everything,
}

impl Deny {
    /// As `ACL SETUSER` calls them, without a sign.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Costly(also) => {
                let mut names: Vec<String> = COSTLY.iter().map(|&name| name.to_owned()).collect();
                let also = also.iter().filter(|name| !COSTLY.contains(&name.as_str()));
                names.extend(also.cloned());
                names
            }
            Self::Named(names) => names.clone(),
            Self::Everything => vec!["@all".to_owned()],
        }
    }
}

/// A limit that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLimit {
    /// The ACL user.
    pub user: String,
    /// What is taken away.
    pub deny: Deny,
    /// Also from `default`, and from users that replicas and Sentinels log in with.
    pub force: bool,
}

/// What was taken away on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLimit {
    /// `host:port` or a socket's path.
    pub address: String,
    /// The rules before.
    pub saved: Rules,
    /// The rules after, in the server's words; `None` while nobody has read them yet.
    pub limited: Option<Rules>,
    /// Commands and `@categories` that were denied.
    pub denied: Vec<String>,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Names it.
    pub id: String,
    /// `redis:NAME`, or a URL.
    pub cache: String,
    /// The URL that it was reached at, without a password.
    pub url: String,
    /// Who is limited.
    pub subject: Subject,
    /// Since when.
    pub began: Time,
    /// Until when.
    pub until: Time,
    /// Why, by name.
    pub evidence: Vec<(String, String)>,
}

/// Who is limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An ACL user, on each of these servers.
    User {
        /// Its name.
        user: String,
        /// What was taken away.
        nodes: Vec<NodeLimit>,
    },
    /// A client, which is disconnected whenever it comes back; nothing of it has to be undone.
    Client {
        /// The server.
        node: String,
        /// The connection's number when it was asked for.
        id: u64,
    },
    /// Scripts that run for longer than this; nothing of it has to be undone.
    Scripts {
        /// How long one may run.
        longer_than: Duration,
    },
}

impl Throttle {
    /// Whether its time is over.
    pub fn is_overdue(&self, now: Time) -> bool {
        self.until <= now
    }

    /// Whether it is about one of the servers of this address, so that who talks to it can lift it.
    pub fn is_about(&self, cache: &str, address: &str) -> bool {
        let on_node = match &self.subject {
            Subject::User { nodes, .. } => nodes.iter().any(|node| node.address == address),
            Subject::Client { node, .. } => node == address,
            Subject::Scripts { .. } => false,
        };
        let seed = Endpoint::parse(&self.url);
        on_node || self.cache == cache || seed.is_ok_and(|seed| seed.address() == address)
    }
}

/// Those whose time is over, the longest overdue first.
pub fn overdue(throttles: &[Throttle], now: Time) -> Vec<&Throttle> {
    let mut over: Vec<&Throttle> = throttles.iter().filter(|one| one.is_overdue(now)).collect();
    over.sort_by_key(|one| one.until);
    over
}

/// Hears of each step.
#[derive(Clone, Copy)]
pub struct Teller<'a> {
    /// The cache that the events are about.
    pub cache: &'a str,
    /// The same in all of them.
    pub trace_id: &'a str,
    /// The clock.
    pub now: &'a dyn Fn() -> Time,
    /// Takes them.
    pub say: &'a dyn Fn(Event),
}

impl std::fmt::Debug for Teller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teller").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Teller<'_> {
    /// One event.
    pub fn tell(&self, kind: &str, message: String, data: Vec<(&str, String)>) {
        (self.say)(Event {
            at: (self.now)(),
            kind: kind.to_owned(),
            cache: Some(self.cache.to_owned()),
            plan_id: None,
            trace_id: self.trace_id.to_owned(),
            message,
            data: data.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        });
    }
}

/// The servers that take the limit, as they are before it, and those that do not.
#[derive(Debug, Default)]
pub struct Survey {
    /// What is there, for each; nothing was changed yet.
    pub nodes: Vec<NodeLimit>,
    /// Where the limit cannot be.
    pub failed: Vec<(String, RedisError)>,
    /// Connections of the user that are open, where the servers tell.
    pub connections: u64,
    links: Vec<Link>,
    current: Vec<Rules>,
}

/// Reads what there is on every master and replica. What `earlier` limited of the same user counts
/// as taken away already: what was saved then stays saved.
pub fn survey(
    deployment: &Deployment,
    wanted: &UserLimit,
    earlier: &[NodeLimit],
) -> Result<Survey, ThrottleError> {
    if wanted.user == "default" && !wanted.force {
        return Err(ThrottleError::Default);
    }
    let mut survey = Survey::default();
    let mut unknown = None;
    for endpoint in servers(deployment) {
        let address = endpoint.address().to_owned();
        match ask(&endpoint, wanted) {
            Ok((link, Some(rules), connections)) => {
                survey.connections += connections;
                let earlier = earlier.iter().find(|earlier| earlier.address == address);
                let mut denied = earlier.map_or_else(Vec::new, |earlier| earlier.denied.clone());
                denied.extend(wanted.deny.names());
                denied.sort_unstable();
                denied.dedup();
                let saved = earlier.map_or_else(|| rules.clone(), |earlier| earlier.saved.clone());
                survey.nodes.push(NodeLimit { address, saved, limited: None, denied });
                survey.links.push(link);
                survey.current.push(rules);
            }
            Ok((_, None, _)) => unknown = unknown.or(Some(address)),
            Err(ThrottleError::Redis(error)) => survey.failed.push((address, error)),
            Err(error) => return Err(error),
        }
    }
    let missing = deployment.missing.iter().map(|missing| {
        let (address, why) = (missing.what.clone(), missing.why.clone());
        (address.clone(), RedisError::Unreachable { address, why })
    });
    survey.failed.extend(missing);
    if !survey.nodes.is_empty() {
        return Ok(survey);
    }
    Err(match (unknown, survey.failed.pop()) {
        (Some(address), _) => ThrottleError::NoUser { user: wanted.user.clone(), address },
        (None, Some((_, error))) => error.into(),
        (None, None) => ThrottleError::NoUser {
            user: wanted.user.clone(),
            address: "a Redis without any server".to_owned(),
        },
    })
}

/// Masters and replicas: rules are each server's own.
pub fn servers(deployment: &Deployment) -> Vec<Endpoint> {
    let all = deployment.nodes.iter().flat_map(|node| {
        std::iter::once(&node.endpoint).chain(&node.replicas).map(|place| place.with_database(0))
    });
    all.collect()
}

/// The user's rules on this server, where it may be limited, and how many connections it has.
fn ask(
    endpoint: &Endpoint,
    wanted: &UserLimit,
) -> Result<(Link, Option<Rules>, u64), ThrottleError> {
    let (user, address) = (wanted.user.clone(), endpoint.address().to_owned());
    let mut link = Link::open(endpoint, "throttle")?;
    // Without this answer nobody knows whom it would hit.
    let own: String = link.ask(redis::cmd("ACL").arg("WHOAMI"))?;
    if own == wanted.user {
        return Err(ThrottleError::OurOwn { user, address });
    }
    // Whoever may not see the clients has to know by himself.
    let connected = clients(&mut link).unwrap_or_default();
    let of_user = connected.iter().filter(|client| client.user.as_ref() == Some(&wanted.user));
    if let Some(server) =
        of_user.clone().find(|client| client.is_server()).filter(|_| !wanted.force)
    {
        let example = format!("{} {}", server.address, server.name).trim_end().to_owned();
        return Err(ThrottleError::OfServers { user, address, example });
    }
    let connections = of_user.count() as u64;
    let rules = Rules::ask(&mut link, &wanted.user)?;
    Ok((link, rules, connections))
}

/// Takes away what was surveyed, on each server. Afterwards the survey's nodes are those that are
/// limited, or may be since their answer never came.
pub fn limit(survey: &mut Survey, wanted: &UserLimit, teller: &Teller<'_>) {
    let links = std::mem::take(&mut survey.links);
    let current = std::mem::take(&mut survey.current);
    let nodes = std::mem::take(&mut survey.nodes);
    for ((mut node, mut link), current) in nodes.into_iter().zip(links).zip(current) {
        match limit_node(&mut link, &mut node, &current, wanted) {
            Ok(()) => {
                let (user, denied) = (&wanted.user, node.denied.join(" "));
                teller.tell(
                    "limited",
                    format!("user {user} may not run {denied} on {}", node.address),
                    vec![
                        ("user", user.clone()),
                        ("node", node.address.clone()),
                        ("denied", denied),
                        ("before", node.saved.text()),
                    ],
                );
                survey.nodes.push(node);
            }
            Err(error) => {
                not_limited(teller, &wanted.user, &error);
                survey.failed.push((node.address.clone(), error.clone()));
                // What broke in the middle may have happened; what was answered has not.
                if error.breaks_link() {
                    survey.nodes.push(node);
                }
            }
        }
    }
}

fn not_limited(teller: &Teller<'_>, user: &str, error: &RedisError) {
    teller.tell(
        "not-limited",
        format!("user {user} is not limited: {error}"),
        vec![("user", user.to_owned())],
    );
}

fn limit_node(
    link: &mut Link,
    node: &mut NodeLimit,
    current: &Rules,
    wanted: &UserLimit,
) -> Result<(), RedisError> {
    loop {
        let done = set_user(link, &wanted.user, &current.denying(&node.denied));
        let Err(error) = done else { break };
        // An older server does not know all that is costly on a later one.
        let unknown = unknown_name(&error).filter(|_| matches!(wanted.deny, Deny::Costly(_)));
        let at = unknown.and_then(|name| node.denied.iter().position(|denied| denied == name));
        match at {
            Some(at) => drop(node.denied.remove(at)),
            None => return Err(error),
        }
    }
    node.limited = Rules::ask(link, &wanted.user)?;
    Ok(())
}

fn set_user(link: &mut Link, user: &str, rules: &[String]) -> Result<(), RedisError> {
    link.ask(redis::cmd("ACL").arg("SETUSER").arg(user).arg(rules))
}

/// The X of `Error in ACL SETUSER modifier '-X': Unknown command or category name in ACL`.
fn unknown_name(error: &RedisError) -> Option<&str> {
    let RedisError::Server { answer, .. } = error else { return None };
    let (_, rest) = answer.split_once("modifier '-")?;
    let (name, why) = rest.split_once('\'')?;
    why.contains("Unknown command").then_some(name)
}

/// How a server came back to what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifted {
    /// The rules are exactly those from before.
    Restored,
    /// Somebody changed them meanwhile: only what larder had denied was given back.
    Merged,
    /// They were as before already: the server was started again, or somebody was faster.
    Already,
    /// The user does not exist any more.
    Gone,
}

/// Gives back what was taken away on one server, reached as `seed` is.
pub fn lift(
    seed: &Endpoint,
    user: &str,
    node: &NodeLimit,
    teller: &Teller<'_>,
) -> Result<Lifted, RedisError> {
    let lifted = lift_node(seed, user, node);
    let data = |name: &'static str, value: String| {
        vec![("user", user.to_owned()), ("node", node.address.clone()), (name, value)]
    };
    match &lifted {
        Ok(how) => {
            let what = match how {
                Lifted::Restored => "has its rules back",
                Lifted::Merged => "was changed meanwhile, and has back what larder had denied",
                Lifted::Already => "had its rules back already",
                Lifted::Gone => "does not exist any more",
            };
            let message = format!("user {user} {what} on {}", node.address);
            teller.tell("limit-lifted", message, data("rules", node.saved.text()));
        }
        Err(error) => {
            let message = format!("user {user} is still limited on {}: {error}", node.address);
            teller.tell("limit-not-lifted", message, data("error", error.to_string()));
        }
    }
    lifted
}

fn lift_node(seed: &Endpoint, user: &str, node: &NodeLimit) -> Result<Lifted, RedisError> {
    let mut link = Link::open(&place(seed, &node.address), "throttle")?;
    let Some(current) = Rules::ask(&mut link, user)? else { return Ok(Lifted::Gone) };
    if current.same(&node.saved) {
        return Ok(Lifted::Already);
    }
    let wanted = current.lifted(&node.saved, node.limited.as_ref(), &node.denied);
    set_user(&mut link, user, &wanted.replacing(&current))?;
    if !wanted.same(&node.saved) {
        return Ok(Lifted::Merged);
    }
    // Looked at again: what is said to be as before has to be.
    match Rules::ask(&mut link, user)? {
        Some(now) if now.same(&node.saved) => Ok(Lifted::Restored),
        Some(now) => Err(RedisError::Server {
            address: node.address.clone(),
            command: "ACL SETUSER".to_owned(),
            answer: format!("the rules are now {} and not {}", now.text(), node.saved.text()),
        }),
        None => Ok(Lifted::Gone),
    }
}

/// The server at this address, reached as the one that is known.
pub fn place(seed: &Endpoint, address: &str) -> Endpoint {
    let seed = seed.with_database(0);
    if seed.address() == address {
        return seed;
    }
    match address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => seed.sibling(host.trim_matches(['[', ']']), port),
        None => seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(address: &str, until: i64) -> Throttle {
        let node = NodeLimit {
            address: address.to_owned(),
            saved: Rules::default(),
            limited: None,
            denied: Vec::new(),
        };
        Throttle {
            id: "1".to_owned(),
            cache: "redis:sessions".to_owned(),
            url: "redis://10.0.0.1:6379/3".to_owned(),
            subject: Subject::User { user: "batch".to_owned(), nodes: vec![node] },
            began: Time::from_unix(0),
            until: Time::from_unix(until),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn what_is_overdue_and_for_whom() {
        let all = [throttle("10.0.0.2:6379", 30), throttle("10.0.0.2:6379", 10)];
        let over = overdue(&all, Time::from_unix(30));
        assert_eq!(over.iter().map(|one| one.until.unix()).collect::<Vec<_>>(), [10, 30]);
        assert!(overdue(&all, Time::from_unix(9)).is_empty());
        for (cache, address, about) in [
            ("redis:sessions", "elsewhere:1", true),
            ("redis:other", "10.0.0.1:6379", true),
            ("redis:other", "10.0.0.2:6379", true),
            ("redis:other", "10.0.0.3:6379", false),
        ] {
            assert_eq!(all[0].is_about(cache, address), about, "{cache} {address}");
        }
    }

    #[test]
    fn a_server_is_found_again_by_its_address() {
        let seed = Endpoint::parse("redis://u@10.0.0.1/5").unwrap();
        assert_eq!(place(&seed, "10.0.0.1:6379"), seed.with_database(0));
        assert_eq!(place(&seed, "[::1]:7000").url(), "redis://u@[::1]:7000/0");
        let socket = Endpoint::parse("unix:///run/redis.sock").unwrap();
        assert_eq!(place(&socket, "/run/redis.sock"), socket);
    }

    #[test]
    fn the_name_that_a_server_does_not_know() {
        let error = |answer: &str| RedisError::Server {
            address: "a".to_owned(),
            command: "ACL SETUSER".to_owned(),
            answer: answer.to_owned(),
        };
        let known = error(
            "ERR Error in ACL SETUSER modifier '-lcs': Unknown command or category name in ACL",
        );
        assert_eq!(unknown_name(&known), Some("lcs"));
        assert_eq!(
            unknown_name(&error("ERR Error in ACL SETUSER modifier '-lcs': Syntax error")),
            None
        );
    }
}
