//! Why nothing is limited, and nobody disconnected.

use crate::error::RedisError;

/// Why nothing is limited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThrottleError {
    /// The user that larder itself is.
    #[error("larder itself is logged in to {address} as {user}, and would lock itself out")]
    OurOwn {
        /// The user.
        user: String,
        /// The server.
        address: String,
    },
    /// Whoever does not log in.
    #[error("default is whoever does not log in")]
    Default,
    /// What replicas or Sentinels log in with.
    #[error("{user} is what servers log in to {address} with: {example}")]
    OfServers {
        /// The user.
        user: String,
        /// The server.
        address: String,
        /// One of them.
        example: String,
    },
    /// Nobody knows the user.
    #[error("{address} knows no user {user}")]
    NoUser {
        /// The user.
        user: String,
        /// The first server that was asked.
        address: String,
    },
    /// Nothing such is connected.
    #[error("no client {id} is connected to {address}")]
    NoClient {
        /// The number.
        id: u64,
        /// The servers that were asked.
        address: String,
    },
    /// Several servers have a client of that number.
    #[error("client {id} is another one on each of {}", addresses.join(", "))]
    SeveralClients {
        /// The number.
        id: u64,
        /// Where.
        addresses: Vec<String>,
    },
    /// A client that has to stay.
    #[error("client {id} of {address} is {what}")]
    NotThisClient {
        /// The number.
        id: u64,
        /// The server.
        address: String,
        /// Why it stays.
        what: &'static str,
    },
    /// No server could be asked.
    #[error(transparent)]
    Redis(#[from] RedisError),
}
