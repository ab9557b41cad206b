//! A client that is disconnected, and again when the same one comes back.
//!
//! Promises: it is looked at just before; a number is never given twice, so nobody else is hit.
//! The same one is who comes from the same host, with the same name and as the same user, after
//! the first was disconnected; a client without a name cannot be told from its neighbours and is
//! disconnected once.
//!
//! Leaves out: replicas, masters, Sentinels and larder itself, which are never disconnected.

use crate::clients::{Connected, clients};
use crate::deployment::Deployment;
use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::link::Link;
use crate::throttle::{ThrottleError, servers};

/// A client that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is connected.
    pub server: Endpoint,
    /// Who it is.
    pub client: Connected,
}

/// Looks for the client of this number on every server, or on the one at `at`.
pub fn find(deployment: &Deployment, id: u64, at: Option<&str>) -> Result<Found, ThrottleError> {
    let asked: Vec<Endpoint> = servers(deployment)
        .into_iter()
        .filter(|server| at.is_none_or(|at| server.address() == at))
        .collect();
    let mut found = Vec::new();
    let mut failed = None;
    for server in &asked {
        let listed = Link::open(server, "throttle").and_then(|mut link| clients(&mut link));
        match listed {
            Ok(listed) => {
                let with_id = listed.into_iter().filter(|client| client.id == id);
                found.extend(with_id.map(|client| Found { server: server.clone(), client }));
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if found.len() > 1 {
        let addresses = found.iter().map(|found| found.server.address().to_owned()).collect();
        return Err(ThrottleError::SeveralClients { id, addresses });
    }
    let asked: Vec<&str> = asked.iter().map(Endpoint::address).collect();
    let address = at.map_or_else(|| asked.join(", "), str::to_owned);
    match (found.pop(), failed) {
        (Some(found), _) => Ok(found),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(ThrottleError::NoClient { id, address }),
    }
}

/// Whether it may be disconnected.
pub fn check(found: &Found) -> Result<(), ThrottleError> {
    let what = match &found.client {
        client if client.is_ours() => "larder itself",
        client if client.is_server() => "a server: a replica, a master or a Sentinel",
        _ => return Ok(()),
    };
    let address = found.server.address().to_owned();
    Err(ThrottleError::NotThisClient { id: found.client.id, address, what })
}

/// Whether one that comes back can be told from others of its host.
pub fn comes_back_as_itself(client: &Connected) -> bool {
    !client.name.is_empty()
}

/// Disconnects it, if it is still who it was; `false` where it has gone.
pub fn disconnect(link: &mut Link, client: &Connected) -> Result<bool, RedisError> {
    let now = clients(link)?;
    let same = |other: &&Connected| {
        other.id == client.id && other.address == client.address && other.age >= client.age
    };
    if !now.iter().any(|other| same(&other)) {
        return Ok(false);
    }
    kill(link, client.id)
}

/// Disconnects whoever came back as the same one since `client` was disconnected.
pub fn disconnect_again(link: &mut Link, client: &Connected) -> Result<Vec<Connected>, RedisError> {
    if !comes_back_as_itself(client) {
        return Ok(Vec::new());
    }
    let mut gone = Vec::new();
    for other in clients(link)?.into_iter().filter(|other| is_back(client, other)) {
        if kill(link, other.id)? {
            gone.push(other);
        }
    }
    Ok(gone)
}

/// Numbers go up, so a later connection has a higher one; those that were there already stay.
fn is_back(client: &Connected, other: &Connected) -> bool {
    other.id > client.id
        && other.host() == client.host()
        && other.name == client.name
        && other.user == client.user
        && !other.is_server()
        && !other.is_ours()
}

fn kill(link: &mut Link, id: u64) -> Result<bool, RedisError> {
    let killed: i64 = link.ask(redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id))?;
    Ok(killed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: u64, address: &str, name: &str, user: &str) -> Connected {
        Connected {
            id,
            address: address.to_owned(),
            name: name.to_owned(),
            user: Some(user.to_owned()),
            ..Connected::default()
        }
    }

    #[test]
    fn who_came_back_and_who_did_not() {
        let first = client(7, "10.0.0.7:5000", "nightly", "batch");
        for (other, back) in [
            (client(9, "10.0.0.7:5001", "nightly", "batch"), true),
            (client(5, "10.0.0.7:4999", "nightly", "batch"), false),
            (client(9, "10.0.0.8:5001", "nightly", "batch"), false),
            (client(9, "10.0.0.7:5001", "web", "batch"), false),
            (client(9, "10.0.0.7:5001", "nightly", "web"), false),
        ] {
            assert_eq!(is_back(&first, &other), back, "{other:?}");
        }
        let replica =
            Connected { flags: "S".to_owned(), ..client(9, "10.0.0.7:1", "nightly", "batch") };
        assert!(!is_back(&first, &replica));
        assert!(!comes_back_as_itself(&client(1, "a:1", "", "batch")));
    }

    #[test]
    fn servers_and_larder_stay() {
        let server = Endpoint::parse("redis://h").unwrap();
        let found = |client| Found { server: server.clone(), client };
        check(&found(client(1, "a:1", "nightly", "batch"))).unwrap();
        let replica = Connected { flags: "S".to_owned(), ..Connected::default() };
        for client in [
            replica,
            client(1, "a:1", "larder:probe", "x"),
            client(1, "a:1", "sentinel-1-cmd", "x"),
        ] {
            assert!(check(&found(client)).is_err());
        }
    }
}
